//! What Slack sends when somebody presses a button of remit's: a vote, if the signature holds and the member is an operator.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::notify::{NotSlack, Pressed, Slack};
use super::{MAX_BODY_BYTES, Problem, STEP_LIMIT, Shared, holds};
use crate::call::HoldState;
use crate::judge::hold::Ballot;

/// `POST /v1/slack/interactions`. Slack wants an answer within three seconds, and shows nothing of it.
pub(super) async fn press(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let read = tokio::time::timeout(STEP_LIMIT, axum::body::to_bytes(body, MAX_BODY_BYTES)).await;
    let body = read.ok().and_then(Result::ok);
    let body = body.ok_or_else(|| Problem::bad_request("bad_body", "the body is too long, or broke off"))?;
    // Of several, the one whose secret signed it.
    let mut why = NotSlack::NotWanted;
    for slack in &shared.rooms.slack {
        match slack.read(&headers, &body) {
            Ok(pressed) => {
                vote(&shared, slack, pressed).await;
                return Ok(StatusCode::OK);
            }
            Err(other) => why = other,
        }
    }
    tracing::warn!(%why, "a request to the place of Slack's buttons was refused");
    Err(refused(why))
}

async fn vote(shared: &Arc<Shared>, slack: &Arc<Slack>, pressed: Pressed) {
    let Pressed { who, hold, digest, approves, message } = pressed;
    let told = match shared.rooms.operators.named(&who) {
        None => Err(format!("`{who}` is no operator of this node; ask for an entry in [[operators]]")),
        Some(voter) => {
            let ballot = Ballot { hold, digest, approves, note: None };
            holds::cast(shared, ballot, voter).await.map_err(|problem| problem.detail().to_owned())
        }
    };
    let summary = shared.rooms.node.hold(hold).map(|(hold, card)| {
        card.does.first().map_or_else(|| hold.operation.to_string(), |deed| deed.sentence.clone())
    });
    let slack = slack.clone();
    // The vote is written; what Slack shows of it may take its time.
    tokio::spawn(async move {
        let shown = match told {
            Ok(hold) if hold.state == HoldState::Waiting => {
                let missing: Vec<_> =
                    hold.missing().iter().map(|(group, votes)| format!("{votes} of {group}")).collect();
                slack
                    .whisper(&message, &format!("Your vote counts. Still wanted: {}", missing.join(", ")))
                    .await
            }
            Ok(hold) => slack.settle(&message, &hold, &summary.unwrap_or_default()).await,
            Err(why) => slack.whisper(&message, &why).await,
        };
        if let Err(error) = shown {
            tracing::warn!(%error, "what became of a vote is not shown in Slack");
        }
    });
}

fn refused(why: NotSlack) -> Problem {
    let (status, code) = match why {
        NotSlack::NotWanted => (StatusCode::NOT_FOUND, "not_found"),
        NotSlack::Signature | NotSlack::Stale => (StatusCode::UNAUTHORIZED, "bad_signature"),
        NotSlack::Unknown => (StatusCode::BAD_REQUEST, "bad_press"),
    };
    Problem::new(status, code, why.to_string())
}
