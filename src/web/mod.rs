//! The admin API: for operators and for remit's own command line, on an address of its own.
//!
//! JSON over HTTP/1.1 on loopback; errors are RFC 9457 problems. It must not be reachable through the proxy, and it must
//! not know the runtime: what it needs of the node it asks through [`Node`].
//!
//! Everything but `/healthz`, `/readyz`, `/metrics` and signing in needs an operator: by the admin token, by a client certificate,
//! or by a session that was begun with that token or at an identity provider. A web page that the operator has open can reach
//! loopback too, so a request must also name this node in `Host` (DNS rebinding gives the attacker's name there) and
//! come from no other origin.

mod admin_token;
mod agents;
mod calls;
mod console;
mod events;
mod guard;
mod headers;
mod health;
mod holds;
mod insight;
mod leases;
mod login;
pub mod notify;
mod openapi;
mod opening;
mod operators;
mod policies;
mod pressed;
mod problem;
mod pulse;
mod routes;
mod serve;
mod session;
mod tasks;
#[cfg(test)]
mod tests;
mod throttle;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::call::{
    Card, Dummy, Hold, HoldId, Host, Lease, LeaseId, Operator, OperatorId, RulesDigest, Scheme, SeenError,
    SpiffeId, Task, TaskId, Timestamp, TrustDomain,
};
use crate::identity::TaskTokens;
use crate::intent::{Registration, TaskEnd, Tasks};
use crate::judge::hold::{Ballot, NoVote};

pub use admin_token::AdminToken;
pub use insight::{Difference, Explained, Export, Health, Insight, Kind, Policies};
pub use notify::{
    Channel, Mail, MailSettings, NoticeMeters, Occasion, Post, Security, Slack, SlackSettings, Webhook,
    follow,
};
pub use operators::{Access, Evidence, Operators, Reading, Rights};
pub use problem::Problem;
pub use pulse::Pulse;
pub use serve::{Door, MAX_CONNECTIONS, serve};
pub use session::{Csrf, Life};

/// Longest body that is read, bytes; a longer one is answered with 413.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// A request that takes longer is answered with 503. What it set going is brought to its end all the same.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long the journal and the opening of a task port may take, each.
pub const STEP_LIMIT: Duration = Duration::from_secs(10);

/// What the operator decided about the admin API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the listener is bound.
    pub bound: SocketAddr,
    /// Where the TLS listener is bound, if there is one.
    pub bound_tls: Option<SocketAddr>,
    /// Where browsers reach it, if that is neither: behind a proxy that ends TLS, say.
    pub url: Option<Front>,
    /// Further names under which operators reach it; loopback, `localhost` and the bound addresses need no naming.
    pub names: Vec<Host>,
    /// Completes short agent names (`coder`).
    pub trust_domain: TrustDomain,
    /// Where a trace is shown: `{trace_id}` stands for it.
    pub trace_url: Option<String>,
}

/// An origin under which browsers reach the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// HTTP or HTTPS.
    pub scheme: Scheme,
    /// As they send it in `Host`.
    pub authority: String,
}

/// What the admin API works with.
pub struct Rooms {
    /// The registry.
    pub tasks: Arc<Tasks>,
    /// Mints the tokens.
    pub tokens: Arc<TaskTokens>,
    /// Everything else.
    pub node: Arc<dyn Node>,
    /// Lets in whoever can read the state folder.
    pub admin: AdminToken,
    /// Lets everybody else in.
    pub operators: Arc<Operators>,
    /// Channels of Slack, whose buttons are votes.
    pub slack: Vec<Arc<Slack>>,
    /// What may be looked at.
    pub insight: Arc<dyn Insight>,
    /// What happens now.
    pub pulse: Arc<Pulse>,
}

/// What the admin API asks of the node that it is part of; `runtime` implements it.
pub trait Node: Send + Sync {
    /// What is so while the node runs.
    fn facts(&self) -> NodeFacts;
    /// Whether calls can be taken; otherwise why not, for the operator. Not while draining or when the journal fails.
    fn ready(&self) -> Result<(), String>;
    /// What an operator should know although calls are taken: policies on disk that are not fit to be in force.
    fn notice(&self) -> Option<&'static str>;
    /// Reads the policies again at an operator's word; the digests of those before and those in force now. Otherwise all that is wrong with them.
    fn reload_policies(&self, by: OperatorId) -> BoxFuture<'_, Result<(RulesDigest, RulesDigest), String>>;
    /// What the node counts and measures, as Prometheus reads it, with the `Content-Type` of that.
    fn metrics(&self) -> (&'static str, String);
    /// The leases that are known, oldest first, those of one task if one is named; and what time it is.
    fn leases(&self, task: Option<TaskId>) -> (Vec<Lease>, Timestamp);
    /// All holds that are known, oldest first, with what people are shown of the calls.
    fn holds(&self) -> Vec<(Arc<Hold>, Arc<Card>)>;
    /// One of them.
    fn hold(&self, id: HoldId) -> Option<(Arc<Hold>, Arc<Card>)>;
    /// Casts a vote; the hold as it is then. MUST be ready only once the vote is written.
    fn vote(&self, ballot: Ballot, voter: Operator) -> BoxFuture<'_, Result<Arc<Hold>, NotVoted>>;
    /// An operator's word on a lease that was lost: nothing of it works any more. MUST be ready only once it is written.
    fn lease_seen(
        &self,
        lease: LeaseId,
        by: OperatorId,
        note: Option<String>,
    ) -> BoxFuture<'_, Result<(Lease, Timestamp), SeenError>>;
    /// What an agent is configured with for a task in the place of credentials, and the names of the variables that hold secrets
    /// of the node and must not be inherited.
    fn dummies(&self, task: TaskId) -> (Vec<Dummy>, Vec<String>);
    /// Opens a loopback port that stands for the task, until the task ends (`Tasks::ended` shows when).
    fn open_task_port(&self, task: Arc<Task>) -> BoxFuture<'_, Result<SocketAddr, String>>;
    /// Writes to the journal what an operator did. MUST be ready only once it is written.
    fn record(&self, by: OperatorId, event: TaskEvent) -> BoxFuture<'_, Result<(), String>>;
}

/// Why a vote came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotVoted {
    /// It does not count.
    #[error(transparent)]
    Refused(#[from] NoVote),
    /// It cannot be written down.
    #[error("the vote cannot be written down: {0}")]
    Unavailable(String),
}

/// What an operator may ask about a node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// remit's version.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// Where the forward proxy listens.
    pub proxy: SocketAddr,
    /// Where the admin API listens.
    pub admin: SocketAddr,
    /// Where the node keeps its state.
    pub state_dir: PathBuf,
    /// The issuing CA's certificate, PEM.
    pub ca: PathBuf,
    /// The system's roots and the issuing CA, PEM.
    pub ca_bundle: PathBuf,
    /// The rules that calls are judged under now.
    pub rules: RulesDigest,
    /// How often the rules were loaded since the node started, beginning with 1.
    pub generation: u64,
}

/// What became of a task at an operator's word; written to the journal before the operator is told.
#[derive(Clone, Debug)]
pub enum TaskEvent {
    /// It was opened.
    Opened {
        /// Which one.
        task: Arc<Task>,
    },
    /// It is over.
    Ended {
        /// Which one.
        task: Arc<Task>,
        /// Why.
        why: TaskEnd,
    },
    /// Its tokens hold longer.
    Renewed {
        /// Which one.
        task: TaskId,
        /// Until when.
        until: Timestamp,
    },
    /// An agent was registered, or is no more.
    Registered {
        /// Which one.
        agent: SpiffeId,
        /// As what.
        registration: Option<Box<Registration>>,
    },
    /// An agent was put into quarantine.
    Quarantined {
        /// Which one.
        agent: SpiffeId,
    },
    /// An agent was let out of quarantine.
    Released {
        /// Which one.
        agent: SpiffeId,
    },
    /// An operator signed in with a browser.
    SignedIn,
    /// And out.
    SignedOut,
}

struct Shared {
    settings: Settings,
    rooms: Rooms,
    /// The paths that are for anybody.
    open: BTreeSet<&'static str>,
    /// Room for event streams.
    streams: Arc<Semaphore>,
    /// What the console pushes, as it was made last.
    fragments: console::Fragments,
    document: axum::body::Bytes,
}

impl Shared {
    fn new(settings: Settings, rooms: Rooms) -> Arc<Self> {
        Arc::new(Self {
            settings,
            rooms,
            open: routes::open_paths(),
            streams: Arc::new(Semaphore::new(events::MAX_STREAMS)),
            fragments: console::Fragments::default(),
            document: openapi::document(&routes::table()),
        })
    }
}

/// The admin API as a service, for [`serve()`].
pub type Api = Router;

/// Puts it together.
pub fn router(settings: Settings, rooms: Rooms) -> Api {
    let shared = Shared::new(settings, rooms);
    routes::router()
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), guard::guard))
        .with_state(shared)
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path; the API is under /v1/")
}

async fn wrong_method() -> Problem {
    let detail = "this path does not take that method; `Allow` names those that it takes";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
