//! The webhook: an application says what it saved; when it gets its 2xx, nothing older is served.
//!
//! Routes, on the API's listener:
//! - `POST /v1/events/{source}` takes an event: 200 `{"sequence","affected"}` once it is durable
//!   and applied; 400 malformed, 401 not verified, 404 unknown source, 408 body not whole within
//!   10 s, 409 commit of an unknown intent without changes, 413 too large, 503 not durable, too
//!   many intents or too busy. With `?dry_run=true` it says what it would do, and does nothing.
//! - `GET /v1/events?limit=` lists recent events and what each did.
//!
//! # Invariants
//! - The raw bytes are verified before they are parsed.
//! - Never 2xx with nothing done: a version of a plugin that fails is replaced by the purge of all
//!   that it may have stored (`plugin:<name>/<key epoch>`) and of the model's built-in tags
//!   (`<model>`, `<model>:*`, `model:<model>`), and said so. Where there is none, a row's are
//!   purged (`<model>:<pk>`, `<model>`, `model:<model>`).
//! - A value that an event carries is written only if the event is known to be the newest of its
//!   source (`data.seq`) and nothing else was invalidated since it arrived.
//! - A value that was computed from what a plugin looked at is no newer than that, and ends with it
//!   by any of its tags; it is not written at all if the delivery makes that wrong.
//! - An event of a source with `hold_ms` is applied again after that delay.
//! - After an event, pages that it did not end may be audited; nobody waits for that.
//! - Between an `intent` and its `commit` what they name is passed through, by every protocol.
//! - Deduplication only saves work; applying an event again is harmless.
//!
//! # Not here
//! How invalidations become durable and visible (`cache`), and what an event makes wrong
//! (`plugins`).

mod apply;
mod audit;
mod decide;
mod dry_run;
mod follow;
mod holds;
mod intents;
mod log;
mod metrics;
mod native;
mod order;
mod plan;
#[cfg(test)]
mod replay_test;
mod router;
mod seen;
pub mod signature;
mod sources;
#[cfg(test)]
mod test_source;
#[cfg(test)]
mod versions_test;

pub use apply::{Events, Receipt, Refresh, Refused, UrlTargets};
pub use audit::{AuditPages, Auditor};
pub use holds::{Earlier, Unfinished};
pub use intents::IntentState;
pub use metrics::Metrics;
pub use native::{BodyError, event_of_change};
pub use router::router;
pub use sources::{Source, Sources};
