//! The front door as its clients see it, on real sockets and on split streams.

mod auth;
mod binary;
mod binary_freshness;
mod frames;
mod freshness;
mod fuzz;
mod intents;
mod leases;
mod limits;
mod operator;
mod split;
mod transcript;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Door, Settings, serve};
use crate::cache::{Cache, CacheConfig, Recovered, WhenFull};
use crate::clock::Clock;
use crate::config::Permission;
use crate::net::{Bound, Listener};
use crate::tasks::Tasks;

/// A moment in 2027, so that moments that tests send as past or future are.
const NOW_MS: u64 = 1_800_000_000_000;

/// For how long a reply may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings() -> Settings {
    Settings {
        connections_max: 64,
        idle_timeout: None,
        flush_all: Permission::Allowed,
        shutdown: Permission::Forbidden,
        watch: Permission::Allowed,
        dumps: Permission::Allowed,
        threads: 1,
        tls: None,
        items: None,
        users: None,
        version: "1.6.45".to_owned(),
    }
}

fn cache(when_full: WhenFull, memory_bytes: u64) -> Cache {
    let config = CacheConfig { memory_bytes, item_bytes_max: 1024 * 1024, when_full };
    Cache::new(config, Clock::manual(NOW_MS), None, Recovered::default())
}

/// A front door on a port of its own.
struct Server {
    door: Door,
    cache: Cache,
    tasks: Tasks,
    address: SocketAddr,
}

impl Server {
    async fn start(settings: Settings) -> Self {
        Self::over(cache(WhenFull::Evict, 64 * 1024 * 1024), settings).await
    }

    async fn over(cache: Cache, settings: Settings) -> Self {
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
        let Bound::Tcp(address) = listener.bound().clone() else { panic!("bound to a port") };
        let tasks = Tasks::default();
        let door = Door::new(cache.clone(), tasks.clone(), settings);
        tasks.spawn(serve(listener, door.clone()));
        Self { door, cache, tasks, address }
    }

    async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap() }
    }

    async fn stop(self) {
        assert_eq!(self.tasks.stop(PATIENCE).await, 0, "all connections end");
    }
}

struct Client {
    stream: TcpStream,
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads until the reply ends so, or the connection is closed.
    async fn reply_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut reply = Vec::new();
        let read = async {
            while !reply.ends_with(end) {
                // A server that has closed may also reset what is still on its way.
                if self.stream.read_buf(&mut reply).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        let is_in_time = tokio::time::timeout(PATIENCE, read).await.is_ok();
        assert!(is_in_time, "waited for {:?}, got {:?}", text(end), text(&reply));
        reply
    }

    /// Sends a line and expects a one-line reply.
    async fn ask(&mut self, line: &str, expected: &str) {
        self.send(line.as_bytes()).await;
        self.send(b"\r\n").await;
        let reply = self.reply_until(b"\n").await;
        assert_eq!(text(&reply), format!("{expected}\r\n"), "to {line:?}");
    }

    async fn is_closed(&mut self) -> bool {
        self.reply_until(b"no reply ends so").await.is_empty()
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\r\n")
}
