//! `GET /v1/explain?key=|url=`: why something is cached or not.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, ApiError};
use crate::cache::{Bits, Death, Entry, Verdict};
use crate::model::Key;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    key: Option<String>,
    url: Option<String>,
}

pub(super) async fn explain(
    State(api): State<Api>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let key = match (&query.key, &query.url) {
        (Some(key), None) => Key::new(key.as_bytes())?,
        (None, Some(url)) => (api.url_key)(url).ok_or_else(|| {
            ApiError::bad_request(format!("url `{url}` belongs to no site of this server"))
        })?,
        _ => return Err(ApiError::bad_request("give either `key` or `url`")),
    };
    // Brings it up from the tier, as any read would.
    let _ = api.cache.get(key.as_bytes()).await;
    let now_ms = api.cache.clock().now_ms();
    let explanation = api.cache.explain(&key);
    let entries: Vec<Value> =
        explanation.entries.iter().map(|(e, verdict)| show(e, *verdict, now_ms)).collect();
    let state = match explanation.entries.iter().map(|(e, v)| state_of(e, *v, now_ms)).min() {
        Some((_, state)) => state,
        None if explanation.death.is_some() => "invalidated",
        None => "not cached",
    };
    Ok(Json(json!({
        "key": key.to_text(),
        "state": state,
        "entries": entries,
        "invalidated_by": explanation.death.as_ref().map(show_death),
        "applied": explanation.applied.to_string(),
    })))
}

/// What can be said of an entry in one word; the better comes first.
fn state_of(entry: &Entry, verdict: Verdict, now_ms: u64) -> (u8, &'static str) {
    let is_expired = entry.expires().is_past(now_ms);
    let is_aged = entry.page().is_some_and(|head| !head.is_fresh(now_ms));
    match verdict {
        _ if is_expired => (3, "expired"),
        Verdict::Fresh if entry.bits().has(Bits::STALE) => (1, "stale"),
        Verdict::Fresh if !is_aged => (0, "cached"),
        Verdict::Fresh => (2, "to be revalidated"),
        Verdict::Stale => (1, "softly purged"),
        Verdict::Dead => (4, "invalidated"),
    }
}

fn show(entry: &Entry, verdict: Verdict, now_ms: u64) -> Value {
    let tags: Vec<&str> = entry.tags().iter().map(|tag| tag.as_str()).collect();
    let mut shown = json!({
        "state": state_of(entry, verdict, now_ms).1,
        "bytes": entry.body().len(),
        "tags": tags,
        "birth": entry.birth().sequence().to_string(),
        "cas": entry.cas().to_string(),
        "stored_ms": entry.stored_ms(),
        "expires_ms": entry.expires().as_ms(),
    });
    if let (Some(head), Some(shown)) = (entry.page(), shown.as_object_mut()) {
        let vary: Vec<&str> = head.vary.iter().map(|(name, _)| name.as_str()).collect();
        shown.insert("url".into(), json!(head.url));
        shown.insert("site".into(), json!(head.site));
        shown.insert("status".into(), json!(head.status.as_u16()));
        shown.insert("vary".into(), json!(vary));
        shown.insert("age_ms".into(), json!(head.age_ms(now_ms)));
        shown.insert("lifetime_ms".into(), json!(head.lifetime_ms));
        shown.insert("stale_while_revalidate_ms".into(), json!(head.stale_while_revalidate_ms));
        shown.insert("stale_if_error_ms".into(), json!(head.stale_if_error_ms));
        let (plugin, key_epoch) = head.plugin_and_epoch().unzip();
        shown.insert("plugin".into(), json!(plugin));
        shown
            .insert("key_epoch".into(), json!(key_epoch.and_then(|text| text.parse::<u32>().ok())));
    } else if let Some(shown) = shown.as_object_mut() {
        // What clients of memcached's meta protocol are told beside the value.
        let bits = entry.bits();
        shown.insert("flags".into(), json!(entry.flags()));
        shown.insert("stale".into(), json!(verdict == Verdict::Stale || bits.has(Bits::STALE)));
        shown.insert("recache_won".into(), json!(bits.has(Bits::WON)));
        shown.insert("fetched".into(), json!(bits.has(Bits::FETCHED)));
    }
    shown
}

fn show_death(death: &Death) -> Value {
    let cause = death.cause.as_ref();
    json!({
        "sequence": death.sequence.to_string(),
        "source": cause.map(|cause| &cause.source),
        "event": cause.and_then(|cause| cause.event_id.as_ref()),
        "at_ms": cause.map(|cause| cause.at_ms),
    })
}
