//! The life of an event: verified, parsed, shown to the plugin, made durable and visible.

use std::sync::Arc;

use bytes::Bytes;

use super::audit::{Auditor, Audits};
use super::follow::Delivered;
use super::holds::{Held, Holds};
use super::intents::{IntentState, Intents, Step};
use super::log::{Log, Logged};
use super::metrics::{DeliveryResult, Metrics};
use super::native::{self, BodyError, Delivery, Phase};
use super::order::{Order, Place};
use super::plan::{Plan, Put};
use super::seen::Seen;
use super::signature::{self, SignatureError};
use super::sources::{Source, Sources};
use crate::cache::tier::Lasting;
use crate::cache::{Applied, Cache, Change, Claim, Counted, Entry, InvalidateError};
use crate::fail_points::{Point, reach};
use crate::limits::{EVENT_BODY_MS_MAX, EVENT_BYTES_MAX, INTENT_TARGETS_MAX, INTENTS_MAX};
use crate::model::{Cause, Invalidation, Sequence, Target};
use crate::plugins::Plugins;

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
    /// Entries that became invalid; one with several of the tags counts for each.
    pub affected: u64,
    /// How sure that is.
    pub counted: Counted,
    /// What it outlasts.
    pub lasting: Lasting,
    /// What became of the intent that it speaks of, if it does.
    pub intent: Option<IntentState>,
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
    /// Two ids that are not text could be taken for one.
    #[error("webhook-id is not utf-8")]
    Id,
    /// The body can't be read.
    #[error(transparent)]
    Malformed(#[from] BodyError),
    /// The body did not come in time.
    #[error("body was not whole within {EVENT_BODY_MS_MAX} ms")]
    TooSlow,
    /// The body is larger than [`EVENT_BYTES_MAX`].
    #[error("body is larger than {EVENT_BYTES_MAX} bytes, the limit")]
    TooLarge,
    /// The commit of an intent that nothing is known of, without changes of its own.
    #[error("intent {0:?} is not known, and its commit names no changes")]
    UnknownIntent(String),
    /// No room for another intent; nothing was done.
    #[error(
        "{intents} intents keep {targets} targets shut; \
         limits are {INTENTS_MAX} and {INTENT_TARGETS_MAX}"
    )]
    TooManyIntents {
        /// Those that have not ended.
        intents: usize,
        /// What they have shut.
        targets: usize,
    },
    /// Too many events wait for plugins; nothing was done.
    #[error("too many events wait for plugins")]
    Busy,
    /// Versions of the plugin come and go too fast to be asked; to be sent again.
    #[error("versions of the plugin are published faster than they can be asked")]
    VersionsChange,
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
    pub(super) shared: Arc<Shared>,
}

/// What all clones share.
pub(super) struct Shared {
    pub(super) cache: Cache,
    pub(super) plugins: Plugins,
    pub(super) sources: Sources,
    pub(super) refresh: Refresh,
    pub(super) url_targets: UrlTargets,
    pub(super) metrics: Metrics,
    pub(super) order: Order,
    pub(super) seen: Seen,
    pub(super) holds: Holds,
    pub(super) intents: Intents,
    pub(super) audits: Audits,
    pub(super) log: Log,
}

impl Events {
    /// A webhook for these sources; without an auditor nothing is audited.
    pub fn new(
        cache: Cache,
        plugins: Plugins,
        sources: Sources,
        refresh: Refresh,
        url_targets: UrlTargets,
        auditor: Option<Auditor>,
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
            holds: Holds::default(),
            intents: Intents::default(),
            audits: Audits::new(auditor),
            log: Log::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The claim of what a delivery says whose head has come and whose body is read from now on.
    pub(super) fn arrival(&self) -> Claim {
        self.shared.cache.claim()
    }

    /// Takes one delivery, whose body was not read before `arrival`; counts it by its result.
    pub(super) async fn receive(
        &self,
        source: &str,
        fields: SignatureFields<'_>,
        body: &Bytes,
        arrival: Claim,
    ) -> Result<Receipt, Refused> {
        let outcome = self.shared.take(source, fields, body, arrival).await;
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
        arrival: Claim,
    ) -> Result<(Receipt, DeliveryResult), Refused> {
        let begun_us = self.cache.clock().monotonic_us();
        let (source, id) = self.verify(source, fields, body)?;
        if let Some(receipt) = self.seen.receipt(&source.name, &id) {
            return Ok((receipt, DeliveryResult::Duplicate));
        }
        let Delivery { number, events, phase } = native::parse(&source.name, &id, body)?;
        let now_ms = self.cache.clock().now_ms();
        let mut logged = Logged::new(now_ms, &source.name, &id, &events);
        let panel = self.panel(source);
        let mut plan = self.plan(source, &events, &panel).await?;
        let _announcing = match phase {
            Phase::Intent(_) => Some(self.intents.announcing().await),
            Phase::Whole | Phase::Commit(_) => None,
        };
        let (step, intent) = self.step(source, &phase, &panel, &mut plan)?;
        // Not before: what was refused would not be the newest when it is sent again.
        let place = self.order.note(&source.name, number);
        let is_announcing = matches!(step, Step::Announce(_));
        self.metrics.plugin_fallbacks.inc_by(plan.fallbacks);
        logged.name_plan(&plan);
        logged.intent = phase.intent().map(str::to_owned);
        logged.outcome = match (plan.targets.is_empty(), is_announcing) {
            (true, _) => "nothing_to_do",
            (false, true) => "announced",
            (false, false) => "applied",
        }
        .into();
        // What is announced is no event of the journal, and is not applied again.
        let event_id = Some(id.clone()).filter(|_| !is_announcing);
        let name = source.name.clone();
        let cause = Cause { source: name, event_id, at_ms: now_ms, number, is_again: false };
        if !is_announcing {
            logged.hold_ms = source.hold_ms;
            self.hold(source, &plan, &cause, panel.published());
        }
        reach(Point::EventPlanned);
        let is_commit = matches!(phase, Phase::Commit(_));
        let delivered = Delivered { source, events: &events, is_commit, step, cause };
        let outcome = match self.carry_out(plan, &delivered, arrival, place).await {
            Ok(done) => self.follow(&delivered, panel, done, &mut logged).await,
            refused => refused,
        };
        match &outcome {
            Ok(done) => {
                logged.affected = done.receipt.affected;
                logged.sequence = Some(done.receipt.sequence.to_string());
                logged.puts_refused = done.puts_refused;
            }
            Err(error) => logged.outcome = error.to_string(),
        }
        logged.cost_us = self.cache.clock().monotonic_us().saturating_sub(begun_us);
        self.log.push(logged);
        let receipt = Receipt { intent, ..outcome?.receipt };
        if is_announcing {
            // Not recognised when it is repeated: then it has to be announced once more.
            return Ok((receipt, DeliveryResult::Announced));
        }
        self.seen.note(&source.name, &id, receipt);
        self.want_audit(source, &id, &events);
        Ok((receipt, DeliveryResult::Applied))
    }

    /// The source of a delivery and the delivery's id, if the signature holds for its raw bytes
    /// and the id is text.
    pub(super) fn verify(
        &self,
        source: &str,
        fields: SignatureFields<'_>,
        body: &Bytes,
    ) -> Result<(&Source, String), Refused> {
        let Some(source) = self.sources.get(source) else {
            return Err(Refused::UnknownSource(source.to_owned()));
        };
        let now_s = self.cache.clock().now_ms() / 1000;
        let SignatureFields { id, timestamp, signature } = fields;
        signature::verify(&source.secrets, id, timestamp, signature, body, now_s)?;
        let id = std::str::from_utf8(id.unwrap_or_default()).map_err(|_| Refused::Id)?;
        Ok((source, id.to_owned()))
    }

    /// Has the event wait for its second time. Before the first, because the sender may go away
    /// and take its request with it.
    fn hold(&self, source: &Source, plan: &Plan, cause: &Cause, published: Option<u64>) {
        if source.hold_ms == 0 || plan.targets.is_empty() {
            return;
        }
        let invalidation = Invalidation { targets: plan.targets.clone(), cause: cause.clone() };
        let held = Held { invalidation, refreshes: plan.refreshes.clone(), published };
        self.holds.add(cause.at_ms.saturating_add(source.hold_ms), held);
    }

    async fn carry_out(
        &self,
        plan: Plan,
        delivered: &Delivered<'_>,
        arrival: Claim,
        place: Place,
    ) -> Result<Done, Refused> {
        if plan.targets.is_empty() {
            let (sequence, counted) = (self.cache.applied(), Counted::Exactly);
            let lasting = Lasting::Durable;
            let receipt = Receipt { sequence, affected: 0, counted, lasting, intent: None };
            return Ok(Done { receipt, puts_refused: 0 });
        }
        let cause = delivered.cause.clone();
        let invalidation = Invalidation { targets: plan.targets, cause };
        let applied = match delivered.step.clone() {
            Step::Apply => self.cache.invalidate_counted(invalidation).await?,
            Step::Announce(intent) => self.cache.shut(invalidation, intent).await?,
            Step::End(name) => self.cache.open(invalidation, name).await?,
        };
        reach(Point::EventApplied);
        let mut puts_refused = plan.puts.len() + plan.puts_ended;
        // Had another invalidation come in between, or a later event before it, the event's value
        // might be the older one; then the key stays invalid, which is always right.
        let is_alone = arrival.since.next() == applied.sequence;
        if is_alone && self.order.is_newest(&delivered.source.name, place) {
            for put in plan.puts {
                if self.write(put, arrival, applied.sequence).await {
                    reach(Point::EventPut);
                    puts_refused -= 1;
                }
            }
        }
        for url in plan.refreshes {
            (self.refresh)(url);
        }
        let Applied { sequence, affected, counted, lasting } = applied;
        let receipt = Receipt { sequence, affected, counted, lasting, intent: None };
        Ok(Done { receipt, puts_refused })
    }

    /// Writes a value of an event that is `sequence` and arrived at `arrival`: it is that old.
    /// Tells if it was written.
    async fn write(&self, put: Put, arrival: Claim, sequence: Sequence) -> bool {
        let is_computed = put.is_computed();
        let (key, draft) = put.into_draft(arrival.birth, sequence);
        let decide = |current: Option<&Entry>| {
            // The event has removed what was there: what is there now was stored after that, and
            // may have been read after it.
            let is_outrun = current.is_some();
            // What it was computed from may have been invalidated by its key since, which tags
            // don't tell.
            let is_outdated = is_computed && self.cache.applied() != sequence;
            match is_outrun || is_outdated {
                true => (Change::Keep, false),
                false => (Change::Put(draft), true),
            }
        };
        match self.cache.update(&key, decide).await {
            Ok((is_written, _)) => is_written,
            Err(error) => {
                tracing::info!(%error, "value of an event not written");
                false
            }
        }
    }
}

/// A delivery that was carried out.
pub(super) struct Done {
    pub(super) receipt: Receipt,
    /// Values of it that were not written: they might be older than what the key would get now.
    pub(super) puts_refused: usize,
}

fn result_of(refused: &Refused) -> DeliveryResult {
    match refused {
        Refused::UnknownSource(_) => DeliveryResult::UnknownSource,
        Refused::NotVerified(_) => DeliveryResult::NotVerified,
        Refused::Id | Refused::Malformed(_) => DeliveryResult::Malformed,
        Refused::TooSlow => DeliveryResult::TooSlow,
        Refused::TooLarge => DeliveryResult::TooLarge,
        Refused::UnknownIntent(_) => DeliveryResult::UnknownIntent,
        Refused::TooManyIntents { .. } => DeliveryResult::TooManyIntents,
        Refused::Busy => DeliveryResult::Busy,
        Refused::VersionsChange => DeliveryResult::VersionsChange,
        Refused::NotDurable(_) => DeliveryResult::NotDurable,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::*;
    use crate::cache::Draft;
    use crate::clock::Clock;
    use crate::events::test_source::{START_MS, deliver, events_of, memory};
    use crate::model::{Action, Key};

    fn key() -> Key {
        Key::new(b"k").unwrap()
    }

    async fn set(cache: &Cache, value: &'static str) {
        let draft = Draft::new(Bytes::from_static(value.as_bytes()));
        cache.update(&key(), |_| (Change::Put(draft), ())).await.unwrap();
    }

    /// What is there after an event that brings a value, while a client may have stored another one
    /// between the event's invalidation and its write; and whether the event's was written.
    async fn after_an_event(meanwhile: Option<&'static str>) -> (String, bool) {
        let clock = Clock::manual(START_MS);
        let cache = memory(&clock);
        let events = events_of(&cache, &Plugins::load(Vec::new(), clock).unwrap(), "none", 0);
        set(&cache, "old").await;
        let arrival = events.arrival();
        let (value, ttl_s) = (b"of the event".to_vec(), None);
        let (tags, consulted) = (Vec::new(), Arc::default());
        let mut plan = Plan::default();
        let put = Action::Put { key: key(), value, ttl_s, tags, consulted };
        plan.add(put, START_MS, |_| Vec::new());
        let invalidation = Invalidation { targets: plan.targets, cause: Cause::default() };
        let applied = cache.invalidate(invalidation).await.unwrap();
        if let Some(value) = meanwhile {
            set(&cache, value).await;
        }
        let put = plan.puts.pop().unwrap();
        let is_written = events.shared.write(put, arrival, applied.sequence).await;
        let entry = cache.get(key().as_bytes()).await.unwrap();
        (String::from_utf8_lossy(entry.body()).into_owned(), is_written)
    }

    #[tokio::test]
    async fn value_of_an_event_does_not_replace_what_a_client_stored_after_the_invalidation() {
        assert_eq!(after_an_event(None).await, ("of the event".to_owned(), true));
        assert_eq!(after_an_event(Some("newer")).await, ("newer".to_owned(), false));
    }

    #[tokio::test]
    async fn id_that_is_no_text_is_refused_because_it_could_be_taken_for_another() {
        let clock = Clock::manual(START_MS);
        let cache = memory(&clock);
        let events = events_of(&cache, &Plugins::load(Vec::new(), clock).unwrap(), "none", 0);
        let change = || serde_json::json!({"events": [{"model": "shop.order", "pk": 5}]});
        for id in [b"order-\xe9", b"order-\xfc"] {
            let refused = deliver(&events, id, change()).await.unwrap_err();
            assert_eq!(refused.to_string(), "webhook-id is not utf-8");
            assert_eq!(refused.into_response().status(), StatusCode::BAD_REQUEST);
        }
        for (n, id) in [(1, "order-é"), (2, "order-ü")] {
            let receipt = deliver(&events, id, change()).await.unwrap();
            assert_eq!(receipt.sequence.as_u64(), n);
        }
    }
}
