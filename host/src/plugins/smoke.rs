//! Asking a version about the smoke cases.
//!
//! # Invariants
//! - A version that fails one case is not used, and the case and both keys are named.
//!
//! # Not here
//! Where cases are written: the configuration.

use super::error::PluginError;
use super::plugin::Plugin;
use crate::model::{ExpectedKey, Input, Key, KeyDecision, RequestView, SmokeCase};

/// Time for one case, milliseconds. More than a request's: a busy moment of the machine is no
/// reason against a version.
const CASE_MS_MAX: u64 = 1_000;

/// Asks the version about every case.
pub(super) fn run(plugin: &Plugin, cases: &[SmokeCase]) -> Result<(), PluginError> {
    for case in cases {
        check(plugin, case).map_err(|reason| PluginError::Smoke {
            name: plugin.name().to_owned(),
            url: case.url(),
            reason,
        })?;
    }
    Ok(())
}

fn check(plugin: &Plugin, case: &SmokeCase) -> Result<(), String> {
    let decision = plugin.try_key(&view(case, plugin.inputs()), CASE_MS_MAX);
    let decision = decision.map_err(|error| error.to_string())?;
    let said = match decision {
        KeyDecision::Bypass => ExpectedKey::Bypass,
        KeyDecision::Custom(key) => ExpectedKey::Key(key),
        KeyDecision::Default => {
            let key = Key::new(case.url().as_bytes()).map_err(|error| error.to_string())?;
            ExpectedKey::Key(key)
        }
    };
    match case.expected == ExpectedKey::Any || case.expected == said {
        true => Ok(()),
        false => Err(format!("expected {}, not {}", shown(&case.expected), shown(&said))),
    }
}

fn shown(expected: &ExpectedKey) -> String {
    match expected {
        ExpectedKey::Any => "an answer".to_owned(),
        ExpectedKey::Bypass => "bypass".to_owned(),
        ExpectedKey::Key(key) => format!("key `{}`", key.to_text()),
    }
}

fn view(case: &SmokeCase, inputs: &[Input]) -> RequestView {
    let field = |name: &str| case.headers.iter().find(|(known, _)| known == name);
    let value_of = |input: &Input| match input {
        Input::Header(name) => field(name).map(|(_, value)| value.clone()),
        Input::Cookie(name) => value_in(&field("cookie")?.1, ';', name),
        Input::QueryParam(name) => value_in(case.query.as_ref()?, '&', name),
    };
    RequestView {
        method: "GET".to_owned(),
        host: case.host.clone(),
        path: case.path.clone(),
        query: case.query.clone(),
        inputs: inputs.iter().map(value_of).collect(),
    }
}

fn value_in(pairs: &str, separator: char, name: &str) -> Option<String> {
    let mut pairs = pairs.split(separator).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}
