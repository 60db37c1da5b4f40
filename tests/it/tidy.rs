//! What review should not have to look for: sizes, layers, and who may name which library.

use std::fmt::Write;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const LINE_CHARS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;

/// Folders of the repository that hold source, and the endings of source in them.
const SOURCES: [&str; 5] = ["host", "guest-sdk", "plugins", "migrations", "tests"];
const ENDINGS: [&str; 5] = ["rs", "sql", "py", "js", "wit"];

/// Every module of the host and the modules it may use; itself is understood. What is not listed
/// here does not exist, and nothing points up.
const LAYERS: [(&str, &[&str]); 21] = [
    ("limits", &[]),
    ("clock", &[]),
    ("tasks", &[]),
    ("sync", &[]),
    ("client", &[]),
    ("fail_points", &[]),
    ("model", &["limits"]),
    ("net", &["tasks", "limits"]),
    ("config", &["model", "limits", "net"]),
    ("telemetry", &["config", "limits"]),
    ("cache", &["model", "clock", "limits", "sync", "tasks"]),
    ("plugins", &["model", "clock", "limits", "tasks"]),
    ("tier", &["cache", "model", "clock", "fail_points", "limits", "tasks"]),
    ("import", &["limits", "tier"]),
    ("memcached", DOOR),
    ("pages", DOOR),
    ("events", DOOR),
    ("api", DOOR),
    (
        "app",
        &[
            "memcached",
            "pages",
            "events",
            "api",
            "tier",
            "plugins",
            "cache",
            "model",
            "clock",
            "limits",
            "tasks",
            "net",
            "config",
            "telemetry",
        ],
    ),
    ("demo", &["client", "clock", "limits", "tasks", "events"]),
    (
        "cli",
        &[
            "app",
            "demo",
            "client",
            "import",
            "pages",
            "events",
            "plugins",
            "tier",
            "model",
            "config",
            "telemetry",
            "clock",
        ],
    ),
];

/// What a front door may use: never another one, nor the database.
const DOOR: &[&str] =
    &["plugins", "cache", "model", "clock", "fail_points", "limits", "tasks", "net", "config"];

/// Libraries that only some files of the host may name.
const NAMED_ONLY_IN: [(&str, &[&str]); 5] = [
    ("hashbrown::", &["cache/store/"]),
    ("sqlx::", &["tier/", "demo/site/", "import/"]),
    ("wasmtime::", &["plugins/"]),
    ("wasmtime_wasi::", &["plugins/"]),
    ("rustls::", &["net/"]),
];

struct Source {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Lines with their numbers, without those that are comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Tests and their harness, but for the one file that waits for all of them.
    fn is_test(&self) -> bool {
        let is_suite = ["tests/it/", "tests/src/"].iter().any(|f| self.path.starts_with(f));
        let is_beside_code = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        (is_suite || is_beside_code) && self.path != "tests/src/wait.rs"
    }

    fn in_host(&self) -> Option<&str> {
        self.path.strip_prefix("host/src/")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|name| root.join(name)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if ENDINGS.contains(&ending) {
                let relative = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push(Source { path: relative, text });
            }
        }
    }
    assert!(sources.len() > 50, "only {} files of source were found", sources.len());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Collects what every source has to be told, and fails with all of it at once.
#[track_caller]
fn nothing_found(rule: &str, mut look: impl FnMut(&Source, &mut String)) {
    let mut found = String::new();
    for source in sources() {
        look(&source, &mut found);
    }
    assert!(found.is_empty(), "{rule}\n{found}");
}

#[test]
fn files_and_lines_are_short() {
    nothing_found("file or line is too long", |source, found| {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            let path = &source.path;
            writeln!(found, "{path}: {lines} lines; limit is {FILE_LINES_MAX}").unwrap();
        }
        for (index, line) in source.text.lines().enumerate() {
            let (chars, number) = (line.chars().count(), index + 1);
            if chars > LINE_CHARS_MAX {
                writeln!(found, "{}:{number}: {chars} characters", source.path).unwrap();
            }
        }
    });
}

#[test]
fn functions_are_short() {
    nothing_found("function is too long", |source, found| {
        if !source.path.ends_with(".rs") {
            return;
        }
        for (number, lines) in functions(&source.text) {
            if lines > FUNCTION_LINES_MAX {
                let path = &source.path;
                writeln!(found, "{path}:{number}: {lines} lines; limit is {FUNCTION_LINES_MAX}")
                    .unwrap();
            }
        }
    });
}

/// Line number and length of every function of formatted source: from its first line to the brace
/// at the same indentation.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let mut words = code.split(' ').skip_while(|word| {
            let is_place = word.starts_with("pub") || word.starts_with("crate::");
            is_place || ["const", "async", "unsafe", "in"].contains(word)
        });
        if words.next() != Some("fn") || line.ends_with(['}', ';']) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let last = lines[index..].iter().position(|line| {
            line.strip_prefix(indent)
                .is_some_and(|rest| rest == "}" || (rest.starts_with(')') && rest.ends_with(';')))
        });
        functions.push((index + 1, last.map_or(0, |last| last + 1)));
    }
    functions
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let text = "fn a() {\n    b();\n}\n\nimpl X {\n    pub(in crate::x) async fn c(\n        \
                d: D,\n    ) -> E {\n        if f {\n        }\n    }\n\n    fn g() {}\n}\n";
    assert_eq!(functions(text), [(1, 3), (6, 6)]);
}

#[test]
fn modules_use_only_what_lies_below_them() {
    nothing_found("module uses what it may not", |source, found| {
        let Some(path) = source.in_host() else { return };
        let module = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        if module == "lib" || module == "main" {
            return;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            writeln!(found, "{}: module `{module}` has no layer", source.path).unwrap();
            return;
        };
        for (number, line) in source.code() {
            for used in uses(line) {
                if used != module && !allowed.contains(&used) {
                    let path = &source.path;
                    writeln!(found, "{path}:{number}: `{module}` uses `{used}`").unwrap();
                }
            }
        }
    });
}

/// The modules that a line names by `crate::`.
fn uses(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        // Macros and items of the root begin otherwise or end with `!`.
        let is_macro = rest[name.len()..].starts_with('!');
        (!name.is_empty() && !is_macro).then_some(name)
    })
}

#[test]
fn layers_have_no_cycle() {
    for (position, (module, allowed)) in LAYERS.iter().enumerate() {
        for used in *allowed {
            let below = LAYERS.iter().position(|(name, _)| name == used);
            assert!(below.is_some_and(|below| below < position), "{module} uses {used}");
        }
    }
}

#[test]
fn libraries_are_named_only_where_they_are_wrapped() {
    nothing_found("library is named outside its wrapper", |source, found| {
        let Some(path) = source.in_host() else { return };
        for (number, line) in source.code() {
            for (library, homes) in NAMED_ONLY_IN {
                if line.contains(library) && !homes.iter().any(|home| path.starts_with(home)) {
                    writeln!(found, "{}:{number}: {library}", source.path).unwrap();
                }
            }
        }
    });
}

#[test]
fn no_test_is_ignored_and_none_sleeps() {
    // Put together here, so that this file does not find itself.
    let ignore = ["#[ig", "nore"].concat();
    let sleep = ["thread::sl", "eep("].concat();
    nothing_found("test is ignored, or sleeps", |source, found| {
        for (number, line) in source.code() {
            let sleeps = line.contains(&sleep) && source.is_test();
            if line.contains(&ignore) || sleeps {
                writeln!(found, "{}:{number}: {}", source.path, line.trim()).unwrap();
            }
        }
    });
}

#[test]
fn every_module_says_what_it_is_for() {
    nothing_found("module has no doc", |source, found| {
        let is_test = source.path.ends_with("/tests.rs");
        let is_module = source.in_host().is_some() && source.path.ends_with(".rs") && !is_test;
        if is_module && !source.text.starts_with("//!") {
            writeln!(found, "{}", source.path).unwrap();
        }
    });
}
