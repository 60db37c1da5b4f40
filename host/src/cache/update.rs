//! Items written by clients: one closure decides about the present entry, under the key's stripe.

use bytes::Bytes;

use super::bits::Bits;
use super::entry::{Entry, Making};
use super::fence::{CellSet, Claim, FenceFull, Marks, Verdict};
use super::filling::{Filling, Stripe};
use super::read::{Life, Sight, is_plain};
use super::store::Slot;
use super::tier::{BoxFuture, Lasting, TierError};
use super::{Cache, Shared, WhenFull, budget};
use crate::limits::TAGS_PER_ENTRY_MAX;
use crate::model::{Content, Expiry, Key, Kind, Tag};

/// A value that a client wants stored.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The value.
    pub body: Bytes,
    /// memcached's client flags.
    pub flags: u32,
    /// When it expires.
    pub expires: Expiry,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// How new its data is.
    pub basis: Basis,
    /// The CAS unique it gets.
    pub cas: Cas,
    /// What clients of the meta protocol are to see beside the value.
    pub bits: Bits,
}

impl Draft {
    /// A value that counts as read now and never expires; change what is different.
    pub fn new(body: Bytes) -> Self {
        Self {
            body,
            flags: 0,
            expires: Expiry::NEVER,
            tags: Vec::new(),
            basis: Basis::Now,
            cas: Cas::Next,
            bits: Bits::NONE,
        }
    }
}

/// What the data of a client's value is known to include.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Everything: it counts as read now.
    Now,
    /// What was applied when its miss was decided.
    Claim(Claim),
    /// What its client has read with the present entry (a lease, `cas`): while that entry is fresh
    /// so is this value, as far as it depends on the same targets. What it depends on in addition
    /// must not have been invalidated since that entry's birth. Of a stale entry it takes over the
    /// birth, and is stale, too.
    Present,
}

/// The CAS unique of a changed entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cas {
    /// One that was never used.
    #[default]
    Next,
    /// The present entry's; that of a new one as [`Cas::Next`].
    Same,
    /// The client's own (`E` of the meta protocol).
    Given(u64),
}

/// How the present entry is to be changed. What is `None` stays, and so do birth and tags.
#[derive(Debug, Clone, Default)]
pub struct Revision {
    /// Another value, computed from what is there.
    pub body: Option<Bytes>,
    /// Other client flags.
    pub flags: Option<u32>,
    /// Another expiry.
    pub expires: Option<Expiry>,
    /// The CAS unique.
    pub cas: Cas,
    /// Other bits.
    pub bits: Option<Bits>,
}

/// What the closure of [`Cache::update`] wants done.
#[derive(Debug)]
pub enum Change {
    /// Nothing.
    Keep,
    /// Store this in place of what is there.
    Put(Draft),
    /// Change the present entry in some respects. A page is left as it is: what it says and how
    /// long it is good is for its origin to say.
    Revise(Revision),
    /// Take it out.
    Remove,
}

/// Why an update was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The data was read before an invalidation that names it.
    #[error("data is older than an invalidation of it, or a change of it is announced")]
    Fenced,
    /// Memory is full and eviction is off.
    #[error("memory is full")]
    Full,
    /// More tags than an entry may have.
    #[error("entry has {tags} tags; limit is {TAGS_PER_ENTRY_MAX}")]
    TooManyTags {
        /// How many.
        tags: usize,
    },
    /// The fence can't take another tag.
    #[error(transparent)]
    FenceFull(#[from] FenceFull),
    /// Stored in memory, but the tier could not be brought up to date.
    #[error(transparent)]
    Tier(#[from] TierError),
}

/// What the tier has under a key, and memory has no room for.
struct Surplus {
    /// Begun before it was looked up.
    filling: Filling,
    slot: Slot,
}

/// What the closure tells, and the entry stored.
type Outcome<R> = Result<(R, Option<Entry>), UpdateError>;

/// Ends when the tier holds nothing older.
type Durable = BoxFuture<Result<Lasting, TierError>>;

impl Cache {
    /// Decides about the entry of a key and carries the decision out as one step.
    ///
    /// `decide` sees the live entry (also a page's, as [`Cache::get`] shows it) and returns what to
    /// do and what to tell its caller; the entry is the one stored, if one was. With a
    /// tier, the future ends when the tier holds nothing older than the change.
    pub async fn update<R>(
        &self,
        key: &Key,
        decide: impl FnOnce(Option<&Entry>) -> (Change, R),
    ) -> Result<(R, Option<Entry>), UpdateError> {
        self.update_as_seen(key, Sight::Fresh, decide).await
    }

    /// Like [`Cache::update`], and says what the change outlasts.
    pub async fn update_lasting<R>(
        &self,
        key: &Key,
        decide: impl FnOnce(Option<&Entry>) -> (Change, R),
    ) -> Result<(R, Option<Entry>, Lasting), UpdateError> {
        self.change(key, Sight::Fresh, decide).await
    }

    /// Like [`Cache::update`], for clients that can be shown stale items.
    pub async fn update_as_seen<R>(
        &self,
        key: &Key,
        sight: Sight,
        decide: impl FnOnce(Option<&Entry>) -> (Change, R),
    ) -> Result<(R, Option<Entry>), UpdateError> {
        self.change(key, sight, decide).await.map(|(told, stored, _)| (told, stored))
    }

    async fn change<R>(
        &self,
        key: &Key,
        sight: Sight,
        decide: impl FnOnce(Option<&Entry>) -> (Change, R),
    ) -> Result<(R, Option<Entry>, Lasting), UpdateError> {
        let (outcome, durable) = {
            let is_missing = || self.peek_as_seen(key.as_bytes(), sight).is_none();
            let surplus = match self.shared.tier.is_some() && is_missing() {
                // Boxed, as it is seldom needed: futures of idle connections are large enough.
                true => Box::pin(self.look_below(key)).await,
                false => None,
            };
            self.update_memory(key, sight, surplus.as_ref(), decide)
        };
        let lasting = match durable {
            Some(durable) => durable.await.inspect_err(|_| {
                self.shared.stats.tier_errors.inc();
            })?,
            None => Lasting::Durable,
        };
        outcome.map(|(told, stored)| (told, stored, lasting))
    }

    /// Brings a key up from the tier; returns what there is no room for.
    async fn look_below(&self, key: &Key) -> Option<Surplus> {
        // Notes what comes between the look-up and the decision.
        let is_bounded = self.shared.config.when_full == WhenFull::Refuse;
        let filling = is_bounded.then(|| self.begin_fill(key));
        let slot = self.load(key.as_bytes()).await;
        filling.zip(slot).map(|(filling, slot)| Surplus { filling, slot })
    }

    /// Changes memory, and has the tier write the change, as one step under the key's stripe:
    /// between the two, a look-up in the tier would bring back what was there before.
    fn update_memory<R>(
        &self,
        key: &Key,
        sight: Sight,
        surplus: Option<&Surplus>,
        decide: impl FnOnce(Option<&Entry>) -> (Change, R),
    ) -> (Outcome<R>, Option<Durable>) {
        // Looks before it takes the stripe: burying what is over takes the stripe itself.
        let _ = self.peek_as_seen(key.as_bytes(), sight);
        let mut stripe = self.shared.stripe(key.as_bytes());
        let present = self.shared.store.get(key.as_bytes());
        let present = present.or_else(|| self.shared.still_valid(key, surplus?, &stripe));
        let outcome = self.change_memory(key, sight, present.as_ref(), decide);
        let is_changed = match &outcome {
            Ok((_, _, is_changed)) => *is_changed,
            Err(error) => *error == UpdateError::Full,
        };
        if is_changed {
            stripe.note_change(key);
        }
        let durable = self.shared.tier.as_ref().filter(|_| is_changed).map(|tier| {
            let durable = tier.write(key);
            // After it: a look-up that begins in between has asked whether the key is written.
            self.shared.loads.supersede(key);
            durable
        });
        (outcome.map(|(told, stored, _)| (told, stored)), durable)
    }

    /// The caller holds the key's stripe.
    fn change_memory<R>(
        &self,
        key: &Key,
        sight: Sight,
        present: Option<&Slot>,
        decide: impl FnOnce(Option<&Entry>) -> (Change, R),
    ) -> Result<(R, Option<Entry>, bool), UpdateError> {
        let shared = &self.shared;
        let now_ms = shared.clock.now_ms();
        // Before the present entry is judged: what replaces it is no newer than that judgement.
        let born = Claim::at(shared.fence.applied());
        let key_bytes = key.as_bytes();
        let current = present.and_then(|slot| shared.plain(key_bytes, slot, now_ms, sight));
        let (change, told) = decide(current);
        let stored = match (change, current) {
            (Change::Keep, _) | (Change::Revise(_), None) => return Ok((told, None, false)),
            (Change::Revise(_), Some(old)) if old.page().is_some() => {
                return Ok((told, None, false));
            }
            (Change::Remove, _) => {
                shared.store.remove(key.as_bytes());
                None
            }
            (Change::Put(draft), _) => Some(shared.entry_of(key, draft, current, born)?),
            (Change::Revise(revision), Some(old)) => Some(shared.revised(old, revision)),
        };
        if let Some(entry) = &stored {
            let slot = Slot::Item(entry.clone());
            if !shared.has_room(&slot) {
                // The client means the old value to be gone, as in memcached.
                shared.store.remove(key.as_bytes());
                return Err(UpdateError::Full);
            }
            shared.store.put(slot);
            shared.stats.stores.inc();
        }
        Ok((told, stored, true))
    }
}

impl Shared {
    /// What a look-up brought, if nothing has changed its key since.
    fn still_valid(&self, key: &Key, surplus: &Surplus, stripe: &Stripe) -> Option<Slot> {
        let Surplus { filling, slot } = surplus;
        let since = filling.claim().since;
        let is_good = |entry: &Entry| {
            let claim = Claim { birth: entry.birth(), since };
            self.fence.admits(key, claim, entry.marks().cells())
        };
        let is_valid = !stripe.is_superseded(filling) && slot.entries().iter().all(is_good);
        is_valid.then(|| slot.clone())
    }

    /// The entry of a slot that clients without HTTP see.
    pub(super) fn plain<'slot>(
        &self,
        key: &[u8],
        slot: &'slot Slot,
        now_ms: u64,
        sight: Sight,
    ) -> Option<&'slot Entry> {
        let is_seen = |entry: &&Entry| match self.life(key, entry) {
            Life::Good(verdict) => is_plain(entry, verdict, now_ms, sight),
            Life::Over => false,
        };
        slot.entries().iter().find(is_seen)
    }

    fn entry_of(
        &self,
        key: &Key,
        draft: Draft,
        present: Option<&Entry>,
        born: Claim,
    ) -> Result<Entry, UpdateError> {
        if draft.tags.len() > TAGS_PER_ENTRY_MAX {
            return Err(UpdateError::TooManyTags { tags: draft.tags.len() });
        }
        let cas = self.cas_of(draft.cas, present);
        let content = Content {
            body: draft.body,
            kind: Kind::Item { flags: draft.flags },
            expires: draft.expires,
            tags: draft.tags,
        };
        let cells = self.fence.intern(Self::targets(&content))?;
        // Before the fence is asked, as in `Fence::judge_claim`.
        let is_shut = self.fence.is_shut(key.as_bytes(), &cells);
        let (birth, is_admitted) = match (draft.basis, present) {
            // Its cells may be new ones in the place of rows that were dropped since.
            (Basis::Now, _) | (Basis::Present, None) => {
                (born.birth, born.birth.includes(self.fence.forgotten()))
            }
            (Basis::Claim(claim), _) => (claim.birth, self.fence.admits(key, claim, &cells)),
            (Basis::Present, Some(present)) => {
                let is_fresh = self.fence.judge(key.as_bytes(), present.marks()) == Verdict::Fresh;
                match added(&cells, present.marks().cells()) {
                    None if is_fresh => (born.birth, true),
                    added => {
                        let birth = present.birth();
                        let claim = Claim { birth, since: born.since };
                        let admits = |added| self.fence.admits(key, claim, &added);
                        (birth, added.is_none_or(admits))
                    }
                }
            }
        };
        if !is_admitted || is_shut {
            self.stats.refused_fills.inc();
            return Err(UpdateError::Fenced);
        }
        let now_ms = self.clock.now_ms();
        let making = Making::new(Marks::new(birth, cells), cas, now_ms);
        Ok(Entry::new(key.as_bytes(), content, Making { bits: draft.bits, ..making }))
    }

    fn revised(&self, old: &Entry, revision: Revision) -> Entry {
        let is_new_value = revision.body.is_some();
        let content = Content {
            body: revision.body.unwrap_or_else(|| old.body_bytes()),
            kind: Kind::Item { flags: revision.flags.unwrap_or(old.flags()) },
            expires: revision.expires.unwrap_or(old.expires()),
            tags: old.tags().to_vec(),
        };
        let stored_ms = if is_new_value { self.clock.now_ms() } else { old.stored_ms() };
        let making = Making {
            marks: Marks::new(old.birth(), old.marks().cells().clone()),
            cas: self.cas_of(revision.cas, Some(old)),
            stored_ms,
            accessed_s: old.accessed_s(),
            bits: revision.bits.unwrap_or(old.bits()),
        };
        Entry::new(old.key(), content, making)
    }

    /// An item that may be shown as stale from now on. What was read with it is not stored by its
    /// unique any more, and one client may win the right to recache it.
    pub(super) fn outdated(&self, old: &Entry) -> Entry {
        let bits = old.bits().with(Bits::STALE).without(Bits::WON);
        self.revised(old, Revision { bits: Some(bits), ..Revision::default() })
    }

    fn cas_of(&self, cas: Cas, present: Option<&Entry>) -> u64 {
        match (cas, present) {
            (Cas::Given(unique), _) => unique,
            (Cas::Same, Some(present)) => present.cas(),
            (Cas::Next, _) | (Cas::Same, None) => self.next_cas(),
        }
    }

    /// Whether a newcomer may be stored: always, unless memory is full and eviction is off.
    pub(super) fn has_room(&self, slot: &Slot) -> bool {
        let is_room = self.is_room_for(slot);
        if !is_room {
            self.stats.refused_full.inc();
        }
        is_room
    }

    /// The same, of what nobody wants stored.
    pub(super) fn is_room_for(&self, slot: &Slot) -> bool {
        let is_evicting = self.config.when_full == WhenFull::Evict;
        is_evicting || self.store.bytes() + budget::slot_bytes(slot) <= self.memory_bytes()
    }
}

/// The cells of one set that the other does not have, if there are any.
fn added(cells: &CellSet, old: &CellSet) -> Option<CellSet> {
    let new: Vec<_> = cells.iter().filter(|cell| !old.has(cell)).cloned().collect();
    (!new.is_empty()).then(|| CellSet::new(&new, CellSet::default()))
}
