//! Compiled plugins outlive the server that compiled them, and only their owner's are executed.
//!
//! # Invariants
//! - Every test has a folder of its own; what the others share is not looked at.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wasmcached_tests::{Server, http, server, settings};

const VARIABLE: &str = "WASMCACHED_PLUGIN_CACHE";

/// How often plugins were compiled, and how often their code was there already.
#[derive(Debug, PartialEq, Eq)]
struct Codes {
    compiled: u64,
    cached: u64,
}

const COMPILED: Codes = Codes { compiled: 1, cached: 0 };
const CACHED: Codes = Codes { compiled: 0, cached: 1 };

/// A server that is not running yet, with the plugin that ships.
fn with_plugin() -> Server {
    Server::prepare(&settings::trekking("http://127.0.0.1:9"))
}

/// Starts the server with this folder, asks what it compiled, and stops it.
#[track_caller]
fn codes_of_a_start(server: &mut Server, folder: &Path) -> Codes {
    let environment = [(VARIABLE, folder.to_str().unwrap())];
    if let Err(status) = server.try_launch(&server::binary(), &environment) {
        panic!("{status}:\n{}", server.log());
    }
    let metrics = http::get(&server.api("/metrics")).text();
    let count = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("wasmcached_{name}{{")));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    let codes = Codes {
        compiled: count("plugin_compilations_total"),
        cached: count("plugin_code_cache_hits_total"),
    };
    server.stop();
    codes
}

fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    (dir, path)
}

/// The files of compiled code: below `code/modules/COMPILER/`, without an ending.
fn code_files(folder: &Path) -> Vec<PathBuf> {
    let list = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = list(folder.join("code/modules")).flat_map(list);
    files.filter(|path| path.extension().is_none()).collect()
}

#[test]
fn the_second_start_does_not_compile_and_its_folder_is_nobody_elses() {
    let (_dir, folder) = folder();
    let mut server = with_plugin();
    assert_eq!(codes_of_a_start(&mut server, &folder), COMPILED);
    assert_eq!(codes_of_a_start(&mut server, &folder), CACHED);
    let log = server.log();
    let told = ["code=compiled", "code=from cache"].map(|text| log.matches(text).count());
    assert_eq!(told, [1, 1], "{log}");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn nothing_is_kept_where_the_operator_wants_nothing_kept() {
    let mut server = with_plugin();
    for _ in 0..2 {
        assert_eq!(codes_of_a_start(&mut server, Path::new("off")), COMPILED);
    }
    assert!(!server.log().contains("not kept"), "{}", server.log());
}

#[test]
fn what_an_author_has_checked_is_not_compiled_by_the_server() {
    let (_dir, folder) = folder();
    let file = server::guest("wasmcached_guest_reload_first.wasm");
    let mut check = server::command();
    check.args(["plugin", "check"]).arg(&file).arg("--plugin-cache").arg(&folder);
    let checked = check.output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let plugin = format!("{}[plugins.shop]\nfile = \"{}\"\n", settings::plain(), file.display());
    assert_eq!(codes_of_a_start(&mut Server::prepare(&plugin), &folder), CACHED);
}

#[test]
fn a_folder_that_others_may_write_to_is_named_and_left_alone() {
    let (_dir, folder) = folder();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let mut server = with_plugin();
    for _ in 0..2 {
        assert_eq!(codes_of_a_start(&mut server, &folder), COMPILED);
    }
    let reason = "cache has mode 0777; nobody but its owner may write to it";
    assert_eq!(server.log().matches(reason).count(), 2, "{}", server.log());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "written to all the same");
}

#[test]
fn damaged_and_foreign_files_are_compiled_anew_and_never_an_error() {
    let (_dir, folder) = folder();
    let mut server = with_plugin();
    assert_eq!(codes_of_a_start(&mut server, &folder), COMPILED);
    let [file] = code_files(&folder).try_into().unwrap();
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for damaged in [&good[..good.len() / 2], &flipped, b"no code at all", b""] {
        fs::write(&file, damaged).unwrap();
        fs::write(folder.join("code/modules/stranger"), "text").unwrap();
        assert_eq!(codes_of_a_start(&mut server, &folder), COMPILED, "{} bytes", damaged.len());
    }
    assert_eq!(codes_of_a_start(&mut server, &folder), CACHED);
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
