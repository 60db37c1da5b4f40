//! A key of its inputs, as authors write them.

use wasmcached_plugin::prelude::*;

/// What the benchmark measures.
#[derive(Default)]
pub struct Keys;

const NAMES: &[&str] = &["x-1", "x-2", "x-3", "x-4", "x-5", "x-6"];

#[plugin(name = "keys")]
impl Plugin for Keys {
    fn inputs(&self) -> Vec<Input> {
        NAMES.iter().map(|name| Input::Header((*name).to_owned())).collect()
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        let given = NAMES.iter().filter_map(|name| Some((*name, request.header(name)?)));
        Ok(given.fold(Key::of(request), |key, (name, value)| key.with(name, value)))
    }
}
