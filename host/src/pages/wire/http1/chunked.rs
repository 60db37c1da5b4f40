//! The chunked coding of request bodies (RFC 9112 §7.1), pure and strict.
//!
//! # Invariants
//! - A size is 1 to 16 hexadecimal digits, a line ends with CR LF, data ends with CR LF: what
//!   others read leniently is a fault here.
//! - Extensions and trailers are bounded and dropped.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// Bytes of a chunk's first line.
const LINE_BYTES_MAX: usize = 256;

/// Bytes of all trailers.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// Bytes of extensions in one body: nobody uses them, but to be a burden.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;

/// What a step of decoding came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Some of the body.
    Data(Bytes),
    /// More has to be read.
    More,
    /// The body is whole.
    End,
}

/// Not the chunked coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("body is not in the chunked coding")]
pub(super) struct Malformed;

#[derive(Debug, Clone, Copy)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Ended,
}

/// Where in a body it is.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    trailer_bytes: usize,
    extension_bytes: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { state: State::Size, trailer_bytes: 0, extension_bytes: 0 }
    }

    /// Takes from `input` what it understands.
    pub(super) fn step(&mut self, input: &mut BytesMut) -> Result<Step, Malformed> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = take_line(input, LINE_BYTES_MAX)? else {
                        return Ok(Step::More);
                    };
                    let (size, extension_bytes) = size_of(&line)?;
                    self.extension_bytes += extension_bytes;
                    if self.extension_bytes > EXTENSION_BYTES_MAX {
                        return Err(Malformed);
                    }
                    self.state = if size == 0 { State::Trailers } else { State::Data(size) };
                }
                State::Data(_) if input.is_empty() => return Ok(Step::More),
                State::Data(left) => {
                    let taken = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Step::Data(input.split_to(taken).freeze()));
                }
                State::DataEnd => match input.as_ref() {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Step::More),
                    _ => return Err(Malformed),
                },
                State::Trailers => {
                    let room = TRAILER_BYTES_MAX - self.trailer_bytes;
                    let Some(line) = take_line(input, room)? else { return Ok(Step::More) };
                    self.trailer_bytes += line.len();
                    if line.is_empty() {
                        self.state = State::Ended;
                    }
                }
                State::Ended => return Ok(Step::End),
            }
        }
    }
}

/// A line without its CR LF; `None` if its end has not come yet.
fn take_line(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, Malformed> {
    let end = memchr(b'\n', input);
    if end.unwrap_or(input.len()) > bytes_max {
        return Err(Malformed);
    }
    let Some(end) = end else { return Ok(None) };
    let line = input.split_to(end + 1).freeze();
    match line.as_ref() {
        [text @ .., b'\r', b'\n'] if !text.contains(&b'\r') => Ok(Some(line.slice(..text.len()))),
        _ => Err(Malformed),
    }
}

/// The size of a chunk, and how many bytes of its line were an extension.
fn size_of(line: &[u8]) -> Result<(u64, usize), Malformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at_checked(digits).ok_or(Malformed)?;
    let is_extension = match extension.trim_ascii_start() {
        [] => extension.is_empty(),
        [b';', rest @ ..] => !rest.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'),
        _ => false,
    };
    if !(1..=16).contains(&digits.len()) || !is_extension {
        return Err(Malformed);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    let size = u64::from_str_radix(digits, 16).map_err(|_| Malformed)?;
    Ok((size, extension.len()))
}
