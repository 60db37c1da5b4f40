//! Auditing pages after an event: fetched anew and compared with what the cache serves, to find
//! events that should have made a page wrong and did not.
//!
//! # Invariants
//! - What is fetched is compared and dropped: it is not stored, and no client is counted for it.
//! - A page counts as stale only if the origin answered twice alike and otherwise than the cache,
//!   with a settling time in between, and the cache still served the same entry after that.
//! - A page found stale is invalidated before it is told of.
//! - Few requests run at a time; clients come first.
//!
//! # Not here
//! When, after which event and what is told (`events`). Pages that the same request would not be
//! answered with can't be audited: those whose key a policy makes from a client's fields, and those
//! that vary by cookies or authorization, because nobody is impersonated. A page that rightly
//! changes with time alone, and more slowly than two fetches show, is taken for stale.

use std::hash::BuildHasher;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use futures_util::{StreamExt, stream};
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, COOKIE, LOCATION,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;

use crate::cache::{Entry, Verdict};
use crate::config::Audit;
use crate::limits::FILL_MS_MAX;
use crate::model::{Audited, Cause, Invalidation, Key, Mode, PageHead, StalePage, Target};
use crate::pages::Pages;
use crate::pages::course::request::{Ask, Lookup};
use crate::pages::semantics::{forward, vary};

/// Pages fetched at a time.
const FETCHES_MAX: usize = 2;

const COMPARED_FIELDS: usize = 4;

/// Response fields that make another page of the same body.
const COMPARED: [HeaderName; COMPARED_FIELDS] =
    [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, LOCATION];

/// What of a response is compared.
#[derive(Debug, PartialEq, Eq)]
struct Representation {
    status: StatusCode,
    fields: [Option<HeaderValue>; COMPARED_FIELDS],
    body: Bytes,
}

impl Representation {
    fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let fields = COMPARED.map(|name| headers.get(name).cloned());
        Self { status, fields, body }
    }
}

/// A page that is audited.
struct Sampled {
    key: Key,
    entry: Entry,
    ask: Ask,
}

/// What became of one page.
enum Finding {
    Same,
    Unstable,
    Overtaken,
    Unanswered,
    Stale(StalePage),
}

impl Pages {
    /// Audits a share of the pages that are served now, and invalidates those that are stale.
    ///
    /// Only pages whose tags come from `plugin`, which said what the event makes wrong, or from the
    /// origin are looked at: another plugin's pages may wait for events of another source.
    pub async fn audit(&self, settings: &Audit, plugin: Option<&str>, event_id: &str) -> Audited {
        let (pages, sampling) = (self.clone(), settings.clone());
        let plugin = plugin.map(str::to_owned);
        let sample = move || pages.sample(&sampling, plugin.as_deref());
        let sampled = tokio::task::spawn_blocking(sample).await.unwrap_or_default();
        let audits = sampled.into_iter().map(|page| self.audit_page(page, settings, event_id));
        let mut findings = stream::iter(audits).buffer_unordered(FETCHES_MAX);
        let mut audited = Audited::default();
        while let Some(finding) = findings.next().await {
            match finding {
                Finding::Same => audited.same += 1,
                Finding::Unstable => audited.unstable += 1,
                Finding::Overtaken => audited.overtaken += 1,
                Finding::Unanswered => audited.unanswered += 1,
                Finding::Stale(page) => audited.stale.push(page),
            }
        }
        audited
    }

    /// Goes through the memory from somewhere on, until there are enough.
    fn sample(&self, settings: &Audit, plugin: Option<&str>) -> Vec<Sampled> {
        let cache = &self.shared.cache;
        // Another one for each audit, so that every page has its chance.
        let seed = RandomState::default();
        let shards = cache.shards().max(1);
        let first = usize::try_from(seed.hash_one(0) % shards as u64).unwrap_or_default();
        let mut sampled = Vec::new();
        for number in 0..shards {
            for entry in cache.shard_entries((first + number) % shards) {
                let is_drawn =
                    seed.hash_one(entry.cas()) as f64 <= settings.share * u64::MAX as f64;
                let page = Some(entry).filter(|_| is_drawn);
                sampled.extend(page.and_then(|entry| self.auditable(entry, plugin)));
                if sampled.len() == settings.pages_max {
                    return sampled;
                }
            }
        }
        sampled
    }

    /// The page with the request that it answers, if it is one that can be audited.
    fn auditable(&self, entry: Entry, plugin: Option<&str>) -> Option<Sampled> {
        let head = entry.page()?;
        let is_tagged_so =
            head.plugin_and_epoch().is_none_or(|(decided, _)| Some(decided) == plugin);
        let is_personal = head.vary.iter().any(|(name, _)| name == COOKIE || name == AUTHORIZATION);
        if !is_tagged_so || is_personal {
            return None;
        }
        let key = Key::new(entry.key()).ok()?;
        let ask = self.ask_for(&head.url, &head.vary)?;
        let is_found = matches!(&ask.lookup, Lookup::Under(found) if *found == key)
            && self.shared.sites.owns(&ask.site, ask.policy.as_deref(), head)
            && vary::selects(&head.vary, &ask.headers, &ask.site.rules);
        let page = Sampled { key, entry, ask };
        (is_found && self.is_served(&page)).then_some(page)
    }

    /// Whether this very entry answers requests now, and not as something stale.
    fn is_served(&self, page: &Sampled) -> bool {
        let cas = page.entry.cas();
        let is_selected = |head: &PageHead| {
            vary::selects(&head.vary, &page.ask.headers, &page.ask.site.rules)
                && self.shared.sites.owns(&page.ask.site, page.ask.policy.as_deref(), head)
        };
        let found = self.shared.cache.peek_page(page.key.as_bytes(), is_selected);
        let is_fresh = |entry: &Entry| entry.page().is_some_and(|h| h.is_fresh(self.now_ms()));
        found.is_some_and(|(entry, verdict)| {
            entry.cas() == cas && verdict == Verdict::Fresh && is_fresh(&entry)
        })
    }

    async fn audit_page(&self, page: Sampled, settings: &Audit, event_id: &str) -> Finding {
        let Some(head) = page.entry.page() else { return Finding::Overtaken };
        let cached = Representation::new(head.status, &head.headers, page.entry.body_bytes());
        let Some(first) = self.fetch_to_compare(&page.ask).await else {
            return Finding::Unanswered;
        };
        if first == cached {
            return Finding::Same;
        }
        // The origin may show what an event tells of that is still on its way.
        tokio::time::sleep(Duration::from_millis(settings.settle_ms)).await;
        let Some(second) = self.fetch_to_compare(&page.ask).await else {
            return Finding::Unanswered;
        };
        if first != second {
            return Finding::Unstable;
        }
        if !self.is_served(&page) {
            return Finding::Overtaken;
        }
        let (site, url) = (page.ask.site.name.clone(), head.url.to_string());
        let targets = [Target::Url(head.url.clone()), Target::Key(page.key.clone())];
        let cause = Cause {
            source: "audit".into(),
            event_id: Some(event_id.into()),
            at_ms: self.now_ms(),
            ..Cause::default()
        };
        let targets = targets.map(|target| (target, Mode::Hard)).into();
        let invalidation = Invalidation { targets, cause };
        if let Err(error) = self.shared.cache.invalidate(invalidation).await {
            tracing::warn!(url, %error, "stale page");
        }
        let tags = page.entry.tags().to_vec();
        Finding::Stale(StalePage { site, key: page.key, url, tags })
    }

    /// What the origin has of a page now; `None` where it does not answer, or fails.
    async fn fetch_to_compare(&self, ask: &Ask) -> Option<Representation> {
        let mut headers = ask.headers.clone();
        self.announce(ask, &mut headers);
        let answer = self.ask_origin(ask, &Method::GET, headers, None).await.ok()?;
        let (mut parts, mut body) = answer.into_parts();
        if parts.status.is_server_error() || parts.status.is_informational() {
            return None;
        }
        forward::clean_response(&mut parts.headers);
        let limit = self.shared.cache.config().item_bytes_max;
        let mut collected = BytesMut::new();
        let whole = async {
            while let Some(frame) = body.frame().await {
                collected.extend_from_slice(&frame.ok()?.into_data().unwrap_or_default());
                if collected.len() > limit {
                    return None;
                }
            }
            Some(())
        };
        tokio::time::timeout(Duration::from_millis(FILL_MS_MAX), whole).await.ok()??;
        Some(Representation::new(parts.status, &parts.headers, collected.freeze()))
    }
}
