//! HTTP/1.1 on the pages listener (RFC 9112): parsed in place, hits written from a stored block.
//!
//! # Invariants
//! - What two parties could read differently is refused and the connection closed after it: never
//!   passed on, never repaired (RFC 9112 §11.2).
//! - Requests on a connection are answered in their order, and the next one is not looked at while
//!   one is being answered.
//! - A hit takes no memory per field: its head was serialised at the store, and what differs is
//!   written behind it.
//! - An answer that breaks off ends its connection.
//!
//! # Not here
//! What is answered: `course::phase` for both wires. HTTP/2 is `http2`.

mod chunked;
mod connection;
mod exchange;
mod feed;
mod head;
mod hit;
mod linger;
mod tunnel;
mod write;

#[cfg(test)]
mod tests;

pub(super) use connection::Connection;
pub(in crate::pages) use write::block;
