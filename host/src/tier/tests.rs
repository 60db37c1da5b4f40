//! The tier under a real cache, on real files.

mod bounded;
mod crowded;
mod faults;
mod files;
mod known;
mod owed;
mod pressed;
mod restart;
mod room;
mod warm;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::{Address, DatabaseTier, Limits, OpenError, Settings};
use crate::cache::tier::{Record, Tier};
use crate::cache::{
    Applied, Cache, CacheConfig, Change, Draft, InvalidateError, Recovered, UpdateError, WhenFull,
};
use crate::clock::Clock;
use crate::model::{
    Cause, Content, Expiry, Invalidation, Key, Kind, Mode, PageHead, Sequence, Tag, Target,
};
use crate::tasks::Tasks;

/// Waits are for conditions; this only ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Server {
    pub(super) cache: Cache,
    pub(super) tier: Arc<DatabaseTier>,
    recovered_epoch: u32,
    tasks: Tasks,
}

async fn open(
    dir: &Path,
    settings: Settings,
) -> Result<(Arc<DatabaseTier>, Recovered, Clock, Tasks), OpenError> {
    let clock = Clock::manual(1_700_000_000_000);
    let tasks = Tasks::default();
    let url = format!("sqlite://{}", dir.join("tier.db").display());
    let (tier, recovered) =
        DatabaseTier::open(&Address::parse(&url).unwrap(), settings, clock.clone(), &tasks).await?;
    Ok((tier, recovered, clock, tasks))
}

pub(super) async fn start(dir: &Path) -> Server {
    start_with(dir, 64 << 20, Settings::default()).await
}

/// Why no server starts there.
pub(super) async fn refusal(dir: &Path) -> String {
    open(dir, Settings::default()).await.err().expect("refused").to_string()
}

async fn start_with_memory(dir: &Path, memory_bytes: u64) -> Server {
    start_with(dir, memory_bytes, Settings::default()).await
}

async fn start_with(dir: &Path, memory_bytes: u64, settings: Settings) -> Server {
    start_as(dir, memory_bytes, WhenFull::Evict, settings).await
}

async fn start_as(
    dir: &Path,
    memory_bytes: u64,
    when_full: WhenFull,
    settings: Settings,
) -> Server {
    let (tier, recovered, clock, tasks) = open(dir, settings).await.unwrap();
    let recovered_epoch = recovered.epoch;
    let config = CacheConfig { memory_bytes, item_bytes_max: 1 << 20, when_full };
    let below: Arc<dyn Tier> = Arc::clone(&tier) as Arc<dyn Tier>;
    let cache = Cache::new(config, clock, Some(below), recovered);
    Server { cache, tier, recovered_epoch, tasks }
}

impl Server {
    pub(super) async fn stop(self) {
        self.cache.close().await;
        assert_eq!(self.tasks.stop(PATIENCE).await, 0);
    }

    pub(super) async fn set(
        &self,
        key: &str,
        value: &str,
        tags: &[&str],
    ) -> Result<(), UpdateError> {
        let draft = Draft {
            flags: 7,
            tags: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            ..Draft::new(Bytes::copy_from_slice(value.as_bytes()))
        };
        self.cache.update(&named(key), |_| (Change::Put(draft), ())).await.map(|_| ())
    }

    async fn delete(&self, key: &str) {
        self.cache.update(&named(key), |_| (Change::Remove, ())).await.unwrap();
    }

    pub(super) async fn get(&self, key: &str) -> Option<String> {
        let found = self.cache.get(key.as_bytes()).await?;
        Some(String::from_utf8(found.body().to_vec()).unwrap())
    }

    pub(super) async fn invalidate(
        &self,
        target: Target,
        mode: Mode,
    ) -> Result<Applied, InvalidateError> {
        let cause = Cause {
            source: "api".into(),
            event_id: Some("e1".into()),
            at_ms: 5,
            ..Cause::default()
        };
        self.cache.invalidate(Invalidation { targets: vec![(target, mode)], cause }).await
    }

    /// Returns when the tier works and all has been written.
    pub(super) async fn recovers(&self) {
        eventually("the tier to work", async || {
            let status = self.cache.tier_status().unwrap();
            status.degraded.is_none() && status.queued == 0
        })
        .await;
    }

    pub(super) fn store_page(&self, key: &str, content: Content) {
        self.cache.store_page(&self.cache.begin_fill(&named(key)), content).unwrap();
    }

    /// Whether the page of a key is there, and how the rule judges it.
    pub(super) async fn page(&self, key: &str) -> Option<crate::cache::Verdict> {
        self.cache.find_page(&named(key), |_| true).await.map(|(_, verdict)| verdict)
    }
}

/// The events of the journal.
pub(super) async fn events_of(server: &Server) -> Vec<Record> {
    let mut events = Vec::new();
    server.tier.read_events(|record| events.push(record)).await.unwrap();
    events
}

fn named(key: &str) -> Key {
    Key::new(key.as_bytes()).unwrap()
}

pub(super) fn tag(name: &str) -> Target {
    Target::Tag(Tag::new(name).unwrap())
}

pub(super) fn page_at(url: &str, body: &str) -> Content {
    let head = PageHead {
        site: "shop".into(),
        stale_while_revalidate_ms: 60_000,
        stale_if_error_ms: 60_000,
        ..PageHead::of_test(url, 1_700_000_000_000)
    };
    Content {
        body: Bytes::copy_from_slice(body.as_bytes()),
        kind: Kind::Page(Arc::new(head)),
        expires: Expiry::NEVER,
        tags: vec![Tag::new("pages").unwrap()],
    }
}

/// A connection of somebody else to the same file.
pub(super) async fn intruder(dir: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(dir.join("tier.db"));
    SqliteConnection::connect_with(&options.busy_timeout(PATIENCE)).await.unwrap()
}

pub(super) async fn execute(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

async fn count(connection: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

async fn count_of(connection: &mut SqliteConnection, sql: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap()
}

pub(super) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !is_so().await {
            tick.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never came: {what}");
}
