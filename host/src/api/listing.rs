//! Keys in the memory: `GET /v1/cache?prefix=&tag=&limit=&cursor=`.
//!
//! # Invariants
//! - A listing that is cut goes on with the very next key: the cursor of a key that is not UTF-8,
//!   which is shown with those bytes replaced, is `{"base64": …}`, and sent as `cursor_base64`.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, ApiError};
use crate::cache::Listed;
use crate::model::{Key, Tag};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    prefix: String,
    tag: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    cursor_base64: Option<String>,
}

impl ListQuery {
    fn cursor(&self) -> Result<Option<Key>, ApiError> {
        let bytes = match (&self.cursor, &self.cursor_base64) {
            (None, None) => return Ok(None),
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(encoded)) => URL_SAFE_NO_PAD.decode(encoded).map_err(|error| {
                ApiError::bad_request(format!("cursor_base64 is {encoded}: {error}"))
            })?,
            (Some(_), Some(_)) => {
                return Err(ApiError::bad_request(
                    "cursor and cursor_base64 are given; one may be",
                ));
            }
        };
        Ok(Some(Key::new(&bytes)?))
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::bad_request(format!(
            "limit is {limit}; 1 to {LIMIT_MAX} are allowed"
        )));
    }
    let tag = query.tag.as_deref().map(Tag::new).transpose()?;
    let cursor = query.cursor()?;
    let now_ms = api.cache.clock().now_ms();
    let scan = tokio::task::spawn_blocking(move || {
        api.cache.list(query.prefix.as_bytes(), tag.as_ref(), limit, cursor.as_ref())
    });
    let listing = scan.await.map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("listing ended: {error}"))
    })?;
    let cursor = listing.keys.last().filter(|_| listing.is_cut).map(|last| cursor_of(&last.key));
    let keys: Vec<Value> = listing.keys.iter().map(|listed| show(listed, now_ms)).collect();
    Ok(Json(json!({ "keys": keys, "cursor": cursor })))
}

fn cursor_of(key: &Key) -> Value {
    match std::str::from_utf8(key.as_bytes()) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": URL_SAFE_NO_PAD.encode(key.as_bytes()) }),
    }
}

fn show(listed: &Listed, now_ms: u64) -> Value {
    let ttl_s = listed.expires.as_ms().map(|at_ms| at_ms.saturating_sub(now_ms) / 1000);
    let tags: Vec<&str> = listed.tags.iter().map(Tag::as_str).collect();
    json!({ "key": listed.key.to_text(), "bytes": listed.body_bytes, "ttl_s": ttl_s, "tags": tags })
}
