//! The contract of plugins over its versions: what was made for an earlier one goes on, and what
//! was made for one that this server does not know is told so.

use std::path::Path;

use serde_json::json;
use wasmcached_tests::components::guest;
use wasmcached_tests::origin::Response;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Origin, Server, Webhook, http, settings};

const OF_THEN: &str = "contract-0-1-0";

fn server_with(origin: &Origin) -> Server {
    let shipped = settings::trekking(&origin.url());
    let shipped = shipped.replace("plugin = \"trekking\"", "plugin = \"then\"");
    let limits = "limits = { key_timeout = \"1s\", store_timeout = \"10s\" }";
    let section = format!("[plugins.then]\nfile = \"{{dir}}/then.wasm\"\n{limits}\n");
    let settings = shipped.replace("[plugins.trekking]\n", &section);
    let settings = settings.replace("[[sources]]", "cache.show_keys = true\n[[sources]]");
    let mut server = Server::prepare(&settings);
    std::fs::write(server.dir().join("then.wasm"), guest(OF_THEN)).unwrap();
    server.try_launch(&wasmcached_tests::server::binary(), &[]).unwrap();
    server
}

#[test]
fn plugin_made_for_the_first_version_works_as_it_always_did() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let server = server_with(&origin);
    let page = server.page("/k2?page=2&x=1");
    eventually("the page is kept", || http::get(&page).is_hit());
    let hit = http::get(&page);
    let key = "then:/k2:[Some(\\\"2\\\")]";
    assert!(hit.field("cache-status").contains(key), "{}", hit.field("cache-status"));
    assert!(http::get(&server.page("/k2?page=2")).is_hit(), "the plugin sees only `page`");
    let bypassed = http::get(&server.page("/bypass"));
    assert!(bypassed.field("cache-status").contains("fwd=bypass"), "{bypassed:?}");
    assert_eq!(server.memcached().set("then:1", "xyz"), "STORED");
    let tags = http::get(&server.cached("then:1")).field("surrogate-key").to_owned();
    assert_eq!(tags, "item:then:1:0:3 plugin:then/1");
    for number in [1, 2] {
        let change = json!({"model": "treks.trek", "pk": "k2", "op": "update"});
        let data = json!({"source": "trekking", "seq": number, "events": [change]});
        let body = json!({"type": "model.changed", "data": data}).to_string();
        let answer = Webhook::of_body(body).post(&server);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(!http::get(&page).is_hit(), "served from before the event");
    let put = server.memcached().get("of:treks.trek").expect("the value of the second event");
    assert!(String::from_utf8(put).unwrap().contains("\"k2\""));
    assert!(server.log().contains("stores then:/k2"), "{}", server.log());
}

#[test]
fn plugins_made_for_other_contracts_are_refused_by_their_version() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let server = server_with(&origin);
    for version in ["0.2.0", "1.0.0"] {
        let answer = http::send(
            "PUT",
            &server.api("/v1/plugins/then"),
            &[],
            &made_for(&guest(OF_THEN), version),
        );
        assert_eq!(answer.status, 422, "{}", answer.text());
        let expected =
            format!("plugin then: speaks plugin contract {version}; this server speaks 0.1");
        assert_eq!(answer.json()["error"], expected);
    }
    let plugin = &http::get(&server.api("/v1/plugins")).json()["plugins"][0];
    assert_eq!(plugin["refused"], 2);
    assert_eq!(http::get(&server.page("/default")).status, 200);
}

/// The component with another version in all names of the contract, of equal length.
fn made_for(component: &[u8], version: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let old = b"@0.1.0";
    let package = b"wasmcached:plugin/";
    let mut changed = 0;
    for at in 0..bytes.len().saturating_sub(64) {
        let name = &bytes[at..at + 64];
        if name.starts_with(package)
            && let Some(found) = name.windows(old.len()).position(|window| window == old)
        {
            bytes[at + found + 1..at + found + old.len()].copy_from_slice(version.as_bytes());
            changed += 1;
        }
    }
    assert!(changed >= 4, "{changed} names of the contract");
    bytes
}

/// The lines of a contract that say something to a machine.
fn lines_of(path: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join(path)).unwrap();
    let lines = text.lines().map(str::trim);
    let said = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    said.filter(|line| !line.starts_with("package ")).map(str::to_owned).collect()
}

#[test]
fn contract_of_today_only_adds_to_the_first() {
    let first = lines_of("tests/guests/contract-0-1-0/wit/wasmcached.wit");
    assert!(first.len() > 80, "{} lines", first.len());
    let today = lines_of("guest-sdk/wit/wasmcached.wit");
    let mut rest = today.iter();
    for line in &first {
        assert!(rest.any(|other| other == line), "`{line}` is gone or has moved");
    }
}
