//! Threads for the calls that may take longer than a request can wait on its own thread.
//!
//! # Invariants
//! - The queues are bounded; a full one answers at once, so that waiting work can't eat the memory.
//! - Slow events never hold up the storing of pages: each kind has its own threads and queue.
//! - A panic in one job costs that job alone.
//!
//! # Not here
//! What the jobs do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;

use super::error::PluginError;

/// Jobs that may wait per queue.
const QUEUE_MAX: usize = 1_024;

/// Threads for events: they parse payloads of up to a megabyte, one at a time per event.
const EVENT_THREADS: usize = 2;

/// Most threads for storing; it happens on misses only.
const STORE_THREADS_MAX: usize = 4;

/// After the threads that answer requests: a guest that loops for all of its time on the only
/// processor would otherwise keep them waiting for slices of it.
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The threads and their queues. They end when this is gone and the queues are empty.
pub(super) struct Workers {
    stores: SyncSender<Job>,
    events: SyncSender<Job>,
}

impl Workers {
    /// Starts the threads.
    pub(super) fn start() -> Result<Self, PluginError> {
        let stores = parallelism().min(STORE_THREADS_MAX);
        Ok(Self {
            stores: start_threads("plugin-store", stores)?,
            events: start_threads("plugin-event", EVENT_THREADS)?,
        })
    }

    /// Runs the job with those that store.
    pub(super) fn store(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        self.stores.try_send(Box::new(job)).map_err(|_| Full)
    }

    /// Runs the job with those about events.
    pub(super) fn event(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        self.events.try_send(Box::new(job)).map_err(|_| Full)
    }
}

/// How many threads this machine runs at once.
pub(super) fn parallelism() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn start_threads(name: &str, threads: usize) -> Result<SyncSender<Job>, PluginError> {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    for n in 0..threads {
        let receiver = Arc::clone(&receiver);
        let spawned =
            thread::Builder::new().name(format!("{name}-{n}")).spawn(move || work(&receiver));
        spawned.map_err(|error| PluginError::Engine { reason: error.to_string() })?;
    }
    Ok(sender)
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    // Of this thread alone; where it is forbidden, they share alike.
    let _ = rustix::process::nice(NICE);
    // One thread waits for a job with the lock in its hand; the others wait for the lock.
    while let Ok(job) = { receiver.lock().recv() } {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a plugin's job panicked in the host");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_full_queue_says_so_at_once_and_holds_up_no_other() {
        let workers = Workers::start().unwrap();
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let mut taken = 0;
        let full = loop {
            let released = Arc::clone(&released);
            // Ends when `release` is gone.
            let wait = move || {
                let _ = released.lock().recv();
            };
            match workers.event(wait) {
                Ok(()) => taken += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(full, Full);
        assert!((QUEUE_MAX..=QUEUE_MAX + EVENT_THREADS).contains(&taken), "{taken}");
        let (done, finished) = channel();
        workers.store(move || done.send(()).unwrap()).unwrap();
        finished.recv().unwrap();
        drop(release);
    }

    #[test]
    fn a_panic_costs_that_job_alone() {
        let workers = Workers::start().unwrap();
        for _ in 0..2 * EVENT_THREADS {
            workers.event(|| panic!("a job that panics, for the test")).unwrap();
        }
        let (done, finished) = channel();
        workers.event(move || done.send(7).unwrap()).unwrap();
        assert_eq!(finished.recv(), Ok(7));
    }
}
