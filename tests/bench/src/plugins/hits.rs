//! What a plugin adds to a page that is in the cache: server CPU per request.
//!
//! # Invariants
//! - The same path is asked of every server; each is seen to answer from its cache before.
//! - Requests of more than 1 KiB are not remembered by the server, so that each asks the guest.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::guests::Guest;
use crate::Plan;
use crate::pages::{self, Ask, Wrk, start_origin};
use crate::process::{self, Running};
use crate::results::median;

/// Longer than what the server remembers of a request.
const LONG_BYTES: usize = 1_100;

/// Measures and returns a table.
///
/// # Errors
/// A server does not start, or does not answer from its cache.
pub(crate) fn table(plan: &Plan, guests: &[Guest], cache: &Path) -> anyhow::Result<String> {
    let cpus = plan.cores.client_cpus.clone();
    let wrk = Wrk { program: process::installed("wrk", "wrk", "WRK_BIN")?, cpus };
    let origin = start_origin(&plan.cores.client_cpus)?;
    // wrk takes its path from the shapes, which are constants.
    let long: &'static str = format!("/small?page={}", "1".repeat(LONG_BYTES)).leak();
    let paths = [("/small?page=1", "memo"), (long, "no memo")];
    let guests: Vec<&Guest> = guests.iter().filter(|guest| guest.inputs > 1).collect();
    let mut names = vec!["none"];
    names.extend(guests.iter().map(|guest| guest.language));
    let mut cpu_ns = vec![vec![Vec::new(); names.len()]; paths.len()];
    for round in 0..plan.rounds {
        eprintln!("hits, round {} of {}", round + 1, plan.rounds);
        let mut servers = vec![start(plan, None, origin.address(), cache)?];
        for guest in &guests {
            servers.push(start(plan, Some(guest), origin.address(), cache)?);
        }
        for ((path, _), by_server) in paths.iter().zip(&mut cpu_ns) {
            for (server, samples) in servers.iter().zip(by_server) {
                pages::check_is_kept(server.address(), path)?;
                let before = server.cpu_ns()?;
                let seen = wrk.run(server.address(), Ask::Path(path), plan.seconds)?;
                anyhow::ensure!(seen.errors == 0, "{} requests went wrong", seen.errors);
                samples.push((server.cpu_ns()? - before) as f64 / seen.requests as f64);
            }
        }
    }
    let mut table = "\n## Page hits, 4 KB\n\n| request | plugin | server CPU per request, ns | \
                     more than without |\n|---|---|---|---|\n"
        .to_owned();
    for ((_, title), by_server) in paths.iter().zip(cpu_ns) {
        let mut without = None;
        for (name, samples) in names.iter().zip(by_server) {
            let found = median(samples);
            let more = found - *without.get_or_insert(found);
            let _ = writeln!(table, "| {title} | {name} | {found:.0} | {more:.0} |");
        }
    }
    Ok(table)
}

fn start(
    plan: &Plan,
    guest: Option<&Guest>,
    origin: SocketAddr,
    cache: &Path,
) -> anyhow::Result<Running> {
    let (address, dir) = (process::free_address()?, tempfile::tempdir()?);
    let path = dir.path().join("wasmcached.toml");
    let site = format!("[[sites]]\nname = \"bench\"\norigin = \"http://{origin}\"\n");
    let plugin = guest.map(|guest| {
        let file = guest.component.display();
        format!(
            "plugin = \"keys\"\n[plugins.keys]\nfile = \"{file}\"\nlimits.key_timeout = \"1s\"\n"
        )
    });
    std::fs::write(&path, site + &plugin.unwrap_or_default())?;
    let arguments = [
        "serve".to_owned(),
        format!("--config={}", path.display()),
        "--memcached=127.0.0.1:0".to_owned(),
        "--api=127.0.0.1:0".to_owned(),
        format!("--pages={address}"),
        format!("--threads={}", plan.cores.threads()),
        format!("--plugin-cache={}", cache.display()),
    ];
    Running::start(&process::wasmcached()?, &arguments, &plan.cores.server_cpus, address, dir)
}
