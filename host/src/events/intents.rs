//! Changes that are announced before they are made: `intent` before the application's transaction,
//! `commit` after it. In between, what they name is passed through by every protocol.
//!
//! # Invariants
//! - An intent ends by its commit or when its source's time for it is over; either invalidates what
//!   it has shut.
//! - A commit that comes after that, or once more, still invalidates all that its intent ever
//!   named, as long as that is remembered, whether or not it was announced anew meanwhile. One of
//!   an unknown intent is an ordinary event; if it also names no change, it is refused, for nothing
//!   could be done about it.
//! - If a version of the source's plugin is published before an intent has ended, its end also
//!   makes wrong all that the plugin's versions may have stored: nobody asked them what it shuts.
//! - While an announcement is carried out no intent's time ends: one that is announced once more in
//!   time goes on.
//! - Intents are bounded; one that does not fit is refused before anything is done.
//! - With a tier, an intent outlives a crash; its time goes on.
//!
//! # Not here
//! What shut means, and what survives: `cache`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockReadGuard};

use super::apply::{Events, Refused, Shared};
use super::follow::Panel;
use super::native::Phase;
use super::plan::Plan;
use super::sources::Source;
use crate::limits::{
    INTENT_TARGETS_MAX, INTENTS_MAX, REMEMBERED_INTENTS_MAX, TARGETS_PER_INVALIDATION_MAX,
};
use crate::model::{Cause, Intent, Invalidation, Mode, Target};

/// What became of the intent that a delivery speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentState {
    /// It is announced: what it names is passed through.
    Open,
    /// Its commit has ended it.
    Committed,
    /// Its time was over before its commit came.
    TimedOut,
    /// It was never announced, or that is forgotten.
    Unknown,
}

impl IntentState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::TimedOut => "timed_out",
            Self::Unknown => "unknown",
        }
    }
}

/// What a delivery does beside invalidating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Apply,
    /// It begins an intent.
    Announce(Intent),
    /// It ends the intent of this name.
    End(String),
}

/// What is known of intents beyond what the cache has shut for them.
#[derive(Default)]
pub(super) struct Intents {
    known: Mutex<Known>,
    /// Shared by announcements; alone with it, time-outs.
    announcing: RwLock<()>,
}

#[derive(Default)]
struct Known {
    /// What is known of those that are open and were announced to this server.
    open: HashMap<String, Announced>,
    ended: HashMap<String, Ended>,
    /// The names of `ended`, oldest first.
    order: VecDeque<String>,
    /// Targets in `ended`.
    size: usize,
}

/// An intent that is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Announced {
    /// Pages that are to be fetched anew when it ends.
    refreshes: Vec<String>,
    /// How many versions of the plugin had been published when it was asked first.
    published: Option<u64>,
}

/// An intent that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    state: IntentState,
    targets: Vec<Target>,
    /// As in [`Announced`].
    published: Option<u64>,
}

impl Intents {
    /// Remembers an intent that is announced, once more perhaps.
    fn note_announced(&self, name: &str, refreshes: Vec<String>, published: Option<u64>) {
        let mut known = self.known.lock();
        let announced = known.open.entry(name.to_owned());
        announced.or_insert(Announced { refreshes: Vec::new(), published }).refreshes = refreshes;
    }

    /// Has no intent's time end until this is dropped.
    pub(super) async fn announcing(&self) -> RwLockReadGuard<'_, ()> {
        self.announcing.read().await
    }

    /// Remembers an intent that ends, with what it had shut when its time was over before; the
    /// oldest are forgotten.
    fn note_end(&self, name: &str, mut ended: Ended) {
        let mut known = self.known.lock();
        if let Some(before) = known.ended.remove(name) {
            known.size -= before.targets.len();
            known.order.retain(|other| other != name);
            if before.state == IntentState::TimedOut {
                ended.add(before);
            }
        }
        known.size += ended.targets.len();
        known.ended.insert(name.to_owned(), ended);
        known.order.push_back(name.to_owned());
        while known.order.len() > REMEMBERED_INTENTS_MAX || known.size > INTENT_TARGETS_MAX {
            let Some(oldest) = known.order.pop_front() else { break };
            let forgotten = known.ended.remove(&oldest);
            known.size -= forgotten.map_or(0, |ended| ended.targets.len());
        }
    }

    fn ended(&self, name: &str) -> Option<Ended> {
        self.known.lock().ended.get(name).cloned()
    }

    /// What an intent had shut whose time was over before it was announced once more.
    fn timed_out(&self, name: &str) -> Option<Ended> {
        self.ended(name).filter(|ended| ended.state == IntentState::TimedOut)
    }

    fn take_announced(&self, name: &str) -> Announced {
        self.known.lock().open.remove(name).unwrap_or_default()
    }
}

impl Ended {
    /// Adds what it had named before.
    fn add(&mut self, before: Self) {
        let known: HashSet<Target> = self.targets.iter().cloned().collect();
        let more = before.targets.into_iter().filter(|target| !known.contains(target));
        self.targets.extend(more);
        if self.published != before.published {
            self.published = None;
        }
    }
}

impl Shared {
    /// What a delivery of this phase does, and what that adds to its plan.
    pub(super) fn step(
        &self,
        source: &Source,
        phase: &Phase,
        panel: &Panel,
        plan: &mut Plan,
    ) -> Result<(Step, Option<IntentState>), Refused> {
        match phase {
            Phase::Whole => Ok((Step::Apply, None)),
            Phase::Intent(id) => {
                let intent = self.announced(source, id, panel, plan)?;
                Ok((Step::Announce(intent), Some(IntentState::Open)))
            }
            Phase::Commit(id) => {
                let (step, state) = self.committed(source, id, plan)?;
                Ok((step, Some(state)))
            }
        }
    }

    fn announced(
        &self,
        source: &Source,
        id: &str,
        panel: &Panel,
        plan: &mut Plan,
    ) -> Result<Intent, Refused> {
        let name = name_of(source, id);
        let (intents, targets) = self.cache.intents();
        let is_new = self.cache.shut_by(&name).is_none();
        if is_new && intents >= INTENTS_MAX || targets + plan.targets.len() > INTENT_TARGETS_MAX {
            return Err(Refused::TooManyIntents { intents, targets });
        }
        // What is shut is gone, not stale; and there is no new value yet.
        plan.targets.iter_mut().for_each(|(_, mode)| *mode = Mode::Hard);
        plan.puts.clear();
        let refreshes = std::mem::take(&mut plan.refreshes);
        if !plan.targets.is_empty() {
            self.intents.note_announced(&name, refreshes, panel.published());
        } else if is_new && self.intents.ended(&name).is_none() {
            // Its commit is not that of an unknown one.
            let (state, published) = (IntentState::Committed, panel.published());
            self.intents.note_end(&name, Ended { state, targets: Vec::new(), published });
        }
        let now_ms = self.cache.clock().now_ms();
        Ok(Intent { name, until_ms: now_ms.saturating_add(source.intent_timeout_ms) })
    }

    fn committed(
        &self,
        source: &Source,
        id: &str,
        plan: &mut Plan,
    ) -> Result<(Step, IntentState), Refused> {
        let name = name_of(source, id);
        if let Some(targets) = self.cache.shut_by(&name) {
            let Announced { refreshes, published } = self.intents.take_announced(&name);
            plan.add_hard(&targets, &source.name);
            plan.add_hard(&self.stored_since(source, published), &source.name);
            if let Some(before) = self.intents.timed_out(&name) {
                plan.add_hard(&before.targets, &source.name);
                plan.add_hard(&self.stored_since(source, before.published), &source.name);
            }
            plan.refreshes.extend(refreshes);
            // Should it not become durable, it is sent again.
            let state = IntentState::Committed;
            self.intents.note_end(&name, Ended { state, targets, published });
            return Ok((Step::End(name), IntentState::Committed));
        }
        match self.intents.ended(&name) {
            Some(ended) => {
                plan.add_hard(&ended.targets, &source.name);
                plan.add_hard(&self.stored_since(source, ended.published), &source.name);
                Ok((Step::Apply, ended.state))
            }
            None if plan.decisions.is_empty() => Err(Refused::UnknownIntent(id.to_owned())),
            None => Ok((Step::Apply, IntentState::Unknown)),
        }
    }

    /// What a commit adds to its plan, for those who only look.
    pub(super) fn add_shut(&self, source: &Source, phase: &Phase, plan: &mut Plan) {
        let Phase::Commit(id) = phase else { return };
        let name = name_of(source, id);
        let (shut, ended) = match self.cache.shut_by(&name) {
            Some(targets) => (targets, self.intents.timed_out(&name)),
            None => (Vec::new(), self.intents.ended(&name)),
        };
        plan.add_hard(&shut, &source.name);
        plan.add_hard(&ended.map_or_else(Vec::new, |ended| ended.targets), &source.name);
    }

    /// Ends the intent whose time is over first without its commit, if there is one.
    async fn time_out(&self) {
        let _alone = self.intents.announcing.write().await;
        let now_ms = self.cache.clock().now_ms();
        let first = self.cache.first_intent().filter(|intent| intent.until_ms <= now_ms);
        let Some(Intent { name, .. }) = first else { return };
        let Some(mut targets) = self.cache.shut_by(&name) else { return };
        let Announced { refreshes, published } = self.intents.take_announced(&name);
        let state = IntentState::TimedOut;
        self.intents.note_end(&name, Ended { state, targets: targets.clone(), published });
        let source_name = name.split('/').next().unwrap_or_default().to_owned();
        let source = self.sources.get(&source_name);
        let known = source.and_then(|source| self.published(source));
        if let Some(source) = source {
            targets.extend(self.stored_since(source, published));
        }
        tracing::warn!(
            intent = name,
            targets = targets.len(),
            "no commit in time; what the intent named is invalidated and open again"
        );
        let at_ms = self.cache.clock().now_ms();
        let cause = Cause { source: source_name, event_id: None, at_ms, ..Cause::default() };
        let targets = match targets.len() {
            1..=TARGETS_PER_INVALIDATION_MAX => targets,
            _ => vec![Target::Everything],
        };
        let targets = targets.into_iter().map(|target| (target, Mode::Hard)).collect();
        let invalidation = Invalidation { targets, cause: cause.clone() };
        let mut outcome = self.cache.open(invalidation, name).await.map(|_| ());
        if let Some(source) = source {
            outcome = outcome.and(self.follow_stored(source, &cause, known).await);
        }
        if let Err(error) = outcome {
            // It holds for this server; the next one finds the intent and ends it once more.
            tracing::warn!(%error, "end of an intent");
        }
        self.metrics.intents_timed_out.inc();
        for url in refreshes {
            (self.refresh)(url);
        }
    }
}

impl Events {
    /// Ends intents whose commit does not come, for ever. The owner ends it by dropping the future.
    pub async fn end_intents_forever(&self) {
        let shared = &self.shared;
        loop {
            let now_ms = shared.cache.clock().now_ms();
            match shared.cache.first_intent() {
                Some(intent) if intent.until_ms <= now_ms => shared.time_out().await,
                Some(intent) => {
                    let wait = Duration::from_millis(intent.until_ms - now_ms);
                    let _ = tokio::time::timeout(wait, shared.cache.intent_announced()).await;
                }
                None => shared.cache.intent_announced().await,
            }
        }
    }
}

/// Names of sources have no `/`.
fn name_of(source: &Source, id: &str) -> String {
    format!("{}/{id}", source.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tag;

    fn ended(state: IntentState, targets: Vec<Target>) -> Ended {
        Ended { state, targets, published: Some(1) }
    }

    fn tags(count: usize) -> Vec<Target> {
        (0..count).map(|n| Target::Tag(Tag::new(&n.to_string()).unwrap())).collect()
    }

    #[test]
    fn what_an_intent_had_named_when_its_time_was_over_is_remembered_until_its_commit() {
        let (intents, all) = (Intents::default(), tags(4));
        let end = |state, n: usize| {
            intents.note_end("shop/a", ended(state, vec![all[n].clone()]));
            let mut targets = intents.ended("shop/a").unwrap().targets;
            targets.sort();
            targets
        };
        assert_eq!(end(IntentState::TimedOut, 0), all[..1]);
        assert_eq!(end(IntentState::TimedOut, 1), all[..2]);
        assert_eq!(end(IntentState::Committed, 2), all[..3]);
        assert_eq!(end(IntentState::Committed, 3), all[3..], "another one of the same name");
    }

    #[test]
    fn intents_that_have_ended_are_forgotten_oldest_first() {
        let intents = Intents::default();
        for n in 0..=REMEMBERED_INTENTS_MAX {
            intents.note_end(&format!("shop/{n}"), ended(IntentState::TimedOut, tags(1)));
        }
        assert_eq!(intents.ended("shop/0"), None);
        let second = ended(IntentState::TimedOut, tags(1));
        assert_eq!(intents.ended("shop/1"), Some(second));
        intents.note_end("shop/large", ended(IntentState::Committed, tags(INTENT_TARGETS_MAX)));
        assert_eq!(intents.ended("shop/1"), None);
        assert!(intents.ended("shop/large").is_some());
        assert_eq!(intents.known.lock().size, INTENT_TARGETS_MAX);
    }

    #[test]
    fn an_intent_that_ends_twice_is_remembered_once() {
        let intents = Intents::default();
        intents.note_end("shop/1", ended(IntentState::TimedOut, tags(3)));
        intents.note_end("shop/1", ended(IntentState::Committed, tags(2)));
        let last = ended(IntentState::Committed, tags(3));
        assert_eq!(intents.ended("shop/1"), Some(last));
        let known = intents.known.lock();
        assert_eq!((known.size, known.order.len()), (3, 1));
    }
}
