//! Authentication of memcached clients: the file, its reload, text and SASL.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wasmcached_tests::frames::{exchange, request, response};
use wasmcached_tests::server::{run, serve_to_its_end};
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Memcached, Server, settings};

/// Bad usage or configuration, as sysexits.h calls it.
const EX_USAGE: i32 = 64;

/// `correct horse`, by the reference implementation of Argon2.
const HASH: &str = concat!(
    "$argon2id$v=19$m=64,t=1,p=1$",
    "c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI"
);

const SASL_LIST: u8 = 0x20;
const SASL_AUTH: u8 = 0x21;
const GET: u8 = 0x00;
const NOOP: u8 = 0x0a;

/// A file of users, for its owner alone.
struct Users {
    _dir: TempDir,
    path: PathBuf,
}

impl Users {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let users = Self { _dir: dir, path };
        users.write(text);
        users
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
        allow(&self.path, 0o600);
    }

    fn settings(&self) -> String {
        let key = format!("[memcached]\nauth_file = \"{}\"\n", self.path.display());
        settings::plain().replace("[memcached]\n", &key)
    }
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn log_in(connection: &mut Memcached, token: &str) -> String {
    connection.set("auth", token)
}

fn sasl(connection: &mut Memcached, message: &[u8]) -> u16 {
    exchange(connection, &request(SASL_AUTH, b"", b"PLAIN", message)).0
}

#[test]
fn text_client_is_let_in_by_its_password() {
    let users = Users::new("ann:secret\n");
    let server = Server::start(&users.settings());
    let mut connection = server.memcached();
    assert_eq!(connection.ask("get a"), "CLIENT_ERROR unauthenticated");
    assert_eq!(connection.ask("mg a v"), "CLIENT_ERROR unauthenticated");
    assert_eq!(connection.ask("ms a 1\r\nx"), "CLIENT_ERROR unauthenticated");
    assert_eq!(log_in(&mut connection, "ann wrong"), "CLIENT_ERROR authentication failure");
    assert_eq!(log_in(&mut connection, "ann secret"), "STORED");
    assert_eq!(connection.set("a", "x"), "STORED");
    assert_eq!(connection.get("a").unwrap(), b"x");
    assert_eq!(connection.get("auth"), None);
    let mut unix = Memcached::unix(&server.dir().join("memcached.sock"));
    assert_eq!(unix.ask("version"), "CLIENT_ERROR unauthenticated");
}

#[test]
fn binary_client_is_let_in_by_its_hashed_password() {
    let users = Users::new(&format!("ann:{HASH}\nbob:other"));
    let server = Server::start(&users.settings());
    for _ in 0..2 {
        let mut connection = server.memcached();
        let mechanisms = exchange(&mut connection, &request(SASL_LIST, b"", b"", b""));
        assert_eq!(mechanisms, (0, "PLAIN".to_owned()));
        assert_eq!(sasl(&mut connection, b"\0ann\0other"), 0x20);
        assert_eq!(sasl(&mut connection, b"\0ann\0correct horse"), 0);
        assert_eq!(exchange(&mut connection, &request(NOOP, b"", b"", b"")).0, 0);
    }
    let mut stranger = server.memcached();
    let refused = exchange(&mut stranger, &request(GET, b"", b"a", b""));
    assert_eq!(refused, (0x20, "Auth failure.".to_owned()));
    assert_eq!(response(&mut stranger), None);
}

#[test]
fn connection_is_closed_after_five_failures() {
    let users = Users::new("ann:secret\n");
    let server = Server::start(&users.settings());
    let mut connection = server.memcached();
    for _ in 0..5 {
        assert_eq!(log_in(&mut connection, "ann wrong"), "CLIENT_ERROR authentication failure");
    }
    assert_eq!(connection.line(), None);
    let mut other = server.memcached();
    assert_eq!(log_in(&mut other, "ann secret"), "STORED");
    other.send(b"stats\r\nquit\r\n");
    let stats = String::from_utf8(other.rest()).unwrap();
    assert!(stats.contains("STAT auth_cmds 6\r\nSTAT auth_errors 5\r\n"), "{stats}");
}

#[test]
fn users_are_read_again_on_sighup_and_a_broken_file_changes_nothing() {
    let users = Users::new("ann:one\n");
    let mut server = Server::start(&users.settings());
    let mut before = server.memcached();
    assert_eq!(log_in(&mut before, "ann one"), "STORED");
    users.write("ann:two\nsecret without colon\n");
    server.hang_up();
    eventually("the broken file is told", || server.log().contains("line 2: is not user:password"));
    assert!(!server.log().contains("secret without colon"), "{}", server.log());
    assert_eq!(log_in(&mut server.memcached(), "ann one"), "STORED");
    users.write("ann:two\n");
    server.hang_up();
    eventually("the new password counts", || {
        log_in(&mut server.memcached(), "ann two") == "STORED"
    });
    let refused = log_in(&mut server.memcached(), "ann one");
    assert_eq!(refused, "CLIENT_ERROR authentication failure");
    assert_eq!(before.set("a", "x"), "STORED");
    server.stop();
}

#[test]
fn file_that_everybody_can_read_is_warned_of_by_its_mode() {
    let users = Users::new("ann:one\n");
    let server = Server::start(&users.settings());
    assert!(!server.log().contains("can be read"), "{}", server.log());
    drop(server);
    allow(&users.path, 0o644);
    let server = Server::start(&users.settings());
    assert_eq!(log_in(&mut server.memcached(), "ann one"), "STORED");
    assert!(server.log().contains("passwords can be read by every user"), "{}", server.log());
    assert!(server.log().contains("0644"), "{}", server.log());
}

#[test]
fn bad_file_is_told_by_line_and_not_by_content() {
    for (text, told) in [
        ("ann:one\nhunter2\n", "line 2: is not user:password"),
        ("ann:$2b$10$hunter2\n", "line 1: hash is not one of argon2id"),
        ("\n", "has no user"),
    ] {
        let output = serve_to_its_end(&Users::new(text).settings(), &[]);
        assert_eq!(output.status.code(), Some(EX_USAGE));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("memcached.auth_file") && said.contains(told), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let output = run(&["serve", "--check", "--memcached-auth-file", "/nonexistent/users"]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/nonexistent/users"), "{said}");
}

#[test]
fn listener_with_users_may_be_on_any_address() {
    let users = Users::new("ann:one\n");
    let everywhere = users.settings().replacen("127.0.0.1:0", "0.0.0.0:0", 1);
    let path = users.path.to_str().unwrap();
    let output = serve_to_its_end(&everywhere, &["--check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listen = ["serve", "--check", "--memcached", "0.0.0.0:0", "--api", "127.0.0.1:0"];
    assert_eq!(run(&listen).status.code(), Some(EX_USAGE));
    let with_users = [&listen[..], &["--memcached-auth-file", path]].concat();
    assert!(run(&with_users).status.success());
}
