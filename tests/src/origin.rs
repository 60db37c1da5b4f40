//! A scripted origin: a closure answers, every request is remembered, a gate holds answers back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::wait::LIMIT;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, and so on.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, values trimmed.
    pub headers: Vec<(String, String)>,
    /// By its Content-Length.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of a field, named in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer; what frames its body is added.
#[derive(Debug, Clone)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    amid: Option<Gate>,
}

/// How the end of an answer's body is told (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By Content-Length.
    Length,
    /// By the last chunk.
    Chunks,
}

impl Response {
    /// 200 that may be kept for an hour.
    pub fn cacheable(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body).with("cache-control", "public, max-age=3600")
    }

    /// Any status, no fields.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (headers, framing, amid) = (Vec::new(), Framing::Length, None);
        Self { status, headers, body: body.into(), framing, amid }
    }

    /// Frames the body so.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Holds the second half of the body back until the gate is open.
    #[must_use]
    pub fn held_amid_body(mut self, gate: &Gate) -> Self {
        self.amid = Some(gate.clone());
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// A listening origin; dropping it closes the listener.
pub struct Origin {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Origin {
    /// Listens on any free port of loopback.
    pub fn start(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let handler: Arc<Handler> = Arc::new(handler);
        in_thread("origin", move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                in_thread("origin connection", move || converse(stream, &*handler, &seen));
            }
        });
        Self { address, requests, stop }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often this path and query was asked for.
    pub fn count(&self, target: &str) -> usize {
        self.requests.lock().iter().filter(|request| request.target == target).count()
    }

    /// Everything that was asked for, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the listener; if that fails there is nobody to wake.
        let _ = TcpStream::connect(self.address);
    }
}

fn in_thread(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.expect("start a thread");
}

/// Answers requests until the other side closes or speaks something else than HTTP/1.1.
fn converse(stream: TcpStream, handler: &Handler, seen: &Mutex<Vec<Request>>) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        seen.lock().push(request.clone());
        let response = handler(&request);
        let has_body = request.method != "HEAD" && response.status != 304;
        if answer(&mut writer, &response, has_body).is_err() {
            return;
        }
    }
}

fn answer(writer: &mut TcpStream, response: &Response, has_body: bool) -> std::io::Result<()> {
    let mut bytes = format!("HTTP/1.1 {} Scripted\r\n", response.status).into_bytes();
    for (name, value) in &response.headers {
        write!(bytes, "{name}: {value}\r\n")?;
    }
    match response.framing {
        Framing::Length => write!(bytes, "content-length: {}\r\n\r\n", response.body.len())?,
        Framing::Chunks => write!(bytes, "transfer-encoding: chunked\r\n\r\n")?,
    }
    if !has_body {
        return writer.write_all(&bytes);
    }
    let (first, rest) = match &response.amid {
        Some(_) => response.body.split_at(response.body.len() / 2),
        None => (&*response.body, &[][..]),
    };
    add(&mut bytes, response.framing, first)?;
    if let Some(gate) = &response.amid {
        writer.write_all(&bytes)?;
        bytes.clear();
        gate.pass();
        add(&mut bytes, response.framing, rest)?;
    }
    if response.framing == Framing::Chunks {
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
    writer.write_all(&bytes)
}

fn add(bytes: &mut Vec<u8>, framing: Framing, data: &[u8]) -> std::io::Result<()> {
    match framing {
        // An empty chunk would be the last.
        Framing::Chunks if !data.is_empty() => {
            write!(bytes, "{:x}\r\n", data.len())?;
            bytes.extend_from_slice(data);
            bytes.extend_from_slice(b"\r\n");
        }
        _ => bytes.extend_from_slice(data),
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(bytes) if bytes > 0 => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

/// Holds answers back until a test opens it; clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Debug, Default)]
struct GateState {
    reached: usize,
    is_open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self::default()
    }

    /// For the origin: returns when the gate is open.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        state.reached += 1;
        changed.notify_all();
        let waited = changed.wait_while_for(&mut state, |state| !state.is_open, LIMIT);
        assert!(!waited.timed_out(), "nobody opened the gate");
    }

    /// For the test: returns when `count` requests have reached the gate.
    #[track_caller]
    pub fn wait_until_reached_by(&self, count: usize) {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        let waited = changed.wait_while_for(&mut state, |state| state.reached < count, LIMIT);
        assert!(!waited.timed_out(), "{} of {count} requests reached the gate", state.reached);
    }

    /// For the test: lets everybody pass, now and later.
    pub fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().is_open = true;
        changed.notify_all();
    }
}
