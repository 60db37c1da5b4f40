//! A crowd on pages that are purged softly: each purge costs the origin one request per page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustix::process::nice;
use serde_json::json;
use wasmcached_tests::origin::{Gate, Response};
use wasmcached_tests::raw::Wire;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Origin, Server, http, settings};

/// The first two may be served stale while they are refreshed; for the others everybody waits.
const PATHS: [&str; 4] = ["/grace/1", "/grace/2", "/strict/1", "/strict/2"];

/// Clients, each with a connection that it keeps.
const CLIENTS: usize = 128;

const REQUESTS: usize = 10_000;
const PURGES: usize = 20;

/// Requests that are answered while the origin still works on the refresh.
const MEANWHILE: usize = 200;

/// The origin's side: which round it is, and what holds its answers back.
type Round = Arc<Mutex<(usize, Gate)>>;

fn origin(round: &Round) -> Origin {
    let round = Arc::clone(round);
    Origin::start(move |request| {
        let (number, gate) = round.lock().clone();
        gate.pass();
        let kept = match request.target.starts_with("/grace/") {
            true => "max-age=3600, stale-while-revalidate=3600",
            false => "max-age=3600, must-revalidate",
        };
        let response = Response::new(200, format!("round {number:02}"));
        response.with("cache-control", kept).with("surrogate-key", "crowd")
    })
}

/// Asks again and again; counts the answers.
fn ask_until(is_over: &AtomicBool, server: &Server, path: &str, answered: &AtomicUsize) {
    // Behind all others: a database on the same two cores otherwise waits for its turn for longer
    // than a commit may take.
    nice(19).expect("nobody has to be asked for less");
    let mut wire = Wire::connect(server.address("pages"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address("pages"));
    while !is_over.load(Ordering::Acquire) {
        wire.send(&request);
        let head = wire.read_head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(&wire.read_bytes("round 00".len())[..6], b"round ");
        answered.fetch_add(1, Ordering::AcqRel);
    }
}

/// Purges the pages once more, and returns when all of them are new.
fn purge_and_refresh(server: &Server, round: &Round, number: usize, answered: &AtomicUsize) {
    let gate = Gate::closed();
    *round.lock() = (number, gate.clone());
    let purge = json!({"tags": ["crowd"], "mode": "soft"});
    let answer = http::post_json(&server.api("/v1/invalidate"), &purge);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let before = answered.load(Ordering::Acquire);
    gate.wait_until_reached_by(PATHS.len());
    eventually("the crowd is served meanwhile", || {
        answered.load(Ordering::Acquire) >= before + MEANWHILE
    });
    gate.open();
    for path in PATHS {
        let new = format!("round {number:02}");
        eventually("the page is new", || {
            let answer = http::get(&server.page(path));
            answer.is_hit() && answer.text() == new
        });
    }
}

#[test]
fn soft_purge_amid_ten_thousand_requests_costs_one_request_per_page() {
    let gate = Gate::closed();
    gate.open();
    let round = Arc::new(Mutex::new((0, gate)));
    let origin = origin(&round);
    let server = Server::start(&format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n[[sites]]\nname = \"a\"\norigin = \"{}\"\n",
        settings::plain(),
        origin.url()
    ));
    for path in PATHS {
        http::get(&server.page(path));
    }
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Also when an assertion fails, or the crowd would never go home.
        let end = EndOfCrowd(&is_over);
        for client in 0..CLIENTS {
            let (is_over, answered, server) = (&is_over, &answered, &server);
            let path = PATHS[client % PATHS.len()];
            scope.spawn(move || ask_until(is_over, server, path, answered));
        }
        for number in 1..=PURGES {
            purge_and_refresh(&server, &round, number, &answered);
        }
        eventually("ten thousand are served", || answered.load(Ordering::Acquire) >= REQUESTS);
        drop(end);
    });
    for path in PATHS {
        assert_eq!(origin.count(path), 1 + PURGES, "{path}");
    }
}

struct EndOfCrowd<'a>(&'a AtomicBool);

impl Drop for EndOfCrowd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
