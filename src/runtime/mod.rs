//! The composition root: builds every room, hands each the least it needs, and stops them in order.
//!
//! Nothing imports it but `terminal`. [`wire`] is the only place that sees everything.

mod admin;
mod bundles;
mod candidate;
pub mod clock;
mod collector;
pub mod config;
mod doors;
mod error;
mod holds;
mod insight;
mod kept;
mod leases;
mod measure;
mod notify;
mod operators;
mod past;
mod peers;
mod ports;
mod reload;
mod replay;
mod wire;
mod workload;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::intent::{TaskEnd, Tasks};
use crate::pep::Pep;
use crate::record::{Event, Journal};
use crate::store::Sqlite;
use crate::telemetry::Followers;

pub use crate::telemetry::SpanLines;
pub use config::Config;
pub use error::StartError;
pub(crate) use past::Past;
pub(crate) use wire::{policy_source, vocabulary};

/// remit's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often tasks past their deadline are looked for. A call finds out by itself; this is for streams.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// What calls get to write their closing entry after they were cut.
const AFTER_CUT: Duration = Duration::from_secs(2);

/// What leases of tasks that are over get to be taken back. The rest is taken back after the next start.
const RETURN: Duration = Duration::from_secs(5);
/// What the followers get to tell a collector what is left. The rest is told after the next start.
const FLUSH: Duration = Duration::from_secs(5);

/// Where span trees go when no OTLP endpoint is set.
pub enum TraceTo {
    /// Nowhere.
    Nothing,
    /// Drawn as a tree.
    Tree {
        /// Where to.
        to: Box<dyn Write + Send>,
        /// With colour.
        colour: bool,
    },
}

/// Where a running node is.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The forward proxy.
    pub proxy: SocketAddr,
    /// The forward proxy over TLS, if there is one.
    pub proxy_tls: Option<SocketAddr>,
    /// The admin API.
    pub admin: SocketAddr,
    /// The same over TLS, if asked for.
    pub admin_tls: Option<SocketAddr>,
    /// CA, journal, tokens.
    pub state_dir: PathBuf,
    /// The issuing CA's certificate, PEM.
    pub ca: PathBuf,
    /// The system's roots and the issuing CA, PEM.
    pub ca_bundle: PathBuf,
    /// The local admin token's file.
    pub admin_token: PathBuf,
}

impl NodeFacts {
    /// Where the node itself listens: no agent is let through to there.
    fn listeners(&self) -> Vec<SocketAddr> {
        [self.proxy, self.admin].into_iter().chain(self.proxy_tls).chain(self.admin_tls).collect()
    }
}

/// A running node.
pub struct Node {
    facts: NodeFacts,
    /// Every room of the walk.
    pep: Arc<Pep>,
    store: Arc<Sqlite>,
    reload: Arc<reload::Reload>,
    followers: Arc<Followers>,
    /// Ends when the proxy's listener has ended.
    listening: watch::Receiver<()>,
    /// Turns true when nothing new is taken.
    drain: watch::Sender<bool>,
    /// The listeners of the proxy; they end when their connections have.
    proxy: Vec<JoinHandle<()>>,
    /// Ends tasks; told to stop, and waited for, since an end that is kept has to be in the journal too.
    reaper: (watch::Sender<bool>, JoinHandle<()>),
    /// The task ports' keeper, the admin API, the reload.
    around: Vec<JoinHandle<()>>,
}

impl Node {
    /// Builds a node and starts it. When this returns it takes calls.
    pub async fn start(config: Config, trace: TraceTo) -> Result<Self, StartError> {
        wire::start(config, trace).await
    }

    /// Where it is.
    pub fn facts(&self) -> NodeFacts {
        self.facts.clone()
    }

    /// Reads policies and the operator's part of the catalog again, changed or not. What is not fit stays out; that is told in
    /// log and journal.
    pub async fn reload(&self) {
        let _told = self.reload.reload("signal").await;
    }

    /// Waits until the node ends by itself, which only a bug in it can bring about.
    pub async fn stopped(&self) {
        let mut listening = self.listening.clone();
        while listening.changed().await.is_ok() {}
    }

    /// Stops in order: takes nothing new, lets calls finish until the deadline, cuts the rest, flushes the spans and
    /// the journal. A call that is cut is recorded as such.
    pub async fn stop(self, deadline: Duration) {
        let Self { facts, pep, store, reload: _, followers, listening: _, drain, proxy, reaper, around } =
            self;
        drain.send_replace(true);
        pep.desk.close();
        let mut done = Box::pin(async {
            for listener in proxy {
                let _panicked_or_done = listener.await;
            }
        });
        if timeout(deadline, &mut done).await.is_err() {
            tracing::warn!(seconds = deadline.as_secs(), "some calls did not finish in time and are cut");
            // The tasks themselves go on with the next start.
            pep.tasks.cut_all();
            let _or_abandoned = timeout(AFTER_CUT, done).await;
        }
        let (stop, reaping) = reaper;
        stop.send_replace(true);
        let _or_abandoned = timeout(AFTER_CUT, reaping).await;
        pep.leases.close(RETURN).await;
        for task in around {
            task.abort();
        }
        pep.upstream.close_idle();
        if let Err(error) = pep.journal.note(Event::NodeStopped { version: VERSION }).await {
            tracing::error!(%error, "the node's end cannot be recorded");
        }
        // The journal first: its last entries are spans too.
        pep.journal.stop().await;
        let _closed = tokio::task::spawn_blocking(move || store.close()).await;
        followers.stop(FLUSH).await;
        let _gone_already = std::fs::remove_file(node_file(&facts.state_dir));
    }
}

async fn record_end(journal: &Journal, task: crate::call::TaskId, why: TaskEnd) {
    if let Err(error) = journal.note(Event::TaskEnded { task, why: why.as_str(), by: None }).await {
        tracing::error!(%error, %task, "a task's end cannot be recorded");
    }
}

/// Starts whoever ends tasks; it stops between two rounds, once it is told to.
fn reaper(
    tasks: Arc<Tasks>,
    journal: Arc<Journal>,
    clock: Arc<dyn crate::call::Clock>,
) -> (watch::Sender<bool>, JoinHandle<()>) {
    let (stop, stopping) = watch::channel(false);
    (stop, tokio::spawn(reap(tasks, journal, clock, stopping)))
}

/// Ends tasks when their time is up or their budget is, so that their streams are cut.
async fn reap(
    tasks: Arc<Tasks>,
    journal: Arc<Journal>,
    clock: Arc<dyn crate::call::Clock>,
    mut stop: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(REAP_EVERY);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => {}
        }
        match tasks.expire(clock.now()).await {
            Ok(ended) => {
                for (task, why) in ended {
                    record_end(&journal, task.id, why).await;
                }
            }
            // They are over in this process all the same, and at the next start their time is up again.
            Err(error) => tracing::error!(%error, "the end of tasks cannot be kept"),
        }
    }
}

fn node_file(state_dir: &Path) -> PathBuf {
    state_dir.join("node.json")
}

/// Tells other processes where the node is (CONTRACT: `node.json`). Written beside and renamed: never half a file.
fn write_node_file(facts: &NodeFacts) -> std::io::Result<()> {
    let text = json!({
        "proxy": facts.proxy, "proxy_tls": facts.proxy_tls, "admin": facts.admin, "admin_tls": facts.admin_tls, "pid": std::process::id(), "version": VERSION,
        "ca": facts.ca, "ca_bundle": facts.ca_bundle,
    });
    let path = node_file(&facts.state_dir);
    let beside = path.with_extension("new");
    std::fs::write(&beside, format!("{text:#}\n"))?;
    std::fs::rename(beside, path)
}
