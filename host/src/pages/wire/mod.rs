//! The wires to clients: connections are accepted, requests cut out of their bytes, answers
//! written.
//!
//! # Invariants
//! - Both protocols ask the same phases: what is stored and served does not depend on the wire.
//! - The hits that `http1` sends on its own are those that the phases would send.
//! - Connections are bounded: of all clients together, and of each where that is set.
//!
//! # Not here
//! What is answered: `course`. The wire to the origins: `origins`.

mod clients;
pub(super) mod http1;
mod http2;
mod server;

pub(super) use clients::Clients;
pub use server::serve;
