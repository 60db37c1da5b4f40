//! What columns hold, as bytes and numbers: fields of pages, targets, tags, sequences.
//!
//! # Invariants
//! - Decoding takes hostile bytes: what is not well-formed and within its limits is `None`, never a
//!   panic and never a guess.
//! - Fields are kept as bytes, because values of HTTP fields need not be text.
//!
//! # Not here
//! Whole rows (`rows`), and the statements of each database (`sqlite`, `postgres`).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::database::ROW_BYTES_MAX;
use crate::limits::{TAGS_PER_ENTRY_MAX, TARGETS_PER_INVALIDATION_MAX};
use crate::model::{Expiry, Key, Mode, Sequence, Staleness, Tag, Target};

/// `entries.kind` of an item.
pub(super) const KIND_ITEM: i64 = 0;
/// `entries.kind` of a page.
pub(super) const KIND_PAGE: i64 = 1;

/// zstd's level: the quickest; others gain little on pages.
const PACK_LEVEL: i32 = 1;

/// Stands for the length of a value that is absent.
const ABSENT: u32 = u32::MAX;

/// A target as the fence and the journal name it.
pub(super) struct Named<'target> {
    /// `fence.kind`; keys are in the journal only.
    pub kind: i64,
    /// Its bytes within the kind.
    pub name: &'target [u8],
}

/// `fence.kind` of a tag.
pub(super) const TARGET_TAG: i64 = 0;
/// `fence.kind` of a URL.
pub(super) const TARGET_URL: i64 = 1;
/// `fence.kind` of a prefix.
pub(super) const TARGET_PREFIX: i64 = 2;
/// `fence.kind` of everything.
pub(super) const TARGET_EVERYTHING: i64 = 3;
/// `fence.kind` of a site.
pub(super) const TARGET_SITE: i64 = 5;
/// A key: in the journal only, the fence has no rows of keys.
pub(super) const TARGET_KEY: i64 = 4;

/// The stored name of a target.
pub(super) fn name_of(target: &Target) -> Named<'_> {
    let (kind, name) = match target {
        Target::Tag(tag) => (TARGET_TAG, tag.as_str().as_bytes()),
        Target::Url(url) => (TARGET_URL, url.as_bytes()),
        Target::Site(site) => (TARGET_SITE, site.as_bytes()),
        Target::Prefix(prefix) => (TARGET_PREFIX, prefix.as_bytes()),
        Target::Everything => (TARGET_EVERYTHING, &[][..]),
        Target::Key(key) => (TARGET_KEY, key.as_bytes()),
    };
    Named { kind, name }
}

/// The target of a stored name; `None` for what is not one.
pub(super) fn target_of(kind: i64, name: &[u8]) -> Option<Target> {
    match kind {
        TARGET_TAG => Some(Target::Tag(Tag::new(std::str::from_utf8(name).ok()?).ok()?)),
        TARGET_URL => Some(Target::Url(std::str::from_utf8(name).ok()?.into())),
        TARGET_SITE => Some(Target::Site(std::str::from_utf8(name).ok()?.into())),
        TARGET_PREFIX => Some(Target::Prefix(Key::new(name).ok()?)),
        TARGET_EVERYTHING => Some(Target::Everything),
        TARGET_KEY => Some(Target::Key(Key::new(name).ok()?)),
        _ => None,
    }
}

/// `journal.targets`: for each a byte of kind, a byte of mode, and the name with its length before.
pub(super) fn encode_targets(targets: &[(Target, Mode)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (target, mode) in targets {
        let named = name_of(target);
        bytes.push(named.kind as u8);
        bytes.push(match mode {
            Mode::Hard => 0,
            Mode::Soft => 1,
        });
        put(&mut bytes, named.name);
    }
    bytes
}

/// Under which name a flush to come is kept among the intents, whose names have a `/`. It has no
/// targets; who takes it for an intent makes everything wrong when its time is over.
pub(super) const FLUSH_NAME: &str = "flush_all";

/// Under which name an import that has not ended is kept there, without targets, too.
pub(super) const IMPORT_NAME: &str = "import";

/// The reverse of [`encode_targets`].
pub(super) fn decode_targets(mut bytes: &[u8]) -> Option<Vec<(Target, Mode)>> {
    let mut targets = Vec::new();
    while let Some((&[kind, mode], rest)) = bytes.split_first_chunk::<2>() {
        bytes = rest;
        let mode = match mode {
            0 => Mode::Hard,
            1 => Mode::Soft,
            _ => return None,
        };
        targets.push((target_of(i64::from(kind), take(&mut bytes)??)?, mode));
        if targets.len() > TARGETS_PER_INVALIDATION_MAX {
            return None;
        }
    }
    bytes.is_empty().then_some(targets)
}

/// Response fields, in order, each as name and value.
pub(super) fn encode_headers(headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        put(&mut bytes, name.as_str().as_bytes());
        put(&mut bytes, value.as_bytes());
    }
    bytes
}

/// The reverse of [`encode_headers`].
pub(super) fn decode_headers(mut bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !bytes.is_empty() {
        let name = HeaderName::from_bytes(take(&mut bytes)??).ok()?;
        let value = HeaderValue::from_bytes(take(&mut bytes)??).ok()?;
        // The map has a limit of its own (32 768), above which it would panic.
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

/// The request fields of `Vary`, each with its value or its absence.
pub(super) fn encode_vary(vary: &[(HeaderName, Option<HeaderValue>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in vary {
        put(&mut bytes, name.as_str().as_bytes());
        match value {
            Some(value) => put(&mut bytes, value.as_bytes()),
            None => bytes.extend(ABSENT.to_le_bytes()),
        }
    }
    bytes
}

/// The reverse of [`encode_vary`].
pub(super) fn decode_vary(mut bytes: &[u8]) -> Option<Vec<(HeaderName, Option<HeaderValue>)>> {
    let mut vary = Vec::new();
    while !bytes.is_empty() {
        let name = HeaderName::from_bytes(take(&mut bytes)??).ok()?;
        let value = match take(&mut bytes)? {
            Some(value) => Some(HeaderValue::from_bytes(value).ok()?),
            None => None,
        };
        vary.push((name, value));
    }
    Some(vary)
}

/// Appends a piece with its length before it.
pub(super) fn put(bytes: &mut Vec<u8>, piece: &[u8]) {
    // Pieces come from names and fields, whose limits lie far below 4 GiB.
    let length = u32::try_from(piece.len()).unwrap_or(ABSENT);
    bytes.extend(length.to_le_bytes());
    bytes.extend(piece);
}

/// The next piece: `None` where the bytes are not well-formed, `Some(None)` where it is absent.
pub(super) fn take<'bytes>(bytes: &mut &'bytes [u8]) -> Option<Option<&'bytes [u8]>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length == ABSENT {
        *bytes = rest;
        return Some(None);
    }
    let (piece, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(piece))
}

/// `entries.tags`: a JSON list of strings, so that SQL can look at each.
pub(super) fn encode_tags(tags: &[Tag]) -> String {
    serde_json::Value::from_iter(tags.iter().map(Tag::as_str)).to_string()
}

/// The reverse of [`encode_tags`].
pub(super) fn decode_tags(json: &str) -> Option<Vec<Tag>> {
    let texts: Vec<String> = serde_json::from_str(json).ok()?;
    tags_of(&texts)
}

/// Tags that are kept one by one, as bytes.
pub(super) fn tags_of(names: &[impl AsRef<[u8]>]) -> Option<Vec<Tag>> {
    if names.len() > TAGS_PER_ENTRY_MAX {
        return None;
    }
    let tags = names.iter().map(|name| Tag::new(std::str::from_utf8(name.as_ref()).ok()?).ok());
    tags.collect()
}

/// A value as a row has it.
pub(super) struct Packed<'value> {
    /// `entries.unpacked_bytes`: its length, if it is compressed.
    pub unpacked_bytes: Option<i64>,
    /// `entries.body`.
    pub body: Cow<'value, [u8]>,
}

/// A value as it is.
pub(super) fn plain(value: &[u8]) -> Packed<'_> {
    Packed { unpacked_bytes: None, body: Cow::Borrowed(value) }
}

/// A value compressed, if that makes it smaller by an eighth at least.
pub(super) fn pack(value: &[u8]) -> Packed<'_> {
    match zstd::bulk::compress(value, PACK_LEVEL) {
        Ok(packed) if packed.len() <= value.len() / 8 * 7 => {
            Packed { unpacked_bytes: i64::try_from(value.len()).ok(), body: Cow::Owned(packed) }
        }
        // Whatever can't be compressed is kept as it is.
        _ => plain(value),
    }
}

/// The reverse of [`pack`].
pub(super) fn unpack(unpacked_bytes: Option<i64>, body: Vec<u8>) -> Option<Vec<u8>> {
    let Some(length) = unpacked_bytes else { return Some(body) };
    let length = usize::try_from(length).ok().filter(|length| *length <= ROW_BYTES_MAX)?;
    let value = zstd::bulk::decompress(&body, length).ok()?;
    (value.len() == length).then_some(value)
}

/// `entries.expires_ms`; whatever is too far away for the column is never.
pub(super) fn encode_expiry(expires: Expiry) -> Option<i64> {
    expires.as_ms().and_then(|ms| i64::try_from(ms).ok())
}

/// `entries.staleness`.
pub(super) fn encode_staleness(staleness: Staleness) -> i64 {
    match staleness {
        Staleness::Forbidden => 0,
        Staleness::Stated => 1,
        Staleness::Allowed => 2,
    }
}

/// The reverse of [`encode_staleness`].
pub(super) fn decode_staleness(raw: Option<i64>) -> Option<Staleness> {
    match raw {
        // Pages from before the column forbid it.
        None | Some(0) => Some(Staleness::Forbidden),
        Some(1) => Some(Staleness::Stated),
        Some(2) => Some(Staleness::Allowed),
        Some(_) => None,
    }
}

/// A sequence as the columns hold it; epochs stay below 2^23, so that it is below 2^63.
pub(super) fn encode_sequence(sequence: Sequence) -> i64 {
    i64::try_from(sequence.as_u64()).unwrap_or(i64::MAX)
}

/// A sequence read back; negative numbers are none of ours and count as the oldest.
pub(super) fn decode_sequence(raw: i64) -> Sequence {
    Sequence::from_u64(u64::try_from(raw).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_that_does_not_become_smaller_is_kept_as_it_is() {
        let noise: Vec<u8> = (0..4_000_u64)
            .map(|n| (n.wrapping_mul(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        let packed = pack(&noise);
        assert_eq!((packed.unpacked_bytes, &*packed.body), (None, &noise[..]));
        assert_eq!(unpack(None, noise.clone()), Some(noise));
    }

    #[test]
    fn compressed_value_with_another_length_than_it_says_is_none() {
        let text = vec![b'x'; 4_000];
        let packed = pack(&text).body.into_owned();
        assert_eq!(unpack(Some(4_000), packed.clone()), Some(text));
        for length in [-1, 0, 3_999, 4_001, i64::MAX] {
            assert_eq!(unpack(Some(length), packed.clone()), None, "{length}");
        }
        assert_eq!(unpack(Some(4_000), vec![0]), None);
    }
}
