//! `POST /v1/invalidate`: 200 once it is durable and applied; with `?dry_run=true` it says what
//! would become invalid, and nothing does. What is named twice counts once.

use std::collections::HashSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, ApiError};
use crate::cache::tier::Lasting;
use crate::cache::{Applied, Counted, InvalidateError};
use crate::limits::TARGETS_PER_INVALIDATION_MAX;
use crate::model::{Cause, Invalidation, Key, Mode, Tag, Target};

/// Whether anything is to be done.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InvalidateQuery {
    #[serde(default)]
    dry_run: bool,
}

/// What is wrong now.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Request {
    tags: Vec<String>,
    keys: Vec<String>,
    urls: Vec<String>,
    prefixes: Vec<String>,
    sites: Vec<String>,
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
    query: Result<Query<InvalidateQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let body = body.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    // Whatever the content type: a browser that another site sends here is stopped by its origin.
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(format!("body is not an invalidation: {error}")))?;
    let mode = match request.mode {
        RequestMode::Hard => Mode::Hard,
        RequestMode::Soft => Mode::Soft,
    };
    let mut named = HashSet::new();
    let targets =
        targets(&api, &request)?.into_iter().filter(|target| named.insert(target.clone()));
    let targets: Vec<_> = targets.map(|target| (target, mode)).collect();
    if query.dry_run {
        return preview(&api, targets).await;
    }
    let invalidation = Invalidation {
        targets,
        cause: Cause {
            source: "api".into(),
            event_id: None,
            at_ms: api.cache.clock().now_ms(),
            ..Cause::default()
        },
    };
    let applied = api.cache.invalidate_counted(invalidation).await?;
    Ok(Json(told(&applied)))
}

/// An acknowledged invalidation, in the words of `Applied` in the description of the API.
pub(super) fn told(applied: &Applied) -> Value {
    let Applied { sequence, affected, counted, lasting } = *applied;
    let mut answer = json!({ "sequence": sequence.to_string(), "affected": affected });
    if let Some(fields) = answer.as_object_mut() {
        if counted == Counted::Estimated {
            fields.insert("estimated".into(), true.into());
        }
        if lasting == Lasting::Owed {
            fields.insert("durable".into(), false.into());
        }
    }
    answer
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
    for site in &request.sites {
        targets.push(site_target(api, site)?);
    }
    targets.extend(request.everything.then_some(Target::Everything));
    Ok(targets)
}

fn site_target(api: &Api, site: &str) -> Result<Target, ApiError> {
    if api.sites.iter().any(|known| known == site) {
        return Ok(Target::Site(site.into()));
    }
    let known = match &*api.sites {
        [] => "no site is configured".to_owned(),
        sites => format!("the sites are {}", sites.join(", ")),
    };
    Err(ApiError::bad_request(format!("site {site:?} is not configured; {known}")))
}

async fn preview(api: &Api, targets: Vec<(Target, Mode)>) -> Result<Json<Value>, ApiError> {
    // Refused like the invalidation itself.
    match targets.len() {
        0 => return Err(InvalidateError::NoTarget.into()),
        1..=TARGETS_PER_INVALIDATION_MAX => {}
        targets => return Err(InvalidateError::TooManyTargets { targets }.into()),
    }
    let cache = api.cache.clone();
    let scan = tokio::task::spawn_blocking(move || (cache.would_affect(&targets), targets));
    let (affected, targets) = scan.await.unwrap_or_default();
    let named = targets.iter().zip(affected.by_target).map(|((target, mode), affected)| {
        json!({
            "kind": target.kind(),
            "name": target.name(),
            "mode": mode.as_str(),
            "affected": affected,
        })
    });
    let named: Vec<Value> = named.collect();
    Ok(Json(json!({ "dry_run": true, "affected": affected.entries, "targets": named })))
}
