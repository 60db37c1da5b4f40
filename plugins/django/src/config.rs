//! The operator's settings, checked whole before any holds.
//!
//! # Invariants
//! - An error names the rule's place, and lists what there is instead of an unknown field.
//! - Pages with known copies have languages and time zones that were said, not assumed.
//!
//! # Not here
//! What the rules do: the plugin itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasmcached_plugin::django::Release;
use wasmcached_plugin::serde_json::{self, Value};
use wasmcached_plugin::{Error, Result};

use crate::template::Template;

/// More copies of a page than anybody lists by intent.
const COPIES_MAX: usize = 1_000;

/// All settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) release: Release,
    pub(crate) caches: Vec<Cache>,
    pub(crate) page_prefixes: Vec<String>,
    pub(crate) origins: Vec<String>,
    /// Every language with every time zone.
    pub(crate) localities: Vec<(Option<String>, Option<String>)>,
    pub(crate) rules: Vec<Rule>,
}

/// Before it is configured; an instance is configured before anything else.
impl Default for Settings {
    fn default() -> Self {
        Self {
            release: Release::NEWEST,
            caches: vec![Cache::default()],
            page_prefixes: vec![String::new()],
            origins: Vec::new(),
            localities: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// An alias of `CACHES` on this server.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cache {
    pub(crate) key_prefix: String,
    pub(crate) version: u32,
}

impl Default for Cache {
    fn default() -> Self {
        Self { key_prefix: String::new(), version: 1 }
    }
}

/// What depends on the rows of a model.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) model: String,
    pub(crate) fields: Vec<String>,
    pub(crate) fragments: Vec<FragmentRule>,
    pub(crate) pages: Vec<PageRule>,
    pub(crate) keys: Vec<Template>,
    pub(crate) values: Vec<ValueRule>,
}

/// A `{% cache %}` block.
#[derive(Debug)]
pub(crate) struct FragmentRule {
    pub(crate) name: String,
    pub(crate) vary_on: Vec<Template>,
}

/// A page of `cache_page`, of the cache middlewares, or of the page cache.
#[derive(Debug)]
pub(crate) struct PageRule {
    pub(crate) path: Template,
    pub(crate) query: Option<Template>,
    pub(crate) copies: Copies,
}

/// The copies of a page that there may be.
#[derive(Debug)]
pub(crate) enum Copies {
    Any,
    /// Each by the values of the fields that it varies by.
    Known(Vec<Fields>),
}

/// Fields of a request with their values; `None` where it lacks one.
type Fields = Vec<(String, Option<String>)>;

/// A value that events bring.
#[derive(Debug)]
pub(crate) struct ValueRule {
    pub(crate) key: Template,
    pub(crate) field: String,
    pub(crate) ttl_s: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    release: String,
    #[serde(default = "one_cache")]
    caches: Vec<Cache>,
    #[serde(default = "one_prefix")]
    page_prefixes: Vec<String>,
    #[serde(default)]
    origins: Vec<String>,
    languages: Option<Vec<String>>,
    time_zones: Option<Vec<String>>,
    #[serde(default)]
    rules: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawRule {
    model: String,
    fields: Vec<String>,
    fragments: Vec<RawFragment>,
    pages: Vec<RawPage>,
    keys: Vec<String>,
    values: Vec<RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFragment {
    name: String,
    #[serde(default)]
    vary_on: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPage {
    path: String,
    vary: Option<BTreeMap<String, Vec<RawField>>>,
}

/// A field's value in a request; `false` where the request lacks it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum RawField {
    Given(String),
    Lacked(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawValue {
    key: String,
    field: String,
    ttl_s: Option<u32>,
}

fn one_cache() -> Vec<Cache> {
    vec![Cache::default()]
}

fn one_prefix() -> Vec<String> {
    vec![String::new()]
}

/// Reads and checks all settings. The server hands over texts as they are, all else as JSON.
pub(crate) fn parse(settings: &[(String, String)]) -> Result<Settings> {
    let value = |(name, text): &(String, String)| match name.as_str() {
        "release" => Ok((name.clone(), Value::String(text.clone()))),
        _ => match serde_json::from_str(text) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(Error::new(format!("{name}: {error}"))),
        },
    };
    let settings = settings.iter().map(value).collect::<Result<_>>()?;
    let raw: RawSettings = section("settings", Value::Object(settings))?;
    for (name, is_empty) in
        [("caches", raw.caches.is_empty()), ("page_prefixes", raw.page_prefixes.is_empty())]
    {
        if is_empty {
            return Err(Error::new(format!("{name}: there must be one at least")));
        }
    }
    for (n, origin) in raw.origins.iter().enumerate() {
        check_origin(origin).map_err(|error| Error::new(format!("origins[{n}]: {error}")))?;
    }
    let rules = raw.rules.into_iter().enumerate();
    let rules = rules.map(|(n, value)| rule(&format!("rules[{n}]"), value));
    let rules = rules.collect::<Result<Vec<_>>>()?;
    let are_said = raw.languages.is_some() && raw.time_zones.is_some();
    for (n, rule) in rules.iter().enumerate() {
        let is_known = |page: &PageRule| matches!(page.copies, Copies::Known(_));
        if !rule.pages.is_empty() && raw.origins.is_empty() {
            return Err(Error::new(format!("rules[{n}]: pages need `origins`")));
        }
        if rule.pages.iter().any(is_known) && !are_said {
            let problem = "pages with `vary` need `languages` and `time_zones`; [] is none";
            return Err(Error::new(format!("rules[{n}]: {problem}")));
        }
    }
    Ok(Settings {
        release: raw.release.parse()?,
        caches: raw.caches,
        page_prefixes: raw.page_prefixes,
        origins: raw.origins,
        localities: localities(raw.languages, raw.time_zones),
        rules,
    })
}

fn check_origin(origin: &str) -> Result<()> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', ' ']) => Ok(()),
        _ => Err(Error::new(format!("{origin:?} is not like https://example.org:8000"))),
    }
}

fn localities(
    languages: Option<Vec<String>>,
    time_zones: Option<Vec<String>>,
) -> Vec<(Option<String>, Option<String>)> {
    let or_none = |list: Option<Vec<String>>| match list {
        Some(list) if !list.is_empty() => list.into_iter().map(Some).collect(),
        _ => vec![None],
    };
    let (languages, time_zones): (Vec<_>, Vec<_>) = (or_none(languages), or_none(time_zones));
    let pairs = |language: &Option<String>| {
        let pair = |zone: &Option<String>| (language.clone(), zone.clone());
        time_zones.iter().map(pair).collect::<Vec<_>>()
    };
    languages.iter().flat_map(pairs).collect()
}

fn rule(place: &str, value: Value) -> Result<Rule> {
    let raw: RawRule = section(place, value)?;
    let template =
        |text: &str| Template::parse(text).map_err(|error| Error::new(format!("{place}: {error}")));
    let templates =
        |texts: &[String]| texts.iter().map(|text| template(text)).collect::<Result<Vec<_>>>();
    let fragment = |raw: &RawFragment| {
        Ok(FragmentRule { name: raw.name.clone(), vary_on: templates(&raw.vary_on)? })
    };
    let page = |raw: RawPage| page(raw).map_err(|error| Error::new(format!("{place}: {error}")));
    let value = |raw: RawValue| {
        Ok(ValueRule { key: template(&raw.key)?, field: raw.field, ttl_s: raw.ttl_s })
    };
    let rule = Rule {
        fragments: raw.fragments.iter().map(fragment).collect::<Result<_>>()?,
        pages: raw.pages.into_iter().map(page).collect::<Result<_>>()?,
        keys: templates(&raw.keys)?,
        values: raw.values.into_iter().map(value).collect::<Result<_>>()?,
        model: raw.model,
        fields: raw.fields,
    };
    if rule.model.is_empty() {
        return Err(Error::new(format!("{place}: `model` is missing")));
    }
    let sizes = [rule.fragments.len(), rule.pages.len(), rule.keys.len(), rule.values.len()];
    if sizes.iter().sum::<usize>() == 0 {
        let problem = "names nothing; give it `fragments`, `pages`, `keys` or `values`";
        return Err(Error::new(format!("{place}: {problem}")));
    }
    Ok(rule)
}

fn page(raw: RawPage) -> Result<PageRule> {
    if !raw.path.starts_with('/') {
        return Err(Error::new(format!("{:?}: a path begins with /", raw.path)));
    }
    let (path, query) = match raw.path.split_once('?') {
        Some((path, query)) => (path, Some(Template::parse(query)?)),
        None => (raw.path.as_str(), None),
    };
    let copies = match raw.vary {
        Some(vary) => Copies::Known(copies(&raw.path, vary)?),
        None => Copies::Any,
    };
    Ok(PageRule { path: Template::parse(path)?, query, copies })
}

/// Every value of every field with every value of the others.
fn copies(path: &str, vary: BTreeMap<String, Vec<RawField>>) -> Result<Vec<Fields>> {
    let mut copies = vec![Fields::new()];
    for (name, values) in vary {
        let mut longer = Vec::new();
        for value in values {
            let value = match value {
                RawField::Given(text) => Some(text),
                RawField::Lacked(false) => None,
                RawField::Lacked(true) => {
                    let problem = "`true` is no value; `false` is: the request lacks the field";
                    return Err(Error::new(format!("{path:?}: {name}: {problem}")));
                }
            };
            let with = |copy: &Fields| [copy.clone(), vec![(name.clone(), value.clone())]].concat();
            longer.extend(copies.iter().map(with));
        }
        copies = longer;
        if copies.is_empty() {
            return Err(Error::new(format!("{path:?}: {name}: there must be one at least")));
        }
        if copies.len() > COPIES_MAX {
            let copies = copies.len();
            let problem = format!("`vary` makes {copies} copies or more; limit is {COPIES_MAX}");
            return Err(Error::new(format!("{path:?}: {problem}")));
        }
    }
    Ok(copies)
}

fn section<T: DeserializeOwned>(place: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::new(format!("{place}: {error}")))
}
