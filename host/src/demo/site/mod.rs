//! The sample application: a trekking company's site whose every page is slow to make.
//!
//! It is written as any team would write it: rows in a database, pages rendered from them, and
//! after a save a signed webhook to the cache. It knows the cache's address and a shared secret.
//!
//! # Invariants
//! - The webhook is sent after the row is committed and before the visitor is answered.
//! - Every text that came from a visitor is escaped where it is put into a page.
//!
//! # Not here
//! Which pages a row appears on: the `trekking` plugin knows. Accounts: this listens on loopback.

mod notify;
mod render;
mod routes;
mod rows;
#[cfg(test)]
mod tests;

use std::path::Path;

use tokio::net::TcpListener;

use crate::client::Client;
use crate::clock::Clock;
use crate::tasks::Tasks;

pub(super) use notify::{Notifier, Secret};
pub(super) use rows::{Rows, Work};

/// What the sample application can't do without.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Its database.
    #[error("database of the sample application")]
    Database(#[from] sqlx::Error),
    /// The system's randomness, for the webhook's secret.
    #[error("no random bytes")]
    Random(#[source] std::io::Error),
    /// The secret is not one.
    #[error("webhook secret is malformed")]
    Secret,
}

/// What the routes share.
#[derive(Debug, Clone)]
struct Site {
    rows: Rows,
    notifier: Notifier,
    clock: Clock,
}

/// Opens the rows in `dir` and finds out how much work makes a page take about two seconds.
pub(super) async fn open(dir: &Path, work: Work) -> Result<Rows, SiteError> {
    Rows::open(&dir.join("trekking.db"), work).await
}

/// Serves the site until the group stops; webhooks go to the cache's API at `api`.
pub(super) fn serve(
    listener: TcpListener,
    rows: Rows,
    (api, secret): (String, Secret),
    tasks: &Tasks,
) {
    let clock = Clock::system();
    let notifier = Notifier::new(Client::new(), &api, secret, clock.clone());
    let router = routes::router(Site { rows, notifier, clock });
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopping).await;
        if let Err(error) = served {
            tracing::error!(%error, "sample application");
        }
    });
}
