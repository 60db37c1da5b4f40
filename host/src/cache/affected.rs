//! Counting what an invalidation would make wrong, by looking at entries: at all of them for a dry
//! run, at a bounded number of them before an acknowledgement.
//!
//! # Invariants
//! - Nothing is changed: no row of the fence, no entry, no memory of the past.
//! - An entry counts once however many targets name it.
//! - An acknowledgement waits for no more looks than [`KEYS_LOOKED_AT_MAX`], however much there is.
//!
//! # Not here
//! Entries that only the tier has; the count of live entries that each tag keeps (`fence::cell`),
//! which costs nothing and names an entry once for each of its tags.

use std::collections::HashMap;

use super::entry::Entry;
use super::invalidate::{Applied, Counted, InvalidateError};
use super::{Cache, Shared};
use crate::model::{Invalidation, Key, Mode, Tag, Target};

/// Keys that are looked at before an acknowledgement: some milliseconds. Shards are filled by a
/// seeded hash, so that some of them are a fair sample of all, good to some percent.
const KEYS_LOOKED_AT_MAX: u64 = 20_000;

/// What an invalidation would make wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Affected {
    /// Entries in memory, each counted once.
    pub entries: u64,
    /// For each target, in their order, the entries that it names.
    pub by_target: Vec<u64>,
}

impl Cache {
    /// Counts the live entries in memory that these targets name. Scans the memory; not for an I/O
    /// thread.
    pub fn would_affect(&self, targets: &[(Target, Mode)]) -> Affected {
        self.shared.look(targets, u64::MAX).affected
    }

    /// [`Cache::invalidate`] with a count also for prefixes and for everything, by a look at the
    /// memory before: exact where it holds few keys, else estimated from some of them.
    ///
    /// # Errors
    /// Those of [`Cache::invalidate`].
    pub async fn invalidate_counted(
        &self,
        invalidation: Invalidation,
    ) -> Result<Applied, InvalidateError> {
        let is_wide = |target: &Target| matches!(target, Target::Prefix(_) | Target::Everything);
        if !invalidation.targets.iter().any(|(target, _)| is_wide(target)) {
            return self.invalidate(invalidation).await;
        }
        let (cache, targets) = (self.clone(), invalidation.targets.clone());
        let is_all = targets.iter().any(|(target, _)| *target == Target::Everything);
        let look = move || {
            let look = cache.shared.look(&targets, KEYS_LOOKED_AT_MAX);
            look.extrapolated(cache.len())
        };
        let looked = tokio::task::spawn_blocking(look).await.ok();
        let applied = self.invalidate(invalidation).await?;
        Ok(match looked {
            Some((affected, Counted::Exactly)) => Applied { affected, ..applied },
            // Few that tags name may not be in a sample, and yet are known.
            Some((affected, counted)) if !is_all => {
                Applied { affected: affected.max(applied.affected), counted, ..applied }
            }
            Some((affected, counted)) => Applied { affected, counted, ..applied },
            None => applied,
        })
    }
}

/// What was seen, and among how many keys.
struct Look {
    affected: Affected,
    keys: u64,
    counted: Counted,
}

impl Look {
    /// As many entries of `keys` keys as of those looked at.
    fn extrapolated(self, keys: u64) -> (u64, Counted) {
        let entries = self.affected.entries;
        let estimate = entries.saturating_mul(keys).checked_div(self.keys).unwrap_or(entries);
        match self.counted {
            Counted::Exactly => (entries, Counted::Exactly),
            Counted::Estimated => (estimate, Counted::Estimated),
        }
    }
}

impl Shared {
    /// Looks at whole shards until that were so many keys.
    fn look(&self, targets: &[(Target, Mode)], keys_max: u64) -> Look {
        let names = Names::of(targets);
        let affected = Affected { entries: 0, by_target: vec![0; targets.len()] };
        let mut look = Look { affected, keys: 0, counted: Counted::Exactly };
        for number in 0..self.store.shards() {
            if look.keys >= keys_max {
                look.counted = Counted::Estimated;
                break;
            }
            for slot in self.store.shard_slots(number) {
                look.keys += 1;
                for entry in slot.entries() {
                    self.count_named(&names, slot.key(), entry, &mut look.affected);
                }
            }
        }
        look
    }

    fn count_named(&self, names: &Names<'_>, key: &[u8], entry: &Entry, affected: &mut Affected) {
        let mut is_named = false;
        names.each_naming(key, entry, |target| {
            // Judged only where it matters: most entries are named by nothing.
            if (is_named || self.is_live(key, entry))
                && let Some(count) = affected.by_target.get_mut(target)
            {
                is_named = true;
                *count += 1;
            }
        });
        affected.entries += u64::from(is_named);
    }
}

/// Targets by what they name, with their places in the list.
#[derive(Default)]
struct Names<'a> {
    tags: HashMap<&'a Tag, usize>,
    urls: HashMap<&'a str, usize>,
    sites: HashMap<&'a str, usize>,
    keys: HashMap<&'a [u8], usize>,
    prefixes: Vec<(&'a Key, usize)>,
    everything: Option<usize>,
}

impl<'a> Names<'a> {
    fn of(targets: &'a [(Target, Mode)]) -> Self {
        let mut names = Self::default();
        for (place, (target, _)) in targets.iter().enumerate() {
            match target {
                Target::Tag(tag) => drop(names.tags.insert(tag, place)),
                Target::Url(url) => drop(names.urls.insert(url, place)),
                Target::Site(site) => drop(names.sites.insert(site, place)),
                Target::Key(key) => drop(names.keys.insert(key.as_bytes(), place)),
                Target::Prefix(prefix) => names.prefixes.push((prefix, place)),
                Target::Everything => names.everything = Some(place),
            }
        }
        names
    }

    fn each_naming(&self, key: &[u8], entry: &Entry, mut visit: impl FnMut(usize)) {
        let tags = entry.tags().iter().filter_map(|tag| self.tags.get(tag));
        let url = entry.page().and_then(|page| self.urls.get(&*page.url));
        let site = entry.page().and_then(|page| self.sites.get(&*page.site));
        tags.chain(url).chain(site).chain(self.keys.get(key)).for_each(|place| visit(*place));
        let prefixes = self.prefixes.iter().filter(|(p, _)| key.starts_with(p.as_bytes()));
        prefixes.for_each(|(_, place)| visit(*place));
        self.everything.into_iter().for_each(visit);
    }
}
