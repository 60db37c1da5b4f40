//! The long way: one request with its body, answered by the phases, streamed in both directions.
//!
//! # Invariants
//! - The client is asked for a body only when somebody is about to read it (RFC 9110 §10.1.1).
//! - A connection whose request was not read to its end is not used again.
//! - A body that does not come whole is cut off, also where nothing but the end of the connection
//!   says where it ends.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use http_body_util::BodyExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::connection::Connection;
use super::feed::{Feed, Trouble};
use super::head::{self, BAD, Facts, Fault, Framing, Parsed};
use super::write::{self, After, Ending};
use crate::pages::course::body::Body;
use crate::pages::course::pass::Tunnel;
use crate::pages::origins::interim::{self, Hints};
use crate::pages::origins::upload::{self, Upload};
use crate::pages::semantics::fields;

/// What asks a client for its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How it goes on with a connection.
pub(super) enum Ended {
    /// With the next request.
    Answered,
    /// Nothing more is read; what was written shall arrive.
    Closing,
    /// It belongs to another protocol.
    Upgraded(Tunnel),
    /// It is HTTP/2 from here.
    Http2,
}

/// How writing an answer ended.
enum Written {
    /// It is written.
    All(After),
    /// The origin has changed to another protocol.
    Switched(Tunnel),
}

impl Connection {
    /// Answers the request at the beginning of the input.
    pub(super) async fn exchange(&mut self, facts: Facts) -> io::Result<Ended> {
        let raw = self.input.split_to(facts.bytes).freeze();
        let Some(mut request) = request_of(&raw) else { return self.refuse(BAD).await };
        let wanted = Arc::new(Notify::new());
        let (sender, upload) = match facts.framing {
            Framing::None => (None, Upload::Empty),
            Framing::Length(bytes) if bytes > self.pages.shared.settings.upload_bytes_max => {
                return self.refuse(head::BODY_TOO_LARGE).await;
            }
            Framing::Length(bytes) => body_of(Some(bytes), &wanted),
            Framing::Chunked => body_of(None, &wanted),
        };
        let (interim, hints) = interim::channel();
        request.extensions_mut().insert(interim);
        let pages = self.pages.clone();
        let mut feed = Feed::new(facts.framing, sender, &pages.shared.settings);
        let (source, is_complete) = feed.split();
        let (reader, writer) = tokio::io::split(&mut self.stream);
        let is_stopping = || pages.shared.tasks.is_stopping();
        let mut writing = Writing {
            writer,
            out: &mut self.out,
            facts,
            is_head: request.method() == Method::HEAD,
            is_complete,
            is_stopping: &is_stopping,
            has_begun: false,
            is_open_ended: false,
        };
        let answer = pages.answer(request.map(|()| upload), self.ip);
        let outcome = {
            let write = pin!(writing.run(answer, hints, &wanted));
            let read = pin!(source.run(reader, &mut self.input, &mut self.has_ended));
            tokio::select! {
                biased;
                written = write => Ok(written),
                trouble = read => Err(trouble),
            }
        };
        let has_begun = writing.has_begun;
        let is_open_ended = writing.is_open_ended;
        match outcome {
            Ok(Ok(Written::All(After::KeepAlive))) => Ok(Ended::Answered),
            Ok(Ok(Written::All(After::Close))) => Ok(Ended::Closing),
            Ok(Ok(Written::Switched(upgraded))) => Ok(Ended::Upgraded(upgraded)),
            Err(Trouble::Fault(fault)) if !has_begun => self.refuse_cleared(fault).await,
            broken => {
                // Elsewhere the framing tells, and what has been sent shall arrive.
                if is_open_ended {
                    self.stream.cut_off();
                }
                match broken {
                    Ok(Err(error)) => Err(error),
                    _ => Err(io::ErrorKind::ConnectionAborted.into()),
                }
            }
        }
    }

    async fn refuse_cleared(&mut self, fault: Fault) -> io::Result<Ended> {
        self.out.clear();
        self.refuse(fault).await
    }
}

fn body_of(length: Option<u64>, wanted: &Arc<Notify>) -> (Option<upload::Sender>, Upload) {
    let (sender, upload) = upload::channel(length, Arc::clone(wanted));
    (Some(sender), upload)
}

/// The request in the field's common vocabulary; values share the bytes that were read.
fn request_of(raw: &Bytes) -> Option<Request<()>> {
    let mut slots = head::slots();
    let Parsed::Complete(head) = head::parse(raw, &mut slots) else { return None };
    let mut headers = HeaderMap::with_capacity(head.fields.len());
    for field in head.fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(raw.slice_ref(field.value)).ok()?;
        headers.append(name, value);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method.as_bytes()).ok()?;
    *request.uri_mut() = Uri::from_maybe_shared(raw.slice_ref(head.target.as_bytes())).ok()?;
    *request.version_mut() = head.facts.version;
    *request.headers_mut() = headers;
    Some(request)
}

/// Writing one answer.
struct Writing<'c, W> {
    writer: W,
    out: &'c mut Vec<u8>,
    facts: Facts,
    is_head: bool,
    /// Whether the request's body has come whole.
    is_complete: &'c AtomicBool,
    is_stopping: &'c (dyn Fn() -> bool + Send + Sync),
    /// Whether the client has seen something of the answer.
    has_begun: bool,
    /// Whether nothing but the end of the connection ends the body.
    is_open_ended: bool,
}

impl<W: AsyncWrite + Unpin> Writing<'_, W> {
    async fn run(
        &mut self,
        answer: impl Future<Output = Response<Body>>,
        mut hints: Hints,
        wanted: &Notify,
    ) -> io::Result<Written> {
        let mut answer = pin!(answer);
        let mut waits_for_continue = self.facts.expects_continue;
        let mut response = loop {
            tokio::select! {
                biased;
                headers = hints.next() => self.hint(&headers).await?,
                response = &mut answer => break response,
                () = wanted.notified(), if waits_for_continue => {
                    waits_for_continue = false;
                    self.writer.write_all(CONTINUE).await?;
                    self.writer.flush().await?;
                }
            }
        };
        while let Some(headers) = hints.take() {
            self.hint(&headers).await?;
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(&mut response).await;
        }
        self.answer(response).await.map(Written::All)
    }

    /// RFC 8297; who speaks HTTP/1.0 does not know interim responses.
    async fn hint(&mut self, headers: &HeaderMap) -> io::Result<()> {
        if self.facts.version == Version::HTTP_10 {
            return Ok(());
        }
        write::interim(self.out, StatusCode::EARLY_HINTS, headers);
        self.send(b"").await
    }

    async fn switch(&mut self, response: &mut Response<Body>) -> io::Result<Written> {
        let upgraded = response.extensions_mut().remove::<Tunnel>();
        // The phases answer so only with what comes behind it.
        let upgraded = upgraded.ok_or(io::ErrorKind::InvalidData)?;
        self.has_begun = true;
        write::switching(self.out, response.headers());
        self.send(b"").await?;
        Ok(Written::Switched(upgraded))
    }

    async fn answer(&mut self, response: Response<Body>) -> io::Result<After> {
        let (parts, mut body) = response.into_parts();
        let has_no_body = self.is_head
            || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = fields::content_length(&parts.headers)
            .or_else(|| http_body::Body::size_hint(&body).exact());
        let ending = match (has_no_body, length) {
            (true, _) => Ending::NoBody,
            (false, Some(bytes)) => Ending::Length(bytes),
            (false, None) if self.facts.version == Version::HTTP_10 => Ending::Close,
            (false, None) => Ending::Chunks,
        };
        let is_kept = self.facts.keeps_alive
            && ending != Ending::Close
            && self.is_complete.load(Ordering::Acquire)
            && !(self.is_stopping)();
        let after = if is_kept { After::KeepAlive } else { After::Close };
        self.has_begun = true;
        self.is_open_ended = ending == Ending::Close;
        write::head(self.out, parts.status, &parts.headers, ending, (self.facts.version, after));
        if has_no_body {
            self.send(b"").await?;
            return Ok(after);
        }
        self.body(&mut body, ending).await?;
        Ok(after)
    }

    /// The body behind the head that is gathered already: what is there goes with it.
    async fn body(&mut self, body: &mut Body, ending: Ending) -> io::Result<()> {
        let mut left = match ending {
            Ending::Length(bytes) => Some(bytes),
            _ => None,
        };
        loop {
            let frame = match body.frame().now_or_never() {
                Some(frame) => frame,
                None => {
                    self.send(b"").await?;
                    body.frame().await
                }
            };
            let data = match frame {
                None => break,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    // What came before the end is the client's all the same.
                    self.send(b"").await?;
                    return Err(io::Error::other(error));
                }
            };
            if data.is_empty() {
                continue;
            }
            if let Some(left) = &mut left {
                // More than was announced would be taken for the next answer.
                *left = left.checked_sub(data.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
            }
            self.chunk(&data, ending).await?;
        }
        match (ending, left) {
            (Ending::Length(_), Some(1..)) => {
                self.send(b"").await?;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            (Ending::Chunks, _) => {
                self.out.extend_from_slice(b"0\r\n\r\n");
                self.send(b"").await
            }
            _ => self.send(b"").await,
        }
    }

    async fn chunk(&mut self, data: &[u8], ending: Ending) -> io::Result<()> {
        if ending != Ending::Chunks {
            return self.send(data).await;
        }
        write::chunk_size(self.out, data.len());
        write::parts(&mut self.writer, [self.out, data, b"\r\n"]).await?;
        self.out.clear();
        self.writer.flush().await
    }

    /// Writes what is gathered and `data` behind it.
    async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.out.is_empty() && data.is_empty() {
            return Ok(());
        }
        write::all(&mut self.writer, self.out, data).await?;
        self.out.clear();
        self.writer.flush().await
    }
}
