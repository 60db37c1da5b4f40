//! Targets that are shut: between the announcement of a change and its end, nothing that depends on
//! them is kept.
//!
//! # Invariants
//! - A target is shut before it is raised, and the raise published after that: what was stored
//!   before is dead or removed, and a fill that begins after the publication finds it shut.
//! - It is opened after it was raised anew: a store that finds it open finds that raise too, and
//!   refuses what was read in between. So reads never ask here.
//! - Several intents may shut one target; it is open when all of them have ended.
//! - An intent holds the cells that it has shut, so that entries get the same.
//!
//! # Not here
//! When an intent ends (`events`), and that it outlives a crash (`tier`).

use crate::sync::{AtomicUsize, Ordering};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::sync::RwLock;
use foldhash::fast::RandomState;

use super::cell::Cell;
use super::set::CellSet;
use crate::model::{Intent, Key, Target};

type Counts<T> = HashMap<T, usize, RandomState>;

/// What is shut, by whom.
#[derive(Default)]
pub(super) struct ShutTargets {
    /// Shut targets of all intents: while there are none, a store pays one load.
    len: AtomicUsize,
    shut: RwLock<Shut>,
}

#[derive(Default)]
struct Shut {
    intents: HashMap<String, OfIntent, RandomState>,
    /// By the cell's address, which the intent keeps from being used again.
    cells: Counts<usize>,
    keys: Counts<Key>,
    /// By length, then by bytes.
    prefixes: BTreeMap<usize, Counts<Box<[u8]>>>,
    everything: usize,
}

/// What one intent has shut.
struct OfIntent {
    until_ms: u64,
    targets: HashMap<Target, ShutAs, RandomState>,
}

/// What stands for a target that is shut.
enum ShutAs {
    Cell(Arc<Cell>),
    Key(Key),
    Prefix(Key),
    /// Also what stands for a target that the fence has no room for.
    Everything,
}

impl ShutAs {
    fn of(target: &Target, cell: Option<Arc<Cell>>) -> Self {
        match (target, cell) {
            (Target::Key(key), _) => Self::Key(key.clone()),
            (Target::Prefix(prefix), _) => Self::Prefix(prefix.clone()),
            (Target::Tag(_) | Target::Url(_) | Target::Site(_), Some(cell)) => Self::Cell(cell),
            (Target::Tag(_) | Target::Url(_) | Target::Site(_), None) | (Target::Everything, _) => {
                Self::Everything
            }
        }
    }
}

impl ShutTargets {
    /// Shuts targets, each with its cell where it has one; those that the intent has shut before
    /// stay so, and all of them until the later moment.
    pub(super) fn shut(
        &self,
        intent: &Intent,
        targets: impl Iterator<Item = (Target, Option<Arc<Cell>>)>,
    ) {
        let mut shut = self.shut.write();
        let mut of_intent = shut.intents.remove(&intent.name).unwrap_or_else(OfIntent::new);
        of_intent.until_ms = intent.until_ms.max(of_intent.until_ms);
        for (target, cell) in targets {
            let shut_as = ShutAs::of(&target, cell);
            if let Entry::Vacant(place) = of_intent.targets.entry(target) {
                shut.count(&shut_as);
                place.insert(shut_as);
                self.len.fetch_add(1, Ordering::Release);
            }
        }
        shut.intents.insert(intent.name.clone(), of_intent);
    }

    /// Ends an intent. The caller has raised its targets.
    pub(super) fn open(&self, name: &str) {
        let mut shut = self.shut.write();
        let Some(of_intent) = shut.intents.remove(name) else { return };
        for shut_as in of_intent.targets.values() {
            shut.discount(shut_as);
        }
        self.len.fetch_sub(of_intent.targets.len(), Ordering::Release);
    }

    /// Whether something that an entry would depend on is shut.
    pub(super) fn is_shut(&self, key: &[u8], cells: &CellSet) -> bool {
        if self.len.load(Ordering::Acquire) == 0 {
            return false;
        }
        let shut = self.shut.read();
        shut.everything > 0
            || cells.iter().any(|cell| shut.cells.contains_key(&address(cell)))
            || (!shut.keys.is_empty() && shut.has_key(key))
            || shut.has_prefix(key)
    }

    /// What an intent has shut; `None` for one that is unknown or has ended.
    pub(super) fn targets(&self, name: &str) -> Option<Vec<Target>> {
        let shut = self.shut.read();
        shut.intents.get(name).map(|of_intent| of_intent.targets.keys().cloned().collect())
    }

    /// The intent that is to end first.
    pub(super) fn first_due(&self) -> Option<Intent> {
        let shut = self.shut.read();
        let first = shut.intents.iter().min_by_key(|(_, of_intent)| of_intent.until_ms);
        first.map(|(name, of_intent)| Intent { name: name.clone(), until_ms: of_intent.until_ms })
    }

    /// How many intents there are, and how many targets they have shut.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.shut.read().intents.len(), self.len.load(Ordering::Relaxed))
    }
}

impl OfIntent {
    fn new() -> Self {
        Self { until_ms: 0, targets: HashMap::default() }
    }
}

impl Shut {
    fn count(&mut self, shut_as: &ShutAs) {
        match shut_as {
            ShutAs::Cell(cell) => add(&mut self.cells, address(cell)),
            ShutAs::Key(key) => add(&mut self.keys, key.clone()),
            ShutAs::Prefix(prefix) => {
                let of_length = self.prefixes.entry(prefix.as_bytes().len()).or_default();
                add(of_length, prefix.as_bytes().into());
            }
            ShutAs::Everything => self.everything += 1,
        }
    }

    fn discount(&mut self, shut_as: &ShutAs) {
        match shut_as {
            ShutAs::Cell(cell) => remove(&mut self.cells, &address(cell)),
            ShutAs::Key(key) => remove(&mut self.keys, key),
            ShutAs::Prefix(prefix) => {
                let length = prefix.as_bytes().len();
                if let Some(of_length) = self.prefixes.get_mut(&length) {
                    remove(of_length, &prefix.as_bytes().into());
                    if of_length.is_empty() {
                        self.prefixes.remove(&length);
                    }
                }
            }
            ShutAs::Everything => self.everything = self.everything.saturating_sub(1),
        }
    }

    fn has_key(&self, key: &[u8]) -> bool {
        Key::new(key).is_ok_and(|key| self.keys.contains_key(&key))
    }

    fn has_prefix(&self, key: &[u8]) -> bool {
        self.prefixes.range(..=key.len()).any(|(length, of_length)| {
            key.get(..*length).is_some_and(|prefix| of_length.contains_key(prefix))
        })
    }
}

fn address(cell: &Arc<Cell>) -> usize {
    Arc::as_ptr(cell).addr()
}

fn add<T: Eq + Hash>(counts: &mut Counts<T>, one: T) {
    *counts.entry(one).or_default() += 1;
}

fn remove<T: Eq + Hash>(counts: &mut Counts<T>, one: &T) {
    let Some(count) = counts.get_mut(one) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tag;

    fn intent(name: &str, until_ms: u64) -> Intent {
        Intent { name: name.into(), until_ms }
    }

    fn set(cells: &[&Arc<Cell>]) -> CellSet {
        let cells: Vec<_> = cells.iter().copied().cloned().collect();
        CellSet::new(&cells, CellSet::default())
    }

    fn named(name: &str) -> Key {
        Key::new(name.as_bytes()).unwrap()
    }

    fn shut(targets: &ShutTargets, name: &str, target: Target, cell: Option<&Arc<Cell>>) {
        targets.shut(&intent(name, 1), [(target, cell.cloned())].into_iter());
    }

    #[test]
    fn a_target_is_open_when_all_who_shut_it_have_ended() {
        let (targets, cell, other) = (ShutTargets::default(), Arc::default(), Arc::default());
        let tag = || Target::Tag(Tag::new("t").unwrap());
        for name in ["one", "two", "two"] {
            shut(&targets, name, tag(), Some(&cell));
        }
        assert!(targets.is_shut(b"k", &set(&[&other, &cell])));
        assert!(!targets.is_shut(b"k", &set(&[&other])));
        targets.open("one");
        targets.open("one");
        assert!(targets.is_shut(b"k", &set(&[&cell])));
        targets.open("two");
        assert!(!targets.is_shut(b"k", &set(&[&cell])));
        assert_eq!(targets.counts(), (0, 0));
    }

    #[test]
    fn keys_prefixes_and_everything_are_shut_by_their_bytes() {
        let targets = ShutTargets::default();
        shut(&targets, "key", Target::Key(named("ab")), None);
        let is_shut = |targets: &ShutTargets| {
            [&b"a"[..], b"ab", b"abc"].map(|k| targets.is_shut(k, &CellSet::default()))
        };
        assert_eq!(is_shut(&targets), [false, true, false]);
        shut(&targets, "prefix", Target::Prefix(named("ab")), None);
        assert_eq!(is_shut(&targets), [false, true, true]);
        targets.open("key");
        assert_eq!(is_shut(&targets), [false, true, true]);
        targets.open("prefix");
        shut(&targets, "everything", Target::Everything, None);
        assert_eq!(is_shut(&targets), [true, true, true]);
        targets.open("everything");
        assert_eq!(is_shut(&targets), [false, false, false]);
    }

    #[test]
    fn a_tag_without_a_cell_shuts_everything() {
        let targets = ShutTargets::default();
        shut(&targets, "full", Target::Tag(Tag::new("t").unwrap()), None);
        assert!(targets.is_shut(b"other", &CellSet::default()));
    }

    #[test]
    fn an_intent_that_is_announced_again_grows_and_ends_later() {
        let targets = ShutTargets::default();
        for (until_ms, key) in [(9, "a"), (7, "b")] {
            let target = (Target::Key(named(key)), None);
            targets.shut(&intent("one", until_ms), [target].into_iter());
        }
        targets.shut(&intent("two", 8), [(Target::Key(named("c")), None)].into_iter());
        assert_eq!(targets.first_due(), Some(intent("two", 8)));
        assert_eq!((targets.counts(), targets.targets("one").unwrap().len()), ((2, 3), 2));
        targets.open("two");
        assert_eq!(targets.first_due(), Some(intent("one", 9)));
        assert_eq!(targets.targets("two"), None);
    }
}
