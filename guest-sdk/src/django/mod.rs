//! The keys under which Django's cache keeps things: fragments of templates, pages of `cache_page`
//! and of the cache middlewares, and whatever an application stores by itself.
//!
//! Django asks its cache for [`make_key`] of these. They depend on the release that writes them:
//! 5.2.19 and 6.0.10 changed the keys of pages, 6.1 those of pages and of fragments.
//!
//! ```
//! use wasmcached_plugin::django::{Release, make_key, make_template_fragment_key};
//!
//! let release: Release = "5.2.19".parse()?;
//! // {% cache 120 message-count user.username %}
//! let fragment = make_template_fragment_key(release, "message-count", &["ada"]);
//! let key = make_key(&fragment, "", 1);
//! assert_eq!(key, ":1:template.cache.message-count.7158bb7b44c13dd9c70c881b9720a741");
//! # Ok::<(), wasmcached_plugin::Error>(())
//! ```
//!
//! # Invariants
//! - Every key is byte for byte the one that Django computes; tests compare with its releases.
//!
//! # Not here
//! A `KEY_FUNCTION` of one's own, and which of the keys an event makes wrong.

mod page;
mod release;
#[cfg(test)]
mod tests;
mod uri;

pub use page::{Method, Page};
pub use release::Release;
pub use uri::{absolute_uri, quote};

use md5::{Digest, Md5};
use serde_json::Value;

use release::Coding;

/// The key that reaches the server: Django's default `KEY_FUNCTION`, of `KEY_PREFIX` and `VERSION`.
pub fn make_key(key: &str, key_prefix: &str, version: u32) -> String {
    format!("{key_prefix}:{version}:{key}")
}

/// The key of a `{% cache %}` block by its name and the values that it varies on, each as Python's
/// `str` shows it ([`to_str`]).
pub fn make_template_fragment_key(
    release: Release,
    fragment_name: &str,
    vary_on: &[impl AsRef<str>],
) -> String {
    let mut hasher = Md5::new();
    for value in vary_on.iter().map(AsRef::as_ref) {
        match release.fragment_coding() {
            Coding::Netstring => hasher.update(netstring(value)),
            Coding::Bare | Coding::Marked => hasher.update(format!("{value}:")),
        }
    }
    format!("template.cache.{fragment_name}.{}", hex_of(hasher))
}

/// What the keys of every copy of a `{% cache %}` block begin with, whatever it varies on.
pub fn template_fragment_prefix(fragment_name: &str) -> String {
    format!("template.cache.{fragment_name}.")
}

/// A JSON value as Python's `str` shows it: `True`, `None`, a text as it is. Fractions are shown as
/// JSON has them; a list or a table has no such form.
pub fn to_str(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("None".to_owned()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// `5:hello,`: the length counts bytes.
fn netstring(value: &str) -> String {
    format!("{}:{value},", value.len())
}

fn hex_of(hasher: Md5) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
