//! The HTTP API: the key space, invalidations, explanations, and what operators watch.
//!
//! Routes:
//! - `GET HEAD PUT DELETE /v1/cache/{key}`: one value (`item`)
//! - `GET /v1/cache?prefix=&tag=&limit=&cursor=`: keys with size, ttl and tags (`listing`)
//! - `POST /v1/invalidate`: by tag, key, URL, prefix, site, everything (`invalidate`)
//! - `GET /v1/explain?key=|url=`: why something is cached or not (`explain`)
//! - `GET /v1/plugins`, `PUT /v1/plugins/{name}`, `POST /v1/plugins/{name}/rollback` (`plugins`)
//! - `GET /v1/stats`, `/metrics`, `/live`, `/ready`, `/openapi.json` (`status`)
//!
//! The webhook's routes on the same listener are the door `events`.
//!
//! # Invariants
//! - Every error is JSON `{"error": …}` that names the thing, the value and the limit.
//! - Scans of the memory run off the I/O threads.
//! - A browser on another site's behalf changes nothing (`guard`).
//!
//! # Not here
//! Storage policy: a value written here obeys the rule, and the plugins, that one written by
//! memcached obeys.

mod body;
mod error;
mod explain;
mod guard;
mod invalidate;
mod item;
mod listing;
mod plugins;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::cache::{Cache, ItemPolicy};
use crate::model::{Key, Target};
use crate::plugins::Plugins;

pub use error::ApiError;
pub use plugins::{LoadPlugin, PluginChangeError, RollBackPlugin};

/// The key under which a page of this URL is looked up; given by the app, because the page cache is
/// another front door.
pub type UrlKey = Arc<dyn Fn(&str) -> Option<Key> + Send + Sync>;

/// What a purge of a page's URL names: itself as keys spell it, and its key where a plugin gives it
/// one. Given by the app, like [`UrlKey`].
pub type UrlTargets = Arc<dyn Fn(&str) -> Result<Vec<Target>, UrlError> + Send + Sync>;

/// A URL that can't be purged; each says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlError {
    /// No page of this server can have it.
    NoPage(String),
    /// The plugin could not say its key now.
    KeyUnknown(String),
}

/// What the routes work on; clones share it.
#[derive(Clone)]
pub struct Api {
    /// The memory.
    pub cache: Cache,
    /// The loaded plugins.
    pub plugins: Plugins,
    /// Decides about items, where there is one.
    pub items: Option<Arc<dyn ItemPolicy>>,
    /// Loads a new version of one.
    pub load_plugin: LoadPlugin,
    /// Goes back to the version of one before.
    pub roll_back_plugin: RollBackPlugin,
    /// Has one version uploaded at a time.
    pub plugin_uploads: Arc<Semaphore>,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// Finds the key of a URL.
    pub url_key: UrlKey,
    /// Finds what a purge of a URL names.
    pub url_targets: UrlTargets,
    /// The names of the configured sites.
    pub sites: Arc<[String]>,
    /// When the server was started, milliseconds since 1970.
    pub started_ms: u64,
}

/// The routes.
pub fn router(api: Api) -> Router {
    let item = get(item::read).put(item::write).delete(item::remove);
    Router::new()
        .route("/v1/cache/{*key}", item)
        .route("/v1/cache", get(listing::list))
        .route("/v1/invalidate", post(invalidate::invalidate))
        .route("/v1/explain", get(explain::explain))
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plugins/{name}", put(plugins::replace))
        .route("/v1/plugins/{name}/rollback", post(plugins::roll_back))
        .route("/v1/stats", get(status::stats))
        .route("/metrics", get(status::metrics))
        .route("/live", get(status::live))
        .route("/ready", get(status::ready))
        .route("/openapi.json", get(status::openapi))
        .with_state(api)
}

/// Adds what holds for all routes of the listener: unknown paths and methods are answered in JSON,
/// and browsers that other sites send here change nothing.
pub fn complete(router: Router) -> Router {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(guard::same_origin))
}

async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no such route; see /openapi.json")
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method is not allowed here; see /openapi.json")
}
