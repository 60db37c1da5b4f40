//! What the operator says.
//!
//! # Invariants
//! - Nothing is kept under keys without a host unless it is of the one host that is named.
//! - A mistake names the setting.
//!
//! # Not here
//! What is done by it: the plugin.

use serde::Deserialize;
use serde_json::Value;
use wasmcached_plugin::prelude::*;
use wasmcached_plugin::template::EventTemplate;

/// Longest prefix, bytes: it leaves most of a key to the path.
const PREFIX_BYTES_MAX: usize = 100;

/// What nginx calls everything that it reads from a memcached server (`default_type`).
const CONTENT_TYPE: &str = "text/html";

/// All settings.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// What every key begins with.
    pub(crate) prefix: String,
    /// The host whose pages they are, with its port if it has one.
    pub(crate) host: String,
    /// Patterns of paths that are left alone.
    pub(crate) ignore: Vec<String>,
    /// The only media type that is kept.
    pub(crate) content_type: String,
    /// What events make wrong.
    pub(crate) events: Vec<EventRule>,
}

/// The paths that show a model.
#[derive(Debug)]
pub(crate) struct EventRule {
    /// A pattern of its name.
    pub(crate) model: String,
    /// As in nginx's `$uri`.
    pub(crate) uris: Vec<EventTemplate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEventRule {
    model: String,
    uris: Vec<String>,
}

impl Settings {
    /// Reads and checks them.
    pub(crate) fn parse(given: &[(String, String)]) -> Result<Self> {
        let mut settings = Self { content_type: CONTENT_TYPE.to_owned(), ..Self::default() };
        for (name, value) in given {
            match name.as_str() {
                "prefix" => settings.prefix = prefix(value)?,
                "host" => settings.host = host(value)?,
                "ignore" => settings.ignore = ignore(value)?,
                "content_type" => settings.content_type = media_type(value)?,
                "events" => settings.events = events(value)?,
                other => {
                    let known = "there are prefix, host, ignore, content_type, events";
                    return Err(Error::new(format!("unknown setting `{other}`; {known}")));
                }
            }
        }
        for (name, value, example) in [
            ("prefix", &settings.prefix, "`/your-site-name-` of `$memcached_key`"),
            ("host", &settings.host, "`www.example.org`: keys without a host are one host's"),
        ] {
            if value.is_empty() {
                return Err(Error::new(format!("setting `{name}` is missing; it is {example}")));
            }
        }
        Ok(settings)
    }
}

fn prefix(text: &str) -> Result<String> {
    if let Some(found) = text.chars().find(|c| matches!(c, ' ' | '%') || c.is_control()) {
        let reason = "nginx would ask for another key";
        return Err(Error::new(format!("setting `prefix`: {text:?} has {found:?}; {reason}")));
    }
    match text.len() {
        0..=PREFIX_BYTES_MAX => Ok(text.to_owned()),
        bytes => {
            let problem = format!("is {bytes} bytes; limit is {PREFIX_BYTES_MAX}");
            Err(Error::new(format!("setting `prefix`: {problem}")))
        }
    }
}

fn host(text: &str) -> Result<String> {
    if text.contains(['/', ' ', '*', '@']) {
        let wanted = "a name, with a port unless it is 80, is wanted";
        return Err(Error::new(format!("setting `host`: {text:?}; {wanted}")));
    }
    let host = text.to_ascii_lowercase();
    Ok(host.strip_suffix(":80").unwrap_or(&host).to_owned())
}

fn media_type(text: &str) -> Result<String> {
    if text.contains([';', ' ', '*']) || !text.contains('/') {
        let wanted = "one media type without parameters, such as `text/html`, is wanted";
        return Err(Error::new(format!("setting `content_type`: {text:?}; {wanted}")));
    }
    Ok(text.to_ascii_lowercase())
}

fn ignore(json: &str) -> Result<Vec<String>> {
    let patterns: Vec<String> = serde_json::from_str(json)
        .map_err(|error| Error::new(format!("setting `ignore`: a list of paths: {error}")))?;
    for (n, pattern) in patterns.iter().enumerate() {
        if !pattern.starts_with(['/', '*']) {
            let problem = format!("{pattern:?} begins with neither `/` nor `*`: no path fits");
            return Err(Error::new(format!("setting `ignore[{n}]`: {problem}")));
        }
    }
    Ok(patterns)
}

fn events(json: &str) -> Result<Vec<EventRule>> {
    let values: Vec<Value> = serde_json::from_str(json)
        .map_err(|error| Error::new(format!("setting `events`: a list of rules: {error}")))?;
    values.into_iter().enumerate().map(|(n, value)| event_rule(n, value)).collect()
}

fn event_rule(n: usize, value: Value) -> Result<EventRule> {
    let wrong = |problem: String| Error::new(format!("setting `events[{n}]`: {problem}"));
    let RawEventRule { model, uris } =
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    if model.is_empty() || uris.is_empty() {
        return Err(wrong("`model` and `uris` must not be empty".to_owned()));
    }
    let template = |text: &String| {
        let template = EventTemplate::parse(text).map_err(|error| wrong(error.to_string()))?;
        match text.starts_with(['/', '{']) {
            true => Ok(template),
            false => Err(wrong(format!("{text:?} does not begin with `/`"))),
        }
    };
    Ok(EventRule { model, uris: uris.iter().map(template).collect::<Result<_>>()? })
}
