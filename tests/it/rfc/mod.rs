//! What the RFCs of HTTP caching require, row by row: `tests/rfc/*.txt` against the real binary.
//!
//! Every row that fails is reported, not only the first. The format is described in `script`.

mod script;
mod wire;

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use parking_lot::Mutex;
use wasmcached_tests::wait::{eventually_or_not, unix_s};
use wasmcached_tests::{Server, settings};

use script::{Came, Exchange, Expected, Row, Scripted, filled};
use wire::{Message, Parts};

/// Rows that run at a time.
const THREADS: usize = 4;

/// Sites beside the one with the defaults, each with its rules.
const SITES: [(&str, &str); 4] = [
    ("honour", "honour_clients = true"),
    (
        "visitors",
        "cookies = [\"lang\"]\nprivate_cookies = [\"sessionid\"]\nlanguages = [\"en\", \"de\"]",
    ),
    (
        "loose",
        "store_set_cookie = true\nstore_close_delimited = true\npass_tag_fields = true\n\
         default_ttl = \"60s\"\nshow_keys = true",
    ),
    (
        "ours",
        "targeted_fields = [\"Ours-Cache-Control\", \"CDN-Cache-Control\"]\n\
         stale_if_error = \"0s\"",
    ),
];

fn configuration(origin: SocketAddr) -> String {
    let mut text = format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n\n[[sites]]\norigin = \"http://{origin}\"\n",
        settings::plain()
    );
    for (name, rules) in SITES {
        write!(
            text,
            "\n[[sites]]\nhost = \"{name}.test\"\norigin = \"http://{origin}\"\n\
             [sites.cache]\n{rules}\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn requirements_of_the_rfcs_hold() {
    let parts = Parts::default();
    let origin = wire::start_origin(&parts);
    let server = Server::start(&configuration(origin));
    let address: SocketAddr = server.address("pages").parse().unwrap();
    let rows: Mutex<VecDeque<Row>> = Mutex::new(all_rows().into());
    let count = rows.lock().len();
    assert!(count > 200, "only {count} rows were found");
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(row) = rows.lock().pop_front() else { return };
                    if let Err(failure) = run(&row, address, &parts) {
                        failures.lock().push(format!("{} {}\n    {failure}", row.place, row.title));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner();
    failures.sort();
    let (failed, all) = (failures.len(), failures.join("\n"));
    assert!(failures.is_empty(), "{failed} of {count} rows fail\n{all}");
}

fn all_rows() -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rfc");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let rows = files.iter().flat_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        script::parse(&name, &std::fs::read_to_string(path).unwrap())
    });
    rows.collect()
}

/// What a row needs while it runs.
struct Run<'a> {
    parts: &'a Parts,
    address: SocketAddr,
    host: String,
    /// The first segment of its paths.
    segment: String,
    now_s: u64,
    /// The bodies of the origin's answers so far.
    bodies: Vec<String>,
}

fn run(row: &Row, address: SocketAddr, parts: &Parts) -> Result<(), String> {
    let host = row.site.as_ref().map_or(address.to_string(), |site| format!("{site}.test"));
    let segment = row.place.replace(['.', ':'], "-");
    let now_s = unix_s();
    let mut run = Run { parts, address, host, segment, now_s, bodies: Vec::new() };
    for (index, exchange) in row.exchanges.iter().enumerate() {
        let told = |failure: String| format!("request {}: {failure}", index + 1);
        run.play(exchange).map_err(told)?;
    }
    let part = parts.lock().remove(&run.segment).unwrap_or_default();
    match (part.answers.len(), part.surprises) {
        (0, 0) => Ok(()),
        (left, 0) => Err(format!("{left} answers of the origin were not asked for")),
        (_, surprises) => Err(format!("the origin was asked {surprises} times more than scripted")),
    }
}

impl Run<'_> {
    fn fill(&self, text: &str) -> String {
        filled(text, &format!("/{}", self.segment), &self.host, self.now_s)
    }

    fn play(&mut self, exchange: &Exchange) -> Result<(), String> {
        for answer in &exchange.answers {
            let number = self.bodies.len() + 1;
            let body = answer.body.as_deref().map_or(format!("body {number}"), |b| self.fill(b));
            self.bodies.push(body.clone());
            let fields = answer.fields.iter().map(|(name, value)| (name.clone(), self.fill(value)));
            let answer = Scripted { fields: fields.collect(), ..answer.clone() };
            let mut parts = self.parts.lock();
            let part = parts.entry(self.segment.clone()).or_default();
            part.is_down = false;
            part.answers.push_back((answer, body));
        }
        if !exchange.is_repeated {
            return self.ask(exchange);
        }
        let mut found = Ok(());
        eventually_or_not(|| {
            found = self.ask(exchange);
            found.is_ok()
        });
        found
    }

    fn ask(&self, exchange: &Exchange) -> Result<(), String> {
        let asked_before = self.asked().len();
        let request = self.request(exchange);
        let may_break = exchange.expected.iter().any(is_broken_off);
        // Broken off before its head is broken off too.
        let answer = wire::ask(self.address, request.as_bytes())
            .or_else(|| may_break.then(Message::default))
            .ok_or("no answer")?;
        let asked = self.asked();
        let asked = asked.get(asked_before..).unwrap_or_default();
        let shown = || format!("{} {:?} {:?}", answer.line, answer.fields, text_of(&answer.body));
        if exchange.status.is_some_and(|status| answer.status() != Some(status)) {
            return Err(format!("status is not {:?}: {}", exchange.status, shown()));
        }
        let is_hit = answer.field("cache-status").is_some_and(|status| {
            status.rsplit(',').next().unwrap_or("").split(';').any(|part| part.trim() == "hit")
        });
        match exchange.came {
            Some(Came::Miss) if asked.is_empty() || is_hit => {
                return Err(format!("the origin was not asked: {}", shown()));
            }
            // What is scripted beside a hit is for the refresh behind it.
            Some(Came::Hit) if !asked.is_empty() && exchange.answers.is_empty() => {
                return Err(format!("the origin was asked: {:?}, {}", asked, shown()));
            }
            _ => {}
        }
        for expected in &exchange.expected {
            self.check(expected, &answer).map_err(|failure| format!("{failure}: {}", shown()))?;
        }
        for expected in &exchange.sent {
            let sent = asked.last().ok_or("the origin was not asked")?;
            self.check(expected, sent)
                .map_err(|failure| format!("origin's request: {failure}: {sent:?}"))?;
        }
        Ok(())
    }

    fn asked(&self) -> Vec<Message> {
        self.parts.lock().get(&self.segment).map(|part| part.asked.clone()).unwrap_or_default()
    }

    fn request(&self, exchange: &Exchange) -> String {
        let (method, path) = (&exchange.method, self.fill(&exchange.path));
        let target = match path.strip_prefix("abs") {
            Some(path) => format!("http://{}/{}{path}", self.host, self.segment),
            None => format!("/{}{path}", self.segment),
        };
        let mut text = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        if !exchange.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            write!(text, "Host: {}\r\n", self.host).unwrap();
        }
        for (name, value) in &exchange.fields {
            write!(text, "{name}: {}\r\n", self.fill(value)).unwrap();
        }
        match &exchange.body {
            Some(body) => write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap(),
            None => text.push_str("\r\n"),
        }
        text
    }

    fn check(&self, expected: &Expected, message: &Message) -> Result<(), String> {
        let holds = match expected {
            Expected::Field(name, value) => {
                message.field(name).as_deref() == Some(self.fill(value).as_str())
            }
            Expected::Part(name, part) => {
                message.field(name).is_some_and(|found| found.contains(&self.fill(part)))
            }
            Expected::Absent(name) if name == "whole" => !message.is_whole,
            Expected::Absent(name) => message.field(name).is_none(),
            Expected::Body(text) => message.body == self.fill(text).as_bytes(),
            Expected::BodyOf(number) => {
                let wanted = self.bodies.get(number.wrapping_sub(1));
                wanted.is_some_and(|body| body.as_bytes() == message.body)
            }
        };
        if holds { Ok(()) } else { Err(format!("{expected:?} does not hold")) }
    }
}

/// Whether an answer is expected not to come whole.
fn is_broken_off(expected: &Expected) -> bool {
    matches!(expected, Expected::Absent(name) if name == "whole")
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn rows_are_read_as_they_are_written() {
    let text = "# 1 a\n@ ours\n> GET /x\n> a: b\n< 200\n< c: d\n< | text\n= 200 miss\n= c: d\n\
                = e!\n= c~d\n+ 2 b | 404 && c: {now-1} | f: g => hit\n";
    let rows = script::parse("f.txt", text);
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].site.as_deref(), rows[0].exchanges.len()), (Some("ours"), 1));
    let first = &rows[0].exchanges[0];
    assert_eq!((first.fields.len(), first.answers.len(), first.expected.len()), (1, 1, 3));
    assert_eq!((rows[1].exchanges.len(), rows[1].place.as_str()), (2, "f.txt:12"));
    assert_eq!(filled("{path}|{850 now}|{asctime now}|{3*a}", "/p", "h", 784_111_777), {
        "/p|Sunday, 06-Nov-94 08:49:37 GMT|Sun Nov  6 08:49:37 1994|aaa"
    });
}
