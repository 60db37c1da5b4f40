//! How long a start takes above a hundred thousand entries.

use std::io::Write as _;

use serde_json::json;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, http};

use crate::client::Memcached;
use crate::workload::Mix;
use crate::world::World;

const ENTRIES: usize = 100_000;

/// Connections that store them.
const CONNECTIONS: usize = 250;

const KILLS: usize = 12;

/// Entries that are asked for at the end.
const SAMPLES: usize = 1_000;

#[test]
fn start_above_a_hundred_thousand_entries_takes_less_than_two_seconds() {
    let mut world = World::new(super::seed(), Mix::Gentle, &Database::sqlite());
    world.start();
    load(&world);
    world.kill();
    for _ in 0..KILLS {
        // Each start is measured, up to the first answers by every protocol.
        world.live();
    }
    world.start();
    eprintln!("{}", world.summary());
    world.assert_starts_were_quick();
    let mut memcached = Memcached::connect(&world.doors().memcached).unwrap();
    for sample in 0..SAMPLES {
        let entry = sample * (ENTRIES / SAMPLES);
        let value = value(entry).into_bytes();
        // A look-up that a busy machine holds up is a miss.
        eventually(&format!("many:{entry} is found"), || {
            let found = memcached.get(&format!("many:{entry}")).unwrap();
            assert!(found.is_none() || found.as_ref() == Some(&value), "many:{entry}: {found:?}");
            found.is_some()
        });
    }
}

fn value(entry: usize) -> String {
    format!("value {entry}: {}", "x".repeat(100))
}

/// Stores the entries, each with a tag, and returns when all are durable. By many connections at
/// once, because each waits for the commit of its last value.
fn load(world: &World) {
    let doors = world.doors();
    let mut connections = Vec::new();
    for first in (0..ENTRIES).step_by(ENTRIES / CONNECTIONS) {
        let mut commands = Vec::new();
        for entry in first..first + ENTRIES / CONNECTIONS {
            let value = value(entry);
            write!(commands, "ms many:{entry} {} q Lmany:{}\r\n", value.len(), entry % 1_000)
                .unwrap();
            write!(commands, "{value}\r\n").unwrap();
        }
        let mut connection = Memcached::connect(&doors.memcached).unwrap();
        connection.send(&commands).unwrap();
        connections.push(connection);
    }
    for connection in &mut connections {
        assert_eq!(connection.ask("mn").unwrap(), "MN");
    }
    let queued = || http::get(&format!("{}/v1/stats", doors.api)).json()["tier"]["queued"].clone();
    eventually("all entries are in the database", || queued() == json!(0));
}
