//! This server and memcached itself, asked the same: the replies have to be the same.
//!
//! memcached is Debian's, 1.6.18; another is named by `WASMCACHED_REFERENCE`. Where it differs from
//! 1.6.45, that is the rule: `differences` lists where, and nothing else may differ.

mod binary;
mod choices;
mod classic;
mod command;
mod differences;
mod meta;
mod replies;
mod run;
mod shrink;
mod statistics;
mod transcripts;

use std::fmt::Write;

use wasmcached_tests::{Database, Random, Reference, Server, settings};

use choices::Choices;
use command::Command;
use run::{Dialect, Peer, Protocol, Splits};
use shrink::Pair;

/// How many random sequences one run tries. Above a database, where every change waits for a
/// commit, it is a quarter: what is compared is decided above it.
fn sequences() -> usize {
    Database::for_every_server().map_or(2_000, |_| 500)
}

/// After so many that differ a run ends: they have one cause most of the time.
const DIFFERENCES_MAX: usize = 3;

/// Memory in which nothing is evicted, and no threads that look at items: while they do, memcached
/// does not count in place, so that what is left of a longer number differs.
const MEMORY: [&str; 6] = ["-m", "1024", "-t", "1", "-o", "no_lru_maintainer,no_lru_crawler"];

fn peer_of(reference: &Reference) -> Peer<'_> {
    let is_old = reference.memcached().ask("version") == "VERSION 1.6.18";
    let dialect = if is_old { Dialect::V1_6_18 } else { Dialect::V1_6_45 };
    Peer { address: reference.address(), dialect, protocol: Protocol::Text }
}

fn server() -> Server {
    Server::start(&settings::plain().replace("32MiB", "512MiB"))
}

fn peer_of_server(server: &Server) -> Peer<'_> {
    let (dialect, protocol) = (Dialect::V1_6_45, Protocol::Text);
    Peer { address: server.address("memcached"), dialect, protocol }
}

/// A sequence of the classic text protocol.
fn classic_sequence(seed: u64, dialect: Dialect) -> Vec<Command> {
    sequence(seed, dialect, |choices| match choices.random.below(1_500) {
        0 => classic::large(choices),
        _ => classic::commands(choices),
    })
}

/// A sequence of meta commands, with classic ones among them.
fn meta_sequence(seed: u64, dialect: Dialect) -> Vec<Command> {
    sequence(seed, dialect, |choices| {
        match choices.random.percent(25) && !choices.has_stale && !choices.has_lease {
            true => classic::commands(choices),
            false => meta::commands(choices),
        }
    })
}

/// A sequence of the binary protocol.
fn binary_sequence(seed: u64, dialect: Dialect) -> Vec<Command> {
    let mut choices = Choices::new(seed, dialect);
    let count = 1 + choices.random.below(25);
    (0..count).flat_map(|_| binary::commands(&mut choices)).collect()
}

fn sequence(seed: u64, dialect: Dialect, next: fn(&mut Choices) -> Vec<Command>) -> Vec<Command> {
    let mut choices = Choices::new(seed, dialect);
    let mut commands = Vec::new();
    let count = 1 + choices.random.below(25);
    while commands.len() < count {
        commands.extend(next(&mut choices));
    }
    commands
}

/// Fails with the smallest part of each sequence, of so many, on which the two don't agree.
#[track_caller]
fn compare(pair: Pair<'_>, sequences: usize, sequence: impl Fn(u64, Dialect) -> Vec<Command>) {
    let seed = Random::seed();
    let (mut found, mut differences) = (String::new(), 0);
    for number in 0..sequences as u64 {
        let seed = seed.wrapping_add(number);
        let (commands, splits) = (sequence(seed, pair.reference.dialect), Splits::Random(seed));
        if !pair.agree(&commands, splits) {
            let transcript = pair.difference(&commands, splits);
            writeln!(found, "WASMCACHED_SEED={seed} shows a difference:\n{transcript}").unwrap();
            differences += 1;
        }
        if differences == DIFFERENCES_MAX {
            break;
        }
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
fn random_classic_commands_are_answered_as_by_memcached() {
    let (reference, server) = (Reference::start(&MEMORY), server());
    let pair = Pair { reference: peer_of(&reference), subject: peer_of_server(&server) };
    compare(pair, sequences(), classic_sequence);
}

#[test]
fn random_meta_commands_are_answered_as_by_memcached() {
    let (reference, server) = (Reference::start(&MEMORY), server());
    let pair = Pair { reference: peer_of(&reference), subject: peer_of_server(&server) };
    compare(pair, sequences(), meta_sequence);
}

#[test]
fn random_binary_requests_are_answered_as_by_memcached() {
    let (reference, server) = (Reference::start(&MEMORY), server());
    let protocol = Protocol::Binary;
    let pair = Pair {
        reference: Peer { protocol, ..peer_of(&reference) },
        subject: Peer { protocol, ..peer_of_server(&server) },
    };
    compare(pair, sequences() / 4, binary_sequence);
}

/// What is masked is masked alike, whatever else the suite may find.
#[test]
fn memcached_agrees_with_itself() {
    let (first, second) = (Reference::start(&MEMORY), Reference::start(&MEMORY));
    let pair = Pair { reference: peer_of(&first), subject: peer_of(&second) };
    compare(pair, sequences() / 10, classic_sequence);
    compare(pair, sequences() / 10, meta_sequence);
    let protocol = Protocol::Binary;
    let pair = Pair {
        reference: Peer { protocol, ..pair.reference },
        subject: Peer { protocol, ..pair.subject },
    };
    compare(pair, sequences() / 10, binary_sequence);
}
