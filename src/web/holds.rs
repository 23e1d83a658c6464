//! Holds: listed, shown with what would be sent, and voted on.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, extract::rejection::QueryRejection};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::tasks::{read_json, to_the_end};
use super::{NotVoted, Problem, STEP_LIMIT, Shared};
use crate::call::id::NotAnId;
use crate::call::{
    CallDigest, CallId, Card, Class, Hold, HoldId, HoldState, OperationId, Operator, OperatorId, PolicyId,
    SpiffeId, TaskId,
};
use crate::judge::hold::{Ballot, NoVote};

/// The longest note that comes with a vote, characters.
const NOTE_CHARS: usize = 500;

/// The query of `GET /v1/holds`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Those that wait, if nothing is said; `all`; or one state.
    #[param(pattern = "^(all|waiting|approved|refused|expired|spent|void)$")]
    state: Option<String>,
    task: Option<TaskId>,
}

/// A hold as JSON.
#[derive(Serialize, ToSchema)]
pub(super) struct HoldBody<'a> {
    id: HoldId,
    state: &'static str,
    since: String,
    digest: CallDigest,
    /// What it would do first, in a sentence.
    summary: &'a str,
    operation: &'a OperationId,
    class: Class,
    agent: &'a SpiffeId,
    task: TaskId,
    call: CallId,
    /// How many calls were held for it.
    asks: u64,
    policies: &'a [PolicyId],
    /// How many people of which groups have to approve.
    #[schema(value_type = BTreeMap<String, u32>)]
    wants: &'a BTreeMap<Arc<str>, u32>,
    /// How many are still wanted.
    #[schema(value_type = BTreeMap<String, u32>)]
    missing: BTreeMap<&'a Arc<str>, u32>,
    asked_at: String,
    /// Until when people are asked; of an approved one, until when that is good.
    until: String,
    votes: Vec<VoteBody<'a>>,
    /// The call that went out with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    spent_by: Option<CallId>,
    /// Why there is nothing to approve any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    /// What people are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<&'a Card>,
}

/// One vote as JSON.
#[derive(Serialize, ToSchema)]
pub(super) struct VoteBody<'a> {
    by: &'a OperatorId,
    at: String,
    approves: bool,
    #[schema(value_type = Vec<String>)]
    groups: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// Holds.
#[derive(Serialize, ToSchema)]
pub(super) struct HoldList<'a> {
    holds: Vec<HoldBody<'a>>,
}

/// `GET /v1/holds`, oldest first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Filter { state, task }) =
        filter.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let state = state.as_deref().unwrap_or("waiting");
    if state != "all" && !HoldState::NAMES.contains(&state) {
        let detail = format!("`state` is one of {}, or `all`", HoldState::NAMES.join(", "));
        return Err(Problem::bad_request("bad_query", detail));
    }
    let wanted = |hold: &Hold| {
        (state == "all" || hold.state.as_str() == state) && task.is_none_or(|task| hold.task == task)
    };
    let holds = shared.rooms.node.holds();
    let shown: Vec<_> = holds
        .iter()
        .filter(|(hold, _)| wanted(hold))
        .map(|(hold, card)| body_of(hold, card, Whole::No))
        .collect();
    Ok(Json(HoldList { holds: shown }).into_response())
}

/// `GET /v1/holds/{id}`, with its card.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (hold, card) = find(&shared, &id)?;
    Ok(Json(body_of(&hold, &card.for_show(), Whole::Yes)).into_response())
}

/// One hold, with what people are shown of it.
pub(super) fn find(shared: &Shared, id: &str) -> Result<(Arc<Hold>, Arc<Card>), Problem> {
    let id = parse(id)?;
    shared.rooms.node.hold(id).ok_or_else(|| unknown(NoVote::Unknown(id).to_string()))
}

/// The body of a vote.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cast {
    /// What the voter saw.
    digest: CallDigest,
    #[serde(default)]
    note: Option<String>,
}

/// `POST /v1/holds/{id}/approve`.
pub(super) async fn approve(
    State(shared): State<Arc<Shared>>,
    Extension(voter): Extension<Operator>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    vote(shared, voter, &id, true, read_json(&headers, body).await?).await
}

/// `POST /v1/holds/{id}/refuse`.
pub(super) async fn refuse(
    State(shared): State<Arc<Shared>>,
    Extension(voter): Extension<Operator>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    vote(shared, voter, &id, false, read_json(&headers, body).await?).await
}

async fn vote(
    shared: Arc<Shared>,
    voter: Operator,
    id: &str,
    approves: bool,
    Cast { digest, note }: Cast,
) -> Result<Response, Problem> {
    let hold = parse(id)?;
    let note = note.filter(|note| !note.trim().is_empty());
    if note.as_deref().is_some_and(|note| note.chars().count() > NOTE_CHARS) {
        let detail = format!("a note has at most {NOTE_CHARS} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_note", detail));
    }
    to_the_end(async move {
        let ballot = Ballot { hold, digest, approves, note: note.map(Into::into) };
        let hold = cast(&shared, ballot, voter).await?;
        let card = shared.rooms.node.hold(hold.id).map(|(_, card)| card).unwrap_or_default();
        Ok(Json(body_of(&hold, &card, Whole::No)).into_response())
    })
    .await
}

/// Casts a vote, and waits until it is written down.
pub(super) async fn cast(shared: &Shared, ballot: Ballot, voter: Operator) -> Result<Arc<Hold>, Problem> {
    let cast = shared.rooms.node.vote(ballot, voter);
    let done = tokio::time::timeout(STEP_LIMIT, cast).await;
    let late = || NotVoted::Unavailable(format!("it took longer than {} s", STEP_LIMIT.as_secs()));
    done.unwrap_or_else(|_| Err(late())).map_err(Problem::from)
}

impl From<NotVoted> for Problem {
    fn from(error: NotVoted) -> Self {
        let detail = error.to_string();
        let (status, code) = match error {
            NotVoted::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "holds_unavailable"),
            NotVoted::Refused(why) => match why {
                NoVote::Barred(_) => (StatusCode::FORBIDDEN, "voter_barred"),
                NoVote::Decided { .. } => (StatusCode::CONFLICT, "hold_decided"),
                NoVote::OtherDigest(_) => (StatusCode::CONFLICT, "other_digest"),
                NoVote::OtherRules(_) => (StatusCode::CONFLICT, "other_rules"),
                NoVote::Stranger { .. } => (StatusCode::FORBIDDEN, "not_in_group"),
                NoVote::Twice { .. } => (StatusCode::CONFLICT, "voted_already"),
                NoVote::Unknown(_) => (StatusCode::NOT_FOUND, "hold_unknown"),
                NoVote::WrongRole(_) => (StatusCode::FORBIDDEN, "wrong_role"),
            },
        };
        Self::new(status, code, detail)
    }
}

/// Whether the card is shown too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    No,
    Yes,
}

fn body_of<'a>(hold: &'a Hold, card: &'a Card, whole: Whole) -> HoldBody<'a> {
    let (mut until, mut spent_by, mut why) = (hold.until, None, None);
    match &hold.state {
        HoldState::Approved { until: good } => until = *good,
        HoldState::Spent { call } => spent_by = Some(*call),
        HoldState::Void { why: text } => why = Some(&**text),
        HoldState::Expired | HoldState::Refused | HoldState::Waiting => {}
    }
    let vote = |vote: &'a crate::call::Vote| VoteBody {
        by: &vote.by,
        at: vote.at.to_string(),
        approves: vote.approves,
        groups: &vote.groups,
        note: vote.note.as_deref(),
    };
    HoldBody {
        id: hold.id,
        state: hold.state.as_str(),
        since: hold.since.to_string(),
        digest: hold.digest,
        summary: card.does.first().map_or(&*hold.operation.0, |deed| &deed.sentence),
        operation: &hold.operation,
        class: hold.class,
        agent: &hold.agent,
        task: hold.task,
        call: hold.call,
        asks: hold.asks,
        policies: &hold.policies,
        wants: &hold.wants,
        missing: if hold.state == HoldState::Waiting { hold.missing() } else { BTreeMap::new() },
        asked_at: hold.asked.to_string(),
        until: until.to_string(),
        votes: hold.votes.iter().map(vote).collect(),
        spent_by,
        why,
        card: (whole == Whole::Yes).then_some(card),
    }
}

fn parse(id: &str) -> Result<HoldId, Problem> {
    let short: String = id.chars().take(64).collect();
    short.parse().map_err(|error: NotAnId| unknown(error.to_string()))
}

fn unknown(detail: String) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "hold_unknown", detail)
}
