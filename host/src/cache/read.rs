//! Reading: memory first, then the tier, and the rule on the way out.

use super::entry::{Entry, Handle};
use super::fence::{Claim, Marks, Verdict};
use super::flights::{Landing, Role};
use super::store::Slot;
use super::tier::Row;
use super::{Cache, Shared};
use crate::model::{Key, Kind, PageHead};

impl Cache {
    /// The value of a key as every protocol sees it: an item, or the representation of a page that
    /// has no variants and no content coding. Asks the tier where memory has nothing.
    pub async fn get(&self, key: &[u8]) -> Option<Handle> {
        if let Some(found) = self.peek(key) {
            return Some(found);
        }
        self.load(key).await;
        self.shared.tier.as_ref().and_then(|_| self.peek(key))
    }

    /// Like [`Cache::get`], from memory alone.
    pub fn peek(&self, key: &[u8]) -> Option<Handle> {
        let shared = &self.shared;
        let slot = shared.store.get(key)?;
        let now_ms = shared.clock.now_ms();
        let mut is_any_gone = false;
        let found = slot.entries().iter().find(|entry| match shared.life(key, entry, now_ms) {
            Life::Over => {
                is_any_gone = true;
                false
            }
            Life::Good(verdict) => verdict == Verdict::Fresh && is_plain(entry, now_ms),
        });
        if is_any_gone {
            shared.bury(key, now_ms);
        }
        found.cloned()
    }

    /// The latest variant of a page that `select` takes, and whether it may only be served stale.
    /// Its own freshness lifetime is the caller's to judge. Asks the tier where memory has nothing.
    pub async fn find_page(
        &self,
        key: &Key,
        select: impl Fn(&PageHead) -> bool,
    ) -> Option<(Handle, Verdict)> {
        let found = self.peek_page(key.as_bytes(), &select);
        if found.is_some() || self.shared.tier.is_none() {
            return found;
        }
        self.load(key.as_bytes()).await;
        self.peek_page(key.as_bytes(), &select)
    }

    /// Like [`Cache::find_page`], from memory alone.
    pub fn peek_page(
        &self,
        key: &[u8],
        mut select: impl FnMut(&PageHead) -> bool,
    ) -> Option<(Handle, Verdict)> {
        let shared = &self.shared;
        let slot = shared.store.get(key)?;
        let now_ms = shared.clock.now_ms();
        let mut is_any_gone = false;
        // The latest first: what the origin varies by may have changed (RFC 9111 §4.1).
        let found = slot.entries().iter().rev().find_map(|entry| {
            let head = entry.page().filter(|head| select(head));
            match (head, shared.life(key, entry, now_ms)) {
                (Some(_), Life::Good(verdict)) => Some((Handle::clone(entry), verdict)),
                (None, Life::Good(_)) => None,
                (_, Life::Over) => {
                    is_any_gone = true;
                    None
                }
            }
        });
        if is_any_gone {
            shared.bury(key, now_ms);
        }
        found
    }

    /// Brings the rows of a key from the tier into memory, once however many ask.
    pub(super) async fn load(&self, key: &[u8]) {
        let Some(tier) = &self.shared.tier else { return };
        let Ok(key) = Key::new(key) else { return };
        match self.shared.loads.join(&key) {
            Role::Waiter(waiter) => {
                waiter.landed().await;
            }
            Role::Leader(lease) => {
                let claim = self.claim();
                self.shared.stats.tier_loads.inc();
                let rows = match tier.load(&key).await {
                    Ok(rows) => rows,
                    Err(error) => {
                        self.shared.stats.tier_errors.inc();
                        tracing::debug!(%error, "tier look-up");
                        return;
                    }
                };
                let _stripe = self.shared.stripe(key.as_bytes());
                let is_current =
                    !lease.is_superseded() && self.shared.store.get(key.as_bytes()).is_none();
                if is_current && !rows.is_empty() {
                    self.shared.stats.tier_load_hits.inc();
                    self.shared.adopt(&key, rows, claim);
                }
                lease.land(Landing::Stored);
            }
        }
    }
}

/// Whether an entry can still be served.
pub(super) enum Life {
    /// It can, fresh or stale by the fence.
    Good(Verdict),
    /// It is expired or invalid.
    Over,
}

impl Shared {
    pub(super) fn life(&self, key: &[u8], entry: &Entry, now_ms: u64) -> Life {
        if entry.expires().is_past(now_ms) {
            return Life::Over;
        }
        match self.fence.judge(key, &entry.marks) {
            Verdict::Dead => Life::Over,
            verdict => Life::Good(verdict),
        }
    }

    /// Whether an entry is what a client without HTTP may read: an item, or a fresh page of one
    /// variant as the origin's plain bytes. Softly purged is gone for it.
    pub(super) fn is_readable(&self, key: &[u8], entry: &Entry, now_ms: u64) -> bool {
        self.is_fresh(key, entry, now_ms) && is_plain(entry, now_ms)
    }

    /// Whether nothing has made an entry invalid or stale.
    pub(super) fn is_fresh(&self, key: &[u8], entry: &Entry, now_ms: u64) -> bool {
        matches!(self.life(key, entry, now_ms), Life::Good(Verdict::Fresh))
    }

    /// Whether an entry may still be served, fresh or stale.
    pub(super) fn is_live(&self, key: &[u8], entry: &Entry, now_ms: u64) -> bool {
        matches!(self.life(key, entry, now_ms), Life::Good(_))
    }

    /// Takes the entries of a key that are over out of memory. Returns how many there were.
    pub(super) fn bury(&self, key: &[u8], now_ms: u64) -> usize {
        let _stripe = self.stripe(key);
        let Some(slot) = self.store.get(key) else { return 0 };
        let Ok(key) = Key::new(key) else { return 0 };
        let (live, over): (Vec<_>, Vec<_>) =
            slot.entries().iter().cloned().partition(|e| self.is_live(key.as_bytes(), e, now_ms));
        for entry in &over {
            match self.fence.killer(key.as_bytes(), &entry.marks) {
                Some(sequence) => {
                    self.stats.invalid.inc();
                    self.history.note_death(&key, sequence);
                }
                None => {
                    self.stats.expired.inc();
                }
            }
        }
        match (over.is_empty(), live.is_empty()) {
            (true, _) => {}
            (false, true) => {
                self.store.remove(key.as_bytes());
            }
            (false, false) => self.store.put(key, Slot::Pages(live.into())),
        }
        over.len()
    }

    /// Keeps rows of the tier that the rule admits. The caller holds the key's stripe.
    fn adopt(&self, key: &Key, rows: Vec<Row>, claim: Claim) {
        let now_ms = self.clock.now_ms();
        let is_item = rows.iter().any(|row| matches!(row.content.kind, Kind::Item { .. }));
        let entries: Vec<Handle> = rows
            .into_iter()
            .filter(|row| !row.content.expires.is_past(now_ms))
            .filter_map(|row| {
                let cells = self.fence.intern(Self::targets(&row.content)).ok()?;
                let claim = Claim { birth: row.birth, since: claim.since };
                self.fence.admits(key, claim, &cells).then(|| {
                    let marks = Marks::new(row.birth, cells);
                    Handle::new(Entry::new(row.content, row.cas, row.stored_ms, marks))
                })
            })
            .collect();
        let slot = match (is_item, entries.as_slice()) {
            (_, []) => return,
            (true, [item, ..]) => Slot::Item(Handle::clone(item)),
            (false, _) => Slot::Pages(entries.into()),
        };
        self.store.put(key.clone(), slot);
    }
}

fn is_plain(entry: &Entry, now_ms: u64) -> bool {
    entry.page().is_none_or(|head| {
        head.vary.is_empty()
            && head.status == http::StatusCode::OK
            && !head.headers.contains_key(http::header::CONTENT_ENCODING)
            && head.is_fresh(now_ms)
    })
}
