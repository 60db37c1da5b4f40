//! Both ends of the server under test, byte by byte: a client of one request per connection, and an
//! origin that answers by script.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;
use wasmcached_tests::wait::LIMIT;

use super::script::{End, Scripted};

/// A message as it arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    /// The first line.
    pub(super) line: String,
    /// Names in lower case.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether it ended as it said it would.
    pub(super) is_whole: bool,
}

impl Message {
    /// All lines of a field as one value.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Of an answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.line.split(' ').nth(1)?.parse().ok()
    }

    fn read_head(reader: &mut impl BufRead) -> Option<Self> {
        let mut message = Self { line: read_line(reader)?, ..Self::default() };
        loop {
            let line = read_line(reader)?;
            if line.is_empty() {
                return Some(message);
            }
            let (name, value) = line.split_once(':')?;
            message.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, reader: &mut impl Read, is_request: bool) {
        let length = self.field("content-length").and_then(|text| text.parse::<u64>().ok());
        if self.field("transfer-encoding").is_some() {
            let mut raw = Vec::new();
            // What came before an error is what there is.
            let _ = reader.read_to_end(&mut raw);
            (self.body, self.is_whole) = unchunk(&raw);
        } else if let Some(length) = length {
            let read = reader.take(length).read_to_end(&mut self.body);
            self.is_whole = read.is_ok() && self.body.len() as u64 == length;
        } else {
            self.is_whole = is_request || reader.read_to_end(&mut self.body).is_ok();
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok().filter(|bytes| *bytes > 0)?;
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(at) = raw.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&raw[..at]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let Some(size) = size else { return (body, false) };
        if size == 0 {
            return (body, true);
        }
        let Some(data) = raw.get(at + 2..at + 2 + size) else { return (body, false) };
        body.extend_from_slice(data);
        raw = raw.get(at + 4 + size..).unwrap_or_default();
    }
    (body, false)
}

/// Sends one request on a connection of its own and reads the final answer.
pub(super) fn ask(address: SocketAddr, request: &[u8]) -> Option<Message> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.write_all(request).ok()?;
    let mut reader = BufReader::new(stream);
    let mut answer = Message::read_head(&mut reader)?;
    while answer.status().is_some_and(|status| status < 200) {
        answer = Message::read_head(&mut reader)?;
    }
    let has_body = !request.starts_with(b"HEAD ") && !matches!(answer.status(), Some(204 | 304));
    match has_body {
        true => answer.read_body(&mut reader, false),
        false => answer.is_whole = reader.read_to_end(&mut answer.body).is_ok(),
    }
    Some(answer)
}

/// What the origin says to the requests of one row, and what it was sent.
#[derive(Default)]
pub(super) struct Part {
    /// With the body that each has.
    pub(super) answers: VecDeque<(Scripted, String)>,
    pub(super) asked: Vec<Message>,
    /// Requests that nobody had foreseen.
    pub(super) surprises: usize,
    /// The last answer was none, and so are all further ones: requests may be repeated.
    pub(super) is_down: bool,
}

/// The parts of all rows, by the first segment of their paths.
pub(super) type Parts = Arc<Mutex<HashMap<String, Part>>>;

/// An origin for all rows; it lives as long as the process.
pub(super) fn start_origin(parts: &Parts) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("address");
    let parts = Arc::clone(parts);
    in_thread("rfc origin", move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let parts = Arc::clone(&parts);
            in_thread("rfc origin connection", move || converse(stream, &parts));
        }
    });
    address
}

fn in_thread(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.expect("start a thread");
}

fn converse(stream: TcpStream, parts: &Parts) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = Message::read_head(&mut reader) {
        request.read_body(&mut reader, true);
        let is_head = request.line.starts_with("HEAD ");
        let (answer, body) = next_answer(parts, request);
        let bytes = written(&answer, &body, is_head);
        if writer.write_all(&bytes).is_err() || answer.end != End::Length {
            // Dropping both halves ends the connection.
            let _ = writer.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn next_answer(parts: &Parts, request: Message) -> (Scripted, String) {
    let target = request.line.split(' ').nth(1).unwrap_or_default().to_owned();
    let row = target.split(['/', '?']).nth(1).unwrap_or_default().to_owned();
    let mut parts = parts.lock();
    let part = parts.entry(row).or_default();
    part.asked.push(request);
    let answer = part.answers.pop_front().unwrap_or_else(|| {
        if part.is_down {
            return (Scripted { end: End::Reset, ..Scripted::default() }, String::new());
        }
        part.surprises += 1;
        (Scripted { status: 500, ..Scripted::default() }, "not scripted".to_owned())
    });
    part.is_down = answer.0.end == End::Reset;
    answer
}

fn written(answer: &Scripted, body: &str, is_head: bool) -> Vec<u8> {
    if answer.end == End::Reset {
        return Vec::new();
    }
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    for (name, value) in &answer.fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = answer.fields.iter().any(|(name, _)| name == "content-length");
    let has_body = !is_head && !matches!(answer.status, 204 | 304);
    let length = match answer.end {
        _ if has_length || answer.status == 204 || answer.status == 304 => String::new(),
        End::Length => format!("content-length: {}\r\n", body.len()),
        End::Short => format!("content-length: {}\r\n", body.len() + 5),
        End::Chunked | End::Cut => "transfer-encoding: chunked\r\n".to_owned(),
        End::Close | End::Reset => "connection: close\r\n".to_owned(),
    };
    let framed = match answer.end {
        _ if !has_body => String::new(),
        End::Chunked => format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        End::Cut => format!("{:x}\r\n{body}\r\n", body.len()),
        _ => body.to_owned(),
    };
    format!("{head}{length}\r\n{framed}").into_bytes()
}
