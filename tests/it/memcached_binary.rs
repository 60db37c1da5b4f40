//! memcached's binary protocol, in raw frames.

use serde_json::json;
use wasmcached_tests::frames::{exchange, request, response};
use wasmcached_tests::{Memcached, Server, http, settings};

const GET: u8 = 0x00;
const SET: u8 = 0x01;
const INCREMENT: u8 = 0x05;
const NOOP: u8 = 0x0a;
const VERSION: u8 = 0x0b;
const GETKQ: u8 = 0x0d;
const SETQ: u8 = 0x11;

const FLAGS_AND_EXPTIME: [u8; 8] = [0; 8];

fn text(status: u16, value: &str) -> (u16, String) {
    (status, value.to_owned())
}

#[test]
fn binary_and_text_clients_share_a_port_and_the_items() {
    let server = Server::start(&settings::plain());
    let mut binary = server.memcached();
    let set = request(SET, &FLAGS_AND_EXPTIME, b"greeting", b"hello");
    assert_eq!(exchange(&mut binary, &set), text(0, ""));
    assert_eq!(server.memcached().get("greeting").unwrap(), b"hello");
    assert_eq!(server.memcached().set("greeting", "good bye"), "STORED");
    let mut unix = Memcached::unix(&server.dir().join("memcached.sock"));
    assert_eq!(exchange(&mut unix, &request(GET, b"", b"greeting", b"")), text(0, "good bye"));
    assert_eq!(exchange(&mut unix, &request(VERSION, b"", b"", b"")), text(0, "1.6.45"));
}

#[test]
fn pipelined_quiet_requests_are_answered_where_something_is_found() {
    let server = Server::start(&settings::plain());
    let mut connection = server.memcached();
    let (count, large) = (500, "x".repeat(3_000));
    let mut pipeline = Vec::new();
    for n in (0..count).step_by(2) {
        let (key, value) = (format!("k{n}"), format!("{n} {large}"));
        pipeline.extend(request(SETQ, &FLAGS_AND_EXPTIME, key.as_bytes(), value.as_bytes()));
    }
    for n in 0..count {
        pipeline.extend(request(GETKQ, b"", format!("k{n}").as_bytes(), b""));
    }
    pipeline.extend(request(NOOP, b"", b"", b""));
    connection.send(&pipeline);
    for n in (0..count).step_by(2) {
        let found = response(&mut connection).unwrap();
        assert_eq!((found.opcode, found.status), (GETKQ, 0));
        assert_eq!(found.key, format!("k{n}").as_bytes());
        assert_eq!(found.value, format!("{n} {large}").as_bytes());
    }
    assert_eq!(response(&mut connection).unwrap().opcode, NOOP);
}

#[test]
fn fill_started_before_an_invalidation_is_not_stored_after_it() {
    let server = Server::start(&settings::plain());
    let mut connection = server.memcached();
    let get = request(GET, b"", b"page", b"");
    let set = request(SET, &FLAGS_AND_EXPTIME, b"page", b"old");
    assert_eq!(exchange(&mut connection, &get), text(1, "Not found"));
    let named = json!({ "keys": ["page"] });
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &named).status, 200);
    assert_eq!(exchange(&mut connection, &set), text(5, "Not stored."));
    assert_eq!(exchange(&mut connection, &get), text(1, "Not found"));
    assert_eq!(exchange(&mut connection, &set), text(0, ""));
}

#[test]
fn counter_is_created_with_its_initial_number() {
    let server = Server::start(&settings::plain());
    let mut connection = server.memcached();
    let extras = [&2_u64.to_be_bytes()[..], &10_u64.to_be_bytes(), &0_u32.to_be_bytes()].concat();
    for expected in [10_u64, 12] {
        connection.send(&request(INCREMENT, &extras, b"counter", b""));
        let counted = response(&mut connection).unwrap();
        assert_eq!((counted.status, &counted.value[..]), (0, &expected.to_be_bytes()[..]));
    }
    assert_eq!(server.memcached().get("counter").unwrap(), b"12");
}

#[test]
fn connection_that_leaves_its_protocol_is_closed() {
    let server = Server::start(&settings::plain());
    let mut connection = server.memcached();
    assert_eq!(exchange(&mut connection, &request(NOOP, b"", b"", b"")), text(0, ""));
    connection.send(b"get a\r\n");
    assert_eq!(response(&mut connection), None);
}
