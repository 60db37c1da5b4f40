//! The application: reads its data first, takes its time, then answers with what it read.
//!
//! # Invariants
//! - The version is read when the request has arrived, and every part of the answer tells it.
//! - A POST commits before it is answered; the answer tells the new version.
//!
//! # Not here
//! How new an answer has to be: `store`.

use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use crate::store::{Kind, Object, Store, body_of};
use crate::wire::Wire;

/// Pieces of a streamed body.
const PIECES: u32 = 4;

/// Parts in a whole body: some 16 KB, so that memory has a few hundred of them.
const PARTS: usize = 576;

/// Parts in a piece of a streamed body.
const PIECE_PARTS: usize = 200;

/// What was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) pages: AtomicU64,
    /// Of those, answered 304.
    pub(crate) unchanged: AtomicU64,
}

/// Answers until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, store: Arc<Store>, asked: Arc<Asked>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (store, asked) = (Arc::clone(&store), Arc::clone(&asked));
        connections.spawn(async move {
            // Ends when the cache closes the connection, as it may.
            let _ = converse(Wire::over(stream), &store, &asked).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut wire: Wire, store: &Store, asked: &Asked) -> Result<(), Error> {
    loop {
        let head = wire.text_until(b"\r\n\r\n").await?.to_ascii_lowercase();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(object) = store.of_path(path) else {
            wire.send(b"HTTP/1.1 404 Unknown\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        if method == "post" {
            let body = body_of(object.write(), 1);
            sleep(Duration::from_millis(object.delay_ms() / 4)).await;
            wire.send(whole("cache-control: no-store\r\n", &body).as_bytes()).await?;
            continue;
        }
        asked.pages.fetch_add(1, Ordering::Relaxed);
        answer(&mut wire, object, &head, asked).await?;
    }
}

async fn answer(
    wire: &mut Wire,
    object: &Arc<Object>,
    head: &str,
    asked: &Asked,
) -> Result<(), Error> {
    let fill = object.begin_fill();
    let delay = Duration::from_millis(object.delay_ms());
    let kept = kept(object.kind);
    let fields = fields_of(object, fill.version, kept);
    let is_known = head.contains(&format!("if-none-match: \"{}\"", fill.version));
    if is_known && object.kind == Kind::Revalidated {
        asked.unchanged.fetch_add(1, Ordering::Relaxed);
        sleep(delay).await;
        // Some of them let the page be served without a question from then on.
        let is_settled = object.delay_ms().is_multiple_of(2);
        let kept = if is_settled { "max-age=3600" } else { kept };
        let fields = fields_of(object, fill.version, kept);
        return wire.send(format!("HTTP/1.1 304 Same\r\n{fields}\r\n").as_bytes()).await;
    }
    if object.kind == Kind::Streamed {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}transfer-encoding: chunked\r\n\r\n");
        sleep(delay / (PIECES + 1)).await;
        wire.send(head.as_bytes()).await?;
        let piece = body_of(fill.version, PIECE_PARTS);
        for _ in 0..PIECES {
            sleep(delay / (PIECES + 1)).await;
            wire.send(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await?;
        }
        return wire.send(b"0\r\n\r\n").await;
    }
    sleep(delay).await;
    wire.send(whole(&fields, &body_of(fill.version, PARTS)).as_bytes()).await
}

fn whole(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

fn kept(kind: Kind) -> &'static str {
    match kind {
        Kind::Revalidated => "max-age=0",
        Kind::Refreshed => "max-age=0, stale-while-revalidate=3600",
        Kind::Private => "private",
        _ => "max-age=3600, stale-while-revalidate=3600, stale-if-error=3600",
    }
}

fn fields_of(object: &Object, version: u64, kept: &str) -> String {
    let [own, group] = object.tags();
    let vary = if object.kind == Kind::Varying { "vary: accept-language\r\n" } else { "" };
    format!(
        "content-type: text/plain\r\ncache-control: {kept}\r\netag: \"{version}\"\r\n\
         surrogate-key: {own} {group}\r\n{vary}"
    )
}
