//! Audits after events: when, and what is told of what they find.
//!
//! # Invariants
//! - An event is audited after it was acknowledged and has settled, and after its second time where
//!   its source holds events.
//! - One audit at a time. What does not fit the queue is not audited, and counted: audits are
//!   samples, and never in anybody's way.
//!
//! # Not here
//! What an audit looks at (`pages`, through the app).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use super::apply::{Events, Shared};
use super::plan::{BUILT_IN, change_shown};
use super::sources::Source;
use crate::limits::AUDITS_WAITING_MAX;
use crate::model::{Audited, Event};

/// Changes of an event that the log names.
const CHANGES_TOLD_MAX: usize = 10;

/// Audits pages that the rules of a plugin should have named for an event of this id; given by the
/// app, because the page cache is another front door.
pub type AuditPages =
    Arc<dyn Fn(Option<String>, String) -> BoxFuture<'static, Audited> + Send + Sync>;

/// How events are audited.
#[derive(Clone)]
pub struct Auditor {
    /// From the event to its audit, milliseconds.
    pub settle_ms: u64,
    /// Does it.
    pub pages: AuditPages,
}

/// An event that is to be audited.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Audit {
    source: String,
    id: String,
    changes: Vec<String>,
    plugin: Option<String>,
}

/// What waits, by when it has settled.
pub(super) struct Audits {
    auditor: Option<Auditor>,
    /// By milliseconds since 1970 and a number that tells apart what is due at once.
    waiting: Mutex<BTreeMap<(u64, u64), Audit>>,
    /// Told when something waits that may be due before the rest.
    changed: Notify,
}

/// What an audit has found, as the list of events shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct AuditShown {
    /// Pages fetched anew.
    checked: u64,
    /// Those that were served though they were wrong; they are invalidated now.
    stale: u64,
    /// Those that differ from themselves.
    unstable: u64,
}

impl Audits {
    pub(super) fn new(auditor: Option<Auditor>) -> Self {
        Self { auditor, waiting: Mutex::default(), changed: Notify::new() }
    }

    /// Has an event audited later. `false` where there is no room for it.
    fn add(&self, due_ms: u64, audit: Audit) -> bool {
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= AUDITS_WAITING_MAX {
                return false;
            }
            let last = waiting.range((due_ms, 0)..=(due_ms, u64::MAX)).next_back();
            let number = last.map_or(0, |((_, number), _)| number + 1);
            waiting.insert((due_ms, number), audit);
        }
        self.changed.notify_one();
        true
    }

    /// Takes out the first that is due by `now_ms`, or says when the next one is.
    fn take_due(&self, now_ms: u64) -> Result<Audit, Option<u64>> {
        let mut waiting = self.waiting.lock();
        match waiting.first_entry() {
            Some(first) if first.key().0 <= now_ms => Ok(first.remove()),
            first => Err(first.map(|first| first.key().0)),
        }
    }
}

impl Events {
    /// Audits events when they have settled, for ever. The owner ends it by dropping the future.
    pub async fn audit_forever(&self) {
        let shared = &self.shared;
        let Some(auditor) = &shared.audits.auditor else { return };
        loop {
            let now_ms = shared.cache.clock().now_ms();
            match shared.audits.take_due(now_ms) {
                Ok(audit) => {
                    let pages = (auditor.pages)(audit.plugin.clone(), audit.id.clone());
                    shared.tell(&audit, &pages.await);
                }
                Err(Some(due_ms)) => {
                    let wait = Duration::from_millis(due_ms.saturating_sub(now_ms));
                    let _ = tokio::time::timeout(wait, shared.audits.changed.notified()).await;
                }
                Err(None) => shared.audits.changed.notified().await,
            }
        }
    }
}

impl Shared {
    /// Has an event that was acknowledged audited, where events are.
    pub(super) fn want_audit(&self, source: &Source, id: &str, events: &[Event]) {
        let Some(auditor) = &self.audits.auditor else { return };
        let audit = Audit {
            source: source.name.clone(),
            id: id.to_owned(),
            changes: events.iter().take(CHANGES_TOLD_MAX).map(change_shown).collect(),
            plugin: source.plugin.clone(),
        };
        let settle_ms = source.hold_ms.saturating_add(auditor.settle_ms);
        if !self.audits.add(self.cache.clock().now_ms().saturating_add(settle_ms), audit) {
            self.metrics.audits_dropped.inc();
        }
    }

    fn tell(&self, audit: &Audit, found: &Audited) {
        let Audit { source, id, changes, plugin } = audit;
        let plugin = plugin.as_deref().unwrap_or(BUILT_IN);
        for page in &found.stale {
            let tags: Vec<&str> = page.tags.iter().map(|tag| tag.as_str()).collect();
            let (site, key, url) = (&page.site, page.key.to_text(), &page.url);
            tracing::warn!(
                plugin,
                source,
                event = id,
                ?changes,
                site,
                key,
                url,
                ?tags,
                "stale page: the event should have named it; invalidated now"
            );
        }
        self.metrics.count_audited(found, plugin);
        let (checked, stale) = (found.checked(), found.stale.len() as u64);
        let shown = AuditShown { checked, stale, unstable: found.unstable };
        self.log.note_audit(source, id, shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(id: &str) -> Audit {
        let (source, changes) = ("shop".to_owned(), Vec::new());
        Audit { source, id: id.to_owned(), changes, plugin: None }
    }

    #[test]
    fn events_are_audited_in_the_order_in_which_they_settle() {
        let audits = Audits::new(None);
        for (due_ms, id) in [(2_000, "later"), (1_000, "one"), (1_000, "two")] {
            assert!(audits.add(due_ms, audit(id)));
        }
        assert_eq!(audits.take_due(999), Err(Some(1_000)));
        assert_eq!(audits.take_due(1_000), Ok(audit("one")));
        assert_eq!(audits.take_due(1_000), Ok(audit("two")));
        assert_eq!(audits.take_due(1_000), Err(Some(2_000)));
        assert_eq!(audits.take_due(2_000), Ok(audit("later")));
        assert_eq!(audits.take_due(u64::MAX), Err(None));
    }

    #[test]
    fn what_does_not_fit_the_queue_is_refused() {
        let audits = Audits::new(None);
        let is_room = |_| audits.add(1, audit("one"));
        assert!((0..AUDITS_WAITING_MAX).all(is_room));
        assert!(!audits.add(1, audit("more")));
        assert!(audits.take_due(1).is_ok() && audits.add(1, audit("more")));
    }
}
