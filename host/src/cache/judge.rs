//! The rule for rows that nobody has loaded: what would become of them now.
//!
//! # Invariants
//! - The same fence is asked in the same way as when a row is loaded.

use super::fence::{Claim, Verdict};
use super::tier::Row;
use super::{Cache, Shared};
use crate::model::Key;

impl Cache {
    /// What the rule says about a row of the tier; its expiry is for the caller to judge.
    pub fn judge_row(&self, key: &Key, row: &Row) -> Verdict {
        let fence = &self.shared.fence;
        // What can't be asked about can't be served.
        let Ok(cells) = fence.intern(Shared::targets(&row.content)) else { return Verdict::Dead };
        let claim = Claim { birth: row.birth, since: fence.applied() };
        fence.judge_claim(key, claim, &cells)
    }
}
