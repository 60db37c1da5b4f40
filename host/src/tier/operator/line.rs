//! The lines of an export, JSON each (jsonlines.org): a `header`, then `item`s and `page`s in the
//! order of their keys, and an `end` that says how many there were.
//!
//! | field | of | meaning |
//! |---|---|---|
//! | `line` | all | `header`, `item`, `page` or `end` |
//! | `version` | header | 2; 1 is read, too |
//! | `sealed` | header | whether no server had the database open meanwhile |
//! | `epoch` | header | how often a server had opened it before |
//! | `exported_ms` | header | milliseconds since 1970 |
//! | `beside` | header | what follows, which version 1 lacks |
//! | `flush_due_ms` | beside | when a `flush_all` with a delay is due; null for never |
//! | `intents` | beside | announced changes; `targets` are base64 of the journal's column |
//! | `plugins` | beside | those that may have tagged entries, with identity and mark |
//! | `events` | beside | those of the journal, in order; `targets` as of intents; may be missing |
//! | `entries` | end | number of items and pages |
//! | `key` | item, page | text; `{"base64": …}` where it is not UTF-8 |
//! | `birth` | item, page | the sequence that its data is at least as new as; text |
//! | `stored_ms` | item, page | when it was stored |
//! | `expires_ms` | item, page | when it expires; null for never |
//! | `tags` | item, page | its tags |
//! | `body` | item, page | base64 |
//! | `flags` | item | memcached's client flags |
//! | `url` `site` `status` | page | address, configured site, status of the response |
//! | `headers` | page | its fields as `[name, value]`, in order; values as keys |
//! | `vary` | page | what it was chosen by: `[name of a request field, value or null]` |
//! | `received_ms` `initial_age_ms` `lifetime_ms` | page | RFC 9111 §4.2 |
//! | `stale_while_revalidate_ms` `stale_if_error_ms` | page | RFC 5861 |
//! | `staleness` | page | `forbidden`, `stated` or `allowed` beyond its lifetime |
//! | `plugin` | page | the plugin that decided and its key epoch, or null |
//!
//! # Invariants
//! - A line is checked like a row of the tier: within every limit, and no field unknown or missing.
//!
//! # Not here
//! What is exported, and what may be imported (`transfer`).

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::header::{Header, VERSION, VERSION_MIN};
use crate::cache::tier::Row;
use crate::limits::{KEY_BYTES_MAX, TAGS_PER_ENTRY_MAX};
use crate::model::{Birth, Content, Expiry, Key, Kind, PageHead, Sequence, Staleness, Tag};

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or not with these fields.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A field that is not what it should be.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Another version.
    #[error("version is {found}; this binary reads {VERSION_MIN} to {VERSION}")]
    Version {
        /// As written.
        found: u32,
    },
    /// A line that has no place here.
    #[error("expected {expected}")]
    Order {
        /// What should be here.
        expected: &'static str,
    },
    /// The end's count.
    #[error("says that there are {said} entries; there were {counted}")]
    Count {
        /// As written.
        said: u64,
        /// As read.
        counted: u64,
    },
    /// Longer than any line that is written.
    #[error("is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub(super) enum Line {
    Header(Header),
    Item(ItemLine),
    Page(Box<PageLine>),
    End(End),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) entries: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemLine {
    key: Text,
    birth: String,
    stored_ms: u64,
    expires_ms: Option<u64>,
    tags: Vec<String>,
    flags: u32,
    body: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageLine {
    key: Text,
    birth: String,
    stored_ms: u64,
    expires_ms: Option<u64>,
    tags: Vec<String>,
    url: String,
    site: String,
    status: u16,
    headers: Vec<(String, Text)>,
    vary: Vec<(String, Option<Text>)>,
    received_ms: u64,
    initial_age_ms: u64,
    lifetime_ms: u64,
    stale_while_revalidate_ms: u64,
    stale_if_error_ms: u64,
    staleness: StalenessName,
    plugin: Option<String>,
    body: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StalenessName {
    Forbidden,
    Stated,
    Allowed,
}

/// Bytes that are text most of the time, as JSON has them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// They are UTF-8.
    Plain(String),
    /// They are not.
    Encoded {
        /// In base64, with padding.
        base64: String,
    },
}

impl Text {
    /// Any bytes.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Plain(text.to_owned()),
            Err(_) => Self::Encoded { base64: STANDARD.encode(bytes) },
        }
    }

    fn bytes(self, field: &'static str) -> Result<Vec<u8>, LineError> {
        match self {
            Self::Plain(text) => Ok(text.into_bytes()),
            Self::Encoded { base64 } => decode(field, &base64),
        }
    }
}

/// The line of a row.
pub(super) fn line_of(key: &[u8], row: &Row) -> Line {
    let content = &row.content;
    let key = Text::of(key);
    let birth = row.birth.sequence().to_string();
    let (stored_ms, expires_ms) = (row.stored_ms, content.expires.as_ms());
    let tags = content.tags.iter().map(|tag| tag.as_str().to_owned()).collect();
    let body = STANDARD.encode(&content.body);
    let head = match &content.kind {
        Kind::Item { flags } => {
            let flags = *flags;
            return Line::Item(ItemLine { key, birth, stored_ms, expires_ms, tags, flags, body });
        }
        Kind::Page(head) => head,
    };
    let headers = head.headers.iter();
    let vary = head.vary.iter();
    Line::Page(Box::new(PageLine {
        key,
        birth,
        stored_ms,
        expires_ms,
        tags,
        url: head.url.to_string(),
        site: head.site.to_string(),
        status: head.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), Text::of(value.as_bytes())))
            .collect(),
        vary: vary
            .map(|(name, value)| {
                (name.to_string(), value.as_ref().map(|value| Text::of(value.as_bytes())))
            })
            .collect(),
        received_ms: head.received_ms,
        initial_age_ms: head.initial_age_ms,
        lifetime_ms: head.lifetime_ms,
        stale_while_revalidate_ms: head.stale_while_revalidate_ms,
        stale_if_error_ms: head.stale_if_error_ms,
        staleness: match head.staleness {
            Staleness::Forbidden => StalenessName::Forbidden,
            Staleness::Stated => StalenessName::Stated,
            Staleness::Allowed => StalenessName::Allowed,
        },
        plugin: head.plugin.as_deref().map(str::to_owned),
        body,
    }))
}

impl ItemLine {
    /// The row of a line; its birth is that of the export.
    pub(super) fn row(self) -> Result<(Key, Row), LineError> {
        let content = Content {
            body: Bytes::from(decode("body", &self.body)?),
            kind: Kind::Item { flags: self.flags },
            expires: expiry(self.expires_ms),
            tags: tags(&self.tags)?,
        };
        Ok((key(self.key)?, row(content, &self.birth, self.stored_ms)?))
    }
}

impl PageLine {
    /// The row of a line; its birth is that of the export.
    pub(super) fn row(self) -> Result<(Key, Row), LineError> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            let value = header_value("headers", value)?;
            let added = headers.try_append(header_name("headers", &name)?, value);
            added.map_err(|error| field("headers", error))?;
        }
        let vary = self.vary.into_iter().map(|(name, value)| {
            let value = value.map(|value| header_value("vary", value)).transpose()?;
            Ok((header_name("vary", &name)?, value))
        });
        if self.url.is_empty() || self.url.len() > KEY_BYTES_MAX {
            return Err(field("url", format!("is {} bytes long", self.url.len())));
        }
        let head = PageHead {
            url: self.url.into(),
            site: self.site.into(),
            status: StatusCode::from_u16(self.status).map_err(|error| field("status", error))?,
            headers,
            vary: vary.collect::<Result<_, LineError>>()?,
            received_ms: millis("received_ms", self.received_ms)?,
            initial_age_ms: millis("initial_age_ms", self.initial_age_ms)?,
            lifetime_ms: millis("lifetime_ms", self.lifetime_ms)?,
            stale_while_revalidate_ms: self.stale_while_revalidate_ms,
            stale_if_error_ms: self.stale_if_error_ms,
            staleness: match self.staleness {
                StalenessName::Forbidden => Staleness::Forbidden,
                StalenessName::Stated => Staleness::Stated,
                StalenessName::Allowed => Staleness::Allowed,
            },
            plugin: self.plugin.map(Into::into),
            block: OnceLock::new(),
        };
        let content = Content {
            body: Bytes::from(decode("body", &self.body)?),
            kind: Kind::Page(Arc::new(head)),
            expires: expiry(self.expires_ms),
            tags: tags(&self.tags)?,
        };
        Ok((key(self.key)?, row(content, &self.birth, self.stored_ms)?))
    }
}

fn row(content: Content, birth: &str, stored_ms: u64) -> Result<Row, LineError> {
    let birth: u64 = birth.parse().map_err(|error| field("birth", error))?;
    let birth = Birth::at(Sequence::from_u64(birth));
    Ok(Row { content, cas: 0, birth, stored_ms: millis("stored_ms", stored_ms)? })
}

fn key(text: Text) -> Result<Key, LineError> {
    Key::new(&text.bytes("key")?).map_err(|error| field("key", error))
}

fn expiry(ms: Option<u64>) -> Expiry {
    ms.map_or(Expiry::NEVER, Expiry::at_ms)
}

fn tags(texts: &[String]) -> Result<Vec<Tag>, LineError> {
    if texts.len() > TAGS_PER_ENTRY_MAX {
        let reason = format!("are {}; limit is {TAGS_PER_ENTRY_MAX}", texts.len());
        return Err(field("tags", reason));
    }
    texts.iter().map(|text| Tag::new(text).map_err(|error| field("tags", error))).collect()
}

/// Times are kept in 63 bits.
fn millis(name: &'static str, ms: u64) -> Result<u64, LineError> {
    match i64::try_from(ms) {
        Ok(_) => Ok(ms),
        Err(_) => Err(field(name, format!("is {ms}; limit is {}", i64::MAX))),
    }
}

fn header_name(name: &'static str, text: &str) -> Result<HeaderName, LineError> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|error| field(name, error))
}

fn header_value(name: &'static str, text: Text) -> Result<HeaderValue, LineError> {
    HeaderValue::from_maybe_shared(Bytes::from(text.bytes(name)?))
        .map_err(|error| field(name, error))
}

fn decode(name: &'static str, base64: &str) -> Result<Vec<u8>, LineError> {
    STANDARD.decode(base64).map_err(|error| field(name, format!("is not base64: {error}")))
}

fn field(field: &'static str, reason: impl ToString) -> LineError {
    LineError::Field { field, reason: reason.to_string() }
}
