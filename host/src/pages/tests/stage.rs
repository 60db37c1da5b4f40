//! A page cache on loopback, a raw client, and an origin whose every byte the test writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::cache::{Cache, CacheConfig, Change, Draft, Recovered, WhenFull};
use crate::clock::Clock;
use crate::config::{SiteCache, SiteItems};
use crate::model::{Cause, Expiry, Invalidation, Key, Mode, Tag, Target};
use crate::net::{Bound, Listener};
use crate::pages::{CurrentPolicy, PagePolicy, Pages, Scheme, Settings, Site, serve};
use crate::tasks::Tasks;

/// Nothing takes so long unless it hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const NOW: u64 = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
pub(super) const ITEM_BYTES_MAX: usize = 64 * 1024;

/// What a site answers for, and who decides about its pages.
type HostAndPolicy<'a> = (Option<&'a str>, Option<Arc<dyn PagePolicy>>);

pub(super) struct Stage {
    pub(super) pages: Pages,
    pub(super) cache: Cache,
    pub(super) clock: Clock,
    pub(super) address: SocketAddr,
    pub(super) origin: SocketAddr,
    exchanges: mpsc::UnboundedReceiver<Exchange>,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default(), None).await
    }

    pub(super) async fn with(settings: Settings, policy: Option<Arc<dyn PagePolicy>>) -> Self {
        Self::of_sites(settings, vec![(None, policy)]).await
    }

    /// Sites for these hosts, all with the one origin.
    pub(super) async fn of_sites(settings: Settings, sites: Vec<HostAndPolicy<'_>>) -> Self {
        let sites = sites.into_iter().map(|(host, policy)| Site {
            name: host.unwrap_or("test").into(),
            host: host.map(Into::into),
            policy: policy.map(always),
            ..plain_site()
        });
        Self::build(settings, sites.collect()).await
    }

    /// The site of all hosts, with these rules.
    pub(super) async fn ruled(rules: &SiteCache, policy: Option<Arc<dyn PagePolicy>>) -> Self {
        let site = Site { rules: rules.clone(), policy: policy.map(always), ..plain_site() };
        Self::build(Settings::default(), vec![site]).await
    }

    /// One site that serves items, too.
    pub(super) async fn of_items(rules: SiteCache, items: SiteItems) -> Self {
        let site = Site { rules, items: Some(items), ..plain_site() };
        Self::build(Settings::default(), vec![site]).await
    }

    /// These sites with the one origin in place of theirs.
    async fn build(settings: Settings, mut sites: Vec<Site>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let (sender, exchanges) = mpsc::unbounded_channel();
        tasks.spawn(play(listener, tasks.clone(), sender));
        let clock = Clock::manual(NOW);
        let config = CacheConfig {
            memory_bytes: 16 << 20,
            item_bytes_max: ITEM_BYTES_MAX,
            when_full: WhenFull::Evict,
        };
        let cache = Cache::new(config, clock.clone(), None, Recovered::default());
        for site in &mut sites {
            site.origins = vec![format!("http://{origin}").parse().unwrap()];
        }
        let pages =
            Pages::new(cache.clone(), tasks.clone(), settings, sites, Scheme::Http).unwrap();
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let Bound::Tcp(address) = *listener.bound() else { panic!("bound to TCP") };
        tasks.spawn(serve(listener, pages.clone()));
        Self { pages, cache, clock, address, origin, exchanges }
    }

    /// The next request that reaches the origin.
    pub(super) async fn asked(&mut self) -> Exchange {
        tokio::time::timeout(PATIENCE, self.exchanges.recv()).await.unwrap().unwrap()
    }

    /// Whether a request has reached the origin that nobody has looked at.
    pub(super) fn is_asked(&mut self) -> bool {
        !self.exchanges.is_empty()
    }

    pub(super) fn client(&self) -> Client {
        Client::at(self.address)
    }

    /// One request that the origin is asked for and answers so.
    pub(super) async fn fetch(&mut self, request: &str, response: impl AsRef<[u8]>) -> Reply {
        let client = self.client();
        let answer = async { self.asked().await.reply(response).await };
        tokio::join!(client.send(request), answer).0
    }

    /// One request that must not reach the origin.
    pub(super) async fn cached(&mut self, request: &str) -> Reply {
        let reply = self.client().send(request).await;
        assert!(!self.is_asked(), "the origin was asked");
        reply
    }

    pub(super) async fn purge(&self, target: Target, mode: Mode) {
        let targets = vec![(target, mode)];
        self.cache.invalidate(Invalidation { targets, cause: Cause::default() }).await.unwrap();
    }

    /// What a client of memcached does by `set`.
    pub(super) async fn set(&self, key: &str, value: &'static str, flags: u32, expires: Expiry) {
        let draft = Draft { flags, expires, ..Draft::new(Bytes::from_static(value.as_bytes())) };
        let key = Key::new(key.as_bytes()).unwrap();
        self.cache.update(&key, |_| (Change::Put(draft), ())).await.unwrap();
    }

    pub(super) async fn purge_tag(&self, tag: &str) {
        self.purge(Target::Tag(Tag::new(tag).unwrap()), Mode::Hard).await;
    }

    /// Waits until so many requests wait for another's fill.
    pub(super) async fn until_waiting(&self, count: i64) {
        let waiting = async {
            while self.pages.metrics().waiting.get() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    /// Waits until the memory has counted so many stores.
    pub(super) async fn until_stored(&self, count: u64) {
        let storing = async {
            while self.cache.stats().stores.get() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, storing).await.unwrap();
    }
}

/// A policy that is never replaced.
fn always(policy: Arc<dyn PagePolicy>) -> CurrentPolicy {
    Arc::new(move || Arc::clone(&policy))
}

fn plain_site() -> Site {
    Site {
        name: "test".into(),
        host: None,
        origins: Vec::new(),
        check: None,
        policy: None,
        rules: SiteCache::default(),
        items: None,
    }
}

/// `GET path` of one host, with more fields, on a connection of its own.
pub(super) fn get(path: &str, fields: &str) -> String {
    request("GET", path, fields)
}

pub(super) fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n")
}

/// A whole response with a body.
pub(super) fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len())
}

async fn play(listener: TcpListener, tasks: Tasks, exchanges: mpsc::UnboundedSender<Exchange>) {
    while let Ok((stream, _)) = listener.accept().await {
        let exchanges = exchanges.clone();
        tasks.spawn(async move {
            let mut stream = stream;
            while let Some((head, body)) = read_message(&mut stream).await {
                let (back, returned) = oneshot::channel();
                if exchanges.send(Exchange { head, body, stream, back }).is_err() {
                    return;
                }
                match returned.await {
                    Ok(again) => stream = again,
                    Err(_) => return,
                }
            }
        });
    }
}

/// A request at the origin. Dropping it cuts the connection.
pub(super) struct Exchange {
    pub(super) head: String,
    pub(super) body: String,
    stream: TcpStream,
    back: oneshot::Sender<TcpStream>,
}

impl Exchange {
    pub(super) async fn write(&mut self, raw: impl AsRef<[u8]>) {
        self.stream.write_all(raw.as_ref()).await.unwrap();
    }

    /// Ends the response; the connection is kept.
    pub(super) fn finish(self) {
        let _ = self.back.send(self.stream);
    }

    pub(super) async fn reply(mut self, raw: impl AsRef<[u8]>) {
        self.write(raw).await;
        self.finish();
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(super) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Reads a head and as much body as its length says; `None` at the end of the connection.
async fn read_message(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w: &[u8]| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let length: usize = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, String::from_utf8(bytes[head_end..].to_vec()).unwrap()))
}

/// A visitor; each request has a connection of its own.
#[derive(Clone, Copy)]
pub(super) struct Client(SocketAddr);

impl Client {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self(address)
    }

    pub(super) async fn connect(self) -> TcpStream {
        TcpStream::connect(self.0).await.unwrap()
    }

    /// Sends a request and reads until the server closes.
    pub(super) async fn send(self, request: impl AsRef<str>) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref().as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
        let is_reset = read.is_err();
        let is_head = request.as_ref().starts_with("HEAD");
        // Fields need not be UTF-8.
        Reply::parse(&String::from_utf8_lossy(&bytes), is_head, is_reset)
    }
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
    pub(super) is_whole: bool,
}

impl Reply {
    fn parse(text: &str, is_head: bool, is_reset: bool) -> Self {
        let (head, rest) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = field(head, "content-length").map(|text| text.parse::<usize>().unwrap());
        let is_chunked = field(head, "transfer-encoding").is_some();
        let (body, is_framed) = match (is_chunked, length) {
            _ if is_head || status == 304 => (rest.to_owned(), rest.is_empty()),
            (true, _) => unchunk(rest),
            (false, Some(length)) => (rest.to_owned(), rest.len() == length),
            (false, None) => (rest.to_owned(), true),
        };
        Self { status, head: head.to_owned(), body, is_whole: is_framed && !is_reset }
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// Asserts the status and the body, and that it came whole.
    pub(super) fn is(&self, status: u16, body: &str) {
        assert_eq!(
            (self.status, self.body.as_str(), self.is_whole),
            (status, body, true),
            "{self:?}"
        );
    }

    /// Asserts what `Cache-Status` says of this cache.
    pub(super) fn came(&self, how: &str) {
        let found = self.field("cache-status").unwrap_or("");
        assert!(found.starts_with("wasmcached;") && found.contains(how), "{found} is not {how}");
    }
}

fn unchunk(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, after == "\r\n");
        }
        let Some(data) = after.get(..size) else { break };
        body.push_str(data);
        rest = after.get(size + 2..).unwrap_or("");
    }
    (body, false)
}
