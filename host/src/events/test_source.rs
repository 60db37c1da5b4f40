//! For tests: a source with a plugin, and its deliveries, signed as a sender signs them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::apply::SignatureFields;
use super::signature::{self, Secret};
use super::{Events, Metrics, Receipt, Refused, Sources};
use crate::cache::{Cache, CacheConfig, Recovered, WhenFull};
use crate::clock::Clock;
use crate::config::{SecretText, Source, Verify};
use crate::model::Target;
use crate::plugins::Plugins;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq3Tm0cVwzXs=";

/// When everything is sent, by the clock of the test.
pub(super) const START_MS: u64 = 1_700_000_000_000;

/// A memory without a tier.
pub(super) fn memory(clock: &Clock) -> Cache {
    let config =
        CacheConfig { memory_bytes: 1 << 20, item_bytes_max: 1 << 10, when_full: WhenFull::Evict };
    Cache::new(config, clock.clone(), None, Recovered::default())
}

/// Events of the source `shop`, whose plugin this is.
pub(super) fn events_of(cache: &Cache, plugins: &Plugins, plugin: &str, hold_ms: u64) -> Events {
    let source = Source {
        name: "shop".to_owned(),
        verify: Verify::Standard,
        secrets: vec![SecretText::new(SECRET.to_owned())],
        plugin: Some(plugin.to_owned()),
        hold_ms,
        intent_timeout_ms: 60_000,
    };
    Events::new(
        cache.clone(),
        plugins.clone(),
        Sources::new(&[source]).unwrap(),
        Arc::new(|_| {}),
        Arc::new(|url| vec![Target::Url(url.into())]),
        None,
        Metrics::default(),
    )
}

/// Delivers this `data` from the source.
pub(super) async fn deliver(
    events: &Events,
    id: impl AsRef<[u8]>,
    data: Value,
) -> Result<Receipt, Refused> {
    let id = id.as_ref();
    let body = Bytes::from(serde_json::json!({ "data": data }).to_string());
    let sent_s = START_MS / 1_000;
    let timestamp = sent_s.to_string();
    let signature = signature::sign(&Secret::parse(SECRET).unwrap(), id, sent_s, &body);
    let fields = SignatureFields {
        id: Some(id),
        timestamp: Some(timestamp.as_bytes()),
        signature: Some(signature.as_bytes()),
    };
    events.receive("shop", fields, &body, events.arrival()).await
}
