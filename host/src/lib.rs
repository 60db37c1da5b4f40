//! wasmcached: a memcached server, an HTTP page cache and an invalidation service over one memory.
//!
//! Read in this order: [`model`] for the words, [`cache`] for the freshness rule, then one front
//! door, then `app` for how the parts are put together. ARCHITECTURE.md draws the map.

pub mod api;
pub mod app;
pub mod cache;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod demo;
pub mod events;
pub mod fail_points;
pub mod import;
pub mod limits;
pub mod memcached;
pub mod model;
pub mod net;
pub mod pages;
pub mod plugins;
mod sync;
pub mod tasks;
pub mod telemetry;
pub mod tier;
