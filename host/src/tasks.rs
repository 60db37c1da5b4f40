//! Owned tasks: the only place that spawns, so that every task ends with its owner.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks that is told to stop and waited for as one; clones share the group.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Set before `stop` is cancelled; looking at it takes no lock.
    is_stopping: Arc<AtomicBool>,
}

impl Tasks {
    /// Runs a task to its end; it should watch [`Tasks::stopping`].
    #[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.tracker.track_future(task));
    }

    /// Runs a task that is dropped where it stands when the group stops.
    pub fn spawn_until_stop(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
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
