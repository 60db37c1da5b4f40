//! One worker per key: who comes first works, the others wait for the outcome, or for what the
//! worker offers before it.
//!
//! # Invariants
//! - A leader that ends in any way, also by being dropped, wakes its waiters.
//! - What is offered is not judged here: who takes it asks the freshness rule as at any read
//!   ([`super::Cache::admits`]), and who is not satisfied retires the flight, so that another
//!   begins.

use crate::sync::{AtomicBool, Ordering};
use std::collections::HashMap;
use std::sync::Arc;

use crate::sync::Mutex;
use foldhash::fast::RandomState;
use tokio::sync::watch;

use crate::model::Key;

/// How a flight ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// An entry was stored: look it up.
    Stored,
    /// There is an answer, but not one to be shared: everybody asks for himself.
    NotStored,
    /// The leader went away before it knew: somebody else may lead.
    Abandoned,
}

/// What to do about a miss.
pub enum Role<T = ()> {
    /// Do the work, then say how it ended.
    Leader(Lease<T>),
    /// Wait for the one who does.
    Waiter(Waiter<T>),
}

/// How far a flight has come.
#[derive(Debug, Clone)]
pub struct Progress<T> {
    /// What the leader has for those who wait, before it has landed.
    pub offer: Option<T>,
    /// How it ended, if it has.
    pub landing: Option<Landing>,
}

struct Flight<T> {
    progress: watch::Receiver<Progress<T>>,
    /// Shared with each who waits.
    waiting: Arc<()>,
    superseded: Arc<AtomicBool>,
}

type Table<T> = Mutex<HashMap<Key, Flight<T>, RandomState>>;

/// The flights that are under way.
pub struct Flights<T> {
    table: Arc<Table<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { table: Arc::default() }
    }
}

impl<T> Flights<T> {
    /// Joins the flight of a key, or begins it.
    pub fn join(&self, key: &Key) -> Role<T> {
        let mut table = self.table.lock();
        if let Some(flight) = table.get(key) {
            let (progress, waiting) = (flight.progress.clone(), Arc::clone(&flight.waiting));
            return Role::Waiter(Waiter { progress, waiting });
        }
        let (sender, progress) = watch::channel(Progress { offer: None, landing: None });
        let superseded = Arc::new(AtomicBool::new(false));
        let flight =
            Flight { progress, waiting: Arc::default(), superseded: Arc::clone(&superseded) };
        table.insert(key.clone(), flight);
        let table = Arc::clone(&self.table);
        Role::Leader(Lease {
            key: key.clone(),
            table,
            sender,
            superseded,
            landing: Landing::Abandoned,
        })
    }

    /// Lets nobody else join the flight that `waiter` waited for: what it brings is out of date.
    /// Those who have joined it are not disturbed.
    pub fn retire(&self, key: &Key, waiter: &Waiter<T>) {
        let mut table = self.table.lock();
        if table.get(key).is_some_and(|flight| flight.progress.same_channel(&waiter.progress)) {
            table.remove(key);
        }
    }

    /// Tells the leader of this key that what it brings is out of date.
    pub(crate) fn supersede(&self, key: &Key) {
        if let Some(flight) = self.table.lock().get(key) {
            flight.superseded.store(true, Ordering::Release);
        }
    }
}

/// The right, and the duty, to do the work for a key.
pub struct Lease<T = ()> {
    key: Key,
    table: Arc<Table<T>>,
    sender: watch::Sender<Progress<T>>,
    superseded: Arc<AtomicBool>,
    landing: Landing,
}

impl<T> Lease<T> {
    /// Shows those who wait, and those who come until it has landed, what there is already.
    pub fn offer(&self, offer: T) {
        self.sender.send_modify(|progress| progress.offer = Some(offer));
    }

    /// Ends the flight and wakes the waiters.
    pub fn land(mut self, landing: Landing) {
        self.landing = landing;
    }

    /// Whether a write of the same key came in between.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        // A retired flight has left the table; another may have its place.
        let is_this = |flight: &Flight<T>| Arc::ptr_eq(&flight.superseded, &self.superseded);
        if table.get(&self.key).is_some_and(is_this) {
            table.remove(&self.key);
        }
        drop(table);
        self.sender.send_modify(|progress| progress.landing = Some(self.landing));
    }
}

/// A place in the queue behind a leader.
pub struct Waiter<T = ()> {
    progress: watch::Receiver<Progress<T>>,
    waiting: Arc<()>,
}

impl<T> Waiter<T> {
    /// How many wait for this flight, this one among them.
    pub fn count(&self) -> usize {
        // The flight's own.
        Arc::strong_count(&self.waiting).saturating_sub(1)
    }
}

impl<T: Clone> Waiter<T> {
    /// Waits until there is an offer, or the flight has ended.
    pub async fn offered(&mut self) -> Progress<T> {
        self.until(|progress| progress.offer.is_some() || progress.landing.is_some()).await
    }

    /// Waits until the flight has ended.
    pub async fn landed(mut self) -> Landing {
        self.until(|progress| progress.landing.is_some())
            .await
            .landing
            .unwrap_or(Landing::Abandoned)
    }

    async fn until(&mut self, is_enough: impl FnMut(&Progress<T>) -> bool) -> Progress<T> {
        match self.progress.wait_for(is_enough).await {
            Ok(progress) => progress.clone(),
            Err(_) => Progress { offer: None, landing: Some(Landing::Abandoned) },
        }
    }
}
