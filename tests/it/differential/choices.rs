//! What the generators choose from: keys, values, times, and what may be done to a key.

use std::collections::BTreeSet;

use wasmcached_tests::Random;

use super::run::Dialect;

/// A key as its bytes; those that a line can't hold are sent in base64 only.
pub(super) type Key = Vec<u8>;

/// The longest that a key may be (protocol.txt, "Keys").
pub(super) const KEY_BYTES_MAX: usize = 250;

/// The random choices of one sequence.
pub(super) struct Choices {
    /// What decides.
    pub(super) random: Random,
    /// What may be sent at all.
    pub(super) dialect: Dialect,
    /// Whether an item may be stale: the classic commands don't see such items here.
    pub(super) has_stale: bool,
    /// Whether an item may be somebody's to recache.
    pub(super) has_lease: bool,
    /// Keys that may have been missed.
    read: BTreeSet<Key>,
    /// Keys that may have been missed and were invalidated since: a value for them may be refused.
    fenced: BTreeSet<Key>,
}

impl Choices {
    /// The choices of this seed, of what this memcached knows.
    pub(super) fn new(seed: u64, dialect: Dialect) -> Self {
        Self {
            random: Random::new(seed),
            dialect,
            has_stale: false,
            has_lease: false,
            read: BTreeSet::new(),
            fenced: BTreeSet::new(),
        }
    }

    /// Any key of those that a line can hold.
    pub(super) fn key(&mut self) -> Key {
        match self.random.below(20) {
            0..6 => b"a".to_vec(),
            6..10 => b"b".to_vec(),
            10..13 => "k\u{e9}\u{1}".into(),
            13..18 => b"n".to_vec(),
            18 => b"C".repeat(KEY_BYTES_MAX),
            _ => b"0".to_vec(),
        }
    }

    /// Any key, also of those that only base64 can hold.
    pub(super) fn binary_key(&mut self) -> Key {
        match self.random.below(4) {
            0 => b"\0 \n\xff".to_vec(),
            1 => b"two words".to_vec(),
            _ => self.key(),
        }
    }

    /// Notes that a key was looked up, and may have been missed.
    pub(super) fn note_read(&mut self, key: &Key) {
        self.read.insert(key.clone());
    }

    /// Notes that a key was invalidated.
    pub(super) fn note_delete(&mut self, key: &Key) {
        if self.read.contains(key) {
            self.fenced.insert(key.clone());
        }
    }

    /// Notes that everything was invalidated.
    pub(super) fn note_flush(&mut self) {
        self.fenced = self.read.clone();
    }

    /// Notes that an item may have been marked as stale.
    pub(super) fn note_stale(&mut self) {
        self.has_stale = true;
    }

    /// Whether a value may be stored whose reply both servers agree on.
    pub(super) fn may_store(&self, key: &Key) -> bool {
        !self.fenced.contains(key)
    }

    /// A value; the key `n` is for numbers mostly.
    pub(super) fn value(&mut self, key: &Key) -> Vec<u8> {
        let is_number = key.as_slice() == b"n" && self.random.percent(80);
        match self.random.below(40) {
            _ if is_number => self.number().into_bytes(),
            0..4 => Vec::new(),
            4..8 => self.number().into_bytes(),
            8..10 => b"two\r\nlines".to_vec(),
            10..12 => b"END\r\nSTORED\r\n".to_vec(),
            12..16 => {
                let count = self.random.below(300);
                self.random.bytes(count)
            }
            16 => {
                let count = 1_000 + self.random.below(20_000);
                vec![b'm'; count]
            }
            _ => {
                let count = 1 + self.random.below(12);
                (0..count).map(|_| b'a' + self.random.below(26) as u8).collect()
            }
        }
    }

    /// What may be counted with, or just not.
    pub(super) fn number(&mut self) -> String {
        let numbers = ["0", "1", "7", "10", "99", "007", self.largest()];
        let odd = ["18446744073709551616", "-1", "5 ", " 5", "1x", "+1", ""];
        match self.random.below(10) {
            0..7 => (self.random.pick(&numbers)).to_owned(),
            7 => self.random.below(1_000_000).to_string(),
            _ => (self.random.pick(&odd)).to_owned(),
        }
    }

    /// The largest number that is counted with. In one of 2^63 or more memcached 1.6.18 looks for a
    /// minus, also in what lies behind the value, so that it may be no number.
    pub(super) fn largest(&self) -> &'static str {
        match self.dialect {
            Dialect::V1_6_18 => "1000000000000",
            Dialect::V1_6_45 => "18446744073709551615",
        }
    }

    /// A time to live that neither ends while the test runs nor is near the clock's grain.
    pub(super) fn exptime(&mut self) -> &'static str {
        let lasting = ["0", "0", "0", "100", "1000", "5000", "86400", "2592000", "2000000000"];
        let past = ["-1", "-100", "1000000000", "2592001"];
        if self.random.percent(10) { self.random.pick(&past) } else { self.random.pick(&lasting) }
    }

    /// Client flags.
    pub(super) fn flags(&mut self) -> &'static str {
        self.random.pick(&["0", "0", "1", "42", "65536", "4294967295"])
    }
}
