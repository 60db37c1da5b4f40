//! Every plugin for tests, and every misdeed of the hostile one in every hook. What has no line
//! here does not compile.

use super::*;
use crate::model::KeyDecision;
use crate::plugins::{CallError, PluginError};

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

#[path = "../../../../tests/guests/hostile/src/misdeed.rs"]
#[allow(dead_code, reason = "the plugin finds them by name")]
mod misdeed;

use misdeed::{Misdeed, Start};

/// What a misdeed leads to.
#[derive(Debug)]
enum End {
    /// A trap whose reason has these words.
    Trap(&'static str),
    /// The deadline.
    Deadline,
    /// The plugin's own error.
    Error,
    /// A refusal of the answer, for this reason.
    Refused(&'static str),
    /// Nothing: the hook has no such answer.
    Fine,
}

const TWO_LINES: End = End::Refused("tag \"two\\nlines\" contains the control character '\\n'");
const FOR_AGES: End = End::Refused("ttl is 4294967295 s; limit is 316224000");

/// What it leads to in every hook, unless that hook has an answer for it.
fn in_any_hook(misdeed: Misdeed) -> End {
    match misdeed {
        Misdeed::Spin | Misdeed::SpinLogging | Misdeed::SpinLooking => End::Deadline,
        Misdeed::Grow => End::Trap("memory"),
        Misdeed::Trap => End::Trap("unreachable` instruction executed; plugins have no clock,"),
        Misdeed::Exit => End::Trap("exit"),
        Misdeed::Sleep => End::Trap("a plugin may not wait"),
        Misdeed::Recurse => End::Trap("stack"),
        Misdeed::Error => End::Error,
        Misdeed::HugeReturn
        | Misdeed::HeavyReturn
        | Misdeed::BadUtf8
        | Misdeed::Empty
        | Misdeed::BadTag
        | Misdeed::BadUrl
        | Misdeed::Everything
        | Misdeed::PutForAges => End::Fine,
    }
}

fn of_a_key(misdeed: Misdeed) -> End {
    match misdeed {
        Misdeed::HugeReturn => End::Refused("key is 1048576 bytes; limit is 8192"),
        Misdeed::BadUtf8 => End::Trap("utf-8"),
        Misdeed::Empty => End::Refused("key is empty"),
        other => in_any_hook(other),
    }
}

fn of_storing(misdeed: Misdeed) -> End {
    match misdeed {
        Misdeed::HugeReturn => End::Refused("65 tags; limit is 63"),
        Misdeed::HeavyReturn => End::Trap(""),
        Misdeed::BadUtf8 => End::Trap("utf-8"),
        Misdeed::BadTag => TWO_LINES,
        Misdeed::PutForAges => FOR_AGES,
        other => in_any_hook(other),
    }
}

fn of_an_event(misdeed: Misdeed) -> End {
    match misdeed {
        Misdeed::HugeReturn => End::Refused("10001 actions; limit is 10000"),
        Misdeed::HeavyReturn => End::Trap(""),
        Misdeed::BadUtf8 => End::Trap("utf-8"),
        Misdeed::Empty => End::Refused("key is empty"),
        Misdeed::BadTag => TWO_LINES,
        Misdeed::BadUrl => End::Refused("url \"not a url\" is not like http://host/path?query"),
        Misdeed::Everything => End::Refused("everything may not be invalidated by this plugin"),
        Misdeed::PutForAges => FOR_AGES,
        other => in_any_hook(other),
    }
}

fn of_a_start(start: Start) -> &'static str {
    match start {
        Start::RefuseConfiguration => "configure: this configuration is refused",
        Start::TrapInConfigure => "configure: the plugin trapped: ",
        Start::SpinInConfigure => "configure: the plugin was stopped after 3 ms",
        Start::TrapInDescribe => "describe: the plugin trapped: ",
        Start::SpinInDescribe => "describe: the plugin was stopped after 2000 ms",
        Start::BadInput => "describe: input header \"two words\" is not a field name",
    }
}

/// The hostile plugin with bytes that are no text where its marker was, and its file.
fn marked() -> (tempfile::NamedTempFile, PluginSource) {
    const MARKER: &[u8] = b"what stands here is overwritten with bytes that are no text in UTF-8";
    let mut bytes = std::fs::read(Guest::Hostile.file()).unwrap();
    let starts: Vec<usize> =
        (0..bytes.len() - MARKER.len()).filter(|at| bytes[*at..].starts_with(MARKER)).collect();
    assert!(!starts.is_empty(), "the marker is not in one piece");
    for at in starts {
        bytes[at..at + MARKER.len()].fill(0xff);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let origin = PluginOrigin::File(file.path().to_owned());
    (file, source("hostile", origin, &[]))
}

/// Whether the call ended as it should, and its outcome for the counters.
#[track_caller]
fn ended<T: std::fmt::Debug>(
    misdeed: Misdeed,
    end: &End,
    result: &Result<T, CallError>,
) -> Outcome {
    match (end, result) {
        (End::Trap(words), Err(CallError::Trap(text))) if text.contains(words) => Outcome::Trap,
        (End::Deadline, Err(CallError::Deadline { ms: 3 })) => Outcome::Timeout,
        (End::Error, Err(CallError::Guest(text))) if text == "no answer today" => Outcome::Error,
        (End::Refused(reason), Err(CallError::Refused(text))) if text == reason => Outcome::Refused,
        (End::Fine, Ok(_)) => Outcome::Ok,
        _ => panic!("{misdeed:?} should end as {end:?}, and ended as {result:?}"),
    }
}

/// Limits of a call that is to end by its deadline, and of one that is not.
fn limits_for(end: &End) -> PluginLimits {
    match end {
        End::Deadline => impatient(),
        _ => PluginLimits { event_ms_max: 20_000, ..patient() },
    }
}

/// The expected counts, and the plugins that counted.
struct Tally {
    hook: Hook,
    expected: Vec<(Outcome, u64)>,
}

impl Tally {
    fn new(hook: Hook) -> Self {
        Self { hook, expected: Vec::new() }
    }

    fn add(&mut self, outcome: Outcome) {
        match self.expected.iter_mut().find(|(one, _)| *one == outcome) {
            Some((_, count)) => *count += 1,
            None => self.expected.push((outcome, 1)),
        }
    }

    #[track_caller]
    fn is_counted_by(&self, plugin: &Plugin) {
        for (hook, outcome, counted) in plugin.calls() {
            let expected =
                self.expected.iter().find(|(one, _)| *one == outcome && hook == self.hook);
            assert_eq!(counted, expected.map_or(0, |(_, n)| *n), "{hook:?} {outcome:?}");
        }
    }
}

#[test]
fn every_guest_is_loaded_as_what_it_is() {
    for guest in Guest::ALL {
        let origin = PluginOrigin::File(guest.file().into());
        let plugin = only(&load(source("guest", origin, &[])));
        let hooks = (plugin.has_keyer(), plugin.has_tagger(), plugin.has_invalidator());
        match guest {
            Guest::Contract010
            | Guest::Hostile
            | Guest::Looking
            | Guest::ReloadFirst
            | Guest::ReloadSecond
            | Guest::ReloadThird => assert_eq!(hooks, (true, true, true)),
            Guest::Impure => assert_eq!(hooks, (true, false, false)),
            Guest::Partial => assert_eq!(hooks, (false, false, true)),
        }
    }
}

#[test]
fn a_key_of_any_misdeed_ends_as_it_should_and_the_next_one_works() {
    let (_file, marked) = marked();
    let clock = Clock::manual(1_000);
    let plugins = load_with(marked.clone(), clock.clone());
    let mut tally = Tally::new(Hook::Key);
    for misdeed in Misdeed::ALL.iter().copied() {
        let end = of_a_key(misdeed);
        plugins.replace(limited(marked.clone(), limits_for(&end))).unwrap();
        let result = only(&plugins).cache_key(&request("/", None, &[Some(misdeed.name())]));
        tally.add(ended(misdeed, &end, &result));
        plugins.replace(marked.clone()).unwrap();
        let next = only(&plugins).cache_key(&request("/", None, &[Some("behave")]));
        assert_eq!(next, Ok(KeyDecision::Custom(key("fine"))), "after {misdeed:?}");
        tally.add(Outcome::Ok);
        forget_failures(&clock);
    }
    tally.is_counted_by(&only(&plugins));
}

#[tokio::test]
async fn an_event_of_any_misdeed_ends_as_it_should_and_the_next_one_works() {
    let (_file, marked) = marked();
    let clock = Clock::manual(1_000);
    let plugins = load_with(marked.clone(), clock.clone());
    let mut tally = Tally::new(Hook::Event);
    for misdeed in Misdeed::ALL.iter().copied() {
        let end = of_an_event(misdeed);
        plugins.replace(limited(marked.clone(), limits_for(&end))).unwrap();
        let result = only(&plugins).on_event(&order(misdeed.name())).await;
        tally.add(ended(misdeed, &end, &result));
        plugins.replace(marked.clone()).unwrap();
        let next = only(&plugins).on_event(&order("put")).await;
        assert_eq!(next.map(|actions| actions.len()), Ok(1), "after {misdeed:?}");
        tally.add(Outcome::Ok);
        forget_failures(&clock);
    }
    tally.is_counted_by(&only(&plugins));
}

#[tokio::test]
async fn storing_of_any_misdeed_ends_as_it_should() {
    for misdeed in Misdeed::ALL.iter().copied() {
        let (_file, mut source) = marked();
        let end = of_storing(misdeed);
        source.config = vec![("mode".to_owned(), misdeed.name().to_owned())];
        let plugins = load(limited(source, limits_for(&end)));
        let (plugin, any) = (only(&plugins), request("/", None, &[None]));
        // A poisoned instance would say that it can't be entered.
        for _ in 0..2 {
            let stored = plugin.on_store(&key("k"), &any, &response()).await;
            ended(misdeed, &end, &stored);
            ended(misdeed, &end, &plugin.on_item(&key("k"), 0, 1).await);
        }
        let outcomes = plugin.calls().into_iter().filter(|(_, _, n)| *n > 0);
        let outcomes: Vec<(Hook, u64)> = outcomes.map(|(hook, _, n)| (hook, n)).collect();
        assert_eq!(outcomes, [(Hook::Store, 2), (Hook::Item, 2)], "{misdeed:?}");
    }
}

#[test]
fn a_start_of_any_misdeed_is_told_and_loads_nothing() {
    for start in Start::ALL.iter().copied() {
        let mut source = hostile(&[("start", start.name())]);
        source.limits.start_ms_max = match start {
            Start::SpinInConfigure => 3,
            Start::SpinInDescribe => 2_000,
            _ => 20_000,
        };
        let plugins = Plugins::none(CodeFolder::Nowhere);
        let error: PluginError = plugins.replace(source).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(&format!("plugin hostile: {}", of_a_start(start))), "{told}");
        assert!(plugins.list().is_empty());
    }
}
