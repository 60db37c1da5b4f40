//! The warm instances of one plugin, and the one way to call them.
//!
//! # Invariants
//! - An instance is with one caller or on the stack; one that trapped is never seen again.
//! - A caller pays for a new instance only when none is warm; refilling happens elsewhere.
//! - The deadline of a call does not count the time that a new instance takes.
//!
//! # Not here
//! Threads: the caller's own for keys, `workers` for everything else.

use parking_lot::Mutex;

use super::error::CallError;
use super::instance::{Answer, Instance, Recipe, classify, guest_error};

/// Whether the pool lost an instance and should be given a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refill {
    /// It did not.
    NotNeeded,
    /// The instance had done enough.
    Worn,
    /// The instance was lost by an error.
    Lost,
}

/// The warm instances. Last in, first out: the warmest is used most, the others stay cold.
pub(super) struct Pool {
    recipe: Recipe,
    idle: Mutex<Vec<Instance>>,
    idle_max: usize,
}

impl Pool {
    /// A pool that keeps up to `idle_max` instances and has one to begin with.
    pub(super) fn new(recipe: Recipe, first: Instance, idle_max: usize) -> Self {
        Self { recipe, idle: Mutex::new(vec![first]), idle_max }
    }

    /// Adds one warm instance, unless there are enough.
    ///
    /// # Errors
    /// Whatever its `configure` answers.
    pub(super) fn refill(&self) -> Result<(), CallError> {
        if self.idle.lock().len() < self.idle_max {
            let fresh = Instance::new(&self.recipe)?;
            self.give_back(fresh);
        }
        Ok(())
    }

    /// Calls the guest, which has `ms` milliseconds for it.
    pub(super) fn call<T>(
        &self,
        ms: u64,
        ask: impl FnOnce(&mut Instance) -> Answer<T>,
    ) -> (Result<T, CallError>, Refill) {
        let warm = self.idle.lock().pop();
        let mut instance = match warm.map_or_else(|| Instance::new(&self.recipe), Ok) {
            Ok(instance) => instance,
            Err(error) => return (Err(error), Refill::NotNeeded),
        };
        instance.begin_call(ms);
        match ask(&mut instance) {
            Ok(answer) if !instance.is_worn() => {
                self.give_back(instance);
                (answer.map_err(guest_error), Refill::NotNeeded)
            }
            Ok(answer) => (answer.map_err(guest_error), Refill::Worn),
            Err(error) => (Err(classify(&error, ms)), Refill::Lost),
        }
    }

    fn give_back(&self, instance: Instance) {
        let mut idle = self.idle.lock();
        if idle.len() < self.idle_max {
            idle.push(instance);
        } else {
            // Its store is taken apart after the lock is gone.
            drop(idle);
            drop(instance);
        }
    }
}
