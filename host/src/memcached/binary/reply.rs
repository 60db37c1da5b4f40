//! Replies (memcached's protocol-binary, "Response Status").

use super::parse::Header;
use crate::cache::Entry;
use crate::memcached::reply::Output;

/// What a response begins with.
const RESPONSE_MAGIC: u8 = 0x81;

/// Length of the flags before a value.
const FLAGS_BYTES: usize = 4;

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    NotFound,
    Exists,
    TooLarge,
    Invalid,
    NotStored,
    NotANumber,
    AuthFailure,
    UnknownCommand,
    OutOfMemory,
}

impl Status {
    /// Its number, and the text that memcached sends with it.
    fn told(self) -> (u16, &'static str) {
        match self {
            Self::NotFound => (0x01, "Not found"),
            Self::Exists => (0x02, "Data exists for key."),
            Self::TooLarge => (0x03, "Too large."),
            Self::Invalid => (0x04, "Invalid arguments"),
            Self::NotStored => (0x05, "Not stored."),
            Self::NotANumber => (0x06, "Non-numeric server-side value for incr or decr"),
            Self::AuthFailure => (0x20, "Auth failure."),
            Self::UnknownCommand => (0x81, "Unknown command"),
            Self::OutOfMemory => (0x82, "Out of memory"),
        }
    }
}

/// The status of success.
const SUCCESS: u16 = 0x00;
/// The status of a SASL exchange that goes on.
const AUTH_CONTINUE: u16 = 0x21;
/// The status of an error that memcached doesn't have: the database tier's.
const INTERNAL_ERROR: u16 = 0x84;

/// Appends a success.
pub(super) fn success(out: &mut Output, header: &Header, cas: u64, body: &[u8]) {
    whole(out, header, SUCCESS, cas, body);
}

/// Appends one value of a statistic.
pub(super) fn statistic(out: &mut Output, header: &Header, name: &str, value: &str) {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    let body_bytes = name.len() + value.len();
    let head = Head { status: SUCCESS, extras_bytes: 0, key: name, body_bytes, cas: 0 };
    if push_head(out, header, &head) {
        out.push(name);
        out.push(value);
    }
}

/// Appends an error.
pub(super) fn error(out: &mut Output, header: &Header, status: Status) {
    let (status, text) = status.told();
    whole(out, header, status, 0, text.as_bytes());
}

/// Appends that nothing is there, with its key.
pub(super) fn key_not_found(out: &mut Output, header: &Header, key: &[u8]) {
    let (status, _) = Status::NotFound.told();
    if push_head(out, header, &Head { status, extras_bytes: 0, key, body_bytes: key.len(), cas: 0 })
    {
        out.push(key);
    }
}

/// Appends an error of the cache.
pub(super) fn internal_error(out: &mut Output, header: &Header, error: &dyn std::error::Error) {
    whole(out, header, INTERNAL_ERROR, 0, error.to_string().as_bytes());
}

/// Appends that a SASL exchange goes on, with an empty challenge.
pub(super) fn auth_continue(out: &mut Output, header: &Header) {
    whole(out, header, AUTH_CONTINUE, 0, b"");
}

/// Appends an entry: its flags, the key if one is given, and the value.
pub(super) fn value(out: &mut Output, header: &Header, key: &[u8], entry: &Entry) {
    let body_bytes = FLAGS_BYTES + key.len() + entry.body().len();
    let extras_bytes = FLAGS_BYTES as u8;
    let head = Head { status: SUCCESS, extras_bytes, key, body_bytes, cas: entry.cas() };
    if push_head(out, header, &head) {
        out.push(&entry.flags().to_be_bytes());
        out.push(key);
        out.push_body(entry);
    } else {
        error(out, header, Status::TooLarge);
    }
}

/// Appends the flags of an entry alone, and its CAS unique.
pub(super) fn flags(out: &mut Output, header: &Header, entry: &Entry) {
    let extras_bytes = FLAGS_BYTES as u8;
    let body_bytes = FLAGS_BYTES;
    let head = Head { status: SUCCESS, extras_bytes, key: b"", body_bytes, cas: entry.cas() };
    if push_head(out, header, &head) {
        out.push(&entry.flags().to_be_bytes());
    }
}

fn whole(out: &mut Output, header: &Header, status: u16, cas: u64, body: &[u8]) {
    let head = Head { status, extras_bytes: 0, key: b"", body_bytes: body.len(), cas };
    if push_head(out, header, &head) {
        out.push(body);
    }
}

/// The head of a response, but for what the request's says.
struct Head<'a> {
    status: u16,
    extras_bytes: u8,
    key: &'a [u8],
    /// Extras, key and value.
    body_bytes: usize,
    cas: u64,
}

/// Appends a head; `false`, and nothing is appended, where a length can't be written.
#[must_use]
fn push_head(out: &mut Output, header: &Header, head: &Head<'_>) -> bool {
    let (key_bytes, body_bytes) = (u16::try_from(head.key.len()), u32::try_from(head.body_bytes));
    let (Ok(key_bytes), Ok(body_bytes)) = (key_bytes, body_bytes) else { return false };
    out.push(&[RESPONSE_MAGIC, header.opcode]);
    out.push(&key_bytes.to_be_bytes());
    // No data type but raw bytes.
    out.push(&[head.extras_bytes, 0]);
    out.push(&head.status.to_be_bytes());
    out.push(&body_bytes.to_be_bytes());
    out.push(&header.opaque);
    out.push(&head.cas.to_be_bytes());
    true
}
