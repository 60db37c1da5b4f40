//! What plugins answer, and what becomes of those that misbehave.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::model::{Action, KeyDecision, Mode, StoreDecision, Tag, Target};
use crate::plugins::CallError;

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn hard(text: &str) -> Action {
    Action::Invalidate(Target::Tag(tag(text)), Mode::Hard)
}

fn fine() -> Vec<Action> {
    vec![Action::Invalidate(Target::Tag(tag("fine")), Mode::Soft)]
}

#[tokio::test]
async fn the_trekking_plugin_decides_keys_tags_and_purges() {
    let plugins = load(source("trekking", PluginOrigin::Shipped, &[]));
    let plugin = only(&plugins);
    let campaign = request("/treks/k2/", Some("utm_source=x&page=2"), &[]);
    let custom = KeyDecision::Custom(key("http://site/treks/k2/?page=2"));
    assert_eq!(plugin.cache_key(&campaign).unwrap(), custom);
    let plain = request("/treks/k2/", Some("page=2"), &[]);
    assert_eq!(plugin.cache_key(&plain).unwrap(), KeyDecision::Default);
    let stored = plugin.on_store(&key("k"), &plain, &response()).await.unwrap();
    let tags = ["model:treks.trek", "model:treks.photo", "trek:k2"].map(tag).into();
    let expected = StoreDecision { store: true, tags, ..StoreDecision::default() };
    assert_eq!(stored, expected);
    let moved = event("treks.photo", r#"{"before":{"trek":"k2"},"after":{"trek":"g1"}}"#);
    let actions = plugin.on_event(&moved).await.unwrap();
    assert_eq!(actions, [hard("trek:k2"), hard("trek:g1"), hard("home")]);
    let nameless = plugin.on_event(&event("treks.photo", "{}")).await.unwrap_err();
    let text = "treks.photo: neither before.trek nor after.trek";
    assert_eq!(nameless, CallError::Guest(text.to_owned()));
}

#[tokio::test]
async fn the_rules_plugin_does_what_its_rules_say() {
    let rules = r#"{"keys":{"bypass_cookies":["sessionid"],"prefix":"v2:"},
        "store":[{"path":"/treks/*","ttl_s":300,"tags":["trek:{path.1}"]}],
        "items":[{"prefix":"frag:","ttl_s":60,"tags":["fragments"]}],
        "events":[{"model":"treks.*","fields":["title"],"keys":["trek:{pk}"],"mode":"soft"}]}"#;
    let plugins = load(source("rules", PluginOrigin::Shipped, &[("rules", rules)]));
    let plugin = only(&plugins);
    let member = request("/treks/k2/", None, &[Some("1")]);
    assert_eq!(plugin.cache_key(&member).unwrap(), KeyDecision::Bypass);
    let guest = request("/treks/k2/", None, &[None]);
    let custom = KeyDecision::Custom(key("v2:http://site/treks/k2/"));
    assert_eq!(plugin.cache_key(&guest).unwrap(), custom);
    let stored = plugin.on_store(&key("k"), &guest, &response()).await.unwrap();
    assert_eq!((stored.ttl_s, stored.tags), (Some(300), vec![tag("trek:k2")]));
    let item = plugin.on_item(&key("frag:1"), 0, 10).await.unwrap();
    assert_eq!((item.ttl_s, item.tags), (Some(60), vec![tag("fragments")]));
    let actions = plugin.on_event(&event("treks.photo", "{}")).await.unwrap();
    assert_eq!(actions, [Action::Invalidate(Target::Key(key("trek:5")), Mode::Soft)]);
}

#[tokio::test]
async fn hooks_that_a_plugin_does_not_write_are_not_exported_and_not_asked() {
    let file = PathBuf::from(env!("WASMCACHED_GUEST_PARTIAL"));
    let plugins = load(source("partial", PluginOrigin::File(file), &[]));
    let plugin = only(&plugins);
    assert!(!plugin.has_keyer() && !plugin.has_tagger() && plugin.has_invalidator());
    let any = request("/", None, &[]);
    assert_eq!(plugin.cache_key(&any), Err(CallError::NotExported));
    assert_eq!(plugin.on_store(&key("k"), &any, &response()).await, Err(CallError::NotExported));
    assert_eq!(plugin.on_item(&key("k"), 0, 1).await, Err(CallError::NotExported));
    assert_eq!(plugin.on_event(&event("a.b", "{}")).await, Ok(vec![hard("a.b")]));
    assert_eq!(plugin.calls().iter().map(|(_, _, count)| count).sum::<u64>(), 1);
}

#[test]
fn a_remembered_key_is_the_same_and_counted() {
    let plugins = load(source("trekking", PluginOrigin::Shipped, &[]));
    let plugin = only(&plugins);
    for _ in 0..3 {
        for page in 0..100 {
            let query = format!("utm_source=x&page={page}");
            let decision = plugin.cache_key(&request("/", Some(&query), &[])).unwrap();
            let expected = key(&format!("http://site/?page={page}"));
            assert_eq!(decision, KeyDecision::Custom(expected));
        }
    }
    assert_eq!(count(&plugin, Hook::Key, Outcome::Ok), 300);
}

#[test]
fn callers_at_once_do_not_feel_the_traps_of_others() {
    let clock = Clock::manual(1_000);
    let plugins = load_with(hostile(&[]), clock.clone());
    let plugin = only(&plugins);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (plugin, clock) = (&plugin, &clock);
            scope.spawn(move || {
                for n in 0..100 {
                    let traps = (n + thread) % 3 == 0;
                    let mode = if traps { "trap" } else { "behave" };
                    let result = plugin.cache_key(&request("/", None, &[Some(mode)]));
                    match result {
                        Ok(decision) => {
                            assert_eq!(
                                (traps, decision),
                                (false, KeyDecision::Custom(key("fine")))
                            );
                        }
                        Err(error) => {
                            assert!(traps && error.to_string().contains("unreachable"), "{error}");
                            // At most one of each thread is remembered.
                            forget_failures(clock);
                        }
                    }
                }
            });
        }
    });
    let (ok, trapped) = (Outcome::Ok, Outcome::Trap);
    assert_eq!(count(&plugin, Hook::Key, ok) + count(&plugin, Hook::Key, trapped), 400);
}

#[test]
fn an_instance_gives_way_to_a_fresh_one_after_its_calls() {
    let plugins = load(hostile(&[]));
    let plugin = only(&plugins);
    let counted = request("/", None, &[Some("count")]);
    let mut most: u32 = 0;
    for _ in 0..120_001 {
        match plugin.cache_key(&counted).unwrap() {
            KeyDecision::Custom(key) => most = most.max(key.to_text().parse().unwrap()),
            other => panic!("{other:?}"),
        }
    }
    assert!((80_000..=120_000).contains(&most), "{most}");
    assert_eq!(incidents(&plugin, Incident::Recycled), 1);
}

#[test]
fn an_instance_whose_memory_has_grown_gives_way_to_a_fresh_one() {
    let limits = PluginLimits { memory_bytes_max: 16 << 20, ..patient() };
    let plugins = load(limited(hostile(&[]), limits));
    let plugin = only(&plugins);
    let hoard = request("/", None, &[Some("hoard")]);
    let mut most: u32 = 0;
    for _ in 0..100 {
        match plugin.cache_key(&hoard).unwrap() {
            KeyDecision::Custom(key) => most = most.max(key.to_text().parse().unwrap()),
            other => panic!("{other:?}"),
        }
    }
    // Of 16 MiB; none of them reached the limit, or it would have trapped.
    assert!((6..=14).contains(&most), "{most} MiB");
    assert!(incidents(&plugin, Incident::Recycled) >= 100 / 14);
}

#[test]
fn limits_of_a_plugin_hold_for_its_answers() {
    let limits = PluginLimits { key_bytes_max: 3, ..patient() };
    let plugins = load(limited(hostile(&[]), limits));
    let refused = CallError::Refused("key is 4 bytes; limit is 3".to_owned());
    assert_eq!(only(&plugins).cache_key(&request("/", None, &[None])), Err(refused));
}

#[tokio::test]
async fn an_event_may_purge_and_put() {
    let plugins = load(hostile(&[]));
    let plugin = only(&plugins);
    assert_eq!(plugin.on_event(&order("behave")).await, Ok(fine()));
    let put = Action::Put {
        key: key("k"),
        value: b"v".to_vec(),
        ttl_s: Some(60),
        tags: vec![tag("t")],
        consulted: Arc::default(),
    };
    assert_eq!(plugin.on_event(&order("put")).await, Ok(vec![put]));
}

#[tokio::test]
async fn everything_may_be_invalidated_where_the_operator_allows_it() {
    let limits = PluginLimits { allow_everything: AllowEverything::Yes, ..patient() };
    let plugins = load(limited(hostile(&[]), limits));
    let actions = only(&plugins).on_event(&order("everything")).await.unwrap();
    assert_eq!(actions, [Action::Invalidate(Target::Everything, Mode::Hard)]);
}

#[test]
fn a_guest_sees_no_environment_no_arguments_and_no_files() {
    let plugins = load(hostile(&[("mode", "environment")]));
    let seen = only(&plugins).cache_key(&request("/", None, &[None])).unwrap();
    assert_eq!(seen, KeyDecision::Custom(key("0|0|false")));
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// What is logged on this thread meanwhile.
    fn while_doing(act: impl FnOnce()) -> String {
        let captured = Self::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = captured.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }
}

/// On a thread that runs tokio, where waiting for another runtime would panic.
#[tokio::test]
async fn what_a_guest_prints_is_in_its_log() {
    let plugins = load(hostile(&[]));
    let plugin = only(&plugins);
    let log = Captured::while_doing(|| {
        let printed = plugin.cache_key(&request("/", None, &[Some("print")])).unwrap();
        assert_eq!(printed, KeyDecision::Custom(key("printed")));
    });
    assert!(log.contains("INFO"), "{log}");
    assert!(log.contains("a line on standard output plugin=\"hostile\""), "{log}");
    assert!(log.contains("a line on standard error plugin=\"hostile\""), "{log}");
}

#[test]
fn the_words_of_a_panic_are_in_the_log() {
    let plugins = load(hostile(&[]));
    let plugin = only(&plugins);
    let log = Captured::while_doing(|| {
        plugin.cache_key(&request("/", None, &[Some("trap")])).unwrap_err();
    });
    assert!(log.contains("ERROR") && log.contains("as asked"), "{log}");
}

#[test]
fn a_flood_of_lines_is_cut_and_told() {
    let clock = Clock::manual(5_000);
    let log = crate::plugins::log::PluginLog::new("shop", 100, clock.clone());
    let write = |text: &str| log.write(crate::plugins::log::Level::Info, text);
    let first = Captured::while_doing(|| write(&"line\n".repeat(250)));
    assert_eq!(first.lines().count(), 100);
    clock.advance(std::time::Duration::from_secs(1));
    let long = "é".repeat(1_000);
    let second = Captured::while_doing(|| write(&long));
    let lines: Vec<&str> = second.lines().collect();
    assert!(lines[0].contains("dropped a flood of lines") && lines[0].contains("lines=150"));
    assert!(lines[1].contains(&"é".repeat(512)) && !lines[1].contains(&"é".repeat(513)));
}
