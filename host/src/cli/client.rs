//! Commands that talk to a running server over its API.

use std::io::{Read, Write};
use std::time::SystemTime;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, Request, Uri, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::client::{Answer, Client, ClientError, percent_encode};
use crate::events::signature::{Secret, SecretError, sign};
use crate::model::groups_field;

/// Which server to talk to.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// Address of the server's API
    #[arg(
        long,
        value_name = "URL",
        env = "WASMCACHED_API_URL",
        default_value = "http://127.0.0.1:8081",
        value_parser = server_url
    )]
    server: String,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Print the value of a key
    Get {
        /// The key
        key: String,
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
    /// Store a value
    Set {
        /// The key
        key: String,
        /// The value; standard input where it is `-` or missing
        value: Option<String>,
        /// Seconds to live
        #[arg(long)]
        ttl: Option<u32>,
        /// A tag; may be given several times
        #[arg(long = "tag")]
        tags: Vec<String>,
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
    /// Remove a key
    Delete {
        /// The key
        key: String,
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
    /// Make everything named wrong
    Invalidate(InvalidateArgs),
    /// Post a signed event, as an application would
    Event(EventArgs),
    /// Say why something is cached or not
    Explain {
        /// The key
        #[arg(required_unless_present = "url", conflicts_with = "url")]
        key: Option<String>,
        /// The address of a page, instead of a key
        #[arg(long)]
        url: Option<String>,
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
    /// Print the server's counters
    Stats {
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
}

/// `wasmcached invalidate`.
#[derive(Debug, Args)]
pub struct InvalidateArgs {
    /// A tag; may be given several times
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// A key
    #[arg(long = "key")]
    keys: Vec<String>,
    /// The address of a page, all its variants
    #[arg(long = "url")]
    urls: Vec<String>,
    /// A prefix of keys
    #[arg(long = "prefix")]
    prefixes: Vec<String>,
    /// A configured site: all its pages
    #[arg(long = "site")]
    sites: Vec<String>,
    /// Everything there is
    #[arg(long)]
    everything: bool,
    /// Serve pages stale while one request refreshes each
    #[arg(long)]
    soft: bool,
    /// Say what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ClientArgs,
}

/// `wasmcached event`.
#[derive(Debug, Args)]
pub struct EventArgs {
    /// The configured source
    source: String,
    /// The model that changed, such as `shop.product`
    #[arg(long)]
    model: String,
    /// Primary key of the changed object
    #[arg(long)]
    pk: Option<String>,
    /// What happened: create, update, delete or bulk
    #[arg(long, default_value = "update")]
    op: String,
    /// JSON object of fields before the change
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    before: Option<Box<RawValue>>,
    /// JSON object of fields after the change
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    after: Option<Box<RawValue>>,
    /// Number of the event, above those of all before it: values that a plugin makes of events are
    /// written only where events are numbered
    #[arg(long, value_name = "N")]
    seq: Option<u64>,
    /// The source's secret, `whsec_…`; from the environment, so that no process list shows it
    #[arg(long, env = "WASMCACHED_SECRET", hide_env_values = true)]
    secret: String,
    /// Say what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ClientArgs,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientFailure {
    /// The server could not be asked.
    #[error("{server}")]
    Exchange {
        /// Which.
        server: String,
        /// Why not.
        #[source]
        source: ClientError,
    },
    /// The server said no.
    #[error("{message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// The secret is none.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Reading the value or writing the answer.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ClientCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<(), ClientFailure> {
        match self {
            Self::Get { key, server } => {
                let answer = server.send(Method::GET, &item_path(&key), &[], Bytes::new()).await?;
                Ok(std::io::stdout().lock().write_all(&answer.body)?)
            }
            Self::Set { key, value, ttl, tags, server } => {
                let value = match value.as_deref() {
                    None | Some("-") => read_stdin()?,
                    Some(value) => Bytes::copy_from_slice(value.as_bytes()),
                };
                let mut fields = Vec::new();
                if let Some(ttl_s) = ttl {
                    fields.push((header::CACHE_CONTROL.as_str(), format!("max-age={ttl_s}")));
                }
                if !tags.is_empty() {
                    // Not `Surrogate-Key`, which would split a tag at its spaces.
                    let tags = tags.iter().map(String::as_str);
                    fields.push(("cache-groups", groups_field(tags)));
                }
                let answer = server.send(Method::PUT, &item_path(&key), &fields, value).await?;
                // Nothing, or that it is not durable.
                if answer.body.is_empty() { Ok(()) } else { show(&answer) }
            }
            Self::Delete { key, server } => server.show(Method::DELETE, &item_path(&key), "").await,
            Self::Invalidate(args) => args.run().await,
            Self::Event(args) => args.run().await,
            Self::Explain { key, url, server } => {
                let query = match (key, url) {
                    (Some(key), _) => format!("key={}", percent_encode(&key)),
                    (None, url) => format!("url={}", percent_encode(&url.unwrap_or_default())),
                };
                server.show_get(&format!("/v1/explain?{query}")).await
            }
            Self::Stats { server } => server.show_get("/v1/stats").await,
        }
    }
}

impl InvalidateArgs {
    async fn run(self) -> Result<(), ClientFailure> {
        let request = json!({
            "tags": self.tags,
            "keys": self.keys,
            "urls": self.urls,
            "prefixes": self.prefixes,
            "sites": self.sites,
            "everything": self.everything,
            "mode": if self.soft { "soft" } else { "hard" },
        });
        let path = format!("/v1/invalidate{}", query_of(self.dry_run));
        self.server.show_post(&path, request.to_string()).await
    }
}

impl EventArgs {
    #[allow(clippy::disallowed_methods, reason = "a sender's clock; there is no server here")]
    async fn run(self) -> Result<(), ClientFailure> {
        let secret = Secret::parse(&self.secret)?;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since_1970.unwrap_or_default();
        let timestamp = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let body = self.body(&timestamp)?;
        let id = format!("msg_{}_{}", now.as_nanos(), std::process::id());
        let signature = sign(&secret, &id, now.as_secs(), body.as_bytes());
        let fields = [
            (header::CONTENT_TYPE.as_str(), "application/json".to_owned()),
            ("webhook-id", id),
            ("webhook-timestamp", now.as_secs().to_string()),
            ("webhook-signature", signature),
        ];
        let query = query_of(self.dry_run);
        let path = format!("/v1/events/{}{query}", percent_encode(&self.source));
        let answer = self.server.send(Method::POST, &path, &fields, Bytes::from(body)).await?;
        show(&answer)
    }
}

/// A delivery of one change, with the rows as they were written: a number would lose digits.
#[derive(Serialize)]
struct Delivery<'a> {
    r#type: &'a str,
    timestamp: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    source: &'a str,
    seq: Option<u64>,
    events: [Change<'a>; 1],
}

#[derive(Serialize)]
struct Change<'a> {
    model: &'a str,
    pk: Option<&'a str>,
    op: &'a str,
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
}

impl EventArgs {
    fn body(&self, timestamp: &str) -> std::io::Result<String> {
        let change = Change {
            model: &self.model,
            pk: self.pk.as_deref(),
            op: &self.op,
            before: self.before.as_deref(),
            after: self.after.as_deref(),
        };
        let data = Data { source: &self.source, seq: self.seq, events: [change] };
        let delivery = Delivery { r#type: "model.changed", timestamp, data };
        Ok(serde_json::to_string(&delivery)?)
    }
}

impl ClientArgs {
    pub(super) async fn show_get(&self, path: &str) -> Result<(), ClientFailure> {
        self.show(Method::GET, path, "").await
    }

    pub(super) async fn show_post(&self, path: &str, body: String) -> Result<(), ClientFailure> {
        self.show(Method::POST, path, &body).await
    }

    async fn show(&self, method: Method, path: &str, body: &str) -> Result<(), ClientFailure> {
        let fields = [(header::CONTENT_TYPE.as_str(), "application/json".to_owned())];
        let body = Bytes::copy_from_slice(body.as_bytes());
        show(&self.send(method, path, &fields, body).await?)
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, String)],
        body: Bytes,
    ) -> Result<Answer, ClientFailure> {
        let failed = |source| ClientFailure::Exchange { server: self.server.clone(), source };
        let url = format!("{}{path}", self.server.trim_end_matches('/'));
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| failed(error.into()))?;
        let answer = Client::new().send(request).await.map_err(failed)?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let message = serde_json::from_slice::<serde_json::Value>(&answer.body)
            .ok()
            .and_then(|body| body.get("error")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("server answered {}", answer.status));
        Err(ClientFailure::Refused { message })
    }
}

/// The query of a request that may be a dry run.
fn query_of(dry_run: bool) -> &'static str {
    if dry_run { "?dry_run=true" } else { "" }
}

fn item_path(key: &str) -> String {
    format!("/v1/cache/{}", percent_encode(key))
}

/// JSON is laid out for people; anything else goes out as it came.
pub(super) fn show(answer: &Answer) -> Result<(), ClientFailure> {
    let mut out = std::io::stdout().lock();
    match serde_json::from_slice::<serde_json::Value>(&answer.body) {
        Ok(value) => writeln!(out, "{value:#}")?,
        Err(_) => out.write_all(&answer.body)?,
    }
    Ok(())
}

fn read_stdin() -> std::io::Result<Bytes> {
    let mut value = Vec::new();
    std::io::stdin().lock().read_to_end(&mut value)?;
    Ok(Bytes::from(value))
}

fn json_value(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))
}

fn server_url(text: &str) -> Result<String, &'static str> {
    let uri: Option<Uri> = text.parse().ok();
    let parts = uri.as_ref().map(|uri| (uri.scheme_str(), uri.authority()));
    match parts {
        Some((Some("http"), Some(_))) => Ok(text.to_owned()),
        Some((Some("https"), Some(_))) => Err("is https; these commands speak http:// only"),
        _ => Err("is not a URL such as http://127.0.0.1:8081"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_without_its_scheme_is_refused_with_what_is_wanted() {
        assert_eq!(server_url("http://127.0.0.1:8081/"), Ok("http://127.0.0.1:8081/".to_owned()));
        for text in ["127.0.0.1:8081", "localhost:8081", "localhost", "", "ftp://a", "http://"] {
            assert_eq!(server_url(text), Err("is not a URL such as http://127.0.0.1:8081"));
        }
        assert!(server_url("https://a").is_err_and(|error| error.contains("http:// only")));
    }
}
