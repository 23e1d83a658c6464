//! Calls of the journal: searched, and one of them with the proof that it is in there.
//!
//! What is asked is what `remit audit query` asks, and what is told is what the journal has. The latest come first.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{Problem, Shared};
use crate::call::{CallId, Class, Decision, EntryId, TaskId, Timestamp};
use crate::record::proof::{self, Proof};
use crate::record::recent::{self, Extent, Page, Told};
use crate::record::{CallFacts, Filter, JournalError, What};

/// How many calls there are on a page unless another number is asked for.
const DEFAULT_LIMIT: usize = 100;
/// How many at most.
const MAX_LIMIT: usize = 1_000;
/// A search that takes longer gives back what it has, and says where to go on.
const PATIENCE: Duration = Duration::from_secs(3);

/// The query of `GET /v1/calls`. What is empty asks nothing.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    pub(super) agent: Option<String>,
    #[param(value_type = Option<TaskId>)]
    pub(super) task: Option<String>,
    #[param(value_type = Option<Class>)]
    pub(super) class: Option<String>,
    #[param(value_type = Option<Decision>)]
    pub(super) decision: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) host: Option<String>,
    #[param(value_type = Option<CallId>)]
    pub(super) call: Option<String>,
    /// RFC 3339, or how long ago: `1h30m`.
    pub(super) since: Option<String>,
    /// RFC 3339, or how long ago: `1h30m`.
    pub(super) until: Option<String>,
    /// Only calls that were opened before this entry: `next` of the page before.
    #[param(value_type = Option<u64>)]
    pub(super) before: Option<String>,
    /// How many at most; 100 if nothing is said, and never more than 1,000.
    #[param(value_type = Option<u64>)]
    pub(super) limit: Option<String>,
}

impl Wanted {
    /// What to look for and how much of it; a text that makes no sense is told, with what would.
    pub(super) fn parse(&self, now: Timestamp) -> Result<(Filter, Extent), Problem> {
        let text = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let number = |name: &str, text: Option<String>| {
            let parse = |text: String| text.parse::<u64>().map_err(|_| bad(name, &text, "a number"));
            text.map(parse).transpose()
        };
        let filter = Filter {
            agent: text(&self.agent),
            task: id("task", text(&self.task))?,
            class: word("class", text(&self.class), &Class::ALL, Class::as_str)?,
            decision: word("decision", text(&self.decision), &Decision::ALL, Decision::as_str)?,
            operation: text(&self.operation),
            host: text(&self.host),
            call: id("call", text(&self.call))?,
            since: time("since", text(&self.since), now)?,
            until: time("until", text(&self.until), now)?,
            ..Filter::default()
        };
        let limit = number("limit", text(&self.limit))?
            .map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(MAX_LIMIT));
        let before = number("before", text(&self.before))?.map(EntryId);
        Ok((filter, Extent { before, limit: limit.clamp(1, MAX_LIMIT), patience: PATIENCE }))
    }
}

fn bad(name: &str, text: &str, wanted: &str) -> Problem {
    let short: String = text.chars().take(80).collect();
    Problem::bad_request("bad_query", format!("`{name}`: `{short}` is not {wanted}"))
}

fn id<T: std::str::FromStr>(name: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|_| bad(name, &text, "an id: 26 letters and digits"))).transpose()
}

fn word<T: Copy>(
    name: &str,
    text: Option<String>,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<Option<T>, Problem> {
    let find = |text: String| {
        let names: Vec<_> = all.iter().map(|one| as_str(*one)).collect();
        all.iter()
            .copied()
            .find(|one| as_str(*one) == text)
            .ok_or_else(|| bad(name, &text, &format!("one of {}", names.join(", "))))
    };
    text.map(find).transpose()
}

/// RFC 3339, or how long ago.
fn time(name: &str, text: Option<String>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let parse = |text: String| {
        let wrong = || bad(name, &text, "a time: 2026-11-24T09:30:00Z, or 1h30m for that long ago");
        if let Some(ago) = ago(&text) {
            return Ok(Timestamp::from_unix_ns(now.unix_ns().saturating_sub(ago)));
        }
        let at: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        u64::try_from(at.as_nanosecond()).map(Timestamp::from_unix_ns).map_err(|_| wrong())
    };
    text.map(parse).transpose()
}

/// Nanoseconds in `1h30m`, `2d`, `7d12h`.
fn ago(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) => (days.trim().parse::<u64>().ok()?, rest.trim()),
        None => (0, text),
    };
    let rest = if rest.is_empty() && days > 0 { jiff::SignedDuration::ZERO } else { rest.parse().ok()? };
    let rest = u64::try_from(rest.as_nanos()).ok()?;
    Some(days.saturating_mul(86_400_000_000_000).saturating_add(rest))
}

/// A call in a listing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CallRow)]
pub(super) struct Row {
    pub(super) call: CallId,
    /// Where its opening stands.
    pub(super) entry: u64,
    pub(super) at: String,
    #[serde(skip)]
    pub(super) began: Timestamp,
    pub(super) agent: Option<String>,
    pub(super) task: Option<String>,
    pub(super) intent: Option<String>,
    /// The operation that names the call.
    pub(super) operation: Option<String>,
    pub(super) class: Option<Class>,
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    /// What became of it at the policies; a call that was refused before any was asked counts as denied.
    pub(super) decision: Decision,
    pub(super) end: End,
}

/// How a call stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CallEnd)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum End {
    /// It is on its way.
    Open,
    /// It was not let through.
    Refused { code: String },
    /// It is over.
    Ended {
        entry: u64,
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        duration_ns: u64,
    },
}

impl Row {
    pub(super) fn of(told: &Told) -> Option<Self> {
        let (facts, refused) = match &told.opening.what {
            What::Opened(facts) => (facts, false),
            What::Refused(facts) => (facts, true),
            _ => return None,
        };
        let end = match (&told.end, refused) {
            (_, true) => End::Refused {
                code: facts.refusal.as_ref().map(|refusal| refusal.code.clone()).unwrap_or_default(),
            },
            (None, false) => End::Open,
            (Some(end), false) => {
                let What::Closed(closed) = &end.0.what else { return None };
                End::Ended {
                    entry: end.0.seq.0,
                    outcome: closed.closing.outcome.as_str(),
                    status: closed.closing.status,
                    duration_ns: closed.closing.duration_ns,
                }
            }
        };
        Some(Self::new(facts, told.opening.seq, end))
    }

    fn new(facts: &CallFacts, entry: EntryId, end: End) -> Self {
        let strongest = facts.strongest();
        Self {
            call: facts.call,
            entry: entry.0,
            at: facts.began.to_string(),
            began: facts.began,
            agent: facts.agent.as_ref().map(ToString::to_string),
            task: facts.task.map(|task| task.to_string()),
            intent: facts.intent.as_ref().map(ToString::to_string),
            operation: strongest.map(|operation| operation.id.to_string()),
            class: strongest.map(|operation| operation.class),
            method: facts.http.method.to_string(),
            host: facts.http.host.clone(),
            path: facts.http.path.clone(),
            decision: decision_of(facts),
            end,
        }
    }
}

/// What became of a call at the policies.
pub(super) fn decision_of(facts: &CallFacts) -> Decision {
    match (facts.decision, &facts.refusal) {
        (Some(Decision::Allow), Some(_)) | (None, _) => Decision::Deny,
        (Some(decision), _) => decision,
    }
}

/// Searches the journal.
pub(super) async fn find(shared: &Shared, filter: Filter, extent: Extent) -> Result<Page, Problem> {
    blocking(shared, move |dir| recent::calls(dir, &filter, extent)).await
}

/// One call.
pub(super) async fn one(shared: &Shared, call: &str) -> Result<Told, Problem> {
    let short: String = call.chars().take(64).collect();
    let id: CallId = short.parse().map_err(|_| unknown(&short))?;
    let told = blocking(shared, move |dir| recent::one(dir, id)).await?;
    told.ok_or_else(|| unknown(&short))
}

fn unknown(call: &str) -> Problem {
    let detail =
        format!("the journal has no call `{call}`; its id is what the answer's `remit-call` field says");
    Problem::new(StatusCode::NOT_FOUND, "call_unknown", detail)
}

/// The proof of a call's entries.
pub(super) async fn proof(shared: &Shared, told: Told) -> Result<Option<Proof>, Problem> {
    blocking(shared, move |dir| proof::of(dir, &told)).await
}

async fn blocking<T: Send + 'static>(
    shared: &Shared,
    read: impl FnOnce(&std::path::Path) -> Result<T, JournalError> + Send + 'static,
) -> Result<T, Problem> {
    let dir = shared.rooms.node.facts().state_dir;
    let read = tokio::task::spawn_blocking(move || read(&dir)).await;
    let read = read.map_err(|error| Problem::unavailable("journal_unreadable", error.to_string()))?;
    read.map_err(|error| Problem::unavailable("journal_unreadable", error.to_string()))
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
pub(super) struct CallList {
    calls: Vec<Row>,
    /// `before` of the next page; null: there is none.
    next: Option<u64>,
}

/// `GET /v1/calls`, the latest first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<CallList>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let (filter, extent) = wanted.parse(shared.rooms.insight.now())?;
    let page = find(&shared, filter, extent).await?;
    let calls = page.calls.iter().filter_map(Row::of).collect();
    Ok(Json(CallList { calls, next: page.next.map(|entry| entry.0) }))
}

/// What the journal says of a call, and the proof that it does.
#[derive(Serialize, ToSchema)]
pub(super) struct CallShown {
    call: Option<Row>,
    /// The entries as they stand in the journal: its opening, and its end if it has come.
    entries: Vec<Value>,
    receipt: Receipt,
}

/// As `remit audit prove --json` has it, where anything is signed yet.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = CallReceipt)]
pub(super) enum Receipt {
    Proven {
        /// Whether all of the call's entries are under the checkpoint.
        signed: bool,
        /// The public key, as signed-note writes it.
        key: String,
        /// The signed checkpoint.
        checkpoint: String,
        entries: Vec<InclusionBody>,
        /// How many of its entries are younger than the checkpoint.
        unsigned: usize,
    },
    Unproven {
        signed: bool,
        why: &'static str,
    },
}

/// That an entry is under the checkpoint (RFC 6962 §2.1.1).
#[derive(Serialize, ToSchema)]
pub(super) struct InclusionBody {
    entry: u64,
    line: String,
    /// The hashes of its path, each in base64.
    proof: Vec<String>,
}

/// `GET /v1/calls/{id}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<CallShown>, Problem> {
    let told = one(&shared, &id).await?;
    let call = Row::of(&told);
    let raw = |line: &str| serde_json::from_str::<Value>(line).ok();
    let end = told.end.as_deref().and_then(|(_, line)| raw(line));
    let entries = raw(&told.line).into_iter().chain(end).collect();
    let receipt = Receipt::of(proof(&shared, told).await?);
    Ok(Json(CallShown { call, entries, receipt }))
}

impl Receipt {
    fn of(proof: Option<Proof>) -> Self {
        let Some(proof) = proof else {
            return Self::Unproven { signed: false, why: "nothing of this journal is signed yet" };
        };
        let entries = proof.inclusions.into_iter().map(|inclusion| InclusionBody {
            entry: inclusion.entry.0,
            line: inclusion.line,
            proof: inclusion.path.iter().map(|hash| BASE64.encode(hash)).collect(),
        });
        Self::Proven {
            signed: proof.unsigned == 0,
            key: proof.key,
            checkpoint: proof.note,
            entries: entries.collect(),
            unsigned: proof.unsigned,
        }
    }
}
