//! SQLite: disks that are full, broken, read-only, slow or silent, and files that are locked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use parking_lot::Mutex;
use serde_json::json;
use wasmcached_tests::disk::{self, Disk, Fault};
use wasmcached_tests::wait::{eventually, monotonic_ns};
use wasmcached_tests::{Server, http, settings};

use super::{Course, Failing, acceptance, large_value_is_left_out, outage};

fn disk(course: Course, fault: Fault, reasons: &[&str]) {
    let disk = Disk::new();
    let start = |settings: &str| disk.start(&settings::with_tier(settings));
    course(&start, &|| disk.fails(fault), &|| disk.works(), reasons);
}

#[test]
fn full_disk_degrades_the_tier_and_nothing_else() {
    disk(outage, Fault::Full, &["full"]);
}

#[test]
fn disk_that_went_read_only_degrades_the_tier_and_nothing_else() {
    disk(outage, Fault::ReadOnly, &["disk I/O error"]);
}

#[test]
fn broken_disk_degrades_the_tier_and_nothing_else() {
    disk(outage, Fault::Broken, &["disk I/O error"]);
}

#[test]
fn silent_disk_degrades_the_tier_and_nothing_else() {
    disk(outage, Fault::Silent, &["no answer in", "locked"]);
}

#[test]
fn large_value_that_the_disk_takes_no_more_is_not_tried_again() {
    let disk = Disk::new();
    let mut server = disk.start(&settings::with_tier(&settings::plain()));
    let (fail, heal) = (|| disk.fails(Fault::Silent), || disk.works());
    large_value_is_left_out(&mut server, &fail, &heal);
}

#[test]
fn changes_are_accepted_while_the_disk_is_full_and_written_later() {
    disk(acceptance, Fault::Full, &["full"]);
}

/// A file system of its own and small, as far as this process may mount one.
struct SmallDisk {
    server: Mutex<Option<u32>>,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// As the server sees it, which alone has it mounted.
    fn seen(&self, name: &str) -> PathBuf {
        let process = self.server.lock().expect("it has been started");
        let folder = self.folder.path().strip_prefix("/").unwrap();
        Path::new("/proc").join(process.to_string()).join("root").join(folder).join(name)
    }

    fn start(&self, settings: &str) -> Server {
        let folder = self.folder.path().to_str().unwrap();
        let script = format!("mount -t tmpfs -o size=4m tmpfs {folder} && exec \"$@\"");
        let by = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        let settings = format!("database = \"sqlite://{folder}/cache.db\"\n{settings}");
        let server = Server::start_by(&by, &settings);
        *self.server.lock() = Some(server.process_id());
        server
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(self.seen("filler")).unwrap();
        while filler.write_all(&[b'x'; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.seen("filler")).unwrap();
    }
}

fn may_mount() -> bool {
    let script = "mount -t tmpfs -o size=1m tmpfs /mnt";
    let tried = Command::new("unshare").args(["--mount", "sh", "-c", script]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

#[test]
fn file_system_without_room_degrades_the_tier_and_nothing_else() {
    if !may_mount() {
        // The kernel's error is the same when `disk.c` gives it.
        return full_disk_degrades_the_tier_and_nothing_else();
    }
    let disk = SmallDisk { server: Mutex::default(), folder: tempfile::tempdir().unwrap() };
    let (fail, heal) = (|| disk.fill(), || disk.empty());
    let server = Failing::new(|settings| disk.start(settings), &fail, &heal);
    // A kill takes the mount along: what follows one is for disks that stay.
    server.fail(503, &["full", "disk I/O error"]);
    server.serves_from_memory();
    server.refuses_what_cant_be_durable();
    server.heal();
    server.shows_nothing_old();
    assert_eq!(server.post_invalidation(&json!({"tags": ["users"]})), 200);
}

/// Another process that is within a transaction on the file, as a maintenance job might be.
struct LockHolder(Child);

impl LockHolder {
    /// That keeps others from writing.
    fn of(file: &Path) -> Self {
        Self::after(file, &["BEGIN IMMEDIATE"])
    }

    /// That reads what there is now.
    fn reading(file: &Path) -> Self {
        Self::after(file, &["BEGIN", "SELECT count(*) FROM journal"])
    }

    fn after(file: &Path, statements: &[&str]) -> Self {
        let script = "import sqlite3, sys\n\
                      held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n\
                      for statement in sys.argv[2:]: held.execute(statement).fetchall()\n\
                      print('locked', flush=True)\n\
                      sys.stdin.read()\n";
        let mut command = Command::new("python3");
        command
            .args(["-c", script])
            .arg(file)
            .args(statements)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("run python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        Self(child)
    }
}

impl Drop for LockHolder {
    /// Dead processes hold no locks.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn lock_of_another_process_degrades_the_tier_and_nothing_else() {
    let holder = Mutex::new(None);
    let file = Mutex::new(PathBuf::new());
    let start = |settings: &str| {
        let server = Server::start(&settings::with_tier(settings));
        *file.lock() = server.dir().join("cache.db");
        server
    };
    let fail = || *holder.lock() = Some(LockHolder::of(&file.lock()));
    outage(&start, &fail, &|| drop(holder.lock().take()), &["locked"]);
}

#[test]
fn slow_disk_delays_what_has_to_be_durable_and_nothing_else() {
    let disk = Disk::new();
    let server = disk.start(&settings::with_tier(&settings::plain()));
    let mut connection = server.memcached();
    assert_eq!(connection.set("kept", "value"), "STORED");
    disk.fails(Fault::Slow);
    let body = json!({"tags": ["users"]});
    let tier = || http::get(&server.api("/ready")).json()["parts"]["tier"].clone();
    let slow_change = || {
        let began = monotonic_ns();
        let answer = http::post_json(&server.api("/v1/invalidate"), &body);
        let taken_ns = monotonic_ns() - began;
        let is_slow = taken_ns >= disk::SLOW_MS * 1_000_000;
        assert!(answer.status != 200 || is_slow, "acknowledged after {taken_ns} ns");
        answer.status
    };
    // Once more where the machine has held up what took part: a write that takes too long is
    // refused, and who asks for hits may not have had its turn.
    eventually("a slow change is acknowledged amid hits", || {
        let (status, hits) = std::thread::scope(|scope| {
            let slow = scope.spawn(slow_change);
            let mut hits = 0;
            while !slow.is_finished() {
                assert_eq!(connection.get("kept").as_deref(), Some(&b"value"[..]));
                hits += 1;
            }
            (slow.join().unwrap(), hits)
        });
        let tier = tier();
        let is_told = tier["why"].to_string().contains("slow: a write takes");
        status == 200 && hits > 100 && tier["status"] == "degraded" && is_told
    });
    disk.works();
    eventually("it is fast again", || {
        let status = http::post_json(&server.api("/v1/invalidate"), &body).status;
        status == 200 && tier()["status"] == "ok"
    });
}

#[test]
fn server_killed_while_its_disk_was_silent_starts_with_nothing_old() {
    let disk = Disk::new();
    let mut server = disk.start(&settings::with_tier(&settings::plain()));
    assert_eq!(server.memcached().ask("ms item 3 Lusers\r\nold"), "HD");
    assert_eq!(server.memcached().set("other", "old"), "STORED");
    let body = json!({"tags": ["users"]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    disk.fails(Fault::Silent);
    let mut waiting = server.memcached();
    waiting.send(b"set other 0 0 3\r\nnew\r\n");
    eventually("it is in memory", || {
        server.memcached().get("other").as_deref() == Some(&b"new"[..])
    });
    server.kill();
    disk.works();
    server.start_again();
    assert_eq!(server.memcached().get("item"), None);
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
}

#[test]
fn interval_durability_syncs_also_while_somebody_reads_the_file() {
    let disk = Disk::new();
    let interval = "\n[tier]\ndurability = \"interval\"\n";
    let settings = format!("{}{interval}", settings::with_tier(&settings::plain()));
    let server = disk.start(&settings);
    let tier = || http::get(&server.api("/ready")).json()["parts"]["tier"].clone();
    let body = json!({"tags": ["users"]});
    let invalidate = || http::post_json(&server.api("/v1/invalidate"), &body).status;
    assert_eq!(invalidate(), 200);
    let reader = LockHolder::reading(&server.dir().join("cache.db"));
    assert_eq!(invalidate(), 200);
    // Writes go on; only who flushes the log notices.
    disk.fails(Fault::Unsynced);
    eventually("the log is flushed", || {
        invalidate();
        tier()["why"].to_string().contains("error")
    });
    // Until flushing works.
    assert_eq!(invalidate(), 503);
    assert_eq!(tier()["status"], "degraded");
    disk.works();
    eventually("it is no longer degraded", || tier()["status"] == "ok");
    assert_eq!(invalidate(), 200);
    drop(reader);
}

/// What is acknowledged after `change` has been done to the file under the server is none of it
/// lost, and nothing is read of what is there instead.
fn file_is_lost(change: impl Fn(&Server)) {
    let server = Server::start(&settings::with_tier(&settings::plain()));
    let mut connection = server.memcached();
    assert_eq!(connection.set("kept", "value"), "STORED");
    for item in 0..20 {
        assert_eq!(connection.set(&format!("deleted-{item}"), "old"), "STORED");
    }
    let copy = server.dir().join("copy.db");
    let address = format!("sqlite://{}", server.dir().join("cache.db").display());
    let arguments = ["tier", "backup", copy.to_str().unwrap(), "--database", &address];
    assert!(wasmcached_tests::server::run(&arguments).status.success());
    for item in 0..20 {
        assert_eq!(connection.ask(&format!("delete deleted-{item}")), "DELETED");
    }
    change(&server);
    let body = json!({"tags": ["users"]});
    let refused = http::post_json(&server.api("/v1/invalidate"), &body);
    assert_eq!(refused.status, 503, "{}", refused.text());
    let tier = || http::get(&server.api("/ready")).json()["parts"]["tier"].clone();
    assert_eq!(tier()["status"], "degraded");
    assert!(tier()["why"].to_string().contains("has been replaced or removed"), "{}", tier());
    // Several at once, so that the connections that look up are opened now.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = server.memcached();
                for item in 0..20 {
                    assert_eq!(connection.get(&format!("deleted-{item}")), None);
                }
            });
        }
    });
    assert_eq!(connection.get("kept").as_deref(), Some(&b"value"[..]));
    let refused = connection.set("late", "value");
    assert!(refused.starts_with("SERVER_ERROR database tier"), "{refused}");
}

#[test]
fn file_that_was_removed_under_the_server_takes_nothing_that_is_acknowledged() {
    file_is_lost(|server| std::fs::remove_file(server.dir().join("cache.db")).unwrap());
}

#[test]
fn file_that_was_replaced_under_the_server_is_neither_written_nor_read() {
    file_is_lost(|server| {
        let (copy, file) = (server.dir().join("copy.db"), server.dir().join("cache.db"));
        std::fs::rename(copy, file).unwrap();
    });
}

#[test]
fn log_that_was_removed_under_the_server_takes_nothing_that_is_acknowledged() {
    file_is_lost(|server| std::fs::remove_file(server.dir().join("cache.db-wal")).unwrap());
}

#[test]
fn file_that_was_removed_under_an_idle_server_is_noticed() {
    let server = Server::start(&settings::with_tier(&settings::plain()));
    std::fs::remove_file(server.dir().join("cache.db")).unwrap();
    let tier = || http::get(&server.api("/ready")).json()["parts"]["tier"].clone();
    eventually("it says that it is degraded", || tier()["status"] == "degraded");
    assert!(tier()["why"].to_string().contains("has been replaced or removed"), "{}", tier());
}

/// Copies a database as it is now.
fn back_up(file: &Path, copy: &Path) {
    let script = "import sqlite3, sys\n\
                  sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', (sys.argv[2],))\n";
    let copied = Command::new("python3").args(["-c", script]).arg(file).arg(copy).status();
    assert!(copied.expect("run python3").success());
}

#[test]
fn file_that_takes_the_place_of_the_servers_is_neither_read_nor_written() {
    const KEYS: usize = 160;
    const CLIENTS: usize = 8;
    let mut server = Server::start(&settings::with_tier(&settings::plain()));
    let (file, copy) = (server.dir().join("cache.db"), server.dir().join("copy.db"));
    let mut memcached = server.memcached();
    for key in 0..KEYS {
        assert_eq!(memcached.set(&format!("k{key}"), "before"), "STORED");
    }
    back_up(&file, &copy);
    for key in 0..KEYS {
        assert_eq!(memcached.ask(&format!("delete k{key}")), "DELETED");
    }
    std::fs::rename(&copy, &file).unwrap();
    // More at once than there are connections: some open the file anew.
    std::thread::scope(|scope| {
        for first in 0..CLIENTS {
            let mut memcached = server.memcached();
            scope.spawn(move || {
                for key in (first..KEYS).step_by(CLIENTS) {
                    assert_eq!(memcached.get(&format!("k{key}")), None, "k{key}");
                }
            });
        }
    });
    let tier = |server: &Server| http::get(&server.api("/ready")).json()["parts"]["tier"].clone();
    eventually("it says so", || tier(&server)["why"].to_string().contains("has been replaced"));
    let body = json!({"tags": ["users"]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 503);
    server.stop();
    // They belong to the file that was there before.
    for beside in ["cache.db-wal", "cache.db-shm"] {
        let _ = std::fs::remove_file(server.dir().join(beside));
    }
    server.start_again();
    assert_eq!(tier(&server)["status"], "ok");
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
}

#[test]
fn pending_flush_is_not_forgotten_for_one_that_is_refused() {
    let disk = Disk::new();
    let server = disk.start(&settings::with_tier(&settings::plain()));
    let mut connection = server.memcached();
    assert_eq!(connection.set("item", "value"), "STORED");
    assert_eq!(connection.ask("flush_all 3"), "OK");
    disk.fails(Fault::Broken);
    let refused = connection.ask("flush_all 3600");
    assert!(refused.starts_with("SERVER_ERROR"), "{refused}");
    eventually("its moment comes", || connection.get("item").is_none());
}
