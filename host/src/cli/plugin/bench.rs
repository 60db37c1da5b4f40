//! `plugin bench`: what a plugin costs on this machine, beside what it may cost.
//!
//! # Invariants
//! - Every call is timed by itself, so that the slowest are seen; the clock adds 30 ns to each.
//!   Remembered keys cost less than the clock and are timed by the batch.
//! - Fuel is counted on an engine of its own: counting slows the calls down.
//!
//! # Not here
//! What is made of the times: `report`.

use clap::Args;

use super::component::ComponentArgs;
use super::error::PluginFailure;
use super::generated::Generator;
use super::report::{Fuel, MemoryBytes, Report, Row};
use crate::clock::Clock;
use crate::model::RequestView;
use crate::plugins::{CallError, CodeFrom, PluginLimits, Subject, Workbench};

const WARM_UP: usize = 1_000;
const CALLS: usize = 20_000;
const COLD: usize = 100;

/// Where an interpreter is slow, fewer calls say as much.
const ROW_NS_MAX: u64 = 2_000_000_000;

/// What a key may cost, in nanoseconds: it is computed on the thread that serves the request.
const KEY_NS_MAX: u64 = 1_000;

/// Uses of each remembered key, fewer than those after which the guest is asked again.
const REMEMBERED_USES: usize = 500;

/// What a key may cost that was computed before.
const REMEMBERED_NS_MAX: u64 = 100;

/// Different requests that are asked in turn.
const REQUESTS: usize = 64;

/// `wasmcached plugin bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Which component, with which settings
    #[command(flatten)]
    pub component: ComponentArgs,
    /// Print JSON, times in nanoseconds
    #[arg(long)]
    pub json: bool,
}

impl BenchArgs {
    /// Measures the component and prints what was found.
    pub(super) fn run(&self) -> Result<(), PluginFailure> {
        let report = measure(&self.component)?;
        match self.json {
            true => report.show_json(),
            false => report.show(),
        }
    }
}

fn measure(args: &ComponentArgs) -> Result<Report, PluginFailure> {
    let clock = Clock::system();
    let (source, code) = (args.source(), args.settings.code());
    let start_ns = clock.monotonic_ns();
    let bench = Workbench::open(&source, &code)?;
    let opened_ns = clock.monotonic_ns().saturating_sub(start_ns);
    // What a server gives, not what the other commands wait for.
    let limits =
        PluginLimits { memory_bytes_max: source.limits.memory_bytes_max, ..Default::default() };
    let mut subject = bench.subject()?;
    let fresh = subject.memory_bytes();
    let mut generator = Generator::new(bench.inputs());
    let requests: Vec<RequestView> = (0..REQUESTS).map(|_| generator.request()).collect();
    let mut rows = Rows { clock: &clock, rows: Vec::new() };
    rows.warm(&bench, &mut subject, &requests, &limits)?;
    rows.remembered(&bench, &mut subject, &requests)?;
    rows.cold(&bench, &requests)?;
    let open = match bench.code_from() {
        CodeFrom::Compiler => "compile and configure",
        CodeFrom::Cache => "read and configure",
    };
    rows.rows.push(Row::of(open, vec![opened_ns], None));
    let fuel = fuel(&Workbench::open_counting_fuel(&source, &code)?, &requests)?;
    let (used, limit) = (subject.memory_bytes(), limits.memory_bytes_max);
    Ok(Report { rows: rows.rows, fuel, memory_bytes: MemoryBytes { fresh, used, limit } })
}

struct Rows<'a> {
    clock: &'a Clock,
    rows: Vec<Row>,
}

impl Rows<'_> {
    fn warm(
        &mut self,
        bench: &Workbench,
        subject: &mut Subject<'_>,
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
                let shown: Vec<RequestView> =
                    requests.iter().map(|r| with_inputs(r, count)).collect();
                let row = format!("cache-key, {count} of {declared} inputs");
                self.calls(&row, KEY_NS_MAX, &shown, |r| subject.cache_key(r).map(drop))?;
            }
        }
        if bench.has_tagger() {
            let response = generator.response();
            self.calls("on-store", budget(limits.store_ms_max), requests, |request| {
                subject.on_store("http://shop/", request, &response).map(drop)
            })?;
        }
        if bench.has_invalidator() {
            let events: Vec<_> = (0..REQUESTS).map(|_| generator.event()).collect();
            self.calls("on-event", budget(limits.event_ms_max), &events, |event| {
                subject.on_event(event).map(drop)
            })?;
        }
        Ok(())
    }

    /// Times calls with each of `inputs` in turn.
    fn calls<T>(
        &mut self,
        row: &str,
        budget_ns: u64,
        inputs: &[T],
        mut ask: impl FnMut(&T) -> Result<(), CallError>,
    ) -> Result<(), PluginFailure> {
        for input in inputs.iter().cycle().take(WARM_UP) {
            answered(ask(input))?;
        }
        let mut times = Vec::with_capacity(CALLS);
        let end = self.clock.monotonic_ns().saturating_add(ROW_NS_MAX);
        for input in inputs.iter().cycle().take(CALLS) {
            let start = self.clock.monotonic_ns();
            answered(ask(input))?;
            let now = self.clock.monotonic_ns();
            times.push(now.saturating_sub(start));
            if now > end {
                break;
            }
        }
        self.rows.push(Row::of(row, times, Some(budget_ns)));
        Ok(())
    }

    /// Keys that a server has computed before, where the plugin allows that they are remembered.
    fn remembered(
        &mut self,
        bench: &Workbench,
        subject: &mut Subject<'_>,
        requests: &[RequestView],
    ) -> Result<(), PluginFailure> {
        let Some(memory) = bench.key_memory() else { return Ok(()) };
        // The first answer is checked soon, the next ones after a thousand uses.
        for request in requests.iter().chain(requests) {
            match subject.cache_key(request) {
                Ok(decision) => memory.put(request, &decision),
                other => answered(other.map(drop))?,
            }
        }
        // Two that share a place drive each other out.
        let kept: Vec<_> = requests.iter().filter(|r| memory.get(r).is_some()).collect();
        let mut times = Vec::new();
        for _ in 0..REMEMBERED_USES {
            let start = self.clock.monotonic_ns();
            let found = kept.iter().filter(|request| memory.get(request).is_some()).count();
            let took = self.clock.monotonic_ns().saturating_sub(start);
            if let Some(each) = took.checked_div(found as u64) {
                times.push(each);
            }
        }
        self.rows.push(Row::of("cache-key, remembered", times, Some(REMEMBERED_NS_MAX)));
        Ok(())
    }

    /// A fresh instance and its first call, as after a trap.
    fn cold(&mut self, bench: &Workbench, requests: &[RequestView]) -> Result<(), PluginFailure> {
        let (mut made, mut called) = (Vec::with_capacity(COLD), Vec::with_capacity(COLD));
        for request in requests.iter().cycle().take(COLD) {
            let start = self.clock.monotonic_ns();
            let mut subject = bench.subject()?;
            let is_made = self.clock.monotonic_ns();
            answered(subject.cache_key(request).map(drop))?;
            made.push(is_made.saturating_sub(start));
            called.push(self.clock.monotonic_ns().saturating_sub(is_made));
        }
        self.rows.push(Row::of("new instance", made, None));
        self.rows.push(Row::of("its first call", called, None));
        Ok(())
    }
}

/// The request with values for the first `count` of its inputs alone.
fn with_inputs(request: &RequestView, count: usize) -> RequestView {
    let mut request = request.clone();
    for (index, input) in request.inputs.iter_mut().enumerate() {
        *input = (index < count).then(|| "de-AT".to_owned());
    }
    request
}

fn fuel(bench: &Workbench, requests: &[RequestView]) -> Result<Vec<Fuel>, PluginFailure> {
    let mut subject = bench.subject()?;
    let mut generator = Generator::new(bench.inputs());
    let Some(request) = requests.first() else { return Ok(Vec::new()) };
    let (response, event) = (generator.response(), generator.event());
    let mut of = |hook, ask: &mut dyn FnMut(&mut Subject<'_>) -> Result<(), CallError>| {
        // The first call also initialises what is lazy.
        answered(ask(&mut subject))?;
        let before = subject.fuel_left();
        answered(ask(&mut subject))?;
        let used = before.zip(subject.fuel_left()).map(|(before, after)| before - after);
        Ok::<_, CallError>(Fuel { hook, fuel: used.unwrap_or_default() })
    };
    let mut found = Vec::new();
    if bench.has_keyer() {
        found.push(of("cache-key", &mut |subject| subject.cache_key(request).map(drop))?);
    }
    if bench.has_tagger() {
        found.push(of("on-store", &mut |subject| {
            subject.on_store("http://shop/", request, &response).map(drop)
        })?);
    }
    if bench.has_invalidator() {
        found.push(of("on-event", &mut |subject| subject.on_event(&event).map(drop))?);
    }
    Ok(found)
}

/// A plugin's own error is an answer and costs what one costs; everything else ends the bench.
fn answered(answer: Result<(), CallError>) -> Result<(), CallError> {
    match answer {
        Err(CallError::Guest(_)) => Ok(()),
        other => other,
    }
}
