//! Webhooks: what is applied, what is refused, and that each is counted once.

use serde_json::json;
use wasmcached_tests::origin::Response;
use wasmcached_tests::{Origin, Server, Webhook, http, settings};

/// Not the one that the source has.
const WRONG_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn site() -> (Origin, Server) {
    let origin = Origin::start(|request| Response::cacheable(format!("page {}", request.target)));
    let server = Server::start(&settings::trekking(&origin.url()));
    (origin, server)
}

/// The samples of the metric that counts deliveries, by their labels.
fn deliveries(server: &Server) -> Vec<(String, u64)> {
    let text = http::get(&server.api("/metrics")).text();
    let samples = text.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let (name, labels) = name.split_once('{')?;
        let is_events = name.ends_with("events_total") && labels.contains("result=");
        is_events.then(|| (labels.to_owned(), value.parse().unwrap()))
    });
    samples.collect()
}

/// Runs `deliver` and returns the label of the one sample that it raised by one.
#[track_caller]
fn counted(server: &Server, deliver: impl FnOnce()) -> String {
    let before = deliveries(server);
    deliver();
    let after = deliveries(server);
    let value = |samples: &[(String, u64)], label: &str| {
        samples.iter().find(|(known, _)| known == label).map_or(0, |(_, value)| *value)
    };
    let raised: Vec<_> = after
        .iter()
        .map(|(label, value_after)| (label, value_after - value(&before, label)))
        .filter(|(_, by)| *by > 0)
        .collect();
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(raised[0].1, 1, "{raised:?}");
    raised[0].0.clone()
}

#[test]
fn event_purges_the_pages_that_its_plugin_names_and_no_other() {
    let (_origin, server) = site();
    let pages = ["/", "/treks/annapurna/", "/treks/langtang/", "/queue/"];
    for path in pages {
        http::get(&server.page(path));
    }
    let answer = Webhook::photo("annapurna").post(&server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["sequence"].is_string());
    assert_eq!(answer.json()["affected"], 2);
    let hits = pages.map(|path| http::get(&server.page(path)).is_hit());
    assert_eq!(hits, [false, false, true, true]);
}

#[test]
fn moved_photo_purges_the_trek_that_it_left_too() {
    let (_origin, server) = site();
    let pages = ["/treks/annapurna/", "/treks/langtang/", "/treks/manaslu/"];
    for path in pages {
        http::get(&server.page(path));
    }
    let (before, after) = (json!({"trek": "annapurna"}), json!({"trek": "langtang"}));
    assert_eq!(Webhook::change("treks.photo", before, after).post(&server).status, 200);
    let hits = pages.map(|path| http::get(&server.page(path)).is_hit());
    assert_eq!(hits, [false, false, true]);
}

#[test]
fn tags_of_the_origin_are_purged_through_the_api() {
    let origin = Origin::start(|_| Response::cacheable("page").with("surrogate-key", "red blue"));
    let server = Server::start(&settings::trekking(&origin.url()));
    let answer = http::get(&server.page("/"));
    assert_eq!(answer.field("surrogate-key"), "", "tags are not for visitors");
    let purged = http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["blue"]}));
    assert_eq!((purged.status, &purged.json()["affected"]), (200, &json!(1)));
    assert!(!http::get(&server.page("/")).is_hit());
}

#[test]
fn bad_signature_is_401_and_purges_nothing() {
    let (_origin, server) = site();
    let page = server.page("/treks/annapurna/");
    http::get(&page);
    let good = Webhook::photo("annapurna");
    let wrong_secret = Webhook { secret: WRONG_SECRET.into(), ..good.clone() };
    let too_old = Webhook { timestamp_s: good.timestamp_s - 3_600, ..good.clone() };
    for webhook in [&wrong_secret, &too_old] {
        let answer = webhook.post(&server);
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.json()["error"].is_string());
    }
    let tampered = Webhook { body: b"{}".to_vec(), ..good.clone() };
    assert_eq!(tampered.post_signed(&server, &good.signature()).status, 401);
    assert_eq!(good.post_signed(&server, "v1,").status, 401);
    assert!(http::get(&page).is_hit());
}

#[test]
fn every_delivery_is_answered_and_counted_by_its_result() {
    let (_origin, server) = site();
    let good = Webhook::photo("annapurna");
    let stranger = Webhook { source: "stranger".into(), ..Webhook::photo("annapurna") };
    let malformed = Webhook::of_body("{\"type\":");
    let too_large = Webhook::of_body(vec![b' '; 1024 * 1024 + 1]);
    let mut labels = Vec::new();
    for (webhook, status) in [(&good, 200), (&stranger, 404), (&malformed, 400), (&too_large, 413)]
    {
        labels.push(counted(&server, || {
            let answer = webhook.post(&server);
            assert_eq!(answer.status, status, "{}", answer.text());
        }));
    }
    labels.push(counted(&server, || {
        assert_eq!(Webhook::photo("annapurna").post_signed(&server, "v1,AAAA").status, 401);
    }));
    labels.sort();
    labels.dedup();
    assert_eq!(labels.len(), 5, "{labels:?}");
}

#[test]
fn delivery_that_is_repeated_is_answered_2xx_again() {
    let (_origin, server) = site();
    let webhook = Webhook::photo("annapurna");
    assert_eq!(webhook.post(&server).status, 200);
    assert_eq!(webhook.post(&server).status, 200);
}

#[test]
fn events_are_listed_with_what_they_did() {
    let (_origin, server) = site();
    http::get(&server.page("/treks/annapurna/"));
    let webhook = Webhook::photo("annapurna");
    webhook.post(&server);
    let listed = http::get(&server.api("/v1/events?limit=10")).text();
    assert!(listed.contains(&webhook.id) && listed.contains("treks.photo"), "{listed}");
}

#[test]
fn dry_run_of_an_event_says_what_it_would_do_and_does_nothing() {
    let (_origin, server) = site();
    for path in ["/", "/treks/annapurna/", "/queue/"] {
        http::get(&server.page(path));
    }
    let webhook = Webhook::photo("annapurna");
    let applied = http::get(&server.api("/v1/stats")).json()["freshness"]["applied"].clone();
    for _ in 0..2 {
        let answer = webhook.post_to(&server, "?dry_run=true");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let preview = answer.json();
        assert_eq!((&preview["dry_run"], &preview["duplicate"]), (&json!(true), &json!(false)));
        assert_eq!(preview["affected"], 2);
        assert_eq!(preview["decisions"][0]["by"], "trekking");
        assert_eq!(preview["decisions"][0]["change"], "treks.photo 5 updated");
        let counts: Vec<_> = preview["targets"].as_array().unwrap().iter().collect();
        assert!(counts.iter().any(|target| target["affected"] == 1), "{counts:?}");
    }
    let stats = http::get(&server.api("/v1/stats")).json();
    assert_eq!(stats["freshness"]["applied"], applied);
    assert_eq!(http::get(&server.api("/v1/events")).json()["events"], json!([]));
    assert!(http::get(&server.page("/treks/annapurna/")).is_hit());
    let unsigned = Webhook { secret: WRONG_SECRET.into(), ..webhook.clone() };
    assert_eq!(unsigned.post_to(&server, "?dry_run=true").status, 401);
    assert_eq!(webhook.post_to(&server, "?dry_run=maybe").status, 400);
    // The id is still new: the delivery itself does what was said.
    assert_eq!(webhook.post(&server).json()["affected"], 2);
    assert!(!http::get(&server.page("/treks/annapurna/")).is_hit());
    assert_eq!(webhook.post_to(&server, "?dry_run=true").json()["duplicate"], true);
}

#[test]
fn listed_event_tells_who_decided_what_and_its_cost() {
    let (_origin, server) = site();
    http::get(&server.page("/treks/annapurna/"));
    Webhook::photo("annapurna").post(&server);
    let listed = http::get(&server.api("/v1/events?limit=1")).json();
    let event = &listed["events"][0];
    let decision = &event["decisions"][0];
    assert_eq!((&decision["by"], &event["affected"]), (&json!("trekking"), &json!(1)));
    let actions = decision["actions"].to_string();
    assert!(actions.contains("invalidate tag"), "{actions}");
    assert!(event["cost_us"].as_u64().unwrap() > 0);
    assert_eq!((&event["fallbacks"], &event["puts_refused"]), (&json!(0), &json!(0)));
}
