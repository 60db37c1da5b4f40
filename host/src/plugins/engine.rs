//! The one Wasm engine with its clock of epochs, and what it gives to guests.
//!
//! # Invariants
//! - The epoch moves about once per millisecond for as long as the engine lives, on a thread that
//!   nothing else can hold up; deadlines are counted in it.
//! - Sync calls stay cheap: component-model concurrency is off.
//!
//! # Not here
//! Instances and their limits: `instance`.

use std::thread;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine};

use super::bindings::wasmcached::plugin::log;
use super::error::PluginError;
use super::instance::State;
use super::wasi;

/// Stack of a guest; two thirds of it are left to the thread that calls.
const STACK_BYTES: usize = 512 * 1024;

/// The engine and everything that guests may import.
pub(super) struct Machine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) fuel: Fuel,
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
    /// Starts the engine and its ticker.
    pub(super) fn start() -> Result<Self, PluginError> {
        Self::start_with(Fuel::NotCounted)
    }

    /// The same, with fuel or without.
    pub(super) fn start_with(fuel: Fuel) -> Result<Self, PluginError> {
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .consume_fuel(fuel == Fuel::Counted)
            .epoch_interruption(true)
            .max_wasm_stack(STACK_BYTES)
            .wasm_component_model(true);
        let engine = Engine::new(&config).map_err(broken)?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker).map_err(broken)?;
        log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(broken)?;
        tick(&engine)?;
        Ok(Self { engine, linker, fuel })
    }
}

fn tick(engine: &Engine) -> Result<(), PluginError> {
    let weak = engine.weak();
    let ticker = move || {
        // Ends by itself once nobody else has the engine.
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(Duration::from_millis(1));
        }
    };
    let spawned = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(ticker);
    spawned.map(|_| ()).map_err(|error| PluginError::Engine { reason: error.to_string() })
}

fn broken(error: wasmtime::Error) -> PluginError {
    PluginError::Engine { reason: format!("{error:#}") }
}
