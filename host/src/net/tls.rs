//! TLS for listeners: certificate, key and client authorities, replaced while the server runs.
//!
//! # Invariants
//! - Files are taken over as a whole or not at all: what does not fit together changes nothing.
//! - New handshakes see new files; open connections live on, and no session is resumed that began
//!   under other files.
//! - A handshake ends within [`TLS_HANDSHAKE_MS_MAX`]; one that fails is counted, and told only to
//!   whom it concerns.
//!
//! # Not here
//! Which protocol is spoken inside: each front door names its own for ALPN.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::limits::TLS_HANDSHAKE_MS_MAX;

/// Where a listener's certificate and key are, as PEM (RFC 7468).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// Authorities of clients; with them, a client without a certificate of theirs is refused.
    pub client_ca: Option<PathBuf>,
}

/// Files that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate.
    #[error("certificate {path}: {reason}")]
    Cert {
        /// Its file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The private key, by itself or beside the certificate. Nothing of it is shown.
    #[error("key {path}: {reason}")]
    Key {
        /// Its file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The authorities of clients.
    #[error("client authorities {path}: {reason}")]
    ClientCa {
        /// Their file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// What the listeners of one front door do about TLS; clones are the same.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    alpn: Vec<Vec<u8>>,
    current: ArcSwap<ServerConfig>,
    failures: Counter,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Tls {
    /// Reads the files. `alpn` are the protocols that may be agreed on (RFC 7301), best first; none
    /// leaves that to the client. Blocking.
    ///
    /// # Errors
    /// The first file that can't be used.
    pub fn load(files: TlsFiles, alpn: &[&[u8]]) -> Result<Self, TlsError> {
        let alpn: Vec<_> = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let current = ArcSwap::from_pointee(read(&files, &alpn)?);
        Ok(Self(Arc::new(Shared { files, alpn, current, failures: Counter::default() })))
    }

    /// Reads the same files again, for handshakes from now on. Blocking.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was in use stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.0.files, &self.0.alpn)?;
        self.0.current.store(Arc::new(fresh));
        Ok(())
    }

    /// Where certificate, key and authorities are read from.
    pub fn files(&self) -> &TlsFiles {
        &self.0.files
    }

    /// Handshakes that failed or took too long.
    pub fn failures(&self) -> &Counter {
        &self.0.failures
    }

    /// Carries out the server's side of a handshake; `None` where that failed.
    pub(super) async fn accept(&self, socket: TcpStream) -> Option<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(self.0.current.load_full()).accept(socket);
        let limit = Duration::from_millis(TLS_HANDSHAKE_MS_MAX);
        let outcome = tokio::time::timeout(limit, handshake).await;
        match outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => Some(stream),
            Err(error) => {
                self.0.failures.inc();
                tracing::debug!(%error, "tls handshake");
                None
            }
        }
    }
}

fn read(files: &TlsFiles, alpn: &[Vec<u8>]) -> Result<ServerConfig, TlsError> {
    let cert_error = |reason| TlsError::Cert { path: shown(&files.cert), reason };
    let key_error = |reason| TlsError::Key { path: shown(&files.key), reason };
    let chain = certificates(&files.cert).map_err(cert_error)?;
    let key = PrivateKeyDer::from_pem_file(&files.key);
    let key = key.map_err(|error| key_error(told(&error, "private key")))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| cert_error(error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |reason| TlsError::ClientCa { path: shown(path), reason };
            let mut roots = RootCertStore::empty();
            for authority in certificates(path).map_err(wrong)? {
                roots.add(authority).map_err(|error| wrong(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            let verifier = verifier.build().map_err(|error| wrong(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InvalidCertificate(_) => cert_error(error.to_string()),
        rustls::Error::InconsistentKeys(_) => {
            key_error(format!("is not that of certificate {}", files.cert.display()))
        }
        error => key_error(error.to_string()),
    })?;
    config.alpn_protocols = alpn.to_vec();
    Ok(config)
}

/// All certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err("no certificate is in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(told(&error, "certificate")),
    }
}

/// An error of PEM without the file's content.
fn told(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("no {what} is in it"),
        _ => "is not PEM".to_owned(),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A self-signed certificate and its key, in files of these names.
    pub(in crate::net) fn write_pair(dir: &Path, cert: &str, key: &str) -> TlsFiles {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsFiles { cert: dir.join(cert), key: dir.join(key), client_ca: None };
        std::fs::write(&files.cert, pair.cert.pem()).unwrap();
        std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn mistakes_name_the_file_and_show_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let good = write_pair(dir.path(), "cert", "key");
        let other = write_pair(dir.path(), "cert2", "key2");
        let (empty, bad) = (dir.path().join("empty"), dir.path().join("bad"));
        std::fs::write(&empty, "hunter2\n").unwrap();
        std::fs::write(&bad, "-----BEGIN PRIVATE KEY-----\nhunter2!\n").unwrap();
        let gone = dir.path().join("gone");
        let (cert, key) = (good.cert.display(), good.key.display());
        let cases = [
            (TlsFiles { cert: gone.clone(), ..good.clone() }, "certificate", "No such file"),
            (TlsFiles { cert: empty.clone(), ..good.clone() }, "certificate", "no certificate"),
            (TlsFiles { cert: bad.clone(), ..good.clone() }, "certificate", "is not PEM"),
            (TlsFiles { key: good.cert.clone(), ..good.clone() }, "key", "no private key"),
            (TlsFiles { key: bad.clone(), ..good.clone() }, "key", "is not PEM"),
            (TlsFiles { key: other.key, ..good.clone() }, "key", "is not that of certificate"),
            (TlsFiles { client_ca: Some(empty), ..good.clone() }, "client", "no certificate"),
        ];
        for (files, what, why) in cases {
            let error = Tls::load(files, &[]).unwrap_err().to_string();
            assert!(error.starts_with(what) && error.contains(why), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(Tls::load(good.clone(), &[]).is_ok(), "{cert} {key}");
    }

    #[test]
    fn broken_files_leave_what_is_in_use_and_good_ones_replace_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path(), "cert", "key");
        let tls = Tls::load(files.clone(), &[b"h2"]).unwrap();
        let before = tls.0.current.load_full();
        std::fs::write(&files.cert, "broken").unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Cert { .. })));
        assert!(Arc::ptr_eq(&before, &tls.0.current.load_full()));
        write_pair(dir.path(), "cert", "key");
        tls.reload().unwrap();
        let after = tls.0.current.load_full();
        assert!(!Arc::ptr_eq(&before, &after));
        assert_eq!(after.alpn_protocols, [b"h2"]);
    }
}
