//! A plugin with one hook, which therefore exports one interface.
//!
//! # Invariants
//! - It has no other hook.
//!
//! # Not here
//! Anything that ships.

use wasmcached_plugin::prelude::*;

#[derive(Default)]
struct Partial;

#[plugin(name = "partial")]
impl Plugin for Partial {
    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        Ok(vec![hard_tag(event.model())])
    }
}
