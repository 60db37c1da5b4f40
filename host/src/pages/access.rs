//! The access log: one line for each request when its answer is over, at level `debug` of the
//! target `access`. `WASMCACHED_LOG=warn,wasmcached=info,access=debug` turns it on.
//!
//! # Invariants
//! - While it is off it costs a comparison.
//! - A line says what was handed to the client: it is written when the body ends, whole or not.
//! - Outcome and reason are the words of `Cache-Status` and of the metrics.
//!
//! # Not here
//! Where lines go, and their form: `telemetry`. What can't be read as a request: it has no line,
//! and is counted with its reason.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, Uri};
use tokio::time::Instant;
use tracing::Level;

use super::outcome::{Outcome, Reason};
use super::settings::Site;

/// Whether anybody reads it.
pub(super) fn is_on() -> bool {
    tracing::enabled!(target: "access", Level::DEBUG)
}

/// What a request asks for, taken down when it begins.
pub(super) struct Asked {
    /// `None` on a unix socket.
    pub(super) client: Option<IpAddr>,
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) begun: Instant,
}

/// A line, written when it is dropped.
pub(crate) struct Line {
    pub(super) asked: Asked,
    /// `None` where no site answers.
    pub(super) site: Option<Arc<Site>>,
    pub(super) status: StatusCode,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Reason>,
    /// Bytes of the body that were handed on.
    pub(super) bytes: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        let Asked { client, method, target, begun } = &self.asked;
        let time: Duration = begun.elapsed();
        tracing::debug!(
            target: "access",
            client = client.map(tracing::field::display),
            site = self.site.as_ref().map(|site| site.name.as_str()),
            %method,
            %target,
            status = self.status.as_u16(),
            bytes = self.bytes,
            time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            outcome = self.outcome.as_str(),
            reason = self.reason.map(Reason::as_str),
        );
    }
}
