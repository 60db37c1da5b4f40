//! Pages on the wire, over raw sockets: what is refused, how requests are framed, and tunnels.

use wasmcached_tests::raw::{End, RawOrigin, Wire};
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Server, http, settings};

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A server in front of these origins, the first of them first.
pub(crate) fn server_for(origins: &[&RawOrigin], more: &str) -> Server {
    let urls: Vec<String> = origins.iter().map(|origin| origin.url()).collect();
    let further: Vec<String> = urls[1..].iter().map(|url| format!("{url:?}")).collect();
    Server::start(&format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n{more}\n[[sites]]\nname = \"raw\"\n\
         origin = \"{}\"\nfurther_origins = [{}]\n",
        settings::plain(),
        urls[0],
        further.join(", "),
    ))
}

pub(crate) fn client_of(server: &Server) -> Wire {
    Wire::connect(server.address("pages"))
}

/// A whole answer that may be kept.
pub(crate) fn page(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The head of one whose body follows.
pub(crate) fn head_of(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused_and_the_connection_closed() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let rows = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length: 999999999999999999\r\n", 413),
        ("Transfer-Encoding: x, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, x\r\n", 400),
        ("Transfer-Encoding: chunked, chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: \"chunked\"\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Content-Length : 5\r\n", 400),
        ("X: a\nContent-Length: 5\r\n", 400),
        ("X: a\rb\r\n", 400),
        ("X: a\r\n b\r\n", 400),
        ("X: a\0b\r\n", 400),
        (" X: a\r\n", 400),
        ("X\r\n", 400),
        ("Host: a\r\n", 400),
    ];
    for (fields, status) in rows {
        let mut client = client_of(&server);
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{smuggled}"));
        let (answer, _) = client.read_to_end();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fields:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields:?}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{fields:?}: {answer}");
    }
    assert!(!origin.is_asked());
}

#[test]
fn request_lines_that_are_no_use_are_refused_each_in_its_way() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let long = "a".repeat(9_000);
    let many = "X: y\r\n".repeat(101);
    let large = format!("X: {}\r\n", "y".repeat(17_000));
    let rows = [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{large}\r\n"), 431),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(), 501),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("\u{16}\u{3}\u{1}\u{2}".repeat(8), 400),
    ];
    for (raw, status) in rows {
        let mut client = client_of(&server);
        client.send(&raw);
        let head = client.read_head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {head}");
    }
    assert!(!origin.is_asked());
}

#[test]
fn bad_chunks_break_the_request_off_and_nothing_behind_them_is_a_request() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let bad = [
        "5\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-1\r\n\r\n",
    ];
    for body in bad {
        let mut client = client_of(&server);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (answer, _) = client.read_to_end();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{body:?}: {answer}");
    }
}

#[test]
fn chunked_uploads_are_framed_anew_without_extensions_and_trailers() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut client = client_of(&server);
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: X-T\r\n\r\n\
         3;name=\"v\"\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
    );
    let (mut asked, head) = origin.accept();
    assert!(head.to_lowercase().contains("transfer-encoding: chunked\r\n"), "{head}");
    let body = asked.read_to("0\r\n\r\n");
    assert!(!body.contains("X-T") && !body.contains("name"), "{body}");
    asked.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.read_head().starts_with("HTTP/1.1 204 "));
    // The connection is used again.
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(asked.read_head().starts_with("GET /next "));
}

#[test]
fn pipelined_hits_are_answered_in_their_order() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let paths = ["/a", "/b", "/c"];
    for path in paths {
        let mut client = client_of(&server);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"));
        let (mut asked, _) = origin.accept();
        asked.send(page(path));
        client.read_to_end();
        drop(asked);
    }
    let mut client = client_of(&server);
    let requests: String = (0..300)
        .map(|n| format!("GET {} HTTP/1.1\r\nHost: a.example\r\n\r\n", paths[n % 3]))
        .collect();
    client.send(requests);
    for n in 0..300 {
        let head = client.read_head();
        assert!(head.contains("cache-status: wasmcached; hit; ttl="), "{head}");
        assert_eq!(client.read_bytes(2), paths[n % 3].as_bytes());
    }
    // HTTP/1.0 is closed unless it asks not to be; HEAD has the length and no body.
    client.send(
        "HEAD /a HTTP/1.1\r\nHost: a.example\r\n\r\nGET /b HTTP/1.0\r\nHost: a.example\r\n\r\n",
    );
    let head = client.read_head();
    assert!(head.contains("content-length: 2\r\n"), "{head}");
    let (last, end) = client.read_to_end();
    assert!(last.contains("connection: close\r\n") && last.ends_with("\r\n\r\n/b"), "{last}");
    assert_eq!(end, End::Closed);
}

#[test]
fn half_closed_client_is_answered() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    for n in 0..2 {
        let mut client = client_of(&server);
        client.send(GET);
        client.finish_sending();
        if n == 0 {
            let (mut asked, _) = origin.accept();
            asked.send(page("page"));
        }
        let (answer, end) = client.read_to_end();
        assert!(answer.ends_with("\r\n\r\npage"), "{answer}");
        assert_eq!(end, End::Closed);
    }
}

#[test]
fn client_is_asked_for_its_body_only_when_the_origin_takes_it() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut client = client_of(&server);
    let fields = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(format!("PUT / HTTP/1.1\r\n{fields}"));
    let (mut asked, head) = origin.accept();
    assert!(!head.to_lowercase().contains("expect"), "{head}");
    assert_eq!(client.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    assert_eq!(asked.read_bytes(4), b"body");
    asked.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.read_head().starts_with("HTTP/1.1 204 "));
    // Refused without having been asked for.
    client.send("TRACE / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert!(client.read_head().starts_with("HTTP/1.1 405 "));
}

#[test]
fn slow_heads_and_bodies_are_given_up() {
    let origin = RawOrigin::start();
    let slow = "[pages.limits]\nrequest_head_timeout = \"50ms\"\nupload_idle_timeout = \"50ms\"\n";
    let server = server_for(&[&origin], slow);
    let mut slow = client_of(&server);
    slow.send("GET / HTTP/1.1\r\nHost");
    assert!(slow.read_to_end().0.starts_with("HTTP/1.1 408 "));
    let mut body = client_of(&server);
    body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nha");
    assert!(body.read_to_end().0.starts_with("HTTP/1.1 408 "));
}

#[test]
fn silent_client_is_closed() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "[pages.limits]\nidle_timeout = \"50ms\"\n");
    let mut silent = client_of(&server);
    assert_eq!(silent.read_to_end(), (String::new(), End::Closed));
}

#[test]
fn large_bodies_are_refused() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "[pages.limits]\nmax_upload_size = \"1k\"\n");
    let mut large = client_of(&server);
    large.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n");
    assert!(large.read_head().starts_with("HTTP/1.1 413 "));
    let mut chunked = client_of(&server);
    let chunk = "x".repeat(0x401);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.send(format!("{head}401\r\n{chunk}\r\n0\r\n\r\n"));
    assert!(chunked.read_head().starts_with("HTTP/1.1 413 "));
}

#[test]
fn websocket_is_carried_both_ways_and_counted() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "[pages.limits]\nmax_tunnels = 1\n");
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    let mut client = client_of(&server);
    // What is sent ahead is the tunnel's too.
    client.send(format!("{upgrade}ahead"));
    let (mut asked, head) = origin.accept();
    let asked_for = head.to_lowercase();
    assert!(asked_for.contains("connection: upgrade\r\n"), "{head}");
    assert!(asked_for.contains("upgrade: websocket\r\n"), "{head}");
    assert!(asked_for.contains("sec-websocket-key: k\r\n"), "{head}");
    let consent = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n";
    asked.send(format!("HTTP/1.1 101 Switching Protocols\r\n{consent}hello"));
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("sec-websocket-accept: a"));
    assert_eq!(client.read_bytes(5), b"hello");
    assert_eq!(asked.read_bytes(5), b"ahead");
    for n in 0..20 {
        let text = format!("{n:04}").repeat(2_000);
        client.send(&text);
        assert_eq!(asked.read_bytes(8_000), text.as_bytes());
        asked.send(&text);
        assert_eq!(client.read_bytes(8_000), text.as_bytes());
    }
    let mut second = client_of(&server);
    second.send(upgrade);
    let refused = second.read_head();
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1"),
        "{refused}"
    );
    assert!(metric(&server, "pages_tunnels 1"));
    drop(asked);
    // The end is told on, and both ends make the end of the tunnel.
    assert_eq!(client.read_to_end(), (String::new(), End::Closed));
    drop(client);
    eventually("the tunnel is counted", || metric(&server, "pages_tunnels 0"));
    assert!(metric(&server, "pages_tunnel_bytes_total 320010"), "{}", metrics(&server));
}

#[test]
fn refused_upgrade_is_an_answer_like_others() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut client = client_of(&server);
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    client.send(format!("GET /ws HTTP/1.1\r\nHost: a.example\r\n{upgrade}\r\n"));
    let (mut asked, _) = origin.accept();
    asked.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    assert!(client.read_head().starts_with("HTTP/1.1 403 "));
    assert_eq!(client.read_bytes(2), b"no");
    // Another protocol is not asked for.
    client
        .send("GET /h2 HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    let head = asked.read_head();
    assert!(!head.to_lowercase().contains("upgrade"), "{head}");
}

/// Waits until so many requests wait for another's fill.
pub(crate) fn until_waiting(server: &Server, count: usize) {
    eventually("requests wait", || metric(server, &format!("pages_waiting {count}\n")));
}

pub(crate) fn metric(server: &Server, line: &str) -> bool {
    metrics(server).contains(line)
}

pub(crate) fn metrics(server: &Server) -> String {
    http::get(&server.api("/metrics")).text()
}
