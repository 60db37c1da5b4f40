//! SQLite: disks that are full, broken, read-only, slow or silent, and files that are locked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use parking_lot::Mutex;
use serde_json::json;
use wasmcached_tests::disk::{Disk, Fault};
use wasmcached_tests::wait::{eventually, monotonic_ns};
use wasmcached_tests::{Server, http, settings};

use super::{Course, Failing, acceptance, outage};

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

/// Another process that holds the write lock on the file, as a maintenance job might.
struct LockHolder(Child);

impl LockHolder {
    fn of(file: &Path) -> Self {
        let script = "import sqlite3, sys\n\
                      held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n\
                      held.execute('BEGIN IMMEDIATE')\n\
                      print('locked', flush=True)\n\
                      sys.stdin.read()\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
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
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let began = monotonic_ns();
            let answer = http::post_json(&server.api("/v1/invalidate"), &body);
            (answer.status, monotonic_ns() - began)
        });
        let mut hits = 0;
        while !slow.is_finished() {
            assert_eq!(connection.get("kept").as_deref(), Some(&b"value"[..]));
            hits += 1;
        }
        let (status, taken_ns) = slow.join().unwrap();
        assert_eq!(status, 200);
        assert!(taken_ns >= 2_000_000_000, "acknowledged after {taken_ns} ns");
        assert!(hits > 100, "{hits} hits meanwhile");
    });
    let tier = || http::get(&server.api("/ready")).json()["parts"]["tier"].clone();
    assert_eq!(tier()["status"], "degraded");
    assert!(tier()["why"].to_string().contains("slow: a write takes"), "{}", tier());
    disk.works();
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    assert_eq!(tier()["status"], "ok");
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
