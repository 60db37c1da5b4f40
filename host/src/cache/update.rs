//! Items written by clients: one closure decides about the present entry, under the key's stripe.

use bytes::Bytes;

use super::entry::{Entry, Handle};
use super::fence::{Claim, FenceFull, Marks};
use super::store::Slot;
use super::tier::{BoxFuture, TierError};
use super::{Cache, Shared, budget};
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
    /// What the data is known to include: the claim of the miss before it, or `None` for data that
    /// counts as read now.
    pub claim: Option<Claim>,
}

/// What the closure of [`Cache::update`] wants done.
#[derive(Debug)]
pub enum Change {
    /// Nothing.
    Keep,
    /// Store this in place of what is there.
    Put(Draft),
    /// Store this, computed from what is there: its birth and tags stay.
    Derive(Bytes),
    /// Give the present entry this expiry; value and CAS stay.
    Retime(Expiry),
    /// Take it out.
    Remove,
}

/// Why an update was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The data was read before an invalidation that names it.
    #[error("data is older than an invalidation of it")]
    Fenced,
    /// Memory is full and eviction is off.
    #[error("out of memory storing object")]
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

/// What the closure tells, and the entry stored.
type Outcome<R> = Result<(R, Option<Handle>), UpdateError>;

/// Ends when the tier holds nothing older.
type Durable = BoxFuture<Result<(), TierError>>;

impl Cache {
    /// Decides about the entry of a key and carries the decision out as one step.
    ///
    /// `decide` sees the live entry (also a page's, as [`Cache::get`] shows it) and returns what to
    /// do and what to tell its caller; the handle is that of the entry stored, if one was. With a
    /// tier, the future ends when the tier holds nothing older than the change.
    pub async fn update<R>(
        &self,
        key: &Key,
        decide: impl FnOnce(Option<&Handle>) -> (Change, R),
    ) -> Result<(R, Option<Handle>), UpdateError> {
        if self.shared.tier.is_some() && self.peek(key.as_bytes()).is_none() {
            self.load(key.as_bytes()).await;
        }
        let (outcome, durable) = self.update_memory(key, decide);
        if let Some(durable) = durable {
            durable.await.inspect_err(|_| {
                self.shared.stats.tier_errors.inc();
            })?;
        }
        outcome
    }

    /// Changes memory, and has the tier write the change, as one step under the key's stripe:
    /// between the two, a look-up in the tier would bring back what was there before.
    fn update_memory<R>(
        &self,
        key: &Key,
        decide: impl FnOnce(Option<&Handle>) -> (Change, R),
    ) -> (Outcome<R>, Option<Durable>) {
        // Looks before it takes the stripe: burying what is over takes the stripe itself.
        let _ = self.peek(key.as_bytes());
        let _stripe = self.shared.stripe(key.as_bytes());
        let outcome = self.change_memory(key, decide);
        let is_changed = match &outcome {
            Ok((_, _, is_changed)) => *is_changed,
            Err(error) => *error == UpdateError::Full,
        };
        let durable = self.shared.tier.as_ref().filter(|_| is_changed).map(|tier| {
            self.shared.loads.supersede(key);
            tier.write(key)
        });
        (outcome.map(|(told, stored, _)| (told, stored)), durable)
    }

    /// The caller holds the key's stripe.
    fn change_memory<R>(
        &self,
        key: &Key,
        decide: impl FnOnce(Option<&Handle>) -> (Change, R),
    ) -> Result<(R, Option<Handle>, bool), UpdateError> {
        let shared = &self.shared;
        let now_ms = shared.clock.now_ms();
        // Before the present entry is judged: what replaces it is no newer than that judgement.
        let born = Claim::at(shared.fence.applied());
        let present = shared.store.get(key.as_bytes());
        let current = present.as_ref().and_then(|slot| shared.plain(key, slot, now_ms));
        let (change, told) = decide(current);
        let stored = match (change, current) {
            (Change::Keep, _) | (Change::Derive(_) | Change::Retime(_), None) => {
                return Ok((told, None, false));
            }
            // How long a page is good is for HTTP to say, and what it says for its origin.
            (Change::Derive(_) | Change::Retime(_), Some(old)) if old.page().is_some() => {
                return Ok((told, None, false));
            }
            (Change::Remove, _) => {
                shared.store.remove(key.as_bytes());
                None
            }
            (Change::Put(draft), _) => Some(shared.entry_of(key, draft, born, now_ms)?),
            (Change::Derive(body), Some(old)) => {
                let content = Content {
                    body,
                    kind: Kind::Item { flags: old.flags() },
                    ..old.content().clone()
                };
                let marks = Marks::new(old.birth(), old.marks.cells());
                Some(Entry::new(content, shared.next_cas(), now_ms, marks))
            }
            (Change::Retime(expires), Some(old)) => {
                let content = Content { expires, ..old.content().clone() };
                let marks = Marks::new(old.birth(), old.marks.cells());
                Some(Entry::new(content, old.cas(), old.stored_ms(), marks))
            }
        };
        let stored = stored.map(Handle::new);
        if let Some(entry) = &stored {
            let slot = Slot::Item(Handle::clone(entry));
            if !shared.has_room(key, &slot) {
                // The client means the old value to be gone, as in memcached.
                shared.store.remove(key.as_bytes());
                return Err(UpdateError::Full);
            }
            shared.store.put(key.clone(), slot);
            shared.stats.stores.inc();
        }
        Ok((told, stored, true))
    }
}

impl Shared {
    /// The entry of a slot that clients without HTTP see.
    fn plain<'slot>(&self, key: &Key, slot: &'slot Slot, now_ms: u64) -> Option<&'slot Handle> {
        slot.entries().iter().find(|entry| self.is_readable(key.as_bytes(), entry, now_ms))
    }

    fn entry_of(
        &self,
        key: &Key,
        draft: Draft,
        born: Claim,
        now_ms: u64,
    ) -> Result<Entry, UpdateError> {
        if draft.tags.len() > TAGS_PER_ENTRY_MAX {
            return Err(UpdateError::TooManyTags { tags: draft.tags.len() });
        }
        let content = Content {
            body: draft.body,
            kind: Kind::Item { flags: draft.flags },
            expires: draft.expires,
            tags: draft.tags,
        };
        let cells = self.fence.intern(Self::targets(&content))?;
        let claim = draft.claim.unwrap_or(born);
        if draft.claim.is_some() && !self.fence.admits(key, claim, &cells) {
            self.stats.refused_fills.inc();
            return Err(UpdateError::Fenced);
        }
        Ok(Entry::new(content, self.next_cas(), now_ms, Marks::new(claim.birth, cells)))
    }

    /// Whether a newcomer may be stored: always, unless memory is full and eviction is off.
    pub(super) fn has_room(&self, key: &Key, slot: &Slot) -> bool {
        if self.config.when_full == super::WhenFull::Evict {
            return true;
        }
        let bytes = budget::slot_bytes(key, slot);
        let fits = || self.store.bytes() + bytes <= self.config.memory_bytes;
        if fits() {
            return true;
        }
        self.store.settle();
        let is_room = fits();
        if !is_room {
            self.stats.refused_full.inc();
        }
        is_room
    }
}
