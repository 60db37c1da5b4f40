//! Which release of Django computes keys, as far as they depend on it.
//!
//! # Invariants
//! - A release that could compute keys in two ways, such as "5.2", is not accepted.
//!
//! # Not here
//! The keys.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A release of Django: `5.2.19`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    major: u32,
    minor: u32,
    patch: u32,
}

/// How values become bytes of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// One after the other; what is absent leaves no trace.
    Bare,
    /// The same, with a mark for what is absent.
    Marked,
    /// With the length before each, and the mark.
    Netstring,
}

impl Release {
    /// The newest that changed the keys; those after it are taken to compute them alike.
    pub const NEWEST: Self = Self::NETSTRINGS;
    const OLDEST: Self = Self { major: 4, minor: 2, patch: 0 };
    const NETSTRINGS: Self = Self { major: 6, minor: 1, patch: 0 };
    /// The first of each series of releases that marks absent fields.
    const MARKED: [Self; 2] =
        [Self { major: 5, minor: 2, patch: 19 }, Self { major: 6, minor: 0, patch: 10 }];

    pub(super) fn fragment_coding(self) -> Coding {
        if self >= Self::NETSTRINGS { Coding::Netstring } else { Coding::Bare }
    }

    pub(super) fn page_coding(self) -> Coding {
        let is_marked =
            |first: &Self| (self.major, self.minor) == (first.major, first.minor) && self >= *first;
        if self >= Self::NETSTRINGS {
            Coding::Netstring
        } else if Self::MARKED.iter().any(is_marked) {
            Coding::Marked
        } else {
            Coding::Bare
        }
    }
}

/// From `django.get_version()`: `4.2.30`, `6.1`.
impl FromStr for Release {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        let (major, minor, patch) = match numbers.as_deref() {
            Some(&[major, minor]) => (major, minor, None),
            Some(&[major, minor, patch]) => (major, minor, Some(patch)),
            _ => return Err(Error::new(format!("{text:?} is no release of Django like 5.2.19"))),
        };
        let changed = |first: &&Self| (first.major, first.minor) == (major, minor);
        if let (None, Some(first)) = (patch, Self::MARKED.iter().find(changed)) {
            let problem = format!("{text:?} lacks its third number: keys changed in {first}");
            return Err(Error::new(problem));
        }
        let release = Self { major, minor, patch: patch.unwrap_or(0) };
        if release < Self::OLDEST {
            return Err(Error::new(format!("{text:?}: the keys of Django before 4.2 are unknown")));
        }
        Ok(release)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
