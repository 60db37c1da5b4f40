//! The requirements as text: what the files in `tests/rfc` say, line by line.
//!
//! ```text
//! # TITLE                   a row begins; the section of the RFC first
//! @ SITE                    it is asked for at the host `SITE.test`
//! > GET /PATH               a request; `>>` repeats it until all it expects holds
//! > NAME: VALUE             one of its fields
//! > | TEXT                  its body
//! < 200                     the origin's answer to it, should it be asked; or several, in order
//! < NAME: VALUE             one of its fields
//! < | TEXT                  its body; otherwise `body N`, for the Nth answer of the row
//! < close|chunked|short|cut it ends with the connection, its last chunk, too early, or never
//! < reset                   no answer: the connection ends, also of further requests
//! ^ NAME: VALUE             the origin was sent this field; `^ NAME!` it was not
//! = 200 hit|miss            the status, and whether the origin was asked
//! = NAME: VALUE             a field of the answer; `~` for `:` a part of it; `NAME!` none
//! = | TEXT                  its body; `= body N` that of the Nth answer
//! = whole!                  it breaks off
//! + TITLE | 200 && NAME: VALUE [| NAME: VALUE] => hit|miss
//!                           a whole row: GET twice, with these fields, first answered so
//! ```
//!
//! `{now+60}` is a date, `{850 now}` and `{asctime now}` the older forms, `{path}` what every path
//! of the row begins with, `{host}` the authority, and `{N*TEXT}` a text N times.

/// One requirement.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// File and line.
    pub(super) place: String,
    pub(super) title: String,
    pub(super) site: Option<String>,
    pub(super) exchanges: Vec<Exchange>,
}

/// A request, what the origin answers, and what is expected of all of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) is_repeated: bool,
    pub(super) answers: Vec<Scripted>,
    pub(super) sent: Vec<Expected>,
    pub(super) status: Option<u16>,
    pub(super) came: Option<Came>,
    pub(super) expected: Vec<Expected>,
}

/// Where an answer is to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Hit,
    Miss,
}

/// What the origin answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripted {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) end: End,
}

/// How an answer of the origin ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Length,
    Close,
    Chunked,
    /// Fewer bytes than announced.
    Short,
    /// Chunks without the last.
    Cut,
    /// No answer at all.
    Reset,
}

/// What a message is to have.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    Field(String, String),
    Part(String, String),
    Absent(String),
    Body(String),
    /// The body of the Nth answer of the row.
    BodyOf(usize),
}

/// All rows of a file.
pub(super) fn parse(file: &str, text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", index + 1);
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "" | "//" => {}
            "#" => rows.push(Row { place, title: rest.to_owned(), ..Row::default() }),
            "+" => rows.push(short_row(place, rest)),
            _ => {
                let row = rows.last_mut().unwrap_or_else(|| panic!("{place}: no row yet"));
                note(row, mark, rest, &place);
            }
        }
    }
    rows
}

fn note(row: &mut Row, mark: &str, rest: &str, place: &str) {
    if mark == "@" {
        row.site = Some(rest.to_owned());
        return;
    }
    let is_request = mark.starts_with('>') && !rest.starts_with('|') && !rest.contains(": ");
    if is_request {
        let (method, path) = rest.split_once(' ').unwrap_or_else(|| panic!("{place}: no path"));
        let (method, path, is_repeated) = (method.to_owned(), path.to_owned(), mark == ">>");
        row.exchanges.push(Exchange { method, path, is_repeated, ..Exchange::default() });
        return;
    }
    let exchange = row.exchanges.last_mut().unwrap_or_else(|| panic!("{place}: no request yet"));
    match mark {
        ">" => match rest.strip_prefix("| ") {
            Some(body) => exchange.body = Some(body.to_owned()),
            None => exchange.fields.push(field(rest, place)),
        },
        "<" => note_answer(&mut exchange.answers, rest, place),
        "^" => exchange.sent.push(expected(rest, place)),
        "=" => {
            let mut words = rest.split(' ');
            let status = words.next().and_then(|word| word.parse().ok());
            match status {
                Some(status) => {
                    exchange.status = Some(status);
                    exchange.came = words.next().map(|word| came(word, place));
                }
                None => exchange.expected.push(expected(rest, place)),
            }
        }
        _ => panic!("{place}: {mark} means nothing"),
    }
}

fn note_answer(answers: &mut Vec<Scripted>, rest: &str, place: &str) {
    if let Ok(status) = rest.parse() {
        answers.push(Scripted { status, ..Scripted::default() });
        return;
    }
    if rest == "reset" {
        answers.push(Scripted { end: End::Reset, ..Scripted::default() });
        return;
    }
    let answer = answers.last_mut().unwrap_or_else(|| panic!("{place}: no status yet"));
    match rest {
        "close" => answer.end = End::Close,
        "chunked" => answer.end = End::Chunked,
        "short" => answer.end = End::Short,
        "cut" => answer.end = End::Cut,
        _ => match rest.strip_prefix("| ") {
            Some(body) => answer.body = Some(body.to_owned()),
            None => answer.fields.push(field(rest, place)),
        },
    }
}

fn field(text: &str, place: &str) -> (String, String) {
    let (name, value) =
        text.split_once(':').unwrap_or_else(|| panic!("{place}: `{text}` is no field"));
    (name.trim().to_owned(), value.trim().to_owned())
}

fn came(word: &str, place: &str) -> Came {
    match word {
        "hit" => Came::Hit,
        "miss" => Came::Miss,
        _ => panic!("{place}: `{word}` is neither hit nor miss"),
    }
}

fn expected(text: &str, place: &str) -> Expected {
    if let Some(name) = text.strip_suffix('!') {
        return Expected::Absent(name.to_owned());
    }
    if let Some(body) = text.strip_prefix("| ") {
        return Expected::Body(body.to_owned());
    }
    if let Some(number) = text.strip_prefix("body ") {
        return Expected::BodyOf(number.parse().unwrap_or_else(|_| panic!("{place}: {text}")));
    }
    match (text.split_once(':'), text.split_once('~')) {
        (Some((name, value)), None) => Expected::Field(name.to_owned(), value.trim().to_owned()),
        (Some((name, _)), Some((part_name, part))) if part_name.len() < name.len() => {
            Expected::Part(part_name.to_owned(), part.trim().to_owned())
        }
        (Some((name, value)), _) => Expected::Field(name.to_owned(), value.trim().to_owned()),
        (None, Some((name, part))) => Expected::Part(name.to_owned(), part.trim().to_owned()),
        (None, None) => panic!("{place}: `{text}` expects nothing"),
    }
}

fn short_row(place: String, text: &str) -> Row {
    let (text, outcome) = text.rsplit_once(" => ").unwrap_or_else(|| panic!("{place}: no outcome"));
    let mut parts = text.split(" | ");
    let title = parts.next().unwrap_or_default().to_owned();
    let answer = parts.next().unwrap_or_else(|| panic!("{place}: no answer"));
    let fields: Vec<_> = match parts.next() {
        Some(fields) => fields.split(" && ").map(|text| field(text, &place)).collect(),
        None => Vec::new(),
    };
    let mut answers = Vec::new();
    answer.split(" && ").for_each(|part| note_answer(&mut answers, part, &place));
    let first = Exchange {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        fields,
        status: answers.first().map(|answer| answer.status),
        answers,
        came: Some(Came::Miss),
        ..Exchange::default()
    };
    let mut second = Exchange { answers: Vec::new(), ..first.clone() };
    second.came = Some(came(outcome.trim(), &place));
    match second.came {
        Some(Came::Hit) => second.expected.push(Expected::BodyOf(1)),
        _ => {
            let status = second.status.unwrap_or(200);
            second.answers.push(Scripted { status, ..Scripted::default() });
            second.expected.push(Expected::BodyOf(2));
        }
    }
    Row { place, title, site: None, exchanges: vec![first, second] }
}

/// Fills in what only the run knows.
pub(super) fn filled(text: &str, path: &str, host: &str, now_s: u64) -> String {
    let mut found = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        found.push_str(before);
        found.push_str(&value_of(name, path, host, now_s));
        rest = behind;
    }
    found.push_str(rest);
    found
}

fn value_of(name: &str, path: &str, host: &str, now_s: u64) -> String {
    if let Some((count, text)) = name.split_once('*') {
        return text.repeat(count.parse().expect("a number of times"));
    }
    let (form, moment) = name.split_once(' ').unwrap_or(("", name));
    match moment {
        "path" => return path.to_owned(),
        "host" => return host.to_owned(),
        _ => {}
    }
    let moved = moment.strip_prefix("now").unwrap_or_else(|| panic!("{{{name}}} means nothing"));
    let offset_s: i64 = if moved.is_empty() { 0 } else { moved.parse().expect("seconds") };
    let unix_s = now_s.checked_add_signed(offset_s).expect("a date");
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(unix_s);
    let date = httpdate::fmt_http_date(date);
    let words: Vec<&str> = date.trim_end_matches(" GMT").split([',', ' ']).collect();
    let [weekday, _, day, month, year, time] = words[..] else { panic!("{date} is no date") };
    match form {
        "850" => {
            let days = ["Sun", "Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur"];
            let long = days.iter().find(|long| long.starts_with(weekday)).expect("a day");
            format!("{long}day, {day}-{month}-{} {time} GMT", &year[2..])
        }
        "asctime" => {
            let day = day.strip_prefix('0').map_or(day.to_owned(), |digit| format!(" {digit}"));
            format!("{weekday} {month} {day} {time} {year}")
        }
        _ => date,
    }
}
