//! Which requests a rule is about: those of a host, and of a path.
//!
//! # Invariants
//! - A pattern that no request can fit is a mistake, and is told so.
//!
//! # Not here
//! Cookies and queries: they are parts of keys.

use serde_json::Value;
use wasmcached_plugin::pattern::matches;
use wasmcached_plugin::prelude::*;

use super::fields::{Fields, condition_text, never};

/// Where a rule holds: everywhere, where nothing is named.
#[derive(Debug)]
pub(crate) struct Where {
    hosts: Vec<String>,
    paths: Vec<String>,
}

impl Where {
    /// The conditions `host` and `path`.
    pub(crate) fn parse(fields: &mut Fields) -> Result<Self> {
        let hosts = fields.condition("host", host_pattern)?;
        let of_text = |value: Value| {
            let text = condition_text(value)?;
            path_pattern(&text).map(|()| text)
        };
        Ok(Self { hosts, paths: fields.condition("path", of_text)? })
    }

    /// Whether the request is one of those.
    pub(crate) fn fits(&self, request: &Request) -> bool {
        let host = request.host();
        let fits_host =
            |pattern: &String| matches(pattern, host) || matches(pattern, name_of(host));
        let fits_path = |pattern: &String| matches(pattern, request.path());
        (self.hosts.is_empty() || self.hosts.iter().any(fits_host))
            && (self.paths.is_empty() || self.paths.iter().any(fits_path))
    }

    /// Whether a path that fits may have a segment of this number.
    pub(crate) fn may_have_segment(&self, n: usize) -> bool {
        let may_have = |path: &String| path.contains('*') || segments(path).count() > n;
        self.paths.is_empty() || self.paths.iter().any(may_have)
    }
}

/// The parts of a path between its slashes; `/treks/everest/` has two.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Refuses what no path fits.
pub(crate) fn path_pattern(pattern: &str) -> std::result::Result<(), String> {
    if !pattern.starts_with(['/', '*']) {
        return Err(never(format!("{pattern:?} begins with neither `/` nor `*`")));
    }
    match pattern.chars().find(|c| matches!(c, '?' | '#' | ' ') || c.is_control()) {
        Some(found) => Err(never(format!("{pattern:?} has {found:?}, which no path has"))),
        None => Ok(()),
    }
}

fn host_pattern(value: Value) -> std::result::Result<String, String> {
    let pattern = condition_text(value)?;
    let is_foreign = |c: &char| matches!(c, '/' | ' ' | '@') || c.is_uppercase() || c.is_control();
    match pattern.chars().find(is_foreign) {
        Some(found) => {
            let problem = format!(
                "{pattern:?} has {found:?}; a host is `name` or `name:port` in \
                                   lower case"
            );
            Err(never(problem))
        }
        None => Ok(pattern),
    }
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    }
}
