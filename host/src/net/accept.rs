//! The accept loop that all front doors share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Listener, Stream};
use crate::tasks::Tasks;

/// Pause after an error of `accept`: long enough to let descriptors become free.
const BACK_OFF_MS: u64 = 20;

/// The right to be connected; dropped when the connection ends.
pub type Permit = OwnedSemaphorePermit;

/// What to do with a connection.
pub enum Accept {
    /// Serve it, and keep the permit as long.
    Serve(Stream, Permit),
    /// There are as many as there may be: say so and close.
    Refuse(Stream),
}

/// Accepts until the group stops, and runs `handle` for each connection as a task of the group.
pub async fn accept_forever<F>(
    listener: Listener,
    tasks: Tasks,
    permits: Arc<Semaphore>,
    handle: impl Fn(Accept) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let stopping = tasks.stopping();
    tokio::pin!(stopping);
    loop {
        let accepted = tokio::select! {
            () = &mut stopping => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                let accept = match Arc::clone(&permits).try_acquire_owned() {
                    Ok(permit) => Accept::Serve(stream, permit),
                    Err(_) => Accept::Refuse(stream),
                };
                tasks.spawn(handle(accept));
            }
            Err(error) => {
                tracing::warn!(%error, bound = %listener.bound(), "accept");
                tokio::time::sleep(Duration::from_millis(BACK_OFF_MS)).await;
            }
        }
    }
}
