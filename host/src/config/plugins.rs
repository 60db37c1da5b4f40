//! `[plugins.NAME]`: which component, what it may use, and what it must say before it is used.
//!
//! # Not here
//! Loading: `app`.

use http::Uri;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::check::{Mistakes, size};
use super::checked::{PluginFile, PluginSettings, Watch};
use super::plugin_limits::{PluginLimitSettings, check_sha256};
use super::raw::RawPlugin;
use crate::model::{ExpectedKey, Key, SmokeCase};

const MEMORY_BYTES_MIN: u64 = 1 << 20;
const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// The port that keys leave out.
const DEFAULT_PORT: &str = ":80";

/// `[[plugins.NAME.smoke]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSmokeCase {
    /// `http://shop.example/list?utm_source=x`.
    pub url: String,
    /// The request's fields.
    pub headers: BTreeMap<String, String>,
    /// The key that it must have.
    pub key: Option<String>,
    /// Whether the cache must be left alone.
    pub bypass: Option<bool>,
}

pub(super) fn check_plugin(m: &mut Mistakes, name: String, raw: RawPlugin) -> PluginSettings {
    let key = format!("plugins.{name}");
    let memory_bytes = raw.memory.map(|text| {
        let (min, max) = (MEMORY_BYTES_MIN, MEMORY_BYTES_MAX);
        size(m, &format!("{key}.memory"), Some(text), max, min, max) as usize
    });
    let config = raw.config.into_iter().map(|(key, value)| match value {
        toml::Value::String(text) => (key, text),
        other => (key, serde_json::to_string(&other).unwrap_or_default()),
    });
    let watch = match raw.watch {
        Some(true) => Watch::Yes,
        Some(false) | None => Watch::No,
    };
    if watch == Watch::Yes && raw.file.is_none() {
        m.add(format!("{key}.watch"), "`true` needs a `file`; what ships does not change");
    }
    let smoke = raw.smoke.into_iter().enumerate();
    let smoke = smoke.filter_map(|(n, case)| check_case(m, &format!("{key}.smoke[{n}]"), case));
    PluginSettings {
        smoke: smoke.collect(),
        file: raw.file.map_or(PluginFile::Shipped, PluginFile::File),
        sha256: check_sha256(m, &key, raw.sha256),
        limits: PluginLimitSettings::check(m, &key, raw.limits),
        memory_bytes,
        everything: raw.allow_everything.unwrap_or(false).into(),
        watch,
        config: config.collect(),
        name,
    }
}

fn check_case(m: &mut Mistakes, place: &str, raw: RawSmokeCase) -> Option<SmokeCase> {
    let expected = match (raw.key, raw.bypass.unwrap_or(false)) {
        (None, false) => ExpectedKey::Any,
        (None, true) => ExpectedKey::Bypass,
        (Some(key), false) => match Key::new(key.as_bytes()) {
            Ok(key) => ExpectedKey::Key(key),
            Err(error) => {
                m.add(format!("{place}.key"), error);
                return None;
            }
        },
        (Some(_), true) => {
            m.add(place, "a request with a `key` is no `bypass`");
            return None;
        }
    };
    let uri: Option<Uri> =
        raw.url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http"));
    let found = uri.as_ref().and_then(|uri| Some((uri.authority()?, uri)));
    let Some((authority, uri)) = found else {
        m.add(format!("{place}.url"), format!("`{}` is not `http://host/path`", raw.url));
        return None;
    };
    let host = authority.as_str().to_ascii_lowercase();
    let headers = raw.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    Some(SmokeCase {
        host: host.strip_suffix(DEFAULT_PORT).unwrap_or(&host).to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        headers: headers.collect(),
        expected,
    })
}
