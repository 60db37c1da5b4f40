//! What the cache asks of the database below it; implemented in `crate::tier`.
//!
//! # Invariants
//! - `commit` calls back in the order of submission, which is the order of sequences, and after the
//!   callback of a removal no older value of that key is written or loaded.
//! - A key that waits to be written is not loaded: what the database has of it is out of date.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use crate::model::{Birth, Content, Intent, Invalidation, Key, Mode, Passage, Sequence, Target};

/// A boxed future; the trait is used as an object.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Called with the outcome of a commit, from the tier's writer, before it writes anything else.
pub type Committed = Box<dyn FnOnce(Result<Lasting, TierError>) + Send>;

/// What an acknowledged change outlasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Any end of this process.
    Durable,
    /// This process alone, until the database works again: the operator has allowed it.
    Owed,
}

/// A key that has rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The key.
    pub key: Key,
    /// Where its row stands: later ones were written later.
    pub place: i64,
}

/// Why the tier did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    /// The database answered with an error, or not in time.
    #[error("database tier: {0}")]
    Database(String),
    /// The tier has been closed or its writer has ended.
    #[error("database tier is closed")]
    Closed,
}

/// One journal record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its position.
    pub sequence: Sequence,
    /// What is wrong, and who said so.
    pub invalidation: Arc<Invalidation>,
    /// What is shut or opened with it.
    pub passage: Passage,
}

/// One entry as the tier keeps it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Value, kind, expiry and tags.
    pub content: Content,
    /// memcached's CAS unique.
    pub cas: u64,
    /// The sequence its data is at least as new as.
    pub birth: Birth,
    /// When it was stored, milliseconds since 1970.
    pub stored_ms: u64,
}

/// One row of the fence as the tier kept it over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceRow {
    /// What was invalidated; never a key, whose removal also removes the tier's row.
    pub target: Target,
    /// How.
    pub mode: Mode,
    /// Up to which sequence.
    pub sequence: Sequence,
}

/// An intent as the tier kept it over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentRow {
    /// The intent.
    pub intent: Intent,
    /// What it has shut.
    pub targets: Vec<Target>,
}

/// How the tier is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `None` while it works; else what is wrong.
    pub degraded: Option<String>,
    /// Whether something can be written; nothing is loaded while that is not so.
    pub is_writing: bool,
    /// Keys that wait to be written.
    pub queued: usize,
    /// Rows that were found not to be as they were written, and left out.
    pub rows_skipped: u64,
    /// Rows that went to make room, since the start.
    pub evicted: u64,
    /// Values that are kept in memory alone because writing them takes too long, since the start.
    pub left_out: u64,
    /// Look-ups that were answered without asking the database, since the start.
    pub spared: u64,
    /// Whether keys without rows are known, so that they can be.
    pub knows_keys: bool,
    /// Keys in the order written last by [`Tier::write_hottest`] since the start.
    pub hot_keys: u64,
}

/// The database below the memory.
pub trait Tier: Send + Sync {
    /// Says where to ask for what is to be written. Called once, before anything else.
    fn attach(&self, source: Weak<dyn Source>);

    /// Makes an invalidation durable, in order, and calls back when it is or can't be.
    fn commit(&self, record: Record, then: Committed);

    /// Has the present rows of a key written behind; the future ends when they are durable.
    fn write(&self, key: &Key) -> BoxFuture<Result<Lasting, TierError>>;

    /// The rows of a key: one for an item, one for each variant of a page.
    fn load(&self, key: &Key) -> BoxFuture<Result<Vec<Row>, TierError>>;

    /// Keys with rows, the last written first, from before a place on; none: there are no more. A
    /// key comes once for each of its rows.
    fn latest(&self, before: i64, limit: usize) -> BoxFuture<Result<Vec<Placed>, TierError>>;

    /// Has these keys written, in their order, in place of those before; soon, and never in the way
    /// of what somebody waits for. They are what [`Tier::hottest`] says after the next start.
    fn write_hottest(&self, keys: &[Key]);

    /// The keys written last by [`Tier::write_hottest`], whether they have rows or not.
    fn hottest(&self) -> BoxFuture<Result<Vec<Key>, TierError>>;

    /// The smallest birth among all rows, as of the last time it was looked up; zero until then.
    fn oldest_birth(&self) -> Sequence;

    /// How it is.
    fn status(&self) -> Status;

    /// Writes what is queued and ends.
    fn close(&self) -> BoxFuture<()>;
}

/// Where the tier finds what it is to write.
pub trait Source: Send + Sync {
    /// The valid rows that memory has of a key now; none means that the tier should have none.
    fn rows(&self, key: &Key) -> Vec<Row>;

    /// Whether memory has anything of a key.
    fn holds(&self, key: &Key) -> bool;
}
