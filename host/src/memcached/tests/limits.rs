//! Limits, timeouts and the stop.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{Door, PATIENCE, Server, cache, settings};
use crate::cache::{Cache, CacheConfig, Recovered, WhenFull};
use crate::clock::Clock;
use crate::config::Permission;
use crate::limits::{MEMCACHED_LINE_BYTES_MAX, MEMCACHED_OUTPUT_BYTES_MAX};
use crate::memcached::connection;
use crate::memcached::connections::Ends;
use crate::memcached::lend::LENT_BYTES;
use crate::tasks::Tasks;

#[tokio::test]
async fn connection_over_the_limit_is_told_so_and_closed() {
    let mut limited = settings();
    limited.connections_max = 1;
    let server = Server::start(limited).await;
    let mut first = server.connect().await;
    first.ask("version", "VERSION 1.6.45").await;
    let mut second = server.connect().await;
    let reply = second.reply_until(b"no reply ends so").await;
    assert_eq!(reply, b"ERROR Too many open connections\r\n");
    first.send(b"stats\r\n").await;
    let stats = String::from_utf8(first.reply_until(b"END\r\n").await).unwrap();
    assert!(stats.contains("STAT rejected_connections 1\r\n"), "{stats}");
    assert!(stats.contains("STAT curr_connections 1\r\n"), "{stats}");
    server.stop().await;
}

/// Beside its socket and what the runtime keeps of a task, an idle connection is this.
#[tokio::test]
async fn idle_connection_is_small() {
    let (stream, _client) = tokio::io::duplex(1);
    let door = Door::new(cache(WhenFull::Evict, 1 << 20), Tasks::default(), settings());
    let future = connection::run(stream, door, Ends::default());
    assert!(size_of_val(&future) <= 3 * 1024, "{} bytes", size_of_val(&future));
}

/// A client whose command is read and who takes nothing of the reply for too long.
struct Stalled(&'static [u8]);

impl AsyncRead for Stalled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buf.put_slice(std::mem::take(&mut self.0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stalled {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn connection_that_takes_none_of_its_replies_is_closed_and_counted() {
    let server = Server::start(settings()).await;
    connection::run(Stalled(b"version\r\n"), server.door.clone(), Ends::default()).await;
    let mut other = server.connect().await;
    other.send(b"stats\r\n").await;
    let stats = String::from_utf8(other.reply_until(b"END\r\n").await).unwrap();
    assert!(stats.contains("STAT stalled_kicks 1\r\n"), "{stats}");
    assert!(stats.contains("STAT curr_connections 1\r\n"), "{stats}");
    server.stop().await;
}

/// What such a client makes the server gather is a batch of replies, and no more is read.
#[tokio::test]
async fn requests_are_left_unread_while_their_replies_are() {
    let server = Server::start(settings()).await;
    let mut setter = server.connect().await;
    let value = "v".repeat(1_000);
    setter.ask(&format!("set k 0 0 1000\r\n{value}"), "STORED").await;
    let (client, stream) = tokio::io::duplex(64 * 1024);
    let (_unread, mut requests) = tokio::io::split(client);
    let flood = b"get k\r\n".repeat(1 << 20);
    let serve = connection::run(stream, server.door.clone(), Ends::default());
    let mut sent = 0;
    let send = async {
        while sent < flood.len() {
            sent += requests.write(&flood[sent..]).await.unwrap();
        }
    };
    tokio::select! {
        biased;
        () = send => panic!("everything was read"),
        () = serve => panic!("the connection ended"),
        // Nothing can go on: both wait for the other.
        () = yield_often() => {}
    }
    // A pipe that is full, a buffer that was read, and the requests of a batch of replies.
    assert!(sent <= 64 * 1024 + LENT_BYTES + MEMCACHED_OUTPUT_BYTES_MAX, "{sent}");
    server.stop().await;
}

/// Longer than what is ready takes.
async fn yield_often() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn idle_connection_is_closed_and_counted() {
    let mut impatient = settings();
    impatient.idle_timeout = Some(Duration::from_millis(20));
    let server = Server::start(impatient).await;
    let mut client = server.connect().await;
    client.ask("version", "VERSION 1.6.45").await;
    assert!(client.is_closed().await);
    let mut other = server.connect().await;
    other.send(b"stats\r\n").await;
    let stats = String::from_utf8(other.reply_until(b"END\r\n").await).unwrap();
    assert!(stats.contains("STAT idle_kicks 1\r\n"), "{stats}");
    server.stop().await;
}

#[tokio::test]
async fn stop_ends_idle_connections_at_once() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.ask("version", "VERSION 1.6.45").await;
    server.stop().await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn shutdown_is_handed_to_the_application_where_it_is_enabled() {
    let mut enabled = settings();
    enabled.shutdown = Permission::Allowed;
    let server = Server::start(enabled).await;
    let mut client = server.connect().await;
    client.send(b"shutdown graceful\r\n").await;
    assert!(client.is_closed().await);
    let asked = tokio::time::timeout(PATIENCE, server.door.shutdown_requested()).await;
    assert!(asked.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn full_memory_without_eviction_is_an_error_and_removes_the_old_value() {
    let server = Server::over(cache(WhenFull::Refuse, 4096), settings()).await;
    let mut client = server.connect().await;
    client.ask("set a 0 0 3\r\nold", "STORED").await;
    let value = "x".repeat(8192);
    let full = "SERVER_ERROR out of memory storing object";
    client.ask(&format!("set a 0 0 8192\r\n{value}"), full).await;
    client.ask("get a", "END").await;
    server.stop().await;
}

/// 300 values of 512 KB would be 150 MB at once; the client takes them as slowly as it likes.
#[tokio::test]
async fn many_large_values_of_one_line_arrive_whole() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let value = "v".repeat(512 * 1024);
    client.ask(&format!("set big 7 0 {}\r\n{value}", value.len()), "STORED").await;
    let keys = " big".repeat(300);
    client.send(format!("get{keys}\r\n").as_bytes()).await;
    let reply = client.reply_until(b"END\r\n").await;
    let one = format!("VALUE big 7 {}\r\n{value}\r\n", value.len());
    assert_eq!(reply.len(), one.len() * 300 + 5);
    assert!(reply.chunks(one.len()).take(300).all(|chunk| chunk == one.as_bytes()));
    server.stop().await;
}

#[tokio::test]
async fn thousands_of_keys_in_one_line_are_answered() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.ask("set key18699 0 0 1\r\nv", "STORED").await;
    let keys: String = (0..18_700).map(|number| format!(" key{number}")).collect();
    client.send(format!("get{keys}\r\n").as_bytes()).await;
    let reply = client.reply_until(b"END\r\n").await;
    assert_eq!(reply, b"VALUE key18699 0 1\r\nv\r\nEND\r\n");
    server.stop().await;
}

#[tokio::test]
async fn endless_retrieval_line_closes_the_connection() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.send(b"get").await;
    let keys = b" k".repeat(600 * 1024);
    // The server may close before it has taken everything.
    let _ = client.stream.write_all(&keys).await;
    assert!(client.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn endless_command_line_closes_the_connection_and_one_at_the_limit_does_not() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let longest = "x".repeat(MEMCACHED_LINE_BYTES_MAX);
    client.ask(&longest, "ERROR").await;
    client.send(&b"x".repeat(MEMCACHED_LINE_BYTES_MAX + 2)).await;
    assert!(client.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn delayed_flush_happens_without_any_client() {
    let config =
        CacheConfig { memory_bytes: 1024 * 1024, item_bytes_max: 1024, when_full: WhenFull::Evict };
    let cache = Cache::new(config, Clock::system(), None, Recovered::default());
    let server = Server::over(cache, settings()).await;
    let mut client = server.connect().await;
    client.ask("set a 0 0 1\r\nx", "STORED").await;
    client.ask("flush_all 3600", "OK").await;
    client.ask("flush_all 1", "OK").await;
    let flushed = async {
        while server.cache.peek(b"a").is_some() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, flushed).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn flush_all_is_refused_where_it_is_forbidden() {
    let mut forbidding = settings();
    forbidding.flush_all = Permission::Forbidden;
    let server = Server::start(forbidding).await;
    let mut client = server.connect().await;
    client.ask("set a 0 0 1\r\nx", "STORED").await;
    client.ask("flush_all", "CLIENT_ERROR flush_all not allowed").await;
    client.send(b"get a\r\n").await;
    assert_eq!(client.reply_until(b"END\r\n").await, b"VALUE a 0 1\r\nx\r\nEND\r\n");
    server.stop().await;
}
