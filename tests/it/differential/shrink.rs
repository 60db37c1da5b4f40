//! Finds the smallest part of a sequence that still shows a difference, and writes it down.

use std::fmt::Write;

use super::command::Command;
use super::run::{Peer, Splits, batches};

/// The two servers that are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    /// memcached.
    pub(super) reference: Peer<'a>,
    /// This server, or memcached again.
    pub(super) subject: Peer<'a>,
}

impl Pair<'_> {
    /// Whether the two answer a sequence alike.
    #[track_caller]
    pub(super) fn agree(self, commands: &[Command], splits: Splits) -> bool {
        let expected = self.reference.converse(commands, splits);
        expected == self.subject.converse(commands, splits)
    }

    /// The shortest transcript of a sequence on which the two don't agree.
    #[track_caller]
    pub(super) fn difference(self, commands: &[Command], splits: Splits) -> String {
        // How it was split rarely matters, and one command at a time is read best.
        let splits = match self.agree(commands, Splits::Commands) {
            true => splits,
            false => Splits::Commands,
        };
        let mut least = commands.to_vec();
        let mut part = least.len().div_ceil(2);
        while part > 0 {
            let mut start = 0;
            while start < least.len() && least.len() > 1 {
                let mut fewer = least.clone();
                fewer.drain(start..(start + part).min(least.len()));
                if !fewer.is_empty() && !self.agree(&fewer, splits) {
                    least = fewer;
                } else {
                    start += part;
                }
            }
            part = if part == 1 { 0 } else { part.div_ceil(2) };
        }
        self.transcript(&least, splits)
    }

    /// What was sent, what memcached answered, and where this server's answer differs.
    fn transcript(self, commands: &[Command], splits: Splits) -> String {
        let expected = self.reference.converse(commands, splits);
        let seen = self.subject.converse(commands, splits);
        let mut text = String::new();
        for (index, batch) in batches(commands, splits).into_iter().enumerate() {
            for command in batch {
                lines(&mut text, ">", &command.bytes);
            }
            lines(&mut text, "<", &expected[index]);
            if expected[index] != seen[index] {
                text.push_str("# but this server:\n");
                lines(&mut text, "<", &seen[index]);
            }
        }
        text
    }
}

/// How much of a long line is shown.
const SHOWN_CHARS_MAX: usize = 300;

fn lines(text: &mut String, mark: &str, bytes: &[u8]) {
    let shown = bytes.escape_ascii().to_string();
    for line in shown.strip_suffix("\\r\\n").unwrap_or(&shown).split("\\r\\n") {
        match line.get(..SHOWN_CHARS_MAX) {
            Some(start) => writeln!(text, "{mark} {start}… ({} characters)", line.len()),
            None => writeln!(text, "{mark} {line}"),
        }
        .expect("write to a string");
    }
}
