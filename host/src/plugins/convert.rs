//! Between the model's types and the contract's: borrowed on the way in, checked on the way out.
//!
//! # Invariants
//! - What a guest returns is hostile until it is a model type: a value outside the limits refuses
//!   the whole answer. Nothing is cut down to fit, because a shorter key or a missing tag is a
//!   different one.
//!
//! # Not here
//! What the answer leads to: the callers' policy.

use std::sync::Arc;

use http::HeaderName;

use super::bindings::wasmcached::plugin::types;
use super::{AllowEverything, CallError, PluginLimits};
use crate::limits::KEY_BYTES_MAX;
use crate::model::{
    Action, Consulted, Event, Input, Key, KeyDecision, Mode, Operation, RequestView, ResponseView,
    StoreDecision, Tag, Target,
};

/// Longest time that a plugin may name: ten years, as good as for ever and far from any overflow.
const SECONDS_MAX: u32 = 10 * 366 * 24 * 60 * 60;

/// Most inputs of one plugin; each costs about 60 ns per request.
const INPUTS_MAX: usize = 32;

/// Most prefixes of items of one plugin; every stored item is compared with each.
const ITEM_PREFIXES_MAX: usize = 64;

/// Longest name, version, input or prefix in a manifest.
const NAME_BYTES_MAX: usize = 250;

/// A plugin's own description, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) version: String,
    pub(super) inputs: Vec<Input>,
    pub(super) item_prefixes: Vec<String>,
    pub(super) key_epoch: u32,
    pub(super) pure: bool,
}

/// The values of the declared inputs as the guest takes them.
pub(super) fn borrow_inputs(request: &RequestView) -> Vec<Option<&str>> {
    request.inputs.iter().map(Option::as_deref).collect()
}

/// A request as the guest takes it.
pub(super) fn request<'a>(
    request: &'a RequestView,
    inputs: &'a [Option<&'a str>],
) -> types::Request<'a> {
    types::Request {
        method: &request.method,
        host: &request.host,
        path: &request.path,
        query: request.query.as_deref(),
        inputs,
    }
}

/// The fields of a response as the guest takes them.
pub(super) fn borrow_headers(response: &ResponseView) -> Vec<(&str, &str)> {
    response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A response as the guest takes it.
pub(super) fn response<'a>(
    response: &'a ResponseView,
    headers: &'a [(&'a str, &'a str)],
) -> types::Response<'a> {
    types::Response { status: response.status, headers, body_size: response.body_bytes }
}

/// The names of changed fields as the guest takes them.
pub(super) fn borrow_fields(event: &Event) -> Vec<&str> {
    event.changed_fields.iter().map(String::as_str).collect()
}

/// An event as the guest takes it.
pub(super) fn event<'a>(event: &'a Event, changed_fields: &'a [&'a str]) -> types::Event<'a> {
    types::Event {
        id: &event.id,
        source: &event.source,
        model: &event.model,
        operation: match event.operation {
            Operation::Created => types::Operation::Created,
            Operation::Updated => types::Operation::Updated,
            Operation::Deleted => types::Operation::Deleted,
            Operation::Other => types::Operation::Other,
        },
        object_id: event.object_id.as_deref(),
        changed_fields,
        occurred_at: &event.occurred_at,
        payload: &event.payload,
    }
}

/// The description, or what is wrong with it.
pub(super) fn description(manifest: types::Manifest) -> Result<Description, String> {
    let types::Manifest { name, version, inputs, item_prefixes, key_epoch, pure } = manifest;
    check_name("name", &name)?;
    check_name("version", &version)?;
    check_count("inputs", inputs.len(), INPUTS_MAX)?;
    check_count("item prefixes", item_prefixes.len(), ITEM_PREFIXES_MAX)?;
    for prefix in &item_prefixes {
        check_name("item prefix", prefix)?;
    }
    let inputs = inputs.into_iter().map(input).collect::<Result<_, _>>()?;
    Ok(Description { version, inputs, item_prefixes, key_epoch, pure })
}

fn input(input: types::Input) -> Result<Input, String> {
    match input {
        types::Input::Header(name) => {
            // The model wants lower case, and so do the maps that are asked (RFC 9110 §5.1).
            let name = HeaderName::try_from(&name)
                .map_err(|_| format!("input header {name:?} is not a field name"))?;
            Ok(Input::Header(name.as_str().to_owned()))
        }
        types::Input::Cookie(name) => {
            check_name("input cookie", &name).map(|()| Input::Cookie(name))
        }
        types::Input::QueryParam(name) => {
            check_name("input query", &name).map(|()| Input::QueryParam(name))
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err(format!("{what} is empty")),
        1..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(format!("{what} is {bytes} bytes; limit is {NAME_BYTES_MAX}")),
    }
}

fn check_count(what: &str, count: usize, limit: usize) -> Result<(), String> {
    match count <= limit {
        true => Ok(()),
        false => Err(format!("{count} {what}; limit is {limit}")),
    }
}

/// What the guest says about a key.
pub(super) fn key_decision(
    key: types::Key,
    limits: &PluginLimits,
) -> Result<KeyDecision, CallError> {
    match key {
        types::Key::Default => Ok(KeyDecision::Default),
        types::Key::Bypass => Ok(KeyDecision::Bypass),
        types::Key::Custom(text) => Ok(KeyDecision::Custom(own_key(&text, limits)?)),
    }
}

/// What the guest says about storing, with the tags of what it has looked at: if that goes wrong,
/// so may what was decided by it.
pub(super) fn store_decision(
    storage: types::Storage,
    consulted: &Consulted,
    limits: &PluginLimits,
) -> Result<StoreDecision, CallError> {
    let mut tags = tags(&storage.tags, limits)?;
    consulted.add_tags_to(&mut tags);
    Ok(StoreDecision {
        store: storage.store,
        ttl_s: seconds("ttl", storage.ttl_s)?,
        stale_while_revalidate_s: seconds(
            "stale-while-revalidate",
            storage.stale_while_revalidate_s,
        )?,
        stale_if_error_s: seconds("stale-if-error", storage.stale_if_error_s)?,
        tags,
    })
}

/// What the guest wants done about an event.
pub(super) fn actions(
    actions: Vec<types::Action>,
    consulted: Consulted,
    limits: &PluginLimits,
) -> Result<Vec<Action>, CallError> {
    check_count("actions", actions.len(), limits.actions_max).map_err(CallError::Refused)?;
    let consulted = Arc::new(consulted);
    actions.into_iter().map(|one| action(one, &consulted, limits)).collect()
}

fn action(
    action: types::Action,
    consulted: &Arc<Consulted>,
    limits: &PluginLimits,
) -> Result<Action, CallError> {
    match action {
        types::Action::Invalidate(types::Invalidation { target, mode }) => {
            let mode = match mode {
                types::PurgeMode::Hard => Mode::Hard,
                types::PurgeMode::Soft => Mode::Soft,
            };
            Ok(Action::Invalidate(own_target(target, limits)?, mode))
        }
        types::Action::Put(types::NewValue { key, value, ttl_s, tags: names }) => Ok(Action::Put {
            key: own_key(&key, limits)?,
            value,
            ttl_s: seconds("ttl", ttl_s)?,
            tags: tags(&names, limits)?,
            consulted: Arc::clone(consulted),
        }),
        types::Action::Refresh(url) => Ok(Action::Refresh { url: own_url(url)? }),
    }
}

fn own_target(target: types::Target, limits: &PluginLimits) -> Result<Target, CallError> {
    match (target, limits.allow_everything) {
        (types::Target::Tag(text), _) => Ok(Target::Tag(own_tag(&text)?)),
        (types::Target::Key(text), _) => Ok(Target::Key(own_key(&text, limits)?)),
        (types::Target::Url(url), _) => Ok(Target::Url(own_url(url)?.into())),
        (types::Target::KeyPrefix(text), _) => Ok(Target::Prefix(own_key(&text, limits)?)),
        (types::Target::Everything, AllowEverything::Yes) => Ok(Target::Everything),
        (types::Target::Everything, AllowEverything::No) => {
            Err(refused("everything may not be invalidated by this plugin"))
        }
    }
}

fn tags(texts: &[String], limits: &PluginLimits) -> Result<Vec<Tag>, CallError> {
    check_count("tags", texts.len(), limits.tags_max).map_err(CallError::Refused)?;
    texts.iter().map(|text| own_tag(text)).collect()
}

fn own_tag(text: &str) -> Result<Tag, CallError> {
    Tag::new(text).map_err(refused)
}

fn own_key(text: &str, limits: &PluginLimits) -> Result<Key, CallError> {
    if text.len() > limits.key_bytes_max {
        let limit = limits.key_bytes_max;
        return Err(refused(format!("key is {} bytes; limit is {limit}", text.len())));
    }
    Key::new(text.as_bytes()).map_err(refused)
}

fn own_url(url: String) -> Result<String, CallError> {
    if url.len() > KEY_BYTES_MAX {
        return Err(refused(format!("url is {} bytes; limit is {KEY_BYTES_MAX}", url.len())));
    }
    let after_scheme = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let has_host = after_scheme.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    match has_host && !url.contains(|c: char| c.is_control() || c == ' ') {
        true => Ok(url),
        false => Err(refused(format!("url {url:?} is not like http://host/path?query"))),
    }
}

fn seconds(what: &str, seconds: Option<u32>) -> Result<Option<u32>, CallError> {
    match seconds {
        Some(long @ SECONDS_MAX..) if long > SECONDS_MAX => {
            Err(refused(format!("{what} is {long} s; limit is {SECONDS_MAX}")))
        }
        fine => Ok(fine),
    }
}

fn refused(reason: impl ToString) -> CallError {
    CallError::Refused(reason.to_string())
}
