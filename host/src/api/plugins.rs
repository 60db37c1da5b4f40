//! Plugins of the running server: list, load a new version, go back to the one before.
//!
//! # Invariants
//! - A version that is refused leaves the one in use as it was, and the reason can be read here.
//!
//! # Not here
//! Loading: given by the app, because entries of another key epoch end with it.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_LENGTH, EXPECT, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::{Api, ApiError, body};
use crate::cache::InvalidateError;
use crate::plugins::{COMPONENT_BYTES_MAX, Plugin, PluginError, Versions};

/// Loads a component as the new version of a plugin, if the hash in use is the one named.
pub type LoadPlugin = Arc<
    dyn Fn(String, Bytes, Option<String>) -> BoxFuture<'static, Result<(), PluginChangeError>>
        + Send
        + Sync,
>;

/// Goes back to the version of a plugin before the one in use.
pub type RollBackPlugin =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<(), PluginChangeError>> + Send + Sync>;

/// Why the version in use stays.
#[derive(Debug, thiserror::Error)]
pub enum PluginChangeError {
    /// No plugin of this name is configured.
    #[error("plugin `{name}` is not configured; there are: {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// The version in use is not the one that was to be replaced.
    #[error("the version in use has sha256 {sha256}")]
    Another {
        /// What it has.
        sha256: String,
    },
    /// The new version can't be used.
    #[error(transparent)]
    Refused(#[from] PluginError),
    /// Entries of another key epoch could not be ended so that a crash does not bring them back.
    #[error(transparent)]
    NotDurable(#[from] InvalidateError),
}

impl From<PluginChangeError> for ApiError {
    fn from(error: PluginChangeError) -> Self {
        let status = match &error {
            PluginChangeError::Unknown { .. } => StatusCode::NOT_FOUND,
            PluginChangeError::Another { .. } => StatusCode::PRECONDITION_FAILED,
            PluginChangeError::Refused(
                PluginError::NoPrevious { .. } | PluginError::PreviousFails { .. },
            ) => StatusCode::CONFLICT,
            PluginChangeError::Refused(PluginError::TooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            PluginChangeError::Refused(PluginError::Engine { .. }) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            PluginChangeError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            PluginChangeError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
    }
}

pub(super) async fn list(State(api): State<Api>) -> Json<Value> {
    let plugins: Vec<Value> = api.plugins.all().iter().map(|one| show(&api, one)).collect();
    Json(json!({ "plugins": plugins }))
}

pub(super) async fn replace(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let limit = usize::try_from(COMPONENT_BYTES_MAX).unwrap_or(usize::MAX);
    let stated = headers.get(CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
    if stated.is_some_and(|bytes: u64| bytes > COMPONENT_BYTES_MAX) {
        let message = format!("component is larger than {limit} bytes, the limit");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    let asked = versions_of(&api, &name).and_then(|found| Ok((found, only_if(&headers)?)));
    let (versions, only_if) = match asked {
        Ok(asked) => asked,
        // Nobody who asks before it sends megabytes sends them to be told that the name is wrong;
        // who sends at once looks for the answer behind what it has sent.
        Err(error) if headers.contains_key(EXPECT) => return Err(error),
        Err(error) => {
            body::pass_over(body, limit).await;
            return Err(error);
        }
    };
    // One at a time: each may be large, and they are compiled one by one anyway.
    let _turn = api.plugin_uploads.acquire().await;
    let component = body::whole(body, limit, "component").await?;
    (api.load_plugin)(name, component, only_if).await?;
    Ok(Json(show(&api, &versions)))
}

pub(super) async fn roll_back(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let versions = versions_of(&api, &name)?;
    (api.roll_back_plugin)(name).await?;
    Ok(Json(json!({ "plugin": show(&api, &versions) })))
}

fn versions_of(api: &Api, name: &str) -> Result<Arc<Versions>, ApiError> {
    let unknown = || PluginChangeError::Unknown {
        name: name.to_owned(),
        known: api.plugins.all().iter().map(|one| one.name().to_owned()).collect(),
    };
    Ok(api.plugins.versions(name).ok_or_else(unknown)?)
}

/// The hash that `If-Match` names (RFC 9110 §13.1.1): the version in use has it as its entity tag.
fn only_if(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match (text, inside) {
        ("*", _) => Ok(None),
        (_, Some(sha256)) if sha256.len() == 64 => Ok(Some(sha256.to_ascii_lowercase())),
        _ => Err(ApiError::bad_request(format!(
            "if-match is `{text}`; a plugin's sha256 in quotation marks is understood here"
        ))),
    }
}

fn show(api: &Api, versions: &Versions) -> Value {
    let plugin = versions.current();
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
    let retired = versions.snapshot(api.cache.clock().now_ms()).retired;
    json!({
        "name": plugin.name(),
        "version": plugin.version(),
        "status": super::status::of_plugin(&plugin),
        "sha256": plugin.sha256(),
        "key_epoch": plugin.key_epoch(),
        "persistent": versions.stored_sha256() == plugin.sha256(),
        "previous": versions.previous().map(|version| brief(&version)),
        "still_asked": retired.iter().map(|version| brief(version)).collect::<Vec<_>>(),
        "refused": versions.refused(),
        "last_error": versions.last_error(),
        "hooks": {
            "cache_key": plugin.has_keyer(),
            "on_store": plugin.has_tagger(),
            "on_item": plugin.has_tagger() && !plugin.item_prefixes().is_empty(),
            "on_event": plugin.has_invalidator(),
        },
        "calls": calls,
        "incidents": incidents,
    })
}

fn brief(version: &Plugin) -> Value {
    json!({
        "version": version.version(),
        "sha256": version.sha256(),
        "key_epoch": version.key_epoch(),
    })
}
