//! A sender of events that signs by itself (Standard Webhooks 1.0), independent of the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::settings::SECRET;
use crate::{Answer, Server, http};

static DELIVERIES: AtomicU64 = AtomicU64::new(0);

/// One delivery, ready to be sent or tampered with.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The source in the address.
    pub source: String,
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`, seconds since 1970.
    pub timestamp_s: u64,
    /// The secret it is signed with.
    pub secret: String,
    /// The raw body.
    pub body: Vec<u8>,
}

impl Webhook {
    /// A native event of the source `trekking` with one change, signed rightly and now.
    pub fn change(model: &str, before: Value, after: Value) -> Self {
        let change = json!({
            "model": model, "pk": 5, "op": "update", "changed": ["title"],
            "before": before, "after": after,
        });
        let body = json!({
            "type": "model.changed",
            "timestamp": "2026-01-02T03:04:05Z",
            "data": {"source": "trekking", "events": [change]},
        });
        Self::of_body(body.to_string())
    }

    /// A photo of this trek was saved.
    pub fn photo(trek: &str) -> Self {
        Self::change("treks.photo", json!({"trek": trek}), json!({"trek": trek}))
    }

    /// Any body.
    pub fn of_body(body: impl Into<Vec<u8>>) -> Self {
        let number = DELIVERIES.fetch_add(1, Ordering::Relaxed);
        Self {
            source: "trekking".into(),
            id: format!("msg_{}_{number}", std::process::id()),
            timestamp_s: now_s(),
            secret: SECRET.into(),
            body: body.into(),
        }
    }

    /// Its signature: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
    pub fn signature(&self) -> String {
        let key = self.secret.strip_prefix("whsec_").expect("a Standard Webhooks secret");
        let key = STANDARD.decode(key).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        mac.update(format!("{}.{}.", self.id, self.timestamp_s).as_bytes());
        mac.update(&self.body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Posts it to the server's API.
    #[track_caller]
    pub fn post(&self, server: &Server) -> Answer {
        self.post_signed(server, &self.signature())
    }

    /// Posts it with this signature.
    #[track_caller]
    pub fn post_signed(&self, server: &Server, signature: &str) -> Answer {
        self.send(server, signature, "")
    }

    /// Posts it with this query, `?` included.
    #[track_caller]
    pub fn post_to(&self, server: &Server, query: &str) -> Answer {
        self.send(server, &self.signature(), query)
    }

    #[track_caller]
    fn send(&self, server: &Server, signature: &str, query: &str) -> Answer {
        let timestamp = self.timestamp_s.to_string();
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", self.id.as_str()),
            ("webhook-timestamp", timestamp.as_str()),
            ("webhook-signature", signature),
        ];
        let url = server.api(&format!("/v1/events/{}{query}", self.source));
        http::send("POST", &url, &headers, &self.body)
    }
}

#[allow(clippy::disallowed_methods, reason = "the server compares it with the real clock")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[cfg(test)]
mod tests {
    use super::Webhook;

    #[test]
    fn signature_is_the_one_that_standard_webhooks_publishes() {
        let webhook = Webhook {
            source: String::new(),
            id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk".into(),
            timestamp_s: 1_649_367_553,
            secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".into(),
            body: br#"{"email":"test@example.com","username":"test_user"}"#.to_vec(),
        };
        assert_eq!(webhook.signature(), "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }
}
