//! Starting: what is printed, what is refused, and with which exit code.

use std::process::Command;

use wasmcached_tests::server::{binary, run, serve_to_its_end};
use wasmcached_tests::{Origin, Server, http, origin::Response, settings};

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
    let good = format!("[memcached]\nlisten = \"{address}\"\n[api]\nlisten = \"127.0.0.1:0\"\n");
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
fn check_names_what_serve_would_refuse_all_at_once() {
    let settings = "memory = \"1MiB\"\ndatabase = \"sqlite:///x.db?mode=ro\"\n\
                    [memcached]\nlisten = \"127.0.0.1:7\"\n[api]\nlisten = \"127.0.0.1:7\"\n\
                    [[sources]]\nname = \"shop\"\nsecrets = [\"hunter2\"]\n\
                    [plugins.gone]\nfile = \"/nonexistent/gone.wasm\"\n\
                    [plugins.toml]\nfile = \"{dir}/wasmcached.toml\"\n\
                    [plugins.ruels]\n\
                    [plugins.rules.config]\nrules = { stoer = [] }\n";
    for arguments in [&["--check"][..], &[]] {
        let output = serve_to_its_end(settings, arguments);
        assert_eq!(output.status.code(), Some(EX_USAGE), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        for part in [
            "memory: `1MiB`",
            "database: address has a `?`; query parts are not understood",
            "api.listen: `127.0.0.1:7` is taken by `memcached.listen`",
            "sources[0].secrets[0]: secret does not begin with",
            "plugins.gone: /nonexistent/gone.wasm: No such file",
            "plugins.toml: not a component",
            "plugins.ruels: not shipped with the server",
            "plugins.rules: configure: ",
            "did you mean `store`",
        ] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn database_address_of_another_form_is_found_by_check() {
    let output = serve_to_its_end("database = \"sqlite:relative\"\n", &["--check"]);
    assert_eq!(output.status.code(), Some(EX_USAGE));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("database: `sqlite:relative` is not `sqlite:///"), "{said}");
}

#[test]
fn secret_is_not_printed_when_the_file_does_not_parse() {
    for settings in ["[[sources]]\nsecrets = \"hunter2\"\n", "database = \"sqlite://hunter2\n"] {
        let output = serve_to_its_end(settings, &[]);
        assert_eq!(output.status.code(), Some(EX_USAGE));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(", line ") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn reason_is_told_once() {
    let gone = "--plugin=x=/nonexistent/x.wasm";
    for arguments in [&["serve", "--check", gone][..], &["serve", "--config", "/nonexistent"]] {
        let said = String::from_utf8(run(arguments).stderr).unwrap();
        assert_eq!(said.matches("No such file").count(), 1, "{said}");
    }
}

#[test]
fn environment_that_is_not_understood_is_named_and_exits_64() {
    for (name, value) in [
        ("WASMCACHED_LOG", "verbose"),
        ("WASMCACHED_NO_EVICT", "perhaps"),
        ("WASMCACHED_PLUGIN", "shop"),
    ] {
        let mut command = Command::new(binary());
        let output = command.args(["serve", "--check"]).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(EX_USAGE), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(value), "{value} is not in: {said}");
    }
}

#[test]
fn tag_with_a_space_is_set_as_one_tag() {
    let server = Server::start(&settings::plain());
    let api = server.api("");
    let output = run(&["set", "key", "value", "--tag", "a b", "--tag", "c", "--server", &api]);
    assert!(output.status.success(), "{output:?}");
    let read = http::get(&server.cached("key"));
    assert_eq!(read.field("cache-groups"), r#""a b", "c""#);
}

#[test]
fn configuration_in_the_readme_is_understood() {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let section = readme.split("\n## Configuration\n").nth(1).unwrap();
    let block = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let output = serve_to_its_end(&block.replace("whsec_…", settings::SECRET), &["--check"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn help_shows_the_commands() {
    let output = Command::new(binary()).arg("--help").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    for command in ["serve", "demo"] {
        assert!(said.contains(command), "{command} is not in: {said}");
    }
}
