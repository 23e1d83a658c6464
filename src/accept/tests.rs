use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ca::Ca;
use super::listen::Listener;
use super::{Agent, Front, Settings, TurnedAway, Walk, Walked};
use crate::body::Body;
use crate::body::framing::Limits;
use crate::call::principal::Entrance;
use crate::call::{Call, Clock, Entropy, Host, Intercepted, Presented, Refusal, Timestamp, Wire};

struct Now;
impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_unix_ns(u64::try_from(since.as_nanos()).unwrap())
    }
}

struct Counter(AtomicUsize);
impl Entropy for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        buffer.fill(u8::try_from(n % 250).unwrap() + 1);
    }
}

/// Admits whoever brings the token `good`; answers with what it was given.
#[derive(Default)]
struct Echo {
    calls: Mutex<Vec<String>>,
    turned: Mutex<Vec<&'static str>>,
}

impl Walk for Echo {
    fn admit(&self, presented: &Presented) -> Result<(), Refusal> {
        match presented.token.as_ref().map(|token| token.reveal().as_str()) {
            Some("good") => Ok(()),
            Some(_) => Err(Refusal::IdentityInvalid { why: "bad token".into() }),
            None => Err(Refusal::IdentityRequired),
        }
    }

    async fn walk(&self, call: Call<Intercepted>, body: Body, _: Agent) -> Walked {
        if let Err(refusal) = self.admit(&call.stage().presented) {
            return super::refuse::answer(&refusal, &super::refuse::Wording::of(call.head(), Wire::Problem))
                .into();
        }
        let head = call.head();
        assert!(head.target.path() != "/panic", "as asked");
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let names: Vec<_> = head.headers.keys().map(|name| name.as_str().to_owned()).collect();
        let line = format!("{} {} {} {}", head.method, head.origin, head.target.raw(), names.join(","));
        self.calls.lock().unwrap().push(format!("{line} {}", String::from_utf8_lossy(&body)));
        Response::new(Body::full(line)).into()
    }

    async fn turn_away(&self, turned: TurnedAway) {
        self.turned.lock().unwrap().push(turned.refusal.code());
    }
}

struct House {
    echo: Arc<Echo>,
    ca: Arc<Ca>,
    address: std::net::SocketAddr,
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl House {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Arc::new(Ca::load_or_make(&dir.path().join("ca"), Arc::new(Now)).unwrap());
        let echo = Arc::new(Echo::default());
        let (stop, stopped) = watch::channel(false);
        let limits = Limits { head_time: Duration::from_millis(300), ..Limits::default() };
        let settings = Settings { limits, handshake_time: Duration::from_millis(300), ..Settings::default() };
        let entropy = Arc::new(Counter(AtomicUsize::new(0)));
        let front =
            Front::new(echo.clone(), ca.clone(), settings, Arc::new(Now), entropy, stopped.clone(), None);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Entrance::Proxy).await.unwrap();
        let address = listener.address().unwrap();
        let running = tokio::spawn(listener.run(front, stopped));
        Self { echo, ca, address, stop, running, _dir: dir }
    }

    /// What comes back for these bytes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut out = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(Ok(n @ 1..)) =
            tokio::time::timeout(Duration::from_millis(700), stream.read(&mut piece)).await
        {
            out.extend_from_slice(&piece[..n]);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    async fn tunnel(&self, target: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let ask = format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer good\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = [0; 39];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 Connection Established\r\n\r\n");
        stream
    }

    async fn tls(&self, target: &str, sni: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        self.client(alpn).connect(name, self.tunnel(target).await).await
    }

    /// An agent that trusts the CA, and remembers its sessions.
    fn client(&self, alpn: &[&str]) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca.files().root).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// What comes back through the tunnel to `h.test:443` for these bytes.
    async fn inside(&self, bytes: &str) -> String {
        let mut tls = self.tls("h.test:443", "h.test", &["http/1.1"]).await.unwrap();
        tls.write_all(bytes.as_bytes()).await.unwrap();
        let mut out = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(Ok(n @ 1..)) =
            tokio::time::timeout(Duration::from_millis(700), tls.read(&mut piece)).await
        {
            out.extend_from_slice(&piece[..n]);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn turned(&self) -> Vec<&'static str> {
        self.echo.turned.lock().unwrap().clone()
    }

    fn calls(&self) -> Vec<String> {
        self.echo.calls.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn without_evidence_the_answer_is_407_and_the_connection_goes_on() {
    let house = House::start().await;
    let ask = "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n";
    let good = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "task:good");
    let both = format!("{ask}\r\n{ask}Proxy-Authorization: Basic {good}\r\n\r\n");
    let answer = house.raw(both.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
    assert!(answer.contains("proxy-authenticate: Basic realm=\"remit\""), "{answer}");
    assert!(answer.contains("remit-refusal: identity_required"), "{answer}");
    assert!(answer.ends_with("HTTP/1.1 200 Connection Established\r\n\r\n"), "{answer}");
    assert_eq!(house.turned().first(), Some(&"identity_required"));
}

#[tokio::test]
async fn bad_evidence_is_refused_and_the_connection_ends() {
    let house = House::start().await;
    for value in ["Bearer evil", "Basic !!!", "Basic Zm9v", "Digest x", "Bearer"] {
        let ask = format!(
            "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\nProxy-Authorization: {value}\r\n\r\n"
        );
        let answer = house.raw(ask.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 407 "), "{value}: {answer}");
        assert!(
            answer.contains("remit-refusal: identity_invalid") && answer.contains("connection: close"),
            "{answer}"
        );
    }
    assert_eq!(house.turned(), ["identity_invalid"; 5]);
}

#[tokio::test]
async fn malformed_connects_are_refused_with_a_record() {
    let house = House::start().await;
    let auth = "Proxy-Authorization: Bearer good\r\n\r\n";
    let cases = [
        (format!("CONNECT h.test HTTP/1.1\r\nHost: h.test\r\n{auth}"), "400", "bad_request"),
        (format!("CONNECT h.test:0 HTTP/1.1\r\nHost: h.test\r\n{auth}"), "400", "bad_request"),
        (format!("CONNECT u@h.test:443 HTTP/1.1\r\nHost: h.test\r\n{auth}"), "400", "bad_request"),
        (format!("CONNECT /x:443 HTTP/1.1\r\nHost: h.test\r\n{auth}"), "400", "bad_request"),
        (format!("CONNECT h.test:443 HTTP/1.1\r\nHost: e.test:443\r\n{auth}"), "421", "origin_mismatch"),
        (format!("CONNECT h.test:22 HTTP/1.1\r\nHost: h.test:22\r\n{auth}"), "403", "port_refused"),
        (
            format!("CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\nContent-Length: 3\r\n{auth}"),
            "400",
            "bad_request",
        ),
        ("GET / HTTP/1.1\nHost: h\n\n".to_owned(), "400", "bad_request"),
        ("\x05\x01\x00".to_owned(), "400", "bad_request"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(70_000)), "431", "head_too_large"),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(20_000)), "414", "target_too_long"),
        ("CONNECT h.te".to_owned(), "408", "too_slow"),
        (format!("GET / HTTP/1.1\r\nHost: h.test\r\n{auth}"), "400", "bad_request"),
        (format!("GET ftp://h.test/ HTTP/1.1\r\nHost: h.test\r\n{auth}"), "400", "bad_request"),
        (format!("GET https://h.test/ HTTP/1.1\r\nHost: h.test\r\n{auth}"), "400", "bad_request"),
        (format!("GET http://h.test/ HTTP/1.1\r\nHost: e.test\r\n{auth}"), "421", "origin_mismatch"),
        (format!("TRACE http://h.test/ HTTP/1.1\r\nHost: h.test\r\n{auth}"), "405", "method_refused"),
    ];
    for (n, (bytes, status, code)) in cases.iter().enumerate() {
        let answer = house.raw(bytes.as_bytes()).await;
        let shown: String = bytes.chars().take(80).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
        assert!(answer.contains(&format!("remit-refusal: {code}")), "{shown:?}: {answer}");
        assert_eq!(house.turned().get(n), Some(code), "{shown:?}");
    }
    assert!(house.calls().is_empty());
}

#[tokio::test]
async fn absolute_form_is_served_and_judged_by_its_own_credentials() {
    let house = House::start().await;
    let one =
        "GET http://h.test:80/a?b=c HTTP/1.1\r\nHost: h.test\r\nProxy-Authorization: Bearer good\r\n\r\n";
    let two = "GET http://h.test/second HTTP/1.1\r\nHost: h.test\r\n\r\n";
    let answer = house.raw(format!("{one}{two}").as_bytes()).await;
    assert!(answer.contains("GET http://h.test /a?b=c "), "{answer}");
    assert!(
        answer.contains("HTTP/1.1 407 "),
        "the second request rode on the credentials of the first: {answer}"
    );
    assert_eq!(house.calls().len(), 1);
}

#[tokio::test]
async fn tunnels_carry_tls_and_nothing_else() {
    let house = House::start().await;
    for bytes in [&b"GET / HTTP/1.1\r\nHost: h.test\r\n\r\n"[..], b"SSH-2.0-OpenSSH\r\n", b"\x05\x01\x00"] {
        let mut stream = house.tunnel("h.test:443").await;
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let _reset_is_fine = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(house.turned(), ["not_tls"; 3]);
    assert!(house.calls().is_empty());
}

#[tokio::test]
async fn a_tunnel_to_another_port_carries_plain_http() {
    let house = House::start().await;
    for (port, shown) in [("80", ""), ("8080", ":8080")] {
        let mut stream = house.tunnel(&format!("h.test:{port}")).await;
        let ask = format!("GET /x HTTP/1.1\r\nHost: h.test:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(&format!("GET http://h.test{shown} /x")), "{answer}");
    }
}

#[tokio::test]
async fn truncated_and_stalled_hellos_end_with_a_record() {
    let house = House::start().await;
    for close in [true, false] {
        let mut stream = house.tunnel("h.test:443").await;
        stream.write_all(&[22, 3, 1, 0, 200, 1, 0]).await.unwrap();
        if close {
            stream.shutdown().await.unwrap();
        }
        let _reset_is_fine = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(house.turned(), ["tls_handshake", "too_slow"]);
}

#[tokio::test]
async fn sni_must_be_the_connect_target() {
    let house = House::start().await;
    let error = house.tls("h.test:443", "e.test", &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("UnrecogniseName") || error.to_string().contains("UnrecognisedName"),
        "{error}"
    );
    assert_eq!(house.turned(), ["origin_mismatch"]);
    house.tls("H.test.:443", "h.test", &[]).await.unwrap();
    house.tls("127.0.0.1:443", "127.0.0.1", &[]).await.unwrap();
}

#[tokio::test]
async fn hosts_inside_the_tunnel_must_be_the_connect_target() {
    let house = House::start().await;
    for head in [
        "GET / HTTP/1.1\r\nHost: e.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h.test:8443\r\n\r\n",
        "GET https://e.test/ HTTP/1.1\r\nHost: h.test\r\n\r\n",
        "GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h.test@e.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    ] {
        let answer = house.inside(head).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{head:?}: {answer}");
    }
    assert!(house.calls().is_empty());
    let answer = house.inside("GET https://H.test:443/x HTTP/1.1\r\nHost: h.TEST.\r\n\r\n").await;
    assert!(answer.contains("GET https://h.test /x"), "{answer}");
}

#[tokio::test]
async fn framing_doubt_inside_the_tunnel_is_answered_and_ends_it() {
    let house = House::start().await;
    let smuggle = "POST / HTTP/1.1\r\nHost: h.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: h.test\r\n\r\n";
    let answer = house.inside(smuggle).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("both Content-Length"), "{answer}");
    assert!(house.calls().is_empty());
    assert_eq!(house.turned(), ["bad_request"]);
}

#[tokio::test]
async fn keep_alive_and_pipelined_requests_are_each_a_call() {
    let house = House::start().await;
    let post = "POST /a HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let get = "GET /b HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n";
    house.inside(&format!("{post}{get}")).await;
    let calls = house.calls();
    assert!(calls[0].starts_with("POST https://h.test /a") && calls[0].ends_with(" abc"), "{calls:?}");
    assert!(calls[1].starts_with("GET https://h.test /b"), "{calls:?}");
}

/// Reads until this stands in it.
async fn read_until(stream: &mut TcpStream, what: &str) -> String {
    let mut out = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&out).contains(what) {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut piece)).await;
        let read = read.expect("nothing comes").unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&out));
        out.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[tokio::test]
async fn a_connection_goes_on_although_a_refused_body_comes_late() {
    let house = House::start().await;
    for framing in ["Content-Length: 300000", "Transfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        let head = format!("POST http://h.test/a HTTP/1.1\r\nHost: h.test\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let refused = read_until(&mut stream, "\r\n\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 407 "), "{refused}");
        let body = "x".repeat(300_000);
        let body = if framing.contains("chunked") { format!("493e0\r\n{body}\r\n0\r\n\r\n") } else { body };
        stream.write_all(body.as_bytes()).await.unwrap();
        let next = "GET http://h.test/b HTTP/1.1\r\nHost: h.test\r\nProxy-Authorization: Bearer good\r\n\r\n";
        stream.write_all(next.as_bytes()).await.unwrap();
        read_until(&mut stream, "HTTP/1.1 200 ").await;
    }
    assert_eq!(house.calls().len(), 2);
}

#[tokio::test]
async fn a_refused_body_without_end_ends_the_connection() {
    let house = House::start().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = "POST http://h.test/a HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, "HTTP/1.1 407 ").await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let mut taken = 0;
    while stream.write_all(chunk.as_bytes()).await.is_ok() {
        taken += chunk.len();
        assert!(taken < 64 << 20, "it is read on and on");
    }
}

#[tokio::test]
async fn claims_and_hop_by_hop_headers_go_no_further() {
    let house = House::start().await;
    let answer = house
        .inside(
            "GET / HTTP/1.1\r\nHost: h.test\r\nConnection: close, X-Listed, Authorization\r\nX-Listed: 1\r\n\
             Authorization: Bearer k\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\nX-Original-URL: /admin\r\n\
             Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: trailers, gzip\r\nKeep-Alive: 5\r\n\
             Remit-Call: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Kept: 1\r\n\r\n",
        )
        .await;
    assert!(answer.ends_with("GET https://h.test / authorization,x-kept,te"), "{answer}");
}

#[tokio::test]
async fn upgrades_other_than_websocket_are_refused() {
    let house = House::start().await;
    let answer =
        house.inside("GET / HTTP/1.1\r\nHost: h.test\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("upgrade_refused"), "{answer}");
}

#[tokio::test]
async fn a_panic_ends_one_call_and_no_other() {
    let house = House::start().await;
    let answer = house
        .inside("GET /panic HTTP/1.1\r\nHost: h.test\r\n\r\nGET /x HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("remit-refusal: internal"), "{answer}");
    assert!(answer.contains("GET https://h.test /x"), "{answer}");
}

#[tokio::test]
async fn http2_streams_are_each_held_to_the_tunnels_origin() {
    let house = House::start().await;
    let tls = house.tls("h.test:443", "h.test", &["h2"]).await.unwrap();
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(driver);
    for (uri, host, status) in [
        ("https://h.test/a", None, 200),
        ("https://e.test/a", None, 421),
        ("https://h.test/a", Some("e.test"), 421),
        ("http://h.test/a", None, 421),
        ("https://h.test:444/a", None, 421),
        ("https://h.test/%2e%2e/a", None, 400),
    ] {
        let mut request = Request::get(uri).body(Empty::<bytes::Bytes>::new()).unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{uri} {host:?}");
    }
    assert_eq!(house.calls().len(), 1);
}

#[tokio::test]
async fn an_agent_resumes_its_session_and_only_at_the_same_host() {
    let house = House::start().await;
    let agent = house.client(&["http/1.1"]);
    let mut kinds = Vec::new();
    for host in ["h.test", "h.test", "other.test"] {
        let name = ServerName::try_from(host).unwrap();
        let mut tls = agent.connect(name, house.tunnel(&format!("{host}:443")).await).await.unwrap();
        let ask = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        tls.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        kinds.push(tls.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Full]);
}

#[tokio::test]
async fn clients_without_alpn_speak_http1() {
    let house = House::start().await;
    let mut tls = house.tls("h.test:443", "h.test", &[]).await.unwrap();
    tls.write_all(b"GET /x HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _no_close_notify_is_fine = tls.read_to_string(&mut answer).await;
    assert!(answer.contains("GET https://h.test /x"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_after_the_handshake_is_recorded() {
    let house = House::start().await;
    let mut tls = house.tls("h.test:443", "h.test", &["http/1.1"]).await.unwrap();
    tls.shutdown().await.unwrap();
    drop(tls);
    house.stop.send(true).unwrap();
    house.running.await.unwrap();
    assert_eq!(*house.echo.turned.lock().unwrap(), ["tls_handshake"]);
}

#[tokio::test]
async fn draining_ends_idle_connections_and_the_listener() {
    let house = House::start().await;
    let idle = TcpStream::connect(house.address).await.unwrap();
    let tls = house.tls("h.test:443", "h.test", &["http/1.1"]).await.unwrap();
    house.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), house.running).await.unwrap().unwrap();
    drop((idle, tls));
}

#[test]
fn leaves_are_narrow_and_the_root_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca");
    let ca = Ca::load_or_make(&path, Arc::new(Now)).unwrap();
    let again = Ca::load_or_make(&path, Arc::new(Now)).unwrap();
    assert_eq!(ca.fingerprint(), again.fingerprint());
    let mode = |file: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path.join(file)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("ca.key"), mode(".")), (0o600, 0o700));
    let host = Host::parse("a.h.test").unwrap();
    let first = ca.server_config(&host).unwrap();
    assert!(Arc::ptr_eq(&first, &ca.server_config(&host).unwrap()), "a leaf is minted once");
    let (_, root) = x509_parser::parse_x509_certificate(&ca.root).unwrap();
    assert_eq!(root.basic_constraints().unwrap().unwrap().value.path_len_constraint, Some(0));
}

#[test]
fn concurrent_misses_for_one_host_mint_once() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::load_or_make(&dir.path().join("ca"), Arc::new(Now)).unwrap();
    let host = Host::parse("h.test").unwrap();
    let all: Vec<_> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..16).map(|_| scope.spawn(|| ca.server_config(&host).unwrap())).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    assert!(all.iter().all(|config| Arc::ptr_eq(config, &all[0])));
}

#[tokio::test]
async fn a_leaf_names_one_host_for_hours_and_cannot_sign() {
    let house = House::start().await;
    let tls = house.tls("h.test:443", "h.test", &[]).await.unwrap();
    let chain = tls.get_ref().1.peer_certificates().unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    assert!(!leaf.is_ca());
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    assert_eq!(format!("{names:?}"), "[DNSName(\"h.test\")]");
    let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert!(life <= 25 * 3600, "{life} s");
}

#[test]
fn an_exposed_key_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca");
    Ca::load_or_make(&path, Arc::new(Now)).unwrap();
    std::fs::set_permissions(path.join("ca.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Ca::load_or_make(&path, Arc::new(Now)).err().unwrap().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}
