//! Reading: memory first, then the tier, and the rule on the way out.

use std::sync::Arc;

use super::bits::Bits;
use super::entry::{Entry, Making};
use super::fence::{Claim, Marks, Verdict};
use super::flights::{Landing, Role};
use super::store::Slot;
use super::tier::{Row, TierError};
use super::{Cache, Shared};
use crate::model::{Expiry, Key, Kind, PageHead};

/// What a reader without HTTP can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Fresh entries alone: it could not be told that one is stale.
    Fresh,
    /// Softly purged and outdated items, too; [`Cache::is_stale`] tells.
    WithStale,
}

impl Cache {
    /// The value of a key as every protocol sees it: an item, or the representation of a page that
    /// has no variants and no content coding. Asks the tier where memory has nothing.
    pub async fn get(&self, key: &[u8]) -> Option<Entry> {
        self.get_as_seen(key, Sight::Fresh).await
    }

    /// Like [`Cache::get`], for readers that can be shown stale items.
    pub async fn get_as_seen(&self, key: &[u8], sight: Sight) -> Option<Entry> {
        if let Some(found) = self.peek_as_seen(key, sight) {
            return Some(found);
        }
        self.shared.tier.as_ref()?;
        let surplus = self.load(key).await;
        self.peek_as_seen(key, sight).or_else(|| {
            let now_ms = self.shared.clock.now_ms();
            self.shared.plain(key, surplus.as_ref()?, now_ms, sight).cloned()
        })
    }

    /// Whether an entry may be shown only to those who are told that it is stale.
    pub fn is_stale(&self, key: &[u8], entry: &Entry) -> bool {
        entry.bits().has(Bits::STALE)
            || self.shared.fence.judge(key, entry.marks()) != Verdict::Fresh
    }

    /// What the rule says about an entry, apart from what it is marked with.
    pub fn verdict(&self, key: &[u8], entry: &Entry) -> Verdict {
        self.shared.fence.judge(key, entry.marks())
    }

    /// Like [`Cache::get`], from memory alone.
    pub fn peek(&self, key: &[u8]) -> Option<Entry> {
        self.peek_as_seen(key, Sight::Fresh)
    }

    /// Like [`Cache::get_as_seen`], from memory alone.
    pub fn peek_as_seen(&self, key: &[u8], sight: Sight) -> Option<Entry> {
        let shared = &self.shared;
        let slot = shared.store.get(key)?;
        if let Slot::Item(entry) = slot {
            return match shared.life(key, &entry) {
                Life::Good(verdict) => is_shown(&entry, verdict, sight).then_some(entry),
                Life::Over => {
                    shared.bury_read(key);
                    None
                }
            };
        }
        let now_ms = shared.clock.now_ms();
        let mut is_any_gone = false;
        let found = slot.entries().iter().find(|entry| match shared.life(key, entry) {
            Life::Over => {
                is_any_gone = true;
                false
            }
            Life::Good(verdict) => is_plain(entry, verdict, now_ms, sight),
        });
        if is_any_gone {
            shared.bury_read(key);
        }
        found.cloned()
    }

    /// The latest variant of a page that `select` takes, and whether it may only be served stale.
    /// Its own freshness lifetime is the caller's to judge. Asks the tier where memory has nothing.
    pub async fn find_page(
        &self,
        key: &Key,
        select: impl Fn(&PageHead) -> bool,
    ) -> Option<(Entry, Verdict)> {
        let found = self.peek_page(key.as_bytes(), &select);
        if found.is_some() || self.shared.tier.is_none() {
            return found;
        }
        let surplus = self.load(key.as_bytes()).await;
        self.peek_page(key.as_bytes(), &select).or_else(|| {
            let mut is_any_gone = false;
            self.shared.page(key.as_bytes(), surplus.as_ref()?, &select, &mut is_any_gone)
        })
    }

    /// Like [`Cache::find_page`], from memory alone.
    pub fn peek_page(
        &self,
        key: &[u8],
        select: impl FnMut(&PageHead) -> bool,
    ) -> Option<(Entry, Verdict)> {
        let shared = &self.shared;
        let slot = shared.store.get(key)?;
        let mut is_any_gone = false;
        let found = shared.page(key, &slot, select, &mut is_any_gone);
        if is_any_gone {
            shared.bury_read(key);
        }
        found
    }

    /// Brings the rows of a key from the tier into memory, once however many ask. Returns what
    /// there is no room for where nothing may be evicted: good for who asked, and not kept.
    pub(super) async fn load(&self, key: &[u8]) -> Option<Slot> {
        // Failures are counted; to whoever asks, what can't be looked up is a miss.
        self.try_load(key).await.ok()?.surplus
    }

    /// The same; says also whether anything came into memory by it. What somebody else was looking
    /// up already has not.
    pub(super) async fn try_load(&self, key: &[u8]) -> Result<Loaded, TierError> {
        let mut loaded = Loaded { is_kept: false, surplus: None };
        let Some(tier) = &self.shared.tier else { return Ok(loaded) };
        let Ok(key) = Key::new(key) else { return Ok(loaded) };
        match self.shared.loads.join(&key) {
            Role::Waiter(mut waiter) => loaded.surplus = waiter.offered().await.offer,
            Role::Leader(lease) => {
                let claim = self.claim();
                self.shared.stats.tier_loads.inc();
                let rows = tier.load(&key).await.inspect_err(|error| {
                    self.shared.stats.tier_errors.inc();
                    tracing::debug!(%error, "tier look-up");
                })?;
                let _stripe = self.shared.stripe(key.as_bytes());
                let is_current =
                    !lease.is_superseded() && self.shared.store.look(key.as_bytes()).is_none();
                if is_current && !rows.is_empty() {
                    self.shared.stats.tier_load_hits.inc();
                    loaded.surplus = self.shared.adopt(&key, rows, claim);
                    loaded.is_kept = loaded.surplus.is_none();
                }
                // Under the stripe: who comes after a removal of the key finds no offer from
                // before it.
                if let Some(slot) = &loaded.surplus {
                    lease.offer(slot.clone());
                }
                lease.land(Landing::Stored);
            }
        }
        Ok(loaded)
    }
}

/// What a look-up in the tier has brought.
pub(super) struct Loaded {
    /// Something into memory.
    pub(super) is_kept: bool,
    /// What there is no room for.
    pub(super) surplus: Option<Slot>,
}

/// Entries taken out of memory, by why.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Buried {
    pub(super) expired: u64,
    pub(super) invalid: u64,
}

/// Whether an entry can still be served.
pub(super) enum Life {
    /// It can, fresh or stale by the fence.
    Good(Verdict),
    /// It is expired or invalid.
    Over,
}

impl Shared {
    pub(super) fn life(&self, key: &[u8], entry: &Entry) -> Life {
        // Most items never expire: the clock is asked only for those that do.
        if entry.expires() != Expiry::NEVER && entry.expires().is_past(self.clock.now_ms()) {
            return Life::Over;
        }
        match self.fence.judge(key, entry.marks()) {
            Verdict::Dead => Life::Over,
            verdict => Life::Good(verdict),
        }
    }

    /// Whether nothing has made an entry invalid or stale.
    pub(super) fn is_fresh(&self, key: &[u8], entry: &Entry) -> bool {
        matches!(self.life(key, entry), Life::Good(Verdict::Fresh))
            && !entry.bits().has(Bits::STALE)
    }

    /// Whether an entry may still be served, fresh or stale.
    pub(super) fn is_live(&self, key: &[u8], entry: &Entry) -> bool {
        matches!(self.life(key, entry), Life::Good(_))
    }

    /// Takes the entries of a key that are over out of memory, for somebody who looked for them.
    #[cold]
    fn bury_read(&self, key: &[u8]) {
        let buried = self.bury(key);
        self.stats.read_expired.inc_by(buried.expired);
        self.stats.read_invalid.inc_by(buried.invalid);
    }

    /// Takes the entries of a key that are over out of memory.
    pub(super) fn bury(&self, key: &[u8]) -> Buried {
        let _stripe = self.stripe(key);
        let mut buried = Buried::default();
        let Some(slot) = self.store.look(key) else { return buried };
        let Ok(key) = Key::new(key) else { return buried };
        let (live, over): (Vec<_>, Vec<_>) =
            slot.entries().iter().cloned().partition(|e| self.is_live(key.as_bytes(), e));
        for entry in &over {
            match self.fence.killer(key.as_bytes(), entry.marks()) {
                Some(sequence) => {
                    buried.invalid += 1;
                    self.history.note_death(&key, sequence);
                }
                None => {
                    buried.expired += 1;
                    if entry.page().is_none() && !entry.bits().has(Bits::FETCHED) {
                        self.stats.expired_unfetched.inc();
                    }
                }
            }
        }
        self.stats.invalid.inc_by(buried.invalid);
        self.stats.expired.inc_by(buried.expired);
        match (over.is_empty(), live.is_empty()) {
            (true, _) => {}
            (false, true) => {
                self.store.remove(key.as_bytes());
            }
            (false, false) => self.store.put(Slot::Pages(Arc::new(live))),
        }
        buried
    }

    /// The latest variant of a page that `select` takes; notes whether any is over.
    fn page(
        &self,
        key: &[u8],
        slot: &Slot,
        mut select: impl FnMut(&PageHead) -> bool,
        is_any_gone: &mut bool,
    ) -> Option<(Entry, Verdict)> {
        // The latest first: what the origin varies by may have changed (RFC 9111 §4.1).
        slot.entries().iter().rev().find_map(|entry| {
            let head = entry.page().filter(|head| select(head));
            match (head, self.life(key, entry)) {
                (Some(_), Life::Good(verdict)) => Some((Entry::clone(entry), verdict)),
                (None, Life::Good(_)) => None,
                (_, Life::Over) => {
                    *is_any_gone = true;
                    None
                }
            }
        })
    }

    /// Keeps rows of the tier that the rule admits; returns them where there is no room. The caller
    /// holds the key's stripe.
    fn adopt(&self, key: &Key, rows: Vec<Row>, claim: Claim) -> Option<Slot> {
        let now_ms = self.clock.now_ms();
        let is_item = rows.iter().any(|row| matches!(row.content.kind, Kind::Item { .. }));
        let entries: Vec<Entry> = rows
            .into_iter()
            .filter(|row| !row.content.expires.is_past(now_ms))
            .filter_map(|row| {
                let cells = self.fence.intern(Self::targets(&row.content)).ok()?;
                let claim = Claim { birth: row.birth, since: claim.since };
                self.fence.admits(key, claim, &cells).then(|| {
                    let making = Making::new(Marks::new(row.birth, cells), row.cas, row.stored_ms);
                    Entry::new(key.as_bytes(), row.content, making)
                })
            })
            .collect();
        let slot = match (is_item, entries.as_slice()) {
            (_, []) => return None,
            (true, [item, ..]) => Slot::Item(item.clone()),
            (false, _) => Slot::Pages(Arc::new(entries)),
        };
        if !self.is_room_for(&slot) {
            return Some(slot);
        }
        self.store.put(slot);
        None
    }
}

/// Whether a live entry is what a client without HTTP may read: an item, or a fresh page of one
/// variant as the origin's plain bytes.
pub(super) fn is_plain(entry: &Entry, verdict: Verdict, now_ms: u64, sight: Sight) -> bool {
    let Some(head) = entry.page() else { return is_shown(entry, verdict, sight) };
    verdict == Verdict::Fresh
        && head.vary.is_empty()
        && head.status == http::StatusCode::OK
        && !head.headers.contains_key(http::header::CONTENT_ENCODING)
        && head.is_fresh(now_ms)
}

/// Whether a live item is shown.
fn is_shown(item: &Entry, verdict: Verdict, sight: Sight) -> bool {
    sight == Sight::WithStale || (verdict == Verdict::Fresh && !item.bits().has(Bits::STALE))
}
