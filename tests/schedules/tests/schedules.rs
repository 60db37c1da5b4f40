//! At least 100 000 schedules in all, half of them chosen at random, half with few and rare
//! switches (PCT, Burckhardt 2010); a failing one is printed to be repeated.

use wasmcached_schedules::{Race, run};

const SCHEDULES: usize = 12_000;

/// Of the threads' priorities, in a schedule with few.
const SWITCHES: usize = 4;

macro_rules! under_every_schedule {
    ($($name:ident $race:ident)*) => {
        $(#[test]
        fn $name() {
            shuttle::check_random(|| run(Race::$race), SCHEDULES / 2);
            shuttle::check_pct(|| run(Race::$race), SCHEDULES / 2, SWITCHES);
        })*
    };
}

under_every_schedule! {
    no_fill_outlives_an_invalidation_of_its_tag Tag
    no_fill_outlives_a_removal_of_its_key Key
    no_fill_outlives_an_invalidation_of_its_prefix Prefix
    no_fill_outlives_an_invalidation_of_everything Everything
    no_plain_read_gets_what_was_purged_softly Softly
    a_cell_made_anew_knows_no_less_than_the_one_before WhileRowsGo
    no_waiter_gets_what_was_invalidated_before_it_came HandOver
    no_revision_brings_back_what_was_removed Revision
    no_lease_outlives_an_invalidation_of_a_tag_it_learns_late Lease
    nothing_is_served_between_the_announcement_of_a_change_and_its_end Announced
    nothing_is_kept_under_a_key_while_its_change_is_announced AnnouncedKey
}
