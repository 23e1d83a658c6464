//! `remit agent`: who was seen, and who may do nothing.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Failure;
use super::find::NodeArguments;
use super::screen;
use super::table::{Lean, Table};
use super::task::text;

/// List agents, and put them into quarantine
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

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let admin = arguments.node.admin()?;
    let (answer, told): (Value, fn(&Value) -> String) = match arguments.verb {
        Verb::List => (admin.get("/v1/agents").await?, listed),
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
