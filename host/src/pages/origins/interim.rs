//! Interim responses on their way from an origin to the client that its request is for.
//!
//! # Invariants
//! - Only 103 is handed on: 100 is this server's own business, 102 nobody needs, and what is not
//!   known may mean anything (RFC 9110 §15.2, RFC 8297). None is ever stored.
//! - A client that does not listen holds nothing up: what it does not take is dropped.

use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use crate::pages::semantics::forward;

/// Interim responses that may wait for one client.
const WAITING_MAX: usize = 4;

/// The origin's end.
#[derive(Debug, Clone)]
pub(crate) struct Interim(mpsc::Sender<HeaderMap>);

/// The client's end.
pub(crate) struct Hints(mpsc::Receiver<HeaderMap>);

/// The two ends.
pub(crate) fn channel() -> (Interim, Hints) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Interim(sender), Hints(receiver))
}

impl Interim {
    /// Hands on what may be handed on.
    pub(crate) fn note(&self, status: StatusCode, headers: &HeaderMap) {
        if status != StatusCode::EARLY_HINTS {
            return;
        }
        let mut headers = headers.clone();
        forward::clean_response(&mut headers);
        // Too many, or nobody there: hints are only hints.
        let _ = self.0.try_send(headers);
    }
}

impl Hints {
    /// The fields of the next 103. Ends never: without an origin there are none.
    pub(crate) async fn next(&mut self) -> HeaderMap {
        match self.0.recv().await {
            Some(headers) => headers,
            None => std::future::pending().await,
        }
    }

    /// What is there already.
    pub(crate) fn take(&mut self) -> Option<HeaderMap> {
        self.0.try_recv().ok()
    }
}
