//! The webhook's routes.

use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::json;

use super::apply::{Events, Receipt, Refused, SignatureFields};
use super::native::BodyError;
use crate::cache::Counted;
use crate::cache::tier::Lasting;
use crate::limits::{EVENT_BODY_MS_MAX, EVENT_BYTES_MAX, REMEMBERED_EVENTS_MAX};

/// Events listed unless a limit is asked for.
const LISTED_DEFAULT: usize = 50;

/// The routes.
pub fn router(events: Events) -> Router {
    Router::new()
        .route("/v1/events/{source}", post(receive))
        .route("/v1/events", axum::routing::get(list))
        .with_state(events)
}

async fn receive(
    State(events): State<Events>,
    Path(source): Path<String>,
    query: Result<Query<DeliveryQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let Query(query) = match query {
        Ok(query) => query,
        Err(error) => return Ok(bad_request(&error.body_text())),
    };
    // Before the body is read, which may take its time: what it says was true when it was sent.
    let arrival = events.arrival();
    let body = read(body).await.map_err(|refused| events.refuse(refused))?;
    let field = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let fields = SignatureFields {
        id: field("webhook-id"),
        timestamp: field("webhook-timestamp"),
        signature: field("webhook-signature"),
    };
    if query.dry_run {
        return Ok(Json(events.preview(&source, fields, &body).await?).into_response());
    }
    let receipt = events.receive(&source, fields, &body, arrival).await?;
    let Receipt { sequence, affected, counted, lasting, intent } = receipt;
    let mut answer = json!({ "sequence": sequence.to_string(), "affected": affected });
    if let Some(fields) = answer.as_object_mut() {
        if counted == Counted::Estimated {
            fields.insert("estimated".into(), true.into());
        }
        if lasting == Lasting::Owed {
            fields.insert("durable".into(), false.into());
        }
        if let Some(state) = intent {
            fields.insert("intent".into(), state.as_str().into());
        }
    }
    Ok(Json(answer).into_response())
}

/// Senders may add parameters of their own to an address.
#[derive(Deserialize)]
struct DeliveryQuery {
    #[serde(default)]
    dry_run: bool,
}

fn bad_request(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response()
}

async fn read(body: Body) -> Result<Bytes, Refused> {
    let whole = Limited::new(body, EVENT_BYTES_MAX).collect();
    let collected = tokio::time::timeout(Duration::from_millis(EVENT_BODY_MS_MAX), whole).await;
    let collected = collected.map_err(|_| Refused::TooSlow)?;
    collected.map(|body| body.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
        true => Refused::TooLarge,
        false => Refused::Malformed(BodyError::Interrupted),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<usize>,
}

async fn list(
    State(events): State<Events>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let Query(query) = match query {
        Ok(query) => query,
        Err(error) => return bad_request(&error.body_text()),
    };
    match query.limit.unwrap_or(LISTED_DEFAULT) {
        limit @ 1..=REMEMBERED_EVENTS_MAX => {
            Json(json!({ "events": events.recent(limit) })).into_response()
        }
        limit => {
            bad_request(&format!("limit is {limit}; 1 to {REMEMBERED_EVENTS_MAX} are allowed"))
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::UnknownSource(_) => StatusCode::NOT_FOUND,
            Self::NotVerified(_) => StatusCode::UNAUTHORIZED,
            Self::Id | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownIntent(_) => StatusCode::CONFLICT,
            Self::TooManyIntents { .. }
            | Self::Busy
            | Self::VersionsChange
            | Self::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let error = Json(json!({ "error": self.to_string() }));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (status, [("retry-after", "1")], error).into_response()
            }
            _ => (status, error).into_response(),
        }
    }
}
