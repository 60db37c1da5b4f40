//! Plugins in Python and JavaScript: the template projects, tested and built as their authors do,
//! loaded beside each other into one server.

mod probes;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wasmcached_tests::origin::Response;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Answer, Origin, Server, Webhook, clients, http, settings};

/// CPython takes 12 s of one core to compile.
const START_LIMIT: Duration = Duration::from_secs(180);

/// One template project, and what is made of it.
struct Language {
    name: &'static str,
    source: &'static str,
    probes: [(&'static str, &'static str); 4],
    /// What an undeclared input is as text, and the error of the key that fails.
    nothing: &'static str,
    error: &'static str,
}

const PYTHON: Language = Language {
    name: "python",
    source: "plugin.py",
    probes: probes::PYTHON,
    nothing: "None",
    error: "RuntimeError: no key",
};

const JAVASCRIPT: Language = Language {
    name: "js",
    source: "plugin.js",
    probes: probes::JAVASCRIPT,
    nothing: "null",
    error: "RangeError: no key",
};

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("guest-sdk")
}

#[track_caller]
fn read(path: impl AsRef<Path>) -> String {
    let path = sdk().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

impl Language {
    /// The template in a folder of its own.
    fn project(&self) -> TempDir {
        let project = tempfile::tempdir().unwrap();
        copy_folder(&sdk().join("templates").join(self.name), project.path());
        project
    }

    fn add_probes(&self, project: &Path) {
        let path = project.join(self.source);
        let mut probed = std::fs::read_to_string(&path).unwrap();
        for (text, instead) in self.probes {
            assert_eq!(probed.matches(text).count(), 1, "`{text}` in {}", self.source);
            probed = probed.replace(text, instead);
        }
        std::fs::write(&path, probed).unwrap();
    }

    /// The host of the language's site; both are this machine's.
    fn url(&self, server: &Server, path: &str) -> String {
        let port = server.address("pages").rsplit(':').next().unwrap().to_owned();
        let host = if self.name == "python" { "127.0.0.1" } else { "localhost" };
        format!("http://{host}:{port}{path}")
    }

    fn get(&self, server: &Server, path: &str) -> Answer {
        let headers = [("accept-language", "de-AT"), ("cookie", "session=1")];
        http::send("GET", &self.url(server, path), &headers, b"")
    }

    /// Asks until the page is kept: a key that took too long on a busy machine is a bypass.
    #[track_caller]
    fn get_hit(&self, server: &Server, path: &str) -> Answer {
        let mut answer = self.get(server, path);
        eventually(&format!("{}: {path} is kept", self.name), || {
            answer = self.get(server, path);
            answer.is_hit()
        });
        answer
    }

    fn calls(&self, server: &Server, hook: &str, outcome: &str) -> u64 {
        let plugins = http::get(&server.api("/v1/plugins")).json();
        let plugins = plugins["plugins"].as_array().unwrap();
        let plugin = plugins.iter().find(|plugin| plugin["name"] == self.name).unwrap();
        let calls = plugin["calls"].as_array().unwrap();
        let is_it = |call: &&Value| call["hook"] == hook && call["outcome"] == outcome;
        calls.iter().find(is_it).unwrap()["count"].as_u64().unwrap()
    }

    fn event(&self, before: Value, after: Value) -> Webhook {
        let source = self.name.to_owned();
        Webhook { source, ..Webhook::change("shop.product", before, after) }
    }

    fn configuration(&self, origin: &str, component: &Path) -> String {
        let name = self.name;
        let (component, secret) = (component.display(), settings::SECRET);
        let host = if name == "python" { "127.0.0.1" } else { "localhost" };
        format!(
            "[plugins.{name}]\nfile = \"{component}\"\nconfig.ttl_s = 60\n\
             [[sites]]\nname = \"{name}\"\nhost = \"{host}\"\norigin = \"{origin}\"\n\
             plugin = \"{name}\"\ncache.show_keys = true\n\
             [[sources]]\nname = \"{name}\"\nverify = \"standard\"\nsecrets = [\"{secret}\"]\n\
             plugin = \"{name}\"\n"
        )
    }
}

/// Tests the template natively, then builds it with the probes.
fn build_python() -> TempDir {
    let project = PYTHON.project();
    let python = clients::python_interpreter();
    let source = format!("PYTHONPATH={}", sdk().join("python/src").display());
    let run = |arguments: &[&str]| {
        let words = [&[source.as_str(), python.to_str().unwrap(), "-B", "-m"], arguments].concat();
        clients::printed("env", &words, project.path())
    };
    let tested = run(&["pytest", "-q", "-p", "no:cacheprovider"]);
    assert!(tested.contains("4 passed"), "{tested}");
    PYTHON.add_probes(project.path());
    assert_eq!(
        component_of(&run(&["wasmcached_plugin", "build"])),
        project.path().join("shop.wasm")
    );
    project
}

/// The same by Node, with the package where `npm install` puts it.
fn build_javascript() -> TempDir {
    let project = JAVASCRIPT.project();
    copy_folder(&sdk().join("js"), &project.path().join("sdk"));
    let modules = project.path().join("node_modules");
    std::fs::create_dir(&modules).unwrap();
    symlink("../sdk", modules.join("wasmcached-plugin")).unwrap();
    let builder = clients::node_modules().join("componentize-qjs");
    symlink(builder, modules.join("componentize-qjs")).unwrap();
    let run = |arguments: &[&str]| clients::printed("node", arguments, project.path());
    let tested = run(&["--test", "plugin.test.js"]);
    assert!(tested.contains("pass 4"), "{tested}");
    JAVASCRIPT.add_probes(project.path());
    let printed = run(&["node_modules/wasmcached-plugin/src/cli.js", "build"]);
    assert_eq!(component_of(&printed), project.path().join("shop.wasm"));
    project
}

fn component_of(printed: &str) -> PathBuf {
    PathBuf::from(printed.lines().last().expect("a path"))
}

/// Pages are kept by what the plugin declared, and by nothing else of the request.
fn keys_are_made_of_declared_inputs(language: &Language, server: &Server) {
    let kept = language.get_hit(server, "/products/boots/?b=2&utm_source=mail&a=1");
    let key = format!("{}|lang=de", language.url(server, "/products/boots/?a=1&b=2"));
    assert!(kept.field("cache-status").contains(&key), "{}", kept.field("cache-status"));
    let english = http::get(&language.url(server, "/products/boots/?a=1&b=2"));
    assert!(!english.is_hit(), "the page of another language");
    let undeclared = language.get_hit(server, "/undeclared/");
    let seen = format!("key=\"saw:{}\"", language.nothing);
    let status = undeclared.field("cache-status");
    assert!(status.contains(&seen), "{status} without {seen}");
    let fragment = language.get_hit(server, "/fragment/");
    let status = fragment.field("cache-status");
    assert!(status.contains("template.cache.menu.bdfd4cdeca2bcd1d9367552ec43793c8"), "{status}");
    let bypassed = language.get(server, "/bypass/").field("cache-status").to_owned();
    assert!(bypassed.contains("fwd=bypass"), "{bypassed}");
}

/// An event reaches the pages that were tagged for it, and no others.
fn events_invalidate_what_was_tagged(language: &Language, server: &Server) {
    language.get_hit(server, "/products/boots/");
    language.get_hit(server, "/products/coat/");
    let boots = json!({"slug": "boots"});
    let answer = language.event(boots.clone(), boots).post(server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!language.get(server, "/products/boots/").is_hit(), "served from before the event");
    assert!(language.get(server, "/products/coat/").is_hit(), "purged without a reason");
    assert_eq!(language.calls(server, "on-event", "error"), 0);
}

/// Items get tags and times; an event brings a value, purges by prefix, and has a page fetched.
fn items_and_new_values_are_the_plugins(language: &Language, server: &Server, origin: &Origin) {
    let (item, page) = (format!("frag:{}", language.name), format!("/{}/banner/", language.name));
    for (number, text) in [(1, "first"), (2, "zweite für alle")] {
        let mut client = server.memcached();
        eventually("an item is kept with its tags", || {
            client.set(&item, "one");
            let kept = http::get(&server.cached(&item));
            // The host adds one for the plugin's version of keys.
            kept.field("surrogate-key").split(' ').any(|tag| tag == "item:0:3")
        });
        let time = http::get(&server.cached(&item)).field("cache-control").to_owned();
        let left_s: u64 = time.strip_prefix("max-age=").and_then(|s| s.parse().ok()).unwrap();
        assert!((1..=60).contains(&left_s), "{time}");
        let after = json!({"text": text, "url": language.url(server, &page), "size": "SIZE"});
        let change = json!({"model": "shop.banner", "pk": 1, "op": "create", "after": after});
        let data = json!({"source": language.name, "seq": number, "events": [change]});
        let body = json!({"type": "model.changed", "data": data}).to_string();
        let body = body.replace("\"SIZE\"", "12345678901234567890.10");
        let source = language.name.to_owned();
        let answer = Webhook { source, ..Webhook::of_body(body) }.post(server);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(http::get(&server.cached(&item)).status, 404, "not purged by its prefix");
        let line = format!("banner created {text} 12345678901234567890.10");
        assert!(server.log().contains(&line), "{}", server.log());
    }
    // The first event after a start only removes: it may be older than what is there.
    let banner = http::get(&server.cached("banner"));
    let tag = banner.field("surrogate-key").split(' ').next();
    assert_eq!((banner.text().as_str(), tag), ("zweite für alle", Some("banners")));
    eventually("the page is fetched", || origin.count(&page) > 0);
}

/// What is cached can be looked at where events are judged, and ends what was computed from it.
fn look_ups_see_what_is_cached(language: &Language, server: &Server) {
    let source = format!("base:{}", language.name);
    let tag = [("surrogate-key", "bases"), ("content-type", "text/plain")];
    assert!(http::send("PUT", &server.cached(&source), &tag, "grün".as_bytes()).status < 300);
    let change = json!({"model": "shop.copy", "pk": 1, "op": "update", "after": {"from": source}});
    let data = json!({"source": language.name, "seq": 3, "events": [change]});
    let body = json!({"type": "model.changed", "data": data});
    let event = Webhook { source: language.name.to_owned(), ..Webhook::of_body(body.to_string()) };
    let answer = event.post(server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let copy = http::get(&server.cached("copy"));
    assert_eq!(copy.text(), "grün 0 True bases True", "{}", server.log());
    assert_eq!(copy.field("surrogate-key").split(' ').next(), Some("bases"));
    http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["bases"]}));
    assert_eq!(http::get(&server.cached("copy")).status, 404, "of what was invalidated");
    let refused = language.get(server, "/looks/").field("cache-status").to_owned();
    assert!(refused.contains("fwd=bypass"), "{refused}");
    eventually("the look-up for a key is refused", || {
        language.get(server, "/looks/");
        server.log().contains("look-ups are for on-store, on-item and on-event")
    });
}

/// What a plugin prints is in the log.
fn output_goes_to_the_log(language: &Language, server: &Server) {
    language.get_hit(server, "/prints/");
    let plugin = format!("plugin=\"{}\"", language.name);
    let wanted = match language.name {
        "python" => ["WARNING:root:logged", "printed /prints/"],
        _ => ["Assertion failed asserted", "printed /prints/ {\"a\":[1]}"],
    };
    for words in wanted {
        let is_it = |line: &str| line.contains(words) && line.contains(&plugin);
        assert!(server.log().lines().any(is_it), "no `{words}` in {}", server.log());
    }
}

/// An exception is the plugin's error and never a trap; the server does the safe thing.
fn exceptions_are_errors_under_the_servers_policy(language: &Language, server: &Server) {
    for _ in 0..2 {
        let answer = language.get(server, "/fails/");
        assert_eq!((answer.status, answer.is_hit()), (200, false));
        let status = answer.field("cache-status");
        assert!(status.contains("fwd=bypass"), "{status}");
    }
    eventually("an error is counted", || {
        language.get(server, "/fails/");
        language.calls(server, "cache-key", "error") >= 1
    });
    let log = server.log();
    assert!(log.contains(language.error), "no `{}` in {log}", language.error);
    let wrong = [("/refused/", "key is 5;"), ("/nothing/", " returned "), ("/clock/", "no clock")];
    for (path, words) in wrong {
        eventually("the plugin's own line is told", || {
            language.get(server, path);
            let log = server.log();
            let place = format!("/{}:", language.source);
            log.lines().any(|line| line.contains(&place) && line.contains(words))
        });
    }
    language.get_hit(server, "/products/coat/");
    let answer = language.event(json!({}), json!({})).post(server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(language.calls(server, "on-event", "error") >= 1);
    assert!(!language.get(server, "/products/coat/").is_hit(), "not purged by its model");
    for hook in ["cache-key", "on-store", "on-event"] {
        assert_eq!(language.calls(server, hook, "trap"), 0, "{hook}");
    }
}

#[test]
fn templates_in_python_and_javascript_pass_their_tests_and_serve_beside_each_other() {
    let (python, javascript) = (build_python(), build_javascript());
    let origin = Origin::start(|request| Response::cacheable(format!("page {}", request.target)));
    let configuration = [
        settings::plain(),
        "[pages]\nlisten = \"127.0.0.1:0\"".to_owned(),
        PYTHON.configuration(&origin.url(), &python.path().join("shop.wasm")),
        JAVASCRIPT.configuration(&origin.url(), &javascript.path().join("shop.wasm")),
    ];
    let server = Server::start_within(START_LIMIT, &configuration.join("\n"));
    for language in [&PYTHON, &JAVASCRIPT] {
        keys_are_made_of_declared_inputs(language, &server);
        events_invalidate_what_was_tagged(language, &server);
        items_and_new_values_are_the_plugins(language, &server, &origin);
        look_ups_see_what_is_cached(language, &server);
        output_goes_to_the_log(language, &server);
        exceptions_are_errors_under_the_servers_policy(language, &server);
    }
}

#[test]
fn packages_have_the_contract_and_pin_the_builders_that_are_tested() {
    let contract = read("wit/wasmcached.wit");
    for copy in ["python/src/wasmcached_plugin/wasmcached.wit", "js/src/wasmcached.wit"] {
        assert!(read(copy) == contract, "{copy} is not wit/wasmcached.wit");
    }
    let pins = read("../tests/clients/python/requirements.txt");
    let pin = pins.lines().find(|line| line.starts_with("componentize-py==")).unwrap();
    assert!(read("python/pyproject.toml").contains(&format!("\"{pin}\"")), "not {pin}");
    let pinned = |path: &str, kind: &str| {
        let manifest: Value = serde_json::from_str(&read(path)).unwrap();
        manifest[kind]["componentize-qjs"].as_str().map(str::to_owned)
    };
    let builder = pinned("js/package.json", "peerDependencies");
    assert!(builder.is_some());
    assert_eq!(pinned("templates/js/package.json", "devDependencies"), builder);
}
