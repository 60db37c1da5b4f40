//! Watchers: connections that are a log of what other clients do (protocol.txt, "Watchers").
//!
//! `lines` has the text; what happens is told by `ops` and by the connections. Sent for memcached's
//! topics `fetchers`, `mutations`, `deletions`, `evictions` and `connevents`. Its other topics can
//! be watched, and never have a line: there is no proxy, no raw command log, and nothing that
//! `sysevents` tells about exists here.
//!
//! # Invariants
//! - While nobody watches a topic, what happens costs one relaxed load.
//! - A watcher that does not keep up holds [`MEMCACHED_WATCHER_BYTES_MAX`]; lines that do not fit
//!   are counted, and it is told how many it has missed.
//! - Nobody waits for a watcher.
//!
//! # Not here
//! Commands other than memcached's: what the HTTP doors read and write is not watched, but for
//! evictions, which are the memory's.

mod lines;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub(super) use lines::{CloseReason, Deletion, Fetch, Mutation, connection, eviction};

use crate::limits::{MEMCACHED_WATCHER_BYTES_MAX, MEMCACHED_WATCHERS_MAX};

/// Room for `skipped=N` before a line.
const SKIPPED_LINE_BYTES: usize = 32;

/// A set of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Topics(u32);

impl Topics {
    /// Look-ups by clients.
    pub(super) const FETCHERS: Self = Self(1);
    /// Values that clients store, or try to.
    pub(super) const MUTATIONS: Self = Self(1 << 1);
    /// Entries that leave for want of room.
    pub(super) const EVICTIONS: Self = Self(1 << 2);
    /// Connections that begin and end.
    pub(super) const CONNEVENTS: Self = Self(1 << 3);
    /// Entries that clients delete.
    pub(super) const DELETIONS: Self = Self(1 << 4);
    /// What memcached has lines about and this server has not.
    const SILENT: Self = Self(1 << 5);

    /// The topic of this name.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"fetchers" => Some(Self::FETCHERS),
            b"mutations" => Some(Self::MUTATIONS),
            b"evictions" => Some(Self::EVICTIONS),
            b"connevents" => Some(Self::CONNEVENTS),
            b"deletions" => Some(Self::DELETIONS),
            b"rawcmds" | b"sysevents" | b"proxyreqs" | b"proxyevents" | b"proxyuser" => {
                Some(Self::SILENT)
            }
            _ => None,
        }
    }

    /// These and those.
    pub(super) fn with(self, those: Self) -> Self {
        Self(self.0 | those.0)
    }

    fn has_any(self, those: Self) -> bool {
        self.0 & those.0 != 0
    }
}

/// All watchers of a door.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// The topics that somebody watches.
    watched: AtomicU32,
    list: Mutex<Vec<Arc<Watcher>>>,
    counts: Counts,
}

/// What `stats` shows.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    sent: AtomicU64,
    skipped: AtomicU64,
}

#[derive(Debug)]
struct Watcher {
    topics: Topics,
    waiting: Mutex<Waiting>,
    is_any: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that did not fit since the last that did.
    skipped: u64,
}

impl Watchers {
    /// Begins to watch; `None` when there are as many watchers as there may be.
    pub(super) fn watch(self: &Arc<Self>, topics: Topics) -> Option<Watching> {
        let mut list = self.list.lock();
        if list.len() >= MEMCACHED_WATCHERS_MAX {
            return None;
        }
        let waiting = Mutex::new(Waiting::default());
        let watcher = Arc::new(Watcher { topics, waiting, is_any: Notify::new() });
        list.push(Arc::clone(&watcher));
        self.note_watched(&list);
        Some(Watching { watchers: Arc::clone(self), watcher })
    }

    fn note_watched(&self, list: &[Arc<Watcher>]) {
        let watched = list.iter().fold(Topics::default(), |all, one| all.with(one.topics));
        self.watched.store(watched.0, Ordering::Relaxed);
    }

    /// Whether somebody watches one of these topics.
    pub(super) fn is_watched(&self, topics: Topics) -> bool {
        Topics(self.watched.load(Ordering::Relaxed)).has_any(topics)
    }

    /// Tells the watchers of a topic; `text` writes what stands behind time and number.
    pub(super) fn tell(&self, topic: Topics, now_ms: u64, text: impl FnOnce(&mut Vec<u8>)) {
        let number = self.counts.written.fetch_add(1, Ordering::Relaxed) + 1;
        let mut line = Vec::new();
        lines::begin(&mut line, now_ms, number);
        text(&mut line);
        line.push(b'\n');
        for watcher in self.list.lock().iter().filter(|one| one.topics.has_any(topic)) {
            let count = match watcher.offer(&line) {
                Offer::Taken => &self.counts.sent,
                Offer::Skipped => &self.counts.skipped,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Watchers now, and lines so far: written, sent, skipped.
    pub(super) fn stats(&self) -> (usize, [u64; 3]) {
        let Counts { written, sent, skipped } = &self.counts;
        let counts = [written, sent, skipped].map(|count| count.load(Ordering::Relaxed));
        (self.list.lock().len(), counts)
    }
}

/// What became of a line.
enum Offer {
    Taken,
    Skipped,
}

impl Watcher {
    fn offer(&self, line: &[u8]) -> Offer {
        let mut waiting = self.waiting.lock();
        let bytes = waiting.lines.len() + line.len() + SKIPPED_LINE_BYTES;
        if bytes > MEMCACHED_WATCHER_BYTES_MAX {
            waiting.skipped += 1;
            return Offer::Skipped;
        }
        let skipped = std::mem::take(&mut waiting.skipped);
        if skipped > 0 {
            waiting.lines.extend_from_slice(b"skipped=");
            waiting.lines.extend_from_slice(itoa::Buffer::new().format(skipped).as_bytes());
            waiting.lines.push(b'\n');
        }
        waiting.lines.extend_from_slice(line);
        self.is_any.notify_one();
        Offer::Taken
    }
}

/// A watcher's own end; dropped, it watches no more.
#[derive(Debug)]
pub(super) struct Watching {
    watchers: Arc<Watchers>,
    watcher: Arc<Watcher>,
}

impl Watching {
    /// The lines since the last time, at least one. Loses none when it is dropped while it waits.
    pub(super) async fn lines(&self) -> Vec<u8> {
        loop {
            let lines = std::mem::take(&mut self.watcher.waiting.lock().lines);
            if !lines.is_empty() {
                return lines;
            }
            self.watcher.is_any.notified().await;
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut list = self.watchers.list.lock();
        list.retain(|one| !Arc::ptr_eq(one, &self.watcher));
        self.watchers.note_watched(&list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(watchers: &Watchers, text: &str) {
        watchers.tell(Topics::FETCHERS, 5_007, |line| line.extend_from_slice(text.as_bytes()));
    }

    #[tokio::test]
    async fn lines_go_to_those_who_watch_their_topic() {
        let watchers = Arc::new(Watchers::default());
        assert!(!watchers.is_watched(Topics::FETCHERS));
        let fetchers = watchers.watch(Topics::FETCHERS.with(Topics::DELETIONS)).unwrap();
        let other = watchers.watch(Topics::MUTATIONS).unwrap();
        assert!(watchers.is_watched(Topics::FETCHERS) && !watchers.is_watched(Topics::EVICTIONS));
        text(&watchers, "a");
        watchers.tell(Topics::MUTATIONS, 5_007, |line| line.push(b'b'));
        assert_eq!(fetchers.lines().await, b"ts=5.007000 gid=1 a\n");
        assert_eq!(other.lines().await, b"ts=5.007000 gid=2 b\n");
        drop(fetchers);
        assert!(!watchers.is_watched(Topics::FETCHERS) && watchers.is_watched(Topics::MUTATIONS));
        assert_eq!(watchers.stats(), (1, [2, 2, 0]));
    }

    #[tokio::test]
    async fn slow_watcher_is_told_how_many_lines_it_has_missed() {
        let watchers = Arc::new(Watchers::default());
        let slow = watchers.watch(Topics::FETCHERS).unwrap();
        let long = "x".repeat(MEMCACHED_WATCHER_BYTES_MAX / 2);
        for _ in 0..3 {
            text(&watchers, &long);
        }
        assert!(slow.lines().await.len() < MEMCACHED_WATCHER_BYTES_MAX);
        text(&watchers, "next");
        text(&watchers, "after");
        assert_eq!(
            slow.lines().await,
            b"skipped=2\nts=5.007000 gid=4 next\nts=5.007000 gid=5 after\n"
        );
        assert_eq!(watchers.stats(), (1, [5, 3, 2]));
    }

    #[test]
    fn there_is_a_limit_of_watchers() {
        let watchers = Arc::new(Watchers::default());
        let all: Vec<_> = (0..MEMCACHED_WATCHERS_MAX)
            .map(|_| watchers.watch(Topics::FETCHERS).unwrap())
            .collect();
        assert!(watchers.watch(Topics::FETCHERS).is_none());
        drop(all);
        assert!(watchers.watch(Topics::FETCHERS).is_some());
    }
}
