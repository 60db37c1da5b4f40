//! The clock of epochs by which deadlines are counted, and the watch over it.
//!
//! # Invariants
//! - The epoch moves once per millisecond for as long as the engine lives, on a thread that nothing
//!   else can hold up. A tick that came late is followed by those that it held up, so that long
//!   deadlines do not stretch.
//! - Should that thread stand still, another takes over within two looks of the watch, and it is
//!   logged; the one that stood still ends when it wakes up.
//!
//! # Not here
//! Deadlines: `instance`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

use crate::clock::Clock;

/// One tick, nanoseconds: what deadlines are counted in.
const TICK_NS: u64 = 1_000_000;

/// The ticker before everybody else where the system allows it: a guest that loops on the only
/// processor would otherwise keep it from ticking for as long as the scheduler's slice.
const NICE: i32 = -20;

/// Between two looks of the watch: a busy machine may well keep a thread waiting for some ticks.
const WATCH: Duration = Duration::from_secs(1);

/// What the ticking thread and the watch share.
#[derive(Default)]
struct Beat {
    ticks: AtomicU64,
    /// Which ticker is the current one.
    generation: AtomicU64,
}

/// Moves the engine's epoch until the engine is gone.
///
/// # Errors
/// No thread can be started.
pub(super) fn start(engine: &Engine) -> io::Result<()> {
    let (engine, beat) = (engine.weak(), Arc::new(Beat::default()));
    tick(&engine, &beat)?;
    let watch = move || {
        // The first look finds no number to compare with.
        let mut seen = u64::MAX;
        while engine.upgrade().is_some() {
            seen = look(&engine, &beat, seen);
            thread::sleep(WATCH);
        }
    };
    thread::Builder::new().name("plugin-watch".to_owned()).spawn(watch).map(drop)
}

/// Looks whether the epoch has moved since `seen` ticks, and has another thread move it if not.
/// Returns the ticks so far.
fn look(engine: &EngineWeak, beat: &Arc<Beat>, seen: u64) -> u64 {
    let ticks = beat.ticks.load(Ordering::Relaxed);
    if ticks == seen {
        tracing::error!(ticks, "the clock of plugins' deadlines stood still; starting another");
        beat.generation.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = tick(engine, beat) {
            tracing::error!(%error, "no thread for the clock of plugins' deadlines");
        }
    }
    ticks
}

fn tick(engine: &EngineWeak, beat: &Arc<Beat>) -> io::Result<()> {
    let (engine, beat) = (engine.clone(), Arc::clone(beat));
    let generation = beat.generation.load(Ordering::Relaxed);
    let ticker = move || {
        // Without the privilege it ticks as others do.
        let _ = rustix::process::nice(NICE);
        let clock = Clock::system();
        let start_ns = clock.monotonic_ns();
        let mut ticked = 0;
        // Ends by itself once nobody else has the engine, or another has taken over.
        while let Some(engine) = engine.upgrade() {
            if beat.generation.load(Ordering::Relaxed) != generation {
                break;
            }
            let passed_ns = clock.monotonic_ns().saturating_sub(start_ns);
            let due = passed_ns / TICK_NS;
            for _ in ticked..due {
                engine.increment_epoch();
            }
            ticked = due;
            beat.ticks.fetch_add(1, Ordering::Relaxed);
            drop(engine);
            thread::sleep(Duration::from_nanos(TICK_NS - passed_ns % TICK_NS));
        }
    };
    thread::Builder::new().name("plugin-ticker".to_owned()).spawn(ticker).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        Engine::default()
    }

    fn wait_until(holds: impl Fn() -> bool) {
        while !holds() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_ticker_that_stands_still_is_replaced_and_does_not_come_back() {
        let engine = engine();
        let beat = Arc::new(Beat::default());
        // As if a thread had ticked three times and then stuck.
        beat.ticks.store(3, Ordering::Relaxed);
        assert_eq!(look(&engine.weak(), &beat, 2), 3);
        assert_eq!(beat.generation.load(Ordering::Relaxed), 0, "replaced although it ticks");
        assert_eq!(look(&engine.weak(), &beat, 3), 3);
        wait_until(|| beat.ticks.load(Ordering::Relaxed) > 5);
        assert_eq!(beat.generation.load(Ordering::Relaxed), 1);
        // The one just started is taken for stuck in its turn, and ends.
        beat.generation.fetch_add(1, Ordering::Relaxed);
        wait_until(|| Arc::strong_count(&beat) == 1);
    }

    #[test]
    fn the_ticker_ends_with_its_engine() {
        let engine = engine();
        let beat = Arc::new(Beat::default());
        tick(&engine.weak(), &beat).unwrap();
        wait_until(|| beat.ticks.load(Ordering::Relaxed) > 1);
        drop(engine);
        wait_until(|| Arc::strong_count(&beat) == 1);
    }
}
