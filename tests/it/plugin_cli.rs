//! The command line for plugin authors, from an empty folder to a running server.
//!
//! What cargo compiles for the projects is kept beside the tests' own artifacts, and its crates are
//! those that the workspace was built with, so no network is needed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;
use wasmcached_tests::origin::{Origin, Response};
use wasmcached_tests::server::{self, Server};
use wasmcached_tests::{clients, http, settings};

/// A project as `plugin new` writes it, and its component.
struct Shop {
    project: PathBuf,
    component: PathBuf,
}

/// Built once; the tests that change something work on a copy.
static SHOP: LazyLock<Shop> = LazyLock::new(|| {
    let dir = target().join("work");
    // Of an earlier run; no test begins with what another one left.
    drop(fs::remove_dir_all(&dir));
    let project = dir.join("shop");
    told(&plugin(&["new", text(&project), "--lang", "rust"], Path::new("/")));
    let built = told(&plugin(&["build", text(&project)], &dir));
    let component = built.lines().last().map(PathBuf::from).unwrap();
    assert!(component.is_file(), "last line of:\n{built}");
    // Kept away from the next build of a project of that name.
    let kept = dir.join("shop.wasm");
    fs::copy(component, &kept).unwrap();
    Shop { project, component: kept }
});

/// Runs `wasmcached plugin …` in the folder.
fn plugin(arguments: &[&str], folder: &Path) -> Output {
    server::command()
        .arg("plugin")
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target())
        .env("CARGO_NET_OFFLINE", "true")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Where cargo keeps what it compiles for the projects.
fn target() -> PathBuf {
    server::binary().parent().unwrap().join("plugin-projects")
}

/// The standard output of a command that went well.
#[track_caller]
fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Both outputs of a command that ended with 1.
#[track_caller]
fn refusal(output: &Output) -> (String, String) {
    let both = [&output.stdout, &output.stderr];
    let [out, err] = both.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    (out, err)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn here() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A copy of the project that a test may spoil.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn a_new_project_passes_its_tests_and_fixtures_at_once() {
    let tested = plugin(&["test", text(&SHOP.project)], Path::new("/"));
    let printed = told(&tested);
    assert!(printed.contains("test result: ok. 3 passed"), "{printed}");
    assert!(printed.ends_with("fixtures: 3 passed, 0 failed\n"), "{printed}");
}

#[test]
fn a_new_project_is_written_into_a_folder_of_its_own_under_a_name_that_tools_take() {
    let folder = here();
    fs::write(folder.path().join("mine"), "").unwrap();
    let (_, full) = refusal(&plugin(&["new", ".", "--lang", "rust"], folder.path()));
    // A temporary folder's own name is no name of a project either way.
    assert!(full.contains("is not empty") || full.contains("project name"), "{full}");
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), "mine").unwrap();
    let (_, full) = refusal(&plugin(&["new", "taken", "--lang", "rust"], folder.path()));
    assert_eq!(full, "wasmcached: taken is not empty; a project gets a folder of its own\n");
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
    let (_, name) = refusal(&plugin(&["new", "Two Words", "--lang", "rust"], folder.path()));
    assert!(name.starts_with("wasmcached: project name \"Two Words\": a letter"), "{name}");
    assert!(!folder.path().join("Two Words").exists());
}

#[test]
fn what_is_missing_for_a_build_is_named_with_how_to_get_it() {
    let folder = here();
    let (_, none) = refusal(&plugin(&["build"], folder.path()));
    assert!(none.contains("neither Cargo.toml, package.json nor pyproject.toml"), "{none}");
    let no_tools = server::command()
        .args(["plugin", "build", text(&SHOP.project)])
        .env("PATH", folder.path())
        .stdin(Stdio::null())
        .output();
    let (_, missing) = refusal(&no_tools.unwrap());
    assert!(missing.contains("rustc is missing; rustup installs it"), "{missing}");
}

#[test]
fn a_component_that_behaves_passes_the_check_and_is_measured() {
    let checked = told(&plugin(&["check", text(&SHOP.component)], Path::new("/")));
    for row in ["inputs     header accept-language", "keys       1000", "no finding"] {
        assert!(checked.contains(row), "`{row}` is not in\n{checked}");
    }
    let measured = told(&plugin(&["bench", text(&SHOP.component)], Path::new("/")));
    for row in ["cache-key, 1 of 1 inputs", "on-store", "fuel of on-event", "memory, fresh"] {
        assert!(measured.contains(row), "`{row}` is not in\n{measured}");
    }
}

#[test]
fn files_that_no_server_would_load_are_refused_with_the_reason() {
    let folder = here();
    let whole = fs::read(&SHOP.component).unwrap();
    let (preamble, rest) = whole.split_at(8);
    let a_type_that_breaks_off = [preamble, &rest[..rest.len() / 2]].concat();
    let core: &[u8] = b"\0asm\x01\0\0\0";
    for (bytes, reason) in [
        (core, "it is a core module"),
        (&a_type_that_breaks_off, "not a component"),
        (b"#!/bin/sh", "does not begin like a Wasm file"),
        (preamble, "does not export wasmcached:plugin/lifecycle@0.1.0"),
    ] {
        let file = folder.path().join("odd.wasm");
        fs::write(&file, bytes).unwrap();
        let (_, error) = refusal(&plugin(&["check", text(&file)], folder.path()));
        assert!(error.contains("plugin odd: ") && error.contains(reason), "{error}");
    }
}

#[test]
fn settings_reach_the_plugin() {
    let file = text(&SHOP.component);
    let asked = plugin(&["check", file, "--config", "colour=red"], Path::new("/"));
    let (_, error) = refusal(&asked);
    assert!(error.contains("configure: unknown setting `colour`"), "{error}");
}

#[test]
fn fixtures_that_differ_are_shown_and_fail() {
    let folder = here();
    let project = folder.path().join("shop");
    copy(&SHOP.project, &project);
    let path = project.join("fixtures/shop.json");
    let fixtures = fs::read_to_string(&path).unwrap();
    let spoilt = fixtures.replace("\"soft_tag list\"", "\"soft_tag lists\"");
    let spoilt = spoilt.replace("https://shop/b\"]", "https://shop/a?utm_source=y\"]");
    assert_ne!(fixtures, spoilt);
    fs::write(&path, spoilt.replace("lang=de\"", "lang=fr\"")).unwrap();
    let (shown, error) = refusal(&plugin(&["test", text(&project)], folder.path()));
    for line in [
        "shop.json: keys[0]: expected -, found +\n    - http://shop/a|lang=fr\n    \
         + http://shop/a|lang=de\n",
        "events[0]: expected -, found +\n    - soft_tag lists\n    + soft_tag list\n",
        "fixtures: 1 passed, 2 failed\n",
    ] {
        assert!(shown.contains(line), "`{line}` is not in\n{shown}");
    }
    assert_eq!(error.lines().last(), Some("wasmcached: 2 findings"));
}

#[test]
fn a_replayed_access_log_says_what_would_be_hit() {
    let folder = here();
    let line = |time: &str, request: &str| {
        format!("::1 - - [10/Oct/2030:{time} +0000] \"{request} HTTP/1.1\" 200 9 \"-\" \"curl\"\n")
    };
    let log = [
        line("13:00:00", "GET /products/5?utm_source=a"),
        line("13:00:10", "GET /products/5"),
        // The plugin lets it live for 300 s.
        line("14:00:00", "GET /products/5"),
        line("14:00:01", "GET /products/5?page=2"),
        line("14:00:02", "POST /products/5"),
    ];
    let path = folder.path().join("access.log");
    fs::write(&path, log.concat()).unwrap();
    let arguments = ["test", text(&SHOP.project), "--replay", text(&path)];
    let printed = told(&plugin(&arguments, folder.path()));
    for line in [
        "replay: 4 requests by GET and HEAD, 1 lines skipped\n",
        "  2 distinct keys\n",
        "  hit ratio 50.0 % if everything is kept for ever\n",
        "  hit ratio 25.0 % within the lifetimes that on-store states\n",
        "  2 keys for http://localhost/products/5\n",
    ] {
        assert!(printed.contains(line), "`{line}` is not in\n{printed}");
    }
}

#[test]
fn a_log_of_which_no_line_can_be_read_is_refused_with_the_formats_that_are() {
    let folder = here();
    let path = folder.path().join("access.json");
    fs::write(&path, "{\"request\":\"GET / HTTP/1.1\"}\n".repeat(2)).unwrap();
    let arguments = ["test", text(&SHOP.project), "--replay", text(&path)];
    let (_, error) = refusal(&plugin(&arguments, folder.path()));
    let wanted = "access.json: no line is of the common or combined format; \
                  the first is `{\"request\":\"GET / HTTP/1.1\"}`";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn a_component_is_sent_to_the_server_as_it_is_and_its_answer_is_told() {
    let server = Origin::start(|request| match request.target.as_str() {
        "/v1/plugins/shop" => Response::new(200, r#"{"plugin":{"version":"0.1.0"}}"#),
        _ => Response::new(409, r#"{"error":"plugin shop2: not a component"}"#),
    });
    let component = text(&SHOP.component);
    let load = |name| plugin(&["load", name, component, "--server", &server.url()], Path::new("/"));
    assert!(told(&load("shop")).contains("\"version\": \"0.1.0\""));
    let (_, error) = refusal(&load("shop 2"));
    assert_eq!(error, "wasmcached: plugin shop2: not a component\n");
    let requests = server.requests();
    let sent: Vec<_> = requests.iter().map(|r| (r.method.as_str(), r.target.as_str())).collect();
    assert_eq!(sent, [("PUT", "/v1/plugins/shop"), ("PUT", "/v1/plugins/shop%202")]);
    assert_eq!(requests[0].body, fs::read(component).unwrap());
}

#[test]
fn a_server_with_the_component_keys_and_tags_as_its_tests_say() {
    let origin = Origin::start(|_| Response::cacheable("a page"));
    let server = Server::start(&format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n\n[plugins.shop]\nfile = \"{}\"\n\n\
         [[sites]]\nname = \"shop\"\norigin = \"{}\"\nplugin = \"shop\"\n",
        settings::plain(),
        SHOP.component.display(),
        origin.url()
    ));
    let page = |path: &str| http::get(&server.page(path));
    assert!(!page("/products/5?utm_source=a").is_hit());
    assert!(page("/products/5").is_hit());
    let purge = serde_json::json!({ "tags": ["product:5"] });
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &purge).json()["affected"], 1);
    assert!(!page("/products/5").is_hit());
    let listed = told(&plugin(&["list", "--server", &server.api("")], Path::new("/")));
    assert!(listed.contains("\"name\": \"shop\""), "{listed}");
}

/// What `python -m venv` and `pip install --requirement requirements.txt` would make, of packages
/// that are here already.
fn have_packages_of_python(project: &Path) {
    let interpreter = clients::python_interpreter();
    let python = |arguments: &[&str]| {
        let run = Command::new(&interpreter).args(arguments).current_dir(project).output();
        told(&run.unwrap())
    };
    python(&["-m", "venv", "--without-pip", ".venv"]);
    let shared = python(&["-c", "import site; print(site.getsitepackages()[0])"]);
    let libraries = fs::read_dir(project.join(".venv/lib")).unwrap();
    let library = libraries.map(|entry| entry.unwrap().path()).next().unwrap();
    let paths = format!("{}\n{}\n", shared.trim(), project.join("sdk/src").display());
    fs::write(library.join("site-packages/shared.pth"), paths).unwrap();
}

/// What `npm install` would make, of packages that are here already.
fn have_packages_of_node(project: &Path) {
    let modules = project.join("node_modules");
    fs::create_dir_all(modules.join(".bin")).unwrap();
    for entry in fs::read_dir(clients::node_modules()).unwrap() {
        let entry = entry.unwrap();
        let is_package = !entry.file_name().to_string_lossy().starts_with('.');
        if is_package {
            symlink(entry.path(), modules.join(entry.file_name())).unwrap();
        }
    }
    symlink(project.join("sdk"), modules.join("wasmcached-plugin")).unwrap();
    let command = project.join("sdk/src/cli.js");
    fs::set_permissions(&command, Permissions::from_mode(0o755)).unwrap();
    symlink(command, modules.join(".bin/wasmcached-plugin")).unwrap();
}

/// From an empty folder to a component that answers its fixtures. It is compiled once: that takes
/// the most of an interpreter's time.
#[track_caller]
fn passes_at_once(language: &str, have_packages: fn(&Path), tests: &str) {
    let folder = here();
    let project = folder.path().join("shop-2");
    told(&plugin(&["new", text(&project), "--lang", language], folder.path()));
    have_packages(&project);
    let tested = told(&plugin(&["test"], &project));
    assert!(tested.contains(tests), "`{tests}` is not in\n{tested}");
    assert!(tested.ends_with("fixtures: 4 passed, 0 failed\n"), "{tested}");
    assert!(project.join("shop.wasm").is_file());
}

#[test]
fn a_new_project_in_python_passes_its_tests_and_fixtures_at_once() {
    passes_at_once("python", have_packages_of_python, "4 passed");
}

#[test]
fn a_new_project_in_javascript_passes_its_tests_and_fixtures_at_once() {
    passes_at_once("js", have_packages_of_node, "# pass 4");
}
