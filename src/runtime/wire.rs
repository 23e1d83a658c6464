//! Builds the house: the only place that sees every room.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::admin::Administered;
use super::clock::{SystemClock, SystemEntropy};
use super::config::{self, Config};
use super::policies::{Policies, Source};
use super::ports::TaskPorts;
use super::{Node, NodeFacts, StartError, TraceTo, VERSION, reap, write_node_file};
use crate::accept::ca::Ca;
use crate::accept::listen::Listener;
use crate::accept::{self, Front};
use crate::body::framing;
use crate::call::principal::Entrance;
use crate::call::{Class, Clock, Entropy, RulesDigest, ServiceName};
use crate::catalog::Catalog;
use crate::identity::{self, Identity, TaskTokens};
use crate::intent::{self, Tasks};
use crate::judge::{Loader, PolicySource, Rules, Vocabulary};
use crate::origin::{self, ResolveTable, Upstream};
use crate::pep::Pep;
use crate::pep::rulebook::Rulebook;
use crate::record::checkpoint::LogKey;
use crate::record::{self, Event, Journal};
use crate::telemetry::{self, Colour, Followers, Tree};
use crate::web::{self, AdminToken};

pub(super) async fn start(config: Config, trace: TraceTo) -> Result<Node, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let dir = config.state_dir.clone();
    make_private(&dir)?;
    // What can be wrong with the configuration is found before anything is taken or written.
    let catalog = Arc::new(Catalog::load(&config.catalog_dirs)?);
    let source = Arc::new(policy_files(&config, &catalog));
    let rules = source.load()?;
    let (trust, resolve) = (trust(&config.upstream.trust)?, resolve(&config)?);
    let doors = Doors::bind(&config).await?;

    let journal = Arc::new(Journal::start(journal_settings(&config, &*entropy)?, clock.clone())?);
    let ca_is_new = !dir.join("ca/ca.key").exists();
    let ca = Arc::new(Ca::load_or_make(&dir.join("ca"), clock.clone())?);
    let tokens = Arc::new(TaskTokens::load_or_make(&dir, clock.clone(), entropy.clone())?);
    let facts = doors.facts(&dir, &ca);
    let admin_secret = AdminToken::load_or_make(&facts.admin_token, &*entropy)?;
    record_start(&journal, &config, &rules, ca_is_new.then(|| ca.fingerprint())).await?;

    let rules = Arc::new(Rulebook::new(rules));
    let policies = Arc::new(Policies::new(source, rules.clone(), journal.clone()));

    let tasks = Arc::new(Tasks::new(intent::Settings::default(), clock.clone(), entropy.clone()));
    let own = vec![facts.proxy, facts.admin];
    let upstream = Upstream::new(origin::Settings { trust, resolve, own, limits: origin_limits(&config) })?;
    let default_agent = config.identity.default_agent.clone();
    let pep = Pep {
        catalog,
        identity: Identity::new(identity::Settings { default_agent }, tokens.clone()),
        tasks: tasks.clone(),
        rules: rules.clone(),
        journal: journal.clone(),
        upstream: upstream.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
    };
    let (drain, draining) = watch::channel(false);
    let settings = accept_settings(&config);
    let front = Front::new(Arc::new(pep), ca, settings, clock.clone(), entropy.clone(), draining.clone());
    let (ports, keeper) = TaskPorts::new(front.clone(), draining.clone());
    let administered = Administered {
        facts: web_facts(&facts, rules.now().digest()),
        book: rules,
        policies: policies.clone(),
        journal: journal.clone(),
        tasks: tasks.clone(),
        ports,
        drain: draining.clone(),
    };
    let rooms =
        web::Rooms { tasks: tasks.clone(), tokens, node: Arc::new(administered), admin: admin_secret };
    let api = web::router(web_settings(&config, &facts), rooms);
    let ports = telemetry::Ports { post: Arc::new(Poster(upstream.clone())), entropy };
    let followers = Followers::start(&journal, followers(&config, trace), ports)?;
    let around = vec![
        tokio::spawn(keeper),
        tokio::spawn(web::serve(doors.admin, api, std::future::pending())),
        tokio::spawn(policies.clone().watch()),
        tokio::spawn(reap(tasks.clone(), journal.clone(), clock)),
    ];
    let (listens, listening) = watch::channel(());
    let proxy = vec![tokio::spawn(async move {
        // Dropped with the task, however it ends: that is how `Node::stopped` hears of it.
        let _listens = listens;
        doors.proxy.run(front, draining).await;
    })];
    write_node_file(&facts).map_err(file_error(&dir.join("node.json")))?;
    Ok(Node { facts, journal, tasks, upstream, policies, followers, listening, drain, proxy, around })
}

/// What the node listens on.
struct Doors {
    proxy: Listener,
    proxy_address: SocketAddr,
    admin: TcpListener,
    admin_address: SocketAddr,
}

impl Doors {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let asked = config.listen;
        let proxy = Listener::bind(asked.proxy, Entrance::Proxy).await;
        let proxy = proxy.map_err(bind_error(asked.proxy, "listen.proxy"))?;
        let admin = TcpListener::bind(asked.admin).await.map_err(bind_error(asked.admin, "listen.admin"))?;
        let proxy_address = proxy.address().map_err(bind_error(asked.proxy, "listen.proxy"))?;
        let admin_address = admin.local_addr().map_err(bind_error(asked.admin, "listen.admin"))?;
        Ok(Self { proxy, proxy_address, admin, admin_address })
    }

    fn facts(&self, state_dir: &Path, ca: &Ca) -> NodeFacts {
        NodeFacts {
            proxy: self.proxy_address,
            admin: self.admin_address,
            state_dir: state_dir.to_owned(),
            ca: ca.files().root.clone(),
            ca_bundle: ca.files().bundle.clone(),
            admin_token: state_dir.join("admin.token"),
        }
    }
}

fn web_settings(config: &Config, facts: &NodeFacts) -> web::Settings {
    let trust_domain = config.identity.trust_domain.clone();
    web::Settings { bound: facts.admin, names: Vec::new(), trust_domain }
}

/// The catalog in the words of the policies.
struct Words(Arc<Catalog>);

impl Vocabulary for Words {
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        self.0.operation(id)
    }
    fn services(&self) -> Vec<ServiceName> {
        self.0.services().collect()
    }
    fn operation_ids(&self) -> Vec<String> {
        self.0
            .services()
            .flat_map(|service| self.0.operations(&service.0))
            .map(|entry| entry.id.to_string())
            .collect()
    }
}

/// Where the policies of a configuration come from.
pub(crate) fn policy_source(config: &Config) -> Result<PolicySource, crate::judge::LoadErrors> {
    config.policies_dir.as_deref().map_or_else(|| Ok(PolicySource::embedded()), PolicySource::dir)
}

/// The catalog as the policy room wants to see it.
pub(crate) fn vocabulary(catalog: Arc<Catalog>) -> impl Vocabulary {
    Words(catalog)
}

fn policy_files(config: &Config, catalog: &Arc<Catalog>) -> Source {
    let vocabulary = Box::new(vocabulary(catalog.clone()));
    Source { dir: config.policies_dir.clone(), vocabulary, loader: Loader::default().into() }
}

fn make_private(dir: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(file_error(dir))
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::File { path, source }
}

fn bind_error(address: SocketAddr, what: &'static str) -> impl FnOnce(std::io::Error) -> StartError {
    move |source| StartError::Bind { address, what, source }
}

fn trust(files: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let mut all = Vec::new();
    for path in files {
        let bad = |why: String| StartError::Trust { path: path.clone(), why };
        let found = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        let found: Result<Vec<_>, _> = found.collect();
        let found = found.map_err(|error| bad(error.to_string()))?;
        if found.is_empty() {
            return Err(bad("it is no PEM file of certificates".into()));
        }
        all.extend(found);
    }
    Ok(all)
}

fn resolve(config: &Config) -> Result<ResolveTable, StartError> {
    let entries: Vec<_> = config.upstream.resolve.iter().map(config::Mapping::as_entry).collect();
    Ok(ResolveTable::parse(entries.iter().map(|(name, to)| (name.as_str(), to.as_str())))?)
}

fn journal_settings(config: &Config, entropy: &dyn Entropy) -> Result<record::Settings, StartError> {
    let config::Journal { durable, segment_bytes, keep, keep_bytes } = config.journal;
    let durable = match durable {
        config::Durable::Act => record::Durable::Act,
        config::Durable::All => record::Durable::All,
    };
    let log_key = Some(Arc::new(LogKey::load_or_make(&config.state_dir, entropy)?));
    let retention = record::Retention { age: keep, bytes: keep_bytes };
    let default = record::Settings::new(&config.state_dir);
    Ok(record::Settings { durable, segment_bytes, retention, log_key, ..default })
}

fn accept_settings(config: &Config) -> accept::Settings {
    let limits = &config.limits;
    let heads = framing::Limits {
        head_time: limits.head_timeout,
        idle_time: limits.idle_timeout,
        ..framing::Limits::default()
    };
    accept::Settings {
        limits: heads,
        handshake_time: limits.handshake_timeout,
        connections: limits.max_connections,
        ..accept::Settings::default()
    }
}

fn origin_limits(config: &Config) -> origin::Limits {
    let limits = &config.limits;
    origin::Limits {
        connect: limits.connect_timeout,
        handshake: limits.connect_timeout,
        head: limits.first_byte_timeout,
        idle: limits.idle_timeout,
        ..origin::Limits::default()
    }
}

/// Who is told of the calls: a collector if there is one, else whoever looks at the terminal.
fn followers(config: &Config, trace: TraceTo) -> telemetry::Settings {
    let otlp = config.telemetry.otlp.as_ref().map(|wanted| {
        let endpoint = match wanted.protocol {
            config::OtlpProtocol::Grpc => telemetry::Endpoint::Grpc(wanted.endpoint.clone()),
            config::OtlpProtocol::HttpProtobuf => telemetry::Endpoint::Http(wanted.endpoint.clone()),
        };
        let compression = match wanted.compression {
            config::Compression::Gzip => telemetry::Compression::Gzip,
            config::Compression::None => telemetry::Compression::None,
        };
        let resource = config.telemetry.resource.iter().map(|(name, value)| (name.clone(), value.clone()));
        telemetry::Otlp {
            headers: wanted.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            timeout: wanted.timeout,
            compression,
            resource: resource.collect(),
            ..telemetry::Otlp::new(endpoint)
        }
    });
    let tree = match trace {
        TraceTo::Tree { to, colour } if otlp.is_none() => {
            Some(Tree::new(to, if colour { Colour::Always } else { Colour::Never }))
        }
        TraceTo::Tree { .. } | TraceTo::Nothing => None,
    };
    telemetry::Settings { otlp, tree }
}

/// The way to a collector.
struct Poster(Upstream);

impl telemetry::Post for Poster {
    fn post<'a>(
        &'a self,
        url: &'a url::Url,
        headers: http::HeaderMap,
        body: bytes::Bytes,
    ) -> BoxFuture<'a, Result<telemetry::Posted, String>> {
        async move {
            let answer = self.0.post(url, headers, body).await.map_err(|error| error.to_string())?;
            let seconds = answer.headers().get(http::header::RETRY_AFTER);
            let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
            let retry_after = seconds.map(std::time::Duration::from_secs);
            Ok(telemetry::Posted { status: answer.status().as_u16(), retry_after, body: answer.into_body() })
        }
        .boxed()
    }
}

/// The beginning of a node's time in the journal: what it is and by which rules it goes.
async fn record_start(
    journal: &Journal,
    config: &Config,
    rules: &Rules,
    new_ca: Option<[u8; 32]>,
) -> Result<(), StartError> {
    journal.note(Event::NodeStarted { version: VERSION }).await?;
    journal.note(Event::ConfigurationLoaded { source: &config.source, digest: config.digest }).await?;
    let policies = rules.policies().len();
    journal.note(Event::RulesLoaded { digest: rules.digest(), policies, from: None, by: "start" }).await?;
    if let Some(fingerprint) = new_ca {
        journal.note(Event::CaMade { fingerprint }).await?;
    }
    Ok(())
}

fn web_facts(facts: &NodeFacts, rules: RulesDigest) -> web::NodeFacts {
    web::NodeFacts {
        version: VERSION,
        pid: std::process::id(),
        proxy: facts.proxy,
        admin: facts.admin,
        state_dir: facts.state_dir.clone(),
        ca: facts.ca.clone(),
        ca_bundle: facts.ca_bundle.clone(),
        rules,
        generation: 1,
    }
}
