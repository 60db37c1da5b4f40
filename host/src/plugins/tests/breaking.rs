//! Plugins that fail again and again, and those that are not what they say.

use futures_util::FutureExt;

use super::*;
use crate::model::KeyDecision;
use crate::plugins::CallError;

fn ask(plugin: &Plugin, mode: &str) -> Result<KeyDecision, CallError> {
    plugin.cache_key(&request("/", None, &[Some(mode)]))
}

fn fine() -> Result<KeyDecision, CallError> {
    Ok(KeyDecision::Custom(key("fine")))
}

fn break_it(plugin: &Plugin) {
    for _ in 0..5 {
        assert!(matches!(ask(plugin, "trap"), Err(CallError::Trap(_))));
    }
}

/// The same component with a section that means nothing, so that it is another one.
fn numbered(number: u8, config: &[(&str, &str)]) -> PluginSource {
    let mut component = std::fs::read(env!("WASMCACHED_GUEST_HOSTILE")).unwrap();
    component.extend([0, 3, 1, b'n', number]);
    source("hostile", PluginOrigin::Bytes(component.into()), config)
}

#[tokio::test]
async fn a_plugin_that_fails_again_and_again_is_not_asked_until_a_probe_works() {
    let clock = Clock::manual(1_000);
    let plugins = load_with(hostile(&[]), clock.clone());
    let plugin = only(&plugins);
    break_it(&plugin);
    assert!(plugin.is_degraded());
    for _ in 0..10 {
        assert_eq!(ask(&plugin, "behave"), Err(CallError::Degraded));
    }
    assert_eq!(plugin.on_event(&order("behave")).await, Err(CallError::Degraded));
    clock.advance(Duration::from_secs(30));
    assert!(matches!(ask(&plugin, "trap"), Err(CallError::Trap(_))), "the probe is let through");
    assert_eq!(ask(&plugin, "behave"), Err(CallError::Degraded));
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask(&plugin, "behave"), fine());
    assert!(!plugin.is_degraded());
    assert_eq!(ask(&plugin, "behave"), fine());
    for (outcome, expected) in [(Outcome::Trap, 6), (Outcome::Degraded, 11), (Outcome::Ok, 2)] {
        assert_eq!(count(&plugin, Hook::Key, outcome), expected, "{outcome:?}");
    }
    assert_eq!(count(&plugin, Hook::Event, Outcome::Degraded), 1);
    assert_eq!(incidents(&plugin, Incident::Degraded), 1);
    assert_eq!(incidents(&plugin, Incident::RolledBack), 0);
}

#[test]
fn the_version_before_takes_over_from_one_that_fails_again_and_again() {
    let plugins = load(hostile(&[]));
    let first = only(&plugins);
    plugins.replace(numbered(2, &[("prefix", "second:")])).unwrap();
    let second = only(&plugins);
    assert_eq!(second.item_prefixes(), ["second:"]);
    break_it(&second);
    let current = only(&plugins);
    assert!(std::sync::Arc::ptr_eq(&current, &first));
    assert!(second.is_degraded() && !current.is_degraded());
    assert_eq!(ask(&current, "behave"), fine());
    assert_eq!(incidents(&current, Incident::RolledBack), 1);
    // One that failed does not take over in its turn.
    break_it(&current);
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &first));
    assert_eq!(ask(&only(&plugins), "behave"), Err(CallError::Degraded));
    assert_eq!(incidents(&current, Incident::RolledBack), 1);
    assert_eq!(incidents(&current, Incident::Degraded), 2);
}

#[test]
fn a_version_that_fails_is_not_rolled_back_to() {
    let clock = Clock::manual(1_000);
    let plugins = load_with(hostile(&[]), clock.clone());
    let first = only(&plugins);
    plugins.replace(numbered(2, &[])).unwrap();
    let second = only(&plugins);
    break_it(&second);
    let refusal = roll_back(&plugins).unwrap_err().to_string();
    let now = format!("{} decides now, sha256 {}", first.version(), first.sha256());
    assert_eq!(refusal, format!("plugin hostile: the previous version fails; {now}"));
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &first));
    // The operator may have it again once it works.
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask(&second, "behave"), fine());
    roll_back(&plugins).unwrap();
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &second));
}

#[test]
fn a_roll_back_to_a_version_that_took_over_meanwhile_changes_nothing() {
    let clock = Clock::manual(1_000);
    let plugins = load_with(hostile(&[]), clock.clone());
    let first = only(&plugins);
    plugins.replace(numbered(2, &[])).unwrap();
    let second = only(&plugins);
    break_it(&second);
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask(&second, "behave"), fine());
    assert!(plugins.rollback("hostile", &first).is_err(), "it decides already");
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &first));
}

#[test]
fn the_version_before_does_not_take_over_once_it_is_not_asked_about_events() {
    let clock = Clock::manual(1_000);
    for forgets in [false, true] {
        let plugins = load_with(hostile(&[]), clock.clone());
        plugins.replace(numbered(2, &[])).unwrap();
        let second = only(&plugins);
        clock.advance(Duration::from_secs(24 * 60 * 60));
        if forgets {
            plugins.forget();
        }
        break_it(&second);
        assert!(second.is_degraded() && std::sync::Arc::ptr_eq(&only(&plugins), &second));
        assert_eq!(incidents(&second, Incident::RolledBack), 0);
    }
}

#[test]
fn the_version_before_does_not_take_over_once_it_is_given_up() {
    let clock = Clock::manual(1_000);
    let plugins = load_with(hostile(&[]), clock.clone());
    let first = only(&plugins);
    plugins.replace(numbered(2, &[])).unwrap();
    let second = only(&plugins);
    break_it(&first);
    let versions = plugins.versions("hostile").unwrap();
    assert_eq!(versions.surplus().len(), 1);
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask(&first, "behave"), fine());
    assert!(!first.is_degraded() && first.is_given_up());
    break_it(&second);
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &second));
}

#[test]
fn an_old_version_that_still_runs_takes_nothing_back() {
    let plugins = load(hostile(&[]));
    let first = only(&plugins);
    plugins.replace(hostile(&[])).unwrap();
    let second = only(&plugins);
    break_it(&first);
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &second));
    assert_eq!(incidents(&second, Incident::RolledBack), 0);
}

#[test]
fn keys_of_a_plugin_that_is_not_as_pure_as_it_says_are_not_remembered_any_more() {
    let file = PathBuf::from(env!("WASMCACHED_GUEST_IMPURE"));
    let plugins = load(source("impure", PluginOrigin::File(file), &[]));
    let plugin = only(&plugins);
    let counted = request("/", None, &[]);
    let ask = || plugin.cache_key(&counted).unwrap();
    let mut last = ask();
    let mut asked = 1;
    // The first remembered key is asked again within a thousand uses.
    while incidents(&plugin, Incident::Impure) == 0 {
        assert!(asked <= 1_001, "never asked again");
        last = ask();
        asked += 1;
    }
    for _ in 0..3 {
        let next = ask();
        assert_ne!(next, last, "remembered");
        last = next;
    }
    assert_eq!(plugin.remembered_key(&counted), None);
    assert_eq!(incidents(&plugin, Incident::Impure), 1);
}

#[tokio::test]
async fn an_event_that_fails_three_times_is_one_failure() {
    let plugins = load(hostile(&[]));
    let plugin = only(&plugins);
    for _ in 0..4 {
        assert!(matches!(plugin.on_event(&order("trap")).await, Err(CallError::Trap(_))));
        for _ in 0..2 {
            let again = plugin.on_event_again(&order("trap")).await;
            assert!(matches!(again, Err(CallError::Trap(_))));
        }
    }
    assert!(!plugin.is_degraded());
    assert_eq!(ask(&plugin, "behave"), fine());
    assert!(matches!(plugin.on_event(&order("trap")).await, Err(CallError::Trap(_))));
    assert!(plugin.is_degraded());
    assert_eq!(count(&plugin, Hook::Event, Outcome::Trap), 13);
}

#[tokio::test]
async fn a_call_whose_asker_has_gone_is_counted_and_one_that_did_not_begin_is_not_made() {
    let limits = PluginLimits { event_ms_max: 3_000, ..patient() };
    let plugins = load(limited(hostile(&[]), limits));
    let plugin = only(&plugins);
    let (entered, is_entered) = std::sync::mpsc::channel();
    plugins.look_in(std::sync::Arc::new(move |_| {
        let _ = entered.send(());
        None
    }));
    // Two threads have two of them in their hands, and more wait.
    let spin = order("spin-looking");
    let calls = (0..10).map(|_| Box::pin(plugin.on_event(&spin)));
    let mut calls: Vec<_> = calls.collect();
    assert!(calls.iter_mut().all(|call| call.now_or_never().is_none()));
    is_entered.recv().unwrap();
    drop(calls);
    assert_eq!(plugin.on_event(&order("put")).await.map(|actions| actions.len()), Ok(1));
    // The next one is answered when one of the two threads has time.
    while count(&plugin, Hook::Event, Outcome::Timeout) == 0 {
        std::thread::yield_now();
    }
    assert!(count(&plugin, Hook::Event, Outcome::Timeout) <= 4, "of ten");
    assert_eq!(count(&plugin, Hook::Event, Outcome::Ok), 1);
}

#[test]
fn a_replaced_version_is_one_too_many_or_fails_and_is_asked_until_it_is_let_go() {
    let clock = Clock::manual(1_000);
    let plugins = load_with(numbered(0, &[]), clock.clone());
    let first = only(&plugins);
    for number in 1..=3 {
        plugins.replace(numbered(number, &[])).unwrap();
    }
    let versions = plugins.versions("hostile").unwrap();
    let hashes = |list: &[std::sync::Arc<Plugin>]| -> Vec<String> {
        list.iter().map(|plugin| plugin.sha256().to_owned()).collect()
    };
    let retired = || hashes(&plugins.snapshot("hostile").unwrap().retired);
    assert!(versions.surplus().is_empty() && !first.is_given_up());
    plugins.replace(numbered(4, &[])).unwrap();
    assert_eq!(retired().len(), 4);
    let surplus = versions.surplus();
    assert_eq!(hashes(&surplus), [first.sha256()]);
    assert!(first.is_given_up() && retired().contains(&first.sha256().to_owned()));
    versions.let_go(&first);
    assert!(!retired().contains(&first.sha256().to_owned()) && versions.surplus().is_empty());
    // One that fails gives way to the one before, and is worth nothing then.
    let fourth = only(&plugins);
    break_it(&fourth);
    assert_eq!(hashes(&versions.surplus()), [fourth.sha256()]);
    versions.let_go(&fourth);
    assert_eq!(retired().len(), 2);
    // The operator may bring it back once it works.
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask(&fourth, "behave"), fine());
    roll_back(&plugins).unwrap();
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &fourth) && !fourth.is_given_up());
}
