//! Bound sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};

use super::{Stream, Tls, UnixAccess};

/// Clients that may wait to be accepted by one listener: as many as tokio lets wait on TCP.
pub const BACKLOG: u32 = 1024;

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
    Tcp(TcpListener, Option<Tls>),
    Unix(UnixListener),
}

impl Listener {
    /// Binds a TCP address; port 0 takes any free port.
    pub async fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { bound: Bound::Tcp(address), source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let bound = Bound::Tcp(socket.local_addr().map_err(failed)?);
        Ok(Self { socket: Socket::Tcp(socket, None), bound })
    }

    /// Has connections begin with a TLS handshake; only TCP listeners take it.
    #[must_use]
    pub fn with_tls(mut self, with: Option<Tls>) -> Self {
        if let Socket::Tcp(_, tls) = &mut self.socket {
            *tls = with;
        }
        self
    }

    /// Binds a unix socket. A socket that nobody listens on any more is replaced; a file of any
    /// other kind is left alone.
    pub async fn unix(path: PathBuf, access: UnixAccess) -> Result<Self, BindError> {
        match bind_unix(&path, &access).await {
            Ok(socket) => Ok(Self { socket: Socket::Unix(socket), bound: Bound::Unix(path) }),
            Err(source) => Err(BindError { bound: Bound::Unix(path), source }),
        }
    }

    /// Where it is bound, with the port that was taken.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// What connections begin with, where it is TLS.
    pub fn tls(&self) -> Option<&Tls> {
        match &self.socket {
            Socket::Tcp(_, tls) => tls.as_ref(),
            Socket::Unix(_) => None,
        }
    }

    /// The next connection, before any handshake.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(socket, _) => {
                let (stream, peer) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream.into_std()?, peer))
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok(Accepted::Unix(stream.into_std()?))
            }
        }
    }
}

/// A connection that no event loop watches yet.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(std::net::TcpStream, SocketAddr),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Has the event loop of the running task watch it.
    pub(super) fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(socket, peer) => Stream::tcp(TcpStream::from_std(socket)?, peer),
            Self::Unix(socket) => Stream::unix(UnixStream::from_std(socket)?),
        })
    }
}

/// Nobody can connect before the socket is its owner's and has its mode: only then it listens.
async fn bind_unix(path: &Path, access: &UnixAccess) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    if let Err(error) = socket.bind(path) {
        let is_taken = error.kind() == io::ErrorKind::AddrInUse;
        if is_taken && !tokio::fs::symlink_metadata(path).await?.file_type().is_socket() {
            return Err(io::Error::other("the file exists and is not a socket"));
        }
        if !is_taken || !is_deserted(path).await {
            return Err(error);
        }
        tokio::fs::remove_file(path).await?;
        socket.bind(path)?;
    }
    let listening = access.grant(path).and_then(|()| socket.listen(BACKLOG));
    if listening.is_err() {
        // Of no use to anybody, and in the way of the next start.
        let _ = std::fs::remove_file(path);
    }
    listening
}

/// Whether nobody listens on a socket any more.
async fn is_deserted(path: &Path) -> bool {
    let connected = UnixStream::connect(path).await;
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
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
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::net::Owner;

    fn mode_of(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "kept").unwrap();
        let error = Listener::unix(path.clone(), UnixAccess::default()).await.unwrap_err();
        assert_eq!(error.source.to_string(), "the file exists and is not a socket");
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::unix(path.clone(), UnixAccess::default()).await.unwrap();
        assert_eq!(mode_of(&path), 0o700);
        assert!(Listener::unix(path.clone(), UnixAccess::default()).await.is_err());
        assert!(path.exists(), "the socket in use is left alone");
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn socket_has_the_mode_and_the_owner_that_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().metadata().unwrap();
        let owner = Owner::parse(&format!("{}:{}", own.uid(), own.gid())).unwrap();
        let access = UnixAccess { mode: 0o660, owner: Some(owner) };
        let path = dir.path().join("socket");
        let _listener = Listener::unix(path.clone(), access).await.unwrap();
        assert_eq!(mode_of(&path), 0o660);
        let socket = path.metadata().unwrap();
        assert_eq!((socket.uid(), socket.gid()), (own.uid(), own.gid()));
    }
}
