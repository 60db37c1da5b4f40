//! Listeners: TLS, certificates that change, unix sockets, and several of each.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wasmcached_tests::server::{run, serve_to_its_end};
use wasmcached_tests::tls::{Authority, Identity};
use wasmcached_tests::wait::{LIMIT, eventually};
use wasmcached_tests::{Memcached, Origin, Server, http, origin::Response, settings};

/// Bad usage or configuration, as sysexits.h calls it.
const EX_USAGE: i32 = 64;

/// An authority, and files that a server presents.
struct Certificates {
    authority: Authority,
    dir: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let new = Self { authority: Authority::default(), dir: tempfile::tempdir().unwrap() };
        new.replace_with(&new.authority.issue());
        new.authority.write(&new.file("ca"));
        new
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn replace_with(&self, identity: &Identity) {
        identity.write(&self.file("cert"), &self.file("key"));
    }

    /// The table `tls` of a listener.
    fn table(&self) -> String {
        let (cert, key) = (self.file("cert"), self.file("key"));
        format!("cert = \"{}\", key = \"{}\"", cert.display(), key.display())
    }

    /// The same, asking clients for certificates.
    fn mutual(&self) -> String {
        format!("{}, client_ca = \"{}\"", self.table(), self.file("ca").display())
    }
}

fn with_tls(listen: &str, tls: &str) -> String {
    format!("[memcached]\nlisten = {listen}\ntls = {{ {tls} }}\n[api]\nlisten = \"127.0.0.1:0\"\n")
}

#[test]
fn items_are_shared_by_tls_plain_and_unix_listeners() {
    let certificates = Certificates::new();
    let listen = r#"["127.0.0.1:0", "notls:127.0.0.1:0", "notls:127.0.0.1:0"]"#;
    let unix = "unix = \"{dir}/memcached.sock\"\nunix_mode = \"0666\"\nunix_owner = \"0:0\"\n[api]";
    let text = with_tls(listen, &certificates.table()).replace("[api]", unix);
    let server = Server::start(&text);
    let lines: Vec<_> = server.printed().iter().map(|line| line.split(" on ").next()).collect();
    let (tls, plain) = (Some("memcached (tls) listening"), Some("memcached listening"));
    assert_eq!(lines, [tls, plain, plain, plain, Some("api listening")]);

    let stream = certificates.authority.connect(server.address("memcached (tls)"), None);
    let mut over_tls = Memcached::tls(stream);
    assert_eq!(over_tls.set("greeting", "hello"), "STORED");
    let plain = server.printed().iter().filter_map(|l| l.strip_prefix("memcached listening on "));
    let clients = plain.map(|address| match address.starts_with('/') {
        true => Memcached::unix(Path::new(address)),
        false => Memcached::tcp(address),
    });
    let read = clients.map(|mut client| client.get("greeting").unwrap());
    assert_eq!(read.collect::<Vec<_>>(), [b"hello", b"hello", b"hello"]);
    let large = "x".repeat(1_000_000);
    assert_eq!(over_tls.set("large", &large), "STORED");
    assert_eq!(over_tls.get("large").unwrap(), large.as_bytes());
    over_tls.send(b"quit\r\n");
    assert_eq!(over_tls.rest(), b"", "the end is told, and is no error");
}

#[test]
fn unix_socket_has_the_mode_that_was_asked_for() {
    let text = settings::plain().replace("\n[api]", "\nunix_mode = \"0660\"\n[api]");
    let server = Server::start(&text);
    let socket = server.dir().join("memcached.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(Memcached::unix(&socket).set("a", "b"), "STORED");
}

#[test]
fn pages_and_api_are_served_over_tls() {
    let certificates = Certificates::new();
    let origin = Origin::start(|_| Response::cacheable("page"));
    let tls = format!("tls = {{ {} }}\n", certificates.table());
    let text = format!(
        "[memcached]\nlisten = \"127.0.0.1:0\"\n[api]\nlisten = \"127.0.0.1:0\"\n{tls}\
         [pages]\nlisten = \"127.0.0.1:0\"\norigin = \"{}\"\n{tls}",
        origin.url()
    );
    let server = Server::start(&text);
    for (door, path) in [("api (tls)", "/live"), ("pages (tls)", "/")] {
        let mut stream = certificates.authority.connect(server.address(door), None);
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{door}: {answer}");
    }
}

#[test]
fn new_certificate_is_for_new_connections_and_open_ones_live_on() {
    let certificates = Certificates::new();
    let server = Server::start(&with_tls("\"127.0.0.1:0\"", &certificates.table()));
    let address = server.address("memcached (tls)");
    let mut open = Memcached::tls(certificates.authority.connect(address, None));
    assert_eq!(open.set("a", "1"), "STORED");

    let other = Authority::default();
    certificates.replace_with(&other.issue());
    server.hang_up();
    eventually("the reload is logged", || server.log().contains("reloaded"));
    let mut new = Memcached::tls(other.connect(address, None));
    assert_eq!(new.get("a").unwrap(), b"1");
    assert_eq!(open.get("a").unwrap(), b"1");
    let mut distrustful = certificates.authority.connect(address, None);
    assert!(distrustful.write_all(b"version\r\n").is_err(), "the old certificate is gone");
}

#[test]
fn broken_certificate_is_refused_on_reload_and_the_old_one_stays() {
    let certificates = Certificates::new();
    let mut server = Server::start(&with_tls("\"127.0.0.1:0\"", &certificates.table()));
    certificates.authority.issue().write(&certificates.file("cert"), &certificates.file("key2"));
    server.hang_up();
    eventually("the refusal is logged", || server.log().contains("not reloaded"));
    let log = server.log();
    assert!(log.contains("memcached certificate"), "{log}");
    assert!(log.contains("key: is not that of certificate"), "{log}");
    let address = server.address("memcached (tls)").to_owned();
    let mut client = Memcached::tls(certificates.authority.connect(&address, None));
    assert_eq!(client.set("a", "1"), "STORED");
    server.stop();
}

#[test]
fn hangup_without_anything_to_reload_ends_nothing() {
    let mut server = Server::start(&settings::plain());
    let mut client = server.memcached();
    assert_eq!(client.set("a", "1"), "STORED");
    server.hang_up();
    eventually("it is logged", || server.log().contains("nothing to reload"));
    assert_eq!(client.get("a").unwrap(), b"1");
    server.stop();
}

#[test]
fn client_certificates_are_authentication() {
    let certificates = Certificates::new();
    let server = Server::start(&with_tls("\"0.0.0.0:0\"", &certificates.mutual()));
    let port = server.address("memcached (tls)").rsplit(':').next().unwrap();
    let address = format!("127.0.0.1:{port}");
    let authority = &certificates.authority;
    let mut known = Memcached::tls(authority.connect(&address, Some(&authority.issue())));
    assert_eq!(known.set("a", "1"), "STORED");
    for stranger in [None, Some(&Authority::default().issue())] {
        let mut stream = authority.connect(&address, stranger);
        // TLS 1.3 clients hear of it after their part of the handshake.
        let asked = stream.write_all(b"get a\r\n");
        let heard = asked.and_then(|()| stream.read(&mut [0; 64]));
        assert!(heard.is_err(), "{heard:?}");
    }
    let metric = r#"wasmcached_tls_handshake_failures_total{listener="memcached"} 2"#;
    eventually("the failures are counted", || {
        http::get(&server.api("/metrics")).text().contains(metric)
    });
    assert!(!server.log().contains("handshake"), "{}", server.log());
}

#[test]
fn tls_without_client_certificates_is_no_authentication() {
    let certificates = Certificates::new();
    let text = with_tls("\"0.0.0.0:0\"", &certificates.table());
    let output = serve_to_its_end(&text, &[]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("0.0.0.0:0") && said.contains("client_ca"), "{said}");
}

#[test]
fn client_that_speaks_no_tls_is_disconnected_and_others_are_served() {
    let certificates = Certificates::new();
    let server = Server::start(&with_tls("\"127.0.0.1:0\"", &certificates.table()));
    let address = server.address("memcached (tls)");
    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(LIMIT)).unwrap();
    let mut foreign = Memcached::tcp(address);
    foreign.send(b"version\r\n");
    let said = foreign.rest();
    assert!(!said.starts_with(b"VERSION"), "{said:?}");
    let mut client = Memcached::tls(certificates.authority.connect(address, None));
    assert!(client.ask("version").starts_with("VERSION"));
    // Nothing at all is given up after the limit for handshakes.
    assert_eq!(silent.read(&mut [0; 64]).unwrap_or(0), 0);
}

#[test]
fn check_names_files_of_certificates_that_cannot_be_used() {
    let text = "[memcached]\ntls = { cert = \"{dir}/none\", key = \"{dir}/none\" }\n\
                [api]\ntls = { cert = \"{dir}/wasmcached.toml\", key = \"{dir}/none\" }\n";
    let output = serve_to_its_end(text, &["--check"]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    for part in ["memcached.tls.cert: `", "/none`: No such file", "api.tls.cert: `"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert!(said.contains("no certificate is in it"), "{said}");
}

#[test]
fn flags_of_tls_and_of_the_unix_socket_are_those_of_the_file() {
    let certificates = Certificates::new();
    let (cert, key) = (certificates.file("cert"), certificates.file("gone"));
    let output = run(&[
        "serve",
        "--check",
        "--memcached=127.0.0.1:1",
        "--memcached=127.0.0.1:1",
        "--memcached-unix=/tmp/never-bound.sock",
        "--memcached-unix-mode=9",
        "--memcached-unix-owner=nobody-has-this-name",
        &format!("--memcached-tls-cert={}", cert.display()),
        &format!("--memcached-tls-key={}", key.display()),
    ]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    for part in [
        "memcached.listen: `127.0.0.1:1` is taken by `memcached.listen` already",
        "memcached.unix_mode: `9` is not an octal mode",
        "memcached.unix_owner: user `nobody-has-this-name` is not in /etc/passwd",
        "memcached.tls.key: `",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
