//! The fence under every order of its memory accesses that the machine may choose: its own sources,
//! with locks and atomics that go through all of them.
//!
//! What is shown is the one pair that relies on weak orderings: rows that are raised, and the
//! watermark `applied` that publishes them. Had readers noted the last sequence *given out* as
//! checked, one that reads between the two writes would find the entry valid for ever.

#![allow(unused, missing_docs, unreachable_pub, reason = "the host's sources, used in part")]

#[path = "../../../host/src/cache/fence/mod.rs"]
mod fence;
#[path = "../../../host/src/limits.rs"]
mod limits;
#[path = "../../../host/src/model/mod.rs"]
mod model;
mod sync;

use std::sync::Arc;

use fence::{Claim, Fence, Marks, Verdict};
use model::{Intent, Key, Mode, Sequence, Tag, Target};

fn tag() -> Target {
    Target::Tag(Tag::new("t").expect("a tag"))
}

fn start() -> Sequence {
    Sequence::start_of(1)
}

/// A reader that saw the watermark finds the entry dead, and after the acknowledgement every reader
/// does, whatever one noted in between.
pub fn a_raise_is_seen_with_its_watermark(target: fn() -> Target) {
    loom::model(move || {
        let fence = Arc::new(Fence::new(start()));
        let cells = fence.intern(vec![tag()]).expect("room");
        let marks = Arc::new(Marks::new(Claim::at(fence.applied()).birth, cells));
        // A watermark ahead of the birth, so that readers have to look.
        let sequence = start().next().next();
        fence.publish(start().next());
        let writer = {
            let fence = Arc::clone(&fence);
            loom::thread::spawn(move || {
                fence.raise(&target(), Mode::Hard, sequence);
                fence.publish(sequence);
            })
        };
        let reader = {
            let (fence, marks) = (Arc::clone(&fence), Arc::clone(&marks));
            loom::thread::spawn(move || {
                let applied = fence.applied();
                let verdict = fence.judge(b"p/k", &marks);
                assert!(applied < sequence || verdict == Verdict::Dead, "seen, but not dead");
            })
        };
        writer.join().expect("the writer ends");
        assert_eq!(fence.judge(b"p/k", &marks), Verdict::Dead, "acknowledged, but not dead");
        reader.join().expect("the reader ends");
        assert_eq!(fence.judge(b"p/k", &marks), Verdict::Dead, "valid was noted too late");
    });
}

/// Entries that share a set, and with it what was noted of its levels, are dead for their own
/// readers alike, whichever of them looked first.
pub fn entries_that_share_their_tags_die_together() {
    loom::model(|| {
        let fence = Arc::new(Fence::new(start()));
        // A watermark ahead, so that the first look at the set is part of the race.
        let (noise, sequence) = (start().next(), start().next().next());
        let entry = || {
            let cells = fence.intern(vec![tag()]).expect("room");
            Arc::new(Marks::new(Claim::at(fence.applied()).birth, cells))
        };
        let entries = [entry(), entry()];
        fence.publish(noise);
        let writer = {
            let fence = Arc::clone(&fence);
            loom::thread::spawn(move || {
                fence.raise(&tag(), Mode::Hard, sequence);
                fence.publish(sequence);
            })
        };
        let judge = move |fence: &Fence, marks: &Marks| {
            let applied = fence.applied();
            let verdict = fence.judge(b"p/k", marks);
            assert!(applied < sequence || verdict == Verdict::Dead, "seen, but not dead");
        };
        let reader = {
            let (fence, marks) = (Arc::clone(&fence), Arc::clone(&entries[0]));
            loom::thread::spawn(move || judge(&fence, &marks))
        };
        judge(&fence, &entries[1]);
        writer.join().expect("the writer ends");
        reader.join().expect("the reader ends");
        for marks in entries {
            assert_eq!(fence.judge(b"p/k", &marks), Verdict::Dead, "acknowledged, but not dead");
        }
    });
}

/// A fill that began before the acknowledgement is refused after it.
pub fn a_fill_is_refused_after_the_acknowledgement() {
    loom::model(|| {
        let fence = Arc::new(Fence::new(start()));
        let key = Key::new(b"p/k").expect("a key");
        let sequence = start().next();
        let writer = {
            let fence = Arc::clone(&fence);
            loom::thread::spawn(move || {
                fence.raise(&tag(), Mode::Hard, sequence);
                fence.publish(sequence);
            })
        };
        let claim = Claim::at(fence.applied());
        let cells = fence.intern(vec![tag()]).expect("room");
        let was_admitted = fence.admits(&key, claim, &cells);
        let marks = Marks::new(claim.birth, cells);
        writer.join().expect("the writer ends");
        let includes = claim.birth.includes(sequence);
        let verdict = fence.judge(key.as_bytes(), &marks);
        assert!(
            includes || verdict == Verdict::Dead,
            "stored before: {was_admitted}, and not dead"
        );
        let late = fence.intern(vec![tag()]).expect("room");
        assert_eq!(fence.admits(&key, claim, &late), includes);
    });
}

/// Nothing that is read between an announcement and its end is kept as valid, also if it is stored
/// while that end is under way.
pub fn a_fill_begun_while_its_tag_is_shut_is_never_valid() {
    loom::model(|| {
        let fence = Arc::new(Fence::new(start()));
        let key = Key::new(b"p/k").expect("a key");
        let (shut, open) = (start().next(), start().next().next());
        let intent = Intent { name: "i".into(), until_ms: 0 };
        fence.shut(&intent, [tag()].iter());
        fence.raise(&tag(), Mode::Hard, shut);
        fence.publish(shut);
        let writer = {
            let fence = Arc::clone(&fence);
            loom::thread::spawn(move || {
                fence.raise(&tag(), Mode::Hard, open);
                fence.open("i");
                fence.publish(open);
            })
        };
        let claim = Claim::at(fence.applied());
        let cells = fence.intern(vec![tag()]).expect("room");
        let is_admitted = fence.admits(&key, claim, &cells);
        let is_between = !claim.birth.includes(open);
        assert!(!(is_admitted && is_between), "kept, though the tag was shut when it was read");
        writer.join().expect("the writer ends");
        assert_eq!(fence.admits(&key, claim, &cells), !is_between);
    });
}

/// A fill that sees the watermark of an announcement is refused.
pub fn an_announcement_is_seen_with_its_watermark() {
    loom::model(|| {
        let fence = Arc::new(Fence::new(start()));
        let key = Key::new(b"p/k").expect("a key");
        let shut = start().next();
        let writer = {
            let fence = Arc::clone(&fence);
            loom::thread::spawn(move || {
                let intent = Intent { name: "i".into(), until_ms: 0 };
                fence.shut(&intent, [tag()].iter());
                fence.raise(&tag(), Mode::Hard, shut);
                fence.publish(shut);
            })
        };
        let claim = Claim::at(fence.applied());
        let cells = fence.intern(vec![tag()]).expect("room");
        let is_admitted = fence.admits(&key, claim, &cells);
        assert!(!(is_admitted && claim.birth.includes(shut)), "kept after the announcement");
        let marks = Marks::new(claim.birth, cells);
        writer.join().expect("the writer ends");
        let verdict = fence.judge(key.as_bytes(), &marks);
        assert!(!is_admitted || verdict == Verdict::Dead, "kept before it, and served after it");
    });
}

/// Targets of the three sorts that readers look up.
pub const TARGETS: [fn() -> Target; 3] =
    [tag, || Target::Prefix(Key::new(b"p/").expect("a prefix")), || Target::Everything];
