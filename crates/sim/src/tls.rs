//! A certificate authority for tests.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// A new CA with one server certificate for `localhost`, loopback addresses and what else is wanted.
pub struct TestCa {
    pem: String,
    config: Arc<rustls::ServerConfig>,
}

impl std::fmt::Debug for TestCa {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TestCa").finish_non_exhaustive()
    }
}

impl TestCa {
    /// Makes keys and certificates; `hosts` are names or addresses.
    ///
    /// # Errors
    /// A host is no name, in words for people.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let say = |error: rcgen::Error| error.to_string();
        let mut params = CertificateParams::new(Vec::new()).map_err(say)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "debridfs simulator test CA");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(say)?;
        let ca = params.self_signed(&key).map_err(say)?;
        let issuer = Issuer::new(params, key);

        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        names.extend(hosts);
        names.sort();
        names.dedup();
        let mut params = CertificateParams::new(names).map_err(say)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "debridfs simulator");
        let key = KeyPair::generate().map_err(say)?;
        let certificate = params.signed_by(&key, &issuer).map_err(say)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], private)
            })
            .map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            pem: ca.pem(),
            config: Arc::new(config),
        })
    }

    /// The CA's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}
