//! A node in this process, an origin beside it, and an agent that speaks through the one to the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use remit::runtime::{Config, Node, TraceTo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What an origin saw of a request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

/// A plain-HTTP origin that answers everything: `/stream` without end, `/unauthorized` with 401, `/mirror` with the credential that it got, the tokens of
/// installations as GitHub does, all else with a short text.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Origin {
    pub(crate) async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let origin = origin.clone();
                let service = service_fn(move |request| {
                    let origin = origin.clone();
                    async move { Ok::<_, std::convert::Infallible>(origin.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        address
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
        let (head, body) = request.into_parts();
        let _read_to_its_end = body.collect().await;
        let target = head.uri.to_string();
        let endless = target.starts_with("/stream");
        let mirrored =
            target.starts_with("/mirror").then(|| head.headers.get("authorization").cloned()).flatten();
        self.seen.lock().unwrap().push(Seen { target: target.clone(), headers: head.headers.clone() });
        if let Some(value) = mirrored {
            let body = Full::new(Bytes::copy_from_slice(value.as_bytes())).map_err(|never| match never {});
            return Response::builder().header("x-mirrored", value).body(body.boxed()).unwrap();
        }
        if target.starts_with("/unauthorized") {
            let nothing = Full::new(Bytes::new()).map_err(|never| match never {});
            return Response::builder().status(401).body(nothing.boxed()).unwrap();
        }
        if target.starts_with("/app/installations/") {
            let packed = head.headers.get("accept-encoding").is_some();
            return installation_token(&target, packed);
        }
        if endless {
            let ticks = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((Ok(Frame::data(Bytes::from_static(b"data: tick\n\n"))), ()))
            });
            return Response::new(StreamBody::new(ticks).boxed());
        }
        Response::new(
            Full::new(Bytes::from_static(b"from the origin")).map_err(|never| match never {}).boxed(),
        )
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// What GitHub answers to `POST /app/installations/{id}/access_tokens`; to ids 8 and 9 otherwise than it should.
fn installation_token(target: &str, packed: bool) -> Response<BoxBody<Bytes, hyper::Error>> {
    let said = "repeats ghs_real_of_the_installation";
    let json = r#"{"token": "ghs_real_of_the_installation", "expires_at": "2099-01-01T00:00:00Z"}"#;
    let text = match target.split('/').nth(3) {
        Some("8") => "token=ghs_real_of_the_installation".to_owned(),
        Some("9") => format!("{}{json}", " ".repeat(2 << 20)),
        _ => json.to_owned(),
    };
    let mut body = text.clone().into_bytes();
    let mut answer = Response::builder().status(201).header("content-type", "application/json");
    if packed {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        body = encoder.finish().unwrap();
        answer = answer.header("content-encoding", "gzip");
    }
    answer = answer.header("x-said", said);
    answer.body(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed()).unwrap()
}

/// A node with its state in a folder of its own.
pub(crate) struct House {
    pub(crate) origin: Origin,
    pub(crate) node: Node,
    pub(crate) dir: tempfile::TempDir,
}

/// One policy that lets everything through; the walk is what is tested, not the policies.
pub(crate) const PERMIT_ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";
/// Reads alone.
pub(crate) const PERMIT_READS: &str =
    "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n";

impl House {
    /// A node under these policies; `more` is appended to its configuration.
    pub(crate) async fn start(policies: &str, more: &str) -> Self {
        Self::start_listening(policies, "", more).await
    }

    /// A node that listens elsewhere too.
    pub(crate) async fn start_listening(policies: &str, listen: &str, more: &str) -> Self {
        let origin = Origin::default();
        let address = origin.start().await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        std::fs::write(dir.path().join("policies/test.cedar"), policies).unwrap();
        let text = format!(
            "[listen]\nproxy = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{listen}\n[policies]\ndir = \"policies\"\n\
             [upstream.resolve]\n\"api.github.com\" = \"http://{address}\"\n\"api.test\" = \"http://{address}\"\n{more}"
        );
        std::fs::write(dir.path().join("config.toml"), text).unwrap();
        let node = Self::node(&dir).await;
        Self { origin, node, dir }
    }

    async fn node(dir: &tempfile::TempDir) -> Node {
        let config =
            Config::load(&dir.path().join("config.toml"), &std::collections::BTreeMap::new()).unwrap();
        Node::start(config, TraceTo::Nothing).await.unwrap()
    }

    /// Stops the node and starts one on the same state.
    pub(crate) async fn restart(self) -> Self {
        let Self { origin, node, dir } = self;
        node.stop(Duration::from_secs(5)).await;
        let node = Self::node(&dir).await;
        Self { origin, node, dir }
    }

    /// Asks the admin API.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let facts = self.node.facts();
        let token = std::fs::read_to_string(facts.admin_token).unwrap();
        let stream = TcpStream::connect(facts.admin).await.unwrap();
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", facts.admin.to_string())
            .header("authorization", format!("Bearer {}", token.trim()))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Opens a task.
    pub(crate) async fn task(&self) -> Value {
        let wanted = serde_json::json!({"agent": "tester", "intent": "test", "port": true});
        let (status, task) = self.admin(Method::POST, "/v1/tasks", wanted).await;
        assert_eq!(status, StatusCode::CREATED, "{task}");
        task
    }

    /// An agent with a task of its own, its tunnel open.
    pub(crate) async fn agent(&self, host: &str, alpn: &str) -> Agent {
        let task = self.task().await;
        let token = task["token"].as_str().unwrap().to_owned();
        Agent::connect(self, host, alpn, &token).await
    }

    /// Every entry of the journal, once its last one is written.
    pub(crate) async fn journal(self) -> Vec<Value> {
        let dir = self.dir.path().join("state/journal");
        self.node.stop(Duration::from_secs(5)).await;
        let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
        files.sort();
        let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The entries of one kind.
pub(crate) fn of_kind<'a>(journal: &'a [Value], kind: &str) -> Vec<&'a Value> {
    journal.iter().filter(|entry| entry["kind"] == kind).map(|entry| &entry["data"]).collect()
}

/// A client inside a tunnel.
pub(crate) enum Agent {
    H1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    H2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Agent {
    pub(crate) async fn connect(house: &House, host: &str, alpn: &str, token: &str) -> Self {
        let tls = tunnel(house, host, alpn, token).await;
        if alpn == "h2" {
            let (sender, driver) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
            tokio::spawn(driver);
            return Self::H2(sender);
        }
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(driver);
        Self::H1(sender)
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        match self {
            Self::H1(sender) => sender.send_request(request).await.unwrap(),
            Self::H2(sender) => sender.send_request(request).await.unwrap(),
        }
    }

    /// Status, headers and text.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, String) {
        let answer = self.send(request(matches!(self, Self::H2(_)), method, url, headers)).await;
        let (head, body) = answer.into_parts();
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        (head.status, head.headers, String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A request in the form that the protocol wants.
pub(crate) fn request(h2: bool, method: &str, url: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let uri: http::Uri = url.parse().unwrap();
    let mut builder = Request::builder().method(method);
    if h2 {
        builder = builder.uri(url);
    } else {
        builder = builder.uri(uri.path_and_query().unwrap().as_str()).header("host", uri.host().unwrap());
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(Bytes::from_static(if method == "GET" { b"" } else { b"{}" }))).unwrap()
}

pub(crate) async fn tunnel(house: &House, host: &str, alpn: &str, token: &str) -> TlsStream<TcpStream> {
    let facts = house.node.facts();
    let mut stream = TcpStream::connect(facts.proxy).await.unwrap();
    // Without a token it is the default agent's.
    let shown =
        if token.is_empty() { String::new() } else { format!("Proxy-Authorization: Bearer {token}\r\n") };
    let ask = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n{shown}\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = [0; 39];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(facts.ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}
