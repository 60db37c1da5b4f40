//! The opcodes (memcached's protocol-binary, "Command Opcodes").

use crate::memcached::ops::{Direction, Verb};
use crate::memcached::parse::Answer;

/// What a frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Get, GetK.
    Get(Shown),
    /// Set, Add, Replace, Append, Prepend.
    Store(Verb),
    /// Increment, Decrement.
    Arithmetic(Direction),
    /// Delete.
    Delete,
    /// Touch.
    Touch,
    /// GAT, GATK.
    GetAndTouch(Shown),
    /// Flush.
    Flush,
    /// Noop.
    Noop,
    /// Version.
    Version,
    /// Stat.
    Stat,
    /// Verbosity.
    Verbosity,
    /// Quit.
    Quit,
    /// SASL list mechs.
    SaslMechanisms,
    /// SASL auth.
    SaslAuth,
    /// SASL step.
    SaslStep,
}

/// What a retrieval shows beside the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The value.
    Value,
    /// The key, also where nothing is, and the value.
    KeyAndValue,
}

/// The command of an opcode, and whether success (for retrievals: a miss) is told; `None` for
/// opcodes that memcached doesn't know either.
pub(super) fn command(opcode: u8) -> Option<(Command, Answer)> {
    let (command, answer) = match opcode {
        0x00 => (Command::Get(Shown::Value), Answer::Wanted),
        0x01 => (Command::Store(Verb::Set), Answer::Wanted),
        0x02 => (Command::Store(Verb::Add), Answer::Wanted),
        0x03 => (Command::Store(Verb::Replace), Answer::Wanted),
        0x04 => (Command::Delete, Answer::Wanted),
        0x05 => (Command::Arithmetic(Direction::Up), Answer::Wanted),
        0x06 => (Command::Arithmetic(Direction::Down), Answer::Wanted),
        0x07 => (Command::Quit, Answer::Wanted),
        0x08 => (Command::Flush, Answer::Wanted),
        0x09 => (Command::Get(Shown::Value), Answer::Unwanted),
        0x0a => (Command::Noop, Answer::Wanted),
        0x0b => (Command::Version, Answer::Wanted),
        0x0c => (Command::Get(Shown::KeyAndValue), Answer::Wanted),
        0x0d => (Command::Get(Shown::KeyAndValue), Answer::Unwanted),
        0x0e => (Command::Store(Verb::Append), Answer::Wanted),
        0x0f => (Command::Store(Verb::Prepend), Answer::Wanted),
        0x10 => (Command::Stat, Answer::Wanted),
        0x11 => (Command::Store(Verb::Set), Answer::Unwanted),
        0x12 => (Command::Store(Verb::Add), Answer::Unwanted),
        0x13 => (Command::Store(Verb::Replace), Answer::Unwanted),
        0x14 => (Command::Delete, Answer::Unwanted),
        0x15 => (Command::Arithmetic(Direction::Up), Answer::Unwanted),
        0x16 => (Command::Arithmetic(Direction::Down), Answer::Unwanted),
        0x17 => (Command::Quit, Answer::Unwanted),
        0x18 => (Command::Flush, Answer::Unwanted),
        0x19 => (Command::Store(Verb::Append), Answer::Unwanted),
        0x1a => (Command::Store(Verb::Prepend), Answer::Unwanted),
        0x1b => (Command::Verbosity, Answer::Wanted),
        0x1c => (Command::Touch, Answer::Wanted),
        0x1d => (Command::GetAndTouch(Shown::Value), Answer::Wanted),
        0x1e => (Command::GetAndTouch(Shown::Value), Answer::Unwanted),
        0x20 => (Command::SaslMechanisms, Answer::Wanted),
        0x21 => (Command::SaslAuth, Answer::Wanted),
        0x22 => (Command::SaslStep, Answer::Wanted),
        0x23 => (Command::GetAndTouch(Shown::KeyAndValue), Answer::Wanted),
        0x24 => (Command::GetAndTouch(Shown::KeyAndValue), Answer::Unwanted),
        _ => return None,
    };
    Some((command, answer))
}

impl Command {
    /// Whether it may be used before authentication.
    pub(super) fn is_open(self) -> bool {
        use Command::{SaslAuth, SaslMechanisms, SaslStep, Version};
        matches!(self, SaslMechanisms | SaslAuth | SaslStep | Version)
    }
}
