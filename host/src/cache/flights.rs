//! One worker per key: who comes first works, the others wait for the outcome.
//!
//! # Invariants
//! - A leader that ends in any way, also by being dropped, wakes its waiters.
//! - Nothing is handed over here: a waiter looks the entry up itself, and so the freshness rule is
//!   asked at hand-over as at any read.

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
pub enum Role {
    /// Do the work, then say how it ended.
    Leader(Lease),
    /// Wait for the one who does.
    Waiter(Waiter),
}

struct Flight {
    landing: watch::Receiver<Option<Landing>>,
    superseded: Arc<AtomicBool>,
}

type Table = Mutex<HashMap<Key, Flight, RandomState>>;

/// The flights that are under way.
#[derive(Default)]
pub(crate) struct Flights {
    table: Arc<Table>,
}

impl Flights {
    /// Joins the flight of a key, or begins it.
    pub(crate) fn join(&self, key: &Key) -> Role {
        let mut table = self.table.lock();
        if let Some(flight) = table.get(key) {
            return Role::Waiter(Waiter { landing: flight.landing.clone() });
        }
        let (sender, landing) = watch::channel(None);
        let superseded = Arc::new(AtomicBool::new(false));
        table.insert(key.clone(), Flight { landing, superseded: Arc::clone(&superseded) });
        let table = Arc::clone(&self.table);
        Role::Leader(Lease {
            key: key.clone(),
            table,
            sender,
            superseded,
            landing: Landing::Abandoned,
        })
    }

    /// Tells the leader of this key that what it brings is out of date.
    pub(crate) fn supersede(&self, key: &Key) {
        if let Some(flight) = self.table.lock().get(key) {
            flight.superseded.store(true, Ordering::Release);
        }
    }
}

/// The right, and the duty, to do the work for a key.
pub struct Lease {
    key: Key,
    table: Arc<Table>,
    sender: watch::Sender<Option<Landing>>,
    superseded: Arc<AtomicBool>,
    landing: Landing,
}

impl Lease {
    /// Ends the flight and wakes the waiters.
    pub fn land(mut self, landing: Landing) {
        self.landing = landing;
    }

    /// Whether a write of the same key came in between.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.table.lock().remove(&self.key);
        self.sender.send_replace(Some(self.landing));
    }
}

/// A place in the queue behind a leader.
pub struct Waiter {
    landing: watch::Receiver<Option<Landing>>,
}

impl Waiter {
    /// Waits until the flight has ended.
    pub async fn landed(mut self) -> Landing {
        match self.landing.wait_for(Option::is_some).await {
            Ok(landing) => landing.unwrap_or(Landing::Abandoned),
            Err(_) => Landing::Abandoned,
        }
    }
}
