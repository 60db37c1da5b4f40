//! Bound sockets.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use tokio::net::{TcpListener, UnixListener};

use super::Stream;

/// Read and write for the owner; connecting needs both.
const UNIX_SOCKET_MODE: u32 = 0o700;

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

    /// Binds a unix socket, for its owner alone as memcached does. A socket that nobody listens on
    /// any more is replaced; a file of any other kind is left alone.
    pub async fn unix(path: PathBuf) -> Result<Self, BindError> {
        let bind = async |path: &PathBuf| match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !tokio::fs::symlink_metadata(path).await?.file_type().is_socket() {
                    return Err(io::Error::other("the file exists and is not a socket"));
                }
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
        let bound = match bind(&path).await {
            Ok(socket) => {
                let for_owner = Permissions::from_mode(UNIX_SOCKET_MODE);
                tokio::fs::set_permissions(&path, for_owner).await.map(|()| socket)
            }
            Err(error) => Err(error),
        };
        match bound {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "kept").unwrap();
        let error = Listener::unix(path.clone()).await.unwrap_err();
        assert_eq!(error.source.to_string(), "the file exists and is not a socket");
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::unix(path.clone()).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, UNIX_SOCKET_MODE);
        assert!(Listener::unix(path.clone()).await.is_err());
        drop(listener);
        assert!(!path.exists());
    }
}
