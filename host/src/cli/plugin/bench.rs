//! `plugin bench`: what a plugin costs on this machine, beside what it may cost.
//!
//! # Invariants
//! - Every call is timed by itself, so that the slowest are seen; the clock adds 30 ns to each.
//! - Fuel is counted on an engine of its own: counting slows the calls down.
//!
//! # Not here
//! The memory of keys that a server has in front of a plugin: every call here is a real one.

use super::component::ComponentArgs;
use super::error::PluginFailure;
use super::generated::Generator;
use super::say;
use crate::clock::Clock;
use crate::model::RequestView;
use crate::plugins::{CallError, PluginLimits, Subject, Workbench};

const WARM_UP: usize = 1_000;
const CALLS: usize = 20_000;
const COLD: usize = 20;

/// Where an interpreter is slow, fewer calls say as much.
const ROW_NS_MAX: u64 = 2_000_000_000;

/// What a key may cost, in nanoseconds: it is computed on the thread that serves the request.
const KEY_NS_MAX: u64 = 1_000;

/// Measures the component and prints a table.
pub(super) fn run(args: &ComponentArgs) -> Result<(), PluginFailure> {
    let clock = Clock::system();
    let source = args.source();
    let start = clock.monotonic_ns();
    let bench = Workbench::open(&source)?;
    let opened = clock.monotonic_ns().saturating_sub(start);
    // What a server gives, not what the other commands wait for.
    let limits =
        PluginLimits { memory_bytes_max: source.limits.memory_bytes_max, ..Default::default() };
    say(format_args!("{:<26}{:>11} {:>11}   budget", "", "p50", "p99"))?;
    let mut subject = bench.subject()?;
    let fresh_bytes = subject.memory_bytes();
    let mut generator = Generator::new(bench.inputs());
    let requests: Vec<RequestView> = (0..64).map(|_| generator.request()).collect();
    warm(&bench, &mut subject, &clock, &requests, &limits)?;
    cold(&bench, &clock, &requests)?;
    say(format_args!("{:<26}{:>11}", "compile and configure", time(opened)))?;
    fuel(&Workbench::open_counting_fuel(&source)?, &requests)?;
    let (grown, limit) = (size(subject.memory_bytes()), size(limits.memory_bytes_max));
    let fresh = size(fresh_bytes);
    say(format_args!("{:<26}{fresh:>11} {grown:>11}   {limit}", "memory, fresh and used"))
}

fn warm(
    bench: &Workbench,
    subject: &mut Subject<'_>,
    clock: &Clock,
    requests: &[RequestView],
    limits: &PluginLimits,
) -> Result<(), PluginFailure> {
    let mut generator = Generator::new(bench.inputs());
    let budget = |ms: u64| ms.saturating_mul(1_000_000);
    if bench.has_keyer() {
        let declared = bench.inputs().len();
        // How much a plugin is shown is most of what its key costs.
        let mut counts = vec![declared.min(1), declared];
        counts.dedup();
        for count in counts {
            let shown: Vec<RequestView> = requests.iter().map(|r| with_inputs(r, count)).collect();
            let row = format!("cache-key, {count} of {declared} inputs");
            measure(clock, &row, KEY_NS_MAX, &shown, |request| {
                subject.cache_key(request).map(drop)
            })?;
        }
    }
    if bench.has_tagger() {
        let response = generator.response();
        measure(clock, "on-store", budget(limits.store_ms_max), requests, |request| {
            subject.on_store("http://shop/", request, &response).map(drop)
        })?;
    }
    if bench.has_invalidator() {
        let events: Vec<_> = (0..64).map(|_| generator.event()).collect();
        measure(clock, "on-event", budget(limits.event_ms_max), &events, |event| {
            subject.on_event(event).map(drop)
        })?;
    }
    Ok(())
}

/// The request with values for the first `count` of its inputs alone.
fn with_inputs(request: &RequestView, count: usize) -> RequestView {
    let mut request = request.clone();
    for (index, input) in request.inputs.iter_mut().enumerate() {
        *input = (index < count).then(|| "de-AT".to_owned());
    }
    request
}

/// A fresh instance and its first call, as after a trap.
fn cold(bench: &Workbench, clock: &Clock, requests: &[RequestView]) -> Result<(), PluginFailure> {
    let mut times = Vec::with_capacity(COLD);
    for request in requests.iter().cycle().take(COLD) {
        let start = clock.monotonic_ns();
        answered(bench.subject()?.cache_key(request).map(drop))?;
        times.push(clock.monotonic_ns().saturating_sub(start));
    }
    let (p50, p99) = percentiles(times);
    say(format_args!("{:<26}{:>11} {:>11}", "new instance, first call", time(p50), time(p99)))
}

fn fuel(bench: &Workbench, requests: &[RequestView]) -> Result<(), PluginFailure> {
    let mut subject = bench.subject()?;
    let mut generator = Generator::new(bench.inputs());
    let Some(request) = requests.first() else { return Ok(()) };
    let (response, event) = (generator.response(), generator.event());
    let mut row = |name: &str, ask: &mut dyn FnMut(&mut Subject<'_>) -> Result<(), CallError>| {
        // The first call also initialises what is lazy.
        answered(ask(&mut subject))?;
        let before = subject.fuel_left();
        answered(ask(&mut subject))?;
        let used = before.zip(subject.fuel_left()).map(|(before, after)| before - after);
        say(format_args!("{:<26}{:>11}", format!("fuel of {name}"), used.unwrap_or_default()))
    };
    if bench.has_keyer() {
        row("cache-key", &mut |subject| subject.cache_key(request).map(drop))?;
    }
    if bench.has_tagger() {
        row("on-store", &mut |subject| {
            subject.on_store("http://shop/", request, &response).map(drop)
        })?;
    }
    if bench.has_invalidator() {
        row("on-event", &mut |subject| subject.on_event(&event).map(drop))?;
    }
    Ok(())
}

/// Times calls with each of `inputs` in turn and prints a row.
fn measure<T>(
    clock: &Clock,
    row: &str,
    budget_ns: u64,
    inputs: &[T],
    mut ask: impl FnMut(&T) -> Result<(), CallError>,
) -> Result<(), PluginFailure> {
    for input in inputs.iter().cycle().take(WARM_UP) {
        answered(ask(input))?;
    }
    let mut times = Vec::with_capacity(CALLS);
    let end = clock.monotonic_ns().saturating_add(ROW_NS_MAX);
    for input in inputs.iter().cycle().take(CALLS) {
        let start = clock.monotonic_ns();
        answered(ask(input))?;
        let now = clock.monotonic_ns();
        times.push(now.saturating_sub(start));
        if now > end {
            break;
        }
    }
    let (p50, p99) = percentiles(times);
    let verdict = if p50 <= budget_ns { "within" } else { "over" };
    let budget = time(budget_ns);
    let (p50, p99) = (time(p50), time(p99));
    say(format_args!("{row:<26}{p50:>11} {p99:>11}   {verdict} {budget}"))
}

/// A plugin's own error is an answer and costs what one costs; everything else ends the bench.
fn answered(answer: Result<(), CallError>) -> Result<(), CallError> {
    match answer {
        Err(CallError::Guest(_)) => Ok(()),
        other => other,
    }
}

fn percentiles(mut times: Vec<u64>) -> (u64, u64) {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    };
    (at(50), at(99))
}

fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{} µs", ns / 1_000),
        _ => format!("{} ms", ns / 1_000_000),
    }
}

fn size(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_times_are_below_the_first_and_almost_all_below_the_second() {
        assert_eq!(percentiles((0..1_000).rev().collect()), (500, 990));
        assert_eq!(percentiles(vec![7]), (7, 7));
        assert_eq!(percentiles(Vec::new()), (0, 0));
    }
}
