//! Replies with what may differ between two servers taken out: uniques become their order of
//! appearance, and times that pass become the time that was asked for.

/// Lifetimes that the generators ask for, in seconds. What is left of one is shown as the whole.
const LIFETIMES_S: [u64; 5] = [100, 1_000, 5_000, 86_400, 2_592_000];

/// How much of a lifetime may have passed.
const PASSED_S_MAX: u64 = 30;

/// More is what is left until a moment that lies years ahead.
const FAR_S: u64 = 100_000_000;

/// Takes out of one server's replies what is its own. `seen` are its uniques so far.
pub(super) fn mask(mut replies: &[u8], seen: &mut Vec<String>) -> Vec<u8> {
    let mut masked = Vec::new();
    while let Some(end) = replies.windows(2).position(|pair| pair == b"\r\n") {
        let (line, rest) = (&replies[..end], &replies[end + 2..]);
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let (shown, data) = match words.as_slice() {
            [b"VALUE", _, _, count] => (words_of(&words), data_bytes(count)),
            [b"VALUE", key, flags, count, unique] => {
                let unique = order(unique, seen).into_bytes();
                let shown = [&b"VALUE"[..], key, flags, count, &unique].join(&b' ');
                (shown, data_bytes(count))
            }
            [b"VA", count, flags @ ..] => {
                let first = [b"VA ".as_slice(), count].concat();
                (with_flags(&first, flags, seen), data_bytes(count))
            }
            [code @ (b"HD" | b"EN" | b"NS" | b"EX" | b"NF"), flags @ ..] => {
                (with_flags(code, flags, seen), 0)
            }
            [b"ME", key, facts @ ..] => (with_facts(key, facts, seen), 0),
            _ => (line.to_vec(), 0),
        };
        masked.extend_from_slice(&shown);
        masked.extend_from_slice(b"\r\n");
        let (data, rest) = rest.split_at(data.min(rest.len()));
        masked.extend_from_slice(data);
        replies = rest;
    }
    masked.extend_from_slice(replies);
    masked
}

fn words_of(words: &[&[u8]]) -> Vec<u8> {
    words.join(&b' ')
}

/// The length of a data block with its line end, by the number that announces it.
fn data_bytes(count: &[u8]) -> usize {
    String::from_utf8_lossy(count).parse::<usize>().map_or(0, |bytes| bytes + 2)
}

/// A unique as its place in the order in which this server's uniques were first seen.
pub(super) fn order(unique: &[u8], seen: &mut Vec<String>) -> String {
    let unique = String::from_utf8_lossy(unique).into_owned();
    if unique == "0" {
        // What was not stored has none.
        return unique;
    }
    let index = seen.iter().position(|other| *other == unique).unwrap_or(seen.len());
    if index == seen.len() {
        seen.push(unique);
    }
    format!("<cas #{index}>")
}

/// Return flags of a meta reply: `c` is a unique, `t` and `l` are times.
fn with_flags(first: &[u8], flags: &[&[u8]], seen: &mut Vec<String>) -> Vec<u8> {
    let mut shown = first.to_vec();
    for flag in flags {
        shown.push(b' ');
        match flag {
            [b'c', unique @ ..] if is_number(unique) => {
                shown.push(b'c');
                shown.extend_from_slice(order(unique, seen).as_bytes());
            }
            [letter @ (b't' | b'l'), seconds @ ..] if is_number(seconds) => {
                shown.push(*letter);
                shown.extend_from_slice(time(seconds).as_bytes());
            }
            other => shown.extend_from_slice(other),
        }
    }
    shown
}

/// The facts of `me`; how large an item is within a server, where, and what counts as a read of it
/// is that server's own.
fn with_facts(key: &[u8], facts: &[&[u8]], seen: &mut Vec<String>) -> Vec<u8> {
    let mut shown = [b"ME ".as_slice(), key].concat();
    for fact in facts {
        let at = fact.iter().position(|byte| *byte == b'=').map_or(fact.len(), |at| at + 1);
        let (name, value) = fact.split_at(at);
        shown.push(b' ');
        shown.extend_from_slice(name);
        match name {
            b"cas=" => shown.extend_from_slice(order(value, seen).as_bytes()),
            // memcached 1.6.18 has the wrong sign.
            b"exp=" if value != b"-1" => {
                shown.extend(time(value.strip_prefix(b"-").unwrap_or(value)).into_bytes());
            }
            b"la=" if is_number(value) => shown.extend(time(value).into_bytes()),
            b"size=" | b"cls=" | b"fetch=" => shown.push(b'*'),
            _ => shown.extend_from_slice(value),
        }
    }
    shown
}

fn is_number(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_digit)
}

/// Seconds as the lifetime that they are what is left of; few are none.
fn time(seconds: &[u8]) -> String {
    let seconds = String::from_utf8_lossy(seconds).parse().unwrap_or(u64::MAX);
    let lifetime = |whole: &&u64| (**whole - PASSED_S_MAX..=**whole).contains(&seconds);
    match LIFETIMES_S.iter().find(lifetime) {
        Some(whole) => format!("~{whole}"),
        None if seconds > FAR_S => "~far".to_owned(),
        None if seconds <= PASSED_S_MAX => "~0".to_owned(),
        None => seconds.to_string(),
    }
}

#[test]
fn uniques_become_their_order_and_times_what_was_asked_for() {
    let mut seen = Vec::new();
    let replies = b"VALUE a 1 9 77\r\nHD c1\r\nxy\r\nEND\r\nHD c78 t99 Oc1\r\nVA 1 c77 l2\r\nv\r\n";
    let masked = mask(replies, &mut seen);
    assert_eq!(
        String::from_utf8_lossy(&masked),
        "VALUE a 1 9 <cas #0>\r\nHD c1\r\nxy\r\nEND\r\nHD c<cas #1> t~100 Oc1\r\n\
         VA 1 c<cas #0> l~0\r\nv\r\n"
    );
    assert_eq!(seen, ["77", "78"]);
    let facts = b"ME a exp=-1 la=3 cas=78 fetch=no cls=1 size=60\r\n";
    let masked = mask(facts, &mut seen);
    let expected = "ME a exp=-1 la=~0 cas=<cas #1> fetch=* cls=* size=*\r\n";
    assert_eq!(String::from_utf8_lossy(&masked), expected);
}
