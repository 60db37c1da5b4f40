//! A fast origin, and the bare loop of the comparison: pages from memory by one read and one write.

use std::io::Write;
use std::net::SocketAddr;

use memchr::memmem;

use crate::{answering, clock};

/// The entity tag of every page.
pub(crate) const ETAG: &str = "\"v1\"";

/// The field that numbers the origin's answers: the same number twice came from a cache.
pub(crate) const SERIAL: &str = "x-serial";

/// Bytes of a small page and of a large one.
pub(crate) const SMALL_BYTES: usize = 4096;
pub(crate) const LARGE_BYTES: usize = 64 << 10;

/// What pages consist of.
pub(crate) const BODY_BYTE: u8 = b'p';

const HEAD_END: &[u8] = b"\r\n\r\n";

/// Serves `/large` and, for every other path, a small page, for ever.
///
/// # Errors
/// Those of [`answering::serve`].
pub(crate) fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let date = httpdate::fmt_http_date(clock::time_of_day());
    let fields = format!("Date: {date}\r\nETag: {ETAG}\r\nCache-Control: public, max-age=3600\r\n");
    let (small, large) = (vec![BODY_BYTE; SMALL_BYTES], vec![BODY_BYTE; LARGE_BYTES]);
    let head_end = memmem::Finder::new(HEAD_END);
    let condition = memmem::Finder::new("If-None-Match:");
    let mut serial = 0_u64;
    answering::serve(listen, |input, output| {
        let mut consumed = 0;
        while let Some(rest) = input.get(consumed..)
            && let Some(end) = head_end.find(rest)
        {
            let head = rest.get(..end).unwrap_or_default();
            consumed += end + HEAD_END.len();
            serial += 1;
            let body = if head.starts_with(b"GET /large ") { &large } else { &small };
            // Writing to memory can't fail.
            let _ = if condition.find(head).is_some() {
                write!(output, "HTTP/1.1 304 Not Modified\r\n{fields}\r\n")
            } else {
                output.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n");
                let length = body.len();
                let fields = format_args!("{fields}Content-Length: {length}");
                write!(output, "{fields}\r\n{SERIAL}: {serial}\r\n\r\n")
                    .map(|()| output.extend_from_slice(body))
            };
        }
        consumed
    })
}
