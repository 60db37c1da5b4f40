//! The components that are compiled for tests together with the binary.

use std::path::PathBuf;

use crate::server::binary;

/// The newest build of a guest of `tests/guests`: `reload-first`.
#[track_caller]
pub fn guest(name: &str) -> Vec<u8> {
    let file = format!("wasmcached_guest_{}.wasm", name.replace('-', "_"));
    let binary = binary();
    let builds = binary.parent().expect("a folder").join("build");
    let folders = std::fs::read_dir(&builds).unwrap_or_else(|error| panic!("{builds:?}: {error}"));
    let found = folders.filter_map(|folder| {
        let path: PathBuf =
            folder.ok()?.path().join("out/guests/wasm32-wasip2/release").join(&file);
        Some((path.metadata().ok()?.modified().ok()?, path))
    });
    let (_, newest) = found.max().unwrap_or_else(|| panic!("no {file} below {builds:?}"));
    std::fs::read(newest).expect("read the component")
}
