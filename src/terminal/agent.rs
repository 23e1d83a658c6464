//! `remit agent`: who was put down, who was seen, and who may do nothing.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::arguments;
use super::failure::Failure;
use super::find::NodeArguments;
use super::screen;
use super::table::{Lean, Table};
use super::task::text;

/// List and register agents, and put them into quarantine
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit agent list\n\n\
    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached.")]
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
    /// List the agents that were put down and those that were seen
    #[command(
        after_help = "Example:\n  remit agent list --json\n\nExit codes: 0 done, 2 wrong usage, 3 the node cannot be reached."
    )]
    List,
    /// Put down what an agent is and who answers for it; what was registered before is replaced
    #[command(
        after_help = "Example:\n  remit agent register coder --owner team-a --environment staging\n\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached."
    )]
    Register(Box<Registration>),
    /// Take back what was registered; tasks go on
    #[command(
        after_help = "Example:\n  remit agent forget coder\n\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached."
    )]
    Forget {
        /// A SPIFFE ID, or a short name in the node's trust domain
        id: String,
    },
    /// End every task that an agent has a part in, and let it do nothing until it is released
    #[command(
        after_help = "Example:\n  remit agent quarantine coder\n\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached."
    )]
    Quarantine {
        /// A SPIFFE ID, or a short name in the node's trust domain
        id: String,
    },
    /// Let an agent out of quarantine; its tasks stay ended
    #[command(
        after_help = "Example:\n  remit agent release coder\n\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached."
    )]
    Release {
        /// A SPIFFE ID, or a short name in the node's trust domain
        id: String,
    },
}

/// What `remit agent register` takes: what `[[agents]]` says in the configuration.
#[derive(Debug, clap::Args)]
struct Registration {
    /// A SPIFFE ID, or a short name in the node's trust domain
    id: String,
    /// Who answers for it
    #[arg(long, default_value = "")]
    owner: String,
    /// Whether it decides for itself what it does, or does the same few things each time
    #[arg(long, default_value = "agent", value_parser = ["agent", "integration"])]
    kind: String,
    /// Where it runs, such as `production`
    #[arg(long, default_value = "")]
    environment: String,
    /// What it is there for
    #[arg(long, default_value = "")]
    purpose: String,
    /// Words of your own, visible to policies; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = arguments::label)]
    labels: Vec<(String, String)>,
    /// What its tokens have to come with
    #[arg(long, default_value = "none", value_parser = ["none", "x509-svid"])]
    bind_tokens: String,
    /// Integrations: how long it is watched before other operations count as drift [default: 7 days]
    #[arg(long, value_name = "DURATION", value_parser = arguments::duration)]
    learning: Option<Duration>,
    /// Integrations: an operation of its fixed set; may be repeated
    #[arg(long = "operation", value_name = "NAME")]
    operations: Vec<String>,
    /// A host where other agents invoke it; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The node that it works behind (`self`: this one)
    #[arg(long, value_name = "NODE")]
    behind: Option<String>,
    /// Behind another node: percent of what is left of a budget that goes with a task [default: 50]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    lends_percent: Option<u8>,
}

impl Registration {
    fn body(&self) -> Value {
        let labels: BTreeMap<&str, &str> =
            self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        json!({
            "agent": self.id,
            "owner": self.owner,
            "kind": self.kind,
            "environment": self.environment,
            "purpose": self.purpose,
            "labels": labels,
            "bind_tokens": self.bind_tokens,
            "learning_s": self.learning.map(|learning| learning.as_secs()),
            "operations": self.operations,
            "hosts": self.hosts,
            "behind": self.behind,
            "lends_percent": self.lends_percent,
        })
    }
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let admin = arguments.node.admin()?;
    let (answer, told): (Value, fn(&Value) -> String) = match arguments.verb {
        Verb::List => (admin.get("/v1/agents").await?, listed),
        Verb::Register(registration) => (admin.post("/v1/agents", &registration.body()).await?, |answer| {
            format!("{} is registered\n", text(answer, "agent"))
        }),
        Verb::Forget { id } => (admin.post("/v1/agents/forget", &json!({ "agent": id })).await?, |answer| {
            format!("{} is registered no more\n", text(answer, "agent"))
        }),
        Verb::Quarantine { id } => {
            (admin.post("/v1/agents/quarantine", &json!({ "agent": id })).await?, |answer| {
                format!("{} is in quarantine; tasks ended: {}\n", text(answer, "agent"), answer["ended"])
            })
        }
        Verb::Release { id } => {
            (admin.post("/v1/agents/release", &json!({ "agent": id })).await?, |answer| {
                format!("{} may work again\n", text(answer, "agent"))
            })
        }
    };
    if arguments.json {
        screen::print_json(&answer)?;
    } else {
        screen::print(&told(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(answer: &Value) -> String {
    let names = ["agent", "registered", "kind", "owner", "environment", "last call"];
    let mut table = Table::new(&names.map(|name| (name, Lean::Left)));
    for agent in answer.get("agents").and_then(Value::as_array).into_iter().flatten() {
        let flag = |name: &str| agent.get(name).and_then(Value::as_bool).unwrap_or_default();
        let state = match (flag("quarantined"), flag("registered")) {
            (true, _) => "quarantined",
            (false, true) => "yes",
            (false, false) => "no",
        };
        let column = |name| text(agent, name).to_owned();
        table.row(vec![
            column("id"),
            state.to_owned(),
            column("kind"),
            column("owner"),
            column("environment"),
            column("last_call_at"),
        ]);
    }
    table.text()
}
