//! Versions of a plugin that are published while an event is planned and applied.
//!
//! A version of which nobody knew when the event was planned may by then have tagged entries whose
//! claims are from before the event. So once the event is in force it is looked which versions
//! there are; what is new is asked, and what it names is made wrong, too, before the sender is
//! answered. About what an intent has named nobody can be asked at its end: there all that the
//! versions may have stored is made wrong.
//!
//! # Invariants
//! - An event is acknowledged only after a look that found no version that was not asked, taken
//!   when all that was planned before it was in force. So are the end of an intent, which comes
//!   with or without its commit, and a second application.
//! - Bounded: whoever publishes faster than events are answered makes their senders try again.
//!
//! # Not here
//! What is stored under a version later with a claim from before it was published: pages take the
//! version before the claim, and items with older ones are refused (`app::item_policy`).

use std::collections::HashSet;
use std::sync::Arc;

use super::apply::{Done, Refused, Shared};
use super::decide::all_of;
use super::intents::Step;
use super::log::Logged;
use super::plan::Plan;
use super::sources::Source;
use crate::cache::tier::Lasting;
use crate::cache::{Applied, Counted, InvalidateError};
use crate::model::{Cause, Event, Invalidation, Mode, Target};
use crate::plugins::{Plugin, Snapshot};

/// Times that it is looked for new versions. Each takes as long to make as many events.
const LOOKS_MAX: usize = 8;

/// The versions of a source's plugin, and which of them have been asked about a delivery.
pub(super) struct Panel {
    /// As they were when it was looked last; `None` where the source has no plugin.
    versions: Option<Snapshot>,
    /// By their components: the same one twice would say the same twice.
    asked: HashSet<String>,
}

impl Panel {
    pub(super) fn versions(&self) -> Option<&Snapshot> {
        self.versions.as_ref()
    }

    /// How many versions had been published when it was looked last.
    pub(super) fn published(&self) -> Option<u64> {
        self.versions().map(|versions| versions.published)
    }

    /// Whether a version has been published between the two looks.
    fn is_current(&self, now: Option<&Snapshot>) -> bool {
        now.map(|versions| versions.published) == self.published()
    }

    /// Notes the versions that there are now; returns those that have not been asked yet.
    fn note(&mut self, now: Option<Snapshot>) -> Vec<Arc<Plugin>> {
        self.versions = now;
        let all = self.versions.iter().flat_map(Snapshot::all);
        all.filter(|plugin| self.asked.insert(plugin.sha256().to_owned())).cloned().collect()
    }
}

/// A delivery that has been applied as it was planned.
pub(super) struct Delivered<'a> {
    pub(super) source: &'a Source,
    pub(super) events: &'a [Event],
    /// Whether its intent has named more than these events say.
    pub(super) is_commit: bool,
    pub(super) step: Step,
    pub(super) cause: Cause,
}

impl Shared {
    /// The versions that are to be asked about a delivery of this source.
    pub(super) fn panel(&self, source: &Source) -> Panel {
        let mut panel = Panel { versions: None, asked: HashSet::new() };
        panel.note(self.versions_of(source));
        panel
    }

    pub(super) fn versions_of(&self, source: &Source) -> Option<Snapshot> {
        self.plugins.snapshot(source.plugin.as_deref()?)
    }

    /// How many versions of the source's plugin have been published until now.
    pub(super) fn published(&self, source: &Source) -> Option<u64> {
        self.versions_of(source).map(|versions| versions.published)
    }

    /// Everything that the source's plugin may have stored, if a version was published since so
    /// many were, or nobody knows: what the earlier ones have named is not all that is wrong then.
    pub(super) fn stored_since(&self, source: &Source, published: Option<u64>) -> Vec<Target> {
        let now = self.versions_of(source).filter(|now| Some(now.published) != published);
        let mut stored = Vec::new();
        for version in now.iter().flat_map(Snapshot::all) {
            let target = all_of(version);
            if !stored.contains(&target) {
                stored.push(target);
            }
        }
        stored
    }

    /// Applies a delivery also as versions want it that were published since its panel was made.
    pub(super) async fn follow(
        &self,
        delivered: &Delivered<'_>,
        mut panel: Panel,
        mut done: Done,
        logged: &mut Logged,
    ) -> Result<Done, Refused> {
        for _ in 0..LOOKS_MAX {
            let now = self.versions_of(delivered.source);
            if panel.is_current(now.as_ref()) {
                return Ok(done);
            }
            let known = panel.published();
            let mut plan = self.plan_by_new(delivered, &panel.note(now)).await?;
            if delivered.is_commit {
                let source = delivered.source;
                plan.add_hard(&self.stored_since(source, known), &source.name);
            }
            logged.add_plan(&plan);
            self.metrics.plugin_fallbacks.inc_by(plan.fallbacks);
            self.carry_out_more(delivered, plan, &mut done).await?;
        }
        Err(Refused::VersionsChange)
    }

    /// Makes wrong what versions may have stored that were published since so many were, until a
    /// look finds no other: for what is in force by then and nobody can be asked about.
    ///
    /// # Errors
    /// Those of [`crate::cache::Cache::invalidate`]; it holds for this server all the same.
    pub(super) async fn follow_stored(
        &self,
        source: &Source,
        cause: &Cause,
        mut published: Option<u64>,
    ) -> Result<(), InvalidateError> {
        let mut outcome = Ok(());
        loop {
            let known = published;
            // Before what they have stored is named: what comes in between is looked at again.
            published = self.published(source);
            if published == known {
                return outcome;
            }
            let stored = self.stored_since(source, known).into_iter();
            let targets = stored.map(|target| (target, Mode::Hard)).collect();
            let invalidation = Invalidation { targets, cause: cause.clone() };
            outcome = outcome.and(self.cache.invalidate(invalidation).await.map(|_| ()));
        }
    }

    async fn plan_by_new(
        &self,
        delivered: &Delivered<'_>,
        new: &[Arc<Plugin>],
    ) -> Result<Plan, Refused> {
        let mut plan = Plan::default();
        for plugin in new {
            for event in delivered.events {
                match plugin.has_invalidator() {
                    true => self.plan_beside(&mut plan, plugin, "new", event).await?,
                    false => plan.add_row(event),
                }
            }
        }
        plan.close(&delivered.source.name);
        Ok(plan)
    }

    async fn carry_out_more(
        &self,
        delivered: &Delivered<'_>,
        plan: Plan,
        done: &mut Done,
    ) -> Result<(), Refused> {
        if plan.targets.is_empty() {
            return Ok(());
        }
        let cause = delivered.cause.clone();
        let mut invalidation = Invalidation { targets: plan.targets, cause };
        let applied = match &delivered.step {
            // What an intent had shut is open again.
            Step::Apply | Step::End(_) => self.cache.invalidate_counted(invalidation).await?,
            Step::Announce(intent) => {
                invalidation.targets.iter_mut().for_each(|(_, mode)| *mode = Mode::Hard);
                self.cache.shut(invalidation, intent.clone()).await?
            }
        };
        let Applied { sequence, affected, counted, lasting } = applied;
        done.receipt.sequence = sequence;
        done.receipt.affected += affected;
        if counted == Counted::Estimated {
            done.receipt.counted = counted;
        }
        if lasting == Lasting::Owed {
            done.receipt.lasting = lasting;
        }
        Ok(())
    }
}
