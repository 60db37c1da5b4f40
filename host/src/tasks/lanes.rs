//! Lanes: threads with an event loop each, over which connections are spread when they are
//! accepted, as memcached does it.
//!
//! A connection stays on its lane: nothing is stolen, nobody else is woken for it, and what it
//! touched last is still in that core's cache.
//!
//! # Invariants
//! - A lane runs until its [`Lanes`] are dropped, and what is left on it ends then.
//!
//! # Not here
//! What waits for disks or computes for long: that has threads of its own, or the main runtime's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The running lanes; dropping them ends and joins their threads.
#[derive(Debug)]
pub struct Lanes {
    spread: Spread,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

/// Where the next connection goes; clones take turns together.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    lanes: Arc<[Handle]>,
    next: Arc<AtomicUsize>,
}

impl Spread {
    /// The lane whose turn it is.
    pub(super) fn next(&self) -> Option<&Handle> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.lanes.get(turn % self.lanes.len().max(1))
    }
}

impl Lanes {
    /// Starts so many.
    ///
    /// # Errors
    /// Those of the system, where it has no threads or descriptors left.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let mut lanes = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            lanes.push(runtime.handle().clone());
            let stopped = stop.clone().cancelled_owned();
            let thread = std::thread::Builder::new().name(format!("lane-{number}"));
            threads.push(thread.spawn(move || runtime.block_on(stopped))?);
        }
        let spread = Spread { lanes: lanes.into(), next: Arc::default() };
        Ok(Self { spread, stop, threads })
    }

    pub(super) fn spread(&self) -> Spread {
        self.spread.clone()
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // A lane that panicked has ended, too.
            let _ = thread.join();
        }
    }
}
