//! What a plugin is shown of a request, a response and a memcached item.
//!
//! # Invariants
//! - A request holds values of declared inputs only.
//!
//! # Not here
//! How requests are made: by `wasm` in the server, by `testing` in tests.

use std::rc::Rc;

/// One piece of request data that a plugin declares and therefore sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// A request field; compared without regard to case.
    Header(String),
    /// A cookie, by name.
    Cookie(String),
    /// A query parameter, by name.
    QueryParam(String),
}

/// The request: its fixed parts and the declared inputs.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// What the plugin declared, shared by all its requests.
    pub(crate) inputs: Rc<[Input]>,
    /// Their values, in that order.
    pub(crate) values: Vec<Option<String>>,
}

impl Request {
    /// Upper-case method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The authority that was asked for, with its port if it had one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path as sent, percent-encoding included.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The value of a declared request field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.declared("header", name, |input| match input {
            Input::Header(declared) => declared.eq_ignore_ascii_case(name),
            _ => false,
        })
    }

    /// The value of a declared cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.declared("cookie", name, |input| matches!(input, Input::Cookie(n) if n == name))
    }

    /// The value of a declared query parameter.
    pub fn query_param(&self, name: &str) -> Option<&str> {
        self.declared("query", name, |input| matches!(input, Input::QueryParam(n) if n == name))
    }

    /// A plugin that reads what it did not declare works in a test that hands it everything and
    /// never in the server; so tests must not let it pass.
    fn declared(&self, kind: &str, name: &str, is: impl Fn(&Input) -> bool) -> Option<&str> {
        let found = self.inputs.iter().position(is);
        if found.is_none() && cfg!(not(target_arch = "wasm32")) {
            panic!("{kind} {name:?} is not declared; add `inputs({kind} = {name:?})`");
        }
        self.values.get(found?)?.as_deref()
    }
}

/// The response that is about to be stored.
#[derive(Debug, Clone)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body_size: Option<u32>,
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The members of a list field (RFC 9110 §5.6.1) over all fields of this name.
    pub fn header_list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        let members = fields.flat_map(|(_, value)| value.split(','));
        members.map(str::trim).filter(|member| !member.is_empty())
    }

    /// The body's length in bytes, where it was announced.
    pub fn body_size(&self) -> Option<u32> {
        self.body_size
    }
}

/// A memcached item that is about to be stored.
#[derive(Debug, Clone)]
pub struct Item {
    pub(crate) key: String,
    pub(crate) flags: u32,
    pub(crate) body_size: u32,
}

impl Item {
    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The client's opaque flags.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The value's length in bytes.
    pub fn body_size(&self) -> u32 {
        self.body_size
    }
}
