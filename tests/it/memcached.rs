//! The memcached protocol: every transcript over TCP and over the unix socket.

use std::path::PathBuf;

use wasmcached_tests::transcript::{self, Step};
use wasmcached_tests::{Memcached, Server, settings};

/// Fewer means that the folder was not found or not read.
const TRANSCRIPTS_MIN: usize = 10;

/// Where the transcripts are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts/memcached")
}

/// All files that need no clock which can be moved; those that do run beside the code.
fn transcripts() -> Vec<(String, Vec<(usize, Step)>)> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = paths.iter().filter_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let steps = transcript::parse(&std::fs::read_to_string(path).unwrap())?;
        Some((name, steps))
    });
    let files: Vec<_> = files.collect();
    assert!(files.len() >= TRANSCRIPTS_MIN, "only {} transcripts in {folder:?}", files.len());
    files
}

#[test]
fn transcripts_hold_over_tcp() {
    for (name, steps) in transcripts() {
        let server = Server::start(&settings::of_transcripts());
        transcript::play(&name, &steps, || server.memcached());
    }
}

#[test]
fn transcripts_hold_over_the_unix_socket() {
    for (name, steps) in transcripts() {
        let server = Server::start(&settings::of_transcripts());
        let socket = server.dir().join("memcached.sock");
        transcript::play(&name, &steps, || Memcached::unix(&socket));
    }
}

#[test]
fn value_set_by_one_connection_is_read_by_another() {
    let server = Server::start(&settings::plain());
    assert_eq!(server.memcached().set("greeting", "hello"), "STORED");
    assert_eq!(server.memcached().get("greeting").unwrap(), b"hello");
    let mut unix = Memcached::unix(&server.dir().join("memcached.sock"));
    assert_eq!(unix.get("greeting").unwrap(), b"hello");
    assert_eq!(unix.ask("delete greeting"), "DELETED");
    assert_eq!(server.memcached().get("greeting"), None);
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let server = Server::start(&settings::plain());
    let mut connection = server.memcached();
    let count = 500;
    let commands: String =
        (0..count).map(|n| format!("set k{n} 0 0 200\r\n{n:0200}\r\nget k{n}\r\n")).collect();
    connection.send(commands.as_bytes());
    for n in 0..count {
        let expected = format!("STORED\r\nVALUE k{n} 0 200\r\n{n:0200}\r\nEND\r\n");
        let seen = connection.bytes(expected.len());
        assert_eq!(String::from_utf8_lossy(&seen), expected);
    }
}
