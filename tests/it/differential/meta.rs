//! Random meta commands: `mg ms md ma mn me` with every flag and mode that both servers know.

use super::choices::{Choices, KEY_BYTES_MAX, Key};
use super::command::{Command, base64};
use super::run::Dialect;

/// What a time to live is asked to be below by `R`: far from every time that may be left.
const RECACHE_S: [&str; 4] = ["R50", "R500", "R3000", "R50000"];

/// Times to live that are over.
const PAST: [&str; 3] = ["T-", "T1000000000", "T2592001"];

/// The next command or few.
pub(super) fn commands(choices: &mut Choices) -> Vec<Command> {
    match choices.random.below(100) {
        0..30 => vec![get(choices)],
        30..58 => vec![set(choices)],
        58..70 => vec![delete(choices)],
        70..82 => vec![arithmetic(choices)],
        82..90 => compare_and_swap(choices),
        90..92 => vec![Command::line("mn")],
        92..94 => vec![debug(choices)],
        _ => vec![malformed(choices)],
    }
}

/// The flags of a command, in random order, of which none comes twice.
struct Flags(Vec<String>);

impl Flags {
    /// Each of these with so many percent.
    fn some(choices: &mut Choices, percent: usize, letters: &str) -> Self {
        let chosen = letters.chars().filter(|_| choices.random.percent(percent));
        Self(chosen.map(String::from).collect())
    }

    fn add(&mut self, choices: &mut Choices, percent: usize, flag: impl Into<String>) {
        if choices.random.percent(percent) {
            let at = choices.random.below(self.0.len() + 1);
            self.0.insert(at, flag.into());
        }
    }

    /// Where memcached 1.6.18 would not know it, only for newer ones.
    fn add_new(&mut self, choices: &mut Choices, percent: usize, flag: impl Into<String>) {
        if choices.dialect == Dialect::V1_6_45 {
            self.add(choices, percent, flag);
        }
    }

    fn has(&self, start: &str) -> bool {
        self.0.iter().any(|flag| flag.starts_with(start))
    }

    /// Leaves out what is known to be answered otherwise here: `differences` says why.
    fn drop_differing(&mut self, command: &str, in_base64: bool, is_marked: bool) {
        let is_created = self.has("N");
        let is_retimed = self.has("T") && command == "ma";
        let is_past = PAST.iter().any(|past| self.has(past));
        let is_read = command == "mg" || command == "ma";
        self.0.retain(|flag| match flag.as_str() {
            "t" => !(is_created || is_retimed || is_past),
            "k" => !(in_base64 && is_read),
            "c" => !is_past,
            _ if flag.starts_with('N') => !(in_base64 && is_read),
            // What is joined to a stale item, or a lease's, leaves it so here.
            "MA" | "MP" | "Ma" | "Mp" => !is_marked,
            _ => true,
        });
    }

    /// What proxies and pipelining clients add.
    fn add_common(&mut self, choices: &mut Choices) {
        let opaque = choices.random.pick(&["O", "O1", "Oabc", "O0123456789012345678901234567890"]);
        self.add(choices, 20, opaque);
        self.add(choices, 15, "q");
        self.add(choices, 20, "k");
        self.add(choices, 2, "Pprefix");
        self.add(choices, 2, "L5");
    }
}

/// A unique that the client chooses: greater than those that servers give.
fn explicit_unique(choices: &mut Choices) -> String {
    format!("E{}", 1_000_000_000_000 + choices.random.below(9))
}

/// A line: the key in base64 if it is sent so, then these words.
fn line(choices: &mut Choices, command: &str, key: &Key, length: &str, flags: Flags) -> Vec<u8> {
    let mut flags = flags;
    let is_line_safe = !key.iter().any(|byte| [b' ', b'\r', b'\n', 0].contains(byte));
    // An item that was set so tells its key so, in memcached until it is written anew.
    let may_be = command != "ms" && key.len() < 100;
    let in_base64 = !is_line_safe || (may_be && choices.random.percent(10));
    let sent = if in_base64 {
        flags.add(choices, 100, "b");
        base64(key).into_bytes()
    } else {
        key.clone()
    };
    flags.drop_differing(command, in_base64, choices.has_lease || choices.has_stale);
    choices.has_lease |= flags.has("N") || flags.has("R");
    if flags.has("I") {
        choices.note_stale();
    }
    let mut line = [command.as_bytes(), b" ", &sent].concat();
    for word in std::iter::once(length.to_owned()).chain(flags.0).filter(|word| !word.is_empty()) {
        line.push(b' ');
        line.extend_from_slice(word.as_bytes());
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn get(choices: &mut Choices) -> Command {
    let key = choices.binary_key();
    choices.note_read(&key);
    let mut flags = Flags::some(choices, 30, "cflstu");
    flags.add(choices, 60, "v");
    flags.add_common(choices);
    let exptime = choices.exptime();
    flags.add(choices, 10, format!("T{exptime}"));
    let vivified_s = choices.random.pick(&["N0", "N100", "N1000"]);
    flags.add(choices, 25, vivified_s);
    let recache = choices.random.pick(&RECACHE_S);
    flags.add(choices, 15, recache);
    flags.add_new(choices, 5, "C<cas 1>");
    Command::new(line(choices, "mg", &key, "", flags))
}

fn writable_key(choices: &mut Choices) -> Option<Key> {
    let keys: Vec<Key> = (0..8).map(|_| choices.binary_key()).collect();
    keys.into_iter().find(|key| choices.may_store(key))
}

fn set(choices: &mut Choices) -> Command {
    let mut flags = Flags::some(choices, 25, "c");
    flags.add_common(choices);
    set_with(choices, flags)
}

fn set_with(choices: &mut Choices, mut flags: Flags) -> Command {
    let Some(key) = writable_key(choices) else { return get(choices) };
    let (client_flags, exptime) = (choices.flags(), choices.exptime());
    flags.add(choices, 40, format!("F{client_flags}"));
    flags.add(choices, 40, format!("T{exptime}"));
    let unique = explicit_unique(choices);
    let mode = choices.random.pick(&["ME", "MA", "MP", "MR", "MS", "Ma", "Mp", "Me"]);
    flags.add(choices, 40, mode);
    // Creates what `MA` and `MP` miss.
    flags.add_new(choices, 15, format!("N{exptime}"));
    flags.add_new(choices, 15, "s");
    flags.add_new(choices, 5, unique);
    flags.add(choices, 5, "I");
    let value = choices.value(&key);
    let line = line(choices, "ms", &key, &value.len().to_string(), flags);
    Command::new([&line, value.as_slice(), b"\r\n"].concat())
}

fn delete(choices: &mut Choices) -> Command {
    let key = choices.binary_key();
    choices.note_delete(&key);
    let mut flags = Flags::some(choices, 45, "I");
    flags.add_common(choices);
    let exptime = choices.exptime();
    flags.add(choices, 25, format!("T{exptime}"));
    let unique = explicit_unique(choices);
    flags.add_new(choices, 10, unique);
    flags.add_new(choices, 15, "x");
    Command::new(line(choices, "md", &key, "", flags))
}

fn arithmetic(choices: &mut Choices) -> Command {
    if choices.has_stale || choices.has_lease {
        return get(choices);
    }
    let key = if choices.random.percent(70) { b"n".to_vec() } else { choices.binary_key() };
    let mut flags = Flags::some(choices, 30, "tc");
    flags.add(choices, 60, "v");
    flags.add_common(choices);
    let exptime = choices.exptime();
    // memcached 1.6.18 forgets it where the number grows.
    flags.add_new(choices, 10, format!("T{exptime}"));
    // Of what is created in silence, memcached 1.6.18 tells all the same.
    let is_told = choices.dialect == Dialect::V1_6_45 || !flags.0.contains(&"q".to_owned());
    if choices.may_store(&key) && is_told {
        let created_s = choices.random.pick(&["N0", "N100", "N1000"]);
        flags.add(choices, 30, created_s);
    }
    let initial = choices.random.pick(&["J0", "J7", "J1234567890123456"]);
    flags.add(choices, 25, initial);
    let largest = choices.largest();
    let delta = choices.random.pick(&["0", "1", "10", largest]);
    flags.add(choices, 40, format!("D{delta}"));
    let mode = choices.random.pick(&["MI", "M+", "MD", "M-", "Mi", "Md"]);
    flags.add(choices, 50, mode);
    Command::new(line(choices, "ma", &key, "", flags))
}

/// A unique is read, and named by a command of any kind.
fn compare_and_swap(choices: &mut Choices) -> Vec<Command> {
    let key = choices.binary_key();
    choices.note_read(&key);
    let read = Flags(vec!["c".to_owned(), "v".to_owned()]);
    let mut commands = vec![Command::new(line(choices, "mg", &key, "", read))];
    // The last is above every one that is given: over a database they begin at 2^40.
    let unique = choices.random.pick(&[
        "C<cas 1>",
        "C<cas 1>",
        "C<cas 1>",
        "C<cas 3>",
        "C999999999999999999",
    ]);
    let mut flags = Flags(vec![unique.to_owned()]);
    flags.add_common(choices);
    let is_storable = choices.may_store(&key);
    commands.push(match choices.random.below(3) {
        0 if is_storable => {
            flags.add(choices, 30, "I");
            flags.add(choices, 30, "c");
            let value = choices.value(&key);
            let line = line(choices, "ms", &key, &value.len().to_string(), flags);
            Command::new([&line, value.as_slice(), b"\r\n"].concat())
        }
        1 => {
            flags.add(choices, 30, "I");
            choices.note_delete(&key);
            Command::new(line(choices, "md", &key, "", flags))
        }
        _ if choices.has_stale || choices.has_lease => get(choices),
        _ => {
            flags.add(choices, 50, "v");
            Command::new(line(choices, "ma", &key, "", flags))
        }
    });
    commands
}

fn debug(choices: &mut Choices) -> Command {
    let key = choices.key();
    Command::new([b"me ", key.as_slice(), b"\r\n"].concat())
}

/// Flags and tokens that are none. The data of a bad `ms` is read past if its length is good.
fn malformed(choices: &mut Choices) -> Command {
    let key = String::from_utf8_lossy(&choices.key()).into_owned();
    let long = "L".repeat(KEY_BYTES_MAX + 1 + choices.random.below(50));
    let with_data = ["Fx", "F-1", "MZ", "Tx", "Cx", "c c", "z", "q q"];
    let lines = [
        "mz a".to_owned(),
        "meta".to_owned(),
        format!("MG {key}"),
        format!("mg {long}"),
        format!("md {long} q"),
        format!("mg {key} v v"),
        format!("mg {key} z"),
        format!("mg {key} Tx"),
        format!("mg {key} N"),
        format!("mg {key} R1x"),
        format!("mg {key} O0123456789012345678901234567890123"),
        "mg !!! b".to_owned(),
        "mg YQ= b v".to_owned(),
        "mg Y b q".to_owned(),
        format!("ma {key} MQ"),
        format!("ma {key} Dx"),
        format!("ma {key} D-1"),
        format!("ma {key} Jx N0"),
        format!("ma {key} D18446744073709551616"),
        format!("ms {key} x"),
        format!("ms {key} -1"),
        format!("ms {key} S2"),
        "mn anything".to_owned(),
    ];
    match choices.random.below(with_data.len() + lines.len()) {
        index if index < lines.len() => Command::line(&lines[index]),
        index => {
            let line = format!("ms {key} 5 {}", with_data[index - lines.len()]);
            Command::with_data(&line, b"value")
        }
    }
}
