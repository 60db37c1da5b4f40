//! Where a plugin may decide about pages: the border that `app` fills with the plugin host.
//!
//! # Invariants
//! - A policy only narrows HTTP's rules: it is not asked about what HTTP forbids to store.
//! - It sees the inputs that it declared and nothing else of a request.
//! - It sees of them what the origin sees. Where the two might read a declared input differently,
//!   it is not asked, and the cache is left alone.
//! - It sees every field of a response that it looks at, or the response is not stored: a tag may
//!   be in the field that it does not see.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::course::key::Address;
use crate::model::{Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision};

/// The policy that decides from now on: it may be replaced at any time, and a request keeps the one
/// that it began with. Asked for every request, hits too.
pub type CurrentPolicy = Arc<dyn Fn() -> Arc<dyn PagePolicy> + Send + Sync>;

/// Decides keys, tags and times of a site's pages.
pub trait PagePolicy: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// What is kept with the pages that it decided about, and differs for policies whose keys or
    /// tags mean something else: under another one, its pages are none.
    fn mark(&self) -> &str;

    /// The request data that it sees, in the order of [`RequestView::inputs`].
    fn inputs(&self) -> &[Input];

    /// The key of a request. An error is the reason to leave the cache alone for this request.
    fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, String>;

    /// The key that this very request had before, where keys depend on what a policy sees alone.
    /// Not counted until [`PagePolicy::note_remembered`]; `None` makes no call.
    fn remembered_key(&self, _request: &RequestView) -> Option<KeyDecision> {
        None
    }

    /// Counts a remembered key that was used, as [`PagePolicy::cache_key`] would have.
    fn note_remembered(&self) {}

    /// Whether what it says about storing depends on the response's fields.
    fn sees_responses(&self) -> bool {
        true
    }

    /// What to do with a response; `None` leaves it to HTTP. An error is the reason not to store.
    fn on_store<'a>(
        &'a self,
        key: &'a Key,
        request: &'a RequestView,
        response: &'a ResponseView,
    ) -> BoxFuture<'a, Result<Option<StoreDecision>, String>>;
}

/// Something shown to a policy that this server can't be sure to read as the origin does.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnclearInput {
    /// Whatever is in it may be hidden from one of the two.
    #[error("field {field:?} is not UTF-8")]
    NotText {
        /// Of the request or the response.
        field: String,
    },
    /// One takes the first, the other the last, or decodes before it compares.
    #[error("{input:?} occurs more than once or is spelt oddly")]
    Ambiguous {
        /// As declared.
        input: Input,
    },
}

/// The request as a policy with these inputs sees it.
pub(crate) fn view(
    method: &str,
    address: &Address,
    headers: &HeaderMap,
    inputs: &[Input],
) -> Result<RequestView, UnclearInput> {
    let value_of = |input: &Input| {
        let ambiguous = || UnclearInput::Ambiguous { input: input.clone() };
        match input {
            Input::Header(name) => header(headers, name),
            Input::Cookie(name) => cookie(headers, name)?.ok_or_else(ambiguous),
            Input::QueryParam(name) => query_param(address.query(), name).ok_or_else(ambiguous),
        }
    };
    Ok(RequestView {
        method: method.to_owned(),
        host: address.authority().to_owned(),
        path: address.path().to_owned(),
        query: address.query().map(str::to_owned),
        inputs: inputs.iter().map(value_of).collect::<Result<_, _>>()?,
    })
}

/// The request for a URL as people write it, as a policy with these inputs sees it.
///
/// # Errors
/// The URL names no page, or an input can't be read for certain.
pub fn view_of_url(
    method: &str,
    url: &str,
    headers: &HeaderMap,
    inputs: &[Input],
) -> Result<RequestView, String> {
    let address = Address::of_text(url).map_err(|error| error.to_string())?;
    view(method, &address, headers, inputs).map_err(|error| error.to_string())
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

/// The response as this policy sees it.
pub(crate) fn response_view(
    policy: &dyn PagePolicy,
    status: http::StatusCode,
    headers: &HeaderMap,
    body_bytes: Option<u64>,
) -> Result<ResponseView, UnclearInput> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = text(name.as_str(), value)?;
        Ok((name.as_str().to_owned(), value.to_owned()))
    };
    Ok(ResponseView {
        status: status.as_u16(),
        headers: match policy.sees_responses() {
            true => headers.iter().map(line).collect::<Result<_, _>>()?,
            false => Vec::new(),
        },
        body_bytes: body_bytes.and_then(|bytes| u32::try_from(bytes).ok()),
    })
}

/// All lines of a field as one text (RFC 9110 §5.3); `Ok(None)` where there are none.
fn header(headers: &HeaderMap, name: &str) -> Result<Option<String>, UnclearInput> {
    let mut all: Option<String> = None;
    for line in headers.get_all(name) {
        let text = text(name, line)?;
        match &mut all {
            Some(all) => all.extend([", ", text]),
            None => all = Some(text.to_owned()),
        }
    }
    Ok(all)
}

/// The only cookie of a name (RFC 6265 §4.2.1), as sent; `None` if there are several, or one
/// without a value: some take that for its name.
fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<Option<String>>, UnclearInput> {
    let mut only = None;
    let mut is_clear = true;
    for line in headers.get_all(COOKIE) {
        for pair in text(COOKIE.as_str(), line)?.split(';') {
            let (found, value) = match pair.split_once('=') {
                Some((found, value)) => (found, Some(value)),
                None => (pair, None),
            };
            if found.trim() == name {
                is_clear &= only.is_none() && value.is_some();
                only = value.map(|value| value.trim().to_owned());
            }
        }
    }
    Ok(is_clear.then_some(only))
}

fn text<'a>(field: &str, line: &'a HeaderValue) -> Result<&'a str, UnclearInput> {
    let unclear = |_| UnclearInput::NotText { field: field.to_owned() };
    std::str::from_utf8(line.as_bytes()).map_err(unclear)
}

/// The only query parameter of a name, as sent; `None` if there are several, or one whose name is
/// this one only after decoding.
fn query_param(query: Option<&str>, name: &str) -> Option<Option<String>> {
    let pairs = query.unwrap_or_default().split('&');
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut found = pairs.filter(|(found, _)| *found == name || decoded(found).eq(decoded(name)));
    match (found.next(), found.next()) {
        (None, _) => Some(None),
        (Some((spelt, value)), None) if spelt == name => Some(Some(value.to_owned())),
        (Some(_), _) => None,
    }
}

/// The bytes of a part of a query as forms encode it; what is no escape stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest.get(1..)?),
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(url: &str, fields: &[(&'static str, &[u8])]) -> Result<[Option<String>; 3], String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let declared = [
            Input::Cookie("session".into()),
            Input::Header("x-lang".into()),
            Input::QueryParam("page".into()),
        ];
        let address = Address::of_url(&url.parse().unwrap()).unwrap();
        let view = view("GET", &address, &headers, &declared).map_err(|error| error.to_string())?;
        Ok(view.inputs.try_into().unwrap())
    }

    const URL: &str = "http://a.example/";

    #[test]
    fn text_beyond_ascii_hides_no_cookie() {
        let cookies = "theme=gr\u{fc}n; session=1; a=b".as_bytes();
        let found = inputs(URL, &[("cookie", cookies), ("x-lang", "de-\u{e9}".as_bytes())]);
        assert_eq!(found.unwrap(), [Some("1".into()), Some("de-\u{e9}".into()), None]);
    }

    #[test]
    fn fields_that_are_no_text_are_unclear() {
        for cookies in [b"session=1; a=\xff".as_slice(), b"a=\xff", b"session=\xe9"] {
            assert!(inputs(URL, &[("cookie", cookies)]).is_err());
            assert!(inputs(URL, &[("cookie", b"a=b"), ("cookie", cookies)]).is_err());
        }
        assert!(inputs(URL, &[("x-lang", b"de"), ("x-lang", b"\xff")]).is_err());
        assert!(inputs(URL, &[("x-other", b"\xff")]).is_ok());
    }

    #[test]
    fn cookies_that_can_be_read_in_two_ways_are_unclear() {
        for cookies in ["session=1; session=1", "session=1; session", "session", "a=b;session"] {
            assert!(inputs(URL, &[("cookie", cookies.as_bytes())]).is_err(), "{cookies}");
        }
        assert!(inputs(URL, &[("cookie", b"session=1"), ("cookie", b"session=2")]).is_err());
        let found = inputs(URL, &[("cookie", b"a=1; a=2"), ("cookie", b"b; session=x=y; c")]);
        assert_eq!(found.unwrap(), [Some("x=y".into()), None, None]);
    }

    #[test]
    fn query_parameters_that_can_be_read_in_two_ways_are_unclear() {
        for query in ["page=1&page=2", "p%61ge=1", "page=1&%70age=2", "page&page", "%50=&pag%65"] {
            assert!(inputs(&format!("{URL}?{query}"), &[]).is_err(), "{query}");
        }
        for (query, wanted) in [("page=%31", "%31"), ("a=page&page=1&a=2&p%zz=", "1"), ("page", "")]
        {
            let [_, _, page] = inputs(&format!("{URL}?{query}"), &[]).unwrap();
            assert_eq!(page.as_deref(), Some(wanted), "{query}");
        }
    }
}
