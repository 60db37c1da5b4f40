//! Requests that a browser sends because some other site's page told it to.
//!
//! The listener is on loopback, and so is the operator's browser: a page anywhere on the web may
//! post a form to it. Browsers name that page's origin; programs send no `Origin` at all.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;

/// Refuses what could change something and comes from another origin (RFC 6454 §7).
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_same_origin(request.headers()) {
        return next.run(request).await;
    }
    ApiError::new(StatusCode::FORBIDDEN, "requests of other origins may not change anything")
        .into_response()
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).map_or(&b""[..], |host| host.as_bytes());
    let authority = origin.as_bytes().strip_prefix(b"http://");
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), value.parse().unwrap())
        });
        fields.collect()
    }

    #[test]
    fn programs_and_own_pages_pass_and_other_sites_do_not() {
        let host = ("host", "127.0.0.1:8081");
        assert!(is_same_origin(&headers(&[host])));
        assert!(is_same_origin(&headers(&[host, ("origin", "http://127.0.0.1:8081")])));
        for origin in
            ["http://evil.example", "null", "http://127.0.0.1:8080", "https://127.0.0.1:8081"]
        {
            assert!(!is_same_origin(&headers(&[host, ("origin", origin)])), "{origin}");
        }
    }
}
