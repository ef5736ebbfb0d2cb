//! TLS with a certificate of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use debridfs_base::Board;
use debridfs_listen::{Tls, TlsFiles};
use rcgen::{CertificateParams, KeyPair};

/// TLS for this machine's names, and the file of the certificate, which is its own authority.
pub fn tls(dir: &Path) -> (Arc<Tls>, PathBuf) {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
    let key = KeyPair::generate().unwrap();
    let signed = CertificateParams::new(names).unwrap().self_signed(&key);
    let files = TlsFiles {
        cert: dir.join("tls.crt"),
        key: dir.join("tls.key"),
    };
    std::fs::write(&files.cert, signed.unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let cert = files.cert.clone();
    let tls = Tls::new("http.tls_cert", files);
    let followed = tls.clone();
    tokio::spawn(async move { followed.follow(&Board::default()).await });
    (tls, cert)
}
