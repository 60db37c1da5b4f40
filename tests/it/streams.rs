//! Bodies on their way through the page cache: who reads along, what becomes of those that break
//! off, and which origin is asked.

use serde_json::json;
use wasmcached_tests::http;
use wasmcached_tests::raw::{End, RawOrigin};
use wasmcached_tests::wait::eventually;

use crate::wire::{GET, client_of, head_of, metric, page, server_for, until_waiting};

#[test]
fn who_waits_reads_along_and_outlives_the_first_client() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut first = client_of(&server);
    first.send(GET);
    let (mut asked, _) = origin.accept();
    let mut second = client_of(&server);
    second.send(GET);
    until_waiting(&server, 1);
    asked.send(head_of(12));
    asked.send("one,");
    first.read_head();
    assert_eq!(first.read_bytes(4), b"one,");
    assert!(second.read_head().contains("collapsed"));
    assert_eq!(second.read_bytes(4), b"one,");
    // The first is killed; one more comes in the middle of the body.
    drop(first);
    let mut third = client_of(&server);
    third.send(GET);
    assert!(third.read_head().contains("collapsed"));
    assert_eq!(third.read_bytes(4), b"one,");
    asked.send("two,");
    assert_eq!((second.read_bytes(4), third.read_bytes(4)), (b"two,".to_vec(), b"two,".to_vec()));
    asked.send("end!");
    assert_eq!((second.read_bytes(4), third.read_bytes(4)), (b"end!".to_vec(), b"end!".to_vec()));
    let mut last = client_of(&server);
    last.send(GET);
    assert!(last.read_head().contains("; hit;"));
    assert_eq!(last.read_bytes(12), b"one,two,end!");
    assert!(!origin.is_asked());
}

#[test]
fn waiter_after_an_invalidation_never_reads_along_with_an_older_fill() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut first = client_of(&server);
    first.send(GET);
    let (mut old, _) = origin.accept();
    old.send(head_of(8));
    old.send("old,");
    first.read_to("old,");
    let purge = json!({ "urls": ["http://a.example/"] });
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &purge).status, 200);
    let mut second = client_of(&server);
    second.send(GET);
    // A fill of its own, also for those who come after it.
    let (mut new, _) = origin.accept();
    let mut third = client_of(&server);
    third.send(GET);
    until_waiting(&server, 1);
    new.send(page("new"));
    for client in [&mut second, &mut third] {
        client.read_head();
        assert_eq!(client.read_bytes(3), b"new");
    }
    old.send("old!");
    assert_eq!(first.read_bytes(4), b"old!");
    let mut last = client_of(&server);
    last.send(GET);
    assert!(last.read_head().contains("; hit;"));
    assert_eq!(last.read_bytes(3), b"new");
    assert!(!origin.is_asked());
}

#[test]
fn body_that_breaks_off_is_cut_off_for_all_who_read_it_and_not_kept() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    for framing in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut first = client_of(&server);
        first.send(GET);
        let (mut asked, _) = origin.accept();
        let fields = format!("Cache-Control: max-age=60\r\n{framing}");
        asked.send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n4\r\nhalf\r\n"));
        first.read_to("half");
        let mut second = client_of(&server);
        second.send(GET);
        second.read_to("half");
        drop(asked);
        for client in [&mut first, &mut second] {
            let (rest, _) = client.read_to_end();
            assert!(!rest.contains("0\r\n\r\n"), "{framing}: {rest}");
        }
    }
    let mut again = client_of(&server);
    again.send(GET);
    let (mut asked, _) = origin.accept();
    asked.send(page("whole"));
    again.read_to("whole");
}

#[test]
fn client_of_http_1_0_learns_of_a_broken_body_by_a_reset() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut client = client_of(&server);
    client.send("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
    let (mut asked, _) = origin.accept();
    asked.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    let head = client.read_head();
    assert!(!head.contains("transfer-encoding"), "{head}");
    client.read_to("half");
    drop(asked);
    assert_eq!(client.read_to_end().1, End::Reset);
}

#[test]
fn next_origin_answers_where_one_is_dead() {
    let (dead, live) = (RawOrigin::start_at("127.0.9.203"), RawOrigin::start());
    let server = server_for(&[&dead, &live], "");
    drop(dead);
    for n in 0..8 {
        let mut client = client_of(&server);
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        let (mut asked, _) = live.accept();
        asked.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        assert!(client.read_head().starts_with("HTTP/1.1 200 "));
    }
    let log = server.log();
    assert!(log.contains("refused"), "the log says why: {log}");
    assert!(log.contains("origin is out"), "the log says so: {log}");
}

#[test]
fn origin_is_asked_for_no_more_than_it_may_be_at_a_time() {
    let origin = RawOrigin::start();
    let limits = "[pages.limits]\nmax_origin_requests = 1\nmax_origin_queue = 1\n";
    let server = server_for(&[&origin], limits);
    let ask = |path: &str| {
        let mut client = client_of(&server);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        client
    };
    let mut first = ask("/1");
    let (mut asked, _) = origin.accept();
    // One of the two waits, the other is one too many.
    let (mut one, mut other) = (ask("/2"), ask("/3"));
    eventually("one is refused", || metric(&server, "reason=\"origin-busy\"} 1"));
    // The next may come on a connection of its own, whatever is said here.
    asked.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    first.read_to("ok");
    let (mut asked, head) = origin.accept();
    asked.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (served, refused) = match head.starts_with("GET /2 ") {
        true => (&mut one, &mut other),
        false => (&mut other, &mut one),
    };
    assert!(served.read_head().starts_with("HTTP/1.1 200 "));
    let head = refused.read_head();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1\r\n"), "{head}");
}

#[test]
fn early_hints_reach_the_client_before_the_answer_and_are_not_kept() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut client = client_of(&server);
    client.send(GET);
    let (mut asked, _) = origin.accept();
    asked.send("HTTP/1.1 102 Processing\r\n\r\n");
    asked.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x\r\n\r\n");
    let hints = client.read_head();
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a.css>"), "{hints}");
    assert!(!hints.contains("connection"), "{hints}");
    asked.send(page("page"));
    assert!(client.read_head().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.read_bytes(4), b"page");
    client.send(GET);
    assert!(client.read_head().starts_with("HTTP/1.1 200 "));
    let mut old = client_of(&server);
    old.send("GET /old HTTP/1.0\r\nHost: a.example\r\n\r\n");
    let head = asked.read_head();
    assert!(head.starts_with("GET /old "), "{head}");
    asked.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    asked.send(page("old"));
    let (answer, _) = old.read_to_end();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("old"), "{answer}");
}

#[test]
fn upload_is_taken_no_faster_than_the_origin_takes_it_and_comes_whole() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut client = client_of(&server);
    let length = 24 << 20;
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| {
            let piece = vec![b'x'; 1 << 20];
            for _ in 0..24 {
                client.send(&piece);
            }
            client.read_head()
        });
        let (mut asked, _) = origin.accept();
        for _ in 0..24 {
            assert!(!sent.is_finished());
            assert!(asked.read_bytes(1 << 20).iter().all(|byte| *byte == b'x'));
        }
        asked.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert!(sent.join().unwrap().starts_with("HTTP/1.1 204 "));
    });
}

#[test]
fn early_answer_to_an_upload_arrives_and_the_connection_is_closed() {
    let origin = RawOrigin::start();
    let server = server_for(&[&origin], "");
    let mut client = client_of(&server);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    let (mut asked, _) = origin.accept();
    asked.send("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    let (answer, _) = client.read_to_end();
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("no"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}
