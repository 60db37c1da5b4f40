//! A plugin that says its keys depend on the request alone, and counts in them.
//!
//! # Invariants
//! - No two keys of one instance are the same.
//!
//! # Not here
//! Anything that ships.

use std::cell::Cell;

use wasmcached_plugin::prelude::*;

#[derive(Default)]
struct Impure {
    calls: Cell<u32>,
}

#[plugin(name = "impure", pure = true)]
impl Plugin for Impure {
    fn cache_key(&self, _request: &Request) -> Result<Key> {
        self.calls.set(self.calls.get() + 1);
        Ok(Key::exactly(self.calls.get().to_string()))
    }
}
