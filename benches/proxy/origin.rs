//! The origins of the bench: TLS, one that offers HTTP/1.1 alone and one that offers HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Length of every answer.
pub(crate) const BODY_BYTES: usize = 1024;

/// What both legs speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    /// The name of the origin that speaks it.
    pub(crate) const fn host(self) -> &'static str {
        match self {
            Self::Http1 => "h1.bench.test",
            Self::Http2 => "h2.bench.test",
        }
    }

    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// Both origins and the CA that vouches for them.
pub(crate) struct Origins {
    issuer: CertifiedIssuer<'static, KeyPair>,
    http1: SocketAddr,
    http2: SocketAddr,
}

impl Origins {
    /// Starts them on loopback.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let http1 = listen(&issuer, Protocol::Http1).await?;
        let http2 = listen(&issuer, Protocol::Http2).await?;
        Ok(Self { issuer, http1, http2 })
    }

    /// Where one of them listens.
    pub(crate) fn address(&self, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::Http1 => self.http1,
            Protocol::Http2 => self.http2,
        }
    }

    /// Their CA.
    pub(crate) fn anchor(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Their CA, for a file.
    pub(crate) fn anchor_pem(&self) -> String {
        self.issuer.pem()
    }
}

async fn listen(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    protocol: Protocol,
) -> anyhow::Result<SocketAddr> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![protocol.host().to_owned()])?.signed_by(&key, issuer)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?,
        )?;
    config.alpn_protocols = vec![protocol.alpn().to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(acceptor.clone(), tcp, protocol));
        }
    });
    Ok(address)
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream, protocol: Protocol) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let io = TokioIo::new(acceptor.accept(tcp).await?);
    let service = service_fn(answer);
    match protocol {
        Protocol::Http1 => hyper::server::conn::http1::Builder::new().serve_connection(io, service).await?,
        Protocol::Http2 => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(io, service)
                .await?;
        }
    }
    Ok(())
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(&[b'x'; BODY_BYTES])));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}
