//! Fixtures: what a plugin should answer, as JSON.
//!
//! ```json
//! {
//!   "config": { "setting": "value" },
//!   "keys": [
//!     { "request": { "url": "https://shop/a", "headers": {}, "cookies": { "tier": "gold" } },
//!       "key": "http://shop/a|tier=gold",
//!       "same_as": ["https://…"], "differs_from": ["https://…"] },
//!     { "request": "https://shop/cart", "bypass": true }
//!   ],
//!   "pages": [{ "request": "https://…", "response": { "status": 200, "headers": {} },
//!               "store": true, "ttl_s": 300, "tags": ["product:5"] }],
//!   "items": [{ "key": "frag:5", "tags": ["product:5"] }],
//!   "cache": { "queue:list": { "value": "a", "tags": ["queue"], "ttl_s": 60 } },
//!   "events": [{ "event": { "model": "shop.product", "pk": 5, "op": "update" },
//!                "actions": ["hard_tag product:5", "soft_url http://shop/", "refresh http://…"] }]
//! }
//! ```
//!
//! # Invariants
//! - A request is read, and shown to the plugin, as a server does; an event is written as in a
//!   webhook's `data.events`.
//! - What a fixture does not mention is not compared; a word that means nothing is refused.
//!
//! # Not here
//! Which files there are: `test`.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cached::CachedFixtures;
use crate::events::event_of_change;
use crate::model::{
    Action, Input, Key, KeyDecision, Mode, RequestView, ResponseView, StoreDecision, Tag,
};
use crate::pages::view_of_url;
use crate::plugins::Subject;

/// One file of fixtures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fixtures {
    #[serde(default)]
    pub(super) config: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) cache: CachedFixtures,
    #[serde(default)]
    keys: Vec<KeyFixture>,
    #[serde(default)]
    pages: Vec<PageFixture>,
    #[serde(default)]
    items: Vec<ItemFixture>,
    #[serde(default)]
    events: Vec<EventFixture>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFixture {
    request: RequestFixture,
    key: Option<String>,
    #[serde(default)]
    bypass: bool,
    #[serde(default)]
    same_as: Vec<RequestFixture>,
    #[serde(default)]
    differs_from: Vec<RequestFixture>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageFixture {
    request: RequestFixture,
    #[serde(default)]
    response: ResponseFixture,
    #[serde(flatten)]
    storage: StorageFixture,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemFixture {
    key: String,
    #[serde(default)]
    flags: u32,
    #[serde(default)]
    body_bytes: u32,
    #[serde(flatten)]
    storage: StorageFixture,
}

#[derive(Debug, Deserialize)]
struct StorageFixture {
    store: Option<bool>,
    ttl_s: Option<u32>,
    tags: Option<BTreeSet<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventFixture {
    /// As it is written: a number would lose digits.
    event: Box<RawValue>,
    actions: BTreeSet<String>,
}

/// A URL, or a URL with what else a client sends.
#[derive(Debug, Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct RequestFixture(WholeRequest);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeRequest {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: BTreeMap<String, String>,
}

impl TryFrom<serde_json::Value> for RequestFixture {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let whole = match value {
            serde_json::Value::String(url) => serde_json::json!({ "url": url }),
            whole @ serde_json::Value::Object(_) => whole,
            other => return Err(format!("request is {other}; a URL or an object is wanted")),
        };
        let whole = serde_json::from_value(whole).map_err(|error| format!("request: {error}"))?;
        Ok(Self(whole))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ResponseFixture {
    status: u16,
    headers: BTreeMap<String, String>,
    body_bytes: Option<u32>,
}

impl Default for ResponseFixture {
    fn default() -> Self {
        Self { status: 200, headers: BTreeMap::new(), body_bytes: None }
    }
}

fn get() -> String {
    "GET".to_owned()
}

/// What became of a file's fixtures.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) passed: usize,
    /// Each with its place and the difference.
    pub(super) failed: Vec<String>,
}

impl Report {
    fn add(&mut self, place: String, compared: Result<(), String>) {
        match compared {
            Ok(()) => self.passed += 1,
            Err(difference) => self.failed.push(format!("{place}: {difference}")),
        }
    }
}

impl Fixtures {
    /// Asks the plugin, which sees `inputs`, for everything.
    pub(super) fn run(&self, subject: &mut Subject<'_>, inputs: &[Input]) -> Report {
        let mut report = Report::default();
        for (index, fixture) in self.keys.iter().enumerate() {
            report.add(format!("keys[{index}]"), fixture.compare(subject, inputs));
        }
        for (index, fixture) in self.pages.iter().enumerate() {
            report.add(format!("pages[{index}]"), fixture.compare(subject, inputs));
        }
        for (index, fixture) in self.items.iter().enumerate() {
            report.add(format!("items[{index}]"), fixture.compare(subject));
        }
        for (index, fixture) in self.events.iter().enumerate() {
            report.add(format!("events[{index}]"), fixture.compare(subject));
        }
        report
    }
}

impl KeyFixture {
    fn compare(&self, subject: &mut Subject<'_>, inputs: &[Input]) -> Result<(), String> {
        let mut key_of = |fixture: &RequestFixture| {
            let request = fixture.view(inputs)?;
            key_text(subject, &request)
        };
        let key = key_of(&self.request)?;
        let is_compared = !self.same_as.is_empty() || !self.differs_from.is_empty();
        if self.key.is_none() && !self.bypass && !is_compared {
            return Err("expects nothing: key, bypass, same_as or differs_from is wanted".into());
        }
        let shown = |key: &Option<String>| key.clone().unwrap_or_else(|| "(bypass)".to_owned());
        if self.bypass != key.is_none() {
            let expected = if self.bypass { "(bypass)" } else { "(a key)" };
            return Err(difference([expected], [shown(&key)]));
        }
        if self.key.is_some() && self.key != key {
            return Err(difference([shown(&self.key)], [shown(&key)]));
        }
        for other in &self.same_as {
            let other_key = key_of(other)?;
            if other_key != key {
                let (url, difference) =
                    (other.url(), difference([shown(&key)], [shown(&other_key)]));
                return Err(format!("same_as {url}: {difference}"));
            }
        }
        for other in &self.differs_from {
            if key_of(other)? == key {
                return Err(format!("differs_from {}: both are {}", other.url(), shown(&key)));
            }
        }
        Ok(())
    }
}

/// The text of the request's key, which is the URL where the plugin says nothing; `None`: bypass.
pub(super) fn key_text(
    subject: &mut Subject<'_>,
    request: &RequestView,
) -> Result<Option<String>, String> {
    match subject.cache_key(request).map_err(|error| error.to_string())? {
        KeyDecision::Bypass => Ok(None),
        KeyDecision::Custom(key) => Ok(Some(key.to_text())),
        KeyDecision::Default => {
            let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
            Ok(Some(format!("http://{}{}{query}", request.host, request.path)))
        }
    }
}

impl PageFixture {
    fn compare(&self, subject: &mut Subject<'_>, inputs: &[Input]) -> Result<(), String> {
        let request = self.request.view(inputs)?;
        let key = key_text(subject, &request)?.unwrap_or_default();
        let headers = self.response.headers.iter();
        let response = ResponseView {
            status: self.response.status,
            headers: headers.map(|(name, v)| (name.to_ascii_lowercase(), v.clone())).collect(),
            body_bytes: self.response.body_bytes,
        };
        let decision = subject.on_store(&key, &request, &response);
        self.storage.compare(&decision.map_err(|error| error.to_string())?)
    }
}

impl ItemFixture {
    fn compare(&self, subject: &mut Subject<'_>) -> Result<(), String> {
        let key = Key::new(self.key.as_bytes()).map_err(|error| error.to_string())?;
        let decision = subject.on_item(&key, self.flags, self.body_bytes);
        self.storage.compare(&decision.map_err(|error| error.to_string())?)
    }
}

impl StorageFixture {
    fn compare(&self, decision: &StoreDecision) -> Result<(), String> {
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        if let Some(store) = self.store {
            expected.push(format!("store {store}"));
            found.push(format!("store {}", decision.store));
        }
        if let Some(ttl_s) = self.ttl_s {
            expected.push(format!("ttl_s {ttl_s}"));
            let ttl = decision.ttl_s.map_or("none".to_owned(), |ttl_s| ttl_s.to_string());
            found.push(format!("ttl_s {ttl}"));
        }
        if let Some(tags) = &self.tags {
            expected.extend(tags.iter().map(|tag| format!("tag {tag}")));
            let tags: BTreeSet<&str> = decision.tags.iter().map(Tag::as_str).collect();
            found.extend(tags.into_iter().map(|tag| format!("tag {tag}")));
        }
        if expected.is_empty() && self.tags.is_none() {
            return Err("expects nothing: store, ttl_s or tags is wanted".into());
        }
        equal(expected, found)
    }
}

impl EventFixture {
    fn compare(&self, subject: &mut Subject<'_>) -> Result<(), String> {
        let event = event_of_change(&self.event).map_err(|error| error.to_string())?;
        let actions = subject.on_event(&event).map_err(|error| error.to_string())?;
        let found: BTreeSet<String> = actions.iter().map(action_text).collect();
        equal(self.actions.iter().cloned().collect(), found.into_iter().collect())
    }
}

/// As a fixture writes it; all actions of an event happen at once, so their order means nothing.
fn action_text(action: &Action) -> String {
    match action {
        Action::Invalidate(target, mode) => {
            let mode = match mode {
                Mode::Hard => "hard",
                Mode::Soft => "soft",
            };
            format!("{mode}_{} {}", target.kind(), target.name()).trim_end().to_owned()
        }
        Action::Put { key, .. } => format!("put {}", key.to_text()),
        Action::Refresh { url } => format!("refresh {url}"),
    }
}

impl RequestFixture {
    fn url(&self) -> &str {
        &self.0.url
    }

    fn view(&self, inputs: &[Input]) -> Result<RequestView, String> {
        let WholeRequest { method, url, headers, cookies } = &self.0;
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            let field = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no field"))?;
            let value = HeaderValue::from_str(value).map_err(|_| format!("{name}: {value:?}"))?;
            fields.append(field, value);
        }
        if !cookies.is_empty() {
            let pairs: Vec<String> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let line = HeaderValue::from_str(&pairs.join("; "));
            fields.append(header::COOKIE, line.map_err(|_| format!("cookies {pairs:?}"))?);
        }
        view_of_url(method, url, &fields, inputs)
    }
}

fn equal(expected: Vec<String>, found: Vec<String>) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(difference(expected, found)) }
}

/// The lines that only one side has.
fn difference<E: Into<String>, F: Into<String>>(
    expected: impl IntoIterator<Item = E>,
    found: impl IntoIterator<Item = F>,
) -> String {
    let expected: Vec<String> = expected.into_iter().map(Into::into).collect();
    let found: Vec<String> = found.into_iter().map(Into::into).collect();
    let missing = expected.iter().filter(|line| !found.contains(line));
    let unexpected = found.iter().filter(|line| !expected.contains(line));
    let mut text = String::from("expected -, found +");
    for line in missing {
        text.push_str(&format!("\n    - {line}"));
    }
    for line in unexpected {
        text.push_str(&format!("\n    + {line}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Target;
    use crate::plugins::{CodeFolder, PluginLimits, PluginOrigin, PluginSource, Workbench};

    /// What the shipped plugin `rules` makes of the fixtures.
    fn report(fixtures: serde_json::Value) -> Report {
        let rules = r#"{"keys":{"bypass_cookies":["sessionid"]},
            "items":[{"prefix":"frag:","ttl_s":60,"tags":["fragments"]}]}"#;
        let limits =
            PluginLimits { key_ms_max: 20_000, store_ms_max: 20_000, ..Default::default() };
        let source = PluginSource {
            name: "rules".to_owned(),
            origin: PluginOrigin::Shipped,
            sha256: None,
            config: vec![("rules".to_owned(), rules.to_owned())],
            limits,
        };
        let bench = Workbench::open(&source, &CodeFolder::Nowhere).unwrap();
        let fixtures: Fixtures = serde_json::from_value(fixtures).unwrap();
        fixtures.run(&mut bench.subject().unwrap(), bench.inputs())
    }

    #[test]
    fn bypasses_items_and_default_keys_are_compared() {
        let user = serde_json::json!({"url": "https://s/a", "cookies": {"sessionid": "x"}});
        let right = report(serde_json::json!({
            "keys": [
                {"request": user, "bypass": true, "differs_from": ["https://s/a"]},
                {"request": "https://s:443/a?b=1#c", "key": "http://s/a?b=1"},
            ],
            "items": [{"key": "frag:1", "ttl_s": 60, "tags": ["fragments"], "store": true}],
        }));
        assert_eq!((right.passed, right.failed), (3, Vec::new()));
        let wrong = report(serde_json::json!({
            "keys": [
                {"request": user, "key": "http://s/a"},
                {"request": "https://s/a", "same_as": [user]},
                {"request": "/a"},
            ],
            "items": [{"key": "frag:1", "tags": []}],
        }));
        assert_eq!(wrong.passed, 0);
        for (failed, part) in wrong.failed.iter().zip([
            "keys[0]: expected -, found +\n    - (a key)\n    + (bypass)",
            "same_as https://s/a: expected -, found +\n    - http://s/a\n    + (bypass)",
            "keys[2]: target \"/a\" is not",
            "items[0]: expected -, found +\n    + tag fragments",
        ]) {
            assert!(failed.contains(part), "{failed}");
        }
        assert_eq!(wrong.failed.len(), 4);
    }

    #[test]
    fn an_event_is_shown_to_the_plugin_with_its_numbers_as_they_are_written() {
        let text = r#"{"events":[{"event":{"model":"m","pk":18446744073709551616,"op":"update",
            "after":{"n":1.10}},"actions":[]}]}"#;
        let fixtures: Fixtures = serde_json::from_str(text).unwrap();
        let event = event_of_change(&fixtures.events[0].event).unwrap();
        assert_eq!(event.object_id.as_deref(), Some("18446744073709551616"));
        assert!(event.payload.contains(r#""after":{"n":1.10}"#), "{}", event.payload);
    }

    #[test]
    fn a_difference_shows_what_is_missing_and_what_is_too_much() {
        let text = difference(["tag a", "tag b"], ["tag b", "tag c"]);
        assert_eq!(text, "expected -, found +\n    - tag a\n    + tag c");
    }

    #[test]
    fn actions_are_written_like_the_functions_that_make_them() {
        let tag = Target::Tag(Tag::new("t").unwrap());
        assert_eq!(action_text(&Action::Invalidate(tag, Mode::Soft)), "soft_tag t");
        let everything = Action::Invalidate(Target::Everything, Mode::Hard);
        assert_eq!(action_text(&everything), "hard_everything");
    }

    #[test]
    fn unknown_words_are_refused() {
        for text in [
            r#"{"key":[]}"#,
            r#"{"keys":[{"request":"http://a/","same":[]}]}"#,
            r#"{"pages":[{"request":"http://a/","tag":[]}]}"#,
            r#"{"events":[{"event":{}}]}"#,
        ] {
            assert!(serde_json::from_str::<Fixtures>(text).is_err(), "{text}");
        }
        for (request, reason) in [
            (r#"{"url":"http://a/","cookie":{}}"#, "unknown field `cookie`, expected one of"),
            (r#"{"url":"http://a/","headers":[]}"#, "invalid type: sequence, expected a map"),
            (r#"{"headers":{}}"#, "missing field `url`"),
            ("7", "request is 7; a URL or an object is wanted"),
        ] {
            let text = format!(r#"{{"keys":[{{"request":{request},"bypass":true}}]}}"#);
            let error = serde_json::from_str::<Fixtures>(&text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_case_that_expects_nothing_is_no_case() {
        let empty = report(serde_json::json!({
            "keys": [{"request": "https://s/a"}],
            "pages": [{"request": "https://s/a"}],
            "items": [{"key": "frag:1"}],
        }));
        assert_eq!((empty.passed, empty.failed.len()), (0, 3), "{:?}", empty.failed);
        assert!(empty.failed.iter().all(|failed| failed.contains("expects nothing")));
    }
}
