//! Every order of the memory accesses of a raise, a publication and a reading.

use wasmcached_orderings::{
    TARGETS, a_fill_begun_while_its_tag_is_shut_is_never_valid,
    a_fill_is_refused_after_the_acknowledgement, a_raise_is_seen_with_its_watermark,
    an_announcement_is_seen_with_its_watermark, entries_that_share_their_tags_die_together,
};

#[test]
fn a_raise_is_seen_with_its_watermark_and_never_forgotten() {
    for target in TARGETS {
        a_raise_is_seen_with_its_watermark(target);
    }
}

#[test]
fn a_fill_begun_before_an_invalidation_is_refused_after_it() {
    a_fill_is_refused_after_the_acknowledgement();
}

#[test]
fn nothing_is_kept_between_an_announcement_and_its_end() {
    a_fill_begun_while_its_tag_is_shut_is_never_valid();
    an_announcement_is_seen_with_its_watermark();
}

#[test]
fn entries_that_share_their_tags_are_dead_together_whoever_looks_first() {
    entries_that_share_their_tags_die_together();
}
