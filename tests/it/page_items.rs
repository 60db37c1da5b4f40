//! Items that an application writes by memcached, served as pages; pages on a unix socket.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use wasmcached_tests::origin::Response;
use wasmcached_tests::{Origin, Server, http, settings};

/// One site, whose items have the keys `page:URI`.
fn server_for(origin: &Origin) -> Server {
    Server::start(&format!(
        "{}\n[pages]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n\
         unix = \"{{dir}}/pages.sock\"\nunix_mode = \"0660\"\n\n\
         [[sites]]\norigin = \"{}\"\n[sites.items]\nkey = \"page:{{uri}}\"\nmax_age = \"30s\"\n",
        settings::plain(),
        origin.url()
    ))
}

#[test]
fn item_set_by_memcached_is_the_page_until_it_is_deleted() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let server = server_for(&origin);
    let url = server.page("/treks?page=2");
    let mut memcached = server.memcached();
    assert_eq!(memcached.set("page:/treks?page=2", "<h1>item</h1>"), "STORED");
    let answer = http::get(&url);
    assert_eq!((answer.status, answer.text().as_str()), (200, "<h1>item</h1>"));
    assert!(answer.is_hit(), "{answer:?}");
    assert_eq!(answer.field("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.field("cache-control"), "max-age=30");
    let condition = [("if-none-match", answer.field("etag"))];
    assert_eq!(http::send("GET", &url, &condition, b"").status, 304);
    assert_eq!(http::send("HEAD", &url, &[], b"").field("content-length"), "13");
    assert_eq!(origin.count("/treks?page=2"), 0);
    assert_eq!(memcached.ask("delete page:/treks?page=2"), "DELETED");
    assert_eq!(http::get(&url).text(), "page");
    assert_eq!(origin.count("/treks?page=2"), 1);
    assert_eq!(memcached.set("page:/treks?page=2", "new"), "STORED");
    assert_eq!(http::get(&url).text(), "new", "the item comes before the page that is stored");
}

#[test]
fn pages_are_served_on_every_listener_and_the_unix_socket_has_its_mode() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let server = server_for(&origin);
    let bound = server.printed().iter().filter_map(|l| l.strip_prefix("pages listening on "));
    let bound: Vec<_> = bound.collect();
    assert_eq!(bound.len(), 3, "{bound:?}");
    for address in bound.iter().filter(|address| !address.starts_with('/')) {
        assert_eq!(http::get(&format!("http://{address}/")).text(), "page");
    }
    let socket = server.dir().join("pages.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("page"), "{answer}");
}
