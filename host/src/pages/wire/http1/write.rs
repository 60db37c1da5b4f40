//! Writing heads, without the formatting machinery.
//!
//! # Invariants
//! - What ends a body is said in exactly one way: a length, chunks, or the end of the connection.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use tokio::io::AsyncWrite;

use crate::model::PageHead;
use crate::pages::course::respond;

/// What ends the body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// There is no body, whatever the fields say (RFC 9110 §6.4.1).
    NoBody,
    /// So many bytes.
    Length(u64),
    /// The last chunk.
    Chunks,
    /// The end of the connection: the client does not know chunks.
    Close,
}

/// Whether the connection is used again after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It is.
    KeepAlive,
    /// It is closed.
    Close,
}

/// The head of a stored page up to where fields are added that differ from hit to hit.
pub(crate) fn block(status: StatusCode, headers: &HeaderMap) -> Box<[u8]> {
    let mut out = Vec::with_capacity(headers.len() * 48 + 32);
    status_line(&mut out, status);
    fields(&mut out, headers);
    out.into_boxed_slice()
}

/// The block of a page, made at the first use for what came out of the tier.
pub(super) fn block_of(head: &PageHead) -> &[u8] {
    head.block.get_or_init(|| block(head.status, &head.headers))
}

/// The head of a 304 for a stored page, up to where fields are added as behind [`block`].
pub(super) fn not_modified(out: &mut Vec<u8>, headers: &HeaderMap) {
    status_line(out, StatusCode::NOT_MODIFIED);
    fields(out, respond::not_modified_lines(headers));
}

/// A whole head. Fields of the connection and of the framing are written here alone.
pub(super) fn head(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &HeaderMap,
    ending: Ending,
    connection: (Version, After),
) {
    status_line(out, status);
    fields(out, headers);
    if ending == Ending::Chunks {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if let (Ending::Length(bytes), false) = (ending, headers.contains_key(CONTENT_LENGTH)) {
        out.extend_from_slice(b"content-length: ");
        number(out, bytes);
        out.extend_from_slice(b"\r\n");
    }
    finish(out, connection);
}

/// What of the connection the client has to be told, and the empty line.
pub(super) fn finish(out: &mut Vec<u8>, (version, after): (Version, After)) {
    match (version, after) {
        (_, After::Close) => out.extend_from_slice(b"connection: close\r\n"),
        (Version::HTTP_10, After::KeepAlive) => {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        (_, After::KeepAlive) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// An interim response (RFC 9110 §15.2).
pub(super) fn interim(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    status_line(out, status);
    fields(out, headers);
    out.extend_from_slice(b"\r\n");
}

/// A change to another protocol (RFC 9110 §15.2.2). Here the fields of the connection belong to the
/// answer.
pub(super) fn switching(out: &mut Vec<u8>, headers: &HeaderMap) {
    status_line(out, StatusCode::SWITCHING_PROTOCOLS);
    fields(out, headers);
    out.extend_from_slice(b"connection: upgrade\r\n\r\n");
}

/// The line that a chunk begins with.
pub(super) fn chunk_size(out: &mut Vec<u8>, bytes: usize) {
    let digits = (usize::BITS - bytes.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (bytes >> (place * 4)) & 0xf;
        out.extend(char::from_digit(digit as u32, 16).map(|digit| digit as u8));
    }
    out.extend_from_slice(b"\r\n");
}

/// A decimal number.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn fields<'h>(
    out: &mut Vec<u8>,
    headers: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
) {
    for (name, value) in headers {
        if name == CONNECTION || name == TRANSFER_ENCODING {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes two slices as one, however often that takes.
pub(super) async fn all(
    writer: &mut (impl AsyncWrite + Unpin),
    first: &[u8],
    second: &[u8],
) -> io::Result<()> {
    parts(writer, [first, second, b""]).await
}

/// Writes three slices as one.
pub(super) async fn parts(
    writer: &mut (impl AsyncWrite + Unpin),
    parts: [&[u8]; 3],
) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut left = slices.as_mut_slice();
    // Empty ones in front count as nothing written.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut *writer).poll_write_vectored(cx, left)).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, written);
    }
    Ok(())
}
