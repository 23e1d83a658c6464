//! The leases of a node: what the configuration says, completed by the catalog, with the world around.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::HeaderName;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use super::config::{self, Config, LeaseProvider};
use super::error::StartError;
use super::workload::OwnSvids;
use crate::call::hmac::HmacScheme;
use crate::call::{Class, Clock, Entropy, Fetch, Host, Lease, Secret, TaskId, Timestamp};
use crate::catalog::{Catalog, Credential};
use crate::identity::private_file;
use crate::intent::{TaskEnd, Tasks};
use crate::lease::provider;
use crate::lease::provider::aws_sts::AwsSts;
use crate::lease::provider::fixed::{Fixed, Source};
use crate::lease::provider::github_app::GithubApp;
use crate::lease::provider::google::Google;
use crate::lease::provider::oauth::Oauth;
use crate::lease::provider::vault::Vault;
use crate::lease::{
    Broker, Entry, LeaseBook as _, Look, OwnSecrets, Place, Ports, Provider, TaskEnds, Told, Witness,
};
use crate::record::{Event, Journal};
use crate::store::Sqlite;
use crate::web::NoticeMeters;

/// How long leases that are over can be shown.
const SHOWN: Duration = Duration::from_secs(7 * 86_400);
/// Bytes of the key, before it is written as hex.
const KEY_BYTES: usize = 32;

/// What it takes to have leases.
pub(super) struct Around<'a> {
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) entropy: &'a Arc<dyn Entropy>,
    pub(super) store: &'a Arc<Sqlite>,
    pub(super) journal: &'a Arc<Journal>,
    pub(super) tasks: &'a Arc<Tasks>,
    /// For what providers ask of servers.
    pub(super) fetch: Arc<dyn Fetch>,
    /// How notices went.
    pub(super) notices: Arc<NoticeMeters>,
}

/// The broker, with what the store kept taken up.
pub(super) async fn start(
    config: &Config,
    catalog: &Catalog,
    around: &Around<'_>,
) -> Result<Arc<Broker>, StartError> {
    let Around { clock, entropy, store, journal, tasks, fetch, .. } = around;
    let (clock, entropy, store) = (*clock, *entropy, *store);
    let key = private_file::load_or_make(&config.state_dir.join("lease.key"), || fresh_key(&**entropy))?;
    let since = Timestamp::from_unix_s(clock.now().unix_s().saturating_sub(SHOWN.as_secs()));
    let book = store.clone();
    let kept = tokio::task::spawn_blocking(move || book.load(since)).await;
    let kept = kept.map_err(|_| StartError::Interrupted)?;
    let kept = kept.map_err(|error| StartError::Leases { why: error.to_string() })?;
    let short = || StartError::Leases {
        why: "`lease.key` is too short to be a key; put the one back that was there".into(),
    };
    let own = OwnSecrets::new(store.clone(), &key, entropy.clone(), &kept.own).ok_or_else(short)?;
    let asking = provider::Ports {
        fetch: fetch.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        svids: config.identity.workload_api.clone().map(|endpoint| Arc::new(OwnSvids(endpoint)) as _),
        keeper: None,
    };
    let entries = entries(&config.leases, catalog, |name| provider::Ports {
        keeper: Some(own.of(name)),
        ..asking.clone()
    })?;
    let ports = Ports {
        clock: clock.clone(),
        entropy: entropy.clone(),
        book: store.clone(),
        witness: Arc::new(Diary((*journal).clone())),
        tasks: Arc::new(Ends((*tasks).clone())),
    };
    let broker = Broker::new(entries, &key, ports).ok_or_else(short)?;
    broker.resume(kept).await;
    Ok(broker)
}

/// The variables of the node's own environment that hold secrets: no agent may inherit them.
pub(super) fn hidden(config: &Config) -> Vec<String> {
    let name = |source: &Source| match source {
        Source::Env(name) => Some(name.clone()),
        Source::File(_) | Source::Command(_) => None,
    };
    let of_leases = config.leases.iter().flat_map(|lease| lease.provider.sources());
    let of_notices = config.notify.iter().flat_map(config::Notify::sources);
    of_leases.chain(of_notices).filter_map(name).collect()
}

fn fresh_key(entropy: &dyn Entropy) -> Secret<Vec<u8>> {
    let mut bytes = zeroize::Zeroizing::new([0; KEY_BYTES]);
    entropy.fill(bytes.as_mut());
    let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    Secret::new(hex.into_bytes())
}

fn entries(
    leases: &[config::Lease],
    catalog: &Catalog,
    ports: impl Fn(&str) -> provider::Ports,
) -> Result<Vec<Entry>, StartError> {
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    leases.iter().map(|lease| entry(lease, catalog, &mut named, &ports)).collect()
}

fn entry(
    lease: &config::Lease,
    catalog: &Catalog,
    named: &mut BTreeMap<String, usize>,
    ports: impl Fn(&str) -> provider::Ports,
) -> Result<Entry, StartError> {
    let config::Lease { service, hosts, provider: given, place, classes, env, look, observed } = lease;
    let is_host = service.contains(['.', ':']);
    if !is_host && !catalog.services().any(|known| *known.0 == **service) {
        let why = format!("no service of the catalog is called `{service}`; `remit catalog list` names them");
        return Err(StartError::Leases { why });
    }
    let default = catalog.credential(service);
    let place = match place {
        Some(place) => place.clone(),
        None => default.as_ref().and_then(usual_place).unwrap_or_default(),
    };
    bounded(service, hosts, &place, catalog)?;
    let scheme = scheme(&place, service, default.as_ref())?;
    let look = look.clone().or_else(|| default.as_ref()?.look.as_deref().map(Look::of)).unwrap_or_default();
    let env = env.clone().or_else(|| default.as_ref().map(|usual| usual.env.clone())).unwrap_or_default();
    let kind = given.kind();
    let known = format!("{service}/{kind}{}", whose(given, classes));
    let many = named.entry(known.clone()).or_default();
    *many += 1;
    // What is in the store goes by this name, so it does not depend on other entries than those alike.
    let name = if *many == 1 { known } else { format!("{known}/{many}") };
    let provider = made(given, ports(&name));
    Ok(Entry {
        name: name.into(),
        service: service.as_str().into(),
        hosts: hosts.clone(),
        classes: classes.clone(),
        place,
        untaken: default.as_ref().map(|usual| usual.untaken.clone()).unwrap_or_default(),
        signing_name: default.and_then(|usual| usual.signing_name),
        scheme,
        look,
        env,
        observed: *observed,
        provider,
    })
}

/// At a host with `*` anybody may have a name, and with it the credential of whoever has not said which names are theirs. What
/// is only signed gives nothing away.
fn bounded(service: &str, hosts: &[Host], place: &Place, catalog: &Catalog) -> Result<(), StartError> {
    let refused = |why: String| Err(StartError::Leases { why });
    if service.contains(['.', ':']) {
        if hosts.is_empty() {
            return Ok(());
        }
        return refused(format!("`{service}` is a host itself; leave `hosts` out, or name the service"));
    }
    if let Some(other) = hosts.iter().find(|host| !catalog.is_at(service, host)) {
        return refused(format!(
            "`{service}` has nothing at `{other}`; `remit catalog list` shows its hosts"
        ));
    }
    let wide = catalog.wide_hosts(service);
    if wide.is_empty() || !hosts.is_empty() || matches!(place, Place::SignAws | Place::Hmac { .. }) {
        return Ok(());
    }
    let example = wide.first().map(|host| host.replace('*', "yours")).unwrap_or_default();
    refused(format!(
        "`{service}` answers at `{}`, where every name is somebody else's, and its credential would go to any of them; say \
         which are yours: `hosts = [\"{example}\"]`",
        wide.join("`, `")
    ))
}

fn made(provider: &LeaseProvider, ports: provider::Ports) -> Arc<dyn Provider> {
    match provider {
        LeaseProvider::Fixed(source) => Arc::new(Fixed::new(source.clone())),
        LeaseProvider::Oauth(settings) => Arc::new(Oauth::new((**settings).clone(), ports)),
        LeaseProvider::GithubApp(settings) => Arc::new(GithubApp::new((**settings).clone(), ports)),
        LeaseProvider::Google(settings) => Arc::new(Google::new((**settings).clone(), ports)),
        LeaseProvider::AwsSts(settings) => Arc::new(AwsSts::new((**settings).clone(), ports)),
        LeaseProvider::Vault(settings) => Arc::new(Vault::new((**settings).clone(), ports)),
    }
}

/// The way of signing that a place names.
fn scheme(
    place: &Place,
    service: &str,
    default: Option<&Credential>,
) -> Result<Option<HmacScheme>, StartError> {
    let Place::Hmac { scheme: wanted } = place else { return Ok(None) };
    let schemes = default.map(|usual| usual.hmac.as_slice()).unwrap_or_default();
    let found = schemes.iter().find(|scheme| scheme.name == *wanted).cloned();
    let why = || {
        format!(
            "`{service}` has no way of signing that is called `{wanted}`; put it down as [[credential.hmac]] in the service's \
             overrides.toml"
        )
    };
    found.map(Some).ok_or_else(|| StartError::Leases { why: why() })
}

/// Where the catalog says that the service wants to see it.
fn usual_place(usual: &Credential) -> Option<Place> {
    if usual.signing_name.is_some() {
        return Some(Place::SignAws);
    }
    if let Some(name) = &usual.query {
        return Some(Place::Query { name: name.clone() });
    }
    if usual.basic {
        return Some(Place::Basic { user: None });
    }
    let name = usual.header.as_deref().map_or(Ok(AUTHORIZATION), HeaderName::try_from).ok()?;
    let bare = if name == AUTHORIZATION { "Bearer {}" } else { "{}" };
    Some(Place::Header { format: usual.format.clone().unwrap_or_else(|| bare.to_owned()), name })
}

/// Writes what becomes of leases into the journal.
struct Diary(Arc<Journal>);

impl Witness for Diary {
    fn tell<'a>(&'a self, lease: &'a Lease, what: Told) -> BoxFuture<'a, Result<(), String>> {
        let event = match what {
            Told::State => Event::Lease(lease),
            Told::Overdue => Event::LeaseOverdue(lease),
            Told::Seen => Event::LeaseSeen(lease),
            Told::Rejected => Event::LeaseRejected(lease),
        };
        async move { self.0.note(event).await.map(drop).map_err(|error| error.to_string()) }.boxed()
    }
}

/// Shows the end of tasks.
struct Ends(Arc<Tasks>);

impl TaskEnds for Ends {
    fn ended(&self, task: TaskId) -> Option<BoxFuture<'static, ()>> {
        let mut ended = self.0.ended(task).ok()?;
        let wait = async move {
            let is_for_good = |why: &Option<TaskEnd>| why.is_some_and(|why| why != TaskEnd::Drain);
            if ended.wait_for(is_for_good).await.is_err() {
                // The node stops, and the task goes on with the next start.
                std::future::pending::<()>().await;
            }
        };
        Some(wait.boxed())
    }
}

/// Who gave a lease, in eight digits: what was obtained from one server, client or account is never shown to another that came into
/// its place in the configuration, nor taken for that one's. Nothing of a key that was there before.
fn whose(given: &LeaseProvider, classes: &[Class]) -> String {
    let who = match given {
        LeaseProvider::Fixed(_) => return String::new(),
        LeaseProvider::Oauth(of) => format!("{:?} {}", of.token_url, of.client_id),
        LeaseProvider::AwsSts(of) => format!("{:?} {}", of.sts_url, of.role_arn),
        LeaseProvider::GithubApp(of) => format!("{:?} {} {}", of.api, of.app_id, of.installation_id),
        LeaseProvider::Google(of) => format!("{:?} {:?}", of.token_url, of.impersonate),
        LeaseProvider::Vault(of) => format!("{:?} {:?}", of.api, of.namespace),
    };
    let digest = Sha256::digest(format!("{who} {classes:?}"));
    digest.iter().take(4).fold("@".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
