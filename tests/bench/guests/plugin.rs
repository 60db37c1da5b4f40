//! A key of six inputs, as authors write them.

use wasmcached_plugin::prelude::*;

/// What the benchmark measures.
#[derive(Default)]
pub struct Six;

const NAMES: [&str; 6] = ["x-1", "x-2", "x-3", "x-4", "x-5", "x-6"];

#[plugin(name = "six", inputs(header = "x-1", header = "x-2", header = "x-3", header = "x-4",
    header = "x-5", header = "x-6"))]
impl Plugin for Six {
    fn cache_key(&self, request: &Request) -> Result<Key> {
        let given = NAMES.iter().filter_map(|name| Some((*name, request.header(name)?)));
        Ok(given.fold(Key::of(request), |key, (name, value)| key.with(name, value)))
    }
}
