//! Debian's libmemcached-tools.

use std::collections::BTreeSet;
use std::path::Path;

use wasmcached_tests::{Reference, Server, clients};

/// The tests of libmemcached that pass with a server.
#[track_caller]
fn passing(protocol: &str, address: &str) -> BTreeSet<String> {
    let (host, port) = address.rsplit_once(':').unwrap();
    let arguments = ["-h", host, "-p", port, "-t", "30", protocol];
    let output = clients::run("memccapable", &arguments, Path::new("/"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.strip_suffix("[pass]"));
    lines.map(|name| name.trim().to_owned()).collect()
}

/// What passes with memcached passes here.
#[track_caller]
pub(super) fn passes_what_memcached_passes(protocol: &str) {
    let (reference, server) = (Reference::start(&[]), super::server());
    let expected = passing(protocol, reference.address());
    assert!(expected.len() > 20, "memcached itself passes {expected:?}");
    let seen = passing(protocol, server.address("memcached"));
    let missing: Vec<_> = expected.difference(&seen).collect();
    assert!(missing.is_empty(), "memccapable {protocol}: {missing:?} don't pass");
}

#[test]
fn memccapable_passes_in_text_as_with_memcached() {
    passes_what_memcached_passes("-a");
}

/// Copies, reads, dates, lists and removes a file; `protocol` is the option that chooses it.
#[track_caller]
pub(super) fn tools_work(server: &Server, protocol: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("greeting"), "hello").unwrap();
    let servers = format!("--servers={}", server.address("memcached"));
    let arguments = |more: &[&'static str]| -> Vec<String> {
        let all = std::iter::once(servers.as_str()).chain(protocol.iter().copied());
        all.chain(more.iter().copied()).map(str::to_owned).collect()
    };
    let run = |tool: &str, more: &[&'static str]| {
        let owned = arguments(more);
        let output =
            clients::run(tool, &Vec::from_iter(owned.iter().map(String::as_str)), dir.path());
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // It takes no option that chooses the protocol.
    assert!(clients::run("memcping", &[&servers], dir.path()).status.success(), "memcping");
    assert!(run("memccp", &["greeting"]).0, "memccp");
    assert_eq!(run("memccat", &["greeting"]), (true, "hello\n".to_owned()), "memccat");
    assert!(run("memcexist", &["greeting"]).0, "memcexist of a present key");
    assert!(!run("memcexist", &["absent"]).0, "memcexist of an absent key");
    assert!(run("memctouch", &["--expire=100", "greeting"]).0, "memctouch");
    assert!(run("memcrm", &["greeting"]).0, "memcrm");
    assert!(!run("memccat", &["greeting"]).0, "memccat of a removed key");
    assert!(run("memccp", &["greeting"]).0, "memccp again");
    assert!(run("memcflush", &[]).0, "memcflush");
    assert!(!run("memccat", &["greeting"]).0, "memccat of a flushed key");
}

#[test]
fn libmemcached_tools_copy_read_touch_and_remove_in_text() {
    tools_work(&super::server(), &[]);
}
