//! The commands: one file per family, each carrying its requests out on the cache.

mod admin;
mod arithmetic;
mod delete_touch;
mod dump;
pub(super) mod meta;
mod retrieval;
mod stats;
pub(super) mod storage;
mod watch;

use std::io;
use std::ops::ControlFlow;

use tokio::io::{AsyncRead, AsyncWrite};

use super::parse::Request;
use super::session::Session;

/// Carries out a request without a data block. Breaks when the connection is to end.
pub(super) async fn carry_out<S>(
    session: &mut Session,
    stream: &mut S,
    request: Request<'_>,
) -> io::Result<ControlFlow<()>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match request {
        Request::Retrieve(retrieve) => retrieval::carry_out(session, stream, retrieve).await?,
        // Storage commands come with their data, from the connection.
        Request::Store(_) | Request::MetaSet(_) => {}
        Request::Arithmetic(arithmetic) => arithmetic::carry_out(session, arithmetic).await,
        Request::Delete(delete) => delete_touch::delete(session, delete).await,
        Request::Touch(touch) => delete_touch::touch(session, touch).await,
        Request::Meta(verb, meta) => meta::carry_out(session, verb, &meta).await,
        Request::MetaNoOp => session.out.push(b"MN\r\n"),
        Request::FlushAll(delay, answer) => admin::flush_all(session, delay, answer).await,
        Request::Version => admin::version(session),
        Request::Verbosity(answer) => session.answer(answer, b"OK\r\n"),
        // Boxed, so that what is seldom asked for takes no room in every connection.
        Request::Stats(topic) => Box::pin(stats::carry_out(session, topic)).await,
        Request::Detail(detail) => stats::detail(session, detail),
        Request::CacheDump(classes, limit) => {
            return Box::pin(dump::cache_dump(session, stream, classes, limit)).await;
        }
        Request::Dump(dump, classes) => {
            return Box::pin(dump::carry_out(session, stream, dump, classes)).await;
        }
        Request::Watch(topics) => {
            return Box::pin(watch::carry_out(session, stream, topics)).await;
        }
        Request::Crawl => admin::crawl(session),
        Request::CacheMemlimit(bytes, answer) => {
            Box::pin(admin::cache_memlimit(session, bytes, answer)).await;
        }
        Request::RefreshCertificates => Box::pin(admin::refresh_certificates(session)).await,
        Request::Acknowledge(answer) => session.answer(answer, b"OK\r\n"),
        Request::Shutdown(_) => return Ok(admin::shutdown(session)),
        Request::Quit => return Ok(ControlFlow::Break(())),
    }
    Ok(ControlFlow::Continue(()))
}
