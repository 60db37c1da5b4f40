//! Bound sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, UnixListener};

use super::Stream;

/// Where a listener is bound, as printed at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Address and port.
    Tcp(SocketAddr),
    /// Path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {bound}")]
pub struct BindError {
    /// Where.
    pub bound: Bound,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// A bound socket; a unix socket's file is removed with it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    bound: Bound,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds a TCP address; port 0 takes any free port.
    pub async fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { bound: Bound::Tcp(address), source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let bound = Bound::Tcp(socket.local_addr().map_err(failed)?);
        Ok(Self { socket: Socket::Tcp(socket), bound })
    }

    /// Binds a unix socket. A socket file that nobody listens on any more is replaced.
    pub async fn unix(path: PathBuf) -> Result<Self, BindError> {
        let bind = async |path: &PathBuf| match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                match tokio::net::UnixStream::connect(path).await {
                    Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                        tokio::fs::remove_file(path).await?;
                        UnixListener::bind(path)
                    }
                    _ => Err(error),
                }
            }
            bound => bound,
        };
        match bind(&path).await {
            Ok(socket) => Ok(Self { socket: Socket::Unix(socket), bound: Bound::Unix(path) }),
            Err(source) => Err(BindError { bound: Bound::Unix(path), source }),
        }
    }

    /// Where it is bound, with the port that was taken.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::tcp(stream, peer))
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok(Stream::unix(stream))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Bound::Unix(path) = &self.bound {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}
