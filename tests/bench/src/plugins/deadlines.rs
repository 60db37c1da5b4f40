//! How soon endless loops in each hook end, in a server that has one core, and what they cost those
//! who ask for something else meanwhile.
//!
//! # Invariants
//! - Latencies of the others count from the moment at which a request was due, so that a server
//!   that stands still is seen by all that it held up.
//! - A turn has fewer loops than would have the plugin left alone.
//!
//! # Not here
//! Whether the server does the safe thing then: the black-box suites.

mod client;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;

use crate::Plan;
use crate::clock::now;
use crate::pages::start_origin;
use crate::process::{self, Running};
use crate::results::{machine, median, print};
use client::{Doors, others};

/// A loop may take a tenth longer than its deadline, and this.
const SLACK_MS: f64 = 2.0;

/// Others may wait so much longer.
const OTHERS_RATIO_MAX: f64 = 2.0;

/// Of one turn; the fifth within ten seconds would have the plugin left alone.
const LOOPS: usize = 4;

/// The plugin that loops when it is told to.
const GUEST: &str = "out/guests/wasm32-wasip2/release/wasmcached_guest_hostile.wasm";

/// A hook with its default deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Key,
    Store,
    Item,
    Event,
}

impl Hook {
    const ALL: [Self; 4] = [Self::Key, Self::Store, Self::Item, Self::Event];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Key => "cache-key",
            Self::Store => "on-store",
            Self::Item => "on-item",
            Self::Event => "on-event",
        }
    }

    fn deadline_ms(self) -> f64 {
        match self {
            Self::Key => 2.0,
            Self::Store | Self::Item => 50.0,
            Self::Event => 2_000.0,
        }
    }

    /// Settings of the plugin: what is asked about a key says itself what it wants.
    fn config(self) -> &'static str {
        match self {
            Self::Key | Self::Event => "",
            Self::Store => "config.mode = \"spin\"\n",
            Self::Item => "config.mode = \"spin\"\nconfig.prefix = \"spin:\"\n",
        }
    }
}

/// What one turn showed.
struct Turn {
    /// Each loop, milliseconds.
    loops_ms: Vec<f64>,
    /// 99 % of the others waited no longer, microseconds: before the loops, and while they ran.
    quiet_p99_us: f64,
    p99_us: f64,
}

/// Measures and prints Markdown.
///
/// # Errors
/// A loop did not end in time, or others waited too long; after everything was printed.
pub(crate) fn measure(plan: &Plan) -> anyhow::Result<()> {
    plan.cores.client_cpus.keep_to_them()?;
    let origin = start_origin(&plan.cores.client_cpus)?;
    let cache = tempfile::tempdir()?;
    let mut table = format!(
        "# Deadlines\n\n{}. {} rounds of {LOOPS} loops; server on cores {}, one thread; others ask \
         for an item 1000 times a second.\n\n| hook | deadline, ms | loops: median, ms | slowest | \
         limit | others' p99 before, µs | during | ratio | limit | |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        machine(),
        plan.rounds,
        plan.cores.server_cpus,
    );
    let mut missed = Vec::new();
    for hook in Hook::ALL {
        let mut turns = Vec::new();
        for round in 0..plan.rounds {
            eprintln!("{}, round {} of {}", hook.name(), round + 1, plan.rounds);
            turns.push(turn(plan, hook, origin.address().to_string(), cache.path())?);
        }
        if !row(&mut table, hook, &turns) {
            missed.push(hook.name());
        }
    }
    print(&table)?;
    anyhow::ensure!(missed.is_empty(), "limits are missed: {}", missed.join(", "));
    Ok(())
}

/// Writes a row and returns whether both limits are kept.
fn row(table: &mut String, hook: Hook, turns: &[Turn]) -> bool {
    let loops: Vec<f64> = turns.iter().flat_map(|turn| turn.loops_ms.iter().copied()).collect();
    let slowest = loops.iter().copied().fold(0.0, f64::max);
    let of = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
    let (before, during) = (of(|turn| turn.quiet_p99_us), of(|turn| turn.p99_us));
    let ratio = of(|turn| turn.p99_us / turn.quiet_p99_us);
    let limit = hook.deadline_ms() * 1.1 + SLACK_MS;
    let is_kept = slowest <= limit && ratio <= OTHERS_RATIO_MAX;
    let verdict = if is_kept { "pass" } else { "**fail**" };
    let _ = writeln!(
        table,
        "| `{}` | {} | {:.2} | {slowest:.2} | {limit:.1} | {before:.0} | {during:.0} | \
         {ratio:.2} | {OTHERS_RATIO_MAX} | {verdict} |",
        hook.name(),
        hook.deadline_ms(),
        median(loops),
    );
    is_kept
}

fn turn(plan: &Plan, hook: Hook, origin: String, cache: &Path) -> anyhow::Result<Turn> {
    let (server, doors) = start(plan, hook, &origin, cache)?;
    doors.store_what_others_read()?;
    doors.warm_up(hook)?;
    let time = Duration::from_secs(u64::from(plan.seconds));
    let is_over = AtomicBool::new(false);
    let quiet_p99_us = others(&doors, time, &is_over)?;
    let begun = now();
    let turn = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| others(&doors, Duration::MAX, &is_over));
        let loops_ms = match hook {
            // One event is tried three times.
            Hook::Event => doors.spin(hook, 0).map(|ms| vec![ms / 3.0; 3]),
            _ => (0..LOOPS).map(|n| doors.spin(hook, n)).collect(),
        };
        while begun.elapsed() < time {
            std::thread::sleep(time.saturating_sub(begun.elapsed()));
        }
        is_over.store(true, Ordering::Relaxed);
        let p99_us = waiting.join().map_err(|_| anyhow::anyhow!("the others panicked"))??;
        anyhow::Ok(Turn { loops_ms: loops_ms?, quiet_p99_us, p99_us })
    });
    let turn = turn?;
    doors.check_counts(hook)?;
    drop(server);
    Ok(turn)
}

fn start(plan: &Plan, hook: Hook, origin: &str, cache: &Path) -> anyhow::Result<(Running, Doors)> {
    let (program, dir) = (process::wasmcached()?, tempfile::tempdir()?);
    let doors = Doors {
        memcached: process::free_address()?,
        pages: process::free_address()?,
        api: process::free_address()?,
    };
    let path = dir.path().join("wasmcached.toml");
    let config = format!(
        "[plugins.hostile]\nfile = \"{}\"\n{}\n\
         [[sites]]\nname = \"bench\"\norigin = \"http://{origin}\"\nplugin = \"hostile\"\n\n\
         [[sources]]\nname = \"bench\"\nsecrets = [\"{}\"]\nplugin = \"hostile\"\n",
        guest(&program)?.display(),
        hook.config(),
        client::SECRET,
    );
    std::fs::write(&path, config)?;
    let arguments = [
        "serve".to_owned(),
        format!("--config={}", path.display()),
        format!("--memcached={}", doors.memcached),
        format!("--pages={}", doors.pages),
        format!("--api={}", doors.api),
        "--threads=1".to_owned(),
        format!("--plugin-cache={}", cache.display()),
    ];
    let cpus = &plan.cores.server_cpus;
    Ok((Running::start(&program, &arguments, cpus, doors.api, dir)?, doors))
}

/// The newest build of the plugin, which the server's own build left beside it.
fn guest(wasmcached: &Path) -> anyhow::Result<PathBuf> {
    let builds = wasmcached.with_file_name("build");
    let folders = std::fs::read_dir(&builds).with_context(|| builds.display().to_string())?;
    let dated = folders.filter_map(|folder| {
        let path = folder.ok()?.path().join(GUEST);
        Some((path.metadata().ok()?.modified().ok()?, path))
    });
    let newest = dated.max().with_context(|| format!("no {GUEST} in {}", builds.display()))?;
    Ok(newest.1)
}
