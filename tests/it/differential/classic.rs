//! Random commands of the classic text protocol: good ones mostly, and all ways to be bad.

use super::choices::{Choices, KEY_BYTES_MAX, Key};
use super::command::Command;

/// The next command or few.
pub(super) fn commands(choices: &mut Choices) -> Vec<Command> {
    match choices.random.below(100) {
        0..28 => vec![store(choices)],
        28..46 => vec![retrieve(choices)],
        46..56 => vec![arithmetic(choices)],
        56..63 => vec![delete(choices)],
        63..69 => vec![touch(choices)],
        69..83 => compare_and_swap(choices),
        83..85 => vec![flush(choices)],
        85..87 => vec![Command::line("verbosity 1 noreply"), Command::line("verbosity 0")],
        87..92 => vec![bad_data(choices)],
        _ => vec![malformed(choices)],
    }
}

/// ` noreply` now and then.
fn noreply(choices: &mut Choices) -> &'static [u8] {
    if choices.random.percent(12) { b" noreply" } else { b"" }
}

/// A line of these words, with one space between them.
fn line(words: &[&[u8]], noreply: &[u8]) -> Vec<u8> {
    [&words.join(&b' '), noreply, b"\r\n"].concat()
}

/// A key for which a value may be stored, if there still is one.
fn writable_key(choices: &mut Choices) -> Option<Key> {
    let keys: Vec<Key> = (0..8).map(|_| choices.key()).collect();
    keys.into_iter().find(|key| choices.may_store(key))
}

fn store(choices: &mut Choices) -> Command {
    let verb = choices.random.pick(&["set", "set", "set", "add", "replace", "append", "prepend"]);
    let Some(key) = writable_key(choices) else { return retrieve(choices) };
    let value = choices.value(&key);
    store_line(choices, verb, &key, &value)
}

fn store_line(choices: &mut Choices, verb: &str, key: &Key, value: &[u8]) -> Command {
    let (flags, exptime) = (choices.flags(), choices.exptime());
    let count = value.len().to_string();
    let words = [verb.as_bytes(), key, flags.as_bytes(), exptime.as_bytes(), count.as_bytes()];
    let line = line(&words, noreply(choices));
    Command::new([&line, value, b"\r\n"].concat())
}

/// A value near the largest that fits, or over it, and what comes back of it.
pub(super) fn large(choices: &mut Choices) -> Vec<Command> {
    let sizes = [500_000, 524_288, 700_000, 1_000_000, 1_048_577, 1_100_000, 3_000_000];
    let size: usize = choices.random.pick(&sizes);
    let verb = choices.random.pick(&["set", "set", "add", "replace", "append"]);
    let Some(key) = writable_key(choices) else { return vec![retrieve(choices)] };
    let value = choices.random.bytes(64).repeat(size / 64 + 1);
    let stored = store_line(choices, verb, &key, &value[..size]);
    choices.note_read(&key);
    vec![stored, Command::new(line(&[b"get", &key], b""))]
}

fn retrieve(choices: &mut Choices) -> Command {
    let command = choices.random.pick(&["get", "get", "get", "gets", "gat", "gats"]);
    let mut words = vec![command.as_bytes()];
    if command.starts_with("gat") {
        words.push(choices.exptime().as_bytes());
    }
    let count = if choices.random.percent(60) { 1 } else { 1 + choices.random.below(30) };
    let keys: Vec<Key> = (0..count).map(|_| choices.key()).collect();
    keys.iter().for_each(|key| choices.note_read(key));
    words.extend(keys.iter().map(Vec::as_slice));
    Command::new(line(&words, b""))
}

fn arithmetic(choices: &mut Choices) -> Command {
    let command = choices.random.pick(&["incr", "incr", "decr"]);
    let key = if choices.random.percent(70) { b"n".to_vec() } else { choices.key() };
    let largest = choices.largest();
    let delta = choices.random.pick(&["0", "1", "1", "9", "1000", largest]);
    let words = [command.as_bytes(), &key, delta.as_bytes()];
    Command::new(line(&words, noreply(choices)))
}

fn delete(choices: &mut Choices) -> Command {
    let key = choices.key();
    choices.note_delete(&key);
    let zero = choices.random.percent(10);
    let words: &[&[u8]] = if zero { &[b"delete", &key, b"0"] } else { &[b"delete", &key] };
    Command::new(line(words, noreply(choices)))
}

fn touch(choices: &mut Choices) -> Command {
    let (key, exptime) = (choices.key(), choices.exptime());
    Command::new(line(&[b"touch", &key, exptime.as_bytes()], noreply(choices)))
}

/// `gets`, perhaps a write in between, and `cas` with what was seen, or with something else.
fn compare_and_swap(choices: &mut Choices) -> Vec<Command> {
    let Some(key) = writable_key(choices) else { return vec![retrieve(choices)] };
    let mut commands = vec![Command::new(line(&[b"gets", &key], b""))];
    choices.note_read(&key);
    if choices.random.percent(25) {
        commands.extend(match choices.random.below(3) {
            0 => vec![touch(choices)],
            1 => vec![arithmetic(choices)],
            _ => vec![store(choices)],
        });
    }
    let unique = choices.random.pick(&[
        "<cas 1>",
        "<cas 1>",
        "<cas 1>",
        "<cas 2>",
        "<cas 5>",
        "0",
        "18446744073709551615",
    ]);
    let (flags, exptime) = (choices.flags(), choices.exptime());
    let value = choices.value(&key);
    let count = value.len().to_string();
    let words: [&[u8]; 6] =
        [b"cas", &key, flags.as_bytes(), exptime.as_bytes(), count.as_bytes(), unique.as_bytes()];
    let line = line(&words, noreply(choices));
    commands.push(Command::new([&line, value.as_slice(), b"\r\n"].concat()));
    commands
}

fn flush(choices: &mut Choices) -> Command {
    choices.note_flush();
    let text = choices.random.pick(&["flush_all", "flush_all", "flush_all 0", "flush_all x"]);
    Command::new(line(&[text.as_bytes()], noreply(choices)))
}

/// More or less data than was announced. What is left over is an unknown command.
fn bad_data(choices: &mut Choices) -> Command {
    let Some(key) = writable_key(choices) else { return retrieve(choices) };
    let key = String::from_utf8_lossy(&key).into_owned();
    let verb = choices.random.pick(&["set", "add", "append", "replace"]);
    let quiet = String::from_utf8_lossy(noreply(choices)).into_owned();
    let (announced, data) = match choices.random.below(4) {
        // One byte too many, in the place of the CR.
        0 => (5, "value, and more of it".to_owned()),
        1 => (3, "abc and more".to_owned()),
        2 => (7, "abc\r\nnonsense".to_owned()),
        // A line feed alone does not end a value.
        _ => (3, "abc\nnonsense".to_owned()),
    };
    Command::with_data(&format!("{verb} {key} 0 0 {announced}{quiet}"), data.as_bytes())
}

/// Lines that are no commands.
fn malformed(choices: &mut Choices) -> Command {
    let key = String::from_utf8_lossy(&choices.key()).into_owned();
    let long = "L".repeat(KEY_BYTES_MAX + 1 + choices.random.below(50));
    let with_data = [
        format!("set {key} x 0 5"),
        format!("set {key} 0 x 5"),
        format!("set {key} -1 0 5"),
        format!("set {key} 0 1.5 5"),
        format!("add {long} 0 0 5"),
        format!("cas {key} 0 0 5 x"),
        format!("cas {key} 0 0 5 -1"),
        format!("append {key} x 0 5 noreply"),
    ];
    let lines = [
        "bogus".to_owned(),
        format!("GET {key}"),
        format!("Set {key} 0 0 5"),
        format!("gat x {key}"),
        format!("gats 1.5 {key}"),
        format!("delete {long}"),
        format!("incr {long} 1"),
        format!("incr {key} x"),
        format!("incr {key} -1"),
        format!("incr {key} 1.0"),
        format!("decr {key} 18446744073709551616"),
        format!("touch {long} 0"),
        format!("touch {key} x"),
        format!("touch {key} 1x noreply"),
        format!("set {key} 0 0 x"),
        format!("set {key} 0 0 -1"),
        format!("cas {key} 0 0 x 1"),
        "verbosity x".to_owned(),
        "flush_all x".to_owned(),
        "flush_all x noreply".to_owned(),
        "stats bogus".to_owned(),
    ];
    match choices.random.below(with_data.len() + lines.len()) {
        index if index < lines.len() => Command::line(&lines[index]),
        index => Command::with_refused_data(&with_data[index - lines.len()], b"value"),
    }
}
