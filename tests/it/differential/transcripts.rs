//! The transcripts that this server is held to, played to memcached itself.

use wasmcached_tests::{Reference, transcript};

use crate::memcached::folder;

/// What marks a file that holds for this server alone.
const ONLY_HERE: &str = "! only wasmcached: ";

/// Fewer means that the folder was not read.
const SHARED_MIN: usize = 15;

#[test]
fn memcached_answers_the_transcripts_as_this_server_does() {
    let mut played = 0;
    let entries = std::fs::read_dir(folder()).unwrap();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_shared = !text.lines().any(|line| line.starts_with(ONLY_HERE));
        let Some(steps) = transcript::parse(&text).filter(|_| is_shared) else { continue };
        let reference = Reference::start(&["-m", "64", "-t", "1", "-c", "64"]);
        transcript::play(&path.display().to_string(), &steps, || reference.memcached());
        played += 1;
    }
    assert!(played >= SHARED_MIN, "only {played} transcripts are shared");
}
