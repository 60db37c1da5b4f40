//! How much a slot is used: its lives for eviction, and its heat for what is to come back first
//! after a restart.
//!
//! Heat is the number of uses, those of earlier rounds counting less and less: at each round's end
//! an eighth of it goes and the uses of that round are added (an exponential moving average). What
//! a round is, and when it ends, is the owner's.
//!
//! # Invariants
//! - A use is counted beside the pointer to the entry that was just read. The count stops at its
//!   largest value, so that what is used most is written least; where nobody wants to know, it is
//!   the largest from the beginning, and a use writes nothing.
//! - Heat decides about no eviction, and lives decide nothing about heat.

/// Passes of the hand that a slot outlives after it was put.
pub(super) const LIVES_PUT: u8 = 1;

/// Passes of the hand that a slot outlives after it was used.
pub(super) const LIVES_USED: u8 = 2;

/// The heat of one use: so much that it can be told from none for some hours of rounds.
pub(crate) const HEAT_PER_USE: u32 = 1 << 12;

/// One part in so many of the heat goes at the end of a round.
const COOLING_IS_ONE_IN: u32 = 8;

/// What is known of the use of a key apart from lives; stays when its slot is replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    /// Uses in this round; stops at the largest.
    pub uses: u16,
    /// As of the last round's end.
    pub heat: u32,
}

impl Past {
    /// Of what was not there before.
    pub(super) const NONE: Self = Self { uses: 0, heat: 0 };
    /// The same where uses are not counted.
    pub(super) const NOT_COUNTED: Self = Self { uses: u16::MAX, heat: 0 };
}

/// Where a slot keeps all of it.
pub(super) struct Usage<'slot> {
    /// Passes of the hand that it outlives.
    pub lives: &'slot mut u8,
    /// See [`Past`].
    pub uses: &'slot mut u16,
    /// See [`Past`].
    pub heat: &'slot mut u32,
}

impl Usage<'_> {
    /// The slot is used.
    pub(super) fn note(self) {
        if *self.lives != LIVES_USED {
            *self.lives = LIVES_USED;
        }
        if let Some(uses) = self.uses.checked_add(1) {
            *self.uses = uses;
        }
    }

    /// What stays when the slot is replaced.
    pub(super) fn past(&self) -> Past {
        Past { uses: *self.uses, heat: *self.heat }
    }

    /// A round has ended. Returns the heat.
    pub(super) fn end_round(self) -> u32 {
        let rest = *self.heat - self.heat.div_ceil(COOLING_IS_ONE_IN);
        let added = u32::from(std::mem::take(self.uses)).saturating_mul(HEAT_PER_USE);
        *self.heat = rest.saturating_add(added);
        *self.heat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat_after(uses: impl IntoIterator<Item = u16>) -> u32 {
        let mut heat = 0;
        for mut uses in uses {
            Usage { lives: &mut 0, uses: &mut uses, heat: &mut heat }.end_round();
            assert_eq!(uses, 0, "each counts once");
        }
        heat
    }

    #[test]
    fn uses_count_the_less_the_longer_ago_they_were_and_for_hours_of_rounds() {
        assert!(heat_after([0, 0, 3]) > heat_after([0, 3, 0]));
        assert!(heat_after([10, 0, 0]) > heat_after([0, 0, 3]));
        assert!(heat_after([1; 40]) > heat_after([7]));
        // Three hours of rounds of five minutes.
        let since = |uses| heat_after(std::iter::once(uses).chain([0; 36]));
        assert!(since(3) > since(2) && since(2) > since(1) && since(1) > 0);
        assert_eq!(heat_after(std::iter::once(u16::MAX).chain([0; 200])), 0);
    }

    #[test]
    fn the_largest_count_stays_below_the_largest_heat() {
        let (mut lives, mut uses, mut heat) = (LIVES_PUT, u16::MAX - 1, 0);
        for _ in 0..3 {
            Usage { lives: &mut lives, uses: &mut uses, heat: &mut heat }.note();
        }
        assert_eq!((lives, uses), (LIVES_USED, u16::MAX));
        let hottest = heat_after([u16::MAX; 1_000]);
        assert!(hottest < u32::MAX && hottest > heat_after([u16::MAX - 1; 1_000]));
    }
}
