//! What was measured: samples by shape, server and round; medians, ratios, and Markdown.
//!
//! # Invariants
//! - A ratio is the median of the rounds' ratios: what disturbed a round disturbed both sides.

use std::fmt::Write as _;
use std::io::Write as _;

/// One turn of one server under one shape of load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Operations per second.
    pub(crate) rate: f64,
    /// Server CPU time per operation, nanoseconds.
    pub(crate) cpu_ns: f64,
    /// Share of its cores that the server used, 1.0 is all of them.
    pub(crate) busy: f64,
    /// Median latency, microseconds.
    pub(crate) p50_us: f64,
    /// 99 % of replies took no longer, microseconds.
    pub(crate) p99_us: f64,
    /// Replies that were not what was asked for, misses among them.
    pub(crate) wrong: u64,
}

type Figure = fn(&Sample) -> f64;

/// The figures that are compared.
const FIGURES: [(&str, Figure); 4] = [
    ("operations/s", |sample| sample.rate),
    ("server CPU per operation", |sample| sample.cpu_ns),
    ("p50", |sample| sample.p50_us),
    ("p99", |sample| sample.p99_us),
];

/// All samples of a run.
pub(crate) struct Results {
    shapes: Vec<String>,
    servers: Vec<&'static str>,
    /// By shape and server, in order of rounds.
    samples: Vec<Vec<Vec<Sample>>>,
}

impl Results {
    /// Nothing measured yet.
    pub(crate) fn new(shapes: Vec<String>, servers: &[&'static str]) -> Self {
        let samples = vec![vec![Vec::new(); servers.len()]; shapes.len()];
        Self { shapes, servers: servers.to_vec(), samples }
    }

    /// Adds a turn. Positions are those given to [`Results::new`].
    pub(crate) fn record(&mut self, shape: usize, server: usize, sample: Sample) {
        let servers = self.samples.get_mut(shape);
        if let Some(rounds) = servers.and_then(|servers| servers.get_mut(server)) {
            rounds.push(sample);
        }
    }

    fn rounds(&self, shape: usize, server: usize) -> &[Sample] {
        let servers = self.samples.get(shape);
        servers.and_then(|servers| servers.get(server)).map_or(&[], Vec::as_slice)
    }

    fn median(&self, shape: usize, server: usize, figure: Figure) -> f64 {
        median(self.rounds(shape, server).iter().map(figure).collect())
    }

    /// Median, least and greatest of the rounds' ratios; `None` where one was not measured.
    fn ratio(&self, shape: usize, pair: [usize; 2], figure: Figure) -> Option<[f64; 3]> {
        let [ours, theirs] = pair.map(|server| self.rounds(shape, server));
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| figure(ours) / figure(theirs)).collect();
        let least = ratios.iter().copied().reduce(f64::min)?;
        let greatest = ratios.iter().copied().reduce(f64::max)?;
        Some([median(ratios), least, greatest])
    }

    /// A table of ratios of the server at `ours` to the one at `theirs`.
    pub(crate) fn ratios(&self, ours: usize, theirs: usize) -> String {
        let name = |server: usize| self.servers.get(server).copied().unwrap_or_default();
        let names = FIGURES.map(|(name, _)| name).join(" | ");
        let mut table = format!(
            "\n## {} : {}\n\n| shape | {names} |\n|---|---|---|---|---|\n",
            name(ours),
            name(theirs)
        );
        for (shape, title) in self.shapes.iter().enumerate() {
            let mut cells = String::new();
            for (_, figure) in FIGURES {
                match self.ratio(shape, [ours, theirs], figure) {
                    Some([median, least, greatest]) => {
                        let _ = write!(cells, " **{median:.2}** ({least:.2}–{greatest:.2}) |");
                    }
                    None => cells.push_str(" – |"),
                }
            }
            let _ = writeln!(table, "| {title} |{cells}");
        }
        table
    }

    /// A table of the raw medians.
    pub(crate) fn raw(&self) -> String {
        let mut table = "\n## Medians\n\n| shape | server | k operations/s | server CPU per \
                         operation, ns | server busy | p50, µs | p99, µs | wrong or missing |\n\
                         |---|---|---|---|---|---|---|---|\n"
            .to_owned();
        for (shape, title) in self.shapes.iter().enumerate() {
            for (server, name) in self.servers.iter().enumerate() {
                if self.rounds(shape, server).is_empty() {
                    continue;
                }
                let of = |figure: Figure| self.median(shape, server, figure);
                let wrong: u64 = self.rounds(shape, server).iter().map(|s| s.wrong).sum();
                let _ = writeln!(
                    table,
                    "| {title} | {name} | {:.1} | {:.0} | {:.0} % | {:.0} | {:.0} | {wrong} |",
                    of(|sample| sample.rate / 1e3),
                    of(|sample| sample.cpu_ns),
                    of(|sample| sample.busy * 100.0),
                    of(|sample| sample.p50_us),
                    of(|sample| sample.p99_us),
                );
            }
        }
        table
    }

    /// How many replies were wrong or missing, over everything.
    pub(crate) fn wrong(&self) -> u64 {
        self.samples.iter().flatten().flatten().map(|sample| sample.wrong).sum()
    }
}

/// The middle of the numbers; the mean of the middle two; 0 of none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = numbers.get(middle).copied().unwrap_or_default();
    match numbers.len() % 2 {
        1 => upper,
        _ => (upper + numbers.get(middle.wrapping_sub(1)).copied().unwrap_or_default()) / 2.0,
    }
}

/// Prints what the reader asked for; progress goes elsewhere.
///
/// # Errors
/// Nobody reads it.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// The machine, as far as it explains figures.
pub(crate) fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut models = cpuinfo.lines().filter_map(|line| line.strip_prefix("model name"));
    let cores = models.clone().count();
    let model = models.next().unwrap_or_default().trim_start_matches(['\t', ':', ' ']);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {model}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64) -> Sample {
        Sample { rate, cpu_ns: 1.0, busy: 1.0, p50_us: 1.0, p99_us: 1.0, wrong: 0 }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut results = Results::new(vec!["gets".into()], &["ours", "theirs"]);
        // The machine was slow in the second round, for both.
        for (ours, theirs) in [(200.0, 100.0), (20.0, 10.0), (330.0, 110.0)] {
            results.record(0, 0, sample(ours));
            results.record(0, 1, sample(theirs));
        }
        assert_eq!(results.ratio(0, [0, 1], |s| s.rate), Some([2.0, 2.0, 3.0]));
        assert!(results.ratios(0, 1).contains("| gets | **2.00** (2.00–3.00) |"));
    }

    #[test]
    fn what_was_not_measured_has_no_ratio_and_no_row() {
        let mut results = Results::new(vec!["gets".into()], &["ours", "theirs"]);
        results.record(0, 0, sample(1.0));
        assert_eq!(results.ratio(0, [0, 1], |s| s.rate), None);
        assert!(!results.raw().contains("theirs"));
    }
}
