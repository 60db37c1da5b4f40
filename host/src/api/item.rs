//! One value: `/v1/cache/{key}`. Tags travel in `Surrogate-Key` or `Cache-Groups`, the time to live
//! in `Cache-Control`, and the ETag is memcached's CAS unique.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::{Api, ApiError, body, invalidate};
use crate::cache::tier::Lasting;
use crate::cache::{Applied, Basis, Change, Claim, Draft, Entry};
use crate::model::{
    CACHE_GROUPS, Cause, Expiry, Invalidation, Key, Mode, SURROGATE_KEY, StoreDecision, Target,
    groups_field, tags_of,
};

/// Where the key begins in the path.
const PREFIX: &str = "/v1/cache/";

/// memcached's flags of what is stored here.
const FLAGS: u32 = 0;

pub(super) async fn read(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let key = key_of(&uri)?;
    let Some(entry) = api.cache.get(key.as_bytes()).await else {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "key is not cached; see /v1/explain"));
    };
    let now_ms = api.cache.clock().now_ms();
    let described = describe(&entry, now_ms);
    let etag = etag_of(&entry);
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known == etag || known == "*");
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    Ok((described, entry.body_bytes()).into_response())
}

pub(super) async fn write(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let key = key_of(&uri)?;
    // Before the body is read: what it says was true when it was sent.
    let begun = api.cache.claim();
    let limit = api.cache.config().item_bytes_max;
    let body = body::whole(body, limit, "value").await?;
    let only_if = Precondition::of(&headers);
    let decision = decision_on(&api, &key, &body, begun).await?;
    let now_ms = api.cache.clock().now_ms();
    let draft = Draft {
        expires: expiry_of(&headers, now_ms)?,
        tags: tags_of(&headers)?,
        basis: only_if.basis(begun),
        // Copied once, so that a small value does not hold on to the buffer it was read into.
        ..Draft::new(Bytes::copy_from_slice(&body))
    };
    let draft = draft.decided(decision, now_ms);
    let decide = |current: Option<&Entry>| match only_if.holds(current) {
        true => (Change::Put(draft), true),
        false => (Change::Keep, false),
    };
    match api.cache.update_lasting(&key, decide).await? {
        (true, Some(entry), Lasting::Durable) => {
            Ok((StatusCode::NO_CONTENT, [(ETAG, etag_of(&entry))]).into_response())
        }
        // As other changes say it, which takes a body.
        (true, Some(entry), Lasting::Owed) => {
            let told = Json(json!({ "durable": false }));
            Ok(([(ETAG, etag_of(&entry))], told).into_response())
        }
        _ => Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "the value is another one by now")),
    }
}

/// What plugins say about a value that came at `begun`, where one wants to be asked.
async fn decision_on(
    api: &Api,
    key: &Key,
    body: &Bytes,
    begun: Claim,
) -> Result<StoreDecision, ApiError> {
    let policy = api.items.as_ref().filter(|policy| policy.concerns(key.as_bytes()));
    let Some(policy) = policy else { return Ok(StoreDecision::default()) };
    let body_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let decision = policy.on_item(key, FLAGS, body_bytes, begun).await?;
    match decision.store {
        true => Ok(decision),
        false => Err(ApiError::new(StatusCode::CONFLICT, "a plugin does not want it stored")),
    }
}

pub(super) async fn remove(State(api): State<Api>, uri: Uri) -> Result<Response, ApiError> {
    let key = key_of(&uri)?;
    // With a tier, what lies there counts as affected too, also where memory has no room for it.
    let was_there = api.cache.get(key.as_bytes()).await.is_some();
    let cause = Cause {
        source: "api".into(),
        event_id: None,
        at_ms: api.cache.clock().now_ms(),
        ..Cause::default()
    };
    let targets = vec![(Target::Key(key), Mode::Hard)];
    let applied = api.cache.invalidate(Invalidation { targets, cause }).await?;
    let affected = applied.affected.max(u64::from(was_there));
    Ok(Json(invalidate::told(&Applied { affected, ..applied })).into_response())
}

/// What the writer expects to find.
enum Precondition {
    /// Anything.
    None,
    /// Nothing: `If-None-Match: *`, memcached's `add`.
    Absent,
    /// A value of this ETag: `If-Match`, memcached's `cas`.
    Match(HeaderValue),
}

impl Precondition {
    fn of(headers: &HeaderMap) -> Self {
        match (headers.get(IF_MATCH), headers.get(IF_NONE_MATCH)) {
            (Some(etag), _) => Self::Match(etag.clone()),
            (None, Some(_)) => Self::Absent,
            (None, None) => Self::None,
        }
    }

    /// How new a value is whose request came at `begun`. Only the ETag of a value says that this is
    /// what its client has read.
    fn basis(&self, begun: Claim) -> Basis {
        match self {
            Self::Match(etag) if etag != "*" => Basis::Present,
            Self::Match(_) | Self::Absent | Self::None => Basis::Claim(begun),
        }
    }

    fn holds(&self, current: Option<&Entry>) -> bool {
        match (self, current) {
            (Self::None, _) | (Self::Absent, None) => true,
            (Self::Match(etag), Some(entry)) => etag == "*" || *etag == etag_of(entry),
            (Self::Absent, Some(_)) | (Self::Match(_), None) => false,
        }
    }
}

fn key_of(uri: &Uri) -> Result<Key, ApiError> {
    let encoded = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let bytes: Vec<u8> = percent_decode_str(encoded).collect();
    Ok(Key::new(&bytes)?)
}

fn etag_of(entry: &Entry) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", entry.cas()))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// Seconds of `max-age`; without one the value is kept until it is evicted or invalidated.
fn expiry_of(headers: &HeaderMap, now_ms: u64) -> Result<Expiry, ApiError> {
    let Some(value) = headers.get(CACHE_CONTROL) else { return Ok(Expiry::NEVER) };
    let text = value.to_str().unwrap_or_default();
    let seconds = text.trim().strip_prefix("max-age=").and_then(|s| s.parse::<u32>().ok());
    match seconds {
        Some(seconds) => Ok(Expiry::at_ms(now_ms + u64::from(seconds) * 1000)),
        None => Err(ApiError::bad_request(format!(
            "cache-control is `{text}`; `max-age=SECONDS` is understood here"
        ))),
    }
}

fn describe(entry: &Entry, now_ms: u64) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(ETAG, etag_of(entry));
    let content_type = entry.page().and_then(|head| head.headers.get(CONTENT_TYPE).cloned());
    let octets = HeaderValue::from_static("application/octet-stream");
    fields.insert(CONTENT_TYPE, content_type.unwrap_or(octets));
    if let Some(expires_ms) = entry.expires().as_ms() {
        let left_s = expires_ms.saturating_sub(now_ms) / 1000;
        if let Ok(max_age) = HeaderValue::from_str(&format!("max-age={left_s}")) {
            fields.insert(CACHE_CONTROL, max_age);
        }
    }
    fields.insert(AGE, HeaderValue::from(now_ms.saturating_sub(entry.stored_ms()) / 1000));
    let tags = entry.tags().iter().map(|tag| tag.as_str());
    // `Surrogate-Key` where it can carry them, else the standard's field.
    let (name, tags) = match entry.tags().iter().any(|tag| tag.as_str().contains(' ')) {
        false => (SURROGATE_KEY, tags.collect::<Vec<_>>().join(" ")),
        true => (CACHE_GROUPS, groups_field(tags)),
    };
    if let Ok(value) = HeaderValue::from_str(&tags)
        && !tags.is_empty()
    {
        fields.insert(name, value);
    }
    fields
}
