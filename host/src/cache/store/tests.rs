use super::*;
use crate::cache::entry::Making;
use crate::cache::fence::{CellSet, Marks};
use crate::model::{Birth, Content, Expiry, Kind, Sequence};

fn slot(key: &str, body_bytes: usize) -> Slot {
    let content = Content {
        body: vec![b'x'; body_bytes].into(),
        kind: Kind::Item { flags: 0 },
        expires: Expiry::NEVER,
        tags: Vec::new(),
    };
    let marks = Marks::new(Birth::at(Sequence::ZERO), CellSet::default());
    Slot::Item(Entry::new(key.as_bytes(), content, Making::new(marks, 1, 1)))
}

#[test]
fn the_budget_holds_after_every_put_and_the_newcomer_is_there() {
    let store = Store::new(256 * 1024);
    for number in 0..10_000 {
        let key = format!("key {number}");
        store.put(slot(&key, 100));
        assert!(store.bytes() <= 256 * 1024);
        assert!(store.get(key.as_bytes()).is_some(), "{key} was just put");
    }
    assert_eq!(store.len() + store.evictions().keys, 10_000);
    assert_eq!(store.iter().count() as u64, store.len());
    let charged: u64 = store.iter().map(|slot| budget::slot_bytes(&slot)).sum();
    assert_eq!(charged, store.bytes(), "what is charged is what is there");
}

#[test]
fn what_is_used_outlives_what_is_not() {
    let store = Store::new(1024 * 1024);
    for number in 0..1_000 {
        store.put(slot(&format!("used {number}"), 100));
    }
    for round in 0..20 {
        for number in 0..1_000 {
            store.get(format!("used {number}").as_bytes());
        }
        for number in 0..1_000 {
            store.put(slot(&format!("passing {round} {number}"), 100));
        }
    }
    let kept = (0..1_000).filter(|n| store.get(format!("used {n}").as_bytes()).is_some()).count();
    assert!(kept >= 900, "{kept} of 1000 were kept");
}

#[test]
fn a_value_larger_than_its_shards_share_makes_room_elsewhere() {
    let store = Store::new(1024 * 1024);
    for number in 0..3_000 {
        store.put(slot(&number.to_string(), 100));
    }
    for number in 0..8 {
        let key = format!("large {number}");
        store.put(slot(&key, 600 * 1024));
        assert!(store.get(key.as_bytes()).is_some());
        assert!(store.bytes() <= 1024 * 1024);
    }
}

#[test]
fn a_smaller_budget_evicts_at_once() {
    let store = Store::new(1024 * 1024);
    for number in 0..3_000 {
        store.put(slot(&number.to_string(), 100));
    }
    store.set_bytes_max(512 * 1024);
    assert!(store.bytes() <= 512 * 1024);
    let empty = (0..store.shards()).filter(|n| store.shard_slots(*n).is_empty()).count();
    assert_eq!(empty, 0, "every shard gives its share");
    store.set_bytes_max(0);
    assert_eq!((store.len(), store.bytes()), (0, 0));
}

#[test]
fn replacing_and_removing_give_their_bytes_back() {
    let store = Store::new(1024 * 1024);
    for round in 0..3 {
        for number in 0..500 {
            store.put(slot(&number.to_string(), 10 * round));
        }
        assert_eq!(store.len(), 500);
    }
    for number in 0..500 {
        assert!(store.remove(number.to_string().as_bytes()).is_some());
    }
    assert_eq!((store.len(), store.bytes(), store.evictions().keys), (0, 0, 0));
}

#[test]
fn evictions_are_counted_by_what_they_were_and_shown_to_the_observer() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let store = Store::new(64 * 1024);
    let observed = Arc::clone(&seen);
    store.observe_evictions(Box::new(move |entry| observed.lock().push(entry.key().to_vec())));
    for number in 0..1_000 {
        let slot = slot(&number.to_string(), 100);
        if number % 2 == 0 {
            slot.entries()[0].note_read(60_000);
        }
        store.put(slot);
    }
    store.put(slot("the last", 100));
    let counts = store.evictions();
    assert_eq!(counts.keys, 1_001 - store.len());
    assert_eq!(counts.keys, seen.lock().len() as u64);
    let read = seen.lock().iter().filter(|key| key.last().is_some_and(|d| d % 2 == 0)).count();
    assert_eq!(counts.keys - counts.unfetched, read as u64);
    assert_eq!(counts.expiring, 0);
    assert!(seen.lock().iter().all(|key| store.get(key).is_none()));
}
