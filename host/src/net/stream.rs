//! A connection, of any sort.
//!
//! # Invariants
//! - What was written over TLS is on its way only after a flush: the records wait in the session.
//! - A client that was given up is cut off, so that the kernel does not go on holding its bytes.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::limits::WRITE_STALL_MS_MAX;

/// A TCP, TLS or unix stream. Writing fails with `TimedOut` when the other side takes nothing for
/// [`WRITE_STALL_MS_MAX`].
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    peer: Option<SocketAddr>,
    /// Runs while the other side takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    /// For how long it may.
    stall_limit: Duration,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Boxed, so that the others do not pay for its buffers.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn tcp(socket: TcpStream, peer: SocketAddr) -> Self {
        Self::new(Socket::Tcp(socket), Some(peer))
    }

    pub(super) fn unix(socket: UnixStream) -> Self {
        Self::new(Socket::Unix(socket), None)
    }

    fn new(socket: Socket, peer: Option<SocketAddr>) -> Self {
        Self { socket, peer, stall: None, stall_limit: Duration::from_millis(WRITE_STALL_MS_MAX) }
    }

    /// The same connection after a handshake; `None` where that failed.
    pub(super) async fn secured(self, tls: &Tls) -> Option<Self> {
        let Self { socket, peer, .. } = self;
        let secured = match socket {
            Socket::Tcp(socket) => Socket::Tls(Box::new(tls.accept(socket).await?)),
            other @ (Socket::Unix(_) | Socket::Tls(_)) => other,
        };
        Some(Self::new(secured, peer))
    }

    /// Closes it. Over TLS, the other side is told that nothing was cut off (RFC 8446 §6.1) if that
    /// can be said at once.
    pub async fn close(mut self) {
        if let Socket::Tls(socket) = &mut self.socket {
            poll_fn(|cx| {
                // A client that is gone already needs no word.
                let _ = Pin::new(&mut *socket).poll_shutdown(cx);
                Poll::Ready(())
            })
            .await;
        }
    }

    /// The other side's address; `None` on a unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// What came of an attempt to write, or that there have been such for too long in vain.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.stall_limit;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match stall.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.cut_off();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Has the socket reset when it is dropped: megabytes that nobody takes would wait in the
    /// kernel for minutes.
    fn cut_off(&self) {
        let cut_off = match &self.socket {
            Socket::Tcp(socket) => socket.set_zero_linger(),
            Socket::Tls(socket) => socket.get_ref().0.set_zero_linger(),
            Socket::Unix(_) => Ok(()),
        };
        if let Err(error) = cut_off {
            tracing::debug!(%error, "linger");
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Socket::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let written = match &mut stream.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Socket::Tls(socket) => Pin::new(socket).poll_write(cx, buf),
        };
        stream.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let written = match &mut stream.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Socket::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        };
        stream.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Tcp(socket) => socket.is_write_vectored(),
            Socket::Unix(socket) => socket.is_write_vectored(),
            Socket::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        let done = match &mut stream.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Tls(socket) => Pin::new(socket).poll_flush(cx),
        };
        stream.unless_stalled(cx, done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        let done = match &mut stream.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        };
        stream.unless_stalled(cx, done)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// More than the kernel holds for a connection.
    const TOO_MUCH: usize = 64 << 20;

    #[tokio::test]
    async fn client_that_takes_nothing_is_cut_off_after_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (socket, peer) = accepted.unwrap();
        let mut stream = Stream::tcp(socket, peer);
        stream.stall_limit = Duration::from_millis(20);
        let error = stream.write_all(&vec![0; TOO_MUCH]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(stream);
        // What was in the kernel is gone: the client is reset.
        let error = client.unwrap().read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
