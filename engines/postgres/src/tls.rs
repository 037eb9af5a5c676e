//! TLS: whether a connection is encrypted, and whom it is believed to lead to.
//!
//! The words are those of libpq. What was asked for is done or refused, never left out: only `prefer` takes a server as it is.
//! The driver has a seam for TLS, and rustls sits behind it; the certificate is not bound to the password's exchange (channel
//! binding), which protects only those who do not verify it.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use larder_core::{Error, ErrorKind, Result};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    config::SslMode,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{TlsConnector, client};

/// What a URL says about TLS.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// `sslmode`; without one it is `prefer`.
    pub(crate) mode: Option<&'a str>,
    /// `sslrootcert`: a file of certificates, or `system` for those that the system trusts.
    pub(crate) roots: Option<String>,
    /// `sslcert` and `sslkey`: who we are, to a server that wants to know.
    pub(crate) certificate: Option<String>,
    pub(crate) key: Option<String>,
}

/// How far a server is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    /// Whoever it is.
    Anybody,
    /// Whoever a root has signed.
    Signed,
    /// Who a root has signed under this very name.
    Named,
}

/// How connections are encrypted; `None` is not at all.
pub(crate) fn prepare(wanted: Wanted<'_>) -> Result<(SslMode, Option<Tls>)> {
    let with_roots = wanted.roots.is_some();
    let (mode, belief) = match wanted.mode.unwrap_or("prefer") {
        "disable" => return Ok((SslMode::Disable, None)),
        "prefer" => (SslMode::Prefer, Belief::Anybody),
        // With roots at hand they are used, as libpq does.
        "require" if with_roots => (SslMode::Require, Belief::Signed),
        "require" => (SslMode::Require, Belief::Anybody),
        "verify-ca" => (SslMode::Require, Belief::Signed),
        "verify-full" => (SslMode::Require, Belief::Named),
        other => {
            let message = format!("sslmode={other:?} is none of disable, prefer, require, verify-ca and verify-full");
            return Err(Error::invalid(message).engine("postgres"));
        }
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("TLS", &error))?;
    let verifier: Arc<dyn ServerCertVerifier> = match belief {
        Belief::Anybody => Arc::new(Lenient { signed: None, provider }),
        Belief::Signed | Belief::Named => {
            let roots = Arc::new(roots(wanted.roots.as_deref())?);
            let strict = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            let strict = strict.map_err(|error| unusable("sslrootcert", &error))?;
            if belief == Belief::Named { strict } else { Arc::new(Lenient { signed: Some(strict), provider }) }
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match (wanted.certificate, wanted.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates(Path::new(&certificate), "sslcert")?;
            let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable("sslkey", &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable("sslcert and sslkey", &error))?
        }
        _ => return Err(Error::invalid("sslcert and sslkey belong together, and one of them is missing").engine("postgres")),
    };
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok((mode, Some(Tls(Arc::new(config)))))
}

fn roots(named: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = match named.filter(|name| *name != "system") {
        Some(path) => certificates(Path::new(path), "sslrootcert")?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(found);
    if roots.is_empty() {
        let message = "there is no certificate to verify the server with; name a file of them with sslrootcert";
        return Err(Error::invalid(message).engine("postgres"));
    }
    Ok(roots)
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    read.map_err(|error| unusable(what, &error))
}

fn unusable(what: &str, why: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("what the URL names as {what} cannot be used: {why}")).engine("postgres")
}

/// Believes a server of any name, or just any.
#[derive(Debug)]
struct Lenient {
    signed: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(signed) = &self.signed else { return Ok(ServerCertVerified::assertion()) };
        match signed.verify_server_cert(certificate, between, name, ocsp, now) {
            // The name is looked at last, when everything else is in order.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What sits behind the driver's seam.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> std::result::Result<Handshake, Infallible> {
        // Asked for every connection, also for those that will not be encrypted; what has no name says so when it matters.
        Ok(Handshake { connector: TlsConnector::from(self.0.clone()), name: ServerName::try_from(host.to_owned()).ok() })
    }
}

pub(crate) struct Handshake {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let nameless = || io::Error::new(io::ErrorKind::InvalidInput, "the host of the URL is no name that TLS knows");
            let name = self.name.ok_or_else(nameless)?;
            self.connector.connect(name, stream).await.map(Encrypted)
        })
    }
}

/// A connection that nobody else can read.
pub(crate) struct Encrypted<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
