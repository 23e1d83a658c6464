//! The demo's agent: an HTTPS client that goes through the proxy as any client does (RFC 9110 §9.3.6) and trusts its CA.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::exchange::{self, Answer};

/// A proxy's answer to CONNECT has no reason to be longer.
const HEAD_LIMIT_BYTES: usize = 64 << 10;

/// A client behind the proxy.
pub(in crate::terminal) struct Agent {
    proxy: String,
    authorization: String,
    tls: TlsConnector,
}

impl Agent {
    /// Uses the proxy at `http://user:password@host:port` and trusts the CA alone.
    pub(in crate::terminal) fn new(proxy: &str, ca: &Path) -> Result<Self, String> {
        let proxy = Url::parse(proxy).map_err(|error| format!("the proxy's URL: {error}"))?;
        let (Some(host), Some(port)) = (proxy.host_str(), proxy.port_or_known_default()) else {
            return Err("the proxy's URL has no host".to_owned());
        };
        let credentials = format!("{}:{}", proxy.username(), proxy.password().unwrap_or_default());
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(ca).map_err(|error| format!("the CA: {error}"))?;
        roots.add(ca).map_err(|error| format!("the CA: {error}"))?;
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            proxy: format!("{host}:{port}"),
            authorization: format!("Basic {}", BASE64_STANDARD.encode(credentials)),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Makes one call to `https://host/path`.
    pub(in crate::terminal) async fn call(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let host = url.host_str().ok_or("the URL has no host")?.to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let tunnel = tokio::time::timeout(exchange::DEADLINE, self.tunnel(&host, port));
        let socket = match tunnel.await.map_err(|_| "the proxy does not answer".to_owned())?? {
            Ok(socket) => socket,
            Err(refused) => return Ok(refused),
        };
        let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
        let secure = self.tls.connect(name, socket).await.map_err(|error| format!("TLS: {error}"))?;
        let target = &url[url::Position::BeforePath..];
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|_| "the URL's path".to_owned())?;
        *request.headers_mut() = headers;
        let authority = host.parse().map_err(|_| "the URL's host".to_owned())?;
        request.headers_mut().insert(header::HOST, authority);
        exchange::exchange(secure, request).await
    }

    /// Opens a tunnel, or brings what the proxy said instead.
    async fn tunnel(&self, host: &str, port: u16) -> Result<Result<TcpStream, Answer>, String> {
        let broken = |error: std::io::Error| format!("the proxy: {error}");
        let mut socket = TcpStream::connect(&self.proxy).await.map_err(broken)?;
        let head = format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nProxy-Authorization: {}\r\n\r\n",
            self.authorization
        );
        socket.write_all(head.as_bytes()).await.map_err(broken)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            // Byte by byte, because what follows the head belongs to TLS.
            answer.push(socket.read_u8().await.map_err(broken)?);
            if answer.len() > HEAD_LIMIT_BYTES {
                return Err("the proxy answered CONNECT with an endless head".to_owned());
            }
        }
        let status = answer.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok());
        match status.ok_or("the proxy did not answer CONNECT in HTTP")? {
            StatusCode::OK => Ok(Ok(socket)),
            status => Ok(Err(Answer { status, headers: HeaderMap::new(), body: Bytes::new() })),
        }
    }
}
