//! Look-ups in the tier that begin in the middle of a change of the same key.
//!
//! # Not here
//! The tiers themselves: which rows they find when is decided here, step by step.

use std::sync::OnceLock;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::Notify;

use super::tier::{BoxFuture, Committed, Lasting, Placed, Record, Row, Source, Status};
use super::tier::{Tier, TierError};
use super::*;
use crate::model::{Birth, Content, Expiry, Key, Kind};

/// A tier in which somebody asks for a key whenever it is told to write it, before it knows that
/// the key is to be written; what it finds for them is from before, and comes late.
#[derive(Default)]
struct Raced {
    cache: OnceLock<Cache>,
    asking: Mutex<Option<BoxFuture<Option<Entry>>>>,
    answers: Arc<Notify>,
}

fn old_row() -> Row {
    let kind = Kind::Item { flags: 0 };
    let expires = Expiry::NEVER;
    let content = Content { body: Bytes::from_static(b"old"), kind, expires, tags: Vec::new() };
    Row { content, cas: 1, birth: Birth::at(Sequence::ZERO), stored_ms: 1 }
}

impl Tier for Raced {
    fn write(&self, key: &Key) -> BoxFuture<Result<Lasting, TierError>> {
        let (cache, key) = (self.cache.get().unwrap().clone(), key.clone());
        let mut asking: BoxFuture<_> = Box::pin(async move { cache.get(key.as_bytes()).await });
        if asking.as_mut().now_or_never().is_none() {
            *self.asking.lock() = Some(asking);
        }
        // As if it had been committed by now.
        Box::pin(std::future::ready(Ok(Lasting::Durable)))
    }

    fn load(&self, _: &Key) -> BoxFuture<Result<Vec<Row>, TierError>> {
        let answers = Arc::clone(&self.answers);
        Box::pin(async move {
            answers.notified().await;
            Ok(vec![old_row()])
        })
    }

    fn attach(&self, _: std::sync::Weak<dyn Source>) {}

    fn commit(&self, _: Record, then: Committed) {
        then(Ok(Lasting::Durable));
    }

    fn latest(&self, _: i64, _: usize) -> BoxFuture<Result<Vec<Placed>, TierError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn write_hottest(&self, _: &[Key]) {}

    fn hottest(&self) -> BoxFuture<Result<Vec<Key>, TierError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn oldest_birth(&self) -> Sequence {
        Sequence::ZERO
    }

    fn status(&self) -> Status {
        unreachable!("nobody asks")
    }

    fn close(&self) -> BoxFuture<()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn what_a_removal_has_removed_does_not_come_back_by_a_look_up_that_began_amid_it() {
    let tier = Arc::new(Raced::default());
    let config =
        CacheConfig { memory_bytes: 1 << 20, item_bytes_max: 1 << 10, when_full: WhenFull::Evict };
    let below: Arc<dyn Tier> = Arc::clone(&tier) as Arc<dyn Tier>;
    let cache = Cache::new(config, Clock::manual(1_000_000), Some(below), Recovered::default());
    tier.cache.set(cache.clone()).unwrap_or_else(|_| panic!("set once"));
    let key = Key::new(b"k").unwrap();
    let draft = Draft::new(Bytes::from_static(b"new"));
    let storing = cache.update(&key, |_| (Change::Put(draft), ()));
    tier.answers.notify_one();
    storing.await.unwrap();

    cache.update(&key, |_| (Change::Remove, ())).await.unwrap();
    let asking = tier.asking.lock().take().unwrap();
    tier.answers.notify_one();
    assert!(asking.await.is_none());
    assert!(cache.peek(b"k").is_none());
}
