//! The memcached front door: the text and the binary protocol over one shared cache (protocol.txt
//! and protocol-binary of memcached 1.6).
//!
//! Read in this order: `server` accepts; `connection` turns bytes into requests by `parse` and has
//! each carried out by its file in `cmd`, by what `ops` can do to the cache; `reply` gathers what
//! is sent back.
//!
//! # Invariants
//! - A bad request is answered, its data is swallowed, and the next one is read. A connection is
//!   closed whose line is too long or no memcached, whose frame is not sound or comes before a
//!   login, or that has failed to log in too often.
//! - What a client can make the server hold is bounded: a line, one value up to the item limit, and
//!   one batch of replies per connection.
//! - A store after a miss on the same connection carries the claim of that miss (`misses`).
//!
//! # Not here
//! Freshness, expiry and eviction are the cache's; who may connect is decided where listeners are
//! configured.

mod auth;
mod binary;
mod buffer;
mod cmd;
mod connection;
mod connections;
mod encode;
mod exptime;
mod flush;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod lend;
mod metrics;
mod misses;
mod ops;
mod parse;
mod prefixes;
mod reply;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod waiting;
mod watchers;

pub use auth::{Users, UsersError};
pub use metrics::Metrics;
pub use server::{Door, RefreshError, Settings, serve};
