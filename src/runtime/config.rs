//! The configuration: what the operator said (TOML, `OTEL_*` variables) becomes what it means, once.
//!
//! The document is walked by hand rather than through serde's derive, because a derive stops at the first mistake: here
//! every mistake is found in one reading and named with file, line, key and the nearest known key. No other file reads
//! configuration or environment variables; each room gets its own small `Settings` made from this by `wire`.
//! It must not open, create or check files other than the configuration itself.

mod admin;
mod agents;
mod holds;
mod identity;
mod leases;
mod notify;
mod otlp;
mod problem;
mod read;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use crate::call::{Mode, ServiceName, TrustDomain};
use crate::catalog::Own;

pub use admin::{Admin, Provider};
pub use agents::{Agent, Peer, Tasks};
pub use holds::Holds;
pub use identity::Identity;
pub use leases::{Lease, LeaseProvider};
pub use notify::{Notify, NotifyBy};
pub use otlp::{Compression, Otlp, OtlpProtocol, Telemetry};
pub use problem::{ConfigError, Problem};
pub use resolve::{HostPattern, Mapping};

use problem::Problems;
use read::Section;

/// Everything that an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from, or what stands in its place.
    pub source: String,
    /// SHA-256 of that file; none where there is no file.
    pub digest: Option<[u8; 32]>,
    /// What a ruling does.
    pub mode: Mode,
    /// What it does to calls of these services.
    pub services: BTreeMap<ServiceName, Mode>,
    /// Where the node listens.
    pub listen: Listen,
    /// Who looks after it.
    pub admin: Admin,
    /// The folder of the CA, the journal and the admin token.
    pub state_dir: PathBuf,
    /// Whose agents these are.
    pub identity: Identity,
    /// The agents that were put down.
    pub agents: Vec<Agent>,
    /// What a task may be.
    pub tasks: Tasks,
    /// The folder of the operator's policies; none: those in the binary.
    pub policies_dir: Option<PathBuf>,
    /// The folder of policies that are asked beside those in force; none: there are none.
    pub policies_candidate: Option<PathBuf>,
    /// The folders of the operator's own services, later ones win.
    pub catalog_dirs: Vec<PathBuf>,
    /// Which services answer at the operator's own hosts.
    pub catalog_hosts: Vec<Own>,
    /// The credentials that remit holds.
    pub leases: Vec<Lease>,
    /// How held calls wait for people.
    pub holds: Holds,
    /// Who is told that calls wait.
    pub notify: Vec<Notify>,
    /// How origins are reached and trusted.
    pub upstream: Upstream,
    /// Every bound and every deadline.
    pub limits: Limits,
    /// Where spans go.
    pub telemetry: Telemetry,
    /// How the journal is kept.
    pub journal: Journal,
}

/// The node's listeners. Port 0 picks a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The forward proxy.
    pub proxy: SocketAddr,
    /// The forward proxy over TLS, where clients can show X.509-SVIDs; none: there is none.
    pub proxy_tls: Option<SocketAddr>,
    /// Whether that shows the node's own SVID, from the Workload API, and no leaf of its CA.
    pub proxy_tls_svid: bool,
    /// Admin API and health.
    pub admin: SocketAddr,
    /// The same over TLS, where operators can show certificates; none: there is none.
    pub admin_tls: Option<SocketAddr>,
}

/// How origins are reached and trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// PEM files of trust anchors, beside the system's.
    pub trust: Vec<PathBuf>,
    /// Names that are dialled at an address of the operator's; the only way to a private address.
    pub resolve: Vec<Mapping>,
}

/// Bounds and deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Agents' connections at one time; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// From an agent's first byte to the end of CONNECT and of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first to the last byte of a request's head.
    pub head_timeout: Duration,
    /// Resolving, TCP and TLS towards the origin, together.
    pub connect_timeout: Duration,
    /// From the request's last byte to the answer's first. Long, because language models think.
    pub first_byte_timeout: Duration,
    /// Without a byte in either direction.
    pub idle_timeout: Duration,
    /// What calls get to finish when the node stops.
    pub drain: Duration,
}

/// How the journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// What waits for the disk.
    pub durable: Durable,
    /// How long a file gets, bytes.
    pub segment_bytes: NonZeroU64,
    /// Files whose last entry is older are retired; none: never.
    pub keep: Option<Duration>,
    /// While all files together are longer, bytes, the oldest is retired; none: never.
    pub keep_bytes: Option<NonZeroU64>,
}

/// Which opening entries must be on disk before the call goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Those of acts and delegations.
    Act,
    /// All.
    All,
}

impl Default for Limits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            max_connections: 4096,
            handshake_timeout: s(10),
            head_timeout: s(30),
            connect_timeout: s(10),
            first_byte_timeout: s(300),
            idle_timeout: s(300),
            drain: s(20),
        }
    }
}

/// The environment variables that configuration may look at.
pub type Variables = BTreeMap<String, String>;

impl Config {
    /// Reads a file. Paths in it are relative to the folder that it lies in.
    pub fn load(file: &Path, variables: &Variables) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::unreadable(file, &error))?;
        // Absolute, because what comes of it is told to processes that run elsewhere.
        let folder = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = folder.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, file, folder, variables)
    }

    /// What `remit run` uses where there is no file: free ports on loopback, the policies in the binary.
    pub fn default_for_laptop(state_dir: PathBuf, variables: &Variables) -> Result<Self, ConfigError> {
        let no_file = Path::new("the built-in configuration");
        let mut config = Self::parse("", no_file, Path::new(""), variables)?;
        config.state_dir = state_dir;
        config.on_free_ports();
        Ok(config)
    }

    /// Takes free ports on loopback, for a node that only its own process needs to find.
    pub fn on_free_ports(&mut self) {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (proxy_tls, admin_tls) =
            (self.listen.proxy_tls.map(|_| free), self.listen.admin_tls.map(|_| free));
        self.listen = Listen { proxy: free, proxy_tls, admin: free, admin_tls, ..self.listen };
    }

    /// `$XDG_STATE_HOME/remit`, else `~/.local/state/remit` (XDG Base Directory 0.8: a relative value is ignored).
    pub fn laptop_state_dir(variables: &Variables) -> Option<PathBuf> {
        let absolute = |name: &str| variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|base| base.join("remit"))
    }

    /// This process's environment; names and values that are no UTF-8 cannot concern remit.
    pub fn variables_of_process() -> Variables {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    fn parse(text: &str, file: &Path, folder: &Path, variables: &Variables) -> Result<Self, ConfigError> {
        let problems = Problems::new(text);
        let (document, mistakes) = DeTable::parse_recoverable(text);
        for mistake in &mistakes {
            problems.at(mistake.span(), mistake.message().to_owned());
        }
        if !mistakes.is_empty() {
            // What follows a syntax error is guesswork.
            return Err(problems.into_error(file));
        }
        let example = match TrustDomain::parse("example.org") {
            Ok(domain) => domain,
            Err(error) => {
                problems.anywhere(error.to_string());
                return Err(problems.into_error(file));
            }
        };
        let config =
            Raw { text, file, folder, problems: &problems, variables, example }.config(document.get_ref());
        if problems.is_empty() { Ok(config) } else { Err(problems.into_error(file)) }
    }
}

/// One reading of one document.
struct Raw<'r> {
    text: &'r str,
    file: &'r Path,
    folder: &'r Path,
    problems: &'r Problems<'r>,
    variables: &'r Variables,
    example: TrustDomain,
}

impl Raw<'_> {
    fn config(&self, document: &DeTable<'_>) -> Config {
        let mut root = Section::root(document, self.problems);
        let mode = root.take("mode", mode).unwrap_or(Mode::Enforce);
        let digest = (!self.text.is_empty()).then(|| Sha256::digest(self.text).into());
        let identity = identity::identity(root.section("identity"), &self.example, |value| self.path(value));
        let domain = &identity.trust_domain;
        let agents: Vec<_> =
            root.sections("agents").into_iter().filter_map(|one| agents::agent(one, domain)).collect();
        agents::one_for_each_host(&agents, self.problems);
        let (catalog_dirs, catalog_hosts) = self.catalog(root.section("catalog"));
        let (policies_dir, policies_candidate) = self.policies(root.section("policies"));
        let config = Config {
            source: self.file.display().to_string(),
            digest,
            mode,
            services: root.named("services").into_iter().filter_map(service).collect(),
            listen: listen(root.section("listen")),
            admin: admin::admin(root.section("admin"), root.sections("operators"), domain, &|value| {
                self.path(value)
            }),
            state_dir: self.state(root.section("state")),
            agents,
            identity,
            tasks: agents::tasks(root.section("tasks")),
            policies_dir,
            policies_candidate,
            catalog_dirs,
            catalog_hosts,
            leases: self.leases(root.sections("leases")),
            holds: holds::holds(root.section("holds")),
            notify: self.notify(root.sections("notify")),
            upstream: self.upstream(root.section("upstream")),
            limits: limits(root.section("limits")),
            telemetry: self.telemetry(root.section("telemetry")),
            journal: journal(root.section("journal")),
        };
        if config.listen.proxy_tls_svid && config.identity.workload_api.is_none() {
            let what = "`listen.proxy_tls_certificate`: an SVID comes from `identity.workload_api`, which is not set";
            self.problems.anywhere(what.to_owned());
        }
        if config.listen.admin_tls.is_some() && config.admin.certificate.is_none() {
            let what = "`listen.admin_tls`: what it shows is named by `admin.certificate` and `admin.key`, which are not set";
            self.problems.anywhere(what.to_owned());
        }
        root.finish();
        config
    }

    fn state(&self, mut section: Section<'_>) -> PathBuf {
        let dir = section.take("dir", |value| self.path(value)).unwrap_or_else(|| self.folder.join("state"));
        section.finish();
        dir
    }

    fn telemetry(&self, section: Section<'_>) -> Telemetry {
        otlp::telemetry(section, self.folder, self.variables, self.problems)
    }

    fn policies(&self, mut section: Section<'_>) -> (Option<PathBuf>, Option<PathBuf>) {
        let dir = section.take("dir", |value| self.path(value));
        let candidate = section.take("candidate", |value| match value.text()? {
            "" => Ok(None),
            _ => self.path(value).map(Some),
        });
        section.finish();
        (dir, candidate.flatten())
    }

    fn catalog(&self, mut section: Section<'_>) -> (Vec<PathBuf>, Vec<Own>) {
        let dirs = section.take("dirs", |value| value.each(|item| self.path(item))).unwrap_or_default();
        let hosts = section.section("hosts").entries(|place, value| Own::parse(place, value.text()?));
        section.finish();
        (dirs, hosts)
    }

    fn leases(&self, sections: Vec<Section<'_>>) -> Vec<Lease> {
        let one = |section| leases::lease(section, |value| self.path(value));
        sections.into_iter().filter_map(one).collect()
    }

    fn notify(&self, sections: Vec<Section<'_>>) -> Vec<Notify> {
        sections
            .into_iter()
            .filter_map(|section| notify::notify(section, &|value| self.path(value)))
            .collect()
    }

    fn upstream(&self, mut section: Section<'_>) -> Upstream {
        let trust = section.take("trust", |value| value.each(|item| self.path(item))).unwrap_or_default();
        let resolve = resolve::table(section.section("resolve"));
        section.finish();
        Upstream { trust, resolve }
    }

    fn path(&self, value: read::Value<'_>) -> Result<PathBuf, String> {
        match value.text()? {
            "" => Err("a path is wanted, and it is empty".to_owned()),
            text => Ok(self.folder.join(text)),
        }
    }
}

fn mode(value: read::Value<'_>) -> Result<Mode, String> {
    match value.text()? {
        "enforce" => Ok(Mode::Enforce),
        "observe" => Ok(Mode::Observe),
        other => Err(read::not_one_of(other, &["enforce", "observe"])),
    }
}

fn service((name, mut section): (String, Section<'_>)) -> Option<(ServiceName, Mode)> {
    let mode = section.take("mode", mode);
    section.finish();
    Some((ServiceName(name.into()), mode?))
}

fn listen(mut section: Section<'_>) -> Listen {
    let address = |value: read::Value<'_>| {
        let text = value.text()?;
        text.parse::<SocketAddr>().map_err(|_| {
            format!("`{text}` is not an address: `ADDRESS:PORT` is wanted, such as `127.0.0.1:8118` (port 0 picks a free one)")
        })
    };
    let or_none =
        |value: read::Value<'_>| if value.text() == Ok("") { Ok(None) } else { address(value).map(Some) };
    let shown = |value: read::Value<'_>| match value.text()? {
        "ca" => Ok(false),
        "svid" => Ok(true),
        other => Err(read::not_one_of(other, &["ca", "svid"])),
    };
    let or = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = Listen {
        proxy: section.take("proxy", address).unwrap_or(or(8118)),
        proxy_tls: section.take("proxy_tls", or_none).flatten(),
        proxy_tls_svid: section.take("proxy_tls_certificate", shown).unwrap_or_default(),
        admin: section.take("admin", address).unwrap_or(or(8119)),
        admin_tls: section.take("admin_tls", or_none).flatten(),
    };
    section.finish();
    listen
}

fn limits(mut section: Section<'_>) -> Limits {
    let default = Limits::default();
    let mut seconds = |key, default: Duration, least: u64, most: u64| {
        section.take(key, |value| value.integer(least, most, "seconds")).map_or(default, Duration::from_secs)
    };
    let timed = Limits {
        max_connections: default.max_connections,
        handshake_timeout: seconds("handshake_timeout_s", default.handshake_timeout, 1, 600),
        head_timeout: seconds("head_timeout_s", default.head_timeout, 1, 600),
        connect_timeout: seconds("connect_timeout_s", default.connect_timeout, 1, 600),
        first_byte_timeout: seconds("first_byte_timeout_s", default.first_byte_timeout, 1, 86_400),
        idle_timeout: seconds("idle_timeout_s", default.idle_timeout, 1, 86_400),
        drain: seconds("drain_s", default.drain, 0, 3_600),
    };
    let max_connections = section
        .take("max_connections", |value| value.integer(1, 1_000_000, "connections"))
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or(timed.max_connections);
    section.finish();
    Limits { max_connections, ..timed }
}

fn journal(mut section: Section<'_>) -> Journal {
    let durable = section.take("durable", |value| match value.text()? {
        "act" => Ok(Durable::Act),
        "all" => Ok(Durable::All),
        other => Err(read::not_one_of(other, &["act", "all"])),
    });
    let mut number = |key, least, most, unit| {
        section.take(key, |value| value.integer(least, most, unit)).and_then(NonZeroU64::new)
    };
    let mib = NonZeroU64::MIN.saturating_add((1 << 20) - 1);
    let segment_mb = number("segment_mb", 1, 4_096, "mebibytes");
    let keep_days = number("keep_days", 0, 36_500, "days");
    let keep_mb = number("keep_mb", 0, 1 << 40, "mebibytes");
    section.finish();
    Journal {
        durable: durable.unwrap_or(Durable::Act),
        segment_bytes: mib.saturating_mul(segment_mb.unwrap_or(NonZeroU64::MIN.saturating_add(63))),
        keep: keep_days.map(|days| Duration::from_secs(days.get() * 86_400)),
        keep_bytes: keep_mb.map(|mb| mib.saturating_mul(mb)),
    }
}
