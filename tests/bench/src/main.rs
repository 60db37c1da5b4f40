//! Measures wasmcached against the servers it would replace, on one machine, in one run.
//!
//! # Invariants
//! - What is compared runs in turn, in rounds, on the same cores, under the same load.
//! - Every server that was started is ended by its process id, also when the harness dies.
//! - Nothing here links the server: it measures the binary that users run.
//!
//! # Not here
//! Verdicts, but those of `deadlines`: the tables say what was measured, budgets are for their
//! reader.

mod answering;
mod clock;
mod cpus;
mod histogram;
mod idle;
mod invalidation;
mod memcached;
mod pages;
mod plugins;
mod process;
mod results;
mod sweep;
mod tier;

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

use cpus::Cpus;
use memcached::shape::Shape;

/// Measures wasmcached against memcached, nginx and Varnish; prints Markdown.
#[derive(Parser)]
#[command(name = "wasmcached-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Speed and memory of the memcached port, against Debian's memcached and a bare loop.
    Memcached {
        #[command(flatten)]
        plan: Plan,
        /// Only this shape of load; memory is left out then.
        #[arg(long, value_parser = Shape::named)]
        shape: Option<Shape>,
    },
    /// Speed of the page cache, against nginx, Varnish and a bare loop.
    Pages {
        #[command(flatten)]
        plan: Plan,
        /// Only this shape of load.
        #[arg(long, value_parser = pages::Shape::named)]
        shape: Option<pages::Shape>,
    },
    /// Cost of invalidations by the entries they name, and of the checks they leave to hits.
    Invalidation {
        #[command(flatten)]
        plan: Plan,
    },
    /// Cost of plugins' calls, instances, loads and page hits, in Rust, Python and JavaScript.
    Plugins {
        #[command(flatten)]
        plan: Plan,
    },
    /// How soon endless loops in plugins end on one core, and what they cost everybody else.
    Deadlines {
        #[command(flatten)]
        plan: Plan,
    },
    /// What a database tier costs, and what hits cost while it fails.
    Tier {
        #[command(flatten)]
        plan: Plan,
        /// Entries above which a server is started.
        #[arg(long, default_value_t = 100_000)]
        rows: u32,
        /// An empty PostgreSQL database to measure too: postgres://user:password@host/name.
        #[arg(long)]
        postgres: Option<String>,
    },
    /// Resident memory per connection that waits.
    Idle {
        #[command(flatten)]
        cores: Cores,
        /// How many are opened.
        #[arg(long, default_value_t = 5000)]
        connections: u32,
    },
    /// One shape of load on a memcached server that runs already, for a profiler beside it.
    Load {
        /// Where it listens.
        #[arg(long)]
        address: SocketAddr,
        /// The shape of load.
        #[arg(long, value_parser = Shape::named)]
        shape: Shape,
        /// How long.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Cores of the load generator.
        #[arg(long, default_value = "1")]
        client_cpus: Cpus,
    },
    /// The bare loop that answers a shape's commands by constants (started by `memcached`).
    #[command(hide = true)]
    Floor {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, value_parser = Shape::named)]
        shape: Shape,
    },
    /// The origin of pages, and their bare loop (started by `pages`).
    #[command(hide = true)]
    Origin {
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// Which core does what.
#[derive(Args, Clone)]
pub(crate) struct Cores {
    /// Cores of the server that is measured, as in `0,2-3`.
    #[arg(long, default_value = "0")]
    server_cpus: Cpus,
    /// Cores of the load generator.
    #[arg(long, default_value = "1")]
    client_cpus: Cpus,
    /// Threads of every server; as many as it has cores.
    #[arg(long)]
    server_threads: Option<usize>,
}

impl Cores {
    /// How many threads every server is told to use.
    fn threads(&self) -> usize {
        self.server_threads.unwrap_or(self.server_cpus.count())
    }
}

/// How much is measured, and where.
#[derive(Args, Clone)]
pub(crate) struct Plan {
    /// How often every server takes its turn; medians are of these.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long each turn is measured.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    #[command(flatten)]
    cores: Cores,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Memcached { plan, shape } => memcached::measure(&plan, shape),
        Command::Pages { plan, shape } => pages::measure(&plan, shape),
        Command::Invalidation { plan } => invalidation::measure(&plan),
        Command::Plugins { plan } => plugins::measure(&plan),
        Command::Deadlines { plan } => plugins::deadlines::measure(&plan),
        Command::Tier { plan, rows, postgres } => tier::measure(&plan, rows, postgres),
        Command::Idle { cores, connections } => idle::measure(&cores, connections),
        Command::Load { address, shape, seconds, client_cpus } => {
            memcached::load_only(address, shape, seconds, &client_cpus)
        }
        Command::Floor { listen, shape } => memcached::floor::serve(listen, shape),
        Command::Origin { listen } => pages::origin::serve(listen),
    }
}
