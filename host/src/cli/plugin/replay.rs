//! An access log, as the plugin's keys would have cached it.
//!
//! # Invariants
//! - It is an estimate, and says of what: a cache without end, of whatever is not bypassed, in
//!   which nothing is invalidated. Inputs that a log does not have count as absent.
//! - A log of which no line can be read is a mistake, not an estimate of nothing.
//!
//! # Not here
//! HTTP's own rules: a log does not have the fields that they look at.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::{PluginFailure, at, wrong};
use super::fixtures::key_text;
use super::say;
use crate::model::{RequestView, ResponseView};
use crate::pages::view_of_url;
use crate::plugins::{Subject, Workbench};

/// Addresses with the most variants that are told.
const FAN_OUTS: usize = 3;

/// Characters of a line that are shown where no line can be read.
const SHOWN_CHARS: usize = 200;

/// One line of a log (Apache's and nginx's common format; the combined one adds the last two).
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    unix_s: u64,
    method: &'a str,
    target: &'a str,
    status: u16,
    referer: Option<&'a str>,
    user_agent: Option<&'a str>,
}

#[derive(Default)]
struct Counts {
    requests: usize,
    /// Neither a request line nor a time, or another method than GET and HEAD.
    skipped: usize,
    /// The first that is no line of a log, and whether there are others that are.
    odd: Option<String>,
    is_log: bool,
    bypassed: usize,
    errors: usize,
    hits: usize,
    hits_within_ttl: usize,
    /// When what is stored under a key ends, in seconds since 1970.
    ends: HashMap<String, u64>,
    variants: HashMap<String, HashSet<String>>,
}

/// Replays the log and prints what came of it.
pub(super) fn run(bench: &Workbench, log: &Path, host: &str) -> Result<(), PluginFailure> {
    let mut subject = bench.subject()?;
    let mut counts = Counts::default();
    for line in BufReader::new(File::open(log).map_err(at(log))?).split(b'\n') {
        let line = line.map_err(at(log))?;
        let line = String::from_utf8_lossy(&line);
        if line.trim().is_empty() {
            continue;
        }
        let parsed = parse(&line);
        match &parsed {
            Some(_) => counts.is_log = true,
            None => _ = counts.odd.get_or_insert_with(|| line.to_string()),
        }
        let request = parsed.and_then(|line| {
            let asked = matches!(line.method, "GET" | "HEAD");
            let request = asked.then(|| view(bench, &line, host))??;
            Some((line, request))
        });
        match request {
            Some((line, request)) => counts.replay(bench, &mut subject, &line, &request),
            None => counts.skipped += 1,
        }
    }
    match counts.odd.take().filter(|_| !counts.is_log) {
        Some(odd) => Err(wrong(log, unreadable(&odd))),
        None => counts.tell(bench),
    }
}

fn unreadable(line: &str) -> String {
    let shown: String = line.trim().chars().take(SHOWN_CHARS).collect();
    format!("no line is of the common or combined format; the first is `{shown}`")
}

fn view(bench: &Workbench, line: &Line<'_>, host: &str) -> Option<RequestView> {
    let url = match line.target.starts_with('/') {
        true => format!("http://{host}{}", line.target),
        false => line.target.to_owned(),
    };
    let mut fields = HeaderMap::new();
    let logged = [(header::REFERER, line.referer), (header::USER_AGENT, line.user_agent)];
    for (name, value) in logged {
        let field: Option<(HeaderName, _)> =
            value.and_then(|value| Some((name, HeaderValue::from_str(value).ok()?)));
        fields.extend(field);
    }
    view_of_url(line.method, &url, &fields, bench.inputs()).ok()
}

impl Counts {
    fn replay(
        &mut self,
        bench: &Workbench,
        subject: &mut Subject<'_>,
        line: &Line<'_>,
        request: &RequestView,
    ) {
        self.requests += 1;
        let key = match key_text(subject, request) {
            Ok(Some(key)) => key,
            Ok(None) => {
                self.bypassed += 1;
                return;
            }
            Err(_) => {
                self.errors += 1;
                return;
            }
        };
        let address = format!("{}{}", request.host, request.path);
        self.variants.entry(address).or_default().insert(key.clone());
        if let Some(end) = self.ends.get(&key) {
            self.hits += 1;
            if line.unix_s < *end {
                self.hits_within_ttl += 1;
                return;
            }
        }
        let end = self.end(bench, subject, &key, line, request);
        self.ends.insert(key, end);
    }

    /// Until when the page would be kept that is stored now.
    fn end(
        &mut self,
        bench: &Workbench,
        subject: &mut Subject<'_>,
        key: &str,
        line: &Line<'_>,
        request: &RequestView,
    ) -> u64 {
        if !bench.has_tagger() {
            return u64::MAX;
        }
        let status = line.status;
        let response = ResponseView { status, headers: Vec::new(), body_bytes: None };
        match subject.on_store(key, request, &response) {
            Ok(decision) if !decision.store => 0,
            Ok(decision) => decision.ttl_s.map_or(u64::MAX, |ttl_s| line.unix_s + u64::from(ttl_s)),
            Err(_) => {
                self.errors += 1;
                0
            }
        }
    }

    fn tell(&self, bench: &Workbench) -> Result<(), PluginFailure> {
        let Self { requests, skipped, bypassed, errors, .. } = self;
        say(format_args!("replay: {requests} requests by GET and HEAD, {skipped} lines skipped"))?;
        say(format_args!("  {bypassed} bypassed, {errors} errors of the plugin"))?;
        say(format_args!("  {} distinct keys", self.ends.len()))?;
        let hits = percent(self.hits, *requests);
        say(format_args!("  hit ratio {hits} if everything is kept for ever"))?;
        if bench.has_tagger() {
            let hits = percent(self.hits_within_ttl, *requests);
            say(format_args!("  hit ratio {hits} within the lifetimes that on-store states"))?;
        }
        let mut addresses: Vec<(usize, &str)> = self
            .variants
            .iter()
            .map(|(address, keys)| (keys.len(), address.as_str()))
            .filter(|(keys, _)| *keys > 1)
            .collect();
        addresses.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        for (keys, address) in addresses.into_iter().take(FAN_OUTS) {
            say(format_args!("  {keys} keys for http://{address}"))?;
        }
        say("  assumed: no end of memory, no invalidation, absent: what a log does not have")
    }
}

fn percent(part: usize, whole: usize) -> String {
    match (part * 1_000).checked_div(whole) {
        None => "-".to_owned(),
        Some(tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// `host ident user [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 "referer" "agent"`
fn parse(line: &str) -> Option<Line<'_>> {
    let (_, rest) = line.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    let (request, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    let mut words = request.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut numbers = rest.trim_start().splitn(3, ' ');
    let status = numbers.next()?.parse().ok()?;
    let mut quoted = numbers.nth(1).unwrap_or_default().split('"');
    let mut field = || quoted.nth(1).filter(|text| !text.is_empty() && *text != "-");
    let (referer, user_agent) = (field(), field());
    Some(Line { unix_s: unix_s(time)?, method, target, status, referer, user_agent })
}

/// Seconds since 1970 of `10/Oct/2000:13:55:36 -0700`.
fn unix_s(time: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (time, zone) = time.split_once(' ')?;
    let mut parts = time.split(['/', ':']);
    let day: i64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)? + 1).ok()?;
    let mut number = || parts.next()?.parse::<i64>().ok().filter(|n| (0..=9_999).contains(n));
    let (year, hour, minute, second) = (number()?, number()?, number()?, number()?);
    let zone: i64 = zone.parse().ok().filter(|zone: &i64| zone.abs() <= 2_400)?;
    // Days of the civil calendar (Hinnant, "chrono-compatible low-level date algorithms").
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let east_of_utc = (zone / 100) * 3_600 + (zone % 100) * 60;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - east_of_utc;
    u64::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_and_combined_lines_are_read() {
        let common = "::1 - bob [10/Oct/2000:13:55:36 -0700] \"GET /a?b HTTP/1.0\" 200 2326";
        let line = Line {
            unix_s: 971_211_336,
            method: "GET",
            target: "/a?b",
            status: 200,
            referer: None,
            user_agent: None,
        };
        assert_eq!(parse(common), Some(line));
        let combined = format!("{common} \"http://r/\" \"Mozilla/5.0 (X11)\"");
        let line = parse(&combined).unwrap();
        assert_eq!((line.referer, line.user_agent), (Some("http://r/"), Some("Mozilla/5.0 (X11)")));
        let dashes = format!("{common} \"-\" \"curl\"");
        assert_eq!(parse(&dashes).map(|l| (l.referer, l.user_agent)), Some((None, Some("curl"))));
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (time, unix) in [
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("29/Feb/2024:12:00:00 +0100", 1_709_204_400),
            ("31/Dec/2026:23:59:59 +0000", 1_798_761_599),
        ] {
            assert_eq!(unix_s(time), Some(unix), "{time}");
        }
    }

    #[test]
    fn lines_of_another_kind_are_none() {
        for line in ["", "hello", "a - - [x] \"GET / HTTP/1.1\" 200 1", "a [01/Jan/1970"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
