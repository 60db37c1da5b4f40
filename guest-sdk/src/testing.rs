//! Requests and events for the tests of a plugin, and its answers to them. No server is needed.
//!
//! # Invariants
//! - A plugin under test gets what the server would give it: only the inputs it declared, and no
//!   look-ups for a key.
//!
//! # Not here
//! The server's limits; `wasmcached plugin check` knows them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::cache::Entry;
use crate::{Action, Event, Input, Item, Key, Operation, Plugin, Request, Response, Storage};

/// A request with everything that a client sent.
#[derive(Debug, Clone)]
pub struct TestRequest {
    method: String,
    host: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
}

/// A GET of this URL: `https://host/path?query`.
///
/// # Panics
/// If the URL has no host.
pub fn get(url: &str) -> TestRequest {
    let Some((_, rest)) = url.split_once("://") else { panic!("{url:?} is no URL with a host") };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_owned())),
        None => (rest, None),
    };
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) => (host, format!("/{path}")),
        None => (rest, "/".to_owned()),
    };
    TestRequest {
        method: "GET".to_owned(),
        host: host.to_owned(),
        path,
        query,
        headers: Vec::new(),
        cookies: Vec::new(),
    }
}

impl TestRequest {
    /// With another method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    /// With a request field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a cookie.
    #[must_use]
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        self.cookies.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a plugin with these inputs sees of it.
    ///
    /// # Panics
    /// If a declared cookie or query parameter can be read in two ways: the server does not ask the
    /// plugin about such a request.
    pub fn to_request(&self, inputs: &[Input]) -> Request {
        let value = |input: &Input| match input {
            Input::Header(name) => {
                let lines = self.lines(name);
                (!lines.is_empty()).then(|| lines.join(", "))
            }
            Input::Cookie(name) => only(input, self.cookies(name)),
            Input::QueryParam(name) => only(input, self.params(name)),
        };
        Request {
            method: self.method.clone(),
            host: self.host.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            inputs: inputs.into(),
            values: inputs.iter().map(value).collect(),
        }
    }

    /// The lines of a field; all cookies that were added by `cookie` are one.
    fn lines(&self, name: &str) -> Vec<String> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        let mut lines: Vec<_> = self.headers.iter().filter(same).map(|(_, v)| v.clone()).collect();
        if name.eq_ignore_ascii_case("cookie") && !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            lines.push(pairs.join("; "));
        }
        lines
    }

    fn cookies(&self, name: &str) -> Vec<Option<String>> {
        let lines = self.lines("cookie").join(";");
        let pairs = lines.split(';').map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name, Some(value.trim().to_owned())),
            None => (pair, None),
        });
        pairs.filter(|(found, _)| found.trim() == name).map(|(_, value)| value).collect()
    }

    fn params(&self, name: &str) -> Vec<Option<String>> {
        let pairs = self.query.as_deref().unwrap_or_default().split('&');
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let same = pairs.filter(|(found, _)| decoded(found) == decoded(name));
        same.map(|(found, value)| (found == name).then(|| value.to_owned())).collect()
    }
}

/// The only value; one that is `None` is spelt in a way that others read differently.
fn only(input: &Input, mut found: Vec<Option<String>>) -> Option<String> {
    match (found.pop(), found.is_empty()) {
        (None, _) => None,
        (Some(Some(value)), true) => Some(value),
        _ => panic!(
            "{input:?} occurs more than once or is spelt oddly; the server does not ask the plugin \
             about such a request (policy-input-unclear)"
        ),
    }
}

/// The bytes of a part of a query as forms encode it; what is no escape stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = text_of(after.get(..2)).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = match (first, escape) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                after.get(2..).unwrap_or_default()
            }
            _ => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                after
            }
        };
    }
    bytes
}

/// Two digits: `from_str_radix` would take a sign for one.
fn text_of(bytes: Option<&[u8]>) -> Option<&str> {
    let digits = bytes.filter(|bytes| bytes.iter().all(u8::is_ascii_hexdigit))?;
    std::str::from_utf8(digits).ok()
}

/// A response that is about to be stored.
#[derive(Debug, Clone)]
pub struct TestResponse(Response);

/// A response with this status.
pub fn response(status: u16) -> TestResponse {
    TestResponse(Response { status, headers: Vec::new(), body_size: None })
}

impl TestResponse {
    /// With a response field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }
}

/// A change of an object.
#[derive(Debug, Clone)]
pub struct TestEvent(Event);

/// An update of this model.
pub fn event(model: &str) -> TestEvent {
    TestEvent(Event {
        id: "test-1".to_owned(),
        source: "test".to_owned(),
        model: model.to_owned(),
        operation: Operation::Updated,
        object_id: None,
        changed_fields: Vec::new(),
        occurred_at: String::new(),
        payload: "{}".to_owned(),
        parsed: OnceCell::new(),
    })
}

impl TestEvent {
    /// With the object's primary key.
    #[must_use]
    pub fn id(mut self, id: impl ToString) -> Self {
        self.0.object_id = Some(id.to_string());
        self
    }

    /// With another operation.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.0.operation = operation;
        self
    }

    /// With the name of a changed field.
    #[must_use]
    pub fn changed(mut self, field: &str) -> Self {
        self.0.changed_fields.push(field.to_owned());
        self
    }

    /// With a value in the payload: `.field("after.trek", "everest")`.
    #[must_use]
    pub fn field(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut payload = self.0.payload().clone();
        let mut place = &mut payload;
        for name in path.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[name];
        }
        *place = value.into();
        self.0.payload = payload.to_string();
        self.0.parsed = OnceCell::new();
        self
    }

    /// What the plugin sees.
    pub fn to_event(&self) -> Event {
        self.0.clone()
    }
}

/// A memcached item that is about to be stored.
pub fn item(key: &str, flags: u32, body_size: u32) -> Item {
    Item { key: key.to_owned(), flags, body_size }
}

thread_local! {
    /// What look-ups find, by key; each test has a thread of its own.
    static CACHED: RefCell<HashMap<String, (Entry, Vec<String>)>> = RefCell::default();
    /// Whether a key is being made.
    static IS_KEYING: Cell<bool> = const { Cell::new(false) };
}

/// Has look-ups of this test find a value under a key, with these tags and for ever.
pub fn cached(key: &str, value: impl Into<Vec<u8>>, tags: &[&str]) {
    let entry = Entry { value: value.into(), flags: 0, ttl_s: None, age_s: 0 };
    cached_entry(key, entry, tags);
}

/// The same with flags and times.
pub fn cached_entry(key: &str, entry: Entry, tags: &[&str]) {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    CACHED.with_borrow_mut(|cached| cached.insert(key.to_owned(), (entry, tags)));
}

pub(crate) fn look_up(key: &str) -> Result<Option<Entry>, String> {
    found(key, |(entry, _)| entry.clone())
}

pub(crate) fn look_up_tags(key: &str) -> Result<Vec<String>, String> {
    found(key, |(_, tags)| tags.clone()).map(Option::unwrap_or_default)
}

fn found<T>(key: &str, of: impl FnOnce(&(Entry, Vec<String>)) -> T) -> Result<Option<T>, String> {
    match IS_KEYING.get() {
        true => Err("look-ups are for on_store, on_item and on_event".to_owned()),
        false => Ok(CACHED.with_borrow(|cached| cached.get(key).map(of))),
    }
}

/// The plugin's key of the request.
///
/// # Panics
/// If the plugin returns an error or reads what it did not declare.
pub fn key<P: Plugin>(plugin: &P, request: &TestRequest) -> Key {
    key_of(plugin, &request.to_request(&plugin.inputs()))
}

fn key_of<P: Plugin>(plugin: &P, request: &Request) -> Key {
    IS_KEYING.set(true);
    let key = plugin.cache_key(request);
    IS_KEYING.set(false);
    answer(key)
}

/// What the plugin says about storing the response under its own key of the request.
///
/// # Panics
/// If the plugin returns an error or reads what it did not declare.
pub fn storage<P: Plugin>(plugin: &P, request: &TestRequest, response: &TestResponse) -> Storage {
    let request = request.to_request(&plugin.inputs());
    let key = key_of(plugin, &request).to_string();
    answer(plugin.on_store(&key, &request, &response.0))
}

/// What the plugin does about the event.
///
/// # Panics
/// If the plugin returns an error.
pub fn actions<P: Plugin>(plugin: &P, event: &TestEvent) -> Vec<Action> {
    answer(plugin.on_event(&event.0))
}

/// The plugin with these settings.
///
/// # Panics
/// If the plugin refuses them.
pub fn configured<P: Plugin>(config: &[(&str, &str)]) -> P {
    let owned: Vec<_> = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut plugin = P::default();
    answer(plugin.configure(&owned));
    plugin
}

fn answer<T>(result: crate::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("the plugin returned an error: {error}"))
}

#[cfg(test)]
mod tests;
