//! Waiting for a client, for the server's stop and for idleness at once, at the price of a read.
//!
//! # Invariants
//! - The stop and the idle timer are polled once to leave a waker behind and again only when the
//!   task was woken without anything to read: both take locks that all connections share. A task's
//!   waker stays the same, so the one left behind stays good.
//! - A wake-up may come together with bytes to read, and be spent on them. So before the next wait
//!   `has_been_woken` asks, without a lock, whether the server stops or the timer has run out.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Sleep, sleep};

use super::buffer::Buffer;
use crate::tasks::Tasks;

/// Idleness is looked at so many times per timeout.
const TICKS_PER_TIMEOUT: u32 = 4;

/// What ended a wait.
#[derive(Debug)]
pub(super) enum Woken {
    /// This many bytes were read; none at the end of the stream.
    Read(usize),
    /// The server stops.
    Stop,
    /// The client was idle for as long as it may be.
    Idle,
}

/// What a connection waits for beside its client.
pub(super) struct Waiting {
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    idle: Option<Idle>,
    is_armed: bool,
    tasks: Tasks,
}

/// Which attempt of a read it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Polls {
    First,
    Later,
}

struct Idle {
    tick: Duration,
    timer: Pin<Box<Sleep>>,
    /// Ticks since the last read.
    quiet_ticks: u32,
}

impl Waiting {
    pub(super) fn new(tasks: &Tasks, idle_timeout: Option<Duration>) -> Self {
        let idle = idle_timeout.map(|timeout| {
            let tick = timeout / TICKS_PER_TIMEOUT;
            Idle { tick, timer: Box::pin(sleep(tick)), quiet_ticks: 0 }
        });
        let stopping = Box::pin(tasks.stopping());
        Self { stopping, idle, is_armed: false, tasks: tasks.clone() }
    }

    /// Reads to where a value is collected, or says why there is nothing to wait for any more.
    pub(super) async fn read<S, B>(&mut self, stream: &mut S, value: &mut B) -> io::Result<Woken>
    where
        S: AsyncRead + Unpin,
        B: BufMut,
    {
        let mut read = pin!(stream.read_buf(value));
        let mut polls = Polls::First;
        poll_fn(|cx| {
            let read = read.as_mut().poll(cx);
            self.unless_woken(read, &mut polls, cx)
        })
        .await
    }

    /// Reads commands. The buffer is set aside while there is nothing to read.
    pub(super) async fn read_commands<S>(
        &mut self,
        stream: &mut S,
        buffer: &mut Buffer,
    ) -> io::Result<Woken>
    where
        S: AsyncRead + Unpin,
    {
        let mut polls = Polls::First;
        poll_fn(|cx| {
            // A read that did not happen leaves nothing behind but the waker.
            let read = pin!(stream.read_buf(buffer.room())).poll(cx);
            if read.is_pending() {
                buffer.set_aside();
            }
            self.unless_woken(read, &mut polls, cx)
        })
        .await
    }

    /// The outcome of an attempt to read, or what else the connection was woken by.
    fn unless_woken(
        &mut self,
        read: Poll<io::Result<usize>>,
        polls: &mut Polls,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Woken>> {
        if let Poll::Ready(read) = read {
            if let Some(idle) = &mut self.idle {
                idle.quiet_ticks = 0;
            }
            return Poll::Ready(read.map(Woken::Read));
        }
        let is_first = std::mem::replace(polls, Polls::Later) == Polls::First;
        if is_first && self.is_armed && !self.has_been_woken() {
            return Poll::Pending;
        }
        self.is_armed = true;
        self.poll_others(cx).map(Ok)
    }

    /// Whether the waker that was left behind may have been used.
    fn has_been_woken(&self) -> bool {
        let is_tick = self.idle.as_ref().is_some_and(|idle| idle.timer.is_elapsed());
        is_tick || self.tasks.is_stopping()
    }

    fn poll_others(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        if self.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Woken::Stop);
        }
        let Some(idle) = &mut self.idle else { return Poll::Pending };
        while idle.timer.as_mut().poll(cx).is_ready() {
            idle.quiet_ticks += 1;
            // The first tick may have been under way at the last read.
            if idle.quiet_ticks > TICKS_PER_TIMEOUT {
                return Poll::Ready(Woken::Idle);
            }
            idle.timer.set(sleep(idle.tick));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn stop_that_comes_together_with_a_command_is_seen_behind_it() {
        let tasks = Tasks::default();
        let mut waiting = Waiting::new(&tasks, None);
        let (mut client, mut server) = tokio::io::duplex(64);
        let mut value = Vec::new();
        {
            let mut read = pin!(waiting.read(&mut server, &mut value));
            let first = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
            assert!(first.is_pending());
            client.write_all(b"get a\r\n").await.unwrap();
            assert_eq!(tasks.stop(Duration::ZERO).await, 0);
            assert!(matches!(read.await, Ok(Woken::Read(7))));
        }
        let mut read = pin!(waiting.read(&mut server, &mut value));
        let next = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
        assert!(matches!(next, Poll::Ready(Ok(Woken::Stop))), "it would wait for ever");
    }
}
