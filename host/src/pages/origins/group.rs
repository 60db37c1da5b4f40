//! The origins of one site: which is asked next, and how much at a time.
//!
//! # Invariants
//! - No origin has more requests under way than it may; so many more wait, for so long, and the
//!   rest is told to come again.
//! - Of the healthy ones the least busy is asked, in turn where they are equally busy. Where none
//!   is healthy, one is asked all the same: it may have come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::uri::Authority;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OriginError;
use super::health::{Change, Health};
use crate::pages::settings::Settings;

/// One origin.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) authority: Authority,
    health: Mutex<Health>,
    slots: Arc<Semaphore>,
    slots_max: usize,
    queue: Semaphore,
    queue_timeout_ms: u64,
}

/// The origins of a site.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) upstreams: Vec<Arc<Upstream>>,
    turn: AtomicUsize,
}

impl Upstream {
    fn new(authority: Authority, settings: &Settings) -> Self {
        Self {
            authority,
            health: Mutex::default(),
            slots: Arc::new(Semaphore::new(settings.origin_requests_max)),
            slots_max: settings.origin_requests_max,
            queue: Semaphore::new(settings.origin_queue_max),
            queue_timeout_ms: settings.origin_queue_timeout_ms,
        }
    }

    /// The right to ask it, to be held until its answer has been read.
    pub(super) async fn slot(&self) -> Result<OwnedSemaphorePermit, OriginError> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let Ok(_place) = self.queue.try_acquire() else { return Err(OriginError::Busy) };
        let limit = Duration::from_millis(self.queue_timeout_ms);
        match tokio::time::timeout(limit, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(OriginError::Busy),
        }
    }

    /// It answered, to a request or a check.
    pub(super) fn note_success(&self) {
        let change = self.health.lock().note_success();
        self.tell(change);
    }

    /// It did not.
    pub(super) fn note_failure(&self, now_ms: u64) {
        let change = self.health.lock().note_failure(now_ms);
        self.tell(change);
    }

    /// It did not answer a check as it should.
    pub(super) fn note_failed_check(&self) {
        let change = self.health.lock().note_failed_check();
        self.tell(change);
    }

    fn tell(&self, change: Option<Change>) {
        let origin = &self.authority;
        match change {
            Some(Change::Out { pause_ms: 0 }) => tracing::warn!(%origin, "out until it is well"),
            Some(Change::Out { pause_ms }) => tracing::warn!(%origin, pause_ms, "origin is out"),
            Some(Change::Back) => tracing::info!(%origin, "origin is back"),
            None => {}
        }
    }

    fn is_out(&self, now_ms: u64) -> bool {
        self.health.lock().is_out(now_ms)
    }

    fn busy(&self) -> usize {
        self.slots_max.saturating_sub(self.slots.available_permits())
    }
}

impl Group {
    pub(super) fn new(origins: Vec<Authority>, settings: &Settings) -> Self {
        let upstream = |authority| Arc::new(Upstream::new(authority, settings));
        let upstreams = origins.into_iter().map(upstream).collect();
        Self { upstreams, turn: AtomicUsize::new(0) }
    }

    /// The origin to ask, without those that were asked already.
    pub(super) fn pick(&self, now_ms: u64, asked: &[Arc<Upstream>]) -> Option<Arc<Upstream>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.upstreams.len().max(1);
        let in_turn = self.upstreams.iter().cycle().skip(turn % count).take(self.upstreams.len());
        in_turn
            .filter(|one| !asked.iter().any(|other| Arc::ptr_eq(one, other)))
            // The first of the least: those in turn before the others.
            .min_by_key(|one| (one.is_out(now_ms), one.busy()))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(count: usize) -> Group {
        let settings = Settings {
            origin_requests_max: 2,
            origin_queue_max: 1,
            origin_queue_timeout_ms: 1,
            ..Settings::default()
        };
        let origins = (0..count).map(|n| format!("o{n}:80").parse().unwrap()).collect();
        Group::new(origins, &settings)
    }

    #[test]
    fn origins_take_turns_and_those_that_are_out_are_left_alone() {
        let group = group(3);
        let pick = || group.pick(0, &[]).unwrap().authority.to_string();
        assert_eq!([pick(), pick(), pick()], ["o0:80", "o1:80", "o2:80"]);
        for _ in 0..3 {
            group.upstreams[0].note_failure(0);
        }
        let picked: Vec<_> = (0..6).map(|_| pick()).collect();
        assert!(!picked.contains(&"o0:80".to_owned()), "{picked:?}");
        let all = group.upstreams.clone();
        assert_eq!(group.pick(0, &all[1..]).unwrap().authority, "o0:80", "better than none");
        assert!(group.pick(0, &all).is_none());
    }

    #[tokio::test]
    async fn the_least_busy_is_asked_and_what_is_too_much_is_refused() {
        let group = group(2);
        let first = group.upstreams[0].slot().await.unwrap();
        for _ in 0..4 {
            assert_eq!(group.pick(0, &[]).unwrap().authority, "o1:80");
        }
        let second = group.upstreams[0].slot().await.unwrap();
        assert!(matches!(group.upstreams[0].slot().await, Err(OriginError::Busy)));
        drop((first, second));
        assert!(group.upstreams[0].slot().await.is_ok());
    }
}
