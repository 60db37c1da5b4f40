//! Exact interleavings on the wire, written for Varnish's test driver: `tests/vtc`.
//!
//! # Invariants
//! - The driver is origin and clients; Varnish itself does not run.

use std::net::TcpListener;
use std::path::Path;

use wasmcached_tests::{Server, clients, settings};

/// What each of the twenty does in `coalescing`.
const COLD: &str = "\ntxreq -url \"/\"\nbarrier b_asked sync\nrxresp\n\
                    expect resp.status == 200\nexpect resp.body == \"page\"\n";
/// What each of the two does in `hit_for_miss`.
const OWN: &str = "\ntxreq -url \"/\"\nrxresp\nexpect resp.status == 200\n\
                   expect resp.http.cache-status !~ \"stored\"\n\
                   expect resp.body == \"halfhalf\"\n";

/// A free port for a script to listen on. Nothing else of the suites uses this address, so no
/// connection takes the port meanwhile.
fn free_address(number: u8) -> String {
    let address = format!("127.0.9.{number}:0");
    TcpListener::bind(address).unwrap().local_addr().unwrap().to_string()
}

fn run(name: &str, number: u8) {
    let origin = free_address(number);
    let server = Server::start(&format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n[[sites]]\nname = \"a\"\n\
         origin = \"http://{origin}\"\n",
        settings::plain()
    ));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("vtc/{name}.vtc"));
    let pages = format!("pages={}", server.address("pages"));
    let (origin, cold, own) =
        (format!("origin={origin}"), format!("cold={COLD}"), format!("own={OWN}"));
    let mut arguments = vec!["-t", "60"];
    for definition in [&pages, &origin, &cold, &own] {
        arguments.extend(["-D", definition]);
    }
    arguments.push(script.to_str().unwrap());
    clients::printed("varnishtest", &arguments, server.dir());
}

#[test]
fn twenty_clients_of_a_cold_page_are_one_request() {
    run("coalescing", 1);
}

#[test]
fn second_client_reads_what_has_come_before_the_body_ends() {
    run("streaming", 2);
}

#[test]
fn body_that_breaks_off_is_cut_off_and_never_kept() {
    run("dying_origin", 3);
}

#[test]
fn who_waits_for_what_turns_out_private_is_let_go_and_the_next_do_not_wait() {
    run("hit_for_miss", 4);
}

#[test]
fn page_over_its_time_is_served_at_once_while_one_request_refreshes_it() {
    run("stale_while_revalidate", 5);
}

#[test]
fn continue_comes_before_the_body_is_sent() {
    run("expect_100", 6);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    run("pipelining", 7);
}
