//! Where a plugin may decide about pages: the border that `app` fills with the plugin host.
//!
//! # Invariants
//! - A policy only narrows HTTP's rules: it is not asked about what HTTP forbids to store.
//! - It sees the inputs that it declared and nothing else of a request.

use futures_util::future::BoxFuture;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName};

use super::fields;
use super::key::Address;
use crate::model::{Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision};

/// Decides keys, tags and times of a site's pages.
pub trait PagePolicy: Send + Sync {
    /// Its name, kept with the pages that it decided about.
    fn name(&self) -> &str;

    /// The request data that it sees, in the order of [`RequestView::inputs`].
    fn inputs(&self) -> &[Input];

    /// The key of a request. An error is the reason to leave the cache alone for this request.
    fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, String>;

    /// What to do with a response; `None` leaves it to HTTP. An error is the reason not to store.
    fn on_store<'a>(
        &'a self,
        key: &'a Key,
        request: &'a RequestView,
        response: &'a ResponseView,
    ) -> BoxFuture<'a, Result<Option<StoreDecision>, String>>;
}

/// The request as a policy with these inputs sees it.
pub(crate) fn view(
    method: &str,
    address: &Address,
    headers: &HeaderMap,
    inputs: &[Input],
) -> RequestView {
    let value_of = |input: &Input| match input {
        Input::Header(name) => fields::combined(headers, name),
        Input::Cookie(name) => cookie(headers, name),
        Input::QueryParam(name) => query_param(address.query(), name),
    };
    RequestView {
        method: method.to_owned(),
        host: address.authority().to_owned(),
        path: address.path().to_owned(),
        query: address.query().map(str::to_owned),
        inputs: inputs.iter().map(value_of).collect(),
    }
}

/// The request fields that the answers of a site depend on because its policy looks at them.
pub(crate) fn vary_names(inputs: &[Input]) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for input in inputs {
        let name = match input {
            Input::Header(name) => HeaderName::from_bytes(name.as_bytes()).ok(),
            Input::Cookie(_) => Some(COOKIE),
            Input::QueryParam(_) => None,
        };
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// The response as a policy sees it.
pub(crate) fn response_view(
    status: http::StatusCode,
    headers: &HeaderMap,
    body_bytes: Option<u64>,
) -> ResponseView {
    let text = |(name, value): (&HeaderName, &http::HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    ResponseView {
        status: status.as_u16(),
        headers: headers.iter().filter_map(text).collect(),
        body_bytes: body_bytes.and_then(|bytes| u32::try_from(bytes).ok()),
    }
}

/// The first cookie of a name (RFC 6265 §4.2.1), as sent.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// The first query parameter of a name, as sent: what is decoded twice can be told apart twice.
fn query_param(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}
