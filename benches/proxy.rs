//! The running proxy over loopback, next to a direct connection and a plain CONNECT tunnel, in the same run.
//!
//! `cargo bench --bench proxy` takes about half a minute. Arguments behind `--`: `--rounds N` (default 3), `--slice-ms N`
//! (default 600), `--no-remit` (the two others alone: how much the machine itself wavers). Method: `benches/README.md`.
//!
//! Linux only: processor time is read from `/proc`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "proxy/origin.rs"]
mod origin;
#[path = "proxy/report.rs"]
mod report;
#[path = "proxy/tunnel.rs"]
mod tunnel;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use origin::{Origins, Protocol};
use report::{Case, Measured, Report, Way};

/// Connections at the same time.
const CONNECTIONS: [usize; 2] = [1, 32];
/// Calls on each connection before the clock starts.
const WARM_UP: usize = 20;
/// A file system in memory, where Linux has one: what a journal costs beyond its disk is the same there.
const MEMORY: &str = "/dev/shm";
/// For remit to be ready.
const START_LIMIT: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if arguments.first().is_some_and(|first| first == "tunnel") {
        return runtime.block_on(tunnel::serve(&arguments));
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` starts benches too.
        println!("left out: figures come from `cargo bench --bench proxy`");
        return Ok(());
    }
    runtime.block_on(run(&Options::parse(&arguments)?))
}

struct Options {
    rounds: usize,
    slice: Duration,
    with_remit: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self { rounds: 3, slice: Duration::from_millis(600), with_remit: true };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                // cargo's own.
                "--bench" => {}
                "--no-remit" => options.with_remit = false,
                "--rounds" => options.rounds = rest.next().context("--rounds needs a number")?.parse()?,
                "--slice-ms" => {
                    let ms = rest.next().context("--slice-ms needs a number")?.parse()?;
                    options.slice = Duration::from_millis(ms);
                }
                other => bail!("unknown argument `{other}`; known are --rounds, --slice-ms and --no-remit"),
            }
        }
        Ok(options)
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let origins = Origins::start().await?;
    let tunnel = tunnel::spawn(&origins).await?;
    let memory = Path::new(MEMORY);
    let in_memory = if memory.is_dir() { Some(tempfile::tempdir_in(memory)?) } else { None };
    let mut remits = Vec::new();
    let places = [(Way::Remit, Some(&place)), (Way::RemitInMemory, in_memory.as_ref())];
    for (way, place) in places.into_iter().filter(|_| options.with_remit) {
        if let Some(place) = place {
            remits.push((way, Remit::start(place.path(), &origins).await?));
        }
    }
    let client = Client::new(&origins, &tunnel, &remits)?;
    let there = |way: &Way| *way < Way::Remit || remits.iter().any(|(is, _)| is == way);
    let ways: Vec<Way> = Way::ALL.into_iter().filter(there).collect();

    let mut report = Report::default();
    // Interleaved, so that whatever else the machine does falls on all ways alike.
    for _ in 0..options.rounds {
        for protocol in Protocol::ALL {
            for connections in CONNECTIONS {
                for &way in &ways {
                    let case = Case { protocol, connections };
                    report.add(case, way, client.slice(case, way, options.slice).await?);
                }
            }
        }
    }
    println!("{}", report.table(options.rounds, options.slice));
    if let Some((_, remit)) = remits.first() {
        println!("memory of remit at its highest: {} MiB", peak_memory_mib(remit.pid)?);
    }
    Ok(())
}

/// A node of its own, with one policy that permits everything.
struct Remit {
    /// Killed on drop.
    _child: Child,
    pid: u32,
    proxy: SocketAddr,
    token: String,
    anchor: CertificateDer<'static>,
}

impl Remit {
    async fn start(place: &Path, origins: &Origins) -> anyhow::Result<Self> {
        let config = write_config(place, origins)?;
        let log = place.join("remit.log");
        let mut child = remit(&config)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&log)?)
            .stderr(std::fs::File::create(place.join("remit.err"))?)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().context("remit ended at once")?;
        let node = ready(place, &mut child).await?;
        let address =
            node.get("proxy").and_then(serde_json::Value::as_str).context("node.json has no `proxy`")?;
        let opened = remit(&config)
            .args(["task", "open", "--agent", "bench", "--intent", "bench", "--json", "--config"])
            .arg(&config)
            .output()
            .await?;
        ensure!(opened.status.success(), "task open: {}", String::from_utf8_lossy(&opened.stderr));
        let opened: serde_json::Value = serde_json::from_slice(&opened.stdout)?;
        let token = opened.get("token").and_then(serde_json::Value::as_str).context("no token was given")?;
        Ok(Self {
            _child: child,
            pid,
            proxy: address.parse()?,
            token: token.to_owned(),
            anchor: CertificateDer::from_pem_file(place.join("state/ca/ca.pem"))?,
        })
    }
}

fn remit(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remit"));
    if let Some(place) = config.parent() {
        command.current_dir(place);
    }
    // What the caller's shell says of telemetry and proxies is not this bench's affair.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.starts_with("otel_") || text.starts_with("remit_") || text.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
}

fn write_config(place: &Path, origins: &Origins) -> anyhow::Result<std::path::PathBuf> {
    std::fs::create_dir(place.join("policies"))?;
    std::fs::write(
        place.join("policies/all.cedar"),
        "@id(\"bench-all\")\npermit (principal, action, resource);\n",
    )?;
    std::fs::write(place.join("origin.pem"), origins.anchor_pem())?;
    let config = place.join("config.toml");
    let text = format!(
        "[listen]\nproxy = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[state]\ndir = \"{state}\"\n\
         [policies]\ndir = \"{policies}\"\n[upstream]\ntrust = [\"{anchor}\"]\n[upstream.resolve]\n\
         \"{h1}\" = \"{h1_at}\"\n\"{h2}\" = \"{h2_at}\"\n",
        state = place.join("state").display(),
        policies = place.join("policies").display(),
        anchor = place.join("origin.pem").display(),
        h1 = Protocol::Http1.host(),
        h1_at = origins.address(Protocol::Http1),
        h2 = Protocol::Http2.host(),
        h2_at = origins.address(Protocol::Http2),
    );
    std::fs::write(&config, text)?;
    Ok(config)
}

/// Waits for `node.json`.
async fn ready(place: &Path, child: &mut Child) -> anyhow::Result<serde_json::Value> {
    let began = Instant::now();
    loop {
        if let Ok(text) = std::fs::read(place.join("state/node.json"))
            && let Ok(node) = serde_json::from_slice(&text)
        {
            return Ok(node);
        }
        let ended = child.try_wait()?;
        if ended.is_some() || began.elapsed() > START_LIMIT {
            let said = std::fs::read_to_string(place.join("remit.err")).unwrap_or_default();
            let ended = ended.map_or("is not ready".to_owned(), |status| format!("ended with {status}"));
            bail!("remit {ended}: {said}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is needed to reach an origin by each way.
struct Client {
    http1: tokio_rustls::TlsConnector,
    http2: tokio_rustls::TlsConnector,
    origins: [SocketAddr; 2],
    /// Where a way begins, what it wants to see, whose processor time counts.
    tunnel: (SocketAddr, u32),
    remits: Vec<(Way, SocketAddr, String, u32)>,
}

impl Client {
    fn new(origins: &Origins, tunnel: &tunnel::Spawned, remits: &[(Way, Remit)]) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(origins.anchor())?;
        for (_, remit) in remits {
            roots.add(remit.anchor.clone())?;
        }
        let offering = |protocol: &[u8]| -> anyhow::Result<tokio_rustls::TlsConnector> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            Ok(Arc::new(config).into())
        };
        Ok(Self {
            http1: offering(b"http/1.1")?,
            http2: offering(b"h2")?,
            origins: Protocol::ALL.map(|protocol| origins.address(protocol)),
            tunnel: (tunnel.address, tunnel.pid),
            remits: remits
                .iter()
                .map(|(way, remit)| {
                    let basic =
                        base64::engine::general_purpose::STANDARD.encode(format!("task:{}", remit.token));
                    (*way, remit.proxy, format!("Proxy-Authorization: Basic {basic}\r\n"), remit.pid)
                })
                .collect(),
        })
    }

    /// Runs one case by one way for a while: a closed loop on each connection.
    async fn slice(&self, case: Case, way: Way, slice: Duration) -> anyhow::Result<Measured> {
        let mut senders = Vec::new();
        for _ in 0..case.connections {
            let mut sender = self.open(case.protocol, way).await.with_context(|| format!("{way:?}"))?;
            for _ in 0..WARM_UP {
                sender.call().await?;
            }
            senders.push(sender);
        }
        let pid = self.pid(way);
        let cpu = pid.map(cpu_ticks).transpose()?;
        let began = Instant::now();
        let loops = senders.into_iter().map(|sender| tokio::spawn(closed_loop(sender, began, slice)));
        let mut measured = Measured::default();
        for ended in futures_util::future::join_all(loops).await {
            measured.latencies_us.extend(ended??);
        }
        measured.elapsed = began.elapsed();
        if let (Some(pid), Some(before)) = (pid, cpu) {
            measured.cpu_ticks = cpu_ticks(pid)?.saturating_sub(before);
        }
        Ok(measured)
    }

    fn pid(&self, way: Way) -> Option<u32> {
        match way {
            Way::Direct => None,
            Way::Tunnel => Some(self.tunnel.1),
            Way::Remit | Way::RemitInMemory => self.remit(way).map(|(_, _, _, pid)| *pid),
        }
    }

    fn remit(&self, way: Way) -> Option<&(Way, SocketAddr, String, u32)> {
        self.remits.iter().find(|(is, ..)| *is == way)
    }

    async fn open(&self, protocol: Protocol, way: Way) -> anyhow::Result<Sender> {
        let [http1_at, http2_at] = self.origins;
        let tcp = match (way, self.remit(way)) {
            (Way::Direct, _) => {
                TcpStream::connect(if protocol == Protocol::Http1 { http1_at } else { http2_at }).await?
            }
            (Way::Tunnel, _) => connect(self.tunnel.0, protocol, "").await?,
            (_, Some((_, proxy, credentials, _))) => connect(*proxy, protocol, credentials).await?,
            (Way::Remit | Way::RemitInMemory, None) => bail!("remit does not run"),
        };
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(protocol.host())?;
        let connector = if protocol == Protocol::Http1 { &self.http1 } else { &self.http2 };
        let io = TokioIo::new(connector.connect(name, tcp).await?);
        match protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(io).await?;
                tokio::spawn(driver);
                Ok(Sender::Http1(sender))
            }
            Protocol::Http2 => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(driver);
                Ok(Sender::Http2(sender))
            }
        }
    }
}

/// Asks a proxy for a tunnel.
async fn connect(proxy: SocketAddr, protocol: Protocol, credentials: &str) -> anyhow::Result<TcpStream> {
    let mut tcp = TcpStream::connect(proxy).await?;
    let target = format!("{}:443", protocol.host());
    let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n");
    tcp.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tcp.read_u8().await?);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "CONNECT: {}", String::from_utf8_lossy(&answer));
    Ok(tcp)
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Sender {
    /// One GET, answered in full.
    async fn call(&mut self) -> anyhow::Result<()> {
        let response = match self {
            Self::Http1(sender) => {
                let request = Request::get("/v1/items?limit=10").header("host", Protocol::Http1.host());
                sender.ready().await?;
                sender.send_request(request.body(Empty::new())?).await?
            }
            Self::Http2(sender) => {
                let uri = format!("https://{}/v1/items?limit=10", Protocol::Http2.host());
                sender.send_request(Request::get(uri).body(Empty::new())?).await?
            }
        };
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
        ensure!(body.len() == origin::BODY_BYTES, "the answer has {} bytes", body.len());
        Ok(())
    }
}

async fn closed_loop(mut sender: Sender, began: Instant, slice: Duration) -> anyhow::Result<Vec<u64>> {
    let mut latencies_us = Vec::new();
    while began.elapsed() < slice {
        let sent = Instant::now();
        sender.call().await?;
        latencies_us.push(u64::try_from(sent.elapsed().as_micros())?);
    }
    Ok(latencies_us)
}

/// Processor time of a process, user and system, in ticks of 10 ms (proc(5): fields 14 and 15 of `stat`).
fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name, in brackets, and may hold anything.
    let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |at: usize| -> anyhow::Result<u64> {
        Ok(fields.get(at).context("/proc/PID/stat is too short")?.parse()?)
    };
    Ok(field(11)? + field(12)?)
}

fn peak_memory_mib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
