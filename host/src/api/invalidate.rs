//! `POST /v1/invalidate`: 200 once it is durable and applied.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, ApiError};
use crate::model::{Cause, Invalidation, Key, Mode, Tag, Target};

/// What is wrong now.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Request {
    tags: Vec<String>,
    keys: Vec<String>,
    urls: Vec<String>,
    prefixes: Vec<String>,
    everything: bool,
    mode: RequestMode,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RequestMode {
    #[default]
    Hard,
    Soft,
}

pub(super) async fn invalidate(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body = body.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    // Whatever the content type: a browser that another site sends here is stopped by its origin.
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(format!("body is not an invalidation: {error}")))?;
    let mode = match request.mode {
        RequestMode::Hard => Mode::Hard,
        RequestMode::Soft => Mode::Soft,
    };
    let targets = targets(&api, &request)?;
    let under_prefixes = count_prefixes(&api, &targets).await;
    let invalidation = Invalidation {
        targets: targets.into_iter().map(|target| (target, mode)).collect(),
        cause: Cause { source: "api".into(), event_id: None, at_ms: api.cache.clock().now_ms() },
    };
    let applied = api.cache.invalidate(invalidation).await?;
    let affected = applied.affected + under_prefixes;
    Ok(Json(json!({ "sequence": applied.sequence.to_string(), "affected": affected })))
}

fn targets(api: &Api, request: &Request) -> Result<Vec<Target>, ApiError> {
    let mut targets = Vec::new();
    for tag in &request.tags {
        targets.push(Target::Tag(Tag::new(tag)?));
    }
    for key in &request.keys {
        targets.push(Target::Key(Key::new(key.as_bytes())?));
    }
    for prefix in &request.prefixes {
        targets.push(Target::Prefix(Key::new(prefix.as_bytes())?));
    }
    for url in &request.urls {
        targets.extend((api.url_targets)(url)?);
    }
    targets.extend(request.everything.then_some(Target::Everything));
    Ok(targets)
}

async fn count_prefixes(api: &Api, targets: &[Target]) -> u64 {
    let mut affected = 0;
    for target in targets {
        if let Target::Prefix(prefix) = target {
            let (cache, prefix) = (api.cache.clone(), prefix.clone());
            let scan = tokio::task::spawn_blocking(move || cache.count_prefix(&prefix));
            affected += scan.await.unwrap_or(0);
        }
    }
    affected
}
