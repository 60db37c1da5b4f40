//! The keys that plugins in Rust compute are those of Django, release by release.
//!
//! # Not here
//! The cases, and how a release is asked: `tests/django/keys`, where Python's and JavaScript's are
//! compared.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use wasmcached_plugin::django::{
    Method, Page, Release, absolute_uri, make_key, make_template_fragment_key, to_str,
};
use wasmcached_tests::clients;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/django/keys");

/// The cases, and what this release of Django says about each.
fn asked(release: &str) -> Value {
    let mut command = Command::new(clients::python_interpreter());
    command.arg("-B").arg(Path::new(KEYS).join("releases.py")).arg(release);
    command.env("WASMCACHED_NODE", clients::node_modules().parent().unwrap());
    command.env("WASMCACHED_DJANGO", clients::django_releases());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn in_cache(key: &str, case: &Value) -> String {
    let version = case["version"].as_u64().unwrap();
    make_key(key, case["cache_prefix"].as_str().unwrap(), version.try_into().unwrap())
}

fn fragment_key(release: Release, case: &Value) -> Value {
    let values = case["vary_on"].as_array().unwrap().iter();
    let values: Vec<String> = values.map(|value| to_str(value).unwrap()).collect();
    let key = make_template_fragment_key(release, case["name"].as_str().unwrap(), &values);
    in_cache(&key, case).into()
}

fn page_keys(release: Release, case: &Value) -> Value {
    let text = |name: &str| case[name].as_str();
    let (origin, path) = (text("origin").unwrap(), text("path").unwrap());
    let url = absolute_uri(origin, path, text("query"));
    let page = Page {
        url: &url,
        key_prefix: text("key_prefix").unwrap(),
        language: text("language"),
        time_zone: text("time_zone"),
    };
    let method = match text("method") {
        Some("GET") => Method::Get,
        _ => Method::Head,
    };
    let vary = case["headers"].as_object().unwrap().iter();
    let vary: Vec<_> = vary.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    serde_json::json!({
        "url": url,
        "header": in_cache(&page.header_key(), case),
        "page": in_cache(&page.key(release, method, &vary), case),
    })
}

#[test]
fn keys_of_the_rust_library_are_those_of_every_release_of_django() {
    let releases = std::fs::read_to_string(Path::new(KEYS).join("releases.txt")).unwrap();
    for name in releases.split_whitespace() {
        let (asked, release) = (asked(name), name.parse().unwrap());
        let compare = |kind: &str, key: fn(Release, &Value) -> Value| {
            let cases = asked["cases"][kind].as_array().unwrap();
            let answers = asked["answer"][kind].as_array().unwrap();
            assert!(!cases.is_empty() && cases.len() == answers.len(), "{name}: {kind}");
            for (case, expected) in cases.iter().zip(answers) {
                assert_eq!(key(release, case), *expected, "{name}: {case}");
            }
        };
        compare("fragments", fragment_key);
        compare("pages", page_keys);
    }
}
