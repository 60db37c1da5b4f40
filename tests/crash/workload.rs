//! What the clients do until their server dies, and what they note of it.
//!
//! # Invariants
//! - A command's time is taken before it is sent and its outcome noted after its answer; one that
//!   has no answer is noted by the crash alone.
//! - What a slow disk keeps from being durable is refused in time, and counts as not acknowledged.

use std::io::Result;
use std::sync::mpsc::Sender;

use serde_json::json;
use wasmcached_tests::wait::monotonic_ns;
use wasmcached_tests::{Answer, Random, Webhook, http};

use crate::client::{Memcached, request};
use crate::ledger::{Ledger, Mode, Sight, body_of};
use crate::names::{
    FIRST_MODEL, ITEMS, Names, PAGES, PREFIXES, Place, TAGS, TagSet, Target, model_name, page_path,
    tag_name, tag_names,
};

/// Largest value; some batches are to be of several pages of the database.
const VALUE_BYTES_MAX: usize = 6_000;

/// What is said of a change that could not be made durable.
const NOT_DURABLE: &str = "database tier: ";

/// Whether a memcached command could not be made durable.
fn is_refused(reply: &str) -> bool {
    reply.starts_with("SERVER_ERROR ") && reply.contains(NOT_DURABLE)
}

/// Whether what a request asked for could not be made durable.
pub(crate) fn is_refusal(answer: &Answer) -> bool {
    answer.status == 503 && answer.text().contains(NOT_DURABLE)
}

/// Where the doors of a server are.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    /// Address of the memcached port.
    pub(crate) memcached: String,
    /// `http://address` of the API.
    pub(crate) api: String,
    /// Keys, and with them the address of pages.
    pub(crate) names: Names,
}

/// What the clients of a server do, and with it what the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// All of it but values in events.
    Usual,
    /// Events also carry values, by the plugin `hostile`.
    WithValues,
    /// Nothing that is not for the few names: many other entries are to survive.
    Gentle,
}

/// One client.
pub(crate) struct Client<'a> {
    /// Where.
    pub(crate) doors: &'a Doors,
    /// What of.
    pub(crate) ledger: &'a Ledger,
    /// Which.
    pub(crate) mix: Mix,
    /// Its choices.
    pub(crate) random: Random,
    /// Told after each command.
    pub(crate) progress: Sender<()>,
    /// Events that earlier lives of the server have acknowledged, to be sent again.
    pub(crate) earlier: &'a mut Vec<Delivery>,
    /// Those of this life.
    pub(crate) delivered: Vec<Delivery>,
}

/// An event and what it makes wrong.
pub(crate) struct Delivery {
    webhook: Webhook,
    targets: Vec<Target>,
}

impl Client<'_> {
    /// Speaks memcached's protocol until the server is gone.
    pub(crate) fn speak_memcached(mut self) {
        let Ok(mut connection) = Memcached::connect(&self.doors.memcached) else { return };
        while self.memcached_step(&mut connection).is_ok() {
            // Nobody may be counting.
            let _ = self.progress.send(());
        }
    }

    /// Speaks HTTP, to the API and for pages, until the server is gone.
    pub(crate) fn speak_http(mut self) {
        while self.http_step().is_ok() {
            let _ = self.progress.send(());
        }
        self.earlier.append(&mut self.delivered);
    }

    fn memcached_step(&mut self, connection: &mut Memcached) -> Result<()> {
        let item = Place::Item(self.random.below(ITEMS));
        let key = self.doors.names.key(item);
        match self.random.below(100) {
            0..50 => self.store(connection, item, &key),
            50..70 => self.read_item(connection, item, &key).map(drop),
            70..82 => {
                let began_ns = monotonic_ns();
                let reply = connection.ask(&format!("delete {key}"))?;
                match reply.as_str() {
                    "DELETED" | "NOT_FOUND" => {
                        self.ledger.acknowledge(&[Target::Entry(item)], Mode::Hard, began_ns);
                    }
                    reply if is_refused(reply) => self.ledger.refuse(),
                    reply => panic!("{reply} to delete"),
                }
                Ok(())
            }
            82..99 => match self.read_item(connection, item, &key)? {
                true => Ok(()),
                false => self.store(connection, item, &key),
            },
            _ if self.mix != Mix::Gentle => {
                let began_ns = monotonic_ns();
                match connection.ask("flush_all")?.as_str() {
                    "OK" => {
                        self.ledger.acknowledge(&[Target::Everything], Mode::Hard, began_ns);
                    }
                    reply if is_refused(reply) => self.ledger.refuse(),
                    reply => panic!("{reply} to flush_all"),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn store(&mut self, connection: &mut Memcached, item: Place, key: &str) -> Result<()> {
        let tags = self.tags();
        let number = self.ledger.begin_value(item, tags);
        let body = body_of(number, self.random.below(VALUE_BYTES_MAX) * self.random.below(2));
        let list = match tags {
            0 => String::new(),
            tags => format!(" L{}", tag_names(tags, ",")),
        };
        let began_ns = monotonic_ns();
        let reply = connection.ask(&format!("ms {key} {}{list}\r\n{body}", body.len()))?;
        self.ledger.end_value(number);
        match reply.as_str() {
            "HD" => self.ledger.acknowledge(&[Target::Entry(item)], Mode::Hard, began_ns),
            // The connection's miss is from before an invalidation.
            "NS" => {}
            reply if is_refused(reply) => self.ledger.refuse(),
            reply => panic!("{reply} to ms"),
        }
        Ok(())
    }

    fn read_item(&self, connection: &mut Memcached, item: Place, key: &str) -> Result<bool> {
        let floors = self.ledger.floors();
        let found = connection.get(key)?;
        self.ledger.check(item, found.as_deref(), Sight::Fresh, &floors);
        Ok(found.is_some())
    }

    fn http_step(&mut self) -> Result<()> {
        match self.random.below(100) {
            0..30 => self.read_page().map(drop),
            // The page may not have been written yet.
            30..40 => {
                let page = self.read_page()?;
                self.invalidate(&[Target::Entry(page)], Mode::Hard)
            }
            40..50 => self.put_item(),
            50..80 => {
                let count = 1 + self.random.below(3);
                let targets: Vec<Target> = (0..count).map(|_| self.target()).collect();
                let mode = if self.random.percent(20) { Mode::Soft } else { Mode::Hard };
                self.invalidate(&targets, mode)
            }
            80..92 => self.send_event(),
            _ => self.send_event_again(),
        }
    }

    fn read_page(&mut self) -> Result<Place> {
        let page = self.random.below(PAGES);
        let floors = self.ledger.floors();
        let url = format!("{}{}", self.doors.names.pages, page_path(page));
        let answer = request("GET", &url, &[], b"")?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.ledger.check(Place::Page(page), Some(&answer.body), Sight::WithStale, &floors);
        Ok(Place::Page(page))
    }

    fn put_item(&mut self) -> Result<()> {
        let item = Place::Item(self.random.below(ITEMS));
        let tags = self.tags();
        let number = self.ledger.begin_value(item, tags);
        let body = body_of(number, self.random.below(100));
        let names = tag_names(tags, " ");
        let fields = [("surrogate-key", names.as_str())];
        let fields = if tags == 0 { &[][..] } else { &fields[..] };
        let url = self.url_of_item(item);
        let began_ns = monotonic_ns();
        let answer = request("PUT", &url, fields, body.as_bytes())?;
        self.ledger.end_value(number);
        match answer.status {
            204 => self.ledger.acknowledge(&[Target::Entry(item)], Mode::Hard, began_ns),
            // It was invalidated since the request began.
            409 => {}
            _ if is_refusal(&answer) => self.ledger.refuse(),
            status => panic!("{status} to PUT: {}", answer.text()),
        }
        Ok(())
    }

    fn url_of_item(&self, item: Place) -> String {
        let key = http::percent_encode(&self.doors.names.key(item));
        format!("{}/v1/cache/{key}", self.doors.api)
    }

    /// By the API.
    fn invalidate(&self, targets: &[Target], mode: Mode) -> Result<()> {
        let body = request_of(&self.doors.names, targets, mode);
        let before = self.ledger.last_sequence();
        let began_ns = monotonic_ns();
        let url = format!("{}/v1/invalidate", self.doors.api);
        let json = [("content-type", "application/json")];
        let answer = request("POST", &url, &json, body.to_string().as_bytes())?;
        if is_refusal(&answer) {
            self.ledger.refuse();
            return Ok(());
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.ledger.note_sequence(sequence_of(&answer.json()), before);
        self.ledger.acknowledge(targets, mode, began_ns);
        Ok(())
    }

    fn target(&mut self) -> Target {
        let end = if self.mix != Mix::Gentle { 100 } else { 99 };
        match self.random.below(end) {
            0..30 => Target::Entry(Place::Item(self.random.below(ITEMS))),
            30..50 => Target::Entry(Place::Page(self.random.below(PAGES))),
            50..90 => Target::Tag(self.random.below(TAGS)),
            90..99 => Target::Prefix(self.random.below(PREFIXES)),
            _ => Target::Everything,
        }
    }

    /// An event of a model, with a value of its own where the plugin can write it.
    fn send_event(&mut self) -> Result<()> {
        let tag = FIRST_MODEL + self.random.below(TAGS - FIRST_MODEL);
        let mut change = json!({"model": model_name(tag), "pk": 1, "op": "update"});
        let mut targets = vec![Target::Tag(tag)];
        let mut value = None;
        if self.mix == Mix::WithValues {
            let item = Place::Item(self.random.below(ITEMS));
            let number = self.ledger.begin_value(item, 1 << tag);
            change["mode"] = json!("put-given");
            change["tag"] = json!(tag_name(tag));
            change["key"] = json!(self.doors.names.key(item));
            change["value"] = json!(body_of(number, 10));
            targets.push(Target::Entry(item));
            value = Some(number);
        }
        let data = json!({"source": "trekking", "seq": monotonic_ns(), "events": [change]});
        let webhook = Webhook::of_body(
            json!({"type": "model.changed", "timestamp": "2026-01-02T03:04:05Z", "data": data})
                .to_string(),
        );
        let delivery = Delivery { webhook, targets };
        let before = self.ledger.last_sequence();
        let sequence = self.deliver(&delivery)?;
        if let Some(number) = value {
            self.ledger.end_value(number);
        }
        if let Some(sequence) = sequence {
            self.ledger.note_sequence(sequence, before);
            self.delivered.push(delivery);
        }
        Ok(())
    }

    /// One that an earlier life has acknowledged; this one does not know it and applies it.
    fn send_event_again(&mut self) -> Result<()> {
        if self.earlier.is_empty() {
            return self.send_event();
        }
        let delivery = self.earlier.swap_remove(self.random.below(self.earlier.len()));
        if self.deliver(&delivery)?.is_some() {
            self.delivered.push(delivery);
        }
        Ok(())
    }

    /// The sequence of an event that was acknowledged.
    fn deliver(&self, Delivery { webhook, targets }: &Delivery) -> Result<Option<u64>> {
        let timestamp = webhook.timestamp_s.to_string();
        let signature = webhook.signature();
        let fields = [
            ("content-type", "application/json"),
            ("webhook-id", webhook.id.as_str()),
            ("webhook-timestamp", timestamp.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        let url = format!("{}/v1/events/{}", self.doors.api, webhook.source);
        let began_ns = monotonic_ns();
        let answer = request("POST", &url, &fields, &webhook.body)?;
        if is_refusal(&answer) {
            self.ledger.refuse();
            return Ok(None);
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.ledger.acknowledge(targets, Mode::Hard, began_ns);
        self.ledger.hold(targets, began_ns);
        Ok(Some(sequence_of(&answer.json())))
    }

    fn tags(&mut self) -> TagSet {
        (self.random.next_u64() & self.random.next_u64()) as TagSet & ((1 << TAGS) - 1)
    }
}

/// The body of `POST /v1/invalidate`. Half of the pages are named by URL, half by key.
pub(crate) fn request_of(names: &Names, targets: &[Target], mode: Mode) -> serde_json::Value {
    let (mut tags, mut keys, mut urls, mut prefixes) = (vec![], vec![], vec![], vec![]);
    let mut everything = false;
    for target in targets {
        match *target {
            Target::Tag(tag) => tags.push(tag_name(tag)),
            Target::Entry(place @ Place::Page(page)) if page % 2 == 0 => {
                urls.push(names.key(place));
            }
            Target::Entry(place) => keys.push(names.key(place)),
            Target::Prefix(prefix) => prefixes.push(names.prefix(prefix)),
            Target::Everything => everything = true,
        }
    }
    let mode = match mode {
        Mode::Hard => "hard",
        Mode::Soft => "soft",
    };
    json!({
        "tags": tags, "keys": keys, "urls": urls, "prefixes": prefixes,
        "everything": everything, "mode": mode,
    })
}

/// The sequence of an answer.
#[track_caller]
pub(crate) fn sequence_of(answer: &serde_json::Value) -> u64 {
    let text = answer["sequence"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no sequence in {answer}"))
}
