//! Owned tasks: the only place that spawns async tasks, so that each ends with its owner.
//!
//! # Not here
//! Blocking work, which is awaited where it is begun, and the threads of the plugin host.

mod lanes;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use lanes::Lanes;
use lanes::Spread;

/// A group of tasks that is told to stop and waited for as one; clones share the group.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Set before `stop` is cancelled; looking at it takes no lock.
    is_stopping: Arc<AtomicBool>,
    spread: Option<Spread>,
}

impl Tasks {
    /// Runs a task to its end; it should watch [`Tasks::stopping`].
    #[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.tracker.track_future(task));
    }

    /// The same group, with its connections on lanes.
    #[must_use]
    pub fn on(mut self, lanes: &Lanes) -> Self {
        self.spread = Some(lanes.spread());
        self
    }

    /// The same group, with its connections where tasks are.
    #[must_use]
    pub fn off_lanes(mut self) -> Self {
        self.spread = None;
        self
    }

    /// Runs the task of a connection: on the next lane, where there are lanes. What it does with
    /// sockets and timers has to begin within the task.
    pub fn spawn_connection(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.spread.as_ref().and_then(Spread::next) {
            Some(lane) => {
                lane.spawn(self.tracker.track_future(task));
            }
            None => self.spawn(task),
        }
    }

    /// Runs a task that is dropped where it stands when the group stops.
    pub fn spawn_until_stop(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(self.until_stop(task));
    }

    /// The same for one that gives way to all others: aside, where there are lanes.
    pub fn spawn_aside_until_stop(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.until_stop(task);
        match &self.spread {
            Some(spread) => {
                spread.aside().spawn(self.tracker.track_future(task));
            }
            None => self.spawn(task),
        }
    }

    fn until_stop<T: Future<Output = ()> + Send>(
        &self,
        task: T,
    ) -> impl Future<Output = ()> + Send + use<T> {
        let stop = self.stop.clone();
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        }
    }

    /// Ends when the group is told to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.stop.clone().cancelled_owned()
    }

    /// Whether the group was told to stop: true before [`Tasks::stopping`] wakes anybody.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Tells all tasks to stop and waits for them, `grace` at most. Returns how many were left.
    pub async fn stop(&self, grace: Duration) -> usize {
        self.is_stopping.store(true, Ordering::Release);
        self.stop.cancel();
        self.tracker.close();
        match tokio::time::timeout(grace, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.tracker.len(),
        }
    }
}
