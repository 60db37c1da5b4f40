//! What a plain request is looked up under.
//!
//! # Invariants
//! - It is the key that `course::request` would say, or none.
//! - A policy is shown what it would be shown there: fields without those that end here, reduced.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::head::Head;
use super::lines;
use crate::model::{Input, KeyDecision};
use crate::pages::course::key::Address;
use crate::pages::semantics::{forward, negotiation};
use crate::pages::settings::Site;
use crate::pages::{PagePolicy, page_policy};

/// A request that can be looked up as it is.
pub(super) struct Asked<'r, 'b, 'h> {
    head: &'r Head<'b, 'h>,
    /// As keys spell it.
    pub(super) host: &'b str,
    /// Whether it has `If-None-Match`.
    pub(super) is_conditional: bool,
}

impl<'r, 'b, 'h> Asked<'r, 'b, 'h> {
    /// Reads a request; `None` if it asks for a judgement.
    pub(super) fn of(head: &'r Head<'b, 'h>) -> Option<Self> {
        if !is_plain_target(head.target) {
            return None;
        }
        let (mut host, mut has_tags, mut has_date) = (None, false, false);
        for field in head.fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                4 if is("host") => host = Some(field.value),
                13 if is("if-none-match") => has_tags = true,
                17 if is("if-modified-since") => has_date = true,
                _ if needs_judgement(field.name) => return None,
                _ => {}
            }
        }
        // Beside tags a date does not count (RFC 9110 §13.1.3).
        if has_date && !has_tags {
            return None;
        }
        Some(Self { head, host: plain_host(host?)?, is_conditional: has_tags })
    }

    /// Spells the key that the site's rules and its policy make of it; `None` if it is not looked
    /// up, or if that would have to be asked.
    pub(super) fn spell_key(
        &self,
        site: &Site,
        policy: Option<&dyn PagePolicy>,
        key: &mut Vec<u8>,
    ) -> Option<()> {
        let Self { head, host, .. } = self;
        if negotiation::has_cookie(lines(head.fields, "cookie"), &site.rules.private_cookies) {
            return None;
        }
        key.clear();
        let decision = match policy {
            Some(policy) => self.remembered(policy, site)?,
            None => KeyDecision::Default,
        };
        match decision {
            KeyDecision::Default => {
                for part in ["http://", host, head.target] {
                    key.extend_from_slice(part.as_bytes());
                }
            }
            KeyDecision::Custom(custom) => key.extend_from_slice(custom.as_bytes()),
            KeyDecision::Bypass => return None,
        }
        Some(())
    }

    fn remembered(&self, policy: &dyn PagePolicy, site: &Site) -> Option<KeyDecision> {
        let mut headers = HeaderMap::new();
        for field in self.head.fields.iter().filter(|f| is_looked_at(policy.inputs(), f.name)) {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
        forward::clean_request(&mut headers);
        negotiation::reduce(&mut headers, &site.rules);
        let address = Address::of_plain(self.host, self.head.target)?;
        let view = page_policy::view(self.head.method, &address, &headers, policy.inputs());
        policy.remembered_key(&view.ok()?)
    }
}

/// Whether what a policy with these inputs is shown depends on a field.
fn is_looked_at(inputs: &[Input], field: &str) -> bool {
    inputs.iter().any(|input| match input {
        // `Connection` may take others away.
        Input::Header(name) => {
            field.eq_ignore_ascii_case(name) || field.eq_ignore_ascii_case("connection")
        }
        Input::Cookie(_) => field.eq_ignore_ascii_case("cookie"),
        Input::QueryParam(_) => false,
    })
}

/// Whether a target is a path that is its own key: nothing that a parser would cut off or refuse.
fn is_plain_target(target: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'%' | b'?' | b'=' | b'&' | b'+')
            || matches!(byte, b':' | b'@' | b',' | b';' | b'!' | b'*')
    };
    target.starts_with('/') && target.bytes().all(is_plain)
}

/// The host, if it is spelt as keys spell it.
fn plain_host(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let (name, port) = host.split_once(':').unwrap_or((host, "8080"));
    let is_name = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
    };
    // The default port is not part of a key; neither is one that is spelt oddly.
    let is_port = port != "80"
        && (1..=5).contains(&port.len())
        && !port.starts_with('0')
        && port.bytes().all(|byte| byte.is_ascii_digit());
    (!name.is_empty() && name.bytes().all(is_name) && is_port).then_some(host)
}

/// Fields that may change what is looked up or how it is answered.
fn needs_judgement(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "via",
        "range",
        "expect",
        "pragma",
        "upgrade",
        "if-match",
        "if-range",
        "cdn-loop",
        "cache-control",
        "authorization",
        "max-forwards",
        "if-unmodified-since",
    ];
    let same_length = NAMES.iter().filter(|known| known.len() == name.len());
    same_length.into_iter().any(|known| known.eq_ignore_ascii_case(name))
}
