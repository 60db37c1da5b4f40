//! The black-box suites: one binary, one module per subject.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

mod api;
mod audits;
mod clients;
mod contract;
mod demo;
mod differential;
mod django_keys;
mod events;
mod faults;
mod freshness;
mod guests;
mod harness;
mod holds;
mod importing;
mod intents;
mod limits;
mod listeners;
mod look_ups;
mod memcached;
mod memcached_auth;
mod memcached_binary;
mod nginx_keys;
mod operator;
mod origins;
mod page_items;
mod pages;
mod plugin_cache;
mod plugin_cli;
mod plugin_refused;
mod plugin_reload;
mod plugin_restarts;
mod plugins;
mod postgres;
mod purges;
mod restart;
mod rfc;
mod rules;
mod sites;
mod stampede;
mod start;
mod streams;
mod sweeping;
mod tidy;
mod tier;
mod tier_cli;
mod unkeyed;
mod vtc;
mod wire;
