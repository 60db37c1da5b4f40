//! New versions of plugins under a running server: who decides when, and what becomes of entries.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use wasmcached_tests::components::guest;
use wasmcached_tests::origin::Response;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Answer, Gate, Origin, Server, Webhook, http, settings};

/// A server with the plugin `reload`, whose file holds the first version.
pub(crate) struct Stage {
    /// Listens for as long as this lives.
    _origin: Origin,
    pub(crate) server: Server,
    folder: TempDir,
}

/// One site and one source with the plugin of this file; `more` stands below its section.
pub(crate) fn settings_of(origin: &str, file: &Path, more: &str) -> String {
    let shipped =
        settings::trekking(origin).replace("plugin = \"trekking\"", "plugin = \"reload\"");
    let section = format!("[plugins.reload]\nfile = {file:?}\n{more}\n");
    shipped.replace("[plugins.trekking]\n", &section)
}

/// Replaces a file as editors and deployments do.
pub(crate) fn replace(file: &Path, content: &[u8]) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(&beside, file).unwrap();
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with("", |settings| settings)
    }

    pub(crate) fn with(more: &str, change: impl Fn(String) -> String) -> Self {
        let answers = AtomicUsize::new(0);
        let origin = Origin::start(move |request| {
            // No two alike, so that a body tells which fill it came from.
            let number = answers.fetch_add(1, Ordering::Relaxed);
            Response::cacheable(format!("page {} {number}", request.target))
        });
        Self::of(origin, more, change)
    }

    fn of(origin: Origin, more: &str, change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reload.wasm");
        replace(&file, &guest("reload-first"));
        let server = Server::start(&change(settings_of(&origin.url(), &file, more)));
        Self { _origin: origin, server, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("reload.wasm")
    }

    pub(crate) fn put(&self, component: &[u8]) -> Answer {
        http::send("PUT", &self.server.api("/v1/plugins/reload"), &[], component)
    }

    #[track_caller]
    pub(crate) fn load(&self, version: &str) -> Value {
        let answer = self.put(&guest(version));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    #[track_caller]
    fn roll_back(&self) {
        let answer = http::send("POST", &self.server.api("/v1/plugins/reload/rollback"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) fn shown(&self) -> Value {
        http::get(&self.server.api("/v1/plugins")).json()["plugins"][0].clone()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let answer = http::get(&self.server.page(path));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// What is kept of a page, which is fetched if nothing is. Asks until it is a hit: on a busy
    /// machine a plugin may miss its deadline, and the cache is then left alone for once.
    #[track_caller]
    pub(crate) fn kept(&self, path: &str) -> Answer {
        let mut hit = None;
        eventually("the page is kept", || {
            hit = Some(self.get(path)).filter(Answer::is_hit);
            hit.is_some()
        });
        hit.unwrap()
    }

    #[track_caller]
    pub(crate) fn set(&self, key: &str, value: &str) {
        let mut memcached = self.server.memcached();
        eventually("the item is kept", || memcached.set(key, value) == "STORED");
    }

    /// The tags of what is kept under a key.
    fn tags(&self, key: &str) -> String {
        http::get(&self.server.cached(key)).field("surrogate-key").to_owned()
    }

    pub(crate) fn changed(&self, after: Value) -> Value {
        let answer = Webhook::change("page", json!({}), after).post(&self.server);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

#[test]
fn pages_items_and_events_follow_a_new_version_and_a_roll_back() {
    let stage = Stage::new();
    let first = stage.shown();
    let mut bodies = Vec::new();
    assert_eq!((&first["persistent"], &first["previous"]), (&json!(true), &Value::Null));
    for (version, path) in [("first", "/a"), ("second", "/b"), ("first", "/c")] {
        match path {
            "/b" => {
                let second = stage.load("reload-second");
                assert_ne!(second["sha256"], first["sha256"]);
                assert_eq!(
                    (&second["persistent"], &second["key_epoch"]),
                    (&json!(false), &json!(1))
                );
                assert_eq!(second["previous"]["sha256"], first["sha256"]);
            }
            "/c" => {
                stage.roll_back();
                assert_eq!(stage.shown()["sha256"], first["sha256"]);
                eventually("who changed it reads it in the log", || {
                    stage.server.log().contains("back to the version before")
                });
            }
            _ => {}
        }
        let page = stage.kept(path);
        // The second version looks at one more field.
        assert_eq!(page.field("vary").contains("x-lang"), version == "second", "{version}");
        assert!(stage.tags(&format!("page:{path}")).contains(&format!("{version}:{path}")));
        stage.set(&format!("item:{path}"), "v");
        assert!(stage.tags(&format!("item:{path}")).contains(&format!("{version}:item")));
        stage.changed(json!({ "path": path }));
        let fresh = stage.kept(path).text();
        assert_ne!(fresh, page.text(), "{version} names {path} when it is changed");
        bodies.push((path, fresh));
    }
    // Same key epoch: what the versions before stored is there as long as it is right.
    for (path, body) in bodies {
        assert_eq!(stage.kept(path).text(), body);
    }
}

#[test]
fn roll_back_does_not_bring_a_version_back_that_has_given_way_by_itself() {
    let stage = Stage::new();
    let first = stage.shown()["sha256"].clone();
    stage.load("hostile");
    eventually("the first version takes over", || {
        http::send("GET", &stage.server.page("/a"), &[("x-mode", "trap")], b"");
        stage.shown()["sha256"] == first
    });
    let answer = http::send("POST", &stage.server.api("/v1/plugins/reload/rollback"), &[], b"");
    assert_eq!(answer.status, 409);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains(first.as_str().unwrap()), "{error}");
    assert_eq!(stage.shown()["sha256"], first);
}

#[test]
fn event_also_ends_what_a_version_before_has_tagged() {
    let stage = Stage::new();
    let old = stage.kept("/old").text();
    stage.set("item:1", "old");
    let shown = stage.load("reload-second");
    assert_eq!(shown["still_asked"][0]["sha256"], shown["previous"]["sha256"]);
    let new = stage.kept("/new").text();
    assert_eq!(stage.kept("/old").text(), old);
    stage.changed(json!({ "path": "/old" }));
    assert_ne!(stage.kept("/old").text(), old);
    assert_eq!(stage.kept("/new").text(), new);
    stage.changed(json!({ "path": "/new" }));
    assert_ne!(stage.kept("/new").text(), new);
    stage.changed(json!({ "path": "item" }));
    assert_eq!(stage.server.memcached().get("item:1"), None);
    // Also the other way round.
    let newer = stage.kept("/newer").text();
    stage.roll_back();
    assert_eq!(stage.kept("/newer").text(), newer);
    stage.changed(json!({ "path": "/newer" }));
    assert_ne!(stage.kept("/newer").text(), newer);
}

#[test]
fn fill_from_before_an_event_is_not_stored_by_a_version_that_came_after_it() {
    let stage = Stage::new();
    let mut filling = stage.server.memcached();
    let mut counting = stage.server.memcached();
    assert_eq!(filling.get("item:1"), None);
    assert_eq!(counting.get("item:2"), None);
    stage.changed(json!({ "path": "item" }));
    // Its tags are not those that the event has named.
    stage.load("reload-second");
    assert_eq!(filling.set("item:1", "of before"), "NOT_STORED");
    assert_eq!(counting.ask("ma item:2 N60 J7"), "NS");
    for key in ["item:1", "item:2"] {
        assert_eq!(stage.server.memcached().get(key), None);
    }
    // Nothing has happened since: what is read now is as good as can be.
    assert_eq!(filling.get("item:1"), None);
    eventually("the item is kept", || filling.set("item:1", "of now") == "STORED");
    assert!(stage.tags("item:1").contains("second:item"));
}

#[test]
fn fill_from_before_an_event_is_not_stored_without_the_tags_that_a_version_before_gave() {
    let stage = Stage::new();
    let mut filling = stage.server.memcached();
    assert_eq!(filling.get("item:1"), None);
    stage.changed(json!({ "path": "item" }));
    stage.load("partial");
    assert_eq!(filling.set("item:1", "of before"), "NOT_STORED");
    assert_eq!(filling.get("item:1"), None);
    assert_eq!(filling.set("item:1", "of now"), "STORED");
}

#[test]
fn failure_of_the_version_before_purges_by_the_model() {
    let stage = Stage::new();
    stage.load("reload-second");
    let before = stage.kept("/other").text();
    stage.changed(json!({ "path": "/none" }));
    assert_eq!(stage.kept("/other").text(), before);
    stage.changed(json!({ "path": "/none", "fails": true }));
    assert_ne!(stage.kept("/other").text(), before);
    let listed = http::get(&stage.server.api("/v1/events?limit=1")).json();
    assert_eq!(listed["events"][0]["fallbacks"], 1);
}

#[test]
fn entries_of_another_key_epoch_are_not_served_and_do_not_come_back() {
    let mut stage = Stage::with("", |settings| settings::with_tier(&settings));
    let first = stage.kept("/a").text();
    stage.set("item:1", "old");
    assert_eq!(stage.load("reload-third")["key_epoch"], 2);
    let third = stage.kept("/a").text();
    assert_ne!(third, first);
    let mut memcached = stage.server.memcached();
    assert_eq!(memcached.get("item:1"), None);
    stage.set("item:1", "new");
    stage.roll_back();
    let first_again = stage.kept("/a").text();
    assert!(![first, third].contains(&first_again), "what either had before is gone");
    assert_eq!(memcached.get("item:1"), None);
    // A restart loads what the file has: another epoch than that of the rows below the memory.
    replace(&stage.file(), &guest("reload-third"));
    stage.server.restart();
    let third_again = stage.kept("/a").text();
    assert_ne!(third_again, first_again);
    // And one of the same epoch leaves them.
    stage.server.restart();
    assert_eq!(stage.kept("/a").text(), third_again);
}

#[test]
fn request_under_way_ends_on_the_version_that_it_began_with() {
    let (gate, is_slow) = (Gate::closed(), Arc::new(AtomicBool::new(false)));
    let (held, holds) = (gate.clone(), Arc::clone(&is_slow));
    let origin = Origin::start(move |_| {
        if holds.load(Ordering::SeqCst) {
            held.pass();
        }
        Response::cacheable(if holds.load(Ordering::SeqCst) { "slow" } else { "page" })
    });
    let stage = Stage::of(origin, "", |settings| settings);
    // The plugin's key is remembered from here on.
    stage.kept("/slow");
    stage.changed(json!({ "path": "/slow" }));
    is_slow.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| stage.get("/slow"));
        gate.wait_until_reached_by(1);
        stage.load("reload-second");
        gate.open();
        assert_eq!(slow.join().unwrap().text(), "slow");
    });
    eventually("the page is kept", || stage.tags("page:/slow").contains("first:/slow"));
    is_slow.store(false, Ordering::SeqCst);
    assert_eq!(stage.kept("/slow").text(), "slow");
    // Its events still reach it.
    stage.changed(json!({ "path": "/slow" }));
    assert_eq!(stage.kept("/slow").text(), "page");
}

#[test]
fn no_request_fails_while_versions_come_and_go() {
    let stage = Stage::new();
    let has_ended = AtomicBool::new(false);
    let versions = ["reload-second", "reload-third", "reload-first"].map(guest);
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (stage, has_ended) = (&stage, &has_ended);
            scope.spawn(move || {
                let mut n = 0;
                while !has_ended.load(Ordering::Relaxed) {
                    let path = format!("/{worker}/{}", n % 5);
                    let text = stage.get(&path).text();
                    assert!(text.starts_with(&format!("page {path} ")), "{text}");
                    n += 1;
                }
            });
        }
        for _ in 0..3 {
            for version in &versions {
                let answer = stage.put(version);
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            stage.roll_back();
        }
        has_ended.store(true, Ordering::Relaxed);
    });
    let calls = stage.shown()["calls"].clone();
    let trapped = calls.as_array().unwrap().iter().filter(|call| call["outcome"] == "trap");
    assert!(
        trapped.clone().count() > 0 && trapped.clone().all(|call| call["count"] == 0),
        "{calls}"
    );
}

#[test]
fn hang_up_reads_the_file_again_and_a_broken_one_changes_nothing() {
    let stage = Stage::new();
    let first = stage.shown()["sha256"].clone();
    stage.load("reload-second");
    let second = stage.shown()["sha256"].clone();
    replace(&stage.file(), b"\0asm\x0d\0\x01\0 and no more");
    stage.server.hang_up();
    eventually("the file is refused", || stage.shown()["refused"] == 1);
    let shown = stage.shown();
    assert_eq!(shown["sha256"], second);
    assert!(shown["last_error"].as_str().unwrap().contains("not a component"), "{shown}");
    let metrics = http::get(&stage.server.api("/metrics")).text();
    assert!(metrics.contains("wasmcached_plugin_refused_total{plugin=\"reload\"} 1"));
    replace(&stage.file(), &guest("reload-third"));
    stage.server.hang_up();
    let is_loaded = |shown: Value| shown["key_epoch"] == 2 && shown["persistent"] == true;
    eventually("the file is loaded", || is_loaded(stage.shown()));
    assert_eq!(stage.shown()["last_error"], Value::Null);
    // A file that is as it was does not undo a roll-back.
    stage.roll_back();
    stage.server.hang_up();
    let told = || stage.server.log().matches("reloaded").count();
    eventually("each signal is answered in the log", || told() == 3);
    assert_eq!(stage.shown()["sha256"], second);
    assert_ne!(first, second);
}

#[test]
fn watched_file_is_loaded_when_it_changes() {
    let stage = Stage::with("watch = true", |settings| settings);
    replace(&stage.file(), b"nonsense");
    eventually("the file is refused", || stage.shown()["refused"] == 1);
    assert_eq!(stage.shown()["key_epoch"], 1);
    replace(&stage.file(), &guest("reload-third"));
    eventually("the file is loaded", || stage.shown()["key_epoch"] == 2);
    stage.kept("/a");
    assert!(stage.tags("page:/a").contains("third:/a"));
}

/// The component with a section that means nothing, so that it is another one.
fn numbered(version: &str, number: u8) -> Vec<u8> {
    let mut component = guest(version);
    component.extend([0, 3, 1, b'n', number]);
    component
}

#[test]
fn what_a_version_has_stored_ends_when_later_ones_push_it_out() {
    let stage = Stage::with("", |settings| settings::with_tier(&settings));
    let old = stage.kept("/old").text();
    stage.set("item:1", "old");
    for number in 1..=3 {
        assert_eq!(stage.put(&numbered("reload-second", number)).status, 200);
    }
    assert_eq!(stage.kept("/old").text(), old, "the first version is asked still");
    assert_eq!(stage.put(&numbered("reload-second", 4)).status, 200);
    let asked = || stage.shown()["still_asked"].as_array().unwrap().len();
    eventually("the first version is let go", || asked() == 3);
    assert_ne!(stage.kept("/old").text(), old);
    assert_eq!(stage.server.memcached().get("item:1"), None);
}
