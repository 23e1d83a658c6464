//! Origins to call, and calls to send.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Answer, Limits, OriginError, ResolveTable, Settings, Upstream};
use crate::body::Body;
use crate::call::principal::Entrance;
use crate::call::stage::Upgrade;
use crate::call::*;

pub(super) type Out = UnsyncBoxBody<Bytes, std::io::Error>;

pub(super) fn full(text: impl Into<Bytes>) -> Out {
    http_body_util::Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

// --- calls ---

struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(1_795_500_000)
    }
}
impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let n = COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        buffer.iter_mut().zip(n.iter().cycle()).for_each(|(b, n)| *b = *n);
    }
}
struct NoBook;
impl CloseBook for NoBook {
    fn close(&self, _: CallId, _: EntryId, _: Closing) {}
}

pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: &'static str,
    pub(super) headers: HeaderMap,
    pub(super) upgrade: Option<Upgrade>,
    pub(super) task: TaskId,
    pub(super) traceparent: Option<&'static str>,
}

impl Ask {
    pub(super) fn new(method: Method, url: &'static str) -> Self {
        let task = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        Self { method, url, headers: HeaderMap::new(), upgrade: None, task, traceparent: None }
    }

    pub(super) fn get(url: &'static str) -> Self {
        Self::new(Method::GET, url)
    }

    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    pub(super) fn call(self) -> Call<Credentialed> {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
        let slash = rest.find('/').unwrap();
        let (host, port) = Origin::parse_authority(&rest[..slash], Some(scheme.default_port())).unwrap();
        let id = CallId::fresh(&Fixed, &Fixed);
        let head = Head {
            id,
            at: Fixed.now(),
            origin: Origin { scheme, host, port },
            method: self.method,
            target: Target::parse(&rest[slash..]).unwrap(),
            version: Version::HTTP_11,
            headers: self.headers,
            trace: TraceContext::of(id, self.traceparent, &Fixed),
            upgrade: self.upgrade,
        };
        let presented = Presented {
            peer: ([127, 0, 0, 1], 1).into(),
            by: Entrance::Proxy,
            token: None,
            certificates: None,
            chain: None,
            process: None,
        };
        let agent = SpiffeId::parse("spiffe://example.org/agent/a").unwrap();
        let operations = Operations::one(Operation {
            id: OperationId::unknown(Class::Act),
            service: ServiceName("s".into()),
            class: Class::Act,
            resource: None,
            how: Recognition::Unknown,
            facts: crate::call::Facts::default(),
            because: "test".into(),
            ai: None,
        });
        let task = Arc::new(Task {
            id: self.task,
            agent: agent.clone(),
            intent: IntentName::parse("test").unwrap(),
            labels: BTreeMap::new(),
            opened: Fixed.now(),
            deadline: Fixed.now(),
            terms: crate::call::Terms::default(),
        });
        let principal = Principal { agent, evidence: Evidence::Assumed, claims: Claims::default() };
        let ruling = Ruling::assertion(Decision::Allow, vec![], None, RulesDigest([0; 32]));
        let call = Call::intercepted(head, presented).recognise(operations);
        let Ruled::Allowed(call) = call.attribute(principal, task, History::default()).decide(ruling) else {
            panic!("denied")
        };
        let opened = Opened::assertion(id, EntryId(0), Arc::new(NoBook));
        call.equip(&opened)
    }

    pub(super) async fn send(self, upstream: &Upstream) -> Result<Answer, OriginError> {
        self.send_with(upstream, Body::empty()).await
    }

    pub(super) async fn send_with(self, upstream: &Upstream, body: Body) -> Result<Answer, OriginError> {
        tokio::time::timeout(Duration::from_secs(20), upstream.send(self.call(), body))
            .await
            .expect("the call hangs")
    }
}

pub(super) async fn text(answer: Answer) -> String {
    String::from_utf8(answer.response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

// --- certificates ---

pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

pub(super) struct Leaf {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Two authorities of one name would be told apart by signature alone.
static NAMES: AtomicUsize = AtomicUsize::new(0);

impl Ca {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        let name = format!("test CA {}", NAMES.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn anchor(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(super) fn leaf(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

pub(super) fn acceptor(leaf: Leaf, alpn: &[&str]) -> tokio_rustls::TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.chain, leaf.key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

// --- origins ---

/// What an origin saw.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connections: AtomicUsize,
    pub(super) requests: AtomicUsize,
    pub(super) heads: Mutex<Vec<http::request::Parts>>,
}

impl Seen {
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }

    pub(super) fn last(&self) -> http::request::Parts {
        self.heads.lock().unwrap().last().unwrap().clone()
    }
}

/// A TLS origin for `a.test` and `b.test`.
pub(super) struct TestOrigin {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
    pub(super) anchor: CertificateDer<'static>,
}

impl TestOrigin {
    pub(super) async fn start<F>(
        alpn: &'static [&'static str],
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Out>> + Send + 'static,
    {
        let ca = Ca::new();
        let acceptor = acceptor(ca.leaf(&["a.test", "b.test"], |_| {}), alpn);
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let watched = seen.clone();
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                watched.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(acceptor.clone(), tcp, answer.clone(), watched.clone()));
            }
        });
        Self { address, seen, anchor: ca.anchor() }
    }

    pub(super) fn upstream(&self) -> Upstream {
        self.upstream_with(Limits::default())
    }

    pub(super) fn upstream_with(&self, limits: Limits) -> Upstream {
        let to = self.address.to_string();
        Upstream::new(Settings {
            trust: vec![self.anchor.clone()],
            resolve: ResolveTable::parse([("*.test", to.as_str())]).unwrap(),
            own: vec![],
            limits,
        })
        .unwrap()
    }
}

async fn serve<F>(
    acceptor: tokio_rustls::TlsAcceptor,
    tcp: TcpStream,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    seen: Arc<Seen>,
) where
    F: Future<Output = Response<Out>> + Send + 'static,
{
    let Ok(tls) = acceptor.accept(tcp).await else { return };
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        seen.requests.fetch_add(1, Ordering::SeqCst);
        let (parts, body) = request.into_parts();
        let mut copy = Request::new(()).into_parts().0;
        copy.method = parts.method.clone();
        copy.uri = parts.uri.clone();
        copy.version = parts.version;
        copy.headers = parts.headers.clone();
        seen.heads.lock().unwrap().push(copy);
        let answered = answer(Request::from_parts(parts, body));
        async move { Ok::<_, std::convert::Infallible>(answered.await) }
    });
    let io = TokioIo::new(tls);
    let _ = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades().await
    };
}

/// A plain origin for `raw.test` (mapped to `http://`), that does on each connection what `script` says.
pub(super) async fn raw<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> (Upstream, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    raw_with(Limits::default(), script).await
}

pub(super) async fn raw_with<F>(
    limits: Limits,
    script: impl Fn(TcpStream) -> F + Send + 'static,
) -> (Upstream, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(script(tcp));
        }
    });
    let ca = Ca::new();
    let upstream = Upstream::new(Settings {
        trust: vec![ca.anchor()],
        resolve: ResolveTable::parse([("raw.test", to.as_str())]).unwrap(),
        own: vec![],
        limits,
    })
    .unwrap();
    (upstream, connections)
}

/// Reads one head; empty at the end of the stream.
pub(super) async fn read_head(tcp: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && tcp.read(&mut byte).await.is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

pub(super) async fn write(tcp: &mut TcpStream, text: &str) {
    use tokio::io::AsyncWriteExt as _;
    tcp.write_all(text.as_bytes()).await.unwrap();
}
