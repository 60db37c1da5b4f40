//! A memory that evicts nothing, above more than fits into it: the rest is read and not kept.

use bytes::Bytes;

use super::{Server, named, page_at, start, start_as, tag};
use crate::cache::{Change, Draft, Entry, Revision, UpdateError, Verdict, WhenFull};
use crate::model::{Mode, Target};
use crate::tier::Settings;

const MEMORY_BYTES: u64 = 1 << 20;

const VALUE_BYTES: usize = 100_000;

/// Values that take thrice the memory.
const VALUES: usize = 30;

async fn above_more_than_fits(dir: &std::path::Path) -> Server {
    let server = start(dir).await;
    for n in 0..VALUES {
        server.set(&format!("k{n}"), &n.to_string().repeat(VALUE_BYTES), &["all"]).await.unwrap();
    }
    server.store_page("page", page_at("http://h/p", &"p".repeat(VALUE_BYTES)));
    server.stop().await;
    let server = start_as(dir, MEMORY_BYTES, WhenFull::Refuse, Settings::default()).await;
    for n in 0..VALUES {
        let expected = n.to_string().repeat(VALUE_BYTES);
        assert_eq!(server.get(&format!("k{n}")).await, Some(expected), "k{n}");
    }
    server
}

#[tokio::test]
async fn what_there_is_no_room_for_is_read_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = above_more_than_fits(dir.path()).await;
    assert!(server.cache.bytes() <= MEMORY_BYTES, "{} bytes", server.cache.bytes());
    assert_eq!(server.page("page").await, Some(Verdict::Fresh));
    let (one, other) = tokio::join!(server.get("k29"), server.get("k29"));
    assert!(one.is_some() && other.is_some(), "also who waits for the same look-up gets it");
    assert!(server.cache.peek(b"k29").is_none());
    assert_eq!(server.cache.stats().refused_full.get(), 0, "nobody wanted to store anything");
    // Until it is wrong.
    server.invalidate(Target::Key(named("k29")), Mode::Hard).await.unwrap();
    assert_eq!(server.get("k29").await, None);
    server.invalidate(tag("all"), Mode::Hard).await.unwrap();
    assert_eq!(server.get("k28").await, None);
    server.stop().await;
}

#[tokio::test]
async fn updates_see_what_there_is_no_room_for_and_replace_it_by_what_fits() {
    let dir = tempfile::tempdir().unwrap();
    let server = above_more_than_fits(dir.path()).await;
    let is_there = |current: Option<&Entry>| (Change::Keep, current.is_some());
    assert!(server.cache.update(&named("k29"), is_there).await.unwrap().0);
    let small = Change::Put(Draft::new("small".into()));
    server.cache.update(&named("k28"), |_| (small, ())).await.unwrap();
    assert_eq!(server.get("k28").await.as_deref(), Some("small"));
    let longer = |current: Option<&Entry>| {
        let body = current.map(|entry| Bytes::from([entry.body(), b"+"].concat()));
        (Change::Revise(Revision { body, ..Revision::default() }), current.is_some())
    };
    let outcome = server.cache.update(&named("k29"), longer).await;
    assert_eq!(outcome.map(|_| ()), Err(UpdateError::Full));
    assert_eq!(server.get("k29").await, None, "the older value is meant to be gone");
    server.stop().await;
}
