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
use super::run::summary;
use super::screen::{self, Paint};
use super::table::{Lean, Table};

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
    /// End a task: its calls are refused from now on, and its streams are cut
    #[command(
        after_help = "Example:\n  remit task end 01ARZ3NDEKTSV4RRFFQ69G5FAV\n\nExit codes: 0 ended, 1 no such task, 2 wrong usage, 3 the node cannot be reached."
    )]
    End {
        /// The task's id
        id: String,
    },
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
        Verb::End { id } => (admin.post(&path(&id, "/end")?, &json!({})).await?, |_| String::new()),
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
        wanted(
            &self.agent,
            &self.intent,
            self.ttl,
            &labels,
            if self.port { TaskPort::Wanted } else { TaskPort::Not },
        )
    }
}

/// Whether a task gets a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskPort {
    Not,
    Wanted,
}

/// The body of `POST /v1/tasks`.
pub(super) fn wanted(
    agent: &str,
    intent: &str,
    ttl: Option<Duration>,
    labels: &BTreeMap<String, String>,
    port: TaskPort,
) -> Value {
    let mut wanted =
        json!({"agent": agent, "intent": intent, "labels": labels, "port": port == TaskPort::Wanted});
    if let (Some(ttl), Some(fields)) = (ttl, wanted.as_object_mut()) {
        fields.insert("ttl_s".to_owned(), json!(ttl.as_secs()));
    }
    wanted
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

fn opened(task: &Value) -> String {
    let mut lines = format!(
        "task       {}\nproxy URL  {}\nexpires    {}\n",
        text(task, "id"),
        text(task, "proxy_url"),
        text(task, "expires_at")
    );
    if let Some(port) = task.get("port_url").and_then(Value::as_str) {
        let _ = writeln!(lines, "its port   {port}");
    }
    let _ = writeln!(lines, "CA         {}\nbundle     {}", text(task, "ca"), text(task, "ca_bundle"));
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
    for name in ["id", "state", "agent", "intent", "opened_at", "expires_at"] {
        if !text(task, name).is_empty() {
            let _ = writeln!(lines, "{:<11} {}", name.trim_end_matches("_at"), text(task, name));
        }
    }
    if let Some(ended) = task.get("ended") {
        let _ = writeln!(lines, "{:<11} {} ({})", "ended", text(ended, "at"), text(ended, "why"));
    }
    lines + "\n" + &summary::table(task, Paint::for_stdout())
}
