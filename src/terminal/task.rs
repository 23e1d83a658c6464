//! `remit task`: tasks of a running node.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::arguments;
use super::failure::Failure;
use super::find::NodeArguments;
use super::leases;
use super::run::summary;
use super::screen::{self, Paint};
use super::table::{Lean, Table};
use super::terms::Terms;

/// Open, list, show and end tasks on a running node
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  export HTTPS_PROXY=$(remit task open --agent coder --intent triage --json | jq -r .proxy_url)\n\n\
    Exit codes: 0 done, 1 refused or no such task, 2 wrong usage, 3 the node cannot be reached."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    node: NodeArguments,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Open a task; prints its id and its proxy URL, which holds the task's token
    #[command(
        after_help = "Example:\n  remit task open --agent coder --intent triage --ttl 15m\n\nExit codes: 0 opened, 1 refused, 2 wrong usage, 3 the node cannot be reached."
    )]
    Open(Open),
    /// List the tasks
    #[command(
        after_help = "Example:\n  remit task list --json\n\nExit codes: 0 done, 2 wrong usage, 3 the node cannot be reached."
    )]
    List,
    /// Show one task and what it did
    #[command(
        after_help = "Example:\n  remit task show 01ARZ3NDEKTSV4RRFFQ69G5FAV\n\nExit codes: 0 done, 1 no such task, 2 wrong usage, 3 the node cannot be reached."
    )]
    Show {
        /// The task's id
        id: String,
    },
    /// End a task and all that was delegated from it: calls are refused from now on, and streams are cut
    #[command(
        after_help = "Example:\n  remit task end 01ARZ3NDEKTSV4RRFFQ69G5FAV\n  remit task end --owner team-a\n  remit task end --all\n\nExit codes: 0 ended, 1 no such task, 2 wrong usage, 3 the node cannot be reached."
    )]
    End {
        /// The task's id
        #[arg(required_unless_present_any = ["all", "owner"])]
        id: Option<String>,
        /// End every task of the agents of this owner (`remit agent register --owner`, or `[[agents]]`)
        #[arg(long, value_name = "NAME", conflicts_with_all = ["id", "all"])]
        owner: Option<String>,
        /// End every task of the node
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Hand a part of a task to another agent; prints the new task as `open` does
    #[command(
        after_help = "Example:\n  remit task delegate 01ARZ3NDEKTSV4RRFFQ69G5FAV --to reviewer --grant class=read --budget calls=50\n\nExit codes: 0 delegated, 1 refused, 2 wrong usage, 3 the node cannot be reached."
    )]
    Delegate(Delegate),
    /// Print another token for an open task, or let one that is there hold longer
    #[command(
        after_help = "Example:\n  remit task renew 01ARZ3NDEKTSV4RRFFQ69G5FAV --json\n\nExit codes: 0 renewed, 1 the task is over, 2 wrong usage, 3 the node cannot be reached."
    )]
    Renew {
        /// The task's id
        id: String,
        /// A file with the token that is to hold longer, instead of another one
        #[arg(long, value_name = "FILE")]
        token_file: Option<std::path::PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct Delegate {
    /// The task's id
    id: String,
    /// To whom: a SPIFFE ID, or a short name in the node's trust domain
    #[arg(long, value_name = "ID")]
    to: String,
    /// What for [default: what the task is for]
    #[arg(long, value_name = "NAME")]
    intent: Option<String>,
    /// When it ends by itself, such as 5m [default: 15m, or what is left of the task's time]
    #[arg(long, value_name = "TIME", value_parser = arguments::duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Debug, clap::Args)]
struct Open {
    /// Who works on it: a SPIFFE ID, or a short name in the node's trust domain
    #[arg(long, value_name = "ID")]
    agent: String,
    /// What for; policies can ask
    #[arg(long, value_name = "NAME")]
    intent: String,
    /// When it ends by itself, such as 15m [default: 15m, at most 24h]
    #[arg(long, value_name = "TIME", value_parser = arguments::duration)]
    ttl: Option<Duration>,
    /// A word of your own for policies to ask, may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = arguments::label)]
    labels: Vec<(String, String)>,
    /// For whom the work is done: a person or a system, such as user:ada@example.org
    #[arg(long, value_name = "WHO")]
    on_behalf_of: Option<String>,
    /// The task that it is to lie under, as with `delegate`
    #[arg(long, value_name = "TASK")]
    parent: Option<String>,
    #[command(flatten)]
    terms: Terms,
    /// Also open a loopback port that stands for the task, for clients that cannot send proxy credentials
    #[arg(long)]
    port: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let admin = arguments.node.admin()?;
    let (answer, text): (Value, fn(&Value) -> String) = match arguments.verb {
        Verb::Open(open) => (admin.post("/v1/tasks", &open.wanted()).await?, opened),
        Verb::List => (admin.get("/v1/tasks").await?, listed),
        Verb::Show { id } => (admin.get(&path(&id, "")?).await?, shown),
        Verb::End { id: Some(id), .. } => {
            (admin.post(&path(&id, "/end")?, &json!({})).await?, |_| String::new())
        }
        Verb::End { owner: Some(owner), .. } => {
            (admin.post("/v1/owners/end", &json!({ "owner": owner })).await?, ended)
        }
        Verb::End { id: None, .. } => (admin.post("/v1/tasks/end", &json!({})).await?, ended),
        Verb::Delegate(handed) => {
            (admin.post(&path(&handed.id, "/delegate")?, &handed.wanted()).await?, opened)
        }
        Verb::Renew { id, token_file } => {
            let body = token_file.map(|file| token_in(&file)).transpose()?.unwrap_or(json!({}));
            (admin.post(&path(&id, "/renew")?, &body).await?, opened)
        }
    };
    if arguments.json {
        screen::print_json(&answer)?;
    } else {
        screen::print(&text(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Open {
    fn wanted(&self) -> Value {
        let labels: BTreeMap<_, _> = self.labels.iter().cloned().collect();
        let port = if self.port { TaskPort::Wanted } else { TaskPort::Not };
        let mut body = wanted(&self.agent, &self.intent, &labels, port);
        for (key, value) in [("on_behalf_of", &self.on_behalf_of), ("parent", &self.parent)] {
            if let (Some(value), Some(fields)) = (value, body.as_object_mut()) {
                fields.insert(key.to_owned(), json!(value));
            }
        }
        self.terms.add_to(&mut body, self.ttl);
        body
    }
}

impl Delegate {
    fn wanted(&self) -> Value {
        let mut body = json!({ "to": self.to });
        if let (Some(intent), Some(fields)) = (&self.intent, body.as_object_mut()) {
            fields.insert("intent".to_owned(), json!(intent));
        }
        self.terms.add_to(&mut body, self.ttl);
        body
    }
}

fn token_in(file: &std::path::Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", file.display())))?;
    Ok(json!({ "token": text.trim() }))
}

/// Whether a task gets a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskPort {
    Not,
    Wanted,
}

/// The body of `POST /v1/tasks`.
pub(super) fn wanted(agent: &str, intent: &str, labels: &BTreeMap<String, String>, port: TaskPort) -> Value {
    json!({"agent": agent, "intent": intent, "labels": labels, "port": port == TaskPort::Wanted})
}

/// The API path of a task. An id is letters and digits; anything else would name another path.
pub(super) fn path(id: &str, verb: &str) -> Result<String, Failure> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(
            Failure::usage(format!("`{id}` is not a task's id")).remedy("`remit task list` shows the ids")
        );
    }
    Ok(format!("/v1/tasks/{id}{verb}"))
}

/// A text of an answer; an absent one is empty.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn ended(answer: &Value) -> String {
    format!("tasks ended: {}\n", answer["ended"])
}

fn opened(task: &Value) -> String {
    let mut lines = format!(
        "task       {}\nproxy URL  {}\nexpires    {} (its token {}, unless it is renewed)\n",
        text(task, "id"),
        text(task, "proxy_url"),
        text(task, "expires_at"),
        text(task, "token_expires_at")
    );
    if let Some(port) = task.get("port_url").and_then(Value::as_str) {
        let _ = writeln!(lines, "its port   {port}");
    }
    let _ = writeln!(lines, "CA         {}\nbundle     {}", text(task, "ca"), text(task, "ca_bundle"));
    for (name, value) in task.get("env").and_then(Value::as_object).into_iter().flatten() {
        let _ = writeln!(lines, "instead    {name}={}", value.as_str().unwrap_or_default());
    }
    lines
}

fn listed(answer: &Value) -> String {
    // A bare list, or one under its noun.
    let tasks = answer.as_array().or_else(|| answer.get("tasks").and_then(Value::as_array));
    let mut table = Table::new(&[
        ("task", Lean::Left),
        ("state", Lean::Left),
        ("agent", Lean::Left),
        ("intent", Lean::Left),
        ("expires", Lean::Left),
    ]);
    for task in tasks.into_iter().flatten() {
        table.row(
            ["id", "state", "agent", "intent", "expires_at"].map(|name| text(task, name).to_owned()).to_vec(),
        );
    }
    table.text()
}

fn shown(task: &Value) -> String {
    let mut lines = String::new();
    for name in ["id", "state", "agent", "on_behalf_of", "parent", "intent", "opened_at", "expires_at"] {
        if !text(task, name).is_empty() {
            let _ = writeln!(lines, "{:<12} {}", name.trim_end_matches("_at"), text(task, name));
        }
    }
    for name in ["actors", "grant", "budget"] {
        if let Some(terms) = task.get(name) {
            let _ = writeln!(lines, "{name:<12} {terms}");
        }
    }
    if let Some(ended) = task.get("ended") {
        let _ = writeln!(lines, "{:<12} {} ({})", "ended", text(ended, "at"), text(ended, "why"));
    }
    lines + &leases::shown(task) + "\n" + &summary::table(task, Paint::for_stdout())
}
