//! Plugins of the running server: list, load a new version, go back to the one before.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Api, ApiError};
use crate::plugins::Plugin;

pub(super) async fn list(State(api): State<Api>) -> Json<Value> {
    let plugins: Vec<Value> = api.plugins.list().iter().map(|plugin| show(plugin)).collect();
    Json(json!({ "plugins": plugins }))
}

pub(super) async fn replace(Path(name): Path<String>) -> ApiError {
    let message = format!("loading plugin `{name}` into a running server is not available yet");
    ApiError::new(StatusCode::NOT_IMPLEMENTED, message)
}

pub(super) async fn roll_back(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let known = api.plugins.get(&name).is_some();
    if !known {
        let message = format!("plugin `{name}` is not configured");
        return Err(ApiError::new(StatusCode::NOT_FOUND, message));
    }
    api.plugins.rollback(&name).map_err(|e| ApiError::new(StatusCode::CONFLICT, e))?;
    Ok(Json(json!({ "plugin": api.plugins.get(&name).map(|plugin| show(&plugin)) })))
}

fn show(plugin: &Plugin) -> Value {
    let calls: Vec<Value> = plugin
        .calls()
        .into_iter()
        .map(|(hook, outcome, count)| {
            json!({ "hook": hook.as_str(), "outcome": outcome.as_str(), "count": count })
        })
        .collect();
    let incidents: Map<String, Value> = plugin
        .incidents()
        .into_iter()
        .map(|(incident, count)| (incident.as_str().to_owned(), count.into()))
        .collect();
    json!({
        "name": plugin.name(),
        "version": plugin.version(),
        "status": super::status::of_plugin(plugin),
        "sha256": plugin.sha256(),
        "key_epoch": plugin.key_epoch(),
        "hooks": {
            "cache_key": plugin.has_keyer(),
            "on_store": plugin.has_tagger(),
            "on_event": plugin.has_invalidator(),
        },
        "calls": calls,
        "incidents": incidents,
    })
}
