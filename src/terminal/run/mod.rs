//! `remit run -- CMD`: an agent behind remit, from its first call to its last.
//!
//! It joins the node that runs here or starts one inside itself, opens a task, gives CMD the environment in which common
//! clients find the proxy and trust its CA, and tells afterwards what happened. It must not change CMD's standard
//! streams, nor its exit status.

mod child;
mod environment;
mod files;
mod node;
pub(super) mod summary;
#[cfg(test)]
mod tests;
mod truststore;
mod waiting;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Admin;
use super::failure::Failure;
use super::find::{self, NodeArguments};
use super::screen::{self, Paint};
use super::scroll::Scroll;
use super::terms::Terms;
use super::{arguments, leases, task};
use environment::{Environment, Given};
use files::Files;
use node::Host;

/// How long the end waits for credentials to be taken back. It goes on in the node, or with the next start.
const TAKEN_BACK: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often the token is renewed where the node does not tell how long it lives.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// Run a program behind remit, and tell what it did
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit run --intent triage -- python agent.py\n\n\
    Joins the node whose state folder the configuration names, or starts one inside itself.\n\
    Policies, catalog and upstreams come from the configuration; without one, from the binary.\n\n\
    Exit codes: CMD's own (128+n if signal n ended it), 126 CMD cannot be run, 127 CMD is not there;\n\
    before CMD runs: 1 the task was refused, 2 wrong usage or bad configuration, 3 the node cannot be reached.")]
pub(super) struct Arguments {
    /// Who it is: a SPIFFE ID or a short name [default: the program's name]
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// What for; policies can ask
    #[arg(long, value_name = "NAME", default_value = "run")]
    intent: String,
    /// When the task ends even if CMD goes on, such as 15m; at most 24h
    #[arg(long, value_name = "TIME", default_value = "8h", value_parser = arguments::duration)]
    ttl: Duration,
    /// A word of your own for policies to ask, may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = arguments::label)]
    labels: Vec<(String, String)>,
    /// For whom the work is done: a person or a system, such as user:ada@example.org
    #[arg(long, value_name = "WHO")]
    on_behalf_of: Option<String>,
    #[command(flatten)]
    terms: Terms,
    /// Say nothing at the end
    #[arg(long)]
    quiet: bool,
    /// Draw every call's span as a tree at the end, even where standard error is not a terminal
    #[arg(long, conflicts_with = "quiet")]
    trace: bool,
    #[command(flatten)]
    node: NodeArguments,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let drawing = !arguments.quiet && (arguments.trace || screen::stderr_is_terminal());
    let scroll = drawing.then(Scroll::default);
    let host = match arguments.node.named()? {
        Some(admin) => Host::joined(admin, std::env::temp_dir().join("remit")),
        None => {
            // On the heap, as what follows: it is too large to be moved about.
            Box::pin(Host::find_or_start(
                find::configuration(arguments.node.config.as_deref())?,
                scroll.clone(),
            ))
            .await?
        }
    };
    let outcome = Box::pin(in_task(&arguments, &host)).await;
    // Flushes spans before anything is told, so that the tree is whole.
    host.leave().await;
    let (status, summary) = outcome?;
    if !arguments.quiet {
        let trees = scroll.map(|scroll| scroll.take()).unwrap_or_default();
        // CMD may have left the cursor within a line.
        screen::tell(&format!("\n{trees}{}", summary::report(&summary, Paint::for_stderr())));
    }
    Ok(status)
}

/// Opens the task, runs CMD in it, ends it. What the task did comes back beside CMD's status.
async fn in_task(arguments: &Arguments, host: &Host) -> Result<(ExitCode, Value), Failure> {
    let admin = host.admin();
    let task = admin.post("/v1/tasks", &arguments.wanted()).await?;
    let id = task::text(&task, "id").to_owned();
    let outcome = Box::pin(behind(arguments, host, &task)).await;
    let summary = end(admin, &id).await;
    let status = outcome?;
    match summary {
        Ok(summary) => Ok((status, summary)),
        Err(failure) => {
            // CMD's status is what its caller waits for; this is only told.
            screen::complain(&format!("what happened cannot be told: {failure}"));
            Ok((status, Value::Null))
        }
    }
}

async fn end(admin: &Admin, id: &str) -> Result<Value, Failure> {
    admin.post(&task::path(id, "/end")?, &json!({})).await?;
    let began = Instant::now();
    loop {
        let task = admin.get(&task::path(id, "")?).await?;
        // Its credentials are taken back by now, or nearly so: whoever reads what is told at the end wants to know.
        if !leases::is_under_way(&task) || began.elapsed() > TAKEN_BACK {
            return Ok(task);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn behind(arguments: &Arguments, host: &Host, task: &Value) -> Result<ExitCode, Failure> {
    let bundle = Path::new(task::text(task, "ca_bundle"));
    let inherited = |name: &str| std::env::var_os(name);
    let files = Files::write(&host.files_dir(), task::text(task, "id"), bundle, &inherited)?;
    let given = Given {
        task: task::text(task, "id"),
        proxy_url: task::text(task, "proxy_url"),
        port_url: task.get("port_url").and_then(Value::as_str),
        ca: Path::new(task::text(task, "ca")),
        bundle,
        files: &files,
        placeholders: pairs(task.get("env")),
        hidden: texts(task.get("hidden_env")),
    };
    let environment = Environment::of(&given, &inherited);
    tokio::select! {
        biased;
        status = child::run(&arguments.command, &environment) => status,
        never = keep_alive(host.admin(), task) => match never {},
        never = waiting::tell(host.admin(), task::text(task, "id")), if !arguments.quiet => match never {},
    }
}

fn pairs(fields: Option<&Value>) -> Vec<(String, String)> {
    let fields = fields.and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

/// A third of a token's life: two renewals may fail.
fn renew_every(task: &Value) -> Duration {
    let ends: Option<jiff::Timestamp> = task::text(task, "token_expires_at").parse().ok();
    let life = ends.map(|ends| ends.duration_since(jiff::Timestamp::now()).unsigned_abs());
    life.map_or(RENEW_EVERY, |life| (life / 3).max(Duration::from_secs(1)))
}

/// Lets the token that CMD was given hold for as long as CMD runs: its environment cannot be changed any more. If this
/// process dies, the token does within its life, which is minutes.
async fn keep_alive(admin: &Admin, task: &Value) -> std::convert::Infallible {
    let body = json!({ "token": task::text(task, "token") });
    let mut tick = tokio::time::interval(renew_every(task));
    // The first tick comes at once, and the token is new.
    tick.tick().await;
    loop {
        tick.tick().await;
        let renewed = match task::path(task::text(task, "id"), "/renew") {
            Ok(path) => admin.post(&path, &body).await,
            Err(failure) => Err(failure),
        };
        // A task that was ended is no failure of ours, and a node that is away may come back.
        if let Err(failure) = renewed {
            tracing::debug!(%failure, "the token was not renewed");
        }
    }
}

impl Arguments {
    fn wanted(&self) -> Value {
        let agent = self.agent.clone().unwrap_or_else(|| agent_of(self.command.first()));
        let labels = self.labels.iter().cloned().collect();
        let mut body = task::wanted(&agent, &self.intent, &labels, task::TaskPort::Wanted);
        if let (Some(who), Some(fields)) = (&self.on_behalf_of, body.as_object_mut()) {
            fields.insert("on_behalf_of".to_owned(), json!(who));
        }
        self.terms.add_to(&mut body, Some(self.ttl));
        body
    }
}

/// The program's file name, with what a SPIFFE ID cannot hold replaced.
fn agent_of(program: Option<&OsString>) -> String {
    let name =
        program.map(PathBuf::from).and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    match name.unwrap_or_default().chars().map(safe).collect::<String>() {
        dots if dots.chars().all(|c| c == '.') => "agent".to_owned(),
        name => name,
    }
}
