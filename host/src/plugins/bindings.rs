//! The contract's Rust face, generated from `guest-sdk/wit/wasmcached.wit`.
//!
//! # Invariants
//! - Arguments are borrowed: a call copies strings once, into the guest.
//!
//! # Not here
//! Checks of what guests return: `convert`.

#![allow(missing_docs, unreachable_pub, reason = "generated from the contract")]
#![allow(clippy::all, reason = "generated from the contract")]

wasmtime::component::bindgen!({
    path: "../guest-sdk/wit",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
});
