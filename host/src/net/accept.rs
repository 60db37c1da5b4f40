//! The accept loop that all front doors share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::listener::Accepted;
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
            Ok(accepted) => match (right(), listener.tls()) {
                (None, _) => tasks.spawn(handle(Accept::Refuse(None))),
                (Some(right), None) => {
                    let handle = Arc::clone(&handle);
                    tasks.spawn_connection(async move {
                        if let Some(stream) = attached(accepted) {
                            admit(stream, right, &*handle).await;
                        }
                    });
                }
                (Some(right), Some(tls)) => {
                    let (tls, handle) = (tls.clone(), Arc::clone(&handle));
                    let stopping = tasks.stopping();
                    tasks.spawn_connection(async move {
                        if let Some(stream) = attached(accepted) {
                            secure(stream, tls, stopping, right, &*handle).await;
                        }
                    });
                }
            },
            Err(error) => {
                tracing::warn!(%error, bound = %listener.bound(), "accept");
                tokio::time::sleep(Duration::from_millis(BACK_OFF_MS)).await;
            }
        }
    }
}

/// The connection, watched by the running task's event loop.
fn attached(accepted: Accepted) -> Option<Stream> {
    accepted.attach().inspect_err(|error| tracing::warn!(%error, "accepted connection")).ok()
}

/// Shakes hands, unless the group stops meanwhile, and goes on.
async fn secure<F>(
    stream: Stream,
    tls: Tls,
    stopping: impl Future<Output = ()>,
    right: Right,
    handle: &impl Fn(Accept) -> F,
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

async fn admit<F>(stream: Stream, right: Right, handle: &impl Fn(Accept) -> F)
where
    F: Future<Output = ()>,
{
    match right {
        Right::Served(permit) => handle(Accept::Serve(stream, permit)).await,
        Right::Told(_while_it_is) => handle(Accept::Refuse(Some(stream))).await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;
    use tokio::sync::mpsc;

    use super::*;
    use crate::net::Bound;
    use crate::net::tls::tests::write_pair;

    /// For how long a test waits before it fails.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn more_than_can_be_told_at_once_are_closed_without_a_word_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls::load(write_pair(dir.path(), "cert", "key"), &[]).unwrap();
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
        let listener = listener.with_tls(Some(tls));
        let Bound::Tcp(address) = listener.bound().clone() else { panic!("bound to a port") };
        let tasks = Tasks::default();
        let (refused, mut refusals) = mpsc::unbounded_channel();
        let handle = move |accept| {
            let told = matches!(accept, Accept::Refuse(Some(_)));
            refused.send(told).unwrap();
            std::future::ready(())
        };
        let none = Arc::new(Semaphore::new(0));
        tasks.spawn(accept_forever(listener, tasks.clone(), none, handle));
        // They never begin their handshakes, and so none hears anything.
        let mut silent = Vec::new();
        for _ in 0..REFUSALS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut last = TcpStream::connect(address).await.unwrap();
        let read = tokio::time::timeout(PATIENCE, last.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(refusals.recv().await, Some(false));
        assert!(refusals.try_recv().is_err(), "the others are waited for");
        assert_eq!(tasks.stop(PATIENCE).await, 0, "a stop ends handshakes");
    }
}
