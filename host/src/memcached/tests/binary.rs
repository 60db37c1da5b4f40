//! The binary protocol, frame by frame.

use super::frames::*;
use super::{Server, settings};
use crate::config::Permission;

fn text(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

#[tokio::test]
async fn value_comes_back_with_flags_key_and_cas() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let stored = client.exchange(Frame::store(SET, "a", "value")).await;
    assert_eq!((stored.status, stored.value.as_str()), (OK, ""));
    assert_ne!(stored.cas, 0);
    for (opcode, key) in [(GET, ""), (GETQ, ""), (GETK, "a"), (GETKQ, "a")] {
        let got = client.exchange(Frame::new(opcode, "a")).await;
        let expected = Reply {
            opcode,
            status: OK,
            extras: vec![0, 0, 0, 7],
            key: key.to_owned(),
            value: "value".to_owned(),
            cas: stored.cas,
        };
        assert_eq!(got, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn misses_are_told_with_the_key_or_not_at_all() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    assert_eq!(client.status(Frame::new(GET, "a")).await, text(NOT_FOUND, "Not found"));
    let missed = client.exchange(Frame::new(GETK, "a")).await;
    assert_eq!((missed.status, missed.key.as_str(), missed.value.as_str()), (NOT_FOUND, "a", ""));
    client.quietly(Frame::new(GETQ, "a")).await;
    client.quietly(Frame::new(GETKQ, "a")).await;
    client.quietly(Frame::timed(GATKQ, "a", 0)).await;
    assert_eq!(client.status(Frame::timed(GAT, "a", 0)).await, text(NOT_FOUND, "Not found"));
    let missed = client.exchange(Frame::timed(GATK, "a", 0)).await;
    assert_eq!((missed.status, missed.key.as_str()), (NOT_FOUND, "a"));
    assert_eq!(client.status(Frame::timed(TOUCH, "a", 0)).await, text(NOT_FOUND, "Not found"));
    server.stop().await;
}

#[tokio::test]
async fn conditions_of_storage_requests_have_statuses_of_their_own() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let missing = text(NOT_FOUND, "Not found");
    let not_stored = text(NOT_STORED, "Not stored.");
    let exists = text(EXISTS, "Data exists for key.");
    assert_eq!(client.status(Frame::store(REPLACE, "a", "x")).await, missing);
    assert_eq!(client.status(Frame::store(APPEND, "a", "x")).await, not_stored);
    assert_eq!(client.status(Frame::store(PREPEND, "a", "x")).await, not_stored);
    assert_eq!(client.status(Frame::store(SET, "a", "x").with_cas(9)).await, missing);
    assert_eq!(client.status(Frame::store(ADD, "a", "x").with_cas(9)).await, missing);
    let first = client.exchange(Frame::store(ADD, "a", "b")).await.cas;
    assert_eq!(client.status(Frame::store(ADD, "a", "x")).await, exists);
    for opcode in [SET, ADD, REPLACE, APPEND, PREPEND] {
        let frame = Frame::store(opcode, "a", "x").with_cas(first + 1);
        assert_eq!(client.status(frame).await, exists, "{opcode:#x}");
    }
    let second = client.exchange(Frame::store(APPEND, "a", "c").with_cas(first)).await;
    assert_eq!(second.status, OK);
    let third = client.exchange(Frame::store(PREPEND, "a", "a").with_cas(second.cas)).await;
    assert_eq!(third.status, OK);
    let got = client.exchange(Frame::new(GET, "a")).await;
    assert_eq!((got.value.as_str(), got.cas, got.extras[3]), ("abc", third.cas, 7));
    let replaced = client.exchange(Frame::store(REPLACE, "a", "new").with_cas(got.cas)).await;
    assert_eq!(replaced.status, OK);
    assert_eq!(client.exchange(Frame::new(GET, "a")).await.value, "new");
    server.stop().await;
}

#[tokio::test]
async fn quiet_requests_are_answered_only_if_they_fail() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.quietly(Frame::store(SETQ, "a", "1")).await;
    client.quietly(Frame::store(APPENDQ, "a", "2")).await;
    client.quietly(Frame::count(INCREMENTQ, "a", 1, 0, 0)).await;
    assert_eq!(client.exchange(Frame::new(GET, "a")).await.value, "13");
    client.quietly(Frame::new(DELETEQ, "a")).await;
    assert_eq!(client.status(Frame::new(DELETEQ, "a")).await, text(NOT_FOUND, "Not found"));
    let refused = client.status(Frame::store(APPENDQ, "a", "2")).await;
    assert_eq!(refused, text(NOT_STORED, "Not stored."));
    client.quietly(Frame::store(SETQ, "a", "1")).await;
    client.quietly(Frame::new(FLUSHQ, "")).await;
    client.quietly(Frame::new(GETQ, "a")).await;
    client.send(&Frame::new(QUITQ, "").bytes()).await;
    assert!(client.is_closed().await);
    let mut other = server.connect().await;
    assert_eq!(other.status(Frame::new(QUIT, "")).await, text(OK, ""));
    assert!(other.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn numbers_are_counted_and_created_where_that_is_wanted() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let uncreated = Frame::count(INCREMENT, "n", 1, 5, u32::MAX);
    assert_eq!(client.status(uncreated.clone()).await, text(NOT_FOUND, "Not found"));
    let number = async |client: &mut super::Client, frame: Frame<'_>| {
        let reply = client.exchange(frame).await;
        assert_eq!(reply.status, OK);
        (u64::from_be_bytes(reply.value.as_bytes().try_into().unwrap()), reply.cas)
    };
    let (created, first) = number(&mut client, Frame::count(INCREMENT, "n", 1, 5, 0)).await;
    assert_eq!(created, 5);
    let (up, second) = number(&mut client, Frame::count(INCREMENT, "n", 10, 0, 0)).await;
    assert!((up, second > first) == (15, true), "{up} {first} {second}");
    assert_eq!(number(&mut client, Frame::count(DECREMENT, "n", 100, 0, 0)).await.0, 0);
    let outdated = Frame::count(INCREMENT, "n", 1, 0, 0).with_cas(first);
    assert_eq!(client.status(outdated).await, text(EXISTS, "Data exists for key."));
    assert_eq!(client.exchange(Frame::new(GET, "n")).await.value, "0 ");
    client.quietly(Frame::store(SETQ, "n", "words")).await;
    let refused = text(NOT_A_NUMBER, "Non-numeric server-side value for incr or decr");
    assert_eq!(client.status(uncreated).await, refused);
    server.stop().await;
}

#[tokio::test]
async fn number_that_is_created_expires_as_asked_for() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.quietly(Frame::count(INCREMENTQ, "n", 1, 5, 10)).await;
    server.cache.clock().advance(std::time::Duration::from_secs(9));
    assert_eq!(client.exchange(Frame::new(GET, "n")).await.value, "5");
    server.cache.clock().advance(std::time::Duration::from_secs(1));
    client.quietly(Frame::new(GETQ, "n")).await;
    server.stop().await;
}

#[tokio::test]
async fn touch_changes_the_time_and_shows_only_flags() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let stored = client.exchange(Frame::store(SET, "a", "x")).await;
    let touched = client.exchange(Frame::timed(TOUCH, "a", 10)).await;
    assert_eq!((touched.status, touched.extras, touched.cas), (OK, vec![0, 0, 0, 7], stored.cas));
    assert_eq!(touched.value, "");
    server.cache.clock().advance(std::time::Duration::from_secs(9));
    let got = client.exchange(Frame::timed(GATK, "a", 20)).await;
    assert_eq!((got.key.as_str(), got.value.as_str(), got.cas), ("a", "x", stored.cas));
    server.cache.clock().advance(std::time::Duration::from_secs(19));
    assert_eq!(client.exchange(Frame::new(GET, "a")).await.value, "x");
    server.cache.clock().advance(std::time::Duration::from_secs(1));
    client.quietly(Frame::new(GETQ, "a")).await;
    server.stop().await;
}

#[tokio::test]
async fn delete_may_compare_the_cas() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    assert_eq!(client.status(Frame::new(DELETE, "a").with_cas(1)).await.0, NOT_FOUND);
    let stored = client.exchange(Frame::store(SET, "a", "x")).await;
    let differs = Frame::new(DELETE, "a").with_cas(stored.cas + 1);
    assert_eq!(client.status(differs).await, text(EXISTS, "Data exists for key."));
    assert_eq!(client.status(Frame::new(DELETE, "a").with_cas(stored.cas)).await, text(OK, ""));
    client.quietly(Frame::new(GETQ, "a")).await;
    server.stop().await;
}

#[tokio::test]
async fn flush_may_be_delayed_or_forbidden() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.quietly(Frame::store(SETQ, "a", "x")).await;
    assert_eq!(client.status(Frame::timed(FLUSH, "", 10)).await, text(OK, ""));
    assert_eq!(client.exchange(Frame::new(GET, "a")).await.value, "x");
    server.cache.clock().advance(std::time::Duration::from_secs(10));
    client.quietly(Frame::new(GETQ, "a")).await;
    server.stop().await;
    let mut forbidding = settings();
    forbidding.flush_all = Permission::Forbidden;
    let server = Server::start(forbidding).await;
    let mut client = server.connect().await;
    assert_eq!(client.status(Frame::new(FLUSH, "")).await, text(AUTH_FAILURE, "Auth failure."));
    server.stop().await;
}

#[tokio::test]
async fn statistics_come_one_by_one_and_end_with_an_empty_frame() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.quietly(Frame::new(GETQ, "a")).await;
    for (topic, name, value) in [("", "get_misses", "1"), ("settings", "cas_enabled", "yes")] {
        client.send(&Frame::new(STAT, topic).bytes()).await;
        let mut found = None;
        loop {
            let reply = client.reply().await;
            assert_eq!((reply.opcode, reply.status), (STAT, OK));
            match (reply.key.as_str(), reply.value) {
                ("", end) => break assert_eq!(end, ""),
                (key, value) if key == name => found = Some(value),
                _ => {}
            }
        }
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }
    assert_eq!(client.status(Frame::new(STAT, "reset")).await, text(OK, ""));
    assert_eq!(client.status(Frame::new(STAT, "bogus")).await, text(NOT_FOUND, "Not found"));
    server.stop().await;
}

#[tokio::test]
async fn version_and_verbosity_are_answered() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    assert_eq!(client.status(Frame::new(VERSION, "")).await, text(OK, "1.6.45"));
    assert_eq!(client.status(Frame::timed(VERBOSITY, "", 1)).await, text(OK, ""));
    server.stop().await;
}

#[tokio::test]
async fn value_over_the_limit_is_read_past_and_the_old_one_is_gone() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let (limit, over) = ("x".repeat(1024 * 1024), "x".repeat(1024 * 1024 + 1));
    client.quietly(Frame::store(SETQ, "a", &limit)).await;
    assert_eq!(client.exchange(Frame::new(GET, "a")).await.value, limit);
    let refused = client.status(Frame::store(SETQ, "a", &over)).await;
    assert_eq!(refused, text(TOO_LARGE, "Too large."));
    client.quietly(Frame::new(GETQ, "a")).await;
    server.stop().await;
}

#[tokio::test]
async fn unknown_requests_are_read_past() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    for opcode in [0x1f, 0x25, 0x30, 0x3c, 0xff] {
        let frame = Frame { extras: vec![1; 12], ..Frame::store(opcode, "key", "value") };
        assert_eq!(client.status(frame).await, text(UNKNOWN, "Unknown command"), "{opcode:#x}");
    }
    for opcode in [SASL_LIST, SASL_AUTH, SASL_STEP] {
        let (key, value) = if opcode == SASL_LIST { ("", "") } else { ("PLAIN", "\0a\0b") };
        let frame = Frame { value: value.as_bytes(), ..Frame::new(opcode, key) };
        assert_eq!(client.status(frame).await, text(UNKNOWN, "Unknown command"), "{opcode:#x}");
    }
    assert_eq!(client.status(Frame::new(NOOP, "")).await, text(OK, ""));
    server.stop().await;
}

#[tokio::test]
async fn frames_that_are_not_sound_are_told_and_close() {
    let server = Server::start(settings()).await;
    let long = "k".repeat(251);
    let mut inconsistent = Frame::new(GET, "key").bytes();
    inconsistent[11] = 2;
    for (frame, expected) in [
        (inconsistent, text(UNKNOWN, "Unknown command")),
        (Frame::new(GET, &long).bytes(), text(INVALID, "Invalid arguments")),
        (Frame::new(GET, "").bytes(), text(INVALID, "Invalid arguments")),
        (Frame::timed(SET, "a", 0).bytes(), text(INVALID, "Invalid arguments")),
        (Frame::store(NOOP, "", "x").bytes(), text(INVALID, "Invalid arguments")),
    ] {
        let mut client = server.connect().await;
        client.send(&frame).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.value), expected, "{}", frame.escape_ascii());
        assert!(client.is_closed().await);
    }
    server.stop().await;
}

#[tokio::test]
async fn first_byte_decides_the_protocol_for_as_long_as_the_connection_lives() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    assert_eq!(client.status(Frame::new(NOOP, "")).await, text(OK, ""));
    client.send(b"version\r\n").await;
    assert!(client.is_closed().await);
    let mut client = server.connect().await;
    client.ask("version", "VERSION 1.6.45").await;
    client.send(&Frame::new(VERSION, "").bytes()).await;
    client.send(b"\r\n").await;
    assert_eq!(client.reply_until(b"\n").await, b"ERROR\r\n");
    server.stop().await;
}

#[tokio::test]
async fn both_protocols_see_the_same_items() {
    let server = Server::start(settings()).await;
    let (mut binary, mut lines) = (server.connect().await, server.connect().await);
    binary.quietly(Frame::store(SETQ, "a", "x")).await;
    lines.send(b"get a\r\n").await;
    assert_eq!(lines.reply_until(b"END\r\n").await, b"VALUE a 7 1\r\nx\r\nEND\r\n");
    lines.ask("set b 4294967295 0 1\r\ny", "STORED").await;
    assert_eq!(binary.exchange(Frame::new(GET, "b")).await.extras, [0xff; 4]);
    server.stop().await;
}
