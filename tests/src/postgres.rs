//! PostgreSQL, Debian's package: one server for all tests of a process, or one of a test's own; a
//! database for each test.
//!
//! # Invariants
//! - It runs as a user without privileges, in a temporary folder, and listens on a socket there.
//! - However the test process ends, also with all its group, a guard that reads from it notices,
//!   stops the server, and removes the folder.

use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, geteuid, kill_process};

/// The superuser's password, for looking whether it is shown anywhere.
pub const PASSWORD: &str = "hunter2-of-postgres";

/// Users as whom it may run where the tests run as root, which it refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// No commit is written through to the disk, which may take seconds on a busy machine: more than a
/// server waits. A killed PostgreSQL loses nothing so; a power cut might, and none is tested.
const QUICK: &str = "-c fsync=off -c full_page_writes=off";

/// Waits until nobody is there any more who could need the server.
const GUARD: &str = "cat >/dev/null; kill -CONT \"$(head -n1 \"$2/data/postmaster.pid\")\"; \
                     \"$1\" -D \"$2/data\" -m immediate -w stop; rm -rf \"$2\"";

/// The tables as a replica has them that lags from now on.
const COPY: &str = "CREATE SCHEMA copy; DO $$ DECLARE t text; BEGIN \
     FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP \
     EXECUTE format('CREATE TABLE copy.%1$I AS TABLE public.%1$I', t); END LOOP; END $$";

/// That replica takes over. What counts rows must not count these.
const TAKE_OVER: &str = "DO $$ DECLARE t text; BEGIN \
     SET LOCAL session_replication_role = 'replica'; \
     FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'copy' LOOP \
     EXECUTE format('DELETE FROM public.%1$I', t); \
     EXECUTE format('INSERT INTO public.%1$I OVERRIDING SYSTEM VALUE TABLE copy.%1$I', t); \
     END LOOP; END $$";

/// A running server.
pub struct Postgres {
    dir: PathBuf,
    /// User and group as whom it runs, where that is another than the tests'.
    user: Option<(u32, u32)>,
    guard: Child,
    /// Closed when this is dropped or the process ends.
    alive: Option<ChildStdin>,
    databases: AtomicUsize,
    /// Addresses of databases that were lent and are to be lent again.
    given_back: Mutex<Vec<String>>,
}

/// The folder with the newest server's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.filter_map(|version| {
        let number = version.file_name().to_str()?.parse::<u32>().ok()?;
        Some((number, version.path().join("bin")))
    });
    let newest = versions.filter(|(_, bin)| bin.join("initdb").is_file()).max();
    newest.expect("no initdb in /usr/lib/postgresql/*/bin; `tests/run` installs it").1
}

/// The unprivileged user to run as, where the tests run as root.
fn unprivileged() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("list of users");
    let ids = |name: &str| {
        let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let user = fields.find(|fields| fields.first() == Some(&name))?;
        Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
    };
    Some(USERS.into_iter().find_map(ids).expect("a user postgres or nobody"))
}

impl Postgres {
    /// The one that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of the test's own, to be stopped and started at will.
    pub fn start() -> Self {
        let user = unprivileged();
        let dir = tempfile::Builder::new().prefix("postgres-").tempdir().expect("a folder").keep();
        if let Some((user, group)) = user {
            chown(&dir, Some(user), Some(group)).expect("give the folder away");
        }
        let mut guard = as_user("sh", user)
            .args(["-c", GUARD, "guard"])
            .arg(programs().join("pg_ctl"))
            .arg(&dir)
            // What ends the tests with all their group, Ctrl-C or a time limit, must not end it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the guard");
        let alive = guard.stdin.take();
        let (databases, given_back) = (AtomicUsize::new(0), Mutex::default());
        let server = Self { dir, user, guard, alive, databases, given_back };
        let password = server.dir.join("password");
        let mut file = std::fs::File::create(&password).expect("file of the password");
        writeln!(file, "{PASSWORD}").expect("write the password");
        server.run(
            Command::new(programs().join("initdb"))
                .args(["-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=scram-sha-256"])
                .arg("--no-sync")
                .arg("-D")
                .arg(server.dir.join("data"))
                .arg("--pwfile")
                .arg(password),
        );
        server.launch();
        server
    }

    /// Starts it again after [`Postgres::crash`].
    pub fn launch(&self) {
        let socket = self.dir.display();
        self.control(&[
            "-w",
            "-o",
            &format!("-k {socket} -c listen_addresses= -c max_connections=300 {QUICK}"),
            "-l",
            &self.dir.join("log").display().to_string(),
            "start",
        ]);
    }

    /// Ends it as a crash would: nothing is written out, every session is lost.
    pub fn crash(&self) {
        self.control(&["-m", "immediate", "-w", "stop"]);
    }

    /// Stops all its processes where they stand: connections stay, and nothing answers.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// The reverse of [`Postgres::freeze`].
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) {
        let first = std::fs::read_to_string(self.dir.join("data/postmaster.pid"));
        let first = first.expect("it runs").lines().next().expect("a line").to_owned();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        let all = children.expect("list of its processes");
        for pid in std::iter::once(first.as_str()).chain(all.split_whitespace()) {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("number of a process");
            // One of a connection may have ended since.
            let _ = kill_process(pid, signal);
        }
    }

    fn control(&self, arguments: &[&str]) {
        let program = programs().join("pg_ctl");
        self.run(Command::new(program).arg("-D").arg(self.dir.join("data")).args(arguments));
    }

    fn run(&self, command: &mut Command) {
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        // Its log goes to a file, and not to a pipe that a server would keep open.
        let said = std::fs::File::create(self.dir.join("said")).expect("a file");
        let again = said.try_clone().expect("a file");
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(said).stderr(again);
        let status = command.status().expect("a program of PostgreSQL");
        let said = || std::fs::read_to_string(self.dir.join("said")).unwrap_or_default();
        assert!(status.success(), "{command:?}: {status}\n{}\n{}", said(), self.log());
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The address of a new, empty database.
    #[track_caller]
    pub fn new_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.ask("postgres", &format!("CREATE DATABASE {name}"));
        self.address(&name)
    }

    /// The address of a database.
    pub fn address(&self, name: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@/{name}?host={}", self.dir.display())
    }

    /// An empty database, to be given back: one that was, where there is one. Making and dropping
    /// one takes three times as long.
    #[track_caller]
    pub fn lend_database(&self) -> String {
        let Some(address) = self.given_back.lock().pop() else { return self.new_database() };
        let name = address.split(['/', '?']).nth(3).expect("name of the database");
        // A session of a server that was killed may not have noticed yet.
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.ask(name, &format!("{end}; DROP SCHEMA public CASCADE; CREATE SCHEMA public"));
        address
    }

    /// Takes back what was lent; whoever used it has ended.
    pub fn take_back(&self, address: String) {
        self.given_back.lock().push(address);
    }

    /// Keeps a copy of a database's tables in its schema `copy`, for [`Postgres::take_over`].
    #[track_caller]
    pub fn keep_copy(&self, database: &str) {
        self.ask(database, COPY);
    }

    /// Puts the copy in the place of the tables, as when a replica takes over that lagged.
    #[track_caller]
    pub fn take_over(&self, database: &str) {
        self.ask(database, TAKE_OVER);
    }

    /// What the database says to a statement: rows as lines, columns with `|` between.
    #[track_caller]
    pub fn ask(&self, database: &str, statement: &str) -> String {
        let Output { status, stdout, stderr } = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres"])
            .arg("-h")
            .arg(&self.dir)
            .args(["-d", database, "-c", statement])
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .output()
            .expect("run psql");
        let error = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{statement}: {error}\n{}", self.log());
        String::from_utf8(stdout).expect("text").trim_end().to_owned()
    }
}

fn as_user(program: impl AsRef<Path>, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program.as_ref());
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The guard does the rest.
        let _ = self.guard.wait();
    }
}
