//! What single calls cost, as `plugin bench` measures them, and a load with and without compiled
//! code.
//!
//! # Invariants
//! - The command runs on the server's cores, once per round; figures are medians of the rounds.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::guests::{Guest, printed};
use crate::Plan;
use crate::process::pinned;
use crate::results::median;

/// Rows of the table: the inputs of the plugin, what the command calls them, and what they are.
const ROWS: [(usize, &str, &str); 9] = [
    (1, "cache-key, 1 of 1 inputs", "warm key, 1 input"),
    (6, "cache-key, 1 of 6 inputs", "warm key, 6 inputs, 1 given"),
    (6, "cache-key, 6 of 6 inputs", "warm key, 6 inputs"),
    (1, "cache-key, remembered", "key from the memo, 1 input"),
    (6, "cache-key, remembered", "key from the memo, 6 inputs"),
    (1, "new instance", "instantiate and configure"),
    (1, "its first call", "first key of a new instance"),
    (1, "compile and configure", "load, compiled"),
    (1, "read and configure", "load, code from the cache"),
];

/// Median, 99th percentile and slowest of one row.
type Times = [f64; 3];

/// Measures the plugins and returns a table.
///
/// # Errors
/// The command fails, or does not print what is expected.
pub(crate) fn table(plan: &Plan, wasmcached: &Path, guests: &[Guest]) -> anyhow::Result<String> {
    let mut table = "\n## Calls\n\n| what | language | p50 | p99 | slowest | budget of p50 |\n\
                     |---|---|---|---|---|---|\n"
        .to_owned();
    let mut measured = Vec::new();
    for guest in guests {
        eprintln!("calls of {}, {} inputs", guest.language, guest.inputs);
        measured.push(rounds(plan, wasmcached, guest)?);
    }
    for (row, (inputs, _, title)) in ROWS.iter().enumerate() {
        let measured = guests.iter().zip(&measured).filter(|(guest, _)| guest.inputs == *inputs);
        for (guest, rounds) in measured {
            let of = |index: usize| {
                let times = rounds.iter().filter_map(|round| round.get(row)?.as_ref());
                median(times.filter_map(|(times, _)| times.get(index).copied()).collect())
            };
            let budget = rounds.iter().find_map(|round| round.get(row)?.as_ref()?.1);
            let budget = budget.map_or_else(|| "–".to_owned(), |ns| verdict(of(0), ns));
            let [p50, p99, max] = [of(0), of(1), of(2)].map(shown);
            let language = guest.language;
            let _ = writeln!(table, "| {title} | {language} | {p50} | {p99} | {max} | {budget} |");
        }
    }
    Ok(table)
}

type Round = Vec<Option<(Times, Option<f64>)>>;

/// Two runs per round: the first compiles, the second finds its code.
fn rounds(plan: &Plan, wasmcached: &Path, guest: &Guest) -> anyhow::Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let cache = tempfile::tempdir()?;
        let mut round: Round = vec![None; ROWS.len()];
        for _ in 0..2 {
            let mut bench = pinned(&plan.cores.server_cpus, wasmcached);
            bench.args(["plugin", "bench", "--json"]).arg(&guest.component);
            bench.arg("--plugin-cache").arg(cache.path());
            let report: Value = serde_json::from_str(&printed(&mut bench)?)?;
            for ((_, name, _), place) in ROWS.iter().zip(&mut round) {
                *place = times_of(&report, name).or(place.take());
            }
        }
        let rows = ROWS.iter().zip(&round);
        let mut rows = rows.filter(|((inputs, _, _), _)| *inputs == guest.inputs);
        if let Some(((_, name, _), _)) = rows.find(|(_, times)| times.is_none()) {
            anyhow::bail!("{}: `plugin bench` has no row {name:?}", guest.language);
        }
        rounds.push(round);
    }
    Ok(rounds)
}

/// The times of the row of this name in nanoseconds, and its budget.
fn times_of(report: &Value, name: &str) -> Option<(Times, Option<f64>)> {
    let mut rows = report.get("rows")?.as_array()?.iter();
    let row = rows.find(|row| row.get("what").is_some_and(|what| what == name))?;
    let number = |field: &str| row.get(field).and_then(Value::as_f64);
    Some(([number("p50_ns")?, number("p99_ns")?, number("max_ns")?], number("budget_ns")))
}

fn verdict(found_ns: f64, budget_ns: f64) -> String {
    let word = if found_ns <= budget_ns { "within" } else { "**over**" };
    format!("{word} {}", shown(budget_ns))
}

/// Nanoseconds with a unit that leaves three digits or so.
fn shown(ns: f64) -> String {
    match ns {
        ns if ns < 10e3 => format!("{ns:.0} ns"),
        ns if ns < 10e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.0} ms", ns / 1e6),
    }
}
