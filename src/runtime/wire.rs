//! Builds the house: the only place that sees every room.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::admin::Administered;
use super::bundles;
use super::candidate;
use super::clock::{SystemClock, SystemEntropy};
use super::collector;
use super::config::{self, Config};
use super::doors::Doors;
use super::insight;
use super::notify::Channels;
use super::operators;
use super::ports::TaskPorts;
use super::reload::{self, Loaders, Reload};
use super::{Node, NodeFacts, StartError, TraceTo, VERSION, reaper, write_node_file};
use super::{holds, kept, leases, peers, workload};
use crate::accept::ca::Ca;
use crate::accept::listen::Listener;
use crate::accept::{self, Front, Walk};
use crate::body::framing;
use crate::call::port::Neighbours;
use crate::call::{Class, Clock, Entropy, Head, Operations, Peek, RulesDigest, ServiceName};
use crate::catalog::Catalog;
use crate::identity::{self, Bundles, Identity, PossessionOnly, TaskTokens};
use crate::judge::{PolicySource, Vocabulary};
use crate::lease::formats;
use crate::origin::{self, ResolveTable, Upstream};
use crate::pep::{Law, Modes, Pep};
use crate::record::checkpoint::LogKey;
use crate::record::{self, Event, Journal};
use crate::telemetry::{self, Colour, Followers, Scrape, Tree};
use crate::web::{self, AdminToken};

pub(super) async fn start(config: Config, trace: TraceTo) -> Result<Node, StartError> {
    let ((clock, entropy), dir) = (world(), make_private(&config.state_dir)?);
    // What can be wrong with the configuration is found before anything is taken or written.
    let (read, loaders, law) = reload::first(&config)?;
    let (rules, trust, resolve) = (law.rules.digest(), trust(&config.upstream.trust)?, resolve(&config)?);
    let (bundles, admin_tls) = (bundles::load(&config.identity.bundles)?, operators::tls(&config)?);
    let doors = Doors::bind(&config).await?;

    let journal = Arc::new(Journal::start(journal_settings(&config, &*entropy)?, clock.clone())?);
    let (ca, new_ca) = authority(&config, &dir, &clock)?;
    let tokens = task_tokens(&config, &clock, &entropy)?;
    let chains = peers::chains(&config.identity, &dir, &clock, &entropy)?;
    let (facts, limits) = (doors.facts(&dir, &ca), origin_limits(&config));
    let admin = AdminToken::load_or_make(&facts.admin_token, &*entropy)?;
    record_start(&journal, &config, (&law, &loaders), new_ca).await?;

    let (store, tasks) = kept::open(&config, &clock, &entropy, &dir).await?;
    let upstream = Upstream::new(origin::Settings { trust, resolve, own: facts.listeners(), limits })?;
    let around = leases::Around {
        clock: &clock,
        entropy: &entropy,
        store: &store,
        journal: &journal,
        tasks: &tasks,
        fetch: Arc::new(upstream.clone()),
        notices: Arc::default(),
    };
    let leases = leases::start(&config, &law.catalog, &around).await?;
    let (law, current) = watch::channel(law);
    let (desk, clerk) = holds::open(&config, &around, current.clone()).await?;
    let reload = Arc::new(Reload::new(config.clone(), loaders, law, journal.clone(), read));
    let pep = Pep {
        law: current,
        modes: modes(&config),
        identity: believe(&config, &tokens, &bundles, &clock).believing(chains.clone()),
        chains,
        tasks: tasks.clone(),
        desk,
        leases: leases.clone(),
        journal: journal.clone(),
        upstream: upstream.clone(),
        clock: clock.clone(),
        meters: Arc::default(),
        entropy: entropy.clone(),
    };
    let (pep, late) = (Arc::new(pep), Arc::new(OnceLock::new()));
    let (insight, pulse, watching, scrape) =
        insight::look(&config, &pep, &ca, (&reload, &late), &around.notices);
    let ((drain, draining), settings) = (watch::channel(false), accept_settings(&config));
    let (drained, near) = (draining.clone(), neighbours(&config.identity.processes));
    let front = Front::new(pep.clone(), ca.clone(), settings, clock.clone(), entropy.clone(), drained, near);
    let (ports, keeper) = TaskPorts::new(front.clone(), draining.clone());
    let node: Arc<dyn web::Node> = Arc::new(Administered {
        facts: web_facts(&facts, rules),
        pep: pep.clone(),
        reload: reload.clone(),
        hidden: leases::hidden(&config),
        ports,
        drain: draining.clone(),
        scrape: scrape.clone(),
    });
    let (operators, believed) = operators::operators(&config, &bundles, &around).await?;
    let (channels, slack) = Channels::of(&config, &around, &node).await?;
    let rooms = web::Rooms { tasks: tasks.clone(), tokens, node, admin, operators, slack, insight, pulse };
    let api = web::router(web_settings(&config, &facts), rooms);
    let ports = |otlp: Option<&config::Otlp>| collector::ports(&config, otlp, &upstream, &entropy);
    let followers = tell(&config, trace, &journal, ports, (scrape, clock.clone()))?;
    let _first = late.set(followers.clone());
    let reaper = reaper(tasks, journal.clone(), clock);
    let (reloading, leasing) = (tokio::spawn(reload.clone().watch()), tokio::spawn(leases.look_after()));
    let mut around = vec![reloading, tokio::spawn(keeper), clerk, leasing, tokio::spawn(watching)];
    let admin = (doors.admin, doors.admin_tls.zip(admin_tls));
    around.extend(operators::serve(&config, admin, believed, &api));
    around.extend(follow_identities(&config, &bundles, ca));
    around.extend(channels.start());
    let (proxy, listening) = listen([Some(doors.proxy), doors.proxy_tls], &front, &draining);
    write_node_file(&facts).map_err(file_error(&dir.join("node.json")))?;
    Ok(Node { facts, pep, store, reload, followers, listening, drain, proxy, reaper, around })
}

/// The real ones.
fn world() -> (Arc<dyn Clock>, Arc<dyn Entropy>) {
    (Arc::new(SystemClock), Arc::new(SystemEntropy))
}

fn task_tokens(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Arc<TaskTokens>, StartError> {
    let tokens = TaskTokens::load_or_make(&config.state_dir, clock.clone(), entropy.clone())?;
    Ok(Arc::new(tokens.living(config.identity.token_ttl)))
}

/// The issuing CA, and its fingerprint if it was made just now.
fn authority(
    config: &Config,
    dir: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<Ca>, Option<[u8; 32]>), StartError> {
    let is_new = !dir.join("ca/ca.key").exists();
    let ca = Ca::load_or_make(&dir.join("ca"), clock.clone())?.asking(PossessionOnly::verifier());
    let ca = if config.listen.proxy_tls_svid { ca.showing_svid() } else { ca };
    let fingerprint = is_new.then(|| ca.fingerprint());
    Ok((Arc::new(ca), fingerprint))
}

/// Follows the authorities that are believed, and what the proxy shows of itself.
fn follow_identities(config: &Config, bundles: &Arc<Bundles>, shown: Arc<Ca>) -> [JoinHandle<()>; 3] {
    let (files, api) = (config.identity.bundles.clone(), config.identity.workload_api.clone());
    let own = api.clone().filter(|_| config.listen.proxy_tls_svid);
    [
        tokio::spawn(bundles::watch(files, bundles.clone())),
        tokio::spawn(workload::follow(api, bundles.clone())),
        tokio::spawn(workload::follow_own(own, shown)),
    ]
}

/// Nobody looks into processes unless some of them are agents.
fn neighbours(rules: &[identity::ProcessRule]) -> Option<Arc<dyn Neighbours>> {
    (!rules.is_empty()).then(|| -> Arc<dyn Neighbours> { Arc::new(identity::Proc::new(rules)) })
}

/// Who is believed, and by what.
fn believe(
    config: &Config,
    tokens: &Arc<TaskTokens>,
    bundles: &Arc<Bundles>,
    clock: &Arc<dyn Clock>,
) -> Identity {
    let asked = &config.identity;
    let settings = identity::Settings {
        default_agent: asked.default_agent.clone(),
        audience: asked.audience.clone(),
        processes: asked.processes.clone(),
    };
    Identity::new(settings, tokens.clone(), bundles.clone(), clock.clone())
}

/// Where rulings have force. Where they have not, that is said loudly: it is easily forgotten.
fn modes(config: &Config) -> Arc<Modes> {
    let modes = Modes { node: config.mode, services: config.services.clone() };
    if modes.observes() {
        tracing::warn!(
            node = ?modes.node, services = ?modes.services,
            "policies are observed and not enforced: what they would refuse goes out"
        );
    }
    Arc::new(modes)
}

/// Runs the listeners of the proxy. What comes back beside them ends when the last of them has.
fn listen<W: Walk>(
    listeners: [Option<Listener>; 2],
    front: &Arc<Front<W>>,
    draining: &watch::Receiver<bool>,
) -> (Vec<JoinHandle<()>>, watch::Receiver<()>) {
    let (listens, listening) = watch::channel(());
    let run = |listener: Listener| {
        let (front, draining, listens) = (front.clone(), draining.clone(), listens.clone());
        tokio::spawn(async move {
            // Dropped with the task, however it ends: that is how `Node::stopped` hears of it.
            let _listens = listens;
            listener.run(front, draining).await;
        })
    };
    (listeners.into_iter().flatten().map(run).collect(), listening)
}

/// Starts whoever tells of the calls, and of their numbers.
fn tell(
    config: &Config,
    trace: TraceTo,
    journal: &Journal,
    ports: impl Fn(Option<&config::Otlp>) -> Result<telemetry::Ports, StartError>,
    (scrape, clock): (Scrape, Arc<dyn Clock>),
) -> Result<Arc<Followers>, StartError> {
    let settings = telemetry::Settings { otlp: collector::spans(config)?, tree: tree(config, trace) };
    let followers = Arc::new(Followers::start(journal, settings, ports(config.telemetry.otlp.as_ref())?)?);
    if let Some((wanted, every)) = &config.telemetry.metrics {
        let otlp = collector::otlp(config, wanted)?;
        followers.push(otlp, *every, scrape, &ports(Some(wanted))?, clock)?;
    }
    Ok(followers)
}

fn web_settings(config: &Config, facts: &NodeFacts) -> web::Settings {
    let trust_domain = config.identity.trust_domain.clone();
    let config::Admin { url, names, .. } = config.admin.clone();
    let trace_url = config.telemetry.trace_url.clone();
    web::Settings { bound: facts.admin, bound_tls: facts.admin_tls, url, names, trust_domain, trace_url }
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
    fn recognise(&self, head: &Head, body: &Peek) -> Option<Operations> {
        let brought = formats::brought(head, &body.bytes, formats::is_placeholder);
        Some(self.0.recognise(head, body).bringing(brought))
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

fn make_private(dir: &Path) -> Result<PathBuf, StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(file_error(dir))?;
    Ok(dir.to_owned())
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::File { path, source }
}

pub(super) fn trust(files: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, StartError> {
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

pub(super) fn origin_limits(config: &Config) -> origin::Limits {
    let limits = &config.limits;
    origin::Limits {
        connect: limits.connect_timeout,
        handshake: limits.connect_timeout,
        head: limits.first_byte_timeout,
        idle: limits.idle_timeout,
        ..origin::Limits::default()
    }
}

/// Whoever looks at the terminal is told where no collector is.
fn tree(config: &Config, trace: TraceTo) -> Option<Tree> {
    match trace {
        TraceTo::Tree { to, colour } if config.telemetry.otlp.is_none() => {
            Some(Tree::new(to, if colour { Colour::Always } else { Colour::Never }))
        }
        TraceTo::Tree { .. } | TraceTo::Nothing => None,
    }
}

/// The beginning of a node's time in the journal: what it is and by which rules it goes.
async fn record_start(
    journal: &Journal,
    config: &Config,
    (law, loaders): (&Law, &Loaders),
    new_ca: Option<[u8; 32]>,
) -> Result<(), StartError> {
    journal.note(Event::NodeStarted { version: VERSION }).await?;
    journal.note(Event::ConfigurationLoaded { source: &config.source, digest: config.digest }).await?;
    let (digest, policies) = (law.rules.digest(), law.rules.policies().len());
    journal.note(Event::RulesLoaded { digest, policies, from: None, by: "start" }).await?;
    candidate::tell(journal, law, loaders.candidate.problem().as_deref(), "start").await;
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
