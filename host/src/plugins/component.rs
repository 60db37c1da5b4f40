//! From bytes to a component that may be instantiated: read, checked, compiled, linked.
//!
//! # Invariants
//! - What is not granted is refused by name, and what is not the pinned file by its hash, before
//!   anything is compiled.
//! - The exports of a component decide which hooks a plugin has; nothing else does.
//!
//! # Not here
//! What runs: `instance`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::wasmcached::plugin::{invalidator, keyer, lifecycle, tagger};
use super::code_cache::CodeFrom;
use super::engine::{Fuel, Machine};
use super::error::PluginError;
use super::instance::State;
use super::{PluginOrigin, PluginSource, names, shipped};

/// Largest component: an interpreter with its standard library takes 18 MB.
pub const COMPONENT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Where the hooks are found in an instance.
pub(super) struct Exports {
    pub(super) lifecycle: lifecycle::GuestIndices,
    pub(super) keyer: Option<keyer::GuestIndices>,
    pub(super) tagger: Option<tagger::GuestIndices>,
    pub(super) invalidator: Option<invalidator::GuestIndices>,
}

/// A component that is ready to be instantiated.
pub(super) struct Linked {
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
    pub(super) fuel: Fuel,
    /// Lower-case hexadecimal of the file.
    pub(super) sha256: String,
    pub(super) code_from: CodeFrom,
}

/// Reads, checks, compiles and links the source's component.
pub(super) fn link(machine: &Machine, source: &PluginSource) -> Result<Linked, PluginError> {
    let name = &source.name;
    let read;
    let bytes = match &source.origin {
        PluginOrigin::Shipped => shipped::component(name).ok_or_else(|| {
            PluginError::NotShipped { name: name.clone(), shipped: shipped::names() }
        })?,
        PluginOrigin::File(path) => {
            read = read_file(name, path)?;
            read.as_slice()
        }
        PluginOrigin::Bytes(bytes) => {
            check_size(name, bytes.len() as u64)?;
            bytes
        }
    };
    let sha256 = sha256_of(bytes);
    if let Some(pinned) = source.sha256.as_ref().filter(|pinned| **pinned != sha256) {
        let (name, pinned) = (name.clone(), pinned.clone());
        return Err(PluginError::Pin { name, pinned, found: sha256 });
    }
    check_preamble(name, bytes)?;
    names::check(name, bytes)?;
    let not_component = |error: wasmtime::Error| PluginError::NotComponent {
        name: name.clone(),
        reason: format!("{error:#}"),
    };
    let (component, code_from) = machine.compile(bytes).map_err(not_component)?;
    let contract = |error: wasmtime::Error| PluginError::Contract {
        name: name.clone(),
        reason: format!("{error:#}"),
    };
    let pre = machine.linker.instantiate_pre(&component).map_err(contract)?;
    let exports = find_exports(&component, &pre).map_err(contract)?;
    Ok(Linked { pre, exports, fuel: machine.fuel, sha256, code_from })
}

/// Reads the file of a component. Blocking.
///
/// # Errors
/// It can't be read, or is larger than [`COMPONENT_BYTES_MAX`].
pub fn read_file(name: &str, path: &Path) -> Result<Vec<u8>, PluginError> {
    let unreadable =
        |source| PluginError::Read { name: name.to_owned(), path: path.to_owned(), source };
    check_size(name, fs::metadata(path).map_err(unreadable)?.len())?;
    fs::read(path).map_err(unreadable)
}

fn check_size(name: &str, bytes: u64) -> Result<(), PluginError> {
    if bytes > COMPONENT_BYTES_MAX {
        let limit = COMPONENT_BYTES_MAX;
        return Err(PluginError::TooLarge { name: name.to_owned(), bytes, limit });
    }
    Ok(())
}

/// The first eight bytes say what a Wasm file is (component-model/Binary.md, "preamble"); the words
/// of a parser for the commonest mistake help nobody.
fn check_preamble(name: &str, bytes: &[u8]) -> Result<(), PluginError> {
    let reason = match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "it is a core module; build it for wasm32-wasip2, or run `wasm-tools component new`"
        }
        [0, b'a', b's', b'm', ..] => "its version of the binary format is not known",
        [] => "the file is empty",
        _ => "it does not begin like a Wasm file",
    };
    Err(PluginError::NotComponent { name: name.to_owned(), reason: reason.to_owned() })
}

fn has_interface(component: &Component, interface: &str) -> bool {
    component.get_export_index(None, interface).is_some()
}

fn find_exports(component: &Component, pre: &InstancePre<State>) -> wasmtime::Result<Exports> {
    let has = |interface| has_interface(component, interface);
    Ok(Exports {
        lifecycle: lifecycle::GuestIndices::new(pre)?,
        keyer: match has("wasmcached:plugin/keyer@0.1.0") {
            true => Some(keyer::GuestIndices::new(pre)?),
            false => None,
        },
        tagger: match has("wasmcached:plugin/tagger@0.1.0") {
            true => Some(tagger::GuestIndices::new(pre)?),
            false => None,
        },
        invalidator: match has("wasmcached:plugin/invalidator@0.1.0") {
            true => Some(invalidator::GuestIndices::new(pre)?),
            false => None,
        },
    })
}

/// The hash that [`super::Plugin::sha256`] says, of these bytes: lower-case hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
