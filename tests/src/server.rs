//! The server's process: started from a file, read, restarted, killed.
//!
//! # Invariants
//! - A dropped server is killed by its id and waited for; what the run lent it as a database is
//!   given back.
//! - A restart keeps the addresses, because pages' keys begin with them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait::{LIMIT, eventually, eventually_or_not};
use crate::{Database, Memcached, http};

/// What a start says whose database another server has.
pub const LOCKED: &str = "in use by another server";

/// The binary under test: `WASMCACHED_BIN`, or the one that was built beside the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WASMCACHED_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("path of the test");
    // target/release/deps/it-… → target/release/wasmcached
    let path = test.ancestors().nth(2).map(|folder| folder.join("wasmcached"));
    let path = path.filter(|path| path.is_file());
    path.unwrap_or_else(|| {
        panic!(
            "no binary `wasmcached` beside {}; build it in the same profile \
             (`cargo build --release`) or name it in WASMCACHED_BIN",
            test.display()
        )
    })
}

/// The binary with fail points: `WASMCACHED_FAILPOINTS_BIN`, or the one beside the ordinary one.
pub fn binary_with_fail_points() -> PathBuf {
    let path = std::env::var_os("WASMCACHED_FAILPOINTS_BIN").map(PathBuf::from);
    let path = path.unwrap_or_else(|| binary().with_file_name("wasmcached-failpoints"));
    assert!(
        path.is_file(),
        "no binary {}; build it with `--features wasmcached/failpoints` and copy it there, or name \
         it in WASMCACHED_FAILPOINTS_BIN",
        path.display()
    );
    path
}

/// Where the compiled code of plugins is kept: beside the tests, for all of them and the next run.
pub fn plugin_cache() -> PathBuf {
    binary().with_file_name("plugin-cache")
}

/// The binary, with the tests' own folder for compiled plugins.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    command.env("WASMCACHED_PLUGIN_CACHE", plugin_cache());
    command
}

/// A plugin for tests, which the build of the server has left beside it.
pub fn guest(file: &str) -> PathBuf {
    let test = std::env::current_exe().expect("path of the test");
    let build = test.ancestors().nth(2).expect("folder of the profile").join("build");
    let folders = std::fs::read_dir(&build).expect("folder of build scripts").map_while(Result::ok);
    let files = folders.map(|f| f.path().join("out/guests/wasm32-wasip2/release").join(file));
    let dated = files.filter_map(|path| {
        let built = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
        Some((built, path))
    });
    let newest = dated.max().unwrap_or_else(|| panic!("no {file} in {}", build.display()));
    newest.1
}

/// Runs the binary to its end and returns what it said.
pub fn run(arguments: &[&str]) -> Output {
    command().args(arguments).stdin(Stdio::null()).output().expect("run the binary")
}

/// Runs `serve --config` with this text, and further arguments, to its end.
pub fn serve_to_its_end(settings: &str, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("temporary folder");
    let config = write_config(dir.path(), settings);
    let path = config.to_str().expect("path is text");
    run(&[&["serve", "--config", path], arguments].concat())
}

fn write_config(dir: &Path, settings: &str) -> PathBuf {
    let config = dir.join("wasmcached.toml");
    let text = settings.replace("{dir}", dir.to_str().expect("path is text"));
    std::fs::write(&config, text).expect("write the configuration");
    config
}

/// A running server.
pub struct Server {
    child: Option<Child>,
    printed: Vec<String>,
    settings: String,
    /// A program that runs the binary, which follows with its arguments; may be empty.
    by: Vec<String>,
    /// For each line that it prints at its start.
    start_limit: Duration,
    /// Where the run puts one below every server, and this one's settings name none.
    database: Option<Database>,
    dir: TempDir,
}

impl Server {
    /// Writes the configuration, starts the server, and waits until it is ready.
    #[track_caller]
    pub fn start(settings: &str) -> Self {
        Self::start_by(&[], settings)
    }

    /// The same for a server that has more to do before it is ready.
    #[track_caller]
    pub fn start_within(start_limit: Duration, settings: &str) -> Self {
        let mut server = Self::prepare(settings);
        server.start_limit = start_limit;
        server.launch();
        server
    }

    /// The same by a program that is given the binary and its arguments, and becomes it.
    #[track_caller]
    pub fn start_by(program: &[&str], settings: &str) -> Self {
        let mut server = Self::prepare(settings);
        server.by = program.iter().map(|word| (*word).to_owned()).collect();
        server.launch();
        server
    }

    /// A folder for a server that [`Server::try_launch`] starts; and a database, where the run puts
    /// one below every server and these settings name none.
    pub fn prepare(settings: &str) -> Self {
        let names_none = !Database::is_named_in(settings);
        let database = Database::for_every_server().filter(|_| names_none).map(Database::lend);
        let below = database.as_ref().map(|database| database.below(settings));
        Self {
            child: None,
            printed: Vec::new(),
            settings: below.unwrap_or_else(|| settings.to_owned()),
            by: Vec::new(),
            start_limit: LIMIT,
            database,
            dir: tempfile::tempdir().expect("temporary folder"),
        }
    }

    #[track_caller]
    fn launch(&mut self) {
        if let Err(status) = self.launch_patiently(&binary(), &[]) {
            panic!("ended before it was ready, {status}:\n{}", self.log());
        }
    }

    /// As [`Server::try_launch`], and again while it is refused for what is soon over: somebody's
    /// connection has a port that was free, or the machine is too busy for the database to take a
    /// connection or to notice that an earlier server's is gone.
    #[track_caller]
    pub fn launch_patiently(
        &mut self,
        binary: &Path,
        environment: &[(&str, &str)],
    ) -> Result<(), ExitStatus> {
        let mut outcome = Ok(());
        eventually_or_not(|| {
            let said_before = self.log().len();
            outcome = self.try_launch(binary, environment);
            let is_passing = |log: &str| self.refusals_that_pass().any(|said| log.contains(said));
            outcome.is_ok() || !self.log().get(said_before..).is_some_and(is_passing)
        });
        outcome
    }

    fn refusals_that_pass(&self) -> impl Iterator<Item = &'static str> {
        let is_above_postgres = self.settings.contains("database = \"postgres:");
        let of_postgres =
            ["no connection in", LOCKED].into_iter().filter(move |_| is_above_postgres);
        of_postgres.chain(["Address already in use"])
    }

    /// Starts this binary with more in its environment, and returns when it is ready, or with its
    /// status where it has ended before.
    #[track_caller]
    pub fn try_launch(
        &mut self,
        binary: &Path,
        environment: &[(&str, &str)],
    ) -> Result<(), ExitStatus> {
        assert!(self.child.is_none(), "it is still running");
        let config = write_config(self.dir.path(), &self.settings);
        let log = File::options().create(true).append(true).open(self.log_path());
        let mut words = self.by.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let mut child = Command::new(words.next().expect("the binary"))
            .args(words)
            .args(["serve", "--config"])
            .arg(config)
            .env("WASMCACHED_PLUGIN_CACHE", plugin_cache())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("log file"))
            .spawn()
            .expect("start the server");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        self.child = Some(child);
        let (sender, lines) = mpsc::channel();
        // Reads to the end, so that the server never blocks on a full pipe.
        let reader = std::thread::Builder::new().name("stdout".into());
        let read = move || stdout.lines().map_while(Result::ok).for_each(|l| drop(sender.send(l)));
        reader.spawn(read).expect("start a thread");
        self.printed.clear();
        loop {
            match lines.recv_timeout(self.start_limit) {
                Ok(line) if line == "ready" => return Ok(()),
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("not ready in time:\n{}", self.log()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.wait_for_end()),
            }
        }
    }

    /// The lines that it printed before `ready`.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    /// Its folder: `{dir}` of the configuration.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// The TCP address of a front door: `memcached`, `api`, `pages`.
    #[track_caller]
    pub fn address(&self, door: &str) -> &str {
        let prefix = format!("{door} listening on ");
        let mut addresses = self.printed.iter().filter_map(|line| line.strip_prefix(&prefix));
        let address = addresses.find(|address| !address.starts_with('/'));
        address.unwrap_or_else(|| panic!("no `{prefix}…` in {:?}", self.printed))
    }

    /// The address of a page, which is its key too.
    #[track_caller]
    pub fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("pages"))
    }

    /// The address of a path of the API.
    #[track_caller]
    pub fn api(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("api"))
    }

    /// Where a key is found in the API.
    #[track_caller]
    pub fn cached(&self, key: &str) -> String {
        self.api(&format!("/v1/cache/{}", http::percent_encode(key)))
    }

    /// A connection to the memcached port.
    #[track_caller]
    pub fn memcached(&self) -> Memcached {
        Memcached::tcp(self.address("memcached"))
    }

    /// SIGHUP; returns at once.
    #[track_caller]
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(self.child()), Signal::HUP).expect("send a signal");
    }

    /// Resident bytes of the process.
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child().id());
        let status = std::fs::read_to_string(path).expect("status of the process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        1024 * kilobytes.and_then(|text| text.parse::<u64>().ok()).expect("resident memory")
    }

    /// What the kernel allows the process (proc_pid_limits(5)).
    #[track_caller]
    pub fn limits(&self) -> String {
        let path = format!("/proc/{}/limits", self.child().id());
        std::fs::read_to_string(path).expect("limits of the process")
    }

    /// The id of its process.
    #[track_caller]
    pub fn process_id(&self) -> u32 {
        self.child().id()
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("it has ended already")
    }

    /// SIGTERM; returns at once.
    #[track_caller]
    pub fn terminate(&self) {
        kill_process(Pid::from_child(self.child()), Signal::TERM).expect("send a signal");
    }

    /// SIGTERM; returns when it has drained. Panics unless it exits with code 0.
    #[track_caller]
    pub fn stop(&mut self) {
        let status = self.end(Signal::TERM);
        assert!(status.success(), "{status} after SIGTERM:\n{}", self.log());
    }

    /// SIGKILL; returns when it is gone.
    #[track_caller]
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Starts it again, after [`Server::stop`] or [`Server::kill`], at the same addresses.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.settings = self.with_bound_addresses();
        self.launch();
    }

    /// Has this in its settings in the place of that, from the next start on.
    #[track_caller]
    pub fn change_setting(&mut self, from: &str, to: &str) {
        assert!(self.settings.contains(from), "no `{from}` in the settings");
        self.settings = self.settings.replace(from, to);
    }

    /// An orderly stop and a start.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// The settings with the ports that port 0 turned into.
    fn with_bound_addresses(&self) -> String {
        let mut door = "";
        let lines = self.settings.lines().map(|line| {
            if let Some(section) = line.strip_prefix('[') {
                door = section.trim_end_matches(']');
            }
            match line.starts_with("listen = ") {
                true => format!("listen = \"{}\"\n", self.address(door)),
                false => format!("{line}\n"),
            }
        });
        lines.collect()
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(self.child()), signal).expect("send a signal");
        self.wait_for_end()
    }

    /// Returns when it has ended by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.ended();
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Its status, if it has ended by itself.
    #[track_caller]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("it has ended already");
        let status = child.try_wait().expect("ask for the server's status");
        if status.is_some() {
            self.child = None;
        }
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Gone already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(database) = self.database.take() {
            database.give_back();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}---", self.log());
        }
    }
}
