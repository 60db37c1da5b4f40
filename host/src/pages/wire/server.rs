//! The listener: accepting, and refusing what is too much.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::clients::TooMany;
use super::http1::Connection;
use crate::net::{Accept, Listener, Stream, accept_forever};
use crate::pages::Pages;

/// What a connection over the limit is told.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Retry-After: 1\r\nContent-Length: 0\r\n\r\n";

/// Time to tell it, milliseconds.
const BUSY_MS_MAX: u64 = 1_000;

/// Serves pages on a listener until the group of tasks stops; connections then finish the request
/// they are at.
pub async fn serve(listener: Listener, pages: Pages) {
    let permits = Arc::clone(&pages.shared.connections);
    let tasks = pages.shared.tasks.clone();
    let handle = move |accept| {
        let pages = pages.clone();
        async move {
            match accept {
                Accept::Serve(stream, permit) => {
                    let ip = stream.peer().map(|peer| peer.ip());
                    match pages.shared.clients.admit(ip) {
                        Ok(place) => {
                            Connection::new(stream, pages).run().await;
                            drop(place);
                        }
                        Err(TooMany) => {
                            pages.shared.metrics.refused_connections_of_client.inc();
                            tell(stream).await;
                        }
                    }
                    drop(permit);
                }
                Accept::Refuse(stream) => refuse(stream, &pages).await,
            }
        }
    };
    accept_forever(listener, tasks, permits, handle).await;
}

async fn refuse(stream: Option<Stream>, pages: &Pages) {
    pages.shared.metrics.refused_connections.inc();
    if let Some(stream) = stream {
        tell(stream).await;
    }
}

async fn tell(mut stream: Stream) {
    let told = async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await
    };
    // Whether it hears it or not, it is closed.
    let _ = tokio::time::timeout(Duration::from_millis(BUSY_MS_MAX), told).await;
}
