//! Rules about what is stored: whether, for how long, and under which tags.
//!
//! # Invariants
//! - Every rule that fits counts: tags add up, of each time the first that is named holds, and one
//!   rule against storing is enough.
//! - A tag is whole or not there.
//!
//! # Not here
//! What HTTP forbids to store: the server, which is only ever told less.

use std::borrow::Cow;

use serde_json::Value;
use wasmcached_plugin::pattern::matches;
use wasmcached_plugin::prelude::*;
use wasmcached_plugin::template::Template;

use super::fields::{Fields, condition_text, never};
use super::requests::{Where, segments};

/// Longest tag that the server takes, bytes.
pub(crate) const TAG_BYTES_MAX: usize = 256;

/// Longest key of an item (protocol.txt, "Keys"), bytes.
const ITEM_KEY_BYTES_MAX: usize = 250;

/// What is decided about an entry.
#[derive(Debug)]
struct Decision<P> {
    store: Option<bool>,
    ttl_s: Option<u32>,
    stale_while_revalidate_s: Option<u32>,
    stale_if_error_s: Option<u32>,
    tags: Vec<Template<P>>,
}

/// What some pages carry.
#[derive(Debug)]
pub(crate) struct StoreRule {
    place: Where,
    statuses: Vec<Statuses>,
    content_types: Vec<String>,
    decision: Decision<OfPage>,
}

/// What may stand in the tag of a page.
#[derive(Debug, PartialEq, Eq)]
enum OfPage {
    Host,
    /// A segment of the path; `/treks/everest/` has `treks` as 0 and `everest` as 1.
    Path(usize),
}

/// What some items carry.
#[derive(Debug)]
pub(crate) struct ItemRule {
    prefix: String,
    decision: Decision<OfItem>,
}

/// What may stand in the tag of an item.
#[derive(Debug, PartialEq, Eq)]
enum OfItem {
    /// The key behind the prefix.
    Rest,
}

/// One status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statuses {
    One(u16),
    /// The first digit.
    Class(u16),
}

impl Statuses {
    fn has(self, status: u16) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(digit) => status / 100 == digit,
        }
    }
}

impl StoreRule {
    /// Reads and checks it.
    pub(crate) fn parse(mut fields: Fields) -> Result<Self> {
        let place = Where::parse(&mut fields)?;
        let statuses = fields.condition("status", statuses)?;
        let content_types = fields.condition("content_type", content_type)?;
        let decision = decision(&mut fields, OF_PAGES, of_page)?;
        for (n, tag) in decision.tags.iter().enumerate() {
            let beyond = tag.places().find_map(|one| match one {
                OfPage::Path(at) if !place.may_have_segment(*at) => Some(at),
                OfPage::Path(_) | OfPage::Host => None,
            });
            if let Some(at) = beyond {
                let problem = format!("{{path.{at}}} is behind the end of every path that fits");
                return Err(fields.place().at(&format!(".tags[{n}]")).error(problem));
            }
        }
        fields.end()?;
        Ok(Self { place, statuses, content_types, decision })
    }

    fn fits(&self, request: &Request, response: &Response) -> bool {
        let status = response.status();
        let is_wanted = |pattern: &String| matches(pattern, &media_type(response));
        self.place.fits(request)
            && (self.statuses.is_empty() || self.statuses.iter().any(|some| some.has(status)))
            && (self.content_types.is_empty() || self.content_types.iter().any(is_wanted))
    }
}

impl ItemRule {
    /// Reads and checks it.
    pub(crate) fn parse(mut fields: Fields) -> Result<Self> {
        let place = fields.place().at(".prefix");
        let prefix = fields.text("prefix")?.unwrap_or_default();
        if prefix.is_empty() {
            return Err(fields.place().error("`prefix` is empty"));
        }
        if let Some(found) = prefix.chars().find(|c| *c == ' ' || c.is_control()) {
            return Err(place.error(never(format!("{prefix:?} has {found:?}, which no key has"))));
        }
        if prefix.len() > ITEM_KEY_BYTES_MAX {
            let problem = format!("is {} bytes; keys have {ITEM_KEY_BYTES_MAX}", prefix.len());
            return Err(place.error(never(problem)));
        }
        let decision =
            decision(&mut fields, OF_ITEMS, |name| (name == "rest").then_some(OfItem::Rest))?;
        fields.end()?;
        Ok(Self { prefix, decision })
    }

    /// What keys of its items begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// What all rules that fit say about a page.
pub(crate) fn of_response(rules: &[StoreRule], request: &Request, response: &Response) -> Storage {
    let fitting = rules.iter().filter(|rule| rule.fits(request, response));
    let value = |place: &OfPage| match place {
        OfPage::Host => Some(Cow::Borrowed(request.host())),
        OfPage::Path(n) => segments(request.path()).nth(*n).map(Cow::Borrowed),
    };
    together(fitting.map(move |rule| (&rule.decision, value)))
}

/// What all rules that fit say about an item.
pub(crate) fn of_item(rules: &[ItemRule], item: &Item) -> Storage {
    let fitting = rules.iter().filter_map(|rule| {
        let rest = item.key().strip_prefix(rule.prefix())?;
        let value = move |OfItem::Rest: &OfItem| (!rest.is_empty()).then_some(Cow::Borrowed(rest));
        Some((&rule.decision, value))
    });
    together(fitting)
}

fn together<'r, P: 'r, V>(decisions: impl Iterator<Item = (&'r Decision<P>, V)>) -> Storage
where
    V: Fn(&P) -> Option<Cow<'r, str>>,
{
    let mut storage = Storage::keep();
    let (mut ttl_s, mut revalidate_s, mut error_s) = (None, None, None);
    let mut tags: Vec<String> = Vec::new();
    for (decision, value) in decisions {
        if decision.store == Some(false) {
            return Storage::skip();
        }
        ttl_s = ttl_s.or(decision.ttl_s);
        revalidate_s = revalidate_s.or(decision.stale_while_revalidate_s);
        error_s = error_s.or(decision.stale_if_error_s);
        for template in &decision.tags {
            // A page without the segment is none of those that the tag is for.
            if let Ok(tag) = template.fill(|place| value(place).ok_or(()))
                && !tags.contains(&tag)
            {
                tags.push(tag);
            }
        }
    }
    if let Some(seconds) = revalidate_s {
        storage = storage.stale_while_revalidate(seconds);
    }
    if let Some(seconds) = error_s {
        storage = storage.stale_if_error(seconds);
    }
    storage.maybe_ttl(ttl_s).tags(tags)
}

const OF_PAGES: &str = "there are {path.N} and {host}";
const OF_ITEMS: &str = "there is {rest}";

fn of_page(name: &str) -> Option<OfPage> {
    match name.split_once('.') {
        Some(("path", n)) => n.parse().ok().map(OfPage::Path),
        _ => (name == "host").then_some(OfPage::Host),
    }
}

fn decision<P>(
    fields: &mut Fields,
    known: &str,
    place_of: impl Fn(&str) -> Option<P>,
) -> Result<Decision<P>> {
    let tags = fields.texts("tags")?;
    let tags = tags.iter().enumerate().map(|(n, text)| {
        let place = fields.place().at(&format!(".tags[{n}]"));
        let template =
            Template::parse(text, known, &place_of).map_err(|error| place.error(error))?;
        check_tag(template.texts()).map_err(|problem| place.error(problem))?;
        Ok(template)
    });
    let tags = tags.collect::<Result<Vec<_>>>()?;
    let store = fields.truth("store")?;
    let decision = Decision {
        ttl_s: fields.seconds("ttl_s")?,
        stale_while_revalidate_s: fields.seconds("stale_while_revalidate_s")?,
        stale_if_error_s: fields.seconds("stale_if_error_s")?,
        store,
        tags,
    };
    let has_time = decision.ttl_s.is_some()
        || decision.stale_while_revalidate_s.is_some()
        || decision.stale_if_error_s.is_some();
    if store == Some(false) && (has_time || !decision.tags.is_empty()) {
        let problem = "`store` is false; what is not stored has neither times nor tags";
        return Err(fields.place().error(problem));
    }
    Ok(decision)
}

/// Refuses fixed parts that no tag has.
pub(crate) fn check_tag<'a>(
    texts: impl Iterator<Item = &'a str>,
) -> std::result::Result<(), String> {
    let mut bytes = 0;
    for text in texts {
        if text.contains(char::is_control) {
            return Err(format!("{text:?}: a tag has no control characters"));
        }
        bytes += text.len();
    }
    match bytes {
        0..=TAG_BYTES_MAX => Ok(()),
        _ => Err(format!("is {bytes} bytes without its variables; limit is {TAG_BYTES_MAX}")),
    }
}

fn statuses(value: Value) -> std::result::Result<Statuses, String> {
    let class = |text: &str| text.strip_suffix("xx")?.parse().ok().filter(|n| (1..=5).contains(n));
    let found = match &value {
        Value::Number(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
        Value::String(text) => match class(text) {
            Some(digit) => return Ok(Statuses::Class(digit)),
            None => None,
        },
        _ => None,
    };
    let one = found.filter(|status| (100..=599).contains(status)).map(Statuses::One);
    one.ok_or_else(|| {
        format!("is {value}; a status from 100 to 599 or a class like \"4xx\" is wanted")
    })
}

fn content_type(value: Value) -> std::result::Result<String, String> {
    let pattern = condition_text(value)?;
    if pattern.contains([';', ' ']) {
        return Err(never(format!("{pattern:?} has a parameter, which is not looked at")));
    }
    match pattern.contains(['/', '*']) {
        true => Ok(pattern.to_ascii_lowercase()),
        false => Err(never(format!("{pattern:?} is no media type such as `text/html`"))),
    }
}

/// Type and subtype without parameters, in lower case (RFC 9110 §8.3.1); empty without any.
fn media_type(response: &Response) -> String {
    let field = response.header("content-type").unwrap_or_default();
    field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
