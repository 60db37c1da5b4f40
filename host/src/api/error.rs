//! The one place that turns errors into answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::UrlError;
use crate::cache::{InvalidateError, ItemError, UpdateError};
use crate::model::{KeyError, TagError};

/// An answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl ToString) -> Self {
        Self { status, message: message.to_string() }
    }

    pub(super) fn bad_request(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        Self::bad_request(error)
    }
}

impl From<TagError> for ApiError {
    fn from(error: TagError) -> Self {
        Self::bad_request(error)
    }
}

impl From<UrlError> for ApiError {
    fn from(error: UrlError) -> Self {
        match error {
            UrlError::NoPage(why) => Self::bad_request(why),
            UrlError::KeyUnknown(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

impl From<InvalidateError> for ApiError {
    fn from(error: InvalidateError) -> Self {
        let status = match &error {
            InvalidateError::NoTarget | InvalidateError::TooManyTargets { .. } => {
                StatusCode::BAD_REQUEST
            }
            InvalidateError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
    }
}

impl From<ItemError> for ApiError {
    fn from(error: ItemError) -> Self {
        let status = match &error {
            ItemError::Outdated => StatusCode::CONFLICT,
            ItemError::NoAnswer(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
    }
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        let status = match &error {
            UpdateError::Fenced => StatusCode::CONFLICT,
            UpdateError::TooManyTags { .. } => StatusCode::BAD_REQUEST,
            UpdateError::Full => StatusCode::INSUFFICIENT_STORAGE,
            UpdateError::FenceFull(_) | UpdateError::Tier(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
    }
}
