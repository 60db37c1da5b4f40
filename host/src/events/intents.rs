//! Changes that are announced before they are made: `intent` before the application's transaction,
//! `commit` after it. In between, what they name is passed through by every protocol.
//!
//! # Invariants
//! - An intent ends by its commit or when its source's time for it is over; either invalidates what
//!   it has shut.
//! - A commit that comes after that, or once more, still invalidates what its intent named, as long
//!   as that is remembered. One of an unknown intent is an ordinary event; if it also names no
//!   change, it is refused, for nothing could be done about it.
//! - Intents are bounded; one that does not fit is refused before anything is done.
//! - With a tier, an intent outlives a crash; its time goes on.
//!
//! # Not here
//! What shut means, and what survives: `cache`.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;

use super::apply::{Events, Refused, Shared};
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
}

#[derive(Default)]
struct Known {
    /// Pages that are to be fetched anew when an intent ends.
    refreshes: HashMap<String, Vec<String>>,
    ended: HashMap<String, Ended>,
    /// The names of `ended`, oldest first.
    order: VecDeque<String>,
    /// Targets in `ended`.
    size: usize,
}

/// An intent that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    state: IntentState,
    targets: Vec<Target>,
}

impl Intents {
    /// Remembers an intent that ends; the oldest are forgotten.
    fn note_end(&self, name: &str, state: IntentState, targets: Vec<Target>) {
        let mut known = self.known.lock();
        known.size += targets.len();
        match known.ended.insert(name.to_owned(), Ended { state, targets }) {
            Some(before) => known.size -= before.targets.len(),
            None => known.order.push_back(name.to_owned()),
        }
        while known.order.len() > REMEMBERED_INTENTS_MAX || known.size > INTENT_TARGETS_MAX {
            let Some(oldest) = known.order.pop_front() else { break };
            let forgotten = known.ended.remove(&oldest);
            known.size -= forgotten.map_or(0, |ended| ended.targets.len());
        }
    }

    fn ended(&self, name: &str) -> Option<Ended> {
        self.known.lock().ended.get(name).cloned()
    }

    fn take_refreshes(&self, name: &str) -> Vec<String> {
        self.known.lock().refreshes.remove(name).unwrap_or_default()
    }
}

impl Shared {
    /// What a delivery of this phase does, and what that adds to its plan.
    pub(super) fn step(
        &self,
        source: &Source,
        phase: &Phase,
        plan: &mut Plan,
    ) -> Result<(Step, Option<IntentState>), Refused> {
        match phase {
            Phase::Whole => Ok((Step::Apply, None)),
            Phase::Intent(id) => {
                let intent = self.announced(source, id, plan)?;
                Ok((Step::Announce(intent), Some(IntentState::Open)))
            }
            Phase::Commit(id) => {
                let (step, state) = self.committed(source, id, plan)?;
                Ok((step, Some(state)))
            }
        }
    }

    fn announced(&self, source: &Source, id: &str, plan: &mut Plan) -> Result<Intent, Refused> {
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
        if plan.targets.is_empty() {
            // Its commit is not that of an unknown one.
            self.intents.note_end(&name, IntentState::Committed, Vec::new());
        } else {
            self.intents.known.lock().refreshes.insert(name.clone(), refreshes);
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
            plan.add_hard(&targets, &source.name);
            plan.refreshes.extend(self.intents.take_refreshes(&name));
            // Should it not become durable, it is sent again.
            self.intents.note_end(&name, IntentState::Committed, targets);
            return Ok((Step::End(name), IntentState::Committed));
        }
        match self.intents.ended(&name) {
            Some(ended) => {
                plan.add_hard(&ended.targets, &source.name);
                Ok((Step::Apply, ended.state))
            }
            None if plan.decisions.is_empty() => Err(Refused::UnknownIntent(id.to_owned())),
            None => Ok((Step::Apply, IntentState::Unknown)),
        }
    }

    /// What a commit adds to its plan, for those who only look.
    pub(super) fn add_shut(&self, source: &Source, phase: &Phase, plan: &mut Plan) {
        let Phase::Commit(id) = phase else { return };
        let targets = self.cache.shut_by(&name_of(source, id)).unwrap_or_default();
        plan.add_hard(&targets, &source.name);
    }

    /// Ends an intent without its commit.
    async fn time_out(&self, intent: Intent) {
        let Intent { name, .. } = intent;
        let Some(targets) = self.cache.shut_by(&name) else { return };
        self.intents.note_end(&name, IntentState::TimedOut, targets.clone());
        let refreshes = self.intents.take_refreshes(&name);
        let source = name.split('/').next().unwrap_or_default().to_owned();
        tracing::warn!(
            intent = name,
            targets = targets.len(),
            "no commit in time; what the intent named is invalidated and open again"
        );
        let at_ms = self.cache.clock().now_ms();
        let cause = Cause { source, event_id: None, at_ms, ..Cause::default() };
        let targets = match targets.len() {
            1..=TARGETS_PER_INVALIDATION_MAX => targets,
            _ => vec![Target::Everything],
        };
        let targets = targets.into_iter().map(|target| (target, Mode::Hard)).collect();
        if let Err(error) = self.cache.open(Invalidation { targets, cause }, name).await {
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
                Some(intent) if intent.until_ms <= now_ms => shared.time_out(intent).await,
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

    fn tags(count: usize) -> Vec<Target> {
        (0..count).map(|n| Target::Tag(Tag::new(&n.to_string()).unwrap())).collect()
    }

    #[test]
    fn intents_that_have_ended_are_forgotten_oldest_first() {
        let intents = Intents::default();
        for n in 0..=REMEMBERED_INTENTS_MAX {
            intents.note_end(&format!("shop/{n}"), IntentState::TimedOut, tags(1));
        }
        assert_eq!(intents.ended("shop/0"), None);
        let second = Ended { state: IntentState::TimedOut, targets: tags(1) };
        assert_eq!(intents.ended("shop/1"), Some(second));
        intents.note_end("shop/large", IntentState::Committed, tags(INTENT_TARGETS_MAX));
        assert_eq!(intents.ended("shop/1"), None);
        assert!(intents.ended("shop/large").is_some());
        assert_eq!(intents.known.lock().size, INTENT_TARGETS_MAX);
    }

    #[test]
    fn an_intent_that_ends_twice_is_remembered_once() {
        let intents = Intents::default();
        intents.note_end("shop/1", IntentState::TimedOut, tags(3));
        intents.note_end("shop/1", IntentState::Committed, tags(2));
        let last = Ended { state: IntentState::Committed, targets: tags(2) };
        assert_eq!(intents.ended("shop/1"), Some(last));
        let known = intents.known.lock();
        assert_eq!((known.size, known.order.len()), (2, 1));
    }
}
