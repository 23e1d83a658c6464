//! `remit holds`, `remit approve` and `remit refuse`: the calls that wait for a person, and the votes on them.

pub(super) mod card;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::failure::Failure;
use super::find::NodeArguments;
use super::screen::{self, Paint};
use super::table::{Lean, Table};
use super::task::text;

/// The calls that wait for a person's approval; with an id, all of one
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit holds\n  remit holds 01ARZ3NDEKTSV4RRFFQ69G5FAV\n\n\
    Exit codes: 0 done, 1 no such hold, 2 wrong usage, 3 the node cannot be reached.")]
pub(super) struct Holds {
    /// Show this one: what would be sent, for whom, and what people said
    id: Option<String>,
    /// Also those that are decided
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    node: NodeArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Let a held call out, once
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit approve 01ARZ3NDEKTSV4RRFFQ69G5FAV --note 'agreed with ops'\n\n\
    Exit codes: 0 the vote counts, 1 it does not, or there is no such hold, 2 wrong usage, 3 the node cannot be reached.")]
pub(super) struct Approve {
    #[command(flatten)]
    vote: Vote,
}

/// Say no to a held call; the same call is refused from then on without asking
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit refuse 01ARZ3NDEKTSV4RRFFQ69G5FAV --note 'wrong repository'\n\n\
    Exit codes: 0 the vote counts, 1 it does not, or there is no such hold, 2 wrong usage, 3 the node cannot be reached.")]
pub(super) struct Refuse {
    #[command(flatten)]
    vote: Vote,
}

#[derive(Debug, clap::Args)]
struct Vote {
    /// The hold's id
    id: String,
    /// Why, for whoever reads the journal; of a refusal, the agent reads it too
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do not ask again on a terminal
    #[arg(long)]
    yes: bool,
    /// The digest that was looked at; the vote counts only if the hold is still for it [default: that of now]
    #[arg(long)]
    digest: Option<String>,
    #[command(flatten)]
    node: NodeArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn holds(arguments: Holds) -> Result<ExitCode, Failure> {
    let admin = arguments.node.admin()?;
    let answer = match &arguments.id {
        Some(id) => admin.get(&path(id, "")).await?,
        None if arguments.all => admin.get("/v1/holds?state=all").await?,
        None => admin.get("/v1/holds").await?,
    };
    if arguments.json {
        screen::print_json(&answer)?;
    } else if arguments.id.is_some() {
        screen::print(&card::shown(&answer, Paint::for_stdout()))?;
    } else {
        screen::print(&listed(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn approve(arguments: Approve) -> Result<ExitCode, Failure> {
    vote(arguments.vote, "approve").await
}

pub(super) async fn refuse(arguments: Refuse) -> Result<ExitCode, Failure> {
    vote(arguments.vote, "refuse").await
}

async fn vote(arguments: Vote, verb: &str) -> Result<ExitCode, Failure> {
    let admin = arguments.node.admin()?;
    let hold = admin.get(&path(&arguments.id, "")).await?;
    if !arguments.json {
        screen::tell(card::shown(&hold, Paint::for_stderr()).trim_end());
    }
    if !arguments.yes && io::stdin().is_terminal() && screen::stderr_is_terminal() && !is_sure(verb)? {
        return Err(Failure::found_wanting("no vote was cast".to_owned()));
    }
    let digest = arguments.digest.as_deref().unwrap_or_else(|| text(&hold, "digest"));
    let body = json!({ "digest": digest, "note": arguments.note });
    let answer = admin.post(&path(&arguments.id, verb), &body).await?;
    if arguments.json {
        screen::print_json(&answer)?;
    } else {
        screen::print(&outcome(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_sure(verb: &str) -> Result<bool, Failure> {
    screen::tell(&format!("{verb} it? [y/N]"));
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::found_wanting(format!("cannot read the answer: {error}")))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// An id may be anything that was typed; it must not become another path.
fn path(id: &str, verb: &str) -> String {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let slash = if verb.is_empty() { "" } else { "/" };
    format!("/v1/holds/{id}{slash}{verb}")
}

fn outcome(hold: &Value) -> String {
    let id = text(hold, "id");
    match text(hold, "state") {
        "approved" => format!("{id} is approved until {}; the call goes out once\n", text(hold, "until")),
        "refused" => format!("{id} is refused\n"),
        "waiting" => format!("your vote on {id} counts; still wanted: {}\n", card::wanted(hold, "missing")),
        other => format!("{id} is {other}\n"),
    }
}

fn listed(answer: &Value) -> String {
    let all: Vec<_> = answer.get("holds").and_then(Value::as_array).into_iter().flatten().collect();
    if all.is_empty() {
        return "no call waits for a person\n".to_owned();
    }
    let names = ["hold", "state", "what it would do", "agent", "wanted", "until"];
    let mut table = Table::new(&names.map(|name| (name, Lean::Left)));
    for hold in all {
        let cell = |name| text(hold, name).to_owned();
        let agent = cell("agent");
        let short = agent.rsplit('/').next().unwrap_or(&agent).to_owned();
        table.row(vec![
            cell("id"),
            cell("state"),
            cell("summary"),
            short,
            card::wanted(hold, "missing"),
            cell("until"),
        ]);
    }
    format!(
        "{}\n  remit holds ID shows what would be sent; remit approve ID, remit refuse ID\n",
        table.text()
    )
}
