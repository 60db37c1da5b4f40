//! Mistakes are reported all at once, each with its key, value and range.

use super::*;

fn parse(text: &str) -> RawConfig {
    toml::from_str(text).unwrap()
}

#[track_caller]
fn right(raw: RawConfig) -> Config {
    let (config, mistakes) = raw.check();
    assert_eq!(mistakes, []);
    config
}

fn mistakes_of(raw: RawConfig) -> String {
    ConfigErrors(raw.check().1).to_string()
}

#[test]
fn without_anything_there_are_defaults() {
    let config = right(RawConfig::default());
    assert_eq!(config.memory_bytes, 64 << 20);
    assert_eq!(config.item_bytes_max, 1 << 20);
    assert_eq!(config.memcached.listen[0].address.to_string(), "127.0.0.1:11211");
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:8081");
    assert!(config.pages.is_none() && config.database.is_none());
}

#[test]
fn an_origin_brings_the_page_listener() {
    let config = right(parse("[pages]\norigin = 'http://127.0.0.1:8000'"));
    assert_eq!(config.pages.unwrap().listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.sites.len(), 1);
}

#[test]
fn every_mistake_is_reported_with_key_value_and_range() {
    let raw = parse(
        r#"
        memory = "1MiB"
        max_item_size = "lots"
        threads = 0
        database = "mysql://user:hunter2@host/db"
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
    let message = mistakes_of(raw);
    for expected in [
        "memory: `1MiB` is out of range; 8MiB to 1024GiB are allowed",
        "max_item_size: `lots` is not a size such as `64MiB`; 1KiB to 32MiB are allowed",
        "threads: `0` is out of range; 1 to 256 are allowed",
        "database: `mysql:…` is not `sqlite:///path` or `postgres://user@host/database`",
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
    let config = right(file.overlaid_with(flags));
    assert_eq!(config.memory_bytes, 128 << 20);
    assert_eq!(config.api.listen.port(), 1);
}

#[test]
fn an_address_that_is_not_loopback_may_be_allowed() {
    let config = right(parse("[api]\nlisten = '0.0.0.0:8081'\ninsecure = true"));
    assert_eq!(config.api.listen.to_string(), "0.0.0.0:8081");
}

#[test]
fn plugin_values_that_are_not_text_become_json() {
    let config = right(parse("[plugins.rules.config]\nsite = 'x'\nrules = { a = [1, 2] }"));
    assert_eq!(
        config.plugins[0].config,
        [("rules".to_owned(), r#"{"a":[1,2]}"#.to_owned()), ("site".to_owned(), "x".to_owned())]
    );
}

#[test]
fn secrets_are_never_shown() {
    let raw = parse("[[sources]]\nname = 'shop'\nsecrets = ['whsec_abc']");
    assert!(!format!("{raw:?}").contains("abc"));
    assert!(!format!("{:?}", right(raw)).contains("abc"));
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

#[test]
fn two_listeners_with_one_address_are_a_mistake() {
    let message = mistakes_of(parse(
        "[memcached]\nlisten = '127.0.0.1:7000'\n[api]\nlisten = '127.0.0.1:7000'\n\
         [pages]\nlisten = '0.0.0.0:7000'\ninsecure = true\norigin = 'http://127.0.0.1:8000'",
    ));
    assert_eq!(
        message,
        "api.listen: `127.0.0.1:7000` is taken by `memcached.listen` already\n\
         pages.listen: `0.0.0.0:7000` is taken by `memcached.listen` already"
    );
    let message = mistakes_of(parse("[api]\nlisten = 'localhost:11211'"));
    assert!(message.contains("`127.0.0.1:11211` is taken by `memcached.listen`"), "{message}");
}

#[test]
fn any_free_port_is_never_taken_and_neither_is_another_address() {
    for (memcached, api) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:7000", "127.0.0.2:7000"),
        ("nowhere", "[::1]:1"),
    ] {
        let text = format!("[memcached]\nlisten = '{memcached}'\n[api]\nlisten = '{api}'");
        let message = mistakes_of(parse(&text));
        assert!(!message.contains("is taken"), "{message}");
    }
}

fn origin_by_flag(origin: &str) -> RawConfig {
    let pages = RawPages { origin: Some(origin.to_owned()), ..RawPages::default() };
    RawConfig { pages, ..RawConfig::default() }
}

#[test]
fn origin_of_a_flag_replaces_that_of_the_site_for_any_host() {
    let file = "[[sites]]\norigin = 'http://old:1'\nplugin = 'rules'\n[[sites]]\nhost = 'b.org'\n\
                origin = 'http://b:1'\n[plugins.rules]";
    let config = right(parse(file).overlaid_with(origin_by_flag("http://new:1")));
    let origins: Vec<_> = config.sites.iter().map(|site| site.origin.to_string()).collect();
    assert_eq!(origins, ["http://new:1/", "http://b:1/"]);
    assert_eq!(config.sites[0].plugin.as_deref(), Some("rules"));
    let file = "[pages]\norigin = 'http://old:1'";
    let config = right(parse(file).overlaid_with(origin_by_flag("http://new:1")));
    assert_eq!(config.sites[0].origin, "http://new:1/");
}

#[test]
fn the_only_plugin_of_the_flags_is_that_of_their_origin() {
    let with = |names: &[&str]| {
        let plugin = |name: &&str| {
            let file = Some(format!("{name}.wasm").into());
            ((*name).to_owned(), RawPlugin { file, ..RawPlugin::default() })
        };
        let plugins = names.iter().map(plugin).collect();
        RawConfig { plugins, ..origin_by_flag("http://new:1") }
    };
    let plugin_of = |file: &str, names: &[&str]| {
        let config = right(parse(file).overlaid_with(with(names)));
        assert_eq!(config.sites.last().unwrap().origin, "http://new:1/");
        config.sites.last().unwrap().plugin.clone()
    };
    assert_eq!(plugin_of("", &["shop"]).as_deref(), Some("shop"));
    assert_eq!(plugin_of("", &["blog", "shop"]), None);
    let of_file = "[[sites]]\norigin = 'http://old:1'\nplugin = 'rules'\n[plugins.rules]";
    assert_eq!(plugin_of(of_file, &["shop"]).as_deref(), Some("rules"));
    let of_host = "[[sites]]\nhost = 'b.org'\norigin = 'http://b:1'";
    assert_eq!(plugin_of(of_host, &["shop"]).as_deref(), Some("shop"));
}

#[test]
fn bad_origin_of_a_flag_is_reported_under_its_own_key() {
    for file in ["", "[[sites]]\norigin = 'http://old:1'", "[pages]\nlisten = '127.0.0.1:0'"] {
        let message = mistakes_of(parse(file).overlaid_with(origin_by_flag("ftp://x")));
        assert_eq!(
            message,
            "pages.origin: `ftp://x` is not an address such as `http://127.0.0.1:8000`",
        );
    }
}

#[test]
fn two_origins_for_any_host_in_one_file_are_a_mistake() {
    let message =
        mistakes_of(parse("[pages]\norigin = 'http://a:1'\n[[sites]]\norigin = 'http://b:1'"));
    assert_eq!(message, "pages.origin: the `[[sites]]` entry without a host has an origin already");
}

#[test]
fn plugin_file_of_a_flag_leaves_the_rest_of_the_plugin_as_it_is() {
    let file = parse(
        "[plugins.shop]\nfile = 'old.wasm'\nmemory = '8MiB'\nallow_everything = true\n\
         config = { currency = 'EUR' }",
    );
    let plugin = RawPlugin { file: Some("new.wasm".into()), ..RawPlugin::default() };
    let plugins = [("shop".to_owned(), plugin)].into();
    let config = right(file.overlaid_with(RawConfig { plugins, ..RawConfig::default() }));
    let shop = &config.plugins[0];
    assert_eq!(shop.file, PluginFile::File("new.wasm".into()));
    assert_eq!(shop.memory_bytes, Some(8 << 20));
    assert_eq!(shop.everything, Permission::Allowed);
    assert_eq!(shop.config, [("currency".to_owned(), "EUR".to_owned())]);
}

/// The complete file of the README.
fn readme() -> &'static str {
    let readme = include_str!("../../../README.md");
    let section = readme.split("\n## Configuration\n").nth(1).unwrap();
    section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap()
}

#[test]
fn keys_of_the_readme_have_their_defaults_there() {
    let (shown, default) = (right(parse(readme())), right(RawConfig::default()));
    assert_eq!(shown.memory_bytes, default.memory_bytes);
    assert_eq!(shown.item_bytes_max, default.item_bytes_max);
    assert_eq!(shown.evict, default.evict);
    assert_eq!(format!("{:?}", shown.memcached), format!("{:?}", default.memcached));
    assert_eq!(shown.api.listen, default.api.listen);
    let pages = right(origin_by_flag("http://a:1")).pages.unwrap();
    let shown_pages = shown.pages.unwrap();
    assert_eq!((shown_pages.listen, shown_pages.limits), (pages.listen, pages.limits));
    assert_eq!(shown.plugins[0].everything, Permission::Forbidden);
}

#[test]
fn keys_that_the_readme_has_commented_out_exist() {
    let is_key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let lines = readme()
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| is_key(line)).unwrap_or(line));
    let raw = parse(&lines.collect::<Vec<_>>().join("\n"));
    assert!(raw.database.is_some() && raw.threads.is_some() && raw.memcached.unix.is_some());
    assert!(raw.sources[0].secrets_file.is_some() && raw.plugins["rules"].file.is_some());
}

#[test]
fn a_site_says_what_http_leaves_to_it() {
    let config = right(parse(
        r"
        [[sites]]
        origin = 'http://a:1'
        [sites.cache]
        targeted_fields = ['Ours-Cache-Control']
        default_ttl = '10m'
        stale_if_error = '0s'
        store_set_cookie = true
        cookies = ['lang']
        private_cookies = ['sessionid']
        languages = ['en', 'pt-BR']
        ",
    ));
    let cache = &config.sites[0].cache;
    assert_eq!(cache.targeted, ["ours-cache-control"]);
    assert_eq!((cache.default_ttl_ms, cache.stale_if_error_ms), (Some(600_000), 0));
    assert!(cache.stores_set_cookie && !cache.stores_close_delimited);
    assert_eq!(cache.cookies.as_deref(), Some(&["lang".to_owned()][..]));
    assert_eq!(cache.languages, ["en", "pt-BR"]);
}

#[test]
fn mistakes_in_what_a_site_caches_are_named() {
    let found = mistakes_of(parse(
        r"
        [[sites]]
        origin = 'http://a:1'
        [sites.cache]
        targeted_fields = ['a b']
        default_ttl = 'long'
        private_cookies = ['a=b']
        languages = ['en,de']
        ",
    ));
    for wanted in [
        "sites[0].cache.targeted_fields: `a b` is not the name of a field",
        "sites[0].cache.default_ttl: `long` is not a duration from `0s` to `8760h`",
        "sites[0].cache.private_cookies: `a=b` is not the name of a cookie",
        "sites[0].cache.languages: `en,de` is not a language tag",
    ] {
        assert!(found.contains(wanted), "{found}");
    }
}
