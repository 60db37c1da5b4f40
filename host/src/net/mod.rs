//! Sockets: binding, TLS, accepting with a limit, and one stream type for all of them.
//!
//! # Invariants
//! - An error of `accept` never ends a listener: it backs off and goes on.
//! - A connection over the limit is told so by its protocol, counted, and closed; while
//!   [`REFUSALS_MAX`](crate::limits::REFUSALS_MAX) are being told, without a word.
//! - A client that takes nothing of what waits for it holds its connection for
//!   [`WRITE_STALL_MS_MAX`](crate::limits::WRITE_STALL_MS_MAX) at most.
//!
//! # Not here
//! What is spoken on a connection.

mod accept;
mod listener;
mod stream;
mod tls;
mod unix;

pub use accept::{Accept, Permit, accept_forever};
pub use listener::{BACKLOG, BindError, Bound, Listener};
pub use stream::Stream;
pub use tls::{Tls, TlsError, TlsFiles};
pub use unix::{Owner, OwnerError, UnixAccess};
