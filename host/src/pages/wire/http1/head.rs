//! The head of a request, pure: bytes in; complete, incomplete or a fault out.
//!
//! # Invariants
//! - Everything that is read in more than one way somewhere is a fault (RFC 9112 §3.2, §5.2, §6.3):
//!   several lengths, a length beside a coding, bare LF, folded lines, several hosts.

use std::mem::MaybeUninit;

use http::{StatusCode, Version};
use memchr::memchr_iter;

use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_TARGET_BYTES_MAX};
use crate::pages::outcome::Reason;

/// Room for the fields of one head, reused between heads.
pub(super) type Slots<'b> = [MaybeUninit<httparse::Header<'b>>; HTTP_HEADERS_MAX];

/// Room that nothing is in yet.
pub(super) fn slots<'b>() -> Slots<'b> {
    [const { MaybeUninit::uninit() }; HTTP_HEADERS_MAX]
}

/// What bytes were found to be.
#[derive(Debug)]
pub(super) enum Parsed<T> {
    /// All of it is there.
    Complete(T),
    /// More is needed.
    Incomplete,
    /// Not to be answered otherwise than so.
    Invalid(Fault),
}

/// How a request is refused whose meaning is not certain, or which is too large or too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) reason: Reason,
}

impl Fault {
    const fn new(status: StatusCode, reason: Reason) -> Self {
        Self { status, reason }
    }
}

pub(super) const BAD: Fault = Fault::new(StatusCode::BAD_REQUEST, Reason::BadRequest);
pub(super) const SLOW: Fault = Fault::new(StatusCode::REQUEST_TIMEOUT, Reason::RequestTimeout);
pub(super) const BODY_TOO_LARGE: Fault =
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, Reason::BodyTooLarge);
const HEAD_TOO_LARGE: Fault =
    Fault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Reason::HeadTooLarge);
const TARGET_TOO_LONG: Fault = Fault::new(StatusCode::URI_TOO_LONG, Reason::TargetTooLong);
const UNKNOWN_VERSION: Fault =
    Fault::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, Reason::BadRequest);
const UNKNOWN_CODING: Fault = Fault::new(StatusCode::NOT_IMPLEMENTED, Reason::BadRequest);

/// How the body of a request is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes, at least one.
    Length(u64),
    /// By the last chunk.
    Chunked,
}

/// A request's head, borrowed from what was read.
#[derive(Debug)]
pub(super) struct Head<'b, 'h> {
    pub(super) method: &'b str,
    pub(super) target: &'b str,
    pub(super) fields: &'h [httparse::Header<'b>],
    pub(super) facts: Facts,
}

/// What of a head concerns its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Bytes of the head.
    pub(super) bytes: usize,
    pub(super) version: Version,
    pub(super) framing: Framing,
    /// Whether the client wants the connection kept (RFC 9112 §9.3).
    pub(super) keeps_alive: bool,
    /// Whether the client waits to be asked for the body (RFC 9110 §10.1.1).
    pub(super) expects_continue: bool,
    /// Whether `Connection` says nothing but that the connection is kept or closed.
    pub(super) is_connection_plain: bool,
}

/// Parses the head at the beginning of `input`.
pub(super) fn parse<'b, 'h>(input: &'b [u8], slots: &'h mut Slots<'b>) -> Parsed<Head<'b, 'h>> {
    let mut request = httparse::Request::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_request_with_uninit_headers(
        &mut request,
        input,
        slots,
    );
    let bytes = match parsed {
        Ok(httparse::Status::Complete(bytes)) if bytes <= HTTP_HEAD_BYTES_MAX => bytes,
        Ok(httparse::Status::Complete(_)) => return Parsed::Invalid(HEAD_TOO_LARGE),
        Ok(httparse::Status::Partial) => return incomplete(input),
        Err(httparse::Error::TooManyHeaders) => return Parsed::Invalid(HEAD_TOO_LARGE),
        Err(httparse::Error::Version) => return Parsed::Invalid(UNKNOWN_VERSION),
        Err(_) => return Parsed::Invalid(BAD),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Parsed::Invalid(BAD);
    };
    if target.len() > HTTP_TARGET_BYTES_MAX {
        return Parsed::Invalid(TARGET_TOO_LONG);
    }
    if has_bare_lf(input.get(..bytes).unwrap_or_default()) {
        return Parsed::Invalid(BAD);
    }
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    match examine(request.headers, version, bytes) {
        Ok(facts) => Parsed::Complete(Head { method, target, fields: request.headers, facts }),
        Err(fault) => Parsed::Invalid(fault),
    }
}

fn incomplete<T>(input: &[u8]) -> Parsed<T> {
    if has_bare_lf(input) {
        return Parsed::Invalid(BAD);
    }
    let has_line = input.contains(&b'\n');
    // A request line is method, target and version.
    if !has_line && input.len() > HTTP_TARGET_BYTES_MAX + 64 {
        return Parsed::Invalid(TARGET_TOO_LONG);
    }
    if input.len() >= HTTP_HEAD_BYTES_MAX {
        return Parsed::Invalid(HEAD_TOO_LARGE);
    }
    Parsed::Incomplete
}

fn has_bare_lf(head: &[u8]) -> bool {
    let is_bare = |at: usize| at.checked_sub(1).and_then(|at| head.get(at)) != Some(&b'\r');
    memchr_iter(b'\n', head).any(is_bare)
}

fn examine(
    fields: &[httparse::Header<'_>],
    version: Version,
    bytes: usize,
) -> Result<Facts, Fault> {
    let (mut hosts, mut length, mut coding) = (0, None, None);
    let mut says = Said::default();
    let mut expects_continue = false;
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("host") => hosts += 1,
            6 if is("expect") => {
                expects_continue |= field.value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if is("connection") => says.hear(field.value),
            14 if is("content-length") => {
                let number = decimal(field.value).ok_or(BAD)?;
                if length.replace(number).is_some() {
                    return Err(BAD);
                }
            }
            17 if is("transfer-encoding") => {
                let now = transfer_coding(field.value);
                if coding.replace(now).is_some() {
                    return Err(BAD);
                }
            }
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err(BAD);
    }
    let framing = match (coding, length) {
        (None, None | Some(0)) => Framing::None,
        (None, Some(bytes)) => Framing::Length(bytes),
        // Nobody knows which of the two the next one believes; and HTTP/1.0 has no codings.
        (Some(_), Some(_)) => return Err(BAD),
        (Some(_), None) if version == Version::HTTP_10 => return Err(BAD),
        (Some(coding), None) => coding?,
    };
    let keeps_alive = !says.close && (version == Version::HTTP_11 || says.keep_alive);
    Ok(Facts {
        bytes,
        version,
        framing,
        keeps_alive,
        expects_continue: expects_continue && version == Version::HTTP_11,
        is_connection_plain: !says.other,
    })
}

/// What the lines of `Connection` say.
#[derive(Default)]
struct Said {
    close: bool,
    keep_alive: bool,
    other: bool,
}

impl Said {
    fn hear(&mut self, line: &[u8]) {
        for option in line.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !option.is_empty() {
                self.other = true;
            }
        }
    }
}

/// Digits and nothing else: no sign, no list (RFC 9110 §8.6).
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Only `chunked` alone is understood; what does not end with it has no end (RFC 9112 §6.1, §6.3).
fn transfer_coding(value: &[u8]) -> Result<Framing, Fault> {
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    match (codings.next(), codings.next_back()) {
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(first), Some(last))
            if last.eq_ignore_ascii_case(b"chunked") && !first.eq_ignore_ascii_case(last) =>
        {
            Err(UNKNOWN_CODING)
        }
        _ => Err(BAD),
    }
}
