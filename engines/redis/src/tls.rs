//! TLS: the files by which a server and we prove to each other who we are.
//!
//! They are read anew for every connection, so that certificates may be replaced while a store is open.

use std::path::{Path, PathBuf};

use larder_core::{Error, ErrorKind, Result};
use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

/// The files that a URL names; none is the way of the system, where its own authorities vouch for the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// The certificates of the authorities that may vouch for the server.
    pub(crate) authorities: Option<PathBuf>,
    /// Our own certificate and its key.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Files {
    pub(crate) fn are_named(&self) -> bool {
        self.authorities.is_some() || self.certificate.is_some() || self.key.is_some()
    }

    /// A certificate without its key proves nothing, nor does a key alone.
    pub(crate) fn are_whole(&self) -> bool {
        self.certificate.is_some() == self.key.is_some()
    }

    fn read(&self) -> Result<TlsCertificates> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        let own = read(&self.certificate)?.zip(read(&self.key)?);
        let client_tls = own.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        Ok(TlsCertificates { client_tls, root_cert: read(&self.authorities)? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let message = format!("the file {} that the URL of the store names cannot be read: {error}", path.display());
        Error::invalid(message).engine("redis")
    })
}

/// The driver's way to `server`.
pub(crate) fn client(server: ConnectionInfo, files: &Files) -> Result<Client> {
    let secret = matches!(server.addr(), ConnectionAddr::TcpTls { .. });
    let client = match secret {
        true => {
            // The driver takes what the process has; where the process has chosen already, that is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            Client::build_with_tls(server, files.read()?)
        }
        false => Client::open(server),
    };
    client.map_err(|error| {
        let message = "what the files of certificates hold cannot be used";
        Error::new(ErrorKind::Invalid, message).engine("redis").caused_by(error.to_string())
    })
}
