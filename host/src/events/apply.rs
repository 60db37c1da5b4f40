//! The life of an event: verified, parsed, shown to the plugin, made durable and visible.

use std::sync::Arc;

use bytes::Bytes;

use super::log::{Log, Logged};
use super::metrics::{DeliveryResult, Metrics};
use super::native::{self, BodyError, Delivery};
use super::order::{Order, Place};
use super::plan::Plan;
use super::seen::Seen;
use super::signature::{self, SignatureError};
use super::sources::{Source, Sources};
use crate::cache::{Basis, Cache, Change, Claim, Draft, InvalidateError};
use crate::limits::{EVENT_BODY_MS_MAX, EVENT_BYTES_MAX};
use crate::model::{Action, Cause, Event, Invalidation, Sequence, Target};
use crate::plugins::Plugins;

/// Times that a plugin is asked about one event, each on a fresh instance after a failure.
const PLUGIN_TRIES: usize = 3;

/// Has a page fetched anew in the background; given by the app, because the page cache is another
/// front door.
pub type Refresh = Arc<dyn Fn(String) + Send + Sync>;

/// What a page's URL stands for: itself as keys spell it, and its key where a plugin gives it one.
/// Given by the app, like [`Refresh`].
pub type UrlTargets = Arc<dyn Fn(&str) -> Vec<Target> + Send + Sync>;

/// What an acknowledged sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Position in the journal up to which everything is now visible.
    pub sequence: Sequence,
    /// Entries that became invalid, as far as that is known without a scan.
    pub affected: u64,
}

/// Why a delivery is not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such source is configured.
    #[error("source `{0}` is not configured")]
    UnknownSource(String),
    /// The signature does not hold.
    #[error(transparent)]
    NotVerified(#[from] SignatureError),
    /// The body can't be read.
    #[error(transparent)]
    Malformed(#[from] BodyError),
    /// The body did not come in time.
    #[error("body was not whole within {EVENT_BODY_MS_MAX} ms")]
    TooSlow,
    /// The body is larger than [`EVENT_BYTES_MAX`].
    #[error("body is larger than {EVENT_BYTES_MAX} bytes, the limit")]
    TooLarge,
    /// Applied in memory, but a crash would undo it: to be sent again.
    #[error(transparent)]
    NotDurable(#[from] InvalidateError),
}

/// The three fields of Standard Webhooks, as received.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SignatureFields<'a> {
    pub(super) id: Option<&'a [u8]>,
    pub(super) timestamp: Option<&'a [u8]>,
    pub(super) signature: Option<&'a [u8]>,
}

/// The webhook; clones share it.
#[derive(Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Cache,
    plugins: Plugins,
    sources: Sources,
    refresh: Refresh,
    url_targets: UrlTargets,
    metrics: Metrics,
    order: Order,
    seen: Seen,
    log: Log,
}

impl Events {
    /// A webhook for these sources.
    pub fn new(
        cache: Cache,
        plugins: Plugins,
        sources: Sources,
        refresh: Refresh,
        url_targets: UrlTargets,
        metrics: Metrics,
    ) -> Self {
        let shared = Shared {
            cache,
            plugins,
            sources,
            refresh,
            url_targets,
            metrics,
            order: Order::default(),
            seen: Seen::default(),
            log: Log::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes one delivery; counts it by its result.
    pub(super) async fn receive(
        &self,
        source: &str,
        fields: SignatureFields<'_>,
        body: &Bytes,
    ) -> Result<Receipt, Refused> {
        let outcome = self.shared.take(source, fields, body).await;
        let result = match &outcome {
            Ok((_, result)) => *result,
            Err(refused) => result_of(refused),
        };
        self.shared.metrics.count(result);
        outcome.map(|(receipt, _)| receipt)
    }

    /// Counts a delivery whose body could not be read.
    pub(super) fn refuse(&self, refused: Refused) -> Refused {
        self.shared.metrics.count(result_of(&refused));
        refused
    }

    /// Recent events, newest first.
    pub(super) fn recent(&self, limit: usize) -> Vec<Logged> {
        self.shared.log.newest(limit)
    }
}

impl Shared {
    async fn take(
        &self,
        source: &str,
        fields: SignatureFields<'_>,
        body: &Bytes,
    ) -> Result<(Receipt, DeliveryResult), Refused> {
        let Some(source) = self.sources.get(source) else {
            return Err(Refused::UnknownSource(source.to_owned()));
        };
        let now_ms = self.cache.clock().now_ms();
        let SignatureFields { id, timestamp, signature } = fields;
        signature::verify(&source.secrets, id, timestamp, signature, body, now_ms / 1000)?;
        let id = String::from_utf8_lossy(id.unwrap_or_default()).into_owned();
        if let Some(receipt) = self.seen.receipt(&source.name, &id) {
            return Ok((receipt, DeliveryResult::Duplicate));
        }
        // A value that the event carries is as old as its arrival.
        let arrival = self.cache.claim();
        let Delivery { number, events } = native::parse(&source.name, &id, body)?;
        let place = self.order.note(&source.name, number);
        let mut logged = Logged::new(now_ms, &source.name, &id, &events);
        let plan = self.plan(source, &events).await;
        logged.name_targets(&plan.targets);
        logged.outcome = if plan.targets.is_empty() { "nothing_to_do" } else { "applied" }.into();
        let name = source.name.clone();
        let cause = Cause { source: name, event_id: Some(id.clone()), at_ms: now_ms };
        let outcome = self.carry_out(plan, arrival, place, cause).await;
        match &outcome {
            Ok(receipt) => {
                logged.affected = receipt.affected;
                logged.sequence = Some(receipt.sequence.to_string());
                self.seen.note(&source.name, &id, *receipt);
            }
            Err(error) => logged.outcome = error.to_string(),
        }
        self.log.push(logged);
        Ok((outcome?, DeliveryResult::Applied))
    }

    async fn plan(&self, source: &Source, events: &[Event]) -> Plan {
        let mut plan = Plan::default();
        for event in events {
            let Some(actions) = self.ask_plugin(source, event).await else {
                plan.add_model(&event.model);
                continue;
            };
            for action in actions {
                plan.add(action, self.cache.clock().now_ms(), |url| (self.url_targets)(url));
            }
        }
        plan.close(&source.name);
        plan
    }

    /// What the source's plugin wants done; `None` where the built-in tag has to do.
    async fn ask_plugin(&self, source: &Source, event: &Event) -> Option<Vec<Action>> {
        let name = source.plugin.as_deref()?;
        let plugin = self.plugins.get(name).filter(|plugin| plugin.has_invalidator())?;
        for _ in 0..PLUGIN_TRIES {
            let error = match plugin.on_event(event).await {
                Ok(actions) => return Some(actions),
                Err(error) => error,
            };
            tracing::warn!(plugin = name, model = event.model, %error, "event not understood");
        }
        self.metrics.plugin_fallbacks.inc();
        None
    }

    async fn carry_out(
        &self,
        plan: Plan,
        arrival: Claim,
        place: Place,
        cause: Cause,
    ) -> Result<Receipt, Refused> {
        if plan.targets.is_empty() {
            return Ok(Receipt { sequence: self.cache.applied(), affected: 0 });
        }
        let source = cause.source.clone();
        let invalidation = Invalidation { targets: plan.targets, cause };
        let applied = self.cache.invalidate(invalidation).await?;
        // Had another invalidation come in between, or a later event before it, the event's value
        // might be the older one; then the key stays invalid, which is always right.
        let is_alone = arrival.since.next() == applied.sequence;
        if is_alone && self.order.is_newest(&source, place) {
            let basis = Basis::Claim(Claim::at(applied.sequence));
            for (key, draft) in plan.puts {
                let draft = Draft { basis, ..draft };
                if let Err(error) = self.cache.update(&key, |_| (Change::Put(draft), ())).await {
                    tracing::info!(%error, "value of an event not written");
                }
            }
        }
        for url in plan.refreshes {
            (self.refresh)(url);
        }
        Ok(Receipt { sequence: applied.sequence, affected: applied.affected })
    }
}

fn result_of(refused: &Refused) -> DeliveryResult {
    match refused {
        Refused::UnknownSource(_) => DeliveryResult::UnknownSource,
        Refused::NotVerified(_) => DeliveryResult::NotVerified,
        Refused::Malformed(_) => DeliveryResult::Malformed,
        Refused::TooSlow => DeliveryResult::TooSlow,
        Refused::TooLarge => DeliveryResult::TooLarge,
        Refused::NotDurable(_) => DeliveryResult::NotDurable,
    }
}
