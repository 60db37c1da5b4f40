//! The application's side of the invalidation: one signed webhook per save (Standard Webhooks 1.0).
//!
//! # Invariants
//! - What is sent is what is signed: the body is made once.
//! - The wait for the acknowledgement is bounded, and its outcome is always told to the visitor.
//!
//! # Not here
//! Retries over days: an application that must not lose an event keeps an outbox in its database.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::SiteError;
use super::rows::{Photo, Saved};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::events::signature::{self, SecretError};

/// The visitor waits for the cache so long, and no longer.
const ACKNOWLEDGED_MS_MAX: u64 = 30_000;

/// The source that the cache's configuration gives this application.
pub(crate) const SOURCE: &str = "trekking";

/// The key that both sides know, as `whsec_` and base64.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// 32 random bytes.
    pub(crate) fn random() -> Result<Self, SiteError> {
        let mut key = [0; 32];
        let mut random = File::open("/dev/urandom").map_err(SiteError::Random)?;
        random.read_exact(&mut key).map_err(SiteError::Random)?;
        Ok(Self(format!("whsec_{}", STANDARD.encode(key))))
    }

    /// As it is written into the cache's configuration.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why the cache did not acknowledge.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotifyError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("request is malformed")]
    Request(#[from] http::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cache answered {0}")]
    Refused(http::StatusCode),
    #[error("no acknowledgement within {ACKNOWLEDGED_MS_MAX} ms")]
    Late,
}

/// One change, as the cache's plugin will see it.
#[derive(Debug)]
pub(super) struct Change {
    model: &'static str,
    operation: &'static str,
    pk: i64,
    changed: Vec<&'static str>,
    before: Value,
    after: Value,
    at: String,
}

impl Change {
    /// A photo was saved. Both treks are named, so that a move refreshes the one that it left.
    pub(super) fn photo(saved: &Saved) -> Self {
        let Saved { before, after, at } = saved;
        let fields = |photo: &Photo| json!({"trek": photo.trek});
        let changes = [("title", before.title != after.title), ("trek", before.trek != after.trek)];
        Self {
            model: "treks.photo",
            operation: "update",
            pk: after.id,
            changed: changes
                .iter()
                .filter(|(_, changed)| *changed)
                .map(|(name, _)| *name)
                .collect(),
            before: fields(before),
            after: fields(after),
            at: at.clone(),
        }
    }

    /// A visitor left a message.
    pub(super) fn message(id: i64, at: String) -> Self {
        Self {
            model: "queue.message",
            operation: "create",
            pk: id,
            changed: Vec::new(),
            before: Value::Null,
            after: json!({}),
            at,
        }
    }

    fn body(&self) -> String {
        let event = json!({
            "model": self.model,
            "pk": self.pk,
            "op": self.operation,
            "changed": self.changed,
            "before": self.before,
            "after": self.after,
        });
        json!({
            "type": "model.changed",
            "timestamp": self.at,
            "data": {"source": SOURCE, "events": [event]},
        })
        .to_string()
    }
}

/// Tells the cache; clones share the numbering of deliveries.
#[derive(Debug, Clone)]
pub(crate) struct Notifier {
    client: Client,
    endpoint: String,
    secret: Secret,
    clock: Clock,
    started_ms: u64,
    deliveries: Arc<AtomicU64>,
}

impl Notifier {
    /// `api` is the address of the cache's API: `127.0.0.1:8081`.
    pub(super) fn new(client: Client, api: &str, secret: Secret, clock: Clock) -> Self {
        let endpoint = format!("http://{api}/v1/events/{SOURCE}");
        let started_ms = clock.now_ms();
        Self { client, endpoint, secret, clock, started_ms, deliveries: Arc::default() }
    }

    /// Posts the change and waits for the 2xx; returns how long that took.
    pub(super) async fn send(&self, change: &Change) -> Result<Duration, NotifyError> {
        let delivery = self.deliveries.fetch_add(1, Ordering::Relaxed);
        let id = format!("msg_{:x}_{delivery:x}", self.started_ms);
        let body = change.body();
        let now_s = self.clock.now_ms() / 1000;
        let secret = signature::Secret::parse(self.secret.as_str())?;
        let signature = signature::sign(&secret, &id, now_s, body.as_bytes());
        let request = Request::post(&self.endpoint)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now_s)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(body)))?;
        let limit = Duration::from_millis(ACKNOWLEDGED_MS_MAX);
        let answer = tokio::time::timeout(limit, self.client.send(request))
            .await
            .map_err(|_| NotifyError::Late)??;
        if answer.status.is_success() {
            Ok(answer.took)
        } else {
            Err(NotifyError::Refused(answer.status))
        }
    }
}
