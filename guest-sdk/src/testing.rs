//! Requests and events for the tests of a plugin, and its answers to them. No server is needed.
//!
//! # Invariants
//! - A plugin under test gets what the server would give it: only the inputs it declared.
//!
//! # Not here
//! The server's limits; `wasmcached plugin check` knows them.

use std::cell::OnceCell;

use serde_json::{Map, Value};

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
    pub fn to_request(&self, inputs: &[Input]) -> Request {
        let params: Vec<(String, String)> = self.query.as_deref().map(pairs).unwrap_or_default();
        let value = |input: &Input| match input {
            Input::Header(name) => {
                let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
                self.headers.iter().find(same).map(|(_, value)| value.clone())
            }
            Input::Cookie(name) => value_of(&self.cookies, name),
            Input::QueryParam(name) => value_of(&params, name),
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
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |param: &str| match param.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (param.to_owned(), String::new()),
    };
    query.split('&').map(pair).collect()
}

fn value_of(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
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

/// The plugin's key of the request.
///
/// # Panics
/// If the plugin returns an error or reads what it did not declare.
pub fn key<P: Plugin>(plugin: &P, request: &TestRequest) -> Key {
    answer(plugin.cache_key(&request.to_request(&plugin.inputs())))
}

/// What the plugin says about storing the response under its own key of the request.
///
/// # Panics
/// If the plugin returns an error or reads what it did not declare.
pub fn storage<P: Plugin>(plugin: &P, request: &TestRequest, response: &TestResponse) -> Storage {
    let request = request.to_request(&plugin.inputs());
    let key = answer(plugin.cache_key(&request)).to_string();
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
