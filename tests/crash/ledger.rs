//! What the clients know: which value is how old, what was acknowledged when, and therefore what
//! nobody may read any more.
//!
//! # Invariants
//! - Times are taken outside: before a command is sent and after its answer. So a value counts as
//!   older than an invalidation only if it certainly was.
//! - What was not acknowledged forbids nothing.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use wasmcached_tests::wait::monotonic_ns;

use crate::names::{Place, TARGETS, TagSet, Target};

/// How an invalidation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody reads it.
    Hard,
    /// Pages may be served stale while they are fetched anew.
    Soft,
}

/// For every target, when the latest acknowledged invalidation of it began: values from before are
/// not to be read.
#[derive(Debug, Clone)]
pub(crate) struct Floors {
    hard: [u64; TARGETS],
    any: [u64; TARGETS],
}

impl Floors {
    fn raise(&mut self, target: Target, mode: Mode, began_ns: u64) {
        let index = target.index();
        self.any[index] = self.any[index].max(began_ns);
        if mode == Mode::Hard {
            self.hard[index] = self.hard[index].max(began_ns);
        }
    }
}

/// What may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Only what is right.
    Fresh,
    /// Also what was purged softly.
    WithStale,
}

struct Value {
    place: Place,
    tags: TagSet,
    /// When its data was certainly read; in the future as long as nobody knows.
    made_ns: u64,
}

/// An event whose source holds its events.
struct Held {
    targets: Vec<Target>,
    began_ns: u64,
    ended_ns: u64,
}

impl Held {
    /// Whether its second time had certainly come by then.
    fn is_due(&self, now_ns: u64, hold_ns: u64) -> bool {
        self.ended_ns + hold_ns + ROUNDING_NS <= now_ns
    }
}

struct State {
    values: HashMap<u64, Value>,
    floors: Floors,
    held: Vec<Held>,
    sequences: HashSet<u64>,
    last_sequence: u64,
    reads: u64,
    hits: u64,
    acknowledged: u64,
    refused: u64,
}

/// The record of one server's clients over all its lives.
pub(crate) struct Ledger {
    state: Mutex<State>,
    hold_ns: u64,
}

/// Milliseconds are rounded on the way.
const ROUNDING_NS: u64 = 3_000_000;

impl Ledger {
    /// An empty one, for a server whose source holds its events for so long.
    pub(crate) fn new(hold_ms: u64) -> Self {
        let floors = Floors { hard: [0; TARGETS], any: [0; TARGETS] };
        let state = State {
            values: HashMap::new(),
            floors,
            held: Vec::new(),
            sequences: HashSet::new(),
            last_sequence: 0,
            reads: 0,
            hits: 0,
            acknowledged: 0,
            refused: 0,
        };
        Self { state: Mutex::new(state), hold_ns: hold_ms * 1_000_000 }
    }

    /// A new value, which has not been sent yet: its number.
    pub(crate) fn begin_value(&self, place: Place, tags: TagSet) -> u64 {
        self.add_value(place, tags, u64::MAX)
    }

    /// A page that the origin computes now: its number.
    pub(crate) fn render(&self, page: usize, tags: TagSet) -> u64 {
        self.add_value(Place::Page(page), tags, monotonic_ns())
    }

    fn add_value(&self, place: Place, tags: TagSet, made_ns: u64) -> u64 {
        let mut state = self.state.lock();
        let number = state.values.len() as u64;
        state.values.insert(number, Value { place, tags, made_ns });
        number
    }

    /// The value was stored, or refused: its data is not newer than now.
    pub(crate) fn end_value(&self, number: u64) {
        if let Some(value) = self.state.lock().values.get_mut(&number) {
            value.made_ns = monotonic_ns();
        }
    }

    /// The server is gone: whatever it had not answered is from before now.
    pub(crate) fn note_crash(&self) {
        let now_ns = monotonic_ns();
        let mut state = self.state.lock();
        for value in state.values.values_mut() {
            value.made_ns = value.made_ns.min(now_ns);
        }
    }

    /// An invalidation that began then was acknowledged, just now.
    pub(crate) fn acknowledge(&self, targets: &[Target], mode: Mode, began_ns: u64) {
        let mut state = self.state.lock();
        state.acknowledged += 1;
        for target in targets {
            state.floors.raise(*target, mode, began_ns);
        }
    }

    /// A command was refused because nothing could be made durable: it may or may not be in force.
    pub(crate) fn refuse(&self) {
        self.state.lock().refused += 1;
    }

    /// An event that began then was acknowledged, just now; it will be applied again.
    pub(crate) fn hold(&self, targets: &[Target], began_ns: u64) {
        let held = Held { targets: targets.to_vec(), began_ns, ended_ns: monotonic_ns() };
        self.state.lock().held.push(held);
    }

    /// Whether a server that is started now finds the time of every held event over.
    pub(crate) fn is_all_due(&self) -> bool {
        let now_ns = monotonic_ns();
        self.state.lock().held.iter().all(|held| held.is_due(now_ns, self.hold_ns))
    }

    /// The server was started at that time and is ready: what was due then has been applied again.
    pub(crate) fn note_start(&self, launched_ns: u64) {
        let hold_ns = self.hold_ns;
        let mut state = self.state.lock();
        let held = std::mem::take(&mut state.held).into_iter();
        let (due, waiting) = held.partition(|held| held.is_due(launched_ns, hold_ns));
        state.held = waiting;
        let due: Vec<Held> = due;
        for held in due {
            for target in held.targets {
                let again_ns = held.began_ns + hold_ns - ROUNDING_NS;
                state.floors.raise(target, Mode::Hard, again_ns);
            }
        }
    }

    /// The last sequence that anybody has been told.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.state.lock().last_sequence
    }

    /// A sequence that was told; `before` is the last one from before the question.
    #[track_caller]
    pub(crate) fn note_sequence(&self, sequence: u64, before: u64) {
        let mut state = self.state.lock();
        assert!(sequence > before, "sequence {sequence} was given out after {before}");
        assert!(state.sequences.insert(sequence), "sequence {sequence} was given out twice");
        state.last_sequence = state.last_sequence.max(sequence);
    }

    /// What a read that begins now may not return.
    pub(crate) fn floors(&self) -> Floors {
        self.state.lock().floors.clone()
    }

    /// A read that began with these floors has returned this.
    #[track_caller]
    pub(crate) fn check(&self, place: Place, found: Option<&[u8]>, sight: Sight, floors: &Floors) {
        let mut state = self.state.lock();
        state.reads += 1;
        let Some(body) = found else { return };
        state.hits += 1;
        let number = number_of(body).unwrap_or_else(|| panic!("{place:?} has {body:?}"));
        let value = state.values.get(&number).expect("a value that somebody sent");
        assert_eq!(value.place, place, "value {number} is at another place");
        let floors = match (sight, place) {
            (Sight::WithStale, Place::Page(_)) => &floors.hard,
            _ => &floors.any,
        };
        for target in place.targets(value.tags) {
            let floor_ns = floors[target.index()];
            assert!(
                value.made_ns > floor_ns,
                "{place:?} has value {number} of {} ns, but an invalidation of {target:?} that \
                 began at {floor_ns} ns was acknowledged",
                value.made_ns
            );
        }
    }

    /// Reads, how many of them found something, and acknowledged and refused commands.
    pub(crate) fn counts(&self) -> (u64, u64, u64, u64) {
        let state = self.state.lock();
        (state.reads, state.hits, state.acknowledged, state.refused)
    }
}

/// The body of a value: its number and something to fill it up.
pub(crate) fn body_of(number: u64, bytes: usize) -> String {
    format!("{number}|{}", "x".repeat(bytes))
}

fn number_of(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    text.split_once('|')?.0.parse().ok()
}
