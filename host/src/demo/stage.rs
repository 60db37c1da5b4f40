//! What the demo stands on: a folder, the sample application, and the cache.
//!
//! # Invariants
//! - The cache is told about the application and the application about the cache before either is
//!   asked anything.
//!
//! # Not here
//! What is shown on it (`tour`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;

use super::child::Child;
use super::config::{self, Addresses};
use super::site::{self, Secret, Work};
use super::{DemoError, say};
use crate::client::percent_encode;
use crate::tasks::Tasks;

/// Database work per page: long enough to be felt, short enough to be shown twice.
const PAGE_MS: u32 = 2_000;

/// For the application's requests that run at the end.
const STRIKE_MS_MAX: u64 = 5_000;

/// Everything that runs; dropping it kills the cache and removes a temporary folder.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) cache: Child,
    /// The application's own address, past the cache.
    pub(super) origin: String,
    tasks: Tasks,
    config: PathBuf,
    log: PathBuf,
    _folder: Option<TempDir>,
}

impl Stage {
    /// Makes the folder, opens the rows, starts the cache and serves the application.
    pub(super) async fn set(dir: Option<PathBuf>) -> Result<Self, DemoError> {
        let (dir, folder) = folder(dir)?;
        say("preparing the sample application: measuring this machine");
        let rows = site::open(&dir, Work { page_ms: PAGE_MS }).await?;
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|source| DemoError::Io { what: "bind 127.0.0.1:0".into(), source })?;
        let origin = listener
            .local_addr()
            .map_err(|source| DemoError::Io { what: "bind 127.0.0.1:0".into(), source })?;

        let tasks = Tasks::default();
        let secret = Secret::random()?;
        let (config, log) = (dir.join("wasmcached.toml"), dir.join("cache.log"));
        let write = |addresses| {
            let text = config::text(addresses, origin, &dir, &secret);
            let what = format!("write {}", config.display());
            std::fs::write(&config, text).map_err(|source| DemoError::Io { what, source })
        };
        write(Addresses::default_or_free())?;
        let cache = Child::start(&config, &log, &tasks).await?;
        write(cache.addresses())?;

        let api = cache.addresses().api.to_string();
        site::serve(listener, rows, (api, secret), &tasks);
        let origin = format!("http://{origin}");
        Ok(Self { cache, origin, tasks, config, log, _folder: folder })
    }

    /// Starts the cache again, at the same addresses. The one before must have ended.
    pub(super) async fn start_again(&mut self) -> Result<(), DemoError> {
        self.cache = Child::start(&self.config, &self.log, &self.tasks).await?;
        Ok(())
    }

    /// The address of a page through the cache, which is its key too.
    pub(super) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.cache.addresses().pages)
    }

    /// The address of a path of the API.
    pub(super) fn api(&self, path: &str) -> String {
        format!("http://{}{path}", self.cache.addresses().api)
    }

    /// Prints where everything is and what to try.
    pub(super) fn invite(&self) {
        let Addresses { memcached, api, pages } = self.cache.addresses();
        let page = self.page("/treks/annapurna/");
        let host = memcached.ip();
        let port = memcached.port();
        let encoded = percent_encode(&page);
        let head = "-s -o /dev/null -D - -w 'took %{time_total} s\\n'";
        for line in [
            "".to_owned(),
            format!("  pages      http://{pages}/   (through the cache)"),
            format!("  origin     {}/   (the application itself)", self.origin),
            format!("  api        http://{api}/"),
            format!("  memcached  {memcached}"),
            format!("  files      {}", self.config.display()),
            "".to_owned(),
            "a cold page takes about two seconds:".to_owned(),
            format!("  curl {head} {page}"),
            "the same page again does not:".to_owned(),
            format!("  curl {head} {page}"),
            "save a photo; the application tells the cache, and the page is fresh:".to_owned(),
            format!(
                "  curl -s -o /dev/null -d title='New title' -d trek=annapurna \
                 http://{pages}/admin/photos/1/ && curl -s {page} | grep -o 'New title'"
            ),
            "the same body for a memcached client:".to_owned(),
            format!("  printf 'get {page}\\r\\nquit\\r\\n' | nc {host} {port}"),
            "why it is cached, or is not:".to_owned(),
            format!("  curl -s 'http://{api}/v1/explain?url={encoded}'"),
            "".to_owned(),
            "Ctrl-C ends it.".to_owned(),
        ] {
            say(&line);
        }
    }

    /// Ends the cache and the application.
    pub(super) async fn strike(mut self) -> Result<(), DemoError> {
        let ended = self.cache.terminate().await;
        self.tasks.stop(Duration::from_millis(STRIKE_MS_MAX)).await;
        Ok(ended?)
    }
}

/// The folder as an absolute path, and its owner where it is temporary.
fn folder(dir: Option<PathBuf>) -> Result<(PathBuf, Option<TempDir>), DemoError> {
    let Some(dir) = dir else {
        let folder = tempfile::Builder::new().prefix("wasmcached-demo-").tempdir();
        let folder = folder
            .map_err(|source| DemoError::Io { what: "make a temporary folder".into(), source })?;
        return Ok((folder.path().to_owned(), Some(folder)));
    };
    let failed = |source| DemoError::Io { what: format!("use folder {}", dir.display()), source };
    std::fs::create_dir_all(&dir).map_err(failed)?;
    Ok((Path::canonicalize(&dir).map_err(failed)?, None))
}
