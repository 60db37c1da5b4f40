//! The harness: the database that a run puts below every server, and what it leaves behind when it
//! is ended.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};
use wasmcached_tests::database::Kind;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Postgres, Server, http, settings};

#[test]
fn servers_have_the_database_that_the_run_puts_below_them() {
    let mut server = Server::start(&settings::plain());
    let tier = &http::get(&server.api("/ready")).json()["parts"]["tier"]["status"];
    let kind = Database::for_every_server();
    assert_eq!(tier, kind.map_or("none", |_| "ok"));
    let has_file = server.dir().join("cache.db").exists();
    assert_eq!(has_file, kind == Some(Kind::Sqlite));
    assert_eq!(server.memcached().set("item", "value"), "STORED");
    server.restart();
    assert_eq!(server.memcached().get("item").is_some(), kind.is_some());
    drop(server);
    // The next one has it to itself.
    let next = Server::start(&settings::plain());
    assert_eq!(next.memcached().get("item"), None);
}

/// With it in its environment the test below is the process that gets killed.
const VICTIM: &str = "WASMCACHED_TESTS_VICTIM";
const NAME: &str = "harness::test_process_that_is_killed_with_its_group_leaves_no_postgres_behind";

/// What the victim prints before the folder of its server.
const FOLDER: &str = "folder of the server: ";

/// Has a server until its end is over, or nobody is there to bring that about.
fn wait_for_the_end() {
    let postgres = Postgres::start();
    let address = postgres.address("postgres");
    // Whatever stands before it on the line is the test runner's.
    let folder = address.split_once("?host=").unwrap().1;
    let line = format!("\n{FOLDER}{folder}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn test_process_that_is_killed_with_its_group_leaves_no_postgres_behind() {
    if std::env::var_os(VICTIM).is_some() {
        return wait_for_the_end();
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(VICTIM, "")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut folders = lines.filter_map(|line| line.strip_prefix(FOLDER).map(PathBuf::from));
    let folder = folders.next().expect("it has started a server");
    let first = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let server = Pid::from_raw(first.lines().next().unwrap().parse().unwrap()).unwrap();
    assert!(test_kill_process(server).is_ok(), "it runs");
    kill_process_group(Pid::from_child(&victim), Signal::KILL).unwrap();
    victim.wait().unwrap();
    eventually("the server ends", || test_kill_process(server).is_err());
    eventually("its folder goes", || !folder.exists());
}
