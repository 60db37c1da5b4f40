//! Every way to say that cached things are wrong, and what each covers.
//!
//! # Invariants
//! - The data is changed before the invalidation is sent; floors rise only when it was answered.
//! - Soft purges are left out: they allow what is stale, and `tests/it/purges.rs` has them.
//!
//! # Not here
//! When they are sent: `trial`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::time::sleep;
use wasmcached_tests::{Random, Webhook};

use crate::http::{self, Answer};
use crate::memcached;
use crate::store::{Kind, Object, version_of};
use crate::world::{Doors, PAUSE, World};

/// Of so many invalidations one is of everything: it takes what the others race for.
const EVERYTHING_ONE_OF: usize = 1_000;

/// A way to invalidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purge {
    Url,
    Tag,
    GroupTag,
    Key,
    Prefix,
    Everything,
    /// A webhook about one row.
    Event,
    /// A webhook about a group of rows.
    GroupEvent,
    /// An unsafe request through the page cache (RFC 9111 §4.4).
    Post,
    /// `delete`.
    Delete,
    /// `md`.
    MetaDelete,
    /// `flush_all`.
    Flush,
    /// `DELETE` of the API.
    ApiDelete,
    /// Varnish: `xkey.purge()`.
    Xkey,
    /// Varnish: `std.ban()`.
    Ban,
}

/// What names one object or a group, in wasmcached.
const USUAL: [Purge; 11] = [
    Purge::Url,
    Purge::Tag,
    Purge::GroupTag,
    Purge::Key,
    Purge::Prefix,
    Purge::Event,
    Purge::GroupEvent,
    Purge::Post,
    Purge::Delete,
    Purge::MetaDelete,
    Purge::ApiDelete,
];

/// What is said of an invalidation that a slow disk kept from being acknowledged.
const NOT_DURABLE: &str = "database tier";

/// So often an application sends it again, with a pause before each time: a database that was slow
/// is tried again after some seconds at most.
const REFUSALS_MAX: u32 = 500;

impl Purge {
    /// One that makes this kind of object invalid.
    pub(crate) fn choose(random: &mut Random, kind: Kind, doors: &Doors) -> Self {
        match doors {
            Doors::Varnish { purge, .. } => return *purge,
            Doors::Wasmcached { .. } if random.below(EVERYTHING_ONE_OF) == 0 => {
                return random.pick(&[Self::Everything, Self::Flush]);
            }
            Doors::Wasmcached { .. } => {}
        }
        loop {
            let purge = random.pick(&USUAL);
            if purge.fits(kind) {
                return purge;
            }
        }
    }

    fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Url | Self::Post => kind.is_page(),
            Self::Tag | Self::GroupTag => kind.has_tags(),
            _ => true,
        }
    }

    /// Whether the whole group is made invalid; of everything, only the group is checked.
    fn is_broad(self) -> bool {
        matches!(self, Self::GroupTag | Self::Prefix | Self::GroupEvent) || self.is_total()
    }

    fn is_total(self) -> bool {
        matches!(self, Self::Everything | Self::Flush)
    }
}

/// Changes data, says so, and raises the floors once that is acknowledged.
pub(crate) async fn change(world: &World, object: &Arc<Object>, purge: Purge) {
    let mut covered: Vec<(Arc<Object>, u64)> = Vec::new();
    if purge.is_total() {
        let others = world.store.objects().iter();
        covered.extend(others.map(|other| (Arc::clone(other), other.version())));
    } else if purge.is_broad() {
        // An application that saves them all. Pages and items have names of their own.
        let group = world.store.group_of(object).iter();
        let alike = group.filter(|other| is_named_with(purge, object, other));
        covered.extend(alike.map(|other| (Arc::clone(other), other.write())));
    }
    if purge.is_total() || !purge.is_broad() && purge != Purge::Post {
        covered.push((Arc::clone(object), object.write()));
    }
    let mut refusals = 0;
    loop {
        match send(world, object, purge).await {
            Ok(None) => break,
            Ok(Some(version)) => break covered.push((Arc::clone(object), version)),
            Err(_) if world.asks_again().await => {}
            Err(what) if what.contains(NOT_DURABLE) && refusals < REFUSALS_MAX => {
                refusals += 1;
                sleep(PAUSE).await;
            }
            Err(what) => return world.broken(format!("{purge:?} of {}: {what}", object.id)),
        }
    }
    let mut met_fill = false;
    for (object, version) in covered {
        met_fill |= object.acknowledge(version);
    }
    world.tally.purges.fetch_add(1, Ordering::Relaxed);
    world.tally.purges_amid_fills.fetch_add(u64::from(met_fill), Ordering::Relaxed);
}

/// Whether a purge of the group of `object` names `other`, too.
fn is_named_with(purge: Purge, object: &Object, other: &Object) -> bool {
    match purge {
        Purge::GroupTag => other.kind.has_tags(),
        Purge::Prefix => other.kind.is_page() == object.kind.is_page(),
        _ => true,
    }
}

/// Sends it. `Ok` is an acknowledgement, with the version that a POST has written.
async fn send(world: &World, object: &Object, purge: Purge) -> Result<Option<u64>, String> {
    match purge {
        Purge::Delete | Purge::MetaDelete | Purge::Flush => {
            by_memcached(world, object, purge).await?;
        }
        Purge::Post => {
            let path = object.path();
            let answer = http::send(world.doors.pages(), "POST", &path, &[], b"").await;
            return acknowledged(answer, &[200]).map(|answer| version_of(&answer.body));
        }
        Purge::Xkey | Purge::Ban => {
            let method = if purge == Purge::Xkey { "XKEY" } else { "BAN" };
            let [tag, _] = object.tags();
            let fields = [("xkey", tag.as_str())];
            let answer = http::send(world.doors.pages(), method, "/", &fields, b"").await;
            acknowledged(answer, &[200])?;
        }
        _ => by_api(world, object, purge).await?,
    }
    Ok(None)
}

async fn by_memcached(world: &World, object: &Object, purge: Purge) -> Result<(), String> {
    let Doors::Wasmcached { memcached, .. } = &world.doors else { return unsupported() };
    let key = world.key_of(object);
    let (command, acknowledgements): (_, &[&str]) = match purge {
        Purge::Delete => (format!("delete {key}"), &["DELETED", "NOT_FOUND"]),
        Purge::MetaDelete => (format!("md {key}"), &["HD", "NF"]),
        _ => ("flush_all".to_owned(), &["OK"]),
    };
    let reply = memcached::ask(memcached, &command).await.map_err(|error| error.to_string())?;
    match acknowledgements.contains(&reply.trim()) {
        true => Ok(()),
        false => Err(format!("reply `{reply}`")),
    }
}

async fn by_api(world: &World, object: &Object, purge: Purge) -> Result<(), String> {
    let Doors::Wasmcached { api, .. } = &world.doors else { return unsupported() };
    let ([own, group], key) = (object.tags(), world.key_of(object));
    let body = match purge {
        Purge::Url => json!({"urls": [key]}),
        Purge::Tag => json!({"tags": [own]}),
        Purge::GroupTag => json!({"tags": [group]}),
        Purge::Key => json!({"keys": [key]}),
        Purge::Prefix => json!({"prefixes": [world.prefix_of(object)]}),
        Purge::Everything => json!({"everything": true}),
        Purge::Event | Purge::GroupEvent => return by_event(world, object, purge).await,
        _ => {
            let path = world.cached(&key);
            let answer = http::send(api, "DELETE", &path, &[], b"").await;
            return acknowledged(answer, &[200, 204, 404]).map(drop);
        }
    };
    let fields = [("content-type", "application/json")];
    let body = body.to_string();
    let answer = http::send(api, "POST", "/v1/invalidate", &fields, body.as_bytes()).await;
    acknowledged(answer, &[200]).map(drop)
}

async fn by_event(world: &World, object: &Object, purge: Purge) -> Result<(), String> {
    let Doors::Wasmcached { api, .. } = &world.doors else { return unsupported() };
    let (model, pk) = match purge {
        Purge::Event => ("race.row", object.id),
        _ => ("race.group", object.group()),
    };
    let row = json!({"group": object.group()});
    let change = json!({"model": model, "pk": pk, "op": "update", "before": row, "after": row});
    let body = json!({
        "type": "model.changed",
        "timestamp": "2026-01-02T03:04:05Z",
        "data": {"source": "race", "events": [change]},
    });
    let event = Webhook::of_body(body.to_string());
    let (timestamp, signature) = (event.timestamp_s.to_string(), event.signature());
    let fields = [
        ("content-type", "application/json"),
        ("webhook-id", event.id.as_str()),
        ("webhook-timestamp", timestamp.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    let answer = http::send(api, "POST", "/v1/events/race", &fields, &event.body).await;
    acknowledged(answer, &[200]).map(drop)
}

fn unsupported() -> Result<(), String> {
    Err("Varnish has no such door".to_owned())
}

fn acknowledged(answer: Result<Answer, std::io::Error>, by: &[u16]) -> Result<Answer, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match by.contains(&answer.status) {
        true => Ok(answer),
        false => Err(format!("answered {}: {}", answer.status, answer.body)),
    }
}
