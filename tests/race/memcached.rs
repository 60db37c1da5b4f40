//! Items as applications cache their data: look, and on a miss compute and store.
//!
//! # Invariants
//! - Look-up and store of one computation go over one connection, which nobody else has meanwhile.
//! - What is computed is the version that was read after the miss was known.
//!
//! # Not here
//! The commands that invalidate: `purges`.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use tokio::time::{Duration, sleep};
use wasmcached_tests::Random;

use crate::store::{Fill, Kind, Object, body_of};
use crate::wire::{Pool, Wire};

/// Parts in a value: some 300 bytes.
const PARTS: usize = 10;

/// What a look-up came to.
pub(crate) enum Looked {
    /// The cache had this.
    Hit(String),
    /// It was computed, and the cache was told.
    Stored { is_kept: bool },
    /// It was computed, and a slow disk has not taken it.
    Unwritten,
    /// It was computed; another has the lease.
    Computed,
    /// There was nothing, and nothing was computed.
    Miss,
}

/// Sends a command and reads the first line of its reply.
pub(crate) async fn ask(pool: &Pool, command: &str) -> Result<String, Error> {
    let mut wire = pool.take().await?;
    let reply = ask_on(&mut wire, command).await?;
    pool.give(wire);
    Ok(reply)
}

async fn ask_on(wire: &mut Wire, command: &str) -> Result<String, Error> {
    wire.send(format!("{command}\r\n").as_bytes()).await?;
    wire.text_until(b"\r\n").await
}

/// `get`, and nothing more.
pub(crate) async fn get(pool: &Pool, key: &str) -> Result<Looked, Error> {
    let mut wire = pool.take().await?;
    let found = retrieve(&mut wire, "get", key).await?;
    pool.give(wire);
    Ok(found.map_or(Looked::Miss, |(value, _)| Looked::Hit(value)))
}

/// Reads an item as an application does, computing what is missing.
pub(crate) async fn read_through(
    pool: &Pool,
    object: &Arc<Object>,
    random: &mut Random,
) -> Result<Looked, Error> {
    let mut wire = pool.take().await?;
    let looked = match object.kind {
        Kind::Lease => lease(&mut wire, object).await?,
        Kind::Swap => swap(&mut wire, object, random).await?,
        _ => pair(&mut wire, object, random).await?,
    };
    pool.give(wire);
    Ok(looked)
}

async fn pair(wire: &mut Wire, object: &Arc<Object>, random: &mut Random) -> Result<Looked, Error> {
    let key = object.item_key();
    if let Some((value, _)) = retrieve(wire, "get", &key).await? {
        return Ok(Looked::Hit(value));
    }
    let (_fill, value) = compute(object).await;
    let verb = random.pick(&["set", "add"]);
    let length = value.len();
    let reply = ask_on(wire, &format!("{verb} {key} 0 3600 {length}\r\n{value}")).await?;
    stored(&reply, "STORED", &["NOT_STORED"])
}

/// Now and then computes anew what is there, and swaps it in if it is still there then.
async fn swap(wire: &mut Wire, object: &Arc<Object>, random: &mut Random) -> Result<Looked, Error> {
    let key = object.item_key();
    let Some((value, unique)) = retrieve(wire, "gets", &key).await? else {
        let (_fill, value) = compute(object).await;
        let length = value.len();
        let reply = ask_on(wire, &format!("add {key} 0 3600 {length}\r\n{value}")).await?;
        return stored(&reply, "STORED", &["NOT_STORED"]);
    };
    if random.percent(40) {
        let (_fill, new) = compute(object).await;
        let length = new.len();
        let command = format!("cas {key} 0 3600 {length} {unique}\r\n{new}");
        stored(&ask_on(wire, &command).await?, "STORED", &["EXISTS", "NOT_FOUND"])?;
    }
    Ok(Looked::Hit(value))
}

/// `mg` with vivify: one of all that miss gets the right to store (protocol.txt, "Meta get").
async fn lease(wire: &mut Wire, object: &Arc<Object>) -> Result<Looked, Error> {
    let key = object.item_key();
    let first = ask_on(wire, &format!("mg {key} v c N30")).await?;
    let mut words = first.split(' ');
    let length = match (words.next(), words.next().map(str::parse::<usize>)) {
        (Some("VA"), Some(Ok(length))) => length,
        _ => return Err(unexpected(&first)),
    };
    let value = value(wire, length).await?;
    let unique = first.split(' ').find_map(|word| word.strip_prefix('c')).unwrap_or_default();
    if first.split(' ').any(|word| word == "W") {
        let (_fill, value) = compute(object).await;
        let (length, tags) = (value.len(), object.tags().join(","));
        let command = format!("ms {key} {length} C{unique} T3600 L{tags}\r\n{value}");
        return stored(&ask_on(wire, &command).await?, "HD", &["EX", "NF", "NS"]);
    }
    if first.split(' ').any(|word| word == "Z") && value.is_empty() {
        drop(compute(object).await);
        return Ok(Looked::Computed);
    }
    Ok(Looked::Hit(value))
}

/// Reads the data, and is done with it after a while.
async fn compute(object: &Arc<Object>) -> (Fill, String) {
    let fill = object.begin_fill();
    sleep(Duration::from_millis(object.delay_ms())).await;
    let value = body_of(fill.version, PARTS);
    (fill, value)
}

/// What is said of a value that a slow disk has not taken in time.
const NOT_DURABLE: &str = "SERVER_ERROR database tier: ";

fn stored(reply: &str, kept: &str, refused: &[&str]) -> Result<Looked, Error> {
    match reply.trim() {
        reply if reply == kept => Ok(Looked::Stored { is_kept: true }),
        reply if refused.contains(&reply) => Ok(Looked::Stored { is_kept: false }),
        reply if reply.starts_with(NOT_DURABLE) => Ok(Looked::Unwritten),
        _ => Err(unexpected(reply)),
    }
}

/// `get` or `gets`: the value and what follows its length.
async fn retrieve(
    wire: &mut Wire,
    verb: &str,
    key: &str,
) -> Result<Option<(String, String)>, Error> {
    let first = ask_on(wire, &format!("{verb} {key}")).await?;
    if first == "END" {
        return Ok(None);
    }
    let words: Vec<&str> = first.split(' ').collect();
    let length = match words.as_slice() {
        ["VALUE", named, _, length, ..] if *named == key => length.parse().ok(),
        _ => None,
    };
    let value = value(wire, length.ok_or_else(|| unexpected(&first))?).await?;
    wire.until(b"END\r\n").await?;
    Ok(Some((value, words.get(4).copied().unwrap_or_default().to_owned())))
}

async fn value(wire: &mut Wire, length: usize) -> Result<String, Error> {
    let mut bytes = wire.bytes(length + 2).await?;
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|error| unexpected(&error.to_string()))
}

fn unexpected(reply: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("reply `{reply}`"))
}
