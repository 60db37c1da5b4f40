//! What `plugin bench` found: a table for people, JSON for programs.
//!
//! # Invariants
//! - Both say the same; the JSON in nanoseconds and bytes.
//!
//! # Not here
//! Measuring: `bench`.

use serde::Serialize;

use super::error::PluginFailure;
use super::say;

/// All that was measured of one component.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) fuel: Vec<Fuel>,
    pub(super) memory_bytes: MemoryBytes,
}

/// How long one thing takes.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    what: String,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    /// What the median may be.
    budget_ns: Option<u64>,
}

/// What one call of a hook counts.
#[derive(Debug, Serialize)]
pub(super) struct Fuel {
    pub(super) hook: &'static str,
    pub(super) fuel: u64,
}

/// The largest memory of an instance.
#[derive(Debug, Default, Serialize)]
pub(super) struct MemoryBytes {
    pub(super) fresh: usize,
    pub(super) used: usize,
    pub(super) limit: usize,
}

impl Row {
    /// The row of these times.
    pub(super) fn of(what: impl Into<String>, times_ns: Vec<u64>, budget_ns: Option<u64>) -> Self {
        let [p50_ns, p99_ns, max_ns] = quantiles(times_ns);
        Self { what: what.into(), p50_ns, p99_ns, max_ns, budget_ns }
    }

    fn show(&self) -> Result<(), PluginFailure> {
        let budget = self.budget_ns.map(|budget_ns| {
            let verdict = if self.p50_ns <= budget_ns { "within" } else { "over" };
            format!("   {verdict} {}", time(budget_ns))
        });
        let [p50, p99, max] = [self.p50_ns, self.p99_ns, self.max_ns].map(time);
        let (what, budget) = (&self.what, budget.unwrap_or_default());
        say(format_args!("{what:<26}{p50:>11} {p99:>11} {max:>11}{budget}"))
    }
}

impl Report {
    /// Prints the table.
    pub(super) fn show(&self) -> Result<(), PluginFailure> {
        let heads = ["p50", "p99", "slowest"];
        let [p50, p99, max] = heads;
        say(format_args!("{:<26}{p50:>11} {p99:>11} {max:>11}   budget", ""))?;
        self.rows.iter().try_for_each(Row::show)?;
        for Fuel { hook, fuel } in &self.fuel {
            say(format_args!("{:<26}{fuel:>11}", format!("fuel of {hook}")))?;
        }
        let MemoryBytes { fresh, used, limit } = self.memory_bytes;
        let [fresh, used, limit] = [fresh, used, limit].map(size);
        say(format_args!("{:<26}{fresh:>11} {used:>11}   of {limit}", "memory, fresh and used"))
    }

    /// Prints one line of JSON.
    pub(super) fn show_json(&self) -> Result<(), PluginFailure> {
        say(serde_json::json!(self))
    }
}

/// Median, 99th percentile and slowest; zeros where there is no time.
fn quantiles(mut times: Vec<u64>) -> [u64; 3] {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = |percent: usize| times.get((times.len() * percent / 100).min(last)).copied();
    [50, 99, 100].map(|percent| at(percent).unwrap_or_default())
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
        assert_eq!(quantiles((0..1_000).rev().collect()), [500, 990, 999]);
        assert_eq!(quantiles(vec![7]), [7, 7, 7]);
        assert_eq!(quantiles(Vec::new()), [0, 0, 0]);
    }
}
