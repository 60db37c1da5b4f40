//! Bodies that are read whole, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::ApiError;
use crate::limits::API_BODY_MS_MAX;

/// Reads up to `limit` bytes of a body for nothing: a connection that is closed while its client
/// sends may take the answer with it.
pub(super) async fn pass_over(body: Body, limit: usize) {
    let mut body = Limited::new(body, limit);
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    // Late, it is answered all the same.
    let _ = tokio::time::timeout(Duration::from_millis(API_BODY_MS_MAX), reading).await;
}

/// Reads a body of up to `limit` bytes; `what` names it in errors.
pub(super) async fn whole(body: Body, limit: usize, what: &str) -> Result<Bytes, ApiError> {
    let whole = Limited::new(body, limit).collect();
    let body = tokio::time::timeout(Duration::from_millis(API_BODY_MS_MAX), whole).await;
    let body = body.map_err(|_| {
        let message = format!("{what} was not whole within {API_BODY_MS_MAX} ms");
        ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
    })?;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => {
            let message = format!("{what} is larger than {limit} bytes, the limit");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        }
        false => ApiError::bad_request(format!("{what} ended before it was whole")),
    })?;
    Ok(body.to_bytes())
}
