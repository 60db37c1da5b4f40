//! The page cache over real sockets, in front of an origin that the test plays.

mod access;
mod filling;
mod hits;
mod http2;
mod items;
mod keys;
mod limits;
mod policy;
mod proxying;
mod purging;
mod refreshing;
mod serving;
mod stage;
mod standing_in;

use http::HeaderMap;

/// These fields, in this order. A name may come several times.
pub(super) fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}
