//! Lanes: threads with an event loop each, over which connections are spread when they are
//! accepted, as memcached does it.
//!
//! A connection stays on its lane: nothing is stolen, nobody else is woken for it, and what it
//! touched last is still in that core's cache. One more lane, aside, gives way to all others: what
//! nobody waits for is done there.
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

/// Of the lane aside: whoever wakes up takes the processor from it at once, and where others never
/// rest it still gets a tenth of what each of them gets.
const NICE: i32 = 10;

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
    aside: Handle,
    next: Arc<AtomicUsize>,
}

impl Spread {
    /// The lane whose turn it is.
    pub(super) fn next(&self) -> Option<&Handle> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.lanes.get(turn % self.lanes.len().max(1))
    }

    /// The lane aside.
    pub(super) fn aside(&self) -> &Handle {
        &self.aside
    }
}

impl Lanes {
    /// Starts so many, and the one aside.
    ///
    /// # Errors
    /// Those of the system, where it has no threads or descriptors left.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let mut threads = Vec::with_capacity(count + 1);
        let mut start = |name: String, nice: i32| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stopped = stop.clone().cancelled_owned();
            let run = move || {
                if nice > 0 {
                    // Of this thread alone; where it is forbidden, they share alike.
                    let _ = rustix::process::nice(nice);
                }
                runtime.block_on(stopped);
            };
            threads.push(std::thread::Builder::new().name(name).spawn(run)?);
            io::Result::Ok(handle)
        };
        let lanes = (0..count).map(|n| start(format!("lane-{n}"), 0)).collect::<io::Result<_>>()?;
        let spread =
            Spread { lanes, aside: start("aside".to_owned(), NICE)?, next: Arc::default() };
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
