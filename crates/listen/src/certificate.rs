//! A certificate with its key, as two files hold them (PEM).
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the files' volume, or before anything is served"
)]

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and a root, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Why TLS cannot be served with two files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// What one holds is not what belongs there. Repeats nothing of it.
    #[error("{}: {words}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        words: String,
    },
    /// They cannot be used together.
    #[error("{} with {}: {words}", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        words: String,
    },
    /// They were replaced while they were read.
    #[error("the files are being replaced")]
    Changing,
}

/// What tells one version of a file from another, also when a link on the way to it is replaced.
type Version = (u64, u64, u64, (i64, i64), (i64, i64));

/// Which versions of both files there are; those that are not there have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions([Option<Version>; 2]);

/// A certificate that can be served.
pub(crate) struct Certificate {
    pub(crate) config: Arc<ServerConfig>,
    /// When it, or one between it and a root, ends.
    pub(crate) ends: Timestamp,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Certificate")
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl TlsFiles {
    /// Reads them; when the certificate ends.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn check(&self) -> Result<Timestamp, TlsError> {
        Ok(self.load()?.ends)
    }

    pub(crate) fn versions(&self) -> Versions {
        Versions([version(&self.cert), version(&self.key)])
    }

    /// # Errors
    /// [`TlsError`].
    pub(crate) fn load(&self) -> Result<Certificate, TlsError> {
        let before = self.versions();
        let loaded = self.load_once();
        match self.versions() == before {
            true => loaded,
            false => Err(TlsError::Changing),
        }
    }

    fn load_once(&self) -> Result<Certificate, TlsError> {
        let (cert, key) = (read(&self.cert)?, read(&self.key)?);
        let content = |path: &Path, words: String| TlsError::Content {
            path: path.to_owned(),
            words,
        };
        let chain = CertificateDer::pem_slice_iter(&cert).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| content(&self.cert, error.to_string()))?;
        if chain.is_empty() {
            return Err(content(&self.cert, "holds no certificate in PEM".into()));
        }
        let ends = chain.iter().map(end).collect::<Option<Vec<_>>>();
        let ends = ends.and_then(|ends| ends.into_iter().min());
        let ends = ends.ok_or_else(|| content(&self.cert, "not a certificate".into()))?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|_| content(&self.key, "holds no private key in PEM".into()))?;
        let config = config(chain, key).map_err(|error| TlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            words: match error {
                rustls::Error::InconsistentKeys(_) => "the key is of another certificate".into(),
                other => other.to_string(),
            },
        })?;
        Ok(Certificate {
            config: Arc::new(config),
            ends,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File {
        path: path.to_owned(),
        error,
    })
}

fn version(path: &Path) -> Option<Version> {
    let meta = fs::metadata(path).ok()?;
    let (changed, written) = (
        (meta.ctime(), meta.ctime_nsec()),
        (meta.mtime(), meta.mtime_nsec()),
    );
    Some((meta.dev(), meta.ino(), meta.size(), changed, written))
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// When a certificate ends.
fn end(cert: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, cert) = x509_parser::parse_x509_certificate(cert).ok()?;
    let seconds = cert.validity().not_after.timestamp();
    // A certificate may say that it has no end: 31 December 9999 (RFC 5280, 4.1.2.5).
    Some(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}
