//! The accept loop that all front doors share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Listener, Stream, Tls};
use crate::limits::REFUSALS_MAX;
use crate::tasks::Tasks;

/// Pause after an error of `accept`: long enough to let descriptors become free.
const BACK_OFF_MS: u64 = 20;

/// The right to be connected; dropped when the connection ends.
pub type Permit = OwnedSemaphorePermit;

/// What to do with a connection.
pub enum Accept {
    /// Serve it, and keep the permit as long.
    Serve(Stream, Permit),
    /// There are as many as there may be: count it, say so and close. Without a stream, as many are
    /// being told already, and it was closed without a word.
    Refuse(Option<Stream>),
}

/// What a connection may do.
enum Right {
    Served(Permit),
    Told(Permit),
}

/// Accepts until the group stops, and runs `handle` for each connection as a task of the group.
pub async fn accept_forever<F>(
    listener: Listener,
    tasks: Tasks,
    permits: Arc<Semaphore>,
    handle: impl Fn(Accept) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let handle = Arc::new(handle);
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let right = || match Arc::clone(&permits).try_acquire_owned() {
        Ok(permit) => Some(Right::Served(permit)),
        Err(_) => Arc::clone(&refusals).try_acquire_owned().ok().map(Right::Told),
    };
    let stopping = tasks.stopping();
    tokio::pin!(stopping);
    loop {
        let accepted = tokio::select! {
            () = &mut stopping => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => match (right(), listener.tls()) {
                (None, _) => tasks.spawn(handle(Accept::Refuse(None))),
                (Some(Right::Served(permit)), None) => {
                    tasks.spawn(handle(Accept::Serve(stream, permit)));
                }
                (Some(right), None) => tasks.spawn(admit(stream, right, Arc::clone(&handle))),
                (Some(right), Some(tls)) => {
                    let (tls, handle) = (tls.clone(), Arc::clone(&handle));
                    tasks.spawn(secure(stream, tls, tasks.stopping(), right, handle));
                }
            },
            Err(error) => {
                tracing::warn!(%error, bound = %listener.bound(), "accept");
                tokio::time::sleep(Duration::from_millis(BACK_OFF_MS)).await;
            }
        }
    }
}

/// Shakes hands, unless the group stops meanwhile, and goes on.
async fn secure<F>(
    stream: Stream,
    tls: Tls,
    stopping: impl Future<Output = ()>,
    right: Right,
    handle: Arc<impl Fn(Accept) -> F>,
) where
    F: Future<Output = ()>,
{
    let secured = tokio::select! {
        secured = stream.secured(&tls) => secured,
        () = stopping => None,
    };
    if let Some(stream) = secured {
        admit(stream, right, handle).await;
    }
}

async fn admit<F>(stream: Stream, right: Right, handle: Arc<impl Fn(Accept) -> F>)
where
    F: Future<Output = ()>,
{
    match right {
        Right::Served(permit) => handle(Accept::Serve(stream, permit)).await,
        Right::Told(_while_it_is) => handle(Accept::Refuse(Some(stream))).await,
    }
}
