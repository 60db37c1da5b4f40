//! Items as pages: what an application wrote by memcached is answered to those who ask by HTTP.
//!
//! # Invariants
//! - An item is read as every protocol reads it: what the freshness rule does not admit is not
//!   there, and the request goes on to the page.
//! - Only what the application meant for browsers is served: items whose flags the site names.
//! - The application is asked for nothing and has said everything by writing the item: it is
//!   answered as of now, without an age, and never kept as a page.
//!
//! # Not here
//! Which keys a site's items have: `config`. Requests that go past the cache: they don't come here.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::key::Address;
use super::request::Ask;
use super::respond::{self, Answer, Page};
use crate::cache::Entry;
use crate::config::{KeyPart, SiteItems};
use crate::limits::KEY_BYTES_MAX;
use crate::model::{Key, PageHead, Staleness};
use crate::pages::Pages;
use crate::pages::semantics::directives::RequestDirectives;

impl Pages {
    /// Answers a GET or HEAD with an item, if its site serves items and there is one for it.
    pub(super) async fn item(&self, ask: &Ask) -> Option<Answer> {
        let items = ask.site.items.as_ref()?;
        let key = key_of(items, &ask.address)?;
        let item = self.shared.cache.get(key.as_bytes()).await?;
        // An empty one keeps a place for who is computing it (`N` of the meta protocol).
        let is_item = item.page().is_none() && !item.body().is_empty();
        if !is_item || !items.flags.contains(&item.flags()) {
            return None;
        }
        let now_ms = self.now_ms();
        let left_ms = item.expires().as_ms().map(|at_ms| at_ms.saturating_sub(now_ms));
        let is_wanted = !ask.site.rules.honours_clients || is_enough(&ask.headers, left_ms);
        if !is_wanted {
            return None;
        }
        let body = item.body_bytes();
        let head = head_of(items, ask, &item, &body, left_ms)?;
        let page = Page { head: &head, body: &body };
        let left_s = left_ms.and_then(|left_ms| i64::try_from(left_ms / 1000).ok());
        Some(respond::from_item(ask, page, &key, left_s, now_ms))
    }
}

/// The key of the item that is the page of an address; `None` where it is longer than a key may be.
pub(super) fn key_of(items: &SiteItems, address: &Address) -> Option<Key> {
    let mut key = String::new();
    for part in &items.key {
        key.push_str(match part {
            KeyPart::Text(text) => text,
            KeyPart::Host => address.authority(),
            KeyPart::Path => address.path(),
            KeyPart::Uri => address.target().as_str(),
        });
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
    }
    Key::new(key.as_bytes()).ok()
}

/// Whether an item is what a client's own directives ask for (RFC 9111 §5.2.1). Its age is none.
fn is_enough(request: &HeaderMap, left_ms: Option<u64>) -> bool {
    let client = RequestDirectives::of(request);
    let is_long_enough = |seconds: u64| left_ms.is_none_or(|left_ms| left_ms / 1000 >= seconds);
    !client.no_cache && client.min_fresh_s.is_none_or(is_long_enough)
}

/// The head of an item as a page. Its entity tag is the CAS and the moment of the store: clients of
/// memcached may choose a CAS themselves, and without a database numbers begin anew at a start.
fn head_of(
    items: &SiteItems,
    ask: &Ask,
    item: &Entry,
    body: &Bytes,
    left_ms: Option<u64>,
) -> Option<PageHead> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, items.content_type.clone());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let etag = format!("\"{:x}-{:x}\"", item.cas(), item.stored_ms());
    headers.insert(ETAG, HeaderValue::try_from(etag).ok()?);
    if let Some(max_age_s) = items.max_age_s {
        // No longer than it will be there.
        let seconds = left_ms.map_or(max_age_s, |left_ms| max_age_s.min(left_ms / 1000));
        headers.insert(CACHE_CONTROL, HeaderValue::try_from(format!("max-age={seconds}")).ok()?);
    }
    Some(PageHead {
        url: ask.address.url().into(),
        site: ask.site.name.as_str().into(),
        status: StatusCode::OK,
        headers,
        vary: Vec::new(),
        received_ms: item.stored_ms(),
        initial_age_ms: 0,
        lifetime_ms: left_ms.unwrap_or(u64::MAX),
        stale_while_revalidate_ms: 0,
        stale_if_error_ms: 0,
        staleness: Staleness::Forbidden,
        plugin: None,
        block: std::sync::OnceLock::new(),
    })
}
