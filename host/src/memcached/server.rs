//! Accepting memcached clients: settings, the shared handle, and the accept loop.
//!
//! # Invariants
//! - All listeners of a door share its connection limit, its counters and its pending flush.
//! - A client over the limit is told so in memcached's words and closed.
//!
//! # Not here
//! Binding, and what is done when a client asks for `shutdown`: the application's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, Semaphore};

use super::auth::Users;
use super::connection;
use super::connections::{Connections, Ends};
use super::flush::{self, PendingFlush};
use super::metrics::{Count, Metrics};
use super::ops::MemoryCounts;
use super::prefixes::Prefixes;
use super::watchers::{Topics, Watchers, eviction};
use crate::cache::{Cache, ItemPolicy};
use crate::config::Permission;
use crate::net::{Accept, Bound, Listener, Stream, Tls, TlsError, accept_forever};
use crate::tasks::Tasks;

const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";

/// The operator's choices for the front door.
#[derive(Clone)]
pub struct Settings {
    /// Connections that may be open at once, over all listeners of one [`Door`].
    pub connections_max: usize,
    /// A connection that sends nothing for as long (up to a quarter longer) is closed.
    pub idle_timeout: Option<Duration>,
    /// Whether clients may `flush_all` (`--no-flush`, memcached's `-F`).
    pub flush_all: Permission,
    /// Whether clients may `shutdown` (`--allow-shutdown`, memcached's `-A`).
    pub shutdown: Permission,
    /// Whether clients may `watch` (memcached's `-W`).
    pub watch: Permission,
    /// Whether clients may list what is stored: `stats cachedump`, `stats detail`, and the dumps of
    /// `lru_crawler` (memcached's `-X`).
    pub dumps: Permission,
    /// Worker threads, as `stats` shows them.
    pub threads: usize,
    /// What the TLS listeners of the door present, where there are any.
    pub tls: Option<Tls>,
    /// Decides tags and times of items, where a plugin does.
    pub items: Option<Arc<dyn ItemPolicy>>,
    /// Who may use the door; without users, everybody who can connect.
    pub users: Option<Users>,
    /// What `version` answers; clients compare it with memcached's.
    pub version: String,
}

/// Why certificates were not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There are none.
    #[error("no listener has tls")]
    NoTls,
    /// They can't be used.
    #[error(transparent)]
    Files(#[from] TlsError),
}

/// The front door: what all its listeners and connections share. Clones are the same door.
#[derive(Clone)]
pub struct Door {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Cache,
    has_tier: bool,
    tasks: Tasks,
    settings: Settings,
    metrics: Metrics,
    memory_base: Mutex<MemoryCounts>,
    connections: Arc<Connections>,
    watchers: Arc<Watchers>,
    prefixes: Prefixes,
    permits: Arc<Semaphore>,
    pending_flush: Arc<PendingFlush>,
    shutdown: Notify,
    started_ms: u64,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

impl Door {
    /// A door to `cache` whose connections are tasks of `tasks`.
    pub fn new(cache: Cache, tasks: Tasks, settings: Settings) -> Self {
        let permits = settings.connections_max.min(Semaphore::MAX_PERMITS);
        let watchers = Arc::<Watchers>::default();
        watch_evictions(&cache, Arc::clone(&watchers));
        let shared = Shared {
            has_tier: cache.tier_status().is_some(),
            started_ms: cache.clock().now_ms(),
            permits: Arc::new(Semaphore::new(permits)),
            metrics: Metrics::new(),
            memory_base: Mutex::default(),
            connections: Arc::default(),
            watchers,
            prefixes: Prefixes::default(),
            pending_flush: Arc::default(),
            shutdown: Notify::new(),
            cache,
            tasks,
            settings,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes over a `flush_all` with a delay that an earlier server has acknowledged, due at this
    /// moment, milliseconds since 1970. Everything is invalid when this returns if that has passed.
    pub async fn resume_flush(&self, due_ms: u64) {
        flush::resume(self, due_ms).await;
    }

    /// Ends when a client has asked for `shutdown`; for one waiter.
    pub async fn shutdown_requested(&self) {
        self.shared.shutdown.notified().await;
    }

    /// Reads the certificate and the key of the TLS listeners again, for new connections
    /// (`refresh_certs`, protocol.txt "Refreshing certificates"). Blocking.
    ///
    /// # Errors
    /// What is wrong with the files; what was in use stays in use.
    pub fn refresh_certificates(&self) -> Result<(), RefreshError> {
        let tls = self.shared.settings.tls.as_ref().ok_or(RefreshError::NoTls)?;
        Ok(tls.reload()?)
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.shared.cache
    }

    /// Whether a key that memory lacks may be in the tier.
    pub(super) fn has_tier(&self) -> bool {
        self.shared.has_tier
    }

    /// The memory's counts when `stats` was last reset.
    pub(super) fn memory_base(&self) -> &Mutex<MemoryCounts> {
        &self.shared.memory_base
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.shared.connections
    }

    pub(super) fn watchers(&self) -> &Arc<Watchers> {
        &self.shared.watchers
    }

    pub(super) fn prefixes(&self) -> &Prefixes {
        &self.shared.prefixes
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }

    pub(super) fn pending_flush(&self) -> &Arc<PendingFlush> {
        &self.shared.pending_flush
    }

    pub(super) fn request_shutdown(&self) {
        self.shared.shutdown.notify_one();
    }

    /// Since the door was made.
    pub(super) fn uptime_ms(&self) -> u64 {
        let now_ms = self.cache().clock().now_ms();
        now_ms.saturating_sub(self.shared.started_ms)
    }
}

/// Serves a listener until the door's tasks are told to stop.
pub async fn serve(listener: Listener, door: Door) {
    let (tasks, permits) = (door.tasks().clone(), Arc::clone(&door.shared.permits));
    let bound = Arc::new(listener.bound().clone());
    let now_ms = door.cache().clock().now_ms();
    let _seat = door.connections().listen(Arc::clone(&bound), now_ms);
    let admit = move |accept| admit(door.clone(), Arc::clone(&bound), accept);
    accept_forever(listener, tasks, permits, admit).await;
}

async fn admit(door: Door, listener: Arc<Bound>, accept: Accept) {
    match accept {
        Accept::Serve(mut stream, permit) => {
            let ends = Ends { peer: stream.peer(), listener: Some(listener) };
            connection::run(&mut stream, door, ends).await;
            stream.close().await;
            drop(permit);
        }
        Accept::Refuse(stream) => refuse(stream, door).await,
    }
}

/// Has evictions told to those who watch them.
fn watch_evictions(cache: &Cache, watchers: Arc<Watchers>) {
    let clock = cache.clock().clone();
    cache.observe_evictions(Box::new(move |entry| {
        if watchers.is_watched(Topics::EVICTIONS) {
            let now_ms = clock.now_ms();
            watchers.tell(Topics::EVICTIONS, now_ms, |line| eviction(line, entry, now_ms));
        }
    }));
}

async fn refuse(stream: Option<Stream>, door: Door) {
    door.metrics().inc(Count::RejectedConnections);
    let Some(mut stream) = stream else { return };
    // A client that is gone already needs no word.
    let told = async {
        stream.write_all(TOO_MANY).await?;
        stream.flush().await
    };
    let _ = told.await;
    stream.close().await;
}
