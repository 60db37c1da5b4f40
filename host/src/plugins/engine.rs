//! The one Wasm engine with its clock of epochs, and what it gives to guests.
//!
//! # Invariants
//! - Deadlines are counted in epochs of about a millisecond (`ticker`).
//! - Sync calls stay cheap: component-model concurrency is off.
//!
//! # Not here
//! Instances and their limits: `instance`.

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine};

use super::bindings::wasmcached::plugin::{cache, log};
use super::code_cache::{CodeCache, CodeFolder, CodeFrom};
use super::error::PluginError;
use super::instance::State;
use super::ticker;
use super::wasi;

/// Stack of a guest; two thirds of it are left to the thread that calls.
const STACK_BYTES: usize = 512 * 1024;

/// The engine and everything that guests may import.
pub(super) struct Machine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) fuel: Fuel,
    /// Where compiled code is kept, if it is.
    code: Option<CodeCache>,
}

/// Whether the guests' instructions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fuel {
    /// As on an author's workbench.
    Counted,
    /// As in a server, where it would cost.
    NotCounted,
}

impl Machine {
    /// Starts the engine and its ticker; what is compiled is kept in the folder.
    pub(super) fn start(fuel: Fuel, folder: &CodeFolder) -> Result<Self, PluginError> {
        let code = CodeCache::open(folder);
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .consume_fuel(fuel == Fuel::Counted)
            .epoch_interruption(true)
            .max_wasm_stack(STACK_BYTES)
            .wasm_component_model(true)
            .cache(code.as_ref().map(|code| code.cache.clone()));
        let engine = Engine::new(&config).map_err(broken)?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker).map_err(broken)?;
        log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(broken)?;
        cache::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)
            .map_err(broken)?;
        let started = ticker::start(&engine);
        started.map_err(|error| PluginError::Engine { reason: error.to_string() })?;
        Ok(Self { engine, linker, fuel, code })
    }

    /// The component of these bytes, compiled now or earlier.
    pub(super) fn compile(&self, bytes: &[u8]) -> wasmtime::Result<(Component, CodeFrom)> {
        match &self.code {
            Some(code) => code.compile(&self.engine, bytes),
            None => Ok((Component::from_binary(&self.engine, bytes)?, CodeFrom::Compiler)),
        }
    }
}

fn broken(error: wasmtime::Error) -> PluginError {
    PluginError::Engine { reason: format!("{error:#}") }
}
