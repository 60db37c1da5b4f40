//! The names of memcached's statistics: tools look for them, whatever the values.

use std::collections::BTreeSet;

use wasmcached_tests::{Memcached, Reference, Server, settings};

/// What is left out, by topic: this server does not use libevent.
const ABSENT: [(&str, &[&str]); 2] = [("stats", &["libevent"]), ("stats settings", &[])];

/// Fewer means that the reply was not read.
const NAMES_MIN: usize = 50;

fn names(memcached: &mut Memcached, command: &str) -> BTreeSet<String> {
    memcached.send(format!("{command}\r\n").as_bytes());
    let reply = String::from_utf8(memcached.until(b"END\r\n")).unwrap();
    let stats = reply.lines().filter_map(|line| line.strip_prefix("STAT "));
    stats.filter_map(|stat| Some(stat.split_once(' ')?.0.to_owned())).collect()
}

#[test]
fn every_statistic_of_memcached_is_here() {
    let reference = Reference::start(&["-m", "64"]);
    let server = Server::start(&settings::plain());
    for (command, absent) in ABSENT {
        let theirs = names(&mut reference.memcached(), command);
        let ours = names(&mut server.memcached(), command);
        assert!(theirs.len() >= NAMES_MIN, "{command}: {theirs:?}");
        let missing: Vec<_> = theirs.difference(&ours).map(String::as_str).collect();
        assert_eq!(missing, absent, "{command}");
    }
}
