//! Asking origins now and then whether they are well, where a site wants that.
//!
//! # Invariants
//! - Checks do not take the places of requests, and are not counted among them.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method};

use super::{Origins, Question};
use crate::pages::settings::Check;

/// Checks the origins of one site for ever.
pub(in crate::pages) async fn check_forever(origins: Arc<Origins>, site: usize, check: Check) {
    let Some((site, group)) = origins.groups.get(site) else { return };
    loop {
        for upstream in &group.upstreams {
            let mut headers = HeaderMap::new();
            let host = site.host.as_deref().unwrap_or(upstream.authority.as_str());
            headers.extend(HeaderValue::from_str(host).ok().map(|host| (HOST, host)));
            let target = &check.path;
            let question = Question { method: &Method::GET, target, headers, interim: None };
            let Ok(uri) = question.uri(&upstream.authority) else { return };
            match origins.client.attempt(&uri, question, None).await {
                Ok(answer) if answer.status() == check.status => upstream.note_success(),
                Ok(answer) => {
                    let (origin, status) = (&upstream.authority, answer.status().as_u16());
                    tracing::debug!(%origin, status, "check");
                    upstream.note_failed_check();
                }
                Err(error) => {
                    let origin = &upstream.authority;
                    tracing::debug!(%origin, error = super::causes(&error), "check");
                    upstream.note_failed_check();
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(check.interval_ms)).await;
    }
}
