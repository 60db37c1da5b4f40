//! The cache as plugins may look at it.
//!
//! # Invariants
//! - A look-up sees what every protocol sees, from memory alone: it neither waits nor shows what is
//!   stale.
//!
//! # Not here
//! Which calls may look, and what comes of it: `plugins`.

use std::sync::Arc;

use crate::cache::{Cache, Entry};
use crate::model::{Seen, Target};
use crate::plugins::LookUp;

/// Look-ups in this cache.
pub(super) fn of(cache: &Cache) -> LookUp {
    let cache = cache.clone();
    Arc::new(move |key| {
        let entry = cache.peek(key.as_bytes())?;
        let now_ms = cache.clock().now_ms();
        let (ttl_ms, age_ms) = times(&entry, now_ms);
        let page = entry.page().into_iter();
        let of_page =
            page.flat_map(|head| [Target::Url(head.url.clone()), Target::Site(head.site.clone())]);
        let tags = entry.tags().iter().cloned().map(Target::Tag);
        Some(Seen {
            value: entry.body_bytes(),
            flags: entry.flags(),
            ttl_ms,
            age_ms,
            birth: entry.birth(),
            targets: [Target::Key(key.clone())].into_iter().chain(tags).chain(of_page).collect(),
        })
    })
}

/// How long it will be there, and how old it is.
fn times(entry: &Entry, now_ms: u64) -> (Option<u64>, u64) {
    match entry.page() {
        Some(head) => {
            let age_ms = head.age_ms(now_ms);
            (Some(head.lifetime_ms.saturating_sub(age_ms)), age_ms)
        }
        None => {
            let ttl_ms = entry.expires().as_ms().map(|at_ms| at_ms.saturating_sub(now_ms));
            (ttl_ms, now_ms.saturating_sub(entry.stored_ms()))
        }
    }
}
