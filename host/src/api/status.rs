//! What operators watch: `/v1/stats`, `/metrics`, `/live`, `/ready`, `/openapi.json`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Api, ApiError};
use crate::cache::{Cache, WarmUpStage, WarmUpStatus};
use crate::plugins::Plugin;

/// The description of every route of this listener.
const OPENAPI: &str = include_str!("openapi.json");

/// The text format that Prometheus and OpenTelemetry scrapers agree on.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn stats(State(api): State<Api>) -> Json<Value> {
    let cache = &api.cache;
    let stats = cache.stats();
    let tier = cache.tier_status();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": cache.clock().now_ms().saturating_sub(api.started_ms) / 1000,
        "memory": {
            "keys": cache.len(),
            "bytes": cache.bytes(),
            "bytes_invalid": cache.bytes_invalid(),
            "bytes_max": cache.config().memory_bytes,
            "evictions": cache.evictions(),
            "stores": stats.stores.get(),
            "expired": stats.expired.get(),
            "invalid": stats.invalid.get(),
        },
        "freshness": {
            "applied": cache.applied().to_string(),
            "invalidations": stats.invalidations.get(),
            "invalidations_not_durable": stats.invalidations_not_durable.get(),
            "refused_fills": stats.refused_fills.get(),
            "fence_rows": cache.fence_rows(),
        },
        "tier": tier.map(|tier| json!({
            "degraded": tier.degraded,
            "queued": tier.queued,
            "rows_skipped": tier.rows_skipped,
            "evicted": tier.evicted,
            "left_out": tier.left_out,
            "spared": tier.spared,
            "knows_keys": tier.knows_keys,
            "hot_keys": tier.hot_keys,
            "loads": stats.tier_loads.get(),
            "load_hits": stats.tier_load_hits.get(),
            "errors": stats.tier_errors.get(),
        })),
    }))
}

pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &api.registry).map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}"))
    })?;
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

/// The I/O loop answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Ready to take traffic; a tier that is down is ready, but degraded.
pub(super) async fn ready(State(api): State<Api>) -> Json<Value> {
    let tier = match api.cache.tier_status() {
        None => json!({ "status": "none" }),
        Some(status) => match status.degraded {
            None => json!({ "status": "ok", "queued": status.queued }),
            Some(why) => json!({ "status": "degraded", "why": why, "queued": status.queued }),
        },
    };
    let plugins = api.plugins.list();
    let plugins = plugins.iter().map(|p| json!({ "name": p.name(), "status": of_plugin(p) }));
    let plugins: Vec<Value> = plugins.collect();
    let mut parts = json!({ "tier": tier, "plugins": plugins });
    if let (Some(warm_up), Some(parts)) = (warm_up(&api.cache), parts.as_object_mut()) {
        parts.insert("warm_up".into(), warm_up);
    }
    Json(json!({ "status": "ready", "parts": parts }))
}

/// How far warming up is, where it was asked for.
fn warm_up(cache: &Cache) -> Option<Value> {
    let WarmUpStatus { stage, keys, brought_back } = cache.warm_up_status();
    let status = match stage {
        WarmUpStage::OnDemand => return None,
        WarmUpStage::Warming => "warming",
        WarmUpStage::Warm => "ok",
    };
    Some(json!({ "status": status, "keys": keys, "brought_back": brought_back }))
}

/// Whether the plugin is asked.
pub(super) fn of_plugin(plugin: &Plugin) -> &'static str {
    match plugin.is_degraded() {
        true => "degraded",
        false => "ok",
    }
}

pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
