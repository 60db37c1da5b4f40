//! Reads replies, and says whether they are what was asked for. Pure.

use super::items::Items;
use super::shape::Shape;

/// What one command was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked {
    /// A `set`.
    Set,
    /// A `get` that begins with this item.
    Get(usize),
}

/// How closely replies are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Look {
    /// The kind of reply only: the bare loop answers constants.
    Kind,
    /// Keys, flags and lengths.
    Headers,
    /// Values too.
    Values,
}

/// The reply to one command.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// Some of it is still to come.
    Incomplete,
    /// So many bytes, and so many items that were not there.
    Whole { bytes: usize, misses: u64 },
    /// Not a reply to what was asked.
    Wrong,
}

const STORED: &[u8] = b"STORED\r\n";
const END: &[u8] = b"END\r\n";

/// The first reply in the input.
pub(crate) fn read(shape: &Shape, items: &Items, asked: Asked, look: Look, input: &[u8]) -> Reply {
    match asked {
        Asked::Set if input.starts_with(STORED) => Reply::Whole { bytes: STORED.len(), misses: 0 },
        Asked::Set if input.len() < STORED.len() => Reply::Incomplete,
        Asked::Set => Reply::Wrong,
        Asked::Get(first) => read_values(shape, items, first, look, input),
    }
}

fn read_values(shape: &Shape, items: &Items, first: usize, look: Look, input: &[u8]) -> Reply {
    let value_bytes = items.reply_bytes();
    let (mut bytes, mut misses) = (0, 0);
    for position in 0..shape.keys_per_get {
        let rest = input.get(bytes..).unwrap_or_default();
        if rest.first().is_some_and(|byte| *byte != b'V') {
            // The end, or none of ours: told below.
            misses += (shape.keys_per_get - position) as u64;
            break;
        }
        let Some(reply) = rest.get(..value_bytes) else { return Reply::Incomplete };
        let index = shape.item_at(first, position);
        if look != Look::Kind && !items.is_header_of(index, reply) {
            // Missing: the reply may be that of the next key.
            misses += 1;
            continue;
        }
        if look == Look::Values && !items.is_value_of(index, reply) {
            return Reply::Wrong;
        }
        bytes += value_bytes;
    }
    let rest = input.get(bytes..).unwrap_or_default();
    if rest.starts_with(END) {
        return Reply::Whole { bytes: bytes + END.len(), misses };
    }
    if END.starts_with(rest) { Reply::Incomplete } else { Reply::Wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str) -> (Shape, Items) {
        let shape = Shape::named(name).unwrap();
        (shape, Items::new(1000, shape.value_bytes))
    }

    fn reply(shape: &Shape, items: &Items, positions: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        positions.iter().for_each(|p| items.write_value(shape.item_at(5, *p), &mut out));
        [out, END.to_vec()].concat()
    }

    #[test]
    fn a_reply_is_incomplete_until_its_last_byte() {
        let (shape, items) = setting("mixed-p1");
        let whole = reply(&shape, &items, &[0]);
        for cut in 0..whole.len() {
            let read = read(&shape, &items, Asked::Get(5), Look::Values, &whole[..cut]);
            assert_eq!(read, Reply::Incomplete, "{cut}");
        }
        let read = read(&shape, &items, Asked::Get(5), Look::Values, &whole);
        assert_eq!(read, Reply::Whole { bytes: whole.len(), misses: 0 });
    }

    #[test]
    fn items_that_are_not_there_are_counted() {
        let (shape, items) = setting("multiget");
        let present: Vec<usize> =
            (0..50).filter(|position| ![0, 20, 49].contains(position)).collect();
        let some = reply(&shape, &items, &present);
        let found = read(&shape, &items, Asked::Get(5), Look::Values, &some);
        assert_eq!(found, Reply::Whole { bytes: some.len(), misses: 3 });
        let found = read(&shape, &items, Asked::Get(5), Look::Values, END);
        assert_eq!(found, Reply::Whole { bytes: END.len(), misses: 50 });
    }

    #[test]
    fn errors_and_other_peoples_values_are_wrong() {
        let (shape, items) = setting("mixed-p1");
        let ask = |asked, input: &[u8]| read(&shape, &items, asked, Look::Values, input);
        assert_eq!(ask(Asked::Get(5), b"ERROR\r\n"), Reply::Wrong);
        assert_eq!(ask(Asked::Get(5), b"SERVER_ERROR out of memory\r\n"), Reply::Wrong);
        assert_eq!(ask(Asked::Set, b"NOT_STORED\r\n"), Reply::Wrong);
        assert_eq!(ask(Asked::Get(6), &reply(&shape, &items, &[0])), Reply::Wrong);
        let mut spoilt = reply(&shape, &items, &[0]);
        spoilt[70] ^= 1;
        assert_eq!(ask(Asked::Get(5), &spoilt), Reply::Wrong);
    }

    #[test]
    fn the_bare_loops_constants_pass_by_their_kind() {
        let (shape, items) = setting("mixed-p1");
        let constant = reply(&shape, &items, &[0]);
        let found = read(&shape, &items, Asked::Get(6), Look::Kind, &constant);
        assert_eq!(found, Reply::Whole { bytes: constant.len(), misses: 0 });
    }
}
