//! The commands: one file per family, each carrying its requests out on the cache.

mod admin;
mod arithmetic;
mod delete_touch;
pub(super) mod meta;
mod retrieval;
mod stats;
pub(super) mod storage;

use std::io;
use std::ops::ControlFlow;

use tokio::io::AsyncWrite;

use super::parse::Request;
use super::session::Session;

/// Carries out a request without a data block. Breaks when the connection is to end.
pub(super) async fn carry_out<S>(
    session: &mut Session,
    stream: &mut S,
    request: Request<'_>,
) -> io::Result<ControlFlow<()>>
where
    S: AsyncWrite + Unpin,
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
        Request::Stats(topic) => stats::carry_out(session, topic),
        Request::Shutdown(_) => return Ok(admin::shutdown(session)),
        Request::Quit => return Ok(ControlFlow::Break(())),
    }
    Ok(ControlFlow::Continue(()))
}
