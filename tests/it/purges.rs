//! Purges that meet work in flight, each at every moment of it: nothing older than an acknowledged
//! purge is given to who asks after it, and nothing older is kept.
//!
//! # Invariants
//! - A page says which version of the data it was built from, read when its request arrived.
//! - Every combination runs, and all that failed are told at once.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use wasmcached_tests::origin::{Framing, Gate, Request, Response};
use wasmcached_tests::wait::eventually_or_not;
use wasmcached_tests::{Answer, Origin, Server, http, settings};

use crate::wire::metric;

const OLD: &str = "built from version 1";
const NEW: &str = "built from version 2";

/// Where the work is when the purge comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The origin has not answered.
    BeforeHead,
    /// Half of the body has come.
    AmidBody,
    /// The origin was asked whether what is stored is still right, and will say so.
    Revalidating,
}

/// Whether somebody asks while the old work still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    /// Two do.
    Meanwhile,
    /// Only when it has ended.
    Afterwards,
}

/// What a purge may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hard,
    /// Of pages that are never to be served stale.
    Soft,
    /// Of pages that may be served stale while they are refreshed.
    SoftWithGrace,
}

#[derive(Debug, Clone)]
struct Combination {
    target: &'static str,
    kind: Kind,
    moment: Moment,
    later: Later,
    framing: Framing,
}

/// What the origin knows of one page.
#[derive(Clone)]
struct Page {
    combination: Combination,
    is_changed: bool,
    /// Where the next answer from before the change waits.
    gate: Option<Gate>,
}

type Pages = Arc<Mutex<HashMap<String, Page>>>;

fn combinations() -> Vec<Combination> {
    let mut all = Vec::new();
    for target in ["urls", "tags", "everything", "keys", "prefixes"] {
        for kind in [Kind::Hard, Kind::Soft, Kind::SoftWithGrace] {
            for moment in [Moment::BeforeHead, Moment::AmidBody, Moment::Revalidating] {
                for later in [Later::Meanwhile, Later::Afterwards] {
                    for framing in [Framing::Length, Framing::Chunks] {
                        all.push(Combination { target, kind, moment, later, framing });
                    }
                }
            }
        }
    }
    all
}

/// Answers with the version as it is when the request arrives.
fn answer(pages: &Pages, request: &Request) -> Response {
    let (page, gate) = {
        let mut pages = pages.lock();
        let page = pages.get_mut(&request.target).expect("a page that was announced");
        let gate = (!page.is_changed).then(|| page.gate.take()).flatten();
        (page.clone(), gate)
    };
    let (version, body) = if page.is_changed { ("\"v2\"", NEW) } else { ("\"v1\"", OLD) };
    let kept = match page.combination.kind {
        Kind::Hard | Kind::SoftWithGrace => "max-age=600",
        Kind::Soft => "max-age=600, must-revalidate",
    };
    let tag = tag_of(&request.target);
    let is_known = request.field("if-none-match") == Some(version);
    let response = match is_known {
        true => Response::new(304, ""),
        false => Response::new(200, body).framed(page.combination.framing),
    };
    let response =
        response.with("cache-control", kept).with("etag", version).with("surrogate-key", &tag);
    match (gate, page.combination.moment) {
        (Some(gate), Moment::AmidBody) => response.held_amid_body(&gate),
        (Some(gate), _) => {
            gate.pass();
            response
        }
        (None, _) => response,
    }
}

fn tag_of(path: &str) -> String {
    path.replace('/', "page-")
}

fn purge(server: &Server, path: &str, target: &str, mode: &str) -> Result<(), String> {
    let url = server.page(path);
    let named: Value = match target {
        "everything" => json!(true),
        "tags" => json!([tag_of(path)]),
        _ => json!([url]),
    };
    let answer =
        http::post_json(&server.api("/v1/invalidate"), &json!({target: named, "mode": mode}));
    match answer.status {
        200 => Ok(()),
        status => Err(format!("the purge is answered {status}: {}", answer.text())),
    }
}

/// What is wrong with an answer to somebody who asked after the purge.
fn judge(who: &str, answer: &Answer, kind: Kind) -> Result<(), String> {
    let (status, text) = (answer.status, answer.text());
    let said = answer.field("cache-status");
    let is_told_stale = said.contains("; hit") && said.contains("detail=stale");
    match (status, text.as_str(), kind) {
        (200, NEW, _) => Ok(()),
        (200, OLD, Kind::SoftWithGrace) if is_told_stale => Ok(()),
        _ => Err(format!("{who} gets {status} {text:?}, {said}")),
    }
}

/// Whatever else can be asked, once all work has ended.
fn judge_kept(server: &Server, url: &str) -> Result<(), String> {
    let value = server.memcached().get(url);
    if value.as_deref().is_some_and(|value| value != NEW.as_bytes()) {
        return Err(format!("memcached has {:?}", value.map(String::from_utf8)));
    }
    let answer = http::get(&server.cached(url));
    match (answer.status, answer.text().as_str()) {
        (404, _) | (200, NEW) => Ok(()),
        (status, text) => Err(format!("the API has {status} {text:?}")),
    }
}

struct Stage {
    origin: Origin,
    server: Server,
    pages: Pages,
}

impl Stage {
    fn new() -> Self {
        let pages = Pages::default();
        let known = Arc::clone(&pages);
        let origin = Origin::start(move |request| answer(&known, request));
        let server = Server::start(&format!(
            "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n[[sites]]\nname = \"a\"\norigin = \"{}\"\n",
            settings::plain(),
            origin.url()
        ));
        Self { origin, server, pages }
    }

    fn run(&self, path: &str, combination: &Combination) -> Result<(), String> {
        let Combination { target, kind, moment, later, .. } = *combination;
        let (server, url) = (&self.server, self.server.page(path));
        let page = Page { combination: combination.clone(), is_changed: false, gate: None };
        self.pages.lock().insert(path.to_owned(), page);
        if moment == Moment::Revalidating {
            http::get(&url);
            purge(server, path, "urls", "soft")?;
        }
        let asked_before = self.origin.count(path);
        let gate = Gate::closed();
        self.change(path, |page| page.gate = Some(gate.clone()));
        std::thread::scope(|scope| {
            let early = scope.spawn(|| http::get(&url));
            gate.wait_until_reached_by(1);
            self.change(path, |page| page.is_changed = true);
            let purged =
                purge(server, path, target, if kind == Kind::Hard { "hard" } else { "soft" });
            let count = if later == Later::Meanwhile { 2 } else { 0 };
            let late: Vec<_> = (0..count).map(|_| scope.spawn(|| http::get(&url))).collect();
            let is_settled = eventually_or_not(|| {
                late.iter().all(|request| request.is_finished())
                    || metric(server, "pages_waiting 2\n")
                    || self.origin.count(path) > asked_before + 1
            });
            gate.open();
            let early = early.join().map_err(|_| "the early request fails".to_owned())?;
            purged?;
            if !is_settled {
                return Err("those who came later neither wait nor ask".to_owned());
            }
            if ![OLD, NEW].contains(&early.text().as_str()) || early.status != 200 {
                return Err(format!("the early one gets {} {:?}", early.status, early.text()));
            }
            for request in late {
                let answer = request.join().map_err(|_| "a later request fails".to_owned())?;
                judge("who came meanwhile", &answer, kind)?;
            }
            Ok(())
        })?;
        judge("who comes afterwards", &http::get(&url), kind)?;
        self.ends_up_new(&url)
    }

    /// The page is fresh in the end, and nothing older is kept.
    fn ends_up_new(&self, url: &str) -> Result<(), String> {
        let mut last = None;
        let is_new = eventually_or_not(|| {
            let answer = http::get(url);
            let is_new = answer.is_hit() && answer.text() == NEW;
            last = Some(answer);
            is_new
        });
        if !is_new {
            return Err(format!("it never becomes new: {last:?}"));
        }
        judge_kept(&self.server, url)
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Page)) {
        change(self.pages.lock().get_mut(path).expect("a page that was announced"));
    }
}

#[test]
fn purge_is_kept_by_work_in_flight_whatever_it_names_and_whenever_it_comes() {
    let stage = Stage::new();
    let mut failed = String::new();
    for (number, combination) in combinations().iter().enumerate() {
        if let Err(what) = stage.run(&format!("/{number}"), combination) {
            writeln!(failed, "{combination:?}: {what}").unwrap();
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
}
