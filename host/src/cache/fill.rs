//! Filling: what was read from an origin is kept if nothing has made it wrong meanwhile.

use std::sync::Arc;

use super::entry::{Entry, Making};
use super::fence::{CellSet, Claim, FenceFull, Marks, Verdict};
use super::filling::Filling;
use super::store::Slot;
use super::{Cache, Shared};
use crate::limits::{TAGS_PER_ENTRY_MAX, VARIANTS_PER_KEY_MAX};
use crate::model::{Content, Key, Kind, PageHead, Tag, Target};

/// Why the result of a fill was not kept. It may still be sent to the client that asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An invalidation came while the fill was running.
    #[error("invalidated while it was being filled")]
    Fenced,
    /// A fill that began later was stored already, or a client has stored an item since it began.
    #[error("something newer was stored while it was being filled")]
    Older,
    /// Larger than the limit for one entry.
    #[error("body is {bytes} bytes; limit is {limit}")]
    TooLarge {
        /// The body.
        bytes: usize,
        /// `--max-item-size`.
        limit: usize,
    },
    /// More tags than an entry may have.
    #[error("page has {tags} tags; limit is {TAGS_PER_ENTRY_MAX}")]
    TooManyTags {
        /// How many.
        tags: usize,
    },
    /// Memory is full and eviction is off.
    #[error("memory is full")]
    Full,
    /// The fence can't take another tag, URL or site.
    #[error(transparent)]
    FenceFull(#[from] FenceFull),
}

/// What a fill that is under way depends on.
#[derive(Debug)]
pub struct Pending {
    key: Key,
    claim: Claim,
    /// Held, so that none is dropped from the fence meanwhile.
    cells: CellSet,
}

impl Cache {
    /// The claim of data that is read from now on. To be taken when a miss is decided, before the
    /// origin is asked.
    pub fn claim(&self) -> Claim {
        Claim::at(self.shared.fence.applied())
    }

    /// What a page that is being filled will depend on: its URL, its site and `tags`.
    ///
    /// # Errors
    /// Those of [`Cache::store_page`] that are known before its body is.
    pub fn pending(
        &self,
        key: &Key,
        claim: Claim,
        head: &PageHead,
        tags: &[Tag],
    ) -> Result<Pending, Refusal> {
        if tags.len() > TAGS_PER_ENTRY_MAX {
            return Err(Refusal::TooManyTags { tags: tags.len() });
        }
        let cells = self.shared.fence.intern(targets(tags, Some(head)))?;
        Ok(Pending { key: key.clone(), claim, cells })
    }

    /// The rule, at the hand-over of a fill that is under way to one who waited for it: whether
    /// nothing that was acknowledged before now makes it wrong or stale. What is handed over is
    /// not told to be stale, and nobody refreshes it.
    ///
    /// No stripe is held: a removal of the key that is not seen here is not acknowledged yet.
    pub fn admits(&self, pending: &Pending) -> bool {
        let fence = &self.shared.fence;
        fence.judge_claim(&pending.key, pending.claim, &pending.cells) == Verdict::Fresh
    }

    /// Keeps a page, in place of the variant that was selected by the same request fields.
    pub fn store_page(&self, filling: &Filling, content: Content) -> Result<Entry, Refusal> {
        let shared = &self.shared;
        let (key, claim) = (filling.key(), filling.claim());
        let limit = shared.config.item_bytes_max;
        if content.body.len() > limit {
            return Err(Refusal::TooLarge { bytes: content.body.len(), limit });
        }
        if content.tags.len() > TAGS_PER_ENTRY_MAX {
            return Err(Refusal::TooManyTags { tags: content.tags.len() });
        }
        let cells = shared.fence.intern(Shared::targets(&content))?;
        let stripe = shared.stripe(key.as_bytes());
        if stripe.is_superseded(filling) {
            return Err(Refusal::Older);
        }
        if !shared.fence.admits(key, claim, &cells) {
            shared.stats.refused_fills.inc();
            return Err(Refusal::Fenced);
        }
        let now_ms = shared.clock.now_ms();
        let making = Making::new(Marks::new(claim.birth, cells), shared.next_cas(), now_ms);
        let page = Entry::new(key.as_bytes(), content, making);
        let slot = Slot::Pages(Arc::new(shared.variants_with(key, &page)?));
        if !shared.has_room(&slot) {
            return Err(Refusal::Full);
        }
        shared.store.put(slot);
        shared.stats.stores.inc();
        if let Some(tier) = &shared.tier {
            // Written behind: a page that a crash loses is filled again, and the row that it would
            // have replaced is either still valid or fenced.
            drop(tier.write(key));
            // After it: a look-up that begins in between has asked whether the key is written.
            shared.loads.supersede(key);
        }
        Ok(page)
    }
}

impl Shared {
    /// Everything but its key that an entry is invalidated by.
    pub(super) fn targets(content: &Content) -> Vec<Target> {
        match &content.kind {
            Kind::Item { .. } => targets(&content.tags, None),
            Kind::Page(head) => targets(&content.tags, Some(head)),
        }
    }

    fn variants_with(&self, key: &Key, page: &Entry) -> Result<Vec<Entry>, Refusal> {
        let slot = self.store.look(key.as_bytes());
        let old = match &slot {
            Some(Slot::Pages(old)) => old.iter().as_slice(),
            Some(Slot::Item(_)) | None => &[],
        };
        let mut kept = Vec::with_capacity(old.len() + 1);
        for other in old.iter().filter(|other| self.is_live(key.as_bytes(), other)) {
            if !is_same_variant(other.page(), page.page()) {
                kept.push(Entry::clone(other));
            } else if other.birth() > page.birth() {
                return Err(Refusal::Older);
            }
        }
        let surplus = (kept.len() + 1).saturating_sub(VARIANTS_PER_KEY_MAX);
        kept.drain(..surplus);
        kept.push(Entry::clone(page));
        Ok(kept)
    }
}

fn targets(tags: &[Tag], page: Option<&PageHead>) -> Vec<Target> {
    let page = page
        .into_iter()
        .flat_map(|head| [Target::Site(head.site.clone()), Target::Url(head.url.clone())]);
    tags.iter().cloned().map(Target::Tag).chain(page).collect()
}

fn is_same_variant(one: Option<&Arc<PageHead>>, other: Option<&Arc<PageHead>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.vary == other.vary)
}
