//! Counting what an invalidation would make wrong, by looking at every entry.
//!
//! # Invariants
//! - Nothing is changed: no row of the fence, no entry, no memory of the past.
//! - An entry counts once however many targets name it.
//!
//! # Not here
//! Entries that only the tier has; the count of live entries that each tag keeps (`fence::cell`),
//! which costs nothing and names an entry once for each of its tags.

use std::collections::HashMap;

use super::entry::Entry;
use super::invalidate::{Applied, InvalidateError};
use super::{Cache, Shared};
use crate::model::{Invalidation, Key, Mode, Tag, Target};

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
        let names = Names::of(targets);
        let mut affected = Affected { entries: 0, by_target: vec![0; targets.len()] };
        for slot in self.shared.store.iter() {
            for entry in slot.entries() {
                self.shared.count_named(&names, slot.key(), entry, &mut affected);
            }
        }
        affected
    }

    /// [`Cache::invalidate`] with a count that is exact also for prefixes and for everything, which
    /// takes a scan of the memory before.
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
        let scan = tokio::task::spawn_blocking(move || cache.would_affect(&targets).entries);
        let scanned = scan.await.ok();
        let applied = self.invalidate(invalidation).await?;
        Ok(Applied { affected: scanned.unwrap_or(applied.affected), ..applied })
    }
}

impl Shared {
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
