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

use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, Semaphore};

use super::auth::Users;
use super::connection;
use super::flush::PendingFlush;
use super::item_policy::ItemPolicy;
use super::metrics::{Count, Metrics};
use crate::cache::Cache;
use crate::net::{Accept, Listener, Stream, Tls, TlsError, accept_forever};
use crate::tasks::Tasks;

const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";

/// Whether clients may `flush_all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushAll {
    /// They may.
    #[default]
    Allowed,
    /// They may not (`--no-flush`, memcached's `-F`).
    Forbidden,
}

/// Whether clients may `shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shutdown {
    /// They may (`--allow-shutdown`, memcached's `-A`).
    Allowed,
    /// They may not.
    #[default]
    Forbidden,
}

/// The operator's choices for the front door.
#[derive(Clone)]
pub struct Settings {
    /// Connections that may be open at once, over all listeners of one [`Door`].
    pub connections_max: usize,
    /// A connection that sends nothing for as long (up to a quarter longer) is closed.
    pub idle_timeout: Option<Duration>,
    /// Whether clients may `flush_all`.
    pub flush_all: FlushAll,
    /// Whether clients may `shutdown`.
    pub shutdown: Shutdown,
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
        let shared = Shared {
            has_tier: cache.tier_status().is_some(),
            started_ms: cache.clock().now_ms(),
            permits: Arc::new(Semaphore::new(permits)),
            metrics: Metrics::new(),
            pending_flush: Arc::default(),
            shutdown: Notify::new(),
            cache,
            tasks,
            settings,
        };
        Self { shared: Arc::new(shared) }
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
    accept_forever(listener, tasks, permits, move |accept| admit(door.clone(), accept)).await;
}

async fn admit(door: Door, accept: Accept) {
    match accept {
        Accept::Serve(mut stream, permit) => {
            connection::run(&mut stream, door).await;
            stream.close().await;
            drop(permit);
        }
        Accept::Refuse(stream) => refuse(stream, door).await,
    }
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
