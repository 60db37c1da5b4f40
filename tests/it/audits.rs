//! `[audit]`: pages that an event should have ended are found by comparing them with the origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use wasmcached_tests::origin::{Gate, Response};
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Origin, Server, Webhook, http, settings};

const HOME: &str = "/";
const TREK: &str = "/treks/annapurna/";
const ABOUT: &str = "/about/";

/// Whether the rules of events name the page that lists all treks.
#[derive(Clone, Copy)]
enum Rules {
    Right,
    WithoutHome,
}

/// A site whose plugin `rules` tags the list and each trek.
fn settings_with(rules: Rules, origin: &Origin, audit: &str) -> String {
    let home = match rules {
        Rules::Right => "\"home\", ",
        Rules::WithoutHome => "",
    };
    let secret = settings::SECRET;
    format!(
        "{plain}\n[pages]\nlisten = \"127.0.0.1:0\"\n\n[plugins.rules.config.rules]\n\
         store = [{{ path = \"/treks/*\", tags = [\"trek:{{path.1}}\"] }}, \
                  {{ path = \"/\", tags = [\"home\"] }}]\n\
         events = [{{ model = \"treks.photo\", tags = [{home}\"trek:{{after.trek}}\"] }}]\n\n\
         [[sites]]\nname = \"trekking\"\norigin = \"{origin}\"\nplugin = \"rules\"\n\n\
         [[sources]]\nname = \"trekking\"\nverify = \"standard\"\nsecrets = [\"{secret}\"]\n\
         plugin = \"rules\"\n\n{audit}",
        plain = settings::plain(),
        origin = origin.url(),
    )
}

const ALL: &str = "[audit]\nshare = 1.0\nsettle_ms = 20\n";

/// An origin whose pages show how often something was saved, but for one.
fn origin() -> (Origin, Arc<AtomicU64>) {
    let saved = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&saved);
    let origin = Origin::start(move |request| {
        let version = match request.target.as_str() {
            ABOUT => 0,
            _ => shown.load(Ordering::SeqCst),
        };
        Response::cacheable(format!("{} {version}", request.target))
    });
    (origin, saved)
}

/// Has a page stored; also where a busy machine makes the plugin miss its deadline at first.
fn store(server: &Server, path: &str) {
    eventually("the page is stored", || http::get(&server.page(path)).is_hit());
}

fn newest_event(server: &Server) -> Value {
    http::get(&server.api("/v1/events?limit=1")).json()["events"][0].clone()
}

/// Posts an event and returns what its audit has found.
fn audited(server: &Server) -> Value {
    let answer = Webhook::photo("annapurna").post(server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("the event is audited", || newest_event(server)["audit"].is_object());
    newest_event(server)["audit"].clone()
}

fn metrics(server: &Server) -> String {
    http::get(&server.api("/metrics")).text()
}

#[test]
fn page_that_a_broken_rule_leaves_stale_is_found_named_and_invalidated() {
    let (origin, saved) = origin();
    let server = Server::start(&settings_with(Rules::WithoutHome, &origin, ALL));
    for path in [HOME, TREK, ABOUT] {
        store(&server, path);
    }
    saved.fetch_add(1, Ordering::SeqCst);
    assert_eq!(audited(&server), json!({"checked": 2, "stale": 1, "unstable": 0}));
    let counted = "wasmcached_stale_reads_total{site=\"trekking\",plugin=\"rules\"} 1\n";
    assert!(metrics(&server).contains(counted), "{}", metrics(&server));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("stale page") && line.contains("home"));
    let line = line.unwrap_or_else(|| panic!("no stale page in\n{log}"));
    for named in ["WARN", "rules", "treks.photo 5 updated", &server.page(HOME)] {
        assert!(line.contains(named), "no {named} in {line}");
    }
    let explained = http::get(&server.api(&format!("/v1/explain?url={}", server.page(HOME))));
    assert_eq!(explained.json()["invalidated_by"]["source"], "audit");
    let answer = http::get(&server.page(HOME));
    assert!(!answer.is_hit() && answer.text() == "/ 1", "{answer:?}");
    assert!(http::get(&server.page(ABOUT)).is_hit());
}

#[test]
fn right_rules_leave_nothing_to_find() {
    let (origin, saved) = origin();
    let server = Server::start(&settings_with(Rules::Right, &origin, ALL));
    for path in [HOME, TREK] {
        store(&server, path);
    }
    saved.fetch_add(1, Ordering::SeqCst);
    let other = "/treks/langtang/";
    store(&server, other);
    let requests = http::get(&server.api("/metrics")).text();
    let found = audited(&server);
    assert_eq!(found, json!({"checked": 1, "stale": 0, "unstable": 0}));
    assert!(metrics(&server).contains("audited_pages_total{result=\"same\"} 1\n"));
    assert!(!metrics(&server).contains("stale_reads_total{"));
    assert!(http::get(&server.page(other)).is_hit());
    // Nobody's request: no outcome of a client's has risen but that of the hit.
    let misses =
        |text: &str| text.lines().find(|l| l.contains("outcome=\"miss\"")).map(String::from);
    assert_eq!(misses(&requests), misses(&metrics(&server)));
}

#[test]
fn page_that_differs_from_itself_is_unstable_and_not_stale() {
    let tokens = AtomicU64::new(0);
    let origin = Origin::start(move |_| {
        Response::cacheable(format!("token {}", tokens.fetch_add(1, Ordering::SeqCst)))
    });
    let server = Server::start(&settings_with(Rules::WithoutHome, &origin, ALL));
    store(&server, HOME);
    assert_eq!(audited(&server), json!({"checked": 1, "stale": 0, "unstable": 1}));
    assert!(http::get(&server.page(HOME)).is_hit());
    assert!(!metrics(&server).contains("stale_reads_total{"));
}

#[test]
fn page_that_its_event_ends_late_is_overtaken_and_not_stale() {
    let saved = Arc::new(AtomicU64::new(0));
    let compared = AtomicU64::new(0);
    let gate = Gate::closed();
    let origin = {
        let (saved, gate) = (Arc::clone(&saved), gate.clone());
        Origin::start(move |_| {
            let version = saved.load(Ordering::SeqCst);
            // The second fetch to compare is answered when the test says so.
            if version == 1 && compared.fetch_add(1, Ordering::SeqCst) == 1 {
                gate.pass();
            }
            Response::cacheable(format!("version {version}"))
        })
    };
    let server = Server::start(&settings_with(Rules::WithoutHome, &origin, ALL));
    store(&server, HOME);
    // This change is shown by the origin before its event has come.
    saved.store(1, Ordering::SeqCst);
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    gate.wait_until_reached_by(1);
    let answer = http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["home"]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    gate.open();
    eventually("the event is audited", || newest_event(&server)["audit"].is_object());
    assert_eq!(newest_event(&server)["audit"]["stale"], 0);
    assert!(metrics(&server).contains("audited_pages_total{result=\"overtaken\"} 1\n"));
}

#[test]
fn variants_are_compared_with_what_their_own_request_gets() {
    let origin = Origin::start(|request| {
        let language = request.field("accept-language").unwrap_or("none").to_owned();
        Response::cacheable(language).with("vary", "accept-language")
    });
    let server = Server::start(&settings_with(Rules::Right, &origin, ALL));
    for language in ["de", "fr"] {
        let language = [("accept-language", language)];
        let get = || http::send("GET", &server.page(ABOUT), &language, b"");
        eventually("the variant is stored", || get().is_hit());
    }
    assert_eq!(audited(&server), json!({"checked": 2, "stale": 0, "unstable": 0}));
    assert!(metrics(&server).contains("audited_pages_total{result=\"same\"} 2\n"));
}

#[test]
fn audits_are_off_unless_a_share_is_named() {
    let (origin, saved) = origin();
    let off = "[audit]\nsettle_ms = 0\n";
    let server = Server::start(&settings_with(Rules::WithoutHome, &origin, off));
    store(&server, HOME);
    let before = origin.requests().len();
    for _ in 0..5 {
        saved.fetch_add(1, Ordering::SeqCst);
        assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
        assert_eq!(newest_event(&server)["audit"], Value::Null);
    }
    assert!(http::get(&server.page(HOME)).is_hit());
    assert_eq!(origin.requests().len(), before);
}

#[test]
fn share_beyond_one_is_refused_at_start() {
    let (origin, _) = origin();
    let settings = settings_with(Rules::Right, &origin, "[audit]\nshare = 2\n");
    let output = wasmcached_tests::server::serve_to_its_end(&settings, &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("audit.share: is 2; 0 to 1 are allowed"), "{said}");
}
