//! One shard of the store: a hash index over a slab of slots, and a clock's hand over the slab.
//!
//! Eviction is CLOCK (Corbató 1968): a hit leaves a mark, the hand clears marks and takes the first
//! slot without one. What is put takes the place behind the hand, which comes to it last.
//!
//! # Invariants
//! - A number in the index is that of a slot in use, and every slot in use is in the index once.
//! - Free places form a list through themselves.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::Slot;
use crate::cache::entry::Entry;

/// Ends the list of free places.
const NO_PLACE: u32 = u32::MAX;

/// A shard that has become empty gives its tables back if they are larger than this.
const KEPT_PLACES_MAX: usize = 64;

/// A place in the slab; 16 bytes.
#[derive(Debug)]
enum Place {
    Free { next: u32 },
    Item { is_used: bool, entry: Entry },
    Pages { is_used: bool, entries: Arc<Vec<Entry>> },
}

impl Place {
    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Free { .. } => None,
            Self::Item { entry, .. } => Some(Slot::Item(entry.clone())),
            Self::Pages { entries, .. } => Some(Slot::Pages(Arc::clone(entries))),
        }
    }

    fn key(&self) -> &[u8] {
        let first = match self {
            Self::Free { .. } => None,
            Self::Item { entry, .. } => Some(entry),
            Self::Pages { entries, .. } => entries.first(),
        };
        first.map(Entry::key).unwrap_or_default()
    }

    fn into_slot(self) -> Option<Slot> {
        match self {
            Self::Free { .. } => None,
            Self::Item { entry, .. } => Some(Slot::Item(entry)),
            Self::Pages { entries, .. } => Some(Slot::Pages(entries)),
        }
    }

    /// Its mark of use, while a slot is in it.
    fn mark(&mut self) -> Option<&mut bool> {
        match self {
            Self::Free { .. } => None,
            Self::Item { is_used, .. } | Self::Pages { is_used, .. } => Some(is_used),
        }
    }
}

impl From<Slot> for Place {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Item(entry) => Self::Item { is_used: false, entry },
            Slot::Pages(entries) => Self::Pages { is_used: false, entries },
        }
    }
}

/// A shard.
#[derive(Debug)]
pub(super) struct Shard {
    index: HashTable<u32>,
    places: Vec<Place>,
    first_free: u32,
    hand: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: HashTable::new(), places: Vec::new(), first_free: NO_PLACE, hand: 0 }
    }
}

impl Shard {
    /// The slot of a key, and a mark that it was used.
    pub(super) fn get(&mut self, hash: u64, key: &[u8]) -> Option<Slot> {
        let Self { index, places, .. } = self;
        let number = *index.find(hash, |number| is_at(places, *number, key))?;
        let place = places.get_mut(number as usize)?;
        if let Some(mark) = place.mark()
            && !*mark
        {
            *mark = true;
        }
        place.slot()
    }

    /// Puts a slot of a key that has none.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot, hasher: &RandomState) {
        let number = match self.places.get(self.first_free as usize) {
            Some(Place::Free { next }) => std::mem::replace(&mut self.first_free, *next),
            _ => {
                self.places.push(Place::Free { next: NO_PLACE });
                // Memory ends long before: a place stands for an entry of a hundred bytes.
                u32::try_from(self.places.len() - 1).unwrap_or(NO_PLACE)
            }
        };
        let Self { index, places, .. } = self;
        if let Some(place) = places.get_mut(number as usize) {
            *place = Place::from(slot);
            index.insert_unique(hash, number, |other| {
                hasher.hash_one(places.get(*other as usize).map(Place::key).unwrap_or_default())
            });
        }
    }

    /// Takes the slot of a key out.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Slot> {
        let places = &self.places;
        let found = self.index.find_entry(hash, |number| is_at(places, *number, key)).ok()?;
        let (number, _) = found.remove();
        self.take(number)
    }

    /// Takes out the slot that was not used for longest, about.
    pub(super) fn evict(&mut self, hasher: &RandomState) -> Option<Slot> {
        // Once around clears every mark, so that the second round finds one.
        for _ in 0..=2 * self.places.len() {
            let number = self.hand;
            self.hand = (number + 1) % self.places.len().max(1);
            let Some(place) = self.places.get_mut(number) else { continue };
            match place.mark() {
                None => {}
                Some(mark) if *mark => *mark = false,
                Some(_) => {
                    let hash = hasher.hash_one(place.key());
                    let number = u32::try_from(number).ok()?;
                    if let Ok(found) = self.index.find_entry(hash, |other| *other == number) {
                        found.remove();
                    }
                    return self.take(number);
                }
            }
        }
        None
    }

    /// Everything in it.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.places.iter().filter_map(Place::slot).collect()
    }

    /// Frees a place that is no longer in the index.
    fn take(&mut self, number: u32) -> Option<Slot> {
        let free = Place::Free { next: self.first_free };
        let place = std::mem::replace(self.places.get_mut(number as usize)?, free);
        self.first_free = number;
        if self.index.is_empty() && self.places.len() > KEPT_PLACES_MAX {
            *self = Self::default();
        }
        place.into_slot()
    }
}

fn is_at(places: &[Place], number: u32, key: &[u8]) -> bool {
    places.get(number as usize).is_some_and(|place| place.key() == key)
}

/// What a place and its share of the index take, growth of the tables included.
pub(super) const PLACE_BYTES: usize = size_of::<Place>() + size_of::<Place>() / 2 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_two_words() {
        assert_eq!(size_of::<Place>(), 16);
    }
}
