//! For tests: a source with a plugin, and its deliveries, signed as a sender signs them.

use std::future::ready;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use super::apply::SignatureFields;
use super::signature::{self, Secret};
use super::{Events, Metrics, Receipt, Refused, Sources};
use crate::cache::tier::TierError;
use crate::cache::tier::{self, BoxFuture, Committed, Lasting, Placed, Record, Row, Status, Tier};
use crate::cache::{Cache, CacheConfig, Recovered, WhenFull};
use crate::clock::Clock;
use crate::config::{SecretText, Source, Verify};
use crate::model::{Key, Sequence, Target};
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

/// A memory above a journal.
pub(super) fn memory_above(journal: &Arc<Journal>, clock: &Clock) -> Cache {
    let config =
        CacheConfig { memory_bytes: 1 << 20, item_bytes_max: 1 << 10, when_full: WhenFull::Evict };
    let tier = Arc::clone(journal) as Arc<dyn Tier>;
    Cache::new(config, clock.clone(), Some(tier), Recovered::default())
}

/// A tier that keeps nothing and makes invalidations durable at once, or when it is told to.
#[derive(Default)]
pub(super) struct Journal(Mutex<Option<Vec<Committed>>>);

impl Journal {
    /// Has invalidations wait from now on.
    pub(super) fn hold(&self) {
        *self.0.lock() = Some(Vec::new());
    }

    /// Whether an invalidation waits.
    pub(super) fn is_waited_for(&self) -> bool {
        self.0.lock().as_ref().is_some_and(|waiting| !waiting.is_empty())
    }

    /// Has none wait from now on.
    pub(super) fn release(&self) {
        let waiting = self.0.lock().take();
        waiting.into_iter().flatten().for_each(|then| then(Ok(Lasting::Durable)));
    }
}

impl Tier for Journal {
    fn commit(&self, _: Record, then: Committed) {
        match &mut *self.0.lock() {
            Some(waiting) => waiting.push(then),
            None => then(Ok(Lasting::Durable)),
        }
    }

    fn attach(&self, _: Weak<dyn tier::Source>) {}

    fn write(&self, _: &Key) -> BoxFuture<Result<Lasting, TierError>> {
        Box::pin(ready(Ok(Lasting::Durable)))
    }

    fn load(&self, _: &Key) -> BoxFuture<Result<Vec<Row>, TierError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn latest(&self, _: i64, _: usize) -> BoxFuture<Result<Vec<Placed>, TierError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn write_hottest(&self, _: &[Key]) {}

    fn hottest(&self) -> BoxFuture<Result<Vec<Key>, TierError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn oldest_birth(&self) -> Sequence {
        Sequence::ZERO
    }

    fn status(&self) -> Status {
        unreachable!("nobody asks")
    }

    fn close(&self) -> BoxFuture<()> {
        Box::pin(ready(()))
    }
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
