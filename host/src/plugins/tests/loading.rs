//! What is loaded, what is refused, and how one version follows another.

use std::fs;
use std::io::Write as _;

use super::*;
use crate::model::{Input, KeyDecision};
use crate::plugins::PluginError;

fn refusal(source: PluginSource) -> String {
    match Plugins::load(vec![source], Clock::manual(0)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was loaded"),
    }
}

fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, PluginSource) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let origin = PluginOrigin::File(file.path().to_owned());
    (file, source("odd", origin, &[]))
}

fn of_text(wat: &str) -> (tempfile::NamedTempFile, PluginSource) {
    file(&wat::parse_str(wat).unwrap())
}

#[test]
fn shipped_plugins_load_and_say_what_they_are() {
    let shipped = |name| source(name, PluginOrigin::Shipped, &[]);
    let django = source("django", PluginOrigin::Shipped, &[("release", "6.1")]);
    let plugins = vec![shipped("trekking"), shipped("rules"), django];
    let plugins = Plugins::load(plugins, Clock::manual(0)).unwrap();
    let names: Vec<String> = plugins.list().iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(names, ["trekking", "rules", "django"]);
    let trekking = plugins.get("trekking").unwrap();
    assert_eq!((trekking.version(), trekking.key_epoch()), (env!("CARGO_PKG_VERSION"), 1));
    assert!(trekking.has_keyer() && trekking.has_tagger() && trekking.has_invalidator());
    assert_eq!(trekking.sha256().len(), 64);
    assert_eq!((trekking.inputs().len(), trekking.item_prefixes().len()), (0, 0));
    assert!(plugins.get("shop").is_none());
}

#[test]
fn what_a_plugin_declares_may_depend_on_its_settings() {
    let rules = r#"{"keys":{"bypass_cookies":["sessionid"]},"items":[{"prefix":"frag:"}]}"#;
    let plugins = load(source("rules", PluginOrigin::Shipped, &[("rules", rules)]));
    let plugin = only(&plugins);
    assert_eq!(plugin.inputs(), [Input::Cookie("sessionid".to_owned())]);
    assert_eq!(plugin.item_prefixes(), ["frag:"]);
}

#[test]
fn a_missing_file_is_named() {
    let origin = PluginOrigin::File("/nowhere/shop.wasm".into());
    let error = refusal(source("shop", origin, &[]));
    assert!(error.starts_with("plugin shop: /nowhere/shop.wasm: No such file"), "{error}");
}

#[test]
fn an_unknown_shipped_plugin_is_answered_with_those_that_ship() {
    let error = refusal(source("shop", PluginOrigin::Shipped, &[]));
    let expected = "plugin shop: not shipped with the server; there are django, nginx-keys, rules, \
                    trekking, or name a file";
    assert_eq!(error, expected);
}

#[test]
fn files_that_are_no_components_are_refused_with_the_reason() {
    let (_kept, module) = of_text("(module)");
    let expected = "plugin odd: not a component: it is a core module; \
                    build it for wasm32-wasip2, or run `wasm-tools component new`";
    assert_eq!(refusal(module), expected);
    let (_kept, text) = file(b"#!/bin/sh");
    assert_eq!(refusal(text), "plugin odd: not a component: it does not begin like a Wasm file");
    let (_kept, empty) = file(b"");
    assert_eq!(refusal(empty), "plugin odd: not a component: the file is empty");
    let whole = fs::read(env!("WASMCACHED_GUEST_HOSTILE")).unwrap();
    let (_kept, half) = file(&whole[..whole.len() / 2]);
    let error = refusal(half);
    assert!(error.starts_with("plugin odd: not a component: "), "{error}");
}

#[test]
fn an_import_that_is_not_granted_is_refused_by_name() {
    let (_kept, nosy) = of_text(
        r#"(component
            (import "wasi:sockets/tcp@0.2.6" (instance))
            (import "wasi:io/error@0.2.6" (instance))
            (import "acme:spy/on-us" (instance)))"#,
    );
    let expected = "plugin odd: imports wasi:sockets/tcp@0.2.6, acme:spy/on-us, \
                    which plugins are not given";
    assert_eq!(refusal(nosy), expected);
}

#[test]
fn a_component_that_is_not_the_pinned_one_is_refused_with_both_hashes() {
    let mut pinned = hostile(&[]);
    pinned.sha256 = Some("0".repeat(64));
    let found = only(&load(hostile(&[]))).sha256().to_owned();
    let zeros = "0".repeat(64);
    let expected = format!("plugin hostile: the component has sha256 {found}; pinned is {zeros}");
    assert_eq!(refusal(pinned), expected);
    let mut right = hostile(&[]);
    right.sha256 = Some(found);
    load(right);
}

#[test]
fn a_plugin_for_another_version_of_the_contract_is_told_so() {
    for (version, wat) in [
        (
            "0.2.0",
            r#"(component
                (instance $hollow)
                (export "wasmcached:plugin/lifecycle@0.2.0" (instance $hollow)))"#,
        ),
        ("0.3.1", r#"(component (import "wasmcached:plugin/log@0.3.1" (instance)))"#),
        ("1.0.0", r#"(component (import "wasmcached:plugin/types@1.0.0" (instance)))"#),
    ] {
        let (_kept, other) = of_text(wat);
        let expected =
            format!("plugin odd: speaks plugin contract {version}; this server speaks 0.1");
        assert_eq!(refusal(other), expected);
    }
}

#[test]
fn a_component_that_is_no_plugin_is_told_what_it_lacks() {
    let (_kept, empty) = of_text("(component)");
    let expected = "plugin odd: does not export wasmcached:plugin/lifecycle@0.1.0";
    assert_eq!(refusal(empty), expected);
    let (_kept, hollow) = of_text(
        r#"(component
            (instance $hollow)
            (export "wasmcached:plugin/lifecycle@0.1.0" (instance $hollow)))"#,
    );
    let error = refusal(hollow);
    assert!(error.starts_with("plugin odd: does not fit the contract: "), "{error}");
}

#[test]
fn a_plugin_that_refuses_its_settings_is_not_loaded() {
    let error = refusal(hostile(&[("start", "refuse-configuration")]));
    assert_eq!(error, "plugin hostile: configure: this configuration is refused");
    let error = refusal(source("rules", PluginOrigin::Shipped, &[("rules", r#"{"event":[]}"#)]));
    let expected = "plugin rules: configure: rules: unknown field `event`; did you mean `events`";
    assert_eq!(error, expected);
}

#[test]
fn a_plugin_that_describes_itself_wrongly_is_not_loaded() {
    let long = "p".repeat(251);
    let error = refusal(hostile(&[("prefix", &long)]));
    assert_eq!(error, "plugin hostile: describe: item prefix is 251 bytes; limit is 250");
}

#[test]
fn a_plugin_that_needs_more_memory_than_allowed_is_not_loaded() {
    let mut small = hostile(&[]);
    small.limits.memory_bytes_max = 64 * 1024;
    let error = refusal(small);
    assert!(error.starts_with("plugin hostile: configure: the plugin trapped: "), "{error}");
}

#[test]
fn one_name_is_one_plugin() {
    let twice = vec![hostile(&[]), hostile(&[])];
    let error = Plugins::load(twice, Clock::manual(0)).err().unwrap();
    assert_eq!(error.to_string(), "plugin hostile: configured twice");
}

#[test]
fn a_replacement_holds_at_once_and_the_old_version_can_come_back() {
    let plugins = load(hostile(&[("mode", "environment")]));
    let seen_by =
        |plugins: &Plugins| only(plugins).cache_key(&request("/", None, &[None])).unwrap();
    let first = only(&plugins);
    assert_eq!(seen_by(&plugins), KeyDecision::Custom(key("0|0|false")));
    plugins.replace(hostile(&[])).unwrap();
    assert_eq!(seen_by(&plugins), KeyDecision::Custom(key("fine")));
    // A call under way still has the version that it began with.
    let begun = first.cache_key(&request("/", None, &[None])).unwrap();
    assert_eq!(begun, KeyDecision::Custom(key("0|0|false")));
    roll_back(&plugins).unwrap();
    assert_eq!(seen_by(&plugins), KeyDecision::Custom(key("0|0|false")));
    // Counters belong to the name.
    assert_eq!(count(&only(&plugins), Hook::Key, Outcome::Ok), 4);
}

#[test]
fn a_replacement_that_fails_leaves_the_old_version() {
    let plugins = load(hostile(&[]));
    let error = plugins.replace(hostile(&[("start", "refuse-configuration")])).unwrap_err();
    assert!(matches!(error, PluginError::Configure { .. }));
    let decision = only(&plugins).cache_key(&request("/", None, &[None])).unwrap();
    assert_eq!(decision, KeyDecision::Custom(key("fine")));
    assert!(plugins.versions("hostile").unwrap().previous().is_none());
}

#[test]
fn the_first_plugin_may_come_after_the_start() {
    let plugins = Plugins::none(CodeFolder::Nowhere);
    assert!(plugins.list().is_empty());
    assert!(plugins.versions("hostile").is_none());
    plugins.clone().replace(hostile(&[])).unwrap();
    assert_eq!(only(&plugins).key_epoch(), 7);
}
