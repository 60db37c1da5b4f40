//! Plugins over restarts: entries that another version has tagged, or other settings, are not
//! served when nobody names them any more.

use serde_json::json;
use wasmcached_tests::components::guest;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Server, http, settings};

use crate::plugin_reload::{Stage, replace};

/// Has another component run in between, and then the first one again.
fn what_was_stored_before_another_version_ran_is_not_served_after_a_restart(between: &str) {
    let mut stage = Stage::with("", |settings| settings::with_tier(&settings));
    let old = stage.kept("/a").text();
    stage.set("item:1", "old");
    for version in [between, "reload-first"] {
        replace(&stage.file(), &guest(version));
        stage.server.restart();
        // A version that has not tagged them does not name them.
        stage.changed(json!({ "path": "/a" }));
        stage.changed(json!({ "path": "item" }));
        assert_eq!(stage.server.memcached().get("item:1"), None, "{version}");
    }
    assert_ne!(stage.kept("/a").text(), old);
    let kept = stage.kept("/a").text();
    stage.server.restart();
    assert_eq!(stage.kept("/a").text(), kept, "what ran before runs again");
}

#[test]
fn what_was_stored_before_another_epoch_ran_is_not_served_after_a_restart() {
    what_was_stored_before_another_version_ran_is_not_served_after_a_restart("reload-third");
}

#[test]
fn what_was_stored_before_another_component_ran_is_not_served_after_a_restart() {
    what_was_stored_before_another_version_ran_is_not_served_after_a_restart("reload-second");
}

fn what_a_version_stored_that_was_only_sent_is_not_served_after_a_kill(database: &Database) {
    let mut stage = Stage::with("", |settings| database.below(&settings));
    stage.load("reload-second");
    let sent = stage.kept("/a").text();
    stage.set("item:1", "old");
    let queued = || http::get(&stage.server.api("/v1/stats")).json()["tier"]["queued"].clone();
    eventually("the page is in the database", || queued() == json!(0));
    stage.server.kill();
    stage.server.start_again();
    stage.changed(json!({ "path": "/a" }));
    stage.changed(json!({ "path": "item" }));
    assert_ne!(stage.kept("/a").text(), sent, "the first version does not name it");
    assert_eq!(stage.server.memcached().get("item:1"), None);
}

/// Items under `a:` and an event about them, both tagged as one set of rules or as another.
fn rules(database: &str, kind: &str) -> String {
    let items = format!("items = [{{ prefix = \"a:\", tags = [\"{kind}\"] }}]");
    let events = format!("events = [{{ model = \"page\", tags = [\"{kind}\"] }}]");
    let source = format!(
        "[[sources]]\nname = \"trekking\"\nverify = \"standard\"\nplugin = \"rules\"\n\
         secrets = [\"{}\"]\n",
        settings::SECRET
    );
    let rules = format!("[plugins.rules.config.rules]\n{items}\n{events}\n");
    format!("database = \"{database}\"\n{}\n{rules}{source}", settings::plain())
}

#[test]
fn what_other_rules_have_tagged_is_not_served_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/cache.db", folder.path().display());
    for (kind, is_there) in [("one", false), ("one", true), ("two", false), ("one", false)] {
        let mut server = Server::start(&rules(&database, kind));
        assert_eq!(server.memcached().get("a:1").is_some(), is_there, "{kind}");
        assert_eq!(server.memcached().set("a:1", "v"), "STORED");
        server.stop();
    }
}

wasmcached_tests::over_both_databases! {
    what_a_version_stored_that_was_only_sent_is_not_served_after_a_kill,
}
