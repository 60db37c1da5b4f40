//! `plugin check`: what a server would refuse, and keys that are not the request's alone.
//!
//! # Invariants
//! - A plugin that passes loads into a server with the same settings.
//! - An error that a plugin returns is told and no finding: having no answer is its right.
//!
//! # Not here
//! How fast it is: `bench`. Whether its answers are right: `test`.

use std::collections::HashSet;
use std::fmt::Debug;

use super::component::ComponentArgs;
use super::error::{PluginFailure, at};
use super::generated::Generator;
use super::say;
use crate::model::{Input, Key, KeyDecision, RequestView};
use crate::plugins::{CallError, Subject, Workbench};

const REQUESTS: usize = 1_000;
const STORES: usize = 200;
const EVENTS: usize = 100;
const ITEMS: usize = 20;

/// Examples of one kind that are told; more say nothing new.
const EXAMPLES: usize = 3;

/// Calls that end badly until a hook is left alone: each may take all the time it has.
const BAD_ENDS_MAX: usize = 5;

/// What one hook did.
#[derive(Default)]
struct Tally {
    answers: usize,
    /// Errors that the plugin returned.
    errors: usize,
    last_error: String,
    /// Calls that were stopped, trapped, or answered outside the limits.
    bad_ends: usize,
    findings: Vec<String>,
}

impl Tally {
    /// Counts an answer. A call that ended the instance, or an answer outside the limits, is a
    /// finding.
    fn count<T>(&mut self, asked: impl Fn() -> String, answer: &Result<T, CallError>) {
        match answer {
            Ok(_) => self.answers += 1,
            Err(CallError::Guest(text)) => {
                self.errors += 1;
                self.last_error.clone_from(text);
            }
            Err(error) => {
                self.bad_ends += 1;
                self.findings.push(format!("{}: {error}", asked()));
            }
        }
    }

    /// Whether more calls would say nothing new.
    fn is_enough(&self) -> bool {
        self.bad_ends >= BAD_ENDS_MAX
    }

    fn tell(&self, row: &str, what: &str) -> Result<(), PluginFailure> {
        line(row, what)?;
        if self.errors > 0 {
            line("", &format!("{} have no answer, such as: {}", self.errors, self.last_error))?;
        }
        for finding in self.findings.iter().take(EXAMPLES) {
            line("", &format!("finding: {finding}"))?;
        }
        let more = self.findings.len().saturating_sub(EXAMPLES);
        if more > 0 {
            line("", &format!("and {more} more"))?;
        }
        Ok(())
    }
}

/// Checks the component and prints a table.
pub(super) fn run(args: &ComponentArgs) -> Result<(), PluginFailure> {
    let bytes = std::fs::metadata(&args.file).map_err(at(&args.file))?.len();
    let bench = args.settings.open(&args.file)?;
    line("component", &format!("{bytes} bytes, sha256 {}", bench.sha256()))?;
    line("imports", &format!("{}, all of them granted", bench.imports().len()))?;
    line("hooks", &hooks(&bench))?;
    let (version, epoch) = (bench.version(), bench.key_epoch());
    line("describes", &format!("version {version}, key epoch {epoch}"))?;
    line("inputs", &inputs(bench.inputs()))?;
    if !bench.item_prefixes().is_empty() {
        line("items", &bench.item_prefixes().join(", "))?;
    }
    let (mut a, mut b) = (bench.subject()?, bench.subject()?);
    let mut generator = Generator::new(bench.inputs());
    let requests: Vec<RequestView> = (0..REQUESTS).map(|_| generator.request()).collect();
    let mut findings = 0;
    if bench.has_keyer() {
        findings += keys(&mut a, &mut b, &requests, &mut generator)?;
    }
    if bench.has_tagger() {
        findings += stores(&mut a, &mut b, &requests, &mut generator)?;
        findings += items(&mut a, bench.item_prefixes())?;
    }
    if bench.has_invalidator() {
        findings += events(&mut a, &mut generator)?;
    }
    let memory = a.memory_bytes().max(b.memory_bytes());
    let limit = args.source().limits.memory_bytes_max;
    line("memory", &format!("{memory} bytes after that; limit of each memory is {limit}"))?;
    match findings {
        0 => line("result", "no finding"),
        count => Err(PluginFailure::Findings { count }),
    }
}

/// The same requests to two fresh instances in two orders: a key that differs depends on something
/// else than its request.
fn keys(
    a: &mut Subject<'_>,
    b: &mut Subject<'_>,
    requests: &[RequestView],
    generator: &mut Generator,
) -> Result<usize, PluginFailure> {
    let mut tally = Tally::default();
    let mut first = Vec::with_capacity(requests.len());
    for request in requests {
        let answer = a.cache_key(request);
        tally.count(|| format!("key of {}", shown(request)), &answer);
        first.push(answer);
        if tally.is_enough() {
            break;
        }
    }
    for index in generator.shuffled(first.len()) {
        if let (Some(request), Some(before)) = (requests.get(index), first.get(index)) {
            differing(&mut tally, || shown(request), before, &b.cache_key(request));
        }
    }
    let distinct: HashSet<&[u8]> = first.iter().filter_map(custom).collect();
    let bypassed = first.iter().filter(|key| matches!(key, Ok(KeyDecision::Bypass))).count();
    let what = format!(
        "{} generated requests to two instances in two orders: {} keys of its own, {bypassed} \
         bypassed",
        requests.len(),
        distinct.len()
    );
    tally.tell("keys", &what)?;
    Ok(tally.findings.len())
}

fn custom(key: &Result<KeyDecision, CallError>) -> Option<&[u8]> {
    match key {
        Ok(KeyDecision::Custom(key)) => Some(key.as_bytes()),
        _ => None,
    }
}

fn differing<T: PartialEq + Debug>(
    tally: &mut Tally,
    asked: impl Fn() -> String,
    first: &Result<T, CallError>,
    second: &Result<T, CallError>,
) {
    if first != second {
        let told = |answer: &Result<T, CallError>| match answer {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => error.to_string(),
        };
        let (first, second) = (told(first), told(second));
        tally.findings.push(format!("{}: once {first}, once {second}", asked()));
    }
}

fn stores(
    a: &mut Subject<'_>,
    b: &mut Subject<'_>,
    requests: &[RequestView],
    generator: &mut Generator,
) -> Result<usize, PluginFailure> {
    let mut tally = Tally::default();
    for request in requests.iter().take(STORES) {
        let response = generator.response();
        let asked = || format!("on-store of {}", shown(request));
        let first = a.on_store("check", request, &response);
        tally.count(asked, &first);
        differing(&mut tally, asked, &first, &b.on_store("check", request, &response));
        if tally.is_enough() {
            break;
        }
    }
    tally.tell("pages", &format!("{STORES} generated responses to the same instances"))?;
    Ok(tally.findings.len())
}

fn items(subject: &mut Subject<'_>, prefixes: &[String]) -> Result<usize, PluginFailure> {
    let mut tally = Tally::default();
    for prefix in prefixes {
        for number in 0..ITEMS {
            if tally.is_enough() {
                break;
            }
            let text = format!("{prefix}{number}");
            let Ok(key) = Key::new(text.as_bytes()) else { continue };
            let answer = subject.on_item(&key, 0, 100);
            tally.count(|| format!("on-item of {text}"), &answer);
        }
    }
    if !prefixes.is_empty() {
        tally.tell("items", &format!("{} keys for each prefix", ITEMS))?;
    }
    Ok(tally.findings.len())
}

fn events(subject: &mut Subject<'_>, generator: &mut Generator) -> Result<usize, PluginFailure> {
    let mut tally = Tally::default();
    for _ in 0..EVENTS {
        let event = generator.event();
        let answer = subject.on_event(&event);
        tally.count(|| format!("on-event of {} {:?}", event.model, event.object_id), &answer);
        if tally.is_enough() {
            break;
        }
    }
    tally.tell("events", &format!("{EVENTS} generated events"))?;
    Ok(tally.findings.len())
}

fn hooks(bench: &Workbench) -> String {
    let hooks = [
        ("cache-key", bench.has_keyer()),
        ("on-store", bench.has_tagger()),
        ("on-item", bench.has_tagger()),
        ("on-event", bench.has_invalidator()),
    ];
    let has: Vec<&str> = hooks.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
    if has.is_empty() { "none".to_owned() } else { has.join(", ") }
}

fn inputs(inputs: &[Input]) -> String {
    let named: Vec<String> = inputs
        .iter()
        .map(|input| match input {
            Input::Header(name) => format!("header {name}"),
            Input::Cookie(name) => format!("cookie {name}"),
            Input::QueryParam(name) => format!("query {name}"),
        })
        .collect();
    if named.is_empty() { "none".to_owned() } else { named.join(", ") }
}

fn shown(request: &RequestView) -> String {
    let RequestView { method, host, path, query, inputs } = request;
    let query = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let inputs: Vec<String> = inputs
        .iter()
        .map(|input| input.as_deref().map_or("-".to_owned(), |text| format!("{text:.20}")))
        .collect();
    format!("{method} http://{host}{path}{query} [{}]", inputs.join(" | "))
}

/// A row of the table.
fn line(row: &str, text: &str) -> Result<(), PluginFailure> {
    say(format_args!("{row:<11}{text}"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cli::plugin::component::SettingsArgs;

    fn check(file: PathBuf, setting: Option<(&str, &str)>) -> Result<(), PluginFailure> {
        let config = setting.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (config, off) = (config.into_iter().collect(), Some("off".into()));
        let settings = SettingsArgs { config, memory: None, plugin_cache: off };
        run(&ComponentArgs { file, settings })
    }

    fn hostile_set(setting: Option<(&str, &str)>) -> Result<(), PluginFailure> {
        check(PathBuf::from(env!("WASMCACHED_GUEST_HOSTILE")), setting)
    }

    fn hostile(mode: &str) -> Result<(), PluginFailure> {
        hostile_set(Some(("mode", mode)))
    }

    fn of_text(wat: &str) -> PluginFailure {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), wat::parse_str(wat).unwrap()).unwrap();
        check(file.path().to_owned(), None).unwrap_err()
    }

    #[test]
    fn a_plugin_that_behaves_has_no_finding() {
        hostile_set(None).unwrap();
    }

    #[test]
    fn keys_that_depend_on_earlier_calls_are_found() {
        let found = hostile("count").unwrap_err();
        // A third of the requests has no field that says something else.
        assert!(matches!(found, PluginFailure::Findings { count } if count > 300), "{found}");
    }

    #[test]
    fn traps_and_answers_beyond_the_limits_are_found() {
        for mode in ["trap", "huge-return", "bad-tag"] {
            let found = hostile(mode).unwrap_err();
            assert!(matches!(found, PluginFailure::Findings { .. }), "{mode}: {found}");
        }
    }

    #[test]
    fn an_error_that_the_plugin_returns_is_no_finding() {
        hostile("error").unwrap();
    }

    #[test]
    fn refused_settings_and_imports_are_told_as_a_server_tells_them() {
        let refused = hostile_set(Some(("start", "refuse-configuration"))).unwrap_err().to_string();
        assert!(refused.ends_with("configure: this configuration is refused"), "{refused}");
        let imports = of_text("(component (import \"wasi:http/types@0.2.0\" (instance)))");
        let told = "imports wasi:http/types@0.2.0, which plugins are not given";
        assert!(imports.to_string().ends_with(told), "{imports}");
        let module = of_text("(module)").to_string();
        assert!(module.contains("it is a core module"), "{module}");
    }
}
