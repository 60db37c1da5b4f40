//! Mistakes are reported all at once, each with its key, value and range.

use super::*;

fn parse(text: &str) -> RawConfig {
    toml::from_str(text).unwrap()
}

#[test]
fn without_anything_there_are_defaults() {
    let config = RawConfig::default().check().unwrap();
    assert_eq!(config.memory_bytes, 64 << 20);
    assert_eq!(config.item_bytes_max, 1 << 20);
    assert_eq!(config.memcached.listen.to_string(), "127.0.0.1:11211");
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:8081");
    assert!(config.pages.is_none() && config.database.is_none());
}

#[test]
fn an_origin_brings_the_page_listener() {
    let config = parse("[pages]\norigin = 'http://127.0.0.1:8000'").check().unwrap();
    assert_eq!(config.pages.unwrap().listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.sites.len(), 1);
}

#[test]
fn every_mistake_is_reported_with_key_value_and_range() {
    let raw = parse(
        r#"
        memory = "1MiB"
        max_item_size = "lots"
        threads = 0
        database = "postgres://user:hunter2@host/db"
        [memcached]
        listen = "0.0.0.0:11211"
        idle_timeout = "soon"
        [api]
        listen = "nowhere"
        [[sites]]
        origin = "ftp://example.org"
        plugin = "shop"
        [[sources]]
        name = "a/b"
        verify = "hope"
        "#,
    );
    let message = raw.check().unwrap_err().to_string();
    for expected in [
        "memory: `1MiB` is out of range; 8MiB to 1024GiB are allowed",
        "max_item_size: `lots` is not a size such as `64MiB`; 1KiB to 32MiB are allowed",
        "threads: `0` is out of range; 1 to 256 are allowed",
        "database: PostgreSQL is not available yet",
        "memcached.listen: `0.0.0.0:11211` is not loopback and has no authentication",
        "memcached.idle_timeout: `soon` is not a duration",
        "api.listen: `nowhere` is not an address and a port",
        "sites[0].plugin: `shop` is not configured; add `[plugins.shop]`",
        "sites[0].origin: `ftp://example.org` is not an address",
        "sources[0].name: `a/b` is not one or more of",
        "sources[0].verify: `hope` is not one of: standard",
        "sources[0].secrets: is missing",
    ] {
        assert!(message.contains(expected), "{expected}\nis not in\n{message}");
    }
    assert!(!message.contains("hunter2"));
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let error = toml::from_str::<RawConfig>("memroy = '1g'").unwrap_err().to_string();
    assert!(error.contains("memroy"), "{error}");
}

#[test]
fn flags_win_over_the_file() {
    let file = parse("memory = '64MiB'\n[api]\nlisten = '127.0.0.1:1'");
    let flags = RawConfig { memory: Some("128m".into()), ..RawConfig::default() };
    let config = file.overlaid_with(flags).check().unwrap();
    assert_eq!(config.memory_bytes, 128 << 20);
    assert_eq!(config.api.listen.port(), 1);
}

#[test]
fn an_address_that_is_not_loopback_may_be_allowed() {
    let config = parse("[api]\nlisten = '0.0.0.0:8081'\ninsecure = true").check().unwrap();
    assert_eq!(config.api.listen.to_string(), "0.0.0.0:8081");
}

#[test]
fn plugin_values_that_are_not_text_become_json() {
    let config =
        parse("[plugins.rules.config]\nsite = 'x'\nrules = { a = [1, 2] }").check().unwrap();
    assert_eq!(
        config.plugins[0].config,
        [("rules".to_owned(), r#"{"a":[1,2]}"#.to_owned()), ("site".to_owned(), "x".to_owned())]
    );
}

#[test]
fn secrets_are_never_shown() {
    let raw = parse("[[sources]]\nname = 'shop'\nsecrets = ['whsec_abc']");
    assert!(!format!("{raw:?}").contains("abc"));
    assert!(!format!("{:?}", raw.check().unwrap()).contains("abc"));
}

fn read_error(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wasmcached.toml");
    std::fs::write(&path, text).unwrap();
    let error = RawConfig::read(&path).unwrap_err().to_string();
    let place = error.strip_prefix(&format!("configuration {}, ", path.display()));
    place.unwrap_or_else(|| panic!("the file is not named: {error}")).to_owned()
}

#[test]
fn value_of_the_wrong_type_is_named_by_place_and_not_shown() {
    let error = read_error("memory = '64MiB'\n[[sources]]\n  secrets = 'whsec_a\"bc' # mine\n");
    assert!(
        error.starts_with("line 3, column 13: invalid type: string \"***\", expected"),
        "{error}"
    );
    assert!(
        !error.contains("whsec") && !error.contains("bc") && !error.contains("mine"),
        "{error}"
    );
}

#[test]
fn text_that_is_not_toml_is_named_by_place_and_not_shown() {
    for text in [
        "database = \"sqlite://hunter2\nmemory = '64MiB'",
        "database = hunter2",
        "[[sources]]\nsecrets = ['hunter2]\n",
        "database = 'sqlite:///x'hunter2\n",
        "secrets = [\"hunter2\"\n\n[api]",
    ] {
        let error = read_error(text);
        assert!(error.starts_with("line "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
