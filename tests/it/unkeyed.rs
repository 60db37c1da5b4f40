//! Request fields and what they may change: whatever one visitor sends must not be seen by another
//! in a page that was not selected by it.
//!
//! # Invariants
//! - The origin is the worst there is: its page is all it was asked with.
//! - Each field is tried alone and with each other one.
//!
//! # Not here
//! Fields that an origin builds its page from without naming them in `Vary` are its own business
//! (RFC 9110 §12.5.5), but for those that are known to make it see another address, method or
//! client than the key has.

use std::fmt::Write;

use wasmcached_tests::origin::{Request, Response};
use wasmcached_tests::raw::Wire;
use wasmcached_tests::{Origin, Server, settings};

/// What must become of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// What the client sent never reaches the origin of a page that is kept.
    Ends,
    /// It reaches the origin, which names it in `Vary` if it matters.
    Passes,
}

use Rule::{Ends, Passes};

/// Names, values that nothing else sends, and rules.
const FIELDS: [(&str, &str, Rule); 54] = [
    ("Forwarded", "for=203.0.113.1;host=mark-a-.example", Ends),
    ("X-Forwarded-For", "203.0.113.2", Ends),
    ("X-Forwarded-Host", "mark-b-.example", Ends),
    ("X-Forwarded-Proto", "mark-c-", Ends),
    ("X-Forwarded-Protocol", "mark-d-", Ends),
    ("X-Forwarded-Scheme", "mark-e-", Ends),
    ("X-Forwarded-Ssl", "mark-f-", Ends),
    ("X-Forwarded-Port", "60001", Ends),
    ("X-Forwarded-Server", "mark-g-.example", Ends),
    ("X-Forwarded-Path", "/mark-h-", Ends),
    ("X-Forwarded-Uri", "/mark-i-", Ends),
    ("X-Forwarded-Prefix", "/mark-j-", Ends),
    ("X_Forwarded_Host", "mark-k-.example", Ends),
    ("X-Original-URL", "/mark-l-", Ends),
    ("X-Original-Host", "mark-m-.example", Ends),
    ("X-Rewrite-URL", "/mark-n-", Ends),
    ("X-Host", "mark-o-.example", Ends),
    ("X-HTTP-Method-Override", "MARK-P-", Ends),
    ("X-HTTP-Method", "MARK-Q-", Ends),
    ("X-Method-Override", "MARK-R-", Ends),
    ("X-Real-IP", "203.0.113.3", Ends),
    ("X-URL-Scheme", "mark-s-", Ends),
    ("Front-End-Https", "mark-t-", Ends),
    ("Connection", "mark-u-", Ends),
    ("Keep-Alive", "mark-v-", Ends),
    ("Proxy-Connection", "mark-w-", Ends),
    ("Proxy-Authorization", "mark-x-", Ends),
    ("TE", "mark-y-", Ends),
    ("Trailer", "mark-z-", Ends),
    ("Upgrade", "evil-upgrade", Ends),
    ("Range", "bytes=70001-70002", Ends),
    ("If-Range", "\"evil-range\"", Ends),
    ("If-Match", "\"evil-match\"", Ends),
    ("If-None-Match", "\"evil-none\"", Ends),
    ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", Ends),
    ("If-Unmodified-Since", "Mon, 07 Nov 2044 08:49:38 GMT", Ends),
    ("Via", "1.1 evil-via", Passes),
    ("CDN-Loop", "evil-loop", Passes),
    ("Authorization", "Bearer evil-token", Ends),
    ("Cookie", "session=evil-cookie", Passes),
    ("Accept", "text/evil", Passes),
    ("Accept-Charset", "evil-charset", Passes),
    ("Accept-Encoding", "evil-coding", Passes),
    ("Accept-Language", "xx-evil", Passes),
    ("Cache-Control", "evil-directive", Passes),
    ("From", "evil@example", Passes),
    ("Origin", "http://evil-origin.example", Passes),
    ("Pragma", "evil-pragma", Passes),
    ("Referer", "http://evil-referer.example/", Passes),
    ("Sec-CH-UA-Platform", "evil-platform", Passes),
    ("Sec-Fetch-Site", "evil-site", Passes),
    ("Sec-GPC", "evil-gpc", Passes),
    ("User-Agent", "evil-agent", Passes),
    ("X-Requested-With", "evil-request", Passes),
];

/// All that a request has, as a page; `/vary` names every field of it that the table has.
fn echo(request: &Request) -> Response {
    let mut seen = format!("{} {}\n", request.method, request.target);
    for (name, value) in &request.headers {
        writeln!(seen, "{name}: {value}").unwrap();
    }
    // Not `public`, which would let others have an answer to Authorization (RFC 9111 §3.5).
    let page = Response::new(200, seen).with("cache-control", "max-age=3600");
    match request.target.strip_prefix("/vary/") {
        None => page,
        // The names are the path.
        Some(names) => page.with("vary", &names.replace('/', ", ")),
    }
}

struct Visitor {
    wire: Wire,
}

impl Visitor {
    /// Status, head and body of an answer on a connection that stays open.
    fn get(&mut self, path: &str, fields: &str) -> (String, String) {
        self.wire.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n"));
        let head = self.wire.read_head().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let is_empty = head.starts_with("http/1.1 304");
        let length = length.and_then(|text| text.parse().ok()).filter(|_| !is_empty).unwrap_or(0);
        let body = self.wire.read_bytes(length);
        (head, String::from_utf8_lossy(&body).into_owned())
    }
}

struct Stage {
    origin: Origin,
    server: Server,
}

impl Stage {
    fn new() -> Self {
        let origin = Origin::start(echo);
        let server = Server::start(&format!(
            "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n[[sites]]\nname = \"a\"\norigin = \"{}\"\n",
            settings::plain(),
            origin.url()
        ));
        Self { origin, server }
    }

    /// Every connection begins anew: what one closes is not the next one's business.
    fn visitor(&self) -> Visitor {
        Visitor { wire: Wire::connect(self.server.address("pages")) }
    }
}

/// Every field alone, and with each other one.
fn pairs() -> Vec<Vec<usize>> {
    let all = 0..FIELDS.len();
    let alone = all.clone().map(|one| vec![one]);
    let two =
        all.clone().flat_map(|one| (one + 1..FIELDS.len()).map(move |other| vec![one, other]));
    alone.chain(two).collect()
}

/// One visitor with the fields, then one without; `judge` is told what the second one sees of the
/// first one's.
fn try_all(prefix: &str, judge: impl Fn(Rule) -> bool) {
    let stage = Stage::new();
    let mut failed = String::new();
    let mut shared = 0;
    for pair in pairs() {
        let chosen: Vec<_> = pair.iter().map(|index| FIELDS[*index]).collect();
        let names: Vec<&str> = chosen.iter().map(|(name, ..)| *name).collect();
        let path = format!("{prefix}{}", names.join("/"));
        let fields: String =
            chosen.iter().map(|(name, value, _)| format!("{name}: {value}\r\n")).collect();
        stage.visitor().get(&path, &fields);
        let (head, body) = stage.visitor().get(&path, "");
        shared += usize::from(head.contains("; hit;"));
        for (name, value, rule) in &chosen {
            if body.contains(value) && !judge(*rule) {
                writeln!(failed, "{names:?}: {name} of the first is seen by the second").unwrap();
            }
        }
        if !head.starts_with("http/1.1 200 ") {
            writeln!(failed, "{names:?}: the second is answered {head:?}").unwrap();
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
    assert!(shared > FIELDS.len(), "only {shared} pages were shared: nothing was tried");
    assert!(stage.origin.requests().len() > pairs().len());
}

#[test]
fn field_that_makes_the_origin_see_another_request_never_changes_what_others_see() {
    try_all("/", |rule| rule == Passes);
}

#[test]
fn field_that_the_origin_names_in_vary_never_changes_what_others_see() {
    try_all("/vary/", |_| false);
}

#[test]
fn fields_of_the_proxy_can_not_be_taken_away_by_naming_them_in_connection() {
    let stage = Stage::new();
    let own = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via"];
    for name in own {
        let fields = format!("Connection: {name}\r\n{name}: evil\r\n");
        stage.visitor().get(&format!("/{name}"), &fields);
    }
    for (request, name) in stage.origin.requests().iter().zip(own) {
        let seen: Vec<_> = request.headers.iter().filter(|(known, _)| known == name).collect();
        assert!(seen.len() == 1 && !seen[0].1.contains("evil"), "{name}: {seen:?}");
    }
    assert_eq!(stage.origin.requests().len(), own.len());
}
