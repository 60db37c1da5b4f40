//! Starting: what is printed, what is refused, and with which exit code.

use wasmcached_tests::server::{binary, run, serve_to_its_end};
use wasmcached_tests::{Origin, Server, origin::Response, settings};

/// Bad usage or configuration, as sysexits.h calls it.
const EX_USAGE: i32 = 64;

#[test]
fn every_bound_address_is_printed_and_the_server_stops_on_sigterm() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let mut server = Server::start(&settings::trekking(&origin.url()));
    for door in ["memcached", "api", "pages"] {
        let address: std::net::SocketAddr = server.address(door).parse().unwrap();
        assert_ne!(address.port(), 0);
        std::net::TcpStream::connect(address).unwrap();
    }
    let socket = server.dir().join("memcached.sock");
    let line = format!("memcached listening on {}", socket.display());
    assert!(server.printed().contains(&line), "{:?}", server.printed());
    assert_eq!(server.printed().len(), 4);
    server.stop();
    assert!(!socket.exists(), "socket file is left behind");
}

#[test]
fn bad_configuration_names_all_mistakes_at_once_and_exits_64() {
    let settings = "memory = \"1MiB\"\n[memcached]\nlisten = \"nowhere\"\n\
                    [[sites]]\norigin = \"ftp://x\"\nplugin = \"absent\"\n";
    let output = serve_to_its_end(settings, &[]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    for part in ["memory", "`1MiB`", "memcached.listen", "`nowhere`", "sites[0].origin", "`absent`"]
    {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn unknown_keys_of_the_file_are_refused_by_name() {
    let output = serve_to_its_end("memorry = \"64MiB\"\n", &[]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    assert!(String::from_utf8(output.stderr).unwrap().contains("memorry"));
}

#[test]
fn missing_file_is_named() {
    let output = run(&["serve", "--config", "/nonexistent/wasmcached.toml"]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/nonexistent/wasmcached.toml"), "{said}");
}

#[test]
fn check_validates_and_binds_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let good = format!("[memcached]\nlisten = \"{address}\"\n[api]\nlisten = \"{address}\"\n");
    let output = serve_to_its_end(&good, &["--check"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("listening on"));
    let output = serve_to_its_end("memory = \"no\"\n", &["--check"]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
}

#[test]
fn listener_that_is_not_loopback_is_refused_without_authentication() {
    let output = serve_to_its_end("[memcached]\nlisten = \"0.0.0.0:0\"\n", &[]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("0.0.0.0:0") && said.contains("insecure"), "{said}");
}

#[test]
fn address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let settings = format!("[memcached]\nlisten = \"{address}\"\n[api]\nlisten = \"127.0.0.1:0\"");
    let output = serve_to_its_end(&settings, &[]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
}

#[test]
fn database_that_cannot_be_written_is_named() {
    // A folder where the file should be: refused for root too.
    let settings = format!("database = \"sqlite://{{dir}}\"\n{}", settings::plain());
    let output = serve_to_its_end(&settings, &[]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(std::env::temp_dir().to_str().unwrap()), "{said}");
}

#[test]
fn help_shows_the_commands() {
    let output = std::process::Command::new(binary()).arg("--help").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    for command in ["serve", "demo"] {
        assert!(said.contains(command), "{command} is not in: {said}");
    }
}
