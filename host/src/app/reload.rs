//! SIGHUP: what was read from files is read again, without ending anything.
//!
//! # Invariants
//! - From [`Reload::new`] on, the signal never ends the process.
//! - Every part is asked, also when one before it refuses; a part that refuses stays as it was.
//! - One round at a time; signals that come meanwhile are one more round.
//!
//! # Not here
//! What each part reads: it registers a hook that says what was wrong.

use std::error::Error;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

type Refusal = Box<dyn Error + Send + Sync>;
type Hook = Box<dyn Fn() -> Result<(), Refusal> + Send + Sync>;

/// The parts that can be reloaded.
pub(super) struct Reload {
    hangup: Signal,
    parts: Vec<(String, Hook)>,
}

impl Reload {
    /// Takes the signal over.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, parts: Vec::new() })
    }

    /// Has `hook` called at every signal, on a thread where it may block. `part` names it in the
    /// log.
    pub(super) fn register<E: Error + Send + Sync + 'static>(
        &mut self,
        part: String,
        hook: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) {
        self.parts.push((part, Box::new(move || Ok(hook()?))));
    }

    /// Waits for signals and asks every part.
    pub(super) async fn run_forever(self) {
        let Self { mut hangup, parts } = self;
        let parts = Arc::new(parts);
        while hangup.recv().await.is_some() {
            let asked = Arc::clone(&parts);
            let round = tokio::task::spawn_blocking(move || reload_all(&asked));
            if let Err(error) = round.await {
                tracing::error!(%error, "reload");
            }
        }
    }
}

fn reload_all(parts: &[(String, Hook)]) {
    if parts.is_empty() {
        tracing::info!("nothing to reload");
    }
    for (part, hook) in parts {
        match hook() {
            Ok(()) => tracing::info!(part, "reloaded"),
            Err(error) => tracing::error!(part, %error, "not reloaded; what was in use stays"),
        }
    }
}
