//! Plugins: what calls, instances, loads and page hits cost by language, and how soon endless loops
//! end (`deadlines`).
//!
//! # Invariants
//! - The same plugin in every language, built by the tools that authors have.

mod costs;
pub(crate) mod deadlines;
mod guests;
mod hits;

use crate::Plan;
use crate::process;
use crate::results::{machine, print};

/// Measures costs and prints Markdown.
///
/// # Errors
/// A builder or a server is missing or fails.
pub(crate) fn measure(plan: &Plan) -> anyhow::Result<()> {
    let wasmcached = process::wasmcached()?;
    let (projects, cache) = (tempfile::tempdir()?, tempfile::tempdir()?);
    eprintln!("building the plugin in three languages");
    let guests = guests::build(&wasmcached, projects.path())?;
    plan.cores.client_cpus.keep_to_them()?;
    print(&format!(
        "# Plugins\n\n{}; {}. Medians of {} rounds, on cores {}; the load comes from {}\n",
        machine(),
        process::version(&wasmcached, "--version"),
        plan.rounds,
        plan.cores.server_cpus,
        plan.cores.client_cpus,
    ))?;
    print(&costs::table(plan, &wasmcached, &guests)?)?;
    print(&hits::table(plan, &guests, cache.path())?)
}
