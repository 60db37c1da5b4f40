//! Those who make a plugin loop, and those who ask for something else.
//!
//! # Invariants
//! - Every answer is looked at: a server that refuses everything is not fast.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::Hook;
use crate::clock::{now, time_of_day, wait_for};
use crate::histogram::Histogram;

/// The secret of the source of events.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq3Tm0cVwzXs=";

/// Between two requests of the others.
const PERIOD: Duration = Duration::from_millis(1);

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// What the others ask for, and the answer.
const GET: &[u8] = b"get others\r\n";
const VALUE: &[u8] = b"VALUE others 0 3\r\nold\r\nEND\r\n";

/// Where the server listens.
pub(super) struct Doors {
    pub(super) memcached: SocketAddr,
    pub(super) pages: SocketAddr,
    pub(super) api: SocketAddr,
}

impl Doors {
    pub(super) fn store_what_others_read(&self) -> anyhow::Result<()> {
        self.memcached(b"set others 0 0 3\r\nold\r\n", b"STORED\r\n")
    }

    /// Has every thread on the hook's way work once, without a loop where that can be had.
    pub(super) fn warm_up(&self, hook: Hook) -> anyhow::Result<()> {
        match hook {
            Hook::Key => self.page("/warm", "behave"),
            // Their plugin loops whenever it is asked.
            Hook::Store | Hook::Item => Ok(()),
            Hook::Event => self.event("behave"),
        }
    }

    /// Has the plugin loop in this hook; returns after how many milliseconds it was over.
    pub(super) fn spin(&self, hook: Hook, number: usize) -> anyhow::Result<f64> {
        let begun = now();
        match hook {
            Hook::Key => self.page(&format!("/spin/{number}"), "spin")?,
            Hook::Store => {
                self.page(&format!("/store/{number}"), "behave")?;
                // The page does not wait for it.
                let wanted = number as u64 + 1;
                wait_for("the loop ends", || Ok((self.timeouts(hook)? >= wanted).then_some(())))?;
            }
            Hook::Item => {
                let set = format!("set spin:{number} 0 0 1\r\nx\r\n");
                self.memcached(set.as_bytes(), b"NOT_STORED\r\n")?;
            }
            Hook::Event => self.event("spin")?,
        }
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }

    /// Sees that the loops were ended by their deadlines, each of them.
    pub(super) fn check_counts(&self, hook: Hook) -> anyhow::Result<()> {
        let wanted = if hook == Hook::Event { 3 } else { super::LOOPS as u64 };
        let found = self.timeouts(hook)?;
        anyhow::ensure!(found == wanted, "{found} deadlines of {}, not {wanted}", hook.name());
        Ok(())
    }

    /// How many calls of the hook were ended by their deadline.
    fn timeouts(&self, hook: Hook) -> anyhow::Result<u64> {
        let body = exchange(self.api, "GET /v1/plugins HTTP/1.1\r\nHost: bench\r\n", b"")?;
        let listed: Value = serde_json::from_slice(&body)?;
        let calls = listed.pointer("/plugins/0/calls").and_then(Value::as_array);
        let mut calls = calls.into_iter().flatten();
        let found = calls.find(|c| c["hook"] == hook.name() && c["outcome"] == "timeout");
        Ok(found.and_then(|call| call["count"].as_u64()).unwrap_or_default())
    }

    fn page(&self, path: &str, mode: &str) -> anyhow::Result<()> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nx-mode: {mode}\r\n");
        exchange(self.pages, &head, b"").map(drop)
    }

    fn event(&self, mode: &str) -> anyhow::Result<()> {
        let body = format!(
            r#"{{"type":"model.changed","timestamp":"2026-01-02T03:04:05Z","data":{{"source":"bench",
            "events":[{{"model":"shop.product","pk":5,"op":"update","mode":"{mode}"}}]}}}}"#
        );
        let time_s = time_of_day().duration_since(UNIX_EPOCH)?.as_secs();
        let id = format!("bench-{mode}");
        let key = STANDARD.decode(SECRET.trim_start_matches("whsec_"))?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(format!("{id}.{time_s}.{body}").as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let head = format!(
            "POST /v1/events/bench HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
             webhook-id: {id}\r\nwebhook-timestamp: {time_s}\r\nwebhook-signature: v1,{signature}\r\n"
        );
        exchange(self.api, &head, body.as_bytes()).map(drop)
    }

    fn memcached(&self, command: &[u8], reply: &[u8]) -> anyhow::Result<()> {
        ask(&mut connect(self.memcached)?, command, reply)
    }
}

/// Asks for an item at fixed moments until the time is over or the flag is up; 99 % of the answers
/// took no longer, microseconds.
pub(super) fn others(doors: &Doors, time: Duration, is_over: &AtomicBool) -> anyhow::Result<f64> {
    let mut stream = connect(doors.memcached)?;
    let mut latencies = Histogram::default();
    let begun = now();
    let mut due = Duration::ZERO;
    while due < time && !is_over.load(Ordering::Relaxed) {
        // Sleeping would add the timer's own lateness; this core has nothing else to do.
        while begun.elapsed() < due {
            std::hint::spin_loop();
        }
        ask(&mut stream, GET, VALUE)?;
        let waited = begun.elapsed().saturating_sub(due);
        latencies.record(u64::try_from(waited.as_nanos())?);
        due += PERIOD;
    }
    Ok(latencies.quantile(0.99) / 1e3)
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream, command: &[u8], reply: &[u8]) -> anyhow::Result<()> {
    stream.write_all(command)?;
    let mut answer = vec![0; reply.len()];
    stream.read_exact(&mut answer)?;
    anyhow::ensure!(answer == reply, "answered {:?}", answer.escape_ascii().to_string());
    Ok(())
}

/// One request on a connection of its own; its body, if it is answered 200.
fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = connect(address)?;
    let length = body.len();
    let head = format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut stream = BufReader::new(stream);
    let mut fields = String::new();
    while stream.read_line(&mut fields)? > 0 && !fields.ends_with("\r\n\r\n") {}
    anyhow::ensure!(fields.starts_with("HTTP/1.1 200 "), "answered {fields:?}");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
