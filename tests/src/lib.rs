//! The black-box harness: the real binary, a scripted origin, and real clients.
//!
//! # Invariants
//! - Nothing here links the server: what a test knows, a user of the command line knows.
//! - Nothing waits without a bound, and every process is ended by its own id.
//!
//! # Not here
//! The suites: `it/`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a harness reports by panicking in the test that called it"
)]

pub mod chaos;
pub mod clients;
pub mod components;
pub mod database;
pub mod disk;
pub mod frames;
pub mod http;
pub mod memcached;
pub mod origin;
pub mod postgres;
pub mod random;
pub mod raw;
pub mod reference;
pub mod server;
pub mod settings;
pub mod tls;
pub mod transcript;
pub mod wait;
pub mod webhook;

pub use database::Database;
pub use http::Answer;
pub use memcached::Memcached;
pub use origin::{Gate, Origin};
pub use postgres::Postgres;
pub use random::Random;
pub use reference::Reference;
pub use server::Server;
pub use webhook::Webhook;
