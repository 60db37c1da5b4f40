//! What all trials of a run share: the truth, the doors of the cache, and what was seen.
//!
//! # Invariants
//! - A read takes its floor after its turn has come and before its first byte is sent.
//! - A read that fails is reported as one that is stale is.
//!
//! # Not here
//! Who reads when: `trial`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Duration, sleep};
use wasmcached_tests::Random;
use wasmcached_tests::http::percent_encode;

use crate::http;
use crate::memcached::{self, Looked};
use crate::origin::Asked;
use crate::purges::Purge;
use crate::store::{Kind, Object, Store, version_of};
use crate::wire::Pool;

/// Reads that are under way at once: more would only wait for the machine's cores.
const READS_MAX: usize = 400;

/// Before something is asked again of a cache that was killed.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// Failures that are told in full.
const TOLD: usize = 20;

/// Where the cache is spoken to.
pub(crate) enum Doors {
    /// The server under test.
    Wasmcached { pages: Pool, api: Pool, memcached: Pool },
    /// The control.
    Varnish { pages: Pool, purge: Purge },
}

impl Doors {
    /// The page cache.
    pub(crate) fn pages(&self) -> &Pool {
        match self {
            Self::Wasmcached { pages, .. } | Self::Varnish { pages, .. } => pages,
        }
    }

    /// Closes the connections that nobody uses: who is behind them has ended.
    pub(crate) fn close(&self) {
        self.pages().clear();
        if let Self::Wasmcached { api, memcached, .. } = self {
            api.clear();
            memcached.clear();
        }
    }
}

/// Who reads an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Those for whom it is made: visitors of a page, the application for an item.
    Usual,
    /// `get`, which makes nothing.
    Memcached,
    /// `GET /v1/cache/KEY`, which makes nothing.
    Api,
}

/// How much has been seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Reads that got something.
    pub(crate) reads: AtomicU64,
    /// Of those, answered by the cache with what it had.
    pub(crate) hits: AtomicU64,
    /// Stores of items that were refused, because something had changed.
    pub(crate) refused: AtomicU64,
    /// Invalidations that were acknowledged.
    pub(crate) purges: AtomicU64,
    /// Of those, with something older still on its way into the cache.
    pub(crate) purges_amid_fills: AtomicU64,
}

/// One run.
pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    pub(crate) doors: Doors,
    pub(crate) tally: Tally,
    pub(crate) asked: Arc<Asked>,
    turns: Semaphore,
    /// Whether the cache is killed now and then, so that everybody asks again.
    is_mortal: AtomicBool,
    stale: Mutex<Vec<String>>,
    broken: Mutex<Vec<String>>,
}

impl World {
    /// Nothing has been seen yet.
    pub(crate) fn new(store: Arc<Store>, doors: Doors, asked: Arc<Asked>) -> Self {
        Self {
            store,
            doors,
            tally: Tally::default(),
            asked,
            turns: Semaphore::new(READS_MAX),
            is_mortal: AtomicBool::new(false),
            stale: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// From now on the cache may be gone for a while, or no more.
    pub(crate) fn set_mortal(&self, is_mortal: bool) {
        self.is_mortal.store(is_mortal, Ordering::SeqCst);
    }

    /// Whether to ask again after something did not work; waits before it says so.
    pub(crate) async fn asks_again(&self) -> bool {
        let is_mortal = self.is_mortal.load(Ordering::SeqCst);
        if is_mortal {
            sleep(PAUSE).await;
        }
        is_mortal
    }

    /// Reads an object and compares what it gets with the floor.
    pub(crate) async fn read(&self, object: &Arc<Object>, reader: Reader, random: &mut Random) {
        let (id, kind) = (object.id, object.kind);
        let who = format!("{kind:?} {id}, read as {reader:?}");
        let _turn = self.turns.acquire().await;
        let (floor, body, told) = loop {
            let floor = object.floor();
            match self.answer(object, reader, random).await {
                Ok(Some((body, told))) => break (floor, body, told),
                Ok(None) => return,
                Err(_) if self.asks_again().await => {}
                Err(what) => return self.broken(format!("{who}: {what}")),
            }
        };
        self.tally.reads.fetch_add(1, Ordering::Relaxed);
        match version_of(&body) {
            Some(version) if version >= floor => {}
            Some(version) => {
                let what = format!("{who}: version {version}, not {floor} or newer; {told}");
                self.stale.lock().push(what);
            }
            None => self.broken(format!("{who}: torn body of {} bytes; {told}", body.len())),
        }
    }

    /// A body and what was told of it; `None` where the cache had none.
    async fn answer(
        &self,
        object: &Arc<Object>,
        reader: Reader,
        random: &mut Random,
    ) -> Result<Option<(String, String)>, String> {
        match (&self.doors, reader) {
            (Doors::Wasmcached { memcached, .. }, Reader::Memcached) => {
                let looked = memcached::get(memcached, &self.key_of(object)).await;
                self.looked(looked.map_err(|error| error.to_string())?)
            }
            (Doors::Wasmcached { api, .. }, Reader::Api) => {
                let path = self.cached(&self.key_of(object));
                let answer = http::send(api, "GET", &path, &[], b"").await;
                let answer = answer.map_err(|error| error.to_string())?;
                match answer.status {
                    200 => self.looked(Looked::Hit(answer.body)),
                    404 => Ok(None),
                    status => Err(format!("answered {status}: {}", answer.body)),
                }
            }
            (Doors::Wasmcached { memcached, .. }, Reader::Usual) if !object.kind.is_page() => {
                let looked = memcached::read_through(memcached, object, random).await;
                self.looked(looked.map_err(|error| error.to_string())?)
            }
            _ => self.page(object, random.pick(&["en", "de"])).await.map(Some),
        }
    }

    fn looked(&self, looked: Looked) -> Result<Option<(String, String)>, String> {
        match looked {
            // A lease that was taken and not used yet has no value.
            Looked::Hit(value) if value.is_empty() => Ok(None),
            Looked::Hit(value) => {
                self.tally.hits.fetch_add(1, Ordering::Relaxed);
                Ok(Some((value, "a hit".to_owned())))
            }
            Looked::Stored { is_kept } => {
                self.tally.refused.fetch_add(u64::from(!is_kept), Ordering::Relaxed);
                Ok(None)
            }
            Looked::Computed | Looked::Unwritten | Looked::Miss => Ok(None),
        }
    }

    async fn page(&self, object: &Object, language: &str) -> Result<(String, String), String> {
        let fields = [("accept-language", language)];
        let answer = http::send(self.doors.pages(), "GET", &object.path(), &fields, b"").await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("answered {}: {}", answer.status, answer.body));
        }
        // RFC 9211 §2.1; Varnish tells the request that made a hit beside that which got it.
        let (status, varnish) = (answer.field("cache-status"), answer.field("x-varnish"));
        if status.contains("; hit") || varnish.contains(' ') {
            self.tally.hits.fetch_add(1, Ordering::Relaxed);
        }
        let told = format!("{status} {varnish}");
        Ok((answer.body, told))
    }

    /// The key of an object, by whatever protocol.
    pub(crate) fn key_of(&self, object: &Object) -> String {
        match object.kind.is_page() {
            true => format!("http://{}{}", self.doors.pages().address(), object.path()),
            false => object.item_key(),
        }
    }

    /// What the keys of its group begin with.
    pub(crate) fn prefix_of(&self, object: &Object) -> String {
        match object.kind.is_page() {
            true => format!("http://{}/g{}/", self.doors.pages().address(), object.group()),
            false => format!("g{}:", object.group()),
        }
    }

    /// Where the API has a key.
    pub(crate) fn cached(&self, key: &str) -> String {
        format!("/v1/cache/{}", percent_encode(key))
    }

    /// Something did not work at all.
    pub(crate) fn broken(&self, what: String) {
        self.broken.lock().push(what);
    }

    /// How many reads were stale.
    pub(crate) fn stale_count(&self) -> usize {
        self.stale.lock().len()
    }

    /// Kinds with their stale reads, for those that have some.
    pub(crate) fn stale_kinds(&self) -> Vec<(Kind, usize)> {
        let stale = self.stale.lock();
        let count = |kind: Kind| {
            let begin = format!("{kind:?} ");
            stale.iter().filter(|what| what.starts_with(&begin)).count()
        };
        Kind::ALL.map(|kind| (kind, count(kind))).into_iter().filter(|(_, n)| *n > 0).collect()
    }

    /// The first stale reads, for people.
    pub(crate) fn stale_told(&self) -> String {
        self.stale.lock().iter().take(TOLD).map(|what| format!("{what}\n")).collect()
    }

    /// The first things that did not work.
    pub(crate) fn broken_told(&self) -> String {
        self.broken.lock().iter().take(TOLD).map(|what| format!("{what}\n")).collect()
    }
}
