//! A connection: what is read is cut into requests, hits are gathered into one write, everything
//! else is exchanged one at a time.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Sleep;

use super::exchange::Ended;
use super::head::{self, Facts, Fault, Parsed, SLOW};
use super::write::{self, After};
use super::{hit, linger, tunnel};
use crate::net::Stream;
use crate::pages::course::respond;
use crate::pages::outcome::Outcome;
use crate::pages::wire::http2::{self, Preface};
use crate::pages::{Pages, access};

/// Bytes asked for with one read of heads.
const READ_BYTES: usize = 4 * 1024;

/// Bytes of answers that are gathered before they are written.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

/// Room for answers that an idle connection keeps.
const IDLE_ROOM_BYTES: usize = 4 * 1024;

/// A client's connection.
pub(in crate::pages) struct Connection {
    pub(super) pages: Pages,
    pub(super) stream: Stream,
    pub(super) ip: Option<IpAddr>,
    /// What was read and not yet understood.
    pub(super) input: BytesMut,
    /// What is to be written.
    pub(super) out: Vec<u8>,
    /// The client sends no more.
    pub(super) has_ended: bool,
    /// Room to spell keys in.
    key: Vec<u8>,
    is_first: bool,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    idle: Pin<Box<Sleep>>,
}

/// What to do next.
enum Step {
    /// An answer was gathered, with this behind it.
    Gathered(After, Option<Bytes>),
    /// A request for the long way.
    Exchange(Facts),
    /// Nothing whole was read.
    Read,
    /// The client speaks HTTP/2.
    Http2,
    /// It is refused.
    Refuse(Fault),
}

impl Connection {
    pub(in crate::pages) fn new(stream: Stream, pages: Pages) -> Self {
        let idle = Duration::from_millis(pages.shared.settings.idle_timeout_ms);
        Self {
            ip: stream.peer().map(|peer| peer.ip()),
            stopping: Box::pin(pages.shared.tasks.stopping()),
            idle: Box::pin(tokio::time::sleep(idle)),
            pages,
            stream,
            input: BytesMut::new(),
            out: Vec::new(),
            has_ended: false,
            key: Vec::new(),
            is_first: true,
        }
    }

    /// Serves it to its end.
    pub(in crate::pages) async fn run(mut self) {
        loop {
            match self.serve().await {
                Ok(Some(Ended::Http2)) => {
                    return http2::serve(self.stream, self.input, self.pages).await;
                }
                Ok(Some(Ended::Upgraded(upgraded))) => {
                    return tunnel::run(self.stream, self.input, upgraded, &self.pages).await;
                }
                Ok(Some(Ended::Closing)) => return linger::close(&mut self.stream).await,
                Ok(Some(Ended::Answered)) => {}
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "connection"),
            }
        }
    }

    /// Serves until something else has to be done with the connection; `None` if it is over.
    async fn serve(&mut self) -> io::Result<Option<Ended>> {
        match self.step() {
            Step::Gathered(after, body) => {
                self.is_first = false;
                if body.is_some() || self.out.len() >= GATHERED_BYTES_MAX {
                    self.write_out(body.unwrap_or_default()).await?;
                }
                if after == After::Close {
                    self.write_out(Bytes::new()).await?;
                    return Ok(Some(Ended::Closing));
                }
                Ok(Some(Ended::Answered))
            }
            Step::Exchange(facts) => {
                self.is_first = false;
                self.write_out(Bytes::new()).await?;
                // Boxed: most of the time there is none, and it is large.
                Box::pin(self.exchange(facts)).await.map(Some)
            }
            Step::Read => {
                self.write_out(Bytes::new()).await?;
                self.read().await
            }
            Step::Http2 => Ok(Some(Ended::Http2)),
            Step::Refuse(fault) => self.refuse(fault).await.map(Some),
        }
    }

    /// Judges what was read, and answers it if that takes no waiting.
    fn step(&mut self) -> Step {
        if self.input.is_empty() {
            return Step::Read;
        }
        if self.is_first && self.input.first() == Some(&b'P') {
            match http2::preface(&self.input) {
                Preface::Whole => return Step::Http2,
                Preface::Part => return Step::Read,
                Preface::No => {}
            }
        }
        let mut slots = head::slots();
        let head = match head::parse(&self.input, &mut slots) {
            Parsed::Complete(head) => head,
            Parsed::Incomplete => return Step::Read,
            Parsed::Invalid(fault) => return Step::Refuse(fault),
        };
        let facts = head.facts;
        let after = match facts.keeps_alive && !self.pages.shared.tasks.is_stopping() {
            true => After::KeepAlive,
            false => After::Close,
        };
        let served = match access::is_on() {
            false => hit::serve(&self.pages, &head, after, &mut self.out, &mut self.key),
            true => None,
        };
        match served {
            Some(served) => {
                bytes::Buf::advance(&mut self.input, facts.bytes);
                Step::Gathered(served.after, served.body)
            }
            None => Step::Exchange(facts),
        }
    }

    /// Writes what is gathered, and a body behind it.
    pub(super) async fn write_out(&mut self, body: Bytes) -> io::Result<()> {
        if self.out.is_empty() && body.is_empty() {
            return Ok(());
        }
        write::all(&mut self.stream, &self.out, &body).await?;
        self.out.clear();
        self.stream.flush().await
    }

    /// Waits for more of a request, or for the first of one.
    async fn read(&mut self) -> io::Result<Option<Ended>> {
        if self.has_ended {
            return Ok(None);
        }
        if !self.input.is_empty() {
            return self.read_rest().await;
        }
        self.out.shrink_to(IDLE_ROOM_BYTES);
        if self.pages.shared.tasks.is_stopping() {
            return Ok(None);
        }
        self.input.reserve(READ_BYTES);
        let idle = Duration::from_millis(self.pages.shared.settings.idle_timeout_ms);
        let asked = tokio::time::Instant::now();
        loop {
            let read = tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => read?,
                () = &mut self.stopping => return Ok(None),
                // Not set anew for every request, but when it runs out.
                () = &mut self.idle => {
                    if asked.elapsed() >= idle {
                        return Ok(None);
                    }
                    self.idle.as_mut().reset(asked + idle);
                    continue;
                }
            };
            return Ok((read > 0).then_some(Ended::Answered));
        }
    }

    /// Reads the rest of a head that has begun, in the time that there is for it.
    async fn read_rest(&mut self) -> io::Result<Option<Ended>> {
        let limit = Duration::from_millis(self.pages.shared.settings.request_head_timeout_ms);
        let slow = tokio::time::sleep(limit);
        tokio::pin!(slow);
        loop {
            self.input.reserve(READ_BYTES);
            let read = tokio::select! {
                read = self.stream.read_buf(&mut self.input) => read?,
                () = &mut slow => return self.refuse(SLOW).await.map(Some),
            };
            if read == 0 {
                return Ok(None);
            }
            let mut slots = head::slots();
            let is_partial = match (self.is_first, http2::preface(&self.input)) {
                (true, Preface::Part) => true,
                (true, Preface::Whole) => false,
                _ => matches!(head::parse(&self.input, &mut slots), Parsed::Incomplete),
            };
            if !is_partial {
                return Ok(Some(Ended::Answered));
            }
        }
    }

    /// Says why there is no answer, and closes.
    pub(super) async fn refuse(&mut self, fault: Fault) -> io::Result<Ended> {
        let now_ms = self.pages.now_ms();
        let answer = respond::own(fault.status, Outcome::Refused, fault.reason, now_ms);
        self.pages.note(&answer);
        let (parts, body) = answer.response.into_parts();
        let body = body.into_whole().unwrap_or_default();
        let ending = write::Ending::Length(body.len() as u64);
        let connection = (http::Version::HTTP_11, After::Close);
        write::head(&mut self.out, parts.status, &parts.headers, ending, connection);
        self.write_out(body).await?;
        Ok(Ended::Closing)
    }
}
