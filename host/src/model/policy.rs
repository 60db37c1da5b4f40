//! What plugins are shown and what they may decide.

use super::{Key, Mode, Tag, Target};

/// One piece of request data that a plugin declared and therefore sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// A request field, by lower-case name.
    Header(String),
    /// A cookie, by name.
    Cookie(String),
    /// A query parameter, by name.
    QueryParam(String),
}

/// The request as a plugin sees it: fixed parts and the inputs it declared, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestView {
    /// Upper-case method.
    pub method: String,
    /// The authority that was asked for.
    pub host: String,
    /// Exact path bytes as forwarded.
    pub path: String,
    /// Query without the question mark.
    pub query: Option<String>,
    /// Values of the declared inputs, in the declared order.
    pub inputs: Vec<Option<String>>,
}

/// The response as a plugin sees it when it is about to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseView {
    /// The status code.
    pub status: u16,
    /// Lower-case names, values as text; fields that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// The body's length, where it was announced.
    pub body_bytes: Option<u32>,
}

/// What a plugin says about the key of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyDecision {
    /// The URL is the key.
    Default,
    /// This is the key.
    Custom(Key),
    /// Ask the origin and store nothing.
    Bypass,
}

/// What a plugin says about storing a page or an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreDecision {
    /// `false`: answer the client and keep nothing.
    pub store: bool,
    /// Seconds it stays fresh; `None` leaves HTTP's or the client's own answer.
    pub ttl_s: Option<u32>,
    /// Seconds it may be served stale while it is refreshed.
    pub stale_while_revalidate_s: Option<u32>,
    /// Seconds it may be served stale while the origin fails.
    pub stale_if_error_s: Option<u32>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// What a plugin wants done about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the target wrong.
    Invalidate(Target, Mode),
    /// Write a new value: better than deleting when the event carries it.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Vec<u8>,
        /// For how many seconds; `None` for ever.
        ttl_s: Option<u32>,
        /// Its tags.
        tags: Vec<Tag>,
    },
    /// Fetch the page of this URL anew.
    Refresh {
        /// `http://host/path?query`.
        url: String,
    },
}
