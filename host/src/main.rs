//! The `wasmcached` command: arguments, logging, runtime, exit codes.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::error::ErrorKind;
use wasmcached::app::{self, App};
use wasmcached::cli::{
    self, Cli, Command, DemoArgs, EXIT_USAGE, MigrateArgs, ServeArgs, ServeError,
};
use wasmcached::demo::{self, DemoMode, DemoOptions};
use wasmcached::telemetry::{self, FilterError};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_help =
                matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(if is_help { 0 } else { EXIT_USAGE });
        }
    };
    match telemetry::log_to_stderr().map_err(Into::into).and_then(|()| obey(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("wasmcached: {}\n", cli::told(error.as_ref())),
            );
            let is_usage = error.is::<ServeError>() || error.is::<FilterError>();
            ExitCode::from(if is_usage { EXIT_USAGE } else { 1 })
        }
    }
}

fn obey(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve(*args),
        Command::Migrate(args) => migrate(args),
        Command::Demo(args) => run_demo(args),
        Command::Plugin(command) => run(command.run()),
        Command::Tier(command) => run(command.run()),
        Command::Import(command) => run(command.run()),
        Command::Client(command) => run(command.run()),
    }
}

fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let is_check = args.check;
    let parts = app::check(args.load()?).map_err(ServeError::from)?;
    if is_check {
        return match parts.database() {
            Some(address) => print(&run(app::tell_schema(address))?),
            None => Ok(()),
        };
    }
    #[cfg(feature = "failpoints")]
    for name in wasmcached::fail_points::arm().map_err(anyhow::Error::msg)? {
        std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("fail point {name}\n"))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(parts.threads())
        .enable_all()
        .build()
        .context("runtime")?;
    Ok(runtime.block_on(App::run(parts))?)
}

fn run_demo(args: DemoArgs) -> anyhow::Result<()> {
    let mode = if args.tour { DemoMode::Tour } else { DemoMode::Stay };
    run(demo::run(DemoOptions { mode, dir: args.dir }))
}

fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let is_check = args.check;
    let address = app::database_of(args.load()?).map_err(ServeError::from)?;
    let told = match is_check {
        true => run(app::tell_schema(&address)),
        false => run(app::migrate(&address)),
    };
    print(&told?)
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{text}\n"))?)
}

/// Runs a command to its end, and returns what it has to tell.
fn run<T, E: std::error::Error + Send + Sync + 'static>(
    command: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("runtime")?;
    Ok(runtime.block_on(command)?)
}
