//! Plugins as the server has them: real components, compiled by `build.rs`.
//!
//! # Invariants
//! - Nothing here measures time: a loop must end, and end as a deadline.
//!
//! # Not here
//! The plugins' own rules, which are tested natively beside them.

mod breaking;
mod calls;
mod hostile;
mod loading;
mod looking;

use std::path::PathBuf;
use std::time::Duration;

use super::{
    AllowEverything, CodeFolder, Hook, Incident, Outcome, Plugin, PluginError, PluginLimits,
    PluginOrigin, PluginSource, Plugins,
};
use crate::clock::Clock;
use crate::model::{Event, Key, Operation, RequestView, ResponseView};

/// Limits that a busy machine does not reach by accident.
fn patient() -> PluginLimits {
    PluginLimits { key_ms_max: 20_000, store_ms_max: 20_000, ..PluginLimits::default() }
}

/// Limits that an endless loop reaches soon.
fn impatient() -> PluginLimits {
    let (key_ms_max, store_ms_max, event_ms_max) = (3, 3, 3);
    let default = PluginLimits::default();
    // A start that behaves is not to reach it by accident.
    PluginLimits { key_ms_max, store_ms_max, event_ms_max, ..default }
}

fn source(name: &str, origin: PluginOrigin, config: &[(&str, &str)]) -> PluginSource {
    let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (name, sha256, limits) = (name.to_owned(), None, patient());
    PluginSource { name, origin, sha256, config, limits }
}

fn hostile(config: &[(&str, &str)]) -> PluginSource {
    let file = PathBuf::from(env!("WASMCACHED_GUEST_HOSTILE"));
    source("hostile", PluginOrigin::File(file), config)
}

fn limited(mut source: PluginSource, limits: PluginLimits) -> PluginSource {
    source.limits = limits;
    source
}

fn load(source: PluginSource) -> Plugins {
    load_with(source, Clock::manual(1_000))
}

fn load_with(source: PluginSource, clock: Clock) -> Plugins {
    Plugins::load(vec![source], clock).unwrap()
}

/// Lets so much time pass that no failure before it counts with those after it.
fn forget_failures(clock: &Clock) {
    clock.advance(Duration::from_secs(11));
}

/// The one plugin that is loaded.
fn only(plugins: &Plugins) -> std::sync::Arc<Plugin> {
    let mut list = plugins.list();
    assert_eq!(list.len(), 1);
    list.remove(0)
}

/// Goes back to the version before as the operator sees it.
fn roll_back(plugins: &Plugins) -> Result<(), PluginError> {
    let previous = plugins.versions("hostile").and_then(|versions| versions.previous());
    plugins.rollback("hostile", &previous.unwrap())
}

fn request(path: &str, query: Option<&str>, inputs: &[Option<&str>]) -> RequestView {
    RequestView {
        method: "GET".to_owned(),
        host: "site".to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        inputs: inputs.iter().map(|input| input.map(str::to_owned)).collect(),
    }
}

fn response() -> ResponseView {
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    ResponseView { status: 200, headers, body_bytes: Some(3) }
}

fn event(model: &str, payload: &str) -> Event {
    Event {
        id: "e1".to_owned(),
        source: "test".to_owned(),
        model: model.to_owned(),
        operation: Operation::Updated,
        object_id: Some("5".to_owned()),
        changed_fields: vec!["title".to_owned()],
        occurred_at: "2030-01-01T00:00:00Z".to_owned(),
        payload: payload.to_owned(),
    }
}

/// An event that tells the hostile plugin what to do.
fn order(mode: &str) -> Event {
    event("any.thing", &format!(r#"{{"mode":"{mode}"}}"#))
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).unwrap()
}

fn count(plugin: &Plugin, hook: Hook, outcome: Outcome) -> u64 {
    let calls = plugin.calls();
    let found = calls.iter().find(|(h, o, _)| *h == hook && *o == outcome);
    found.map(|(_, _, count)| *count).unwrap()
}

fn incidents(plugin: &Plugin, incident: Incident) -> u64 {
    let incidents = plugin.incidents();
    let found = incidents.iter().find(|(one, _)| *one == incident);
    found.map(|(_, count)| *count).unwrap()
}
