//! `ms` (protocol.txt, "Meta Set"), with one addition: the token of `L`, which memcached ignores,
//! is a list of tags.

use std::str;

use super::{bits, cas, push_flag, push_key, push_opaque};
use crate::cache::Sight;
use crate::limits::TAGS_PER_ENTRY_MAX;
use crate::memcached::cmd::storage::{OUT_OF_MEMORY, Pending, Reply, TOO_LARGE, announce};
use crate::memcached::ops::{Outrun, StoreOutcome, Storing};
use crate::memcached::parse::{Answer, Meta, MetaSet};
use crate::memcached::session::Session;
use crate::model::{Key, Tag, TagError};

/// What the answer is to consist of, kept until the value is there.
#[derive(Debug)]
pub(in crate::memcached) struct SetReply {
    /// The flags that have an answer, as sent, each with a space behind it.
    flags: Box<[u8]>,
    success: Answer,
}

impl SetReply {
    fn new(meta: &Meta<'_>) -> Self {
        let mut flags = Vec::new();
        for (flag, token) in meta.flags() {
            if matches!(flag, b'O' | b'k' | b'c' | b's') {
                flags.push(flag);
                flags.extend_from_slice(token);
                flags.push(b' ');
            }
        }
        let success = if meta.has(b'q') { Answer::Unwanted } else { Answer::Wanted };
        Self { flags: flags.into(), success }
    }
}

/// Why the tags of a value can't be taken.
#[derive(Debug, thiserror::Error)]
enum BadTags {
    #[error("bad tag: {0}")]
    Tag(#[from] TagError),
    #[error("bad tag: {0} is not UTF-8")]
    NotText(String),
    #[error("item has {tags} tags; limit is {TAGS_PER_ENTRY_MAX}")]
    TooMany { tags: usize },
}

/// Begins an `ms`. `None` where its data is not wanted; the client has been told then.
pub(in crate::memcached) async fn expect(
    session: &mut Session,
    set: &MetaSet<'_>,
) -> Option<Pending> {
    let MetaSet { verb, value_bytes, meta } = set;
    let key = match Key::new(&meta.key) {
        Ok(key) => key,
        Err(error) => {
            session.server_error(Answer::Wanted, &error);
            return None;
        }
    };
    let tags = match tags(meta) {
        Ok(tags) => tags,
        Err(error) => {
            // Quoted as in Rust, so that no control character gets into the line.
            for part in ["CLIENT_ERROR ", &error.to_string(), "\r\n"] {
                session.out.push(part.as_bytes());
            }
            return None;
        }
    };
    let storing = Storing {
        // The parser has seen to it that it fits.
        flags: meta.number(b'F').and_then(|flags| u32::try_from(flags).ok()).unwrap_or_default(),
        exptime: meta.seconds(b'T').unwrap_or_default(),
        unique: meta.number(b'C'),
        outrun: if meta.has(b'I') { Outrun::KeptStale } else { Outrun::Refused },
        sight: Sight::WithStale,
        cas: cas(meta),
        tags,
        bits: bits(meta),
        create_exptime: meta.seconds(b'N'),
        ..Storing::new(*verb, key)
    };
    announce(session, storing, *value_bytes, Reply::Meta(SetReply::new(meta))).await
}

/// The tags of `L`: names between commas, each counted once.
fn tags(meta: &Meta<'_>) -> Result<Vec<Tag>, BadTags> {
    let list = meta.token(b'L').filter(|list| !list.is_empty());
    let mut tags = Vec::new();
    for name in list.into_iter().flat_map(|list| list.split(|byte| *byte == b',')) {
        let name =
            str::from_utf8(name).map_err(|_| BadTags::NotText(name.escape_ascii().to_string()))?;
        let tag = Tag::new(name)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    match tags.len() {
        0..=TAGS_PER_ENTRY_MAX => Ok(tags),
        tags => Err(BadTags::TooMany { tags }),
    }
}

/// Tells the client what became of its value.
pub(in crate::memcached) fn tell(
    session: &mut Session,
    reply: &SetReply,
    storing: &Storing,
    value_bytes: usize,
    told: StoreOutcome,
) {
    let (unique, value_bytes) = match told {
        StoreOutcome::Stored { unique, value_bytes } => (unique, value_bytes),
        _ => (0, value_bytes),
    };
    let code: &[u8] = match told {
        StoreOutcome::Stored { .. } if reply.success == Answer::Unwanted => return,
        StoreOutcome::Stored { .. } => b"HD",
        StoreOutcome::NotStored | StoreOutcome::Refused => b"NS",
        StoreOutcome::Exists => b"EX",
        StoreOutcome::NotFound => b"NF",
        StoreOutcome::TooLarge => return session.out.push(TOO_LARGE),
        StoreOutcome::OutOfMemory => return session.out.push(OUT_OF_MEMORY),
        StoreOutcome::Failed(error) => return session.server_error(Answer::Wanted, &error),
    };
    let out = &mut session.out;
    out.push(code);
    for flag in reply.flags.split(|byte| *byte == b' ') {
        match flag.split_first() {
            Some((b'O', token)) => push_opaque(out, token),
            Some((b'k', _)) => push_key(out, storing.key.as_bytes(), storing.bits),
            Some((b'c', _)) => push_flag(out, b"c", unique),
            Some((b's', _)) => push_flag(out, b"s", value_bytes as u64),
            _ => {}
        }
    }
    out.push(b"\r\n");
}
