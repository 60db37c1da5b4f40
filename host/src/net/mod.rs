//! Sockets: binding, accepting with a limit, and one stream type for TCP and unix sockets.
//!
//! # Invariants
//! - An error of `accept` never ends a listener: it backs off and goes on.
//! - A connection over the limit is told so by its protocol, counted, and closed.
//!
//! # Not here
//! What is spoken on a connection.

mod accept;
mod listener;
mod stream;

pub use accept::{Accept, Permit, accept_forever};
pub use listener::{BindError, Bound, Listener};
pub use stream::Stream;
