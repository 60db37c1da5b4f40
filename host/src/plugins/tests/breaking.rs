//! Plugins that fail again and again, and those that are not what they say.

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
    plugins.replace(hostile(&[("prefix", "second:")])).unwrap();
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
    plugins.rollback("hostile").unwrap();
    assert!(std::sync::Arc::ptr_eq(&only(&plugins), &second), "the operator may");
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
