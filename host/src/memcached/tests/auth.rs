//! Authentication: text's first `set`, and SASL PLAIN.

use super::frames::*;
use super::{Client, Server, settings};
use crate::limits::MEMCACHED_TOKEN_BYTES_MAX;
use crate::memcached::Users;

const UNAUTHENTICATED: &str = "CLIENT_ERROR unauthenticated";
const FAILURE: &str = "CLIENT_ERROR authentication failure";

/// A server whose only user is `ann` with the password `se:cret`.
async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    std::fs::write(&path, "ann:se:cret\n").unwrap();
    let mut authenticating = settings();
    authenticating.users = Some(Users::load(&path).unwrap());
    Server::start(authenticating).await
}

fn token(token: &str) -> String {
    format!("set auth 0 0 {}\r\n{token}", token.len())
}

fn plain(opcode: u8, message: &'static str) -> Frame<'static> {
    Frame { value: message.as_bytes(), ..Frame::new(opcode, "PLAIN") }
}

async fn shows(client: &mut Client, line: &str) -> bool {
    client.send(b"stats\r\n").await;
    String::from_utf8(client.reply_until(b"END\r\n").await).unwrap().contains(line)
}

#[tokio::test]
async fn text_client_comes_in_by_its_first_set() {
    let server = server().await;
    let mut client = server.connect().await;
    client.ask(&token("ann se:cret"), "STORED").await;
    client.send(b"get auth\r\n").await;
    assert_eq!(client.reply_until(b"END\r\n").await, b"END\r\n", "credentials are not stored");
    client.ask("set a 0 0 1\r\nx", "STORED").await;
    assert!(shows(&mut client, "STAT auth_cmds 1\r\nSTAT auth_errors 0\r\n").await);
    server.stop().await;
}

#[tokio::test]
async fn text_client_can_do_nothing_else_before() {
    let server = server().await;
    let mut client = server.connect().await;
    for line in [
        "get a",
        "version",
        "stats",
        "quit",
        "shutdown",
        "flush_all",
        "mn",
        "delete a noreply",
        "add a 0 0 5\r\nquiet",
        "cas a 0 0 3 1 noreply\r\nold",
        "set a 0 x 3\r\nbad",
        "",
        "nonsense",
    ] {
        client.ask(line, UNAUTHENTICATED).await;
    }
    client.ask(&token("ann se:cret"), "STORED").await;
    client.send(b"get a\r\n").await;
    assert_eq!(client.reply_until(b"END\r\n").await, b"END\r\n");
    server.stop().await;
}

#[tokio::test]
async fn text_client_is_let_in_by_good_credentials_only_and_not_asked_for_ever() {
    let server = server().await;
    let mut client = server.connect().await;
    client.ask(&token("ann wrong"), FAILURE).await;
    client.ask(&token("eve se:cret"), FAILURE).await;
    client.ask(&token("ann"), "CLIENT_ERROR bad authentication token format").await;
    client.send(b"set auth 0 0 11\r\nann se:cretXY").await;
    let reply = client.reply_until(b"\n").await;
    assert_eq!(reply, b"CLIENT_ERROR bad command line termination\r\n");
    client.ask("get a", UNAUTHENTICATED).await;
    client.ask(&token("ann se:cretx"), FAILURE).await;
    assert!(client.is_closed().await);
    let mut other = server.connect().await;
    other.ask(&token("ann se:cret"), "STORED").await;
    assert!(shows(&mut other, "STAT auth_cmds 6\r\nSTAT auth_errors 5\r\n").await);
    server.stop().await;
}

#[tokio::test]
async fn token_over_the_limit_is_read_past() {
    let server = server().await;
    let mut client = server.connect().await;
    let long = format!("ann {}", "x".repeat(MEMCACHED_TOKEN_BYTES_MAX));
    client.ask(&token(&long), "CLIENT_ERROR bad authentication token format").await;
    client.ask(&token("ann se:cret"), "STORED").await;
    let mut client = server.connect().await;
    let frame = Frame { value: long.as_bytes(), ..Frame::new(SASL_AUTH, "PLAIN") };
    assert_eq!(client.status(frame).await.0, AUTH_FAILURE);
    assert_eq!(client.status(plain(SASL_AUTH, "\0ann\0se:cret")).await.0, OK);
    server.stop().await;
}

#[tokio::test]
async fn endless_line_of_a_stranger_closes_the_connection() {
    let server = server().await;
    let mut client = server.connect().await;
    client.send(format!("get{}", " k".repeat(1100)).as_bytes()).await;
    assert!(client.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn binary_client_comes_in_by_sasl_plain() {
    let server = server().await;
    let mut client = server.connect().await;
    assert_eq!(client.status(Frame::new(SASL_LIST, "")).await, (OK, "PLAIN".to_owned()));
    assert_eq!(client.status(Frame::new(VERSION, "")).await.0, OK);
    let admitted = client.status(plain(SASL_AUTH, "\0ann\0se:cret")).await;
    assert_eq!(admitted, (OK, "Authenticated".to_owned()));
    client.quietly(Frame::store(SETQ, "a", "x")).await;
    assert_eq!(client.exchange(Frame::new(GET, "a")).await.value, "x");
    server.stop().await;
}

#[tokio::test]
async fn sasl_response_may_come_in_a_step_of_its_own() {
    let server = server().await;
    let mut client = server.connect().await;
    let early = client.status(plain(SASL_STEP, "\0ann\0se:cret")).await;
    assert_eq!(early, (AUTH_FAILURE, "Auth failure.".to_owned()));
    assert_eq!(client.status(plain(SASL_AUTH, "")).await, (AUTH_CONTINUE, String::new()));
    assert_eq!(client.status(plain(SASL_STEP, "\0ann\0se:cret")).await.0, OK);
    client.quietly(Frame::store(SETQ, "a", "x")).await;
    server.stop().await;
}

#[tokio::test]
async fn binary_client_that_is_not_let_in_is_told_and_closed() {
    let server = server().await;
    let failure = (AUTH_FAILURE, "Auth failure.".to_owned());
    for frame in [
        Frame::new(GET, "a"),
        Frame::new(GETQ, "a"),
        Frame::store(SETQ, "a", "x"),
        Frame::new(STAT, ""),
        Frame::new(NOOP, ""),
        Frame::new(QUIT, ""),
        Frame::new(0xff, ""),
    ] {
        let mut client = server.connect().await;
        assert_eq!(client.status(frame).await, failure);
        assert!(client.is_closed().await);
    }
    assert!(server.cache.peek(b"a").is_none());
    let mut client = server.connect().await;
    let other = Frame { key: b"CRAM-MD5", ..plain(SASL_AUTH, "") };
    for frame in [
        plain(SASL_AUTH, "\0ann\0wrong"),
        plain(SASL_AUTH, "\0eve\0se:cret"),
        plain(SASL_AUTH, "eve\0ann\0se:cret"),
        plain(SASL_AUTH, "ann se:cret"),
        other,
    ] {
        assert_eq!(client.status(frame).await, failure);
    }
    assert!(client.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn attempt_that_fails_takes_back_what_was_granted() {
    let server = server().await;
    let mut client = server.connect().await;
    assert_eq!(client.status(plain(SASL_AUTH, "\0ann\0se:cret")).await.0, OK);
    assert_eq!(client.status(plain(SASL_AUTH, "\0ann\0wrong")).await.0, AUTH_FAILURE);
    assert_eq!(client.status(Frame::new(GET, "a")).await.0, AUTH_FAILURE);
    assert!(client.is_closed().await);
    server.stop().await;
}
