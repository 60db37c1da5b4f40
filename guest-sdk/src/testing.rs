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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{hard_tag, plugin};
    use crate::{Error, Result};

    #[derive(Default)]
    struct Shop;

    #[plugin(
        name = "shop",
        key_epoch = 3,
        inputs(header = "Accept-Language", cookie = "tier", query = "page")
    )]
    impl Plugin for Shop {
        fn cache_key(&self, request: &Request) -> Result<Key> {
            let mut key = Key::of(request).keep_query(&[]);
            for (name, value) in [
                ("lang", request.header("accept-language")),
                ("tier", request.cookie("tier")),
                ("page", request.query_param("page")),
            ] {
                key = key.with(name, value.unwrap_or("-"));
            }
            match request.path() {
                "/undeclared" => Ok(key.with("x", request.cookie("session").is_some())),
                "/error" => Err(Error::new("no key")),
                _ => Ok(key),
            }
        }

        fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
            Ok(event.text("after.lines.0.sku").map(hard_tag).into_iter().collect())
        }
    }

    #[test]
    fn declared_inputs_are_seen_whatever_the_case_of_fields() {
        let request = get("https://s/a?x=1&page=2").header("accept-LANGUAGE", "de");
        assert_eq!(
            key(&Shop, &request.cookie("tier", "gold")),
            "http://s/a|lang=de|tier=gold|page=2"
        );
        assert_eq!(key(&Shop, &get("https://s")), "http://s/|lang=-|tier=-|page=-");
    }

    #[test]
    #[should_panic(expected = "cookie \"session\" is not declared")]
    fn reading_what_is_not_declared_panics_in_tests() {
        key(&Shop, &get("https://s/undeclared").cookie("session", "1"));
    }

    #[test]
    #[should_panic(expected = "the plugin returned an error: no key")]
    fn an_error_panics_in_tests_with_its_words() {
        key(&Shop, &get("https://s/error"));
    }

    #[test]
    fn the_attribute_writes_what_the_server_is_told() {
        let info = Shop::INFO;
        assert_eq!((info.name, info.key_epoch, info.pure), ("shop", 3, true));
        assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(Shop.inputs().len(), 3);
        assert!(Shop.item_prefixes().is_empty());
    }

    #[test]
    fn settings_are_refused_by_a_plugin_that_has_none() {
        let settings = [("colour".to_owned(), "red".to_owned())];
        let error = Shop.configure(&settings).unwrap_err();
        assert_eq!(error.to_string(), "unknown setting `colour`; there are none");
    }

    #[test]
    fn payloads_are_looked_up_by_path() {
        let lines = serde_json::json!([{"sku": 17}]);
        let bought = event("shop.order").id(5).field("after.lines", lines).changed("lines");
        assert_eq!(actions(&Shop, &bought), [hard_tag("17")]);
        let seen = bought.operation(Operation::Created).to_event();
        assert_eq!((seen.object_id(), seen.operation().as_str()), (Some("5"), "created"));
        assert!(seen.changed("lines") && !seen.changed("total"));
        assert!(seen.field("after.missing").is_none() && seen.field("after.lines.1").is_none());
        assert!(seen.field("after.lines").is_some_and(Value::is_array));
        assert_eq!(seen.text("after.lines"), None);
    }

    #[test]
    fn list_fields_are_split_over_all_their_lines() {
        let response = response(200).header("X-Models", "a, b").header("x-models", ",c ").0;
        assert_eq!(response.header_list("X-MODELS").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(response.header("x-models"), Some("a, b"));
    }
}
