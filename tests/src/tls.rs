//! Certificates of authorities made up for a test, and TLS connections that trust one of them.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::wait::LIMIT;

/// A TLS connection.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Who signs certificates.
pub struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate for 127.0.0.1, as server and as client, and its key.
pub struct Identity {
    cert: rcgen::Certificate,
    key: KeyPair,
}

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        let issuer = Issuer::new(params, key);
        Self { pem: cert.pem(), der: cert.der().clone(), issuer }
    }
}

impl Authority {
    /// Signs a new certificate.
    pub fn issue(&self) -> Identity {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { cert, key }
    }

    /// Writes its own certificate.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.pem).expect("write a certificate");
    }

    /// Connects to a server whose certificate it must have signed, as `client` if the server asks.
    /// The handshake happens with the first bytes.
    #[track_caller]
    pub fn connect(&self, address: &str, client: Option<&Identity>) -> TlsStream {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(Identity { cert, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                let chain = vec![cert.der().clone()];
                builder.with_client_auth_cert(chain, key).expect("a certificate and its key")
            }
        };
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let socket = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        socket.set_read_timeout(Some(LIMIT)).expect("set a time limit");
        StreamOwned::new(session, socket)
    }
}

impl Identity {
    /// Writes certificate and key.
    pub fn write(&self, cert: &Path, key: &Path) {
        std::fs::write(cert, self.cert.pem()).expect("write a certificate");
        std::fs::write(key, self.key.serialize_pem()).expect("write a key");
    }
}
