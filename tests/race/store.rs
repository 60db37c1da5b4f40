//! The truth: what version of its data every object has, and how new a read has to be.
//!
//! # Invariants
//! - A write raises the version before anybody is told of it, as an application's commit does.
//! - `floor` is raised when an invalidation was acknowledged, to the version from before it was
//!   sent. A read takes the floor before its first byte is sent; what it gets is never below.
//! - Every random choice comes from the seed; which request gets which delay is left to the race.
//!
//! # Not here
//! Who reads and who writes: `trial`. No clock decides anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use wasmcached_tests::Random;

/// Longest that data takes to become an answer, in milliseconds.
const DELAY_MS_MAX: usize = 200;

/// Objects of one group share a tag and a prefix, and race at the same time.
const GROUP: usize = 4;

/// How an object is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A page that may be kept for an hour.
    Page,
    /// A page in pieces, each some time after the one before it.
    Streamed,
    /// A page that is asked for again until it was the same once or twice (304).
    Revalidated,
    /// A page that is served over its time while it is refreshed.
    Refreshed,
    /// A page with a variant for each of two languages.
    Varying,
    /// A page that is never kept.
    Private,
    /// An item by `get`, and `set` or `add` after a miss.
    Pair,
    /// An item by `gets` and `cas`.
    Swap,
    /// An item with tags by `mg` with a lease, and `ms`.
    Lease,
}

impl Kind {
    /// All that wasmcached keeps.
    pub(crate) const ALL: [Self; 9] = [
        Self::Page,
        Self::Streamed,
        Self::Revalidated,
        Self::Refreshed,
        Self::Varying,
        Self::Private,
        Self::Pair,
        Self::Swap,
        Self::Lease,
    ];

    /// Whether it is read through the page cache.
    pub(crate) fn is_page(self) -> bool {
        !matches!(self, Self::Pair | Self::Swap | Self::Lease)
    }

    /// Whether it is stored with tags.
    pub(crate) fn has_tags(self) -> bool {
        self.is_page() || self == Self::Lease
    }
}

/// One row of the application's database, with everything that is cached of it.
pub(crate) struct Object {
    pub(crate) id: usize,
    pub(crate) kind: Kind,
    version: AtomicU64,
    floor: AtomicU64,
    /// The versions from which answers are being made now.
    fills: Mutex<Vec<u64>>,
    random: Mutex<Random>,
}

impl Object {
    /// Commits a change.
    pub(crate) fn write(&self) -> u64 {
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The version of the last commit.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// The oldest version that a read which starts now may get.
    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::SeqCst)
    }

    /// Everything older than `version` was invalidated, and that was acknowledged. Tells whether
    /// something older is still on its way into the cache.
    pub(crate) fn acknowledge(&self, version: u64) -> bool {
        self.floor.fetch_max(version, Ordering::SeqCst);
        self.fills.lock().iter().any(|filled| *filled < version)
    }

    /// Reads the data, to answer with it after a while.
    pub(crate) fn begin_fill(self: &Arc<Self>) -> Fill {
        let mut fills = self.fills.lock();
        let version = self.version();
        fills.push(version);
        Fill { object: Arc::clone(self), version }
    }

    /// How long an answer takes, in milliseconds.
    pub(crate) fn delay_ms(&self) -> u64 {
        self.random.lock().below(DELAY_MS_MAX + 1) as u64
    }

    /// Objects of a group are invalidated together.
    pub(crate) fn group(&self) -> usize {
        self.id / GROUP
    }

    /// The path of the page.
    pub(crate) fn path(&self) -> String {
        format!("/g{}/{}", self.group(), self.id)
    }

    /// The key of the item.
    pub(crate) fn item_key(&self) -> String {
        format!("g{}:{}", self.group(), self.id)
    }

    /// Its own tag and that of its group.
    pub(crate) fn tags(&self) -> [String; 2] {
        [format!("object:{}", self.id), format!("group:{}", self.group())]
    }
}

/// Data that was read and is not answered yet.
pub(crate) struct Fill {
    object: Arc<Object>,
    /// As of the read.
    pub(crate) version: u64,
}

impl Drop for Fill {
    fn drop(&mut self) {
        let mut fills = self.object.fills.lock();
        if let Some(at) = fills.iter().position(|version| *version == self.version) {
            fills.swap_remove(at);
        }
    }
}

/// All objects of a run, one for every trial.
pub(crate) struct Store(Vec<Arc<Object>>);

impl Store {
    /// So many objects of these kinds.
    pub(crate) fn new(seed: u64, count: usize, kinds: &[Kind]) -> Self {
        let object = |id: usize| {
            let mut random = Random::new(seed ^ id as u64);
            let kind = random.pick(kinds);
            Arc::new(Object {
                id,
                kind,
                version: AtomicU64::new(1),
                floor: AtomicU64::new(1),
                fills: Mutex::default(),
                random: Mutex::new(random),
            })
        };
        Self((0..count).map(object).collect())
    }

    /// In the order of their trials.
    pub(crate) fn objects(&self) -> &[Arc<Object>] {
        &self.0
    }

    /// The object of a page's path.
    pub(crate) fn of_path(&self, path: &str) -> Option<&Arc<Object>> {
        self.0.get(path.rsplit('/').next()?.parse::<usize>().ok()?)
    }

    /// Those that share a group with this one.
    pub(crate) fn group_of(&self, object: &Object) -> &[Arc<Object>] {
        let start = object.group() * GROUP;
        &self.0[start..(start + GROUP).min(self.0.len())]
    }
}

/// A body that tells its version in each of its parts.
pub(crate) fn body_of(version: u64, parts: usize) -> String {
    format!("version {version:_>20}\n").repeat(parts)
}

/// The version that a body tells; `None` for one that is torn, cut, or another's.
pub(crate) fn version_of(body: &str) -> Option<u64> {
    let first = body.strip_prefix("version ")?.get(..20)?;
    let version = first.trim_start_matches('_').parse().ok()?;
    let parts = body.len() / body_of(version, 1).len();
    (body == body_of(version, parts)).then_some(version)
}

#[test]
fn a_body_that_is_made_of_two_versions_tells_none() {
    assert_eq!(version_of(&body_of(7, 3)), Some(7));
    assert_eq!(version_of(&format!("{}{}", body_of(7, 1), body_of(8, 1))), None);
    assert_eq!(version_of(&body_of(7, 2)[..40]), None);
    assert_eq!(version_of(""), None);
}
