//! The application's routes: two kinds of pages, a queue, and a form to save a photo.
//!
//! | route                        | what                                   | cacheable |
//! |------------------------------|----------------------------------------|-----------|
//! | `GET /`                      | all treks with their cover photos      | an hour   |
//! | `GET /treks/{slug}/`         | a trek with its photos                 | an hour   |
//! | `GET /queue/`                | messages of visitors                   | an hour   |
//! | `POST /queue/`               | adds one, then 303                     | no        |
//! | `GET /admin/photos/{id}/`    | the form                               | no        |
//! | `POST /admin/photos/{id}/`   | saves, tells the cache, then 303       | no        |
//!
//! # Invariants
//! - A conditional request is answered without the slow query.
//!
//! # Not here
//! The HTML (`render`) and the rows (`rows`).

use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Router, http};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::notify::Change;
use super::render::{self, Outcome};
use super::rows::{Revision, Scope};
use super::{Site, SiteError};

/// Longest title of a photo and longest name of an author, in characters.
const LINE_CHARS_MAX: usize = 120;

/// Longest message, in characters.
const TEXT_CHARS_MAX: usize = 1_000;

pub(super) fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/treks/{slug}/", get(trek))
        .route("/queue/", get(queue).post(add_message))
        .route("/admin/photos/{id}/", get(photo_form).post(save_photo))
        .fallback(async || Fault::NotFound)
        .with_state(site)
}

/// What goes wrong between a visitor and the application.
#[derive(Debug)]
enum Fault {
    NotFound,
    Input(String),
    Site(SiteError),
}

impl From<SiteError> for Fault {
    fn from(error: SiteError) -> Self {
        Self::Site(error)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "There is no such page.".to_owned()),
            Self::Input(reason) => (StatusCode::UNPROCESSABLE_ENTITY, reason),
            Self::Site(error) => {
                tracing::error!(%error, "sample application");
                (StatusCode::INTERNAL_SERVER_ERROR, "The database did not answer.".to_owned())
            }
        };
        let body = render::fault(&text);
        (status, [(header::CACHE_CONTROL, "no-store")], html(body)).into_response()
    }
}

async fn home(State(site): State<Site>, request: HeaderMap) -> Result<Response, Fault> {
    let revision = site.rows.revision().await?;
    if is_current(&request, revision) {
        return Ok(not_modified(revision));
    }
    let treks = site.rows.treks().await?;
    let survey = site.rows.survey(Scope::All).await?;
    Ok(page(revision, render::home(&treks, &survey, site.clock.now_ms())))
}

async fn trek(
    State(site): State<Site>,
    Path(slug): Path<String>,
    request: HeaderMap,
) -> Result<Response, Fault> {
    let revision = site.rows.revision().await?;
    let trek = site.rows.trek(&slug).await?.ok_or(Fault::NotFound)?;
    if is_current(&request, revision) {
        return Ok(not_modified(revision));
    }
    let photos = site.rows.photos(trek.id).await?;
    let survey = site.rows.survey(Scope::Trek(trek.id)).await?;
    Ok(page(revision, render::trek(&trek, &photos, &survey, site.clock.now_ms())))
}

async fn queue(State(site): State<Site>, request: HeaderMap) -> Result<Response, Fault> {
    let revision = site.rows.revision().await?;
    if is_current(&request, revision) {
        return Ok(not_modified(revision));
    }
    let messages = site.rows.messages().await?;
    let survey = site.rows.survey(Scope::All).await?;
    Ok(page(revision, render::queue(&messages, &survey, site.clock.now_ms())))
}

/// The queue's form.
#[derive(Debug, Deserialize)]
struct NewMessage {
    author: String,
    text: String,
}

async fn add_message(
    State(site): State<Site>,
    Form(new): Form<NewMessage>,
) -> Result<Redirect, Fault> {
    let author = line("name", &new.author, LINE_CHARS_MAX)?;
    let text = line("message", &new.text, TEXT_CHARS_MAX)?;
    let (id, at) = site.rows.add_message(author, text).await?;
    if let Err(error) = site.notifier.send(&Change::message(id, at)).await {
        tracing::warn!(%error, "message was not acknowledged by the cache");
    }
    Ok(Redirect::to("/queue/"))
}

/// How the last save ended, carried over its redirect.
#[derive(Debug, Deserialize)]
struct AfterSave {
    cache: Option<String>,
}

async fn photo_form(
    State(site): State<Site>,
    Path(id): Path<i64>,
    Query(after): Query<AfterSave>,
) -> Result<Response, Fault> {
    let photo = site.rows.photo(id).await?.ok_or(Fault::NotFound)?;
    let treks = site.rows.treks().await?;
    let outcome = after.cache.map(|cache| match cache.as_str() {
        "acknowledged" => Outcome::Acknowledged,
        _ => Outcome::Unacknowledged,
    });
    let body = render::photo_form(&photo, &treks, outcome);
    Ok(([(header::CACHE_CONTROL, "no-store")], html(body)).into_response())
}

/// The photo's form.
#[derive(Debug, Deserialize)]
struct PhotoEdit {
    title: String,
    /// Slug; another one moves the photo.
    trek: String,
}

async fn save_photo(
    State(site): State<Site>,
    Path(id): Path<i64>,
    Form(edit): Form<PhotoEdit>,
) -> Result<Redirect, Fault> {
    let title = line("title", &edit.title, LINE_CHARS_MAX)?;
    let saved = site.rows.save_photo(id, title, &edit.trek).await?.ok_or(Fault::NotFound)?;
    let word = match site.notifier.send(&Change::photo(&saved)).await {
        Ok(took) => {
            tracing::debug!(took_ms = took.as_millis(), "acknowledged");
            "acknowledged"
        }
        Err(error) => {
            tracing::warn!(%error, "save was not acknowledged by the cache");
            "unacknowledged"
        }
    };
    Ok(Redirect::to(&format!("/admin/photos/{id}/?cache={word}")))
}

fn line<'a>(name: &str, text: &'a str, chars_max: usize) -> Result<&'a str, Fault> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(Fault::Input(format!("The {name} is empty."))),
        chars if chars > chars_max => {
            Err(Fault::Input(format!("The {name} has {chars} characters; {chars_max} may be.")))
        }
        _ => Ok(text),
    }
}

fn html(body: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body)
}

/// The fields of a cacheable page. The tag is weak: each rendering names its own time.
fn validators(revision: Revision) -> [(http::HeaderName, String); 3] {
    let saved_s = u64::try_from(revision.saved_s).unwrap_or_default();
    let saved = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(saved_s));
    [
        // For the cache, which is told of changes. A browser is not told, and so asks each time.
        (header::CACHE_CONTROL, "public, max-age=0, s-maxage=3600".to_owned()),
        (header::ETAG, etag(revision)),
        (header::LAST_MODIFIED, saved),
    ]
}

fn etag(revision: Revision) -> String {
    format!("W/\"{}\"", revision.number)
}

/// Whether the request's `If-None-Match` lists the current revision (RFC 9110 §13.1.2).
fn is_current(request: &HeaderMap, revision: Revision) -> bool {
    let current = etag(revision);
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || tag.trim() == current)
}

fn not_modified(revision: Revision) -> Response {
    (StatusCode::NOT_MODIFIED, validators(revision)).into_response()
}

fn page(revision: Revision, body: String) -> Response {
    (validators(revision), html(body)).into_response()
}
