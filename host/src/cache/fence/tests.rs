//! The fence alone: each kind of target, and what is left behind where rows are dropped.

use super::*;
use crate::model::Tag;

fn tag(name: &str) -> Target {
    Target::Tag(Tag::new(name).unwrap())
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn raise(fence: &Fence, target: &Target, mode: Mode) {
    let next = fence.applied().next();
    fence.raise(target, mode, next);
    fence.publish(next);
}

fn marks(fence: &Fence, claim: Claim, targets: Vec<Target>) -> Marks {
    Marks::new(claim.birth, fence.intern(targets).unwrap())
}

#[test]
fn an_entry_is_fresh_until_one_of_its_tags_is_invalidated() {
    let fence = Fence::new(Sequence::ZERO);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![tag("a"), tag("b")]);
    raise(&fence, &tag("c"), Mode::Hard);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Fresh);
    raise(&fence, &tag("b"), Mode::Hard);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Dead);
}

#[test]
fn a_hard_purge_beats_a_soft_one() {
    let fence = Fence::new(Sequence::ZERO);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![tag("a")]);
    raise(&fence, &tag("a"), Mode::Soft);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Stale);
    raise(&fence, &tag("a"), Mode::Hard);
    raise(&fence, &tag("a"), Mode::Soft);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Dead);
}

#[test]
fn a_raise_takes_effect_for_the_fast_path_only_with_its_watermark() {
    let fence = Fence::new(Sequence::ZERO);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![tag("a")]);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Fresh);
    let next = fence.applied().next();
    fence.raise(&tag("a"), Mode::Hard, next);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Fresh, "not acknowledged yet");
    fence.publish(next);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Dead);
}

#[test]
fn tags_learnt_after_the_invalidation_refuse_the_fill_that_began_before_it() {
    let fence = Fence::new(Sequence::ZERO);
    let before = Claim::at(fence.applied());
    raise(&fence, &tag("a"), Mode::Hard);
    let cells = fence.intern(vec![tag("a")]).unwrap();
    assert!(!fence.admits(&key("k"), before, &cells));
    assert!(fence.admits(&key("k"), Claim::at(fence.applied()), &cells));
}

#[test]
fn a_fill_of_a_removed_key_is_refused_also_when_its_row_was_dropped() {
    let fence = Fence::new(Sequence::ZERO);
    let before = Claim::at(fence.applied());
    raise(&fence, &Target::Key(key("k")), Mode::Hard);
    assert!(!fence.admits(&key("k"), before, &CellSet::default()));
    assert!(fence.admits(&key("other"), before, &CellSet::default()));
    fence.collect(fence.applied());
    fence.collect(fence.applied());
    assert!(!fence.admits(&key("k"), before, &CellSet::default()));
    assert!(fence.admits(&key("k"), Claim::at(fence.applied()), &CellSet::default()));
}

#[test]
fn dropped_rows_of_tags_and_prefixes_leave_a_floor_for_older_fills() {
    let fence = Fence::new(Sequence::ZERO);
    let before = Claim::at(fence.applied());
    raise(&fence, &tag("a"), Mode::Hard);
    raise(&fence, &Target::Prefix(key("p/")), Mode::Hard);
    assert_eq!(fence.rows(), 2);
    fence.collect(fence.applied());
    assert_eq!(fence.rows(), 0);
    let cells = fence.intern(vec![tag("a")]).unwrap();
    assert!(!fence.admits(&key("x"), before, &cells));
    assert!(!fence.admits(&key("p/x"), before, &CellSet::default()));
    assert!(fence.admits(&key("p/x"), Claim::at(fence.applied()), &cells));
}

#[test]
fn a_cell_that_an_entry_holds_outlives_collection() {
    let fence = Fence::new(Sequence::ZERO);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![tag("a")]);
    fence.collect(fence.applied());
    raise(&fence, &tag("a"), Mode::Hard);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Dead);
}

#[test]
fn prefixes_match_whole_bytes_from_the_start_only() {
    let fence = Fence::new(Sequence::ZERO);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![]);
    raise(&fence, &Target::Prefix(key("ab")), Mode::Hard);
    assert_eq!(fence.judge(b"ab", &entry), Verdict::Dead);
    assert_eq!(fence.judge(b"abc", &entry), Verdict::Dead);
    let other =
        marks(&fence, Claim { birth: Birth::at(Sequence::ZERO), since: Sequence::ZERO }, vec![]);
    assert_eq!(fence.judge(b"a", &other), Verdict::Fresh);
    assert_eq!(fence.judge(b"xab", &other), Verdict::Fresh);
}

#[test]
fn too_many_prefixes_become_one_floor_for_everything_older() {
    let fence = Fence::new(Sequence::ZERO);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![]);
    for n in 0..crate::limits::FENCE_PREFIXES_MAX {
        raise(&fence, &Target::Prefix(key(&format!("other/{n}/"))), Mode::Hard);
    }
    assert_eq!(fence.judge(b"mine", &entry), Verdict::Fresh);
    raise(&fence, &Target::Prefix(key("one/more/")), Mode::Hard);
    assert_eq!(fence.judge(b"mine", &entry), Verdict::Dead);
    assert_eq!(fence.rows(), crate::limits::FENCE_PREFIXES_MAX);
}

#[test]
fn tags_that_nobody_holds_give_way_oldest_first_and_end_only_older_fills() {
    let fence = Fence::new(Sequence::ZERO);
    fence.set_cells_max(64);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![tag("mine")]);
    let claims: Vec<Claim> = (0..1_000)
        .map(|n| {
            let claim = Claim::at(fence.applied());
            raise(&fence, &tag(&format!("row {n}")), Mode::Hard);
            claim
        })
        .collect();
    assert!(fence.rows() <= 64);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Fresh, "it holds its tags");
    // A fill that began before the row of its tag was dropped can't be told from a good one.
    let cells = |n: usize| fence.intern(vec![tag(&format!("row {n}"))]).unwrap();
    assert!(claims.iter().enumerate().all(|(n, claim)| !fence.admits(
        &key("k"),
        *claim,
        &cells(n)
    )));
    let other = fence.intern(vec![tag("other")]).unwrap();
    let good = claims.iter().filter(|claim| fence.admits(&key("k"), **claim, &other)).count();
    assert!((16..=64).contains(&good), "{good} of the last fills are admitted");
    assert!(claims.last().is_some_and(|claim| fence.admits(&key("k"), *claim, &other)));
    raise(&fence, &tag("mine"), Mode::Hard);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Dead);
}

#[test]
fn a_row_does_not_give_way_before_it_is_published() {
    let fence = Fence::new(Sequence::ZERO);
    fence.set_cells_max(8);
    let claim = Claim::at(fence.applied());
    let _held: Vec<Marks> =
        (0..7).map(|n| marks(&fence, claim, vec![tag(&format!("{n}"))])).collect();
    let next = fence.applied().next();
    fence.raise(&tag("first"), Mode::Hard, next);
    fence.raise(&tag("second"), Mode::Hard, next);
    let stored_meanwhile = marks(&fence, Claim::at(fence.applied()), vec![tag("first")]);
    fence.publish(next);
    assert_eq!(fence.judge(b"k", &stored_meanwhile), Verdict::Dead);
}

#[test]
fn tags_that_entries_hold_do_not_give_way_and_the_limit_is_named() {
    let fence = Fence::new(Sequence::ZERO);
    fence.set_cells_max(64);
    let claim = Claim::at(fence.applied());
    let mut held: Vec<Marks> =
        (0..64).map(|n| marks(&fence, claim, vec![tag(&format!("{n}"))])).collect();
    let refused = fence.intern(vec![tag("another")]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "fence holds 64 tags, URLs and sites, the limit for this memory"
    );
    // There is no row for it, and so everything is wrong.
    raise(&fence, &tag("another"), Mode::Hard);
    assert!(held.iter().all(|entry| fence.judge(b"k", entry) == Verdict::Dead));
    held.clear();
    fence.note_swept();
    let entry = marks(&fence, Claim::at(fence.applied()), vec![tag("another")]);
    raise(&fence, &tag("and one more"), Mode::Hard);
    assert_eq!(fence.judge(b"k", &entry), Verdict::Fresh);
    fence.set_cells_max(cells_max(1 << 30));
    assert_eq!(fence.cells.max(), 4 << 20);
}

#[test]
fn of_rows_from_before_the_start_those_that_do_not_fit_end_only_what_is_older() {
    let fence = Fence::new(Sequence::start_of(2));
    fence.set_cells_max(64);
    let at = |n: u64| Sequence::from_u64(Sequence::start_of(1).as_u64() + n);
    for n in (1..=1_000).rev() {
        fence.restore(&tag(&format!("row {n}")), Mode::Hard, at(n));
    }
    let is_admitted = |n: u64, birth: u64| {
        let cells = fence.intern(vec![tag(&format!("row {n}"))]).unwrap();
        let claim = Claim { birth: Birth::at(at(birth)), since: fence.applied() };
        fence.admits(&key("k"), claim, &cells)
    };
    assert!((1..=1_000).all(|n| !is_admitted(n, n - 1)), "each was invalidated after that");
    assert!(is_admitted(1_000, 1_000));
    assert!(is_admitted(1, 970), "of the last rows most are known");
    assert!(!is_admitted(999, 998) && is_admitted(998, 998));
}

#[test]
fn live_entries_of_a_tag_are_counted_once() {
    let fence = Fence::new(Sequence::ZERO);
    let claim = Claim::at(fence.applied());
    let kept: Vec<Marks> = (0..5).map(|_| marks(&fence, claim, vec![tag("a")])).collect();
    drop(marks(&fence, claim, vec![tag("a")]));
    let next = fence.applied().next();
    assert_eq!(fence.raise(&tag("a"), Mode::Hard, next), Some(5));
    fence.publish(next);
    drop(kept);
    let after = marks(&fence, Claim::at(fence.applied()), vec![tag("a")]);
    assert_eq!(fence.raise(&tag("a"), Mode::Hard, next.next()), Some(1));
    drop(after);
}

/// Pointers of the cells, in the order in which they are judged.
fn cells(set: &CellSet) -> Vec<*const Cell> {
    set.iter().map(Arc::as_ptr).collect()
}

#[test]
fn entries_of_the_same_tags_are_judged_by_one_look_and_die_together() {
    let fence = Fence::new(Sequence::ZERO);
    let page = |n: u32| vec![tag("a"), tag("b"), Target::Url(format!("http://h/{n}").into())];
    let one = marks(&fence, Claim::at(fence.applied()), page(1));
    let other = marks(&fence, Claim::at(fence.applied()), page(2));
    assert_eq!(one.cells().shared_address(), other.cells().shared_address());
    assert_ne!(cells(one.cells()), cells(other.cells()));
    raise(&fence, &tag("nobody"), Mode::Hard);
    assert_eq!(fence.judge(b"1", &one), Verdict::Fresh);
    raise(&fence, &tag("b"), Mode::Soft);
    assert_eq!(fence.judge(b"1", &one), Verdict::Stale);
    assert_eq!(fence.judge(b"2", &other), Verdict::Stale);
    raise(&fence, &Target::Url("http://h/1".into()), Mode::Hard);
    assert_eq!(fence.judge(b"1", &one), Verdict::Dead);
    assert_eq!(fence.judge(b"2", &other), Verdict::Stale);
    let young = marks(&fence, Claim::at(fence.applied()), page(2));
    assert_eq!(young.cells().shared_address(), other.cells().shared_address());
    assert_eq!(fence.judge(b"2", &young), Verdict::Fresh, "what is shared has no birth");
}

#[test]
fn sets_of_other_tags_or_another_order_are_sets_of_their_own() {
    let fence = Fence::new(Sequence::ZERO);
    let lists = [vec![tag("a")], vec![tag("a"), tag("b")], vec![tag("b"), tag("a")], vec![]];
    for list in lists {
        let wanted: Vec<_> = list.iter().map(|t| fence.cells.intern(t).unwrap()).collect();
        let wanted: Vec<_> = wanted.iter().map(Arc::as_ptr).collect();
        // Twice: made, and found.
        assert_eq!(cells(&fence.intern(list.clone()).unwrap()), wanted);
        assert_eq!(cells(&fence.intern(list).unwrap()), wanted);
    }
}

#[test]
fn a_remembered_set_keeps_no_cell_from_going() {
    let fence = Fence::new(Sequence::ZERO);
    drop(marks(&fence, Claim::at(fence.applied()), vec![tag("a"), tag("b")]));
    assert_eq!(fence.rows(), 2);
    fence.collect(fence.applied());
    assert_eq!(fence.rows(), 0);
}

#[test]
fn a_prefix_that_was_invalidated_before_other_things_still_counts() {
    let fence = Fence::new(Sequence::ZERO);
    let entry = marks(&fence, Claim::at(fence.applied()), vec![]);
    raise(&fence, &tag("nobody"), Mode::Hard);
    assert_eq!(fence.judge(b"p/1", &entry), Verdict::Fresh);
    raise(&fence, &Target::Prefix(key("p/")), Mode::Hard);
    raise(&fence, &Target::Prefix(key("q/")), Mode::Hard);
    raise(&fence, &tag("nobody"), Mode::Hard);
    assert_eq!(fence.judge(b"p/1", &entry), Verdict::Dead);
    let late = marks(&fence, Claim::at(fence.applied()), vec![]);
    raise(&fence, &tag("nobody"), Mode::Hard);
    assert_eq!(fence.judge(b"p/1", &late), Verdict::Fresh);
}
