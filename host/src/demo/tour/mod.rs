//! `wasmcached demo --tour`: nine claims, each shown and checked, one line per claim.
//!
//! # Invariants
//! - A step is printed only after its claim held; the first that does not hold ends the tour.
//! - Photos are saved at the application's own address, past the cache: only the webhook can tell
//!   the cache about them.
//!
//! # Not here
//! Starting and ending what is shown (`stage`).

mod pages;
mod protocols;
mod restarts;

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::stage::Stage;
use super::{DemoError, say};
use crate::client::{Answer, Client, ClientError, percent_encode};
use crate::clock::Clock;

/// The page whose photo is saved.
const TREK: &str = "/treks/annapurna/";

/// A page on which that photo does not appear.
const UNRELATED: &str = "/treks/langtang/";

/// Why a step does not hold.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("memcached port: {0}")]
    Memcached(#[from] std::io::Error),
    #[error(transparent)]
    Stage(#[from] Box<DemoError>),
    /// What was seen instead of what was claimed.
    #[error("{0}")]
    Claim(String),
}

/// What a step has to show.
struct Shown {
    took: Duration,
    detail: String,
}

/// What later steps need from earlier ones.
struct Tour<'a> {
    stage: &'a mut Stage,
    client: Client,
    clock: Clock,
    /// The cold page: its body and what it took.
    cold: Bytes,
    cold_took: Duration,
    /// The unrelated page.
    unrelated: Bytes,
    /// The page after the first save, and the title in it.
    fresh: Bytes,
    title: String,
}

/// Walks through all steps.
pub(super) async fn walk(stage: &mut Stage) -> Result<(), DemoError> {
    let mut tour = Tour {
        stage,
        client: Client::new(),
        clock: Clock::system(),
        cold: Bytes::new(),
        cold_took: Duration::ZERO,
        unrelated: Bytes::new(),
        fresh: Bytes::new(),
        title: String::new(),
    };
    let mut guide = Guide { number: 0 };
    let tour = &mut tour;
    guide.step("a cold page", pages::cold(tour)).await?;
    guide.step("the same page from the cache", pages::warm(tour)).await?;
    guide.step("a photo saved, its webhook acknowledged", pages::save(tour)).await?;
    guide.step("the page is fresh and shows the new title", pages::fresh(tour)).await?;
    guide.step("an unrelated page is still cached", pages::unrelated(tour)).await?;
    guide.step("the same body over memcached", protocols::memcached(tour)).await?;
    guide.step("the same body over the API", protocols::api(tour)).await?;
    guide.step("restarted, and still warm", restarts::restart(tour)).await?;
    guide.step("acknowledged, then killed: never stale", restarts::kill(tour)).await?;
    say("every claim held");
    Ok(())
}

struct Guide {
    number: usize,
}

impl Guide {
    async fn step(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<Shown, StepError>>,
    ) -> Result<(), DemoError> {
        self.number += 1;
        let number = self.number;
        match work.await {
            Ok(Shown { took, detail }) => {
                let took_ms = took.as_secs_f64() * 1000.0;
                say(&format!("{number}/9  {name:<42} {took_ms:>9.2} ms  {detail}"));
                Ok(())
            }
            Err(error) => Err(DemoError::Step { number, name, reason: with_causes(&error) }),
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The claim as a `Result`; `seen` says what was there instead.
fn claim(holds: bool, seen: impl FnOnce() -> String) -> Result<(), StepError> {
    if holds { Ok(()) } else { Err(StepError::Claim(seen())) }
}

/// Whether the cache says that it had the page (RFC 9211 §2.1).
fn is_hit(answer: &Answer) -> bool {
    answer.field("cache-status").split(';').any(|part| part.trim() == "hit")
}

fn status_line(answer: &Answer) -> String {
    format!("status {}, cache-status `{}`", answer.status, answer.field("cache-status"))
}

/// Whether `title` stands in the page; the tour's titles have no character that HTML escapes.
fn shows(body: &[u8], title: &str) -> bool {
    !title.is_empty() && String::from_utf8_lossy(body).contains(title)
}

impl Tour<'_> {
    /// Asks for a page through the cache; anything but 200 is no page.
    async fn page(&self, path: &str) -> Result<Answer, StepError> {
        let answer = self.client.get(&self.stage.page(path)).await?;
        claim(answer.status == StatusCode::OK, || format!("{path}: {}", status_line(&answer)))?;
        Ok(answer)
    }

    /// Gives the photo a title it never had, and checks that the cache acknowledged.
    async fn save_photo(&self, words: &str) -> Result<(String, Duration), StepError> {
        let title = format!("{words} {}", self.clock.now_ms());
        let form = format!("title={}&trek=annapurna", percent_encode(&title));
        let url = format!("{}/admin/photos/1/", self.stage.origin);
        let answer = self.client.post_form(&url, form).await?;
        let location = answer.field("location");
        claim(location.ends_with("?cache=acknowledged"), || {
            format!("application answered {}, location `{location}`", answer.status)
        })?;
        Ok((title, answer.took))
    }
}
