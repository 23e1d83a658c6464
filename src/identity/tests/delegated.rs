//! What a task's token says of a delegation, and how long it says it.

use super::*;
use crate::call::{Binding, Subject, Terms};

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn spiffe(name: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org/agent/{name}")).unwrap()
}

fn agent_of(claim: Claim) -> SpiffeId {
    let Claim::Token { agent, .. } = claim else { panic!("{claim:?}") };
    agent
}

#[test]
fn the_outermost_actor_acts_and_the_rest_is_evidence() {
    let stand = stand();
    let mut task = stand.task();
    task.agent = spiffe("third");
    task.terms = Terms { actors: vec![spiffe("second"), spiffe("first")], ..Terms::default() };
    let token = stand.tokens.issue(&task).unwrap().token;
    let said = payload(token.reveal());
    assert_eq!(said["sub"], "spiffe://example.org/agent/first");
    // RFC 8693 §4.1, figure 6: the nested actor is the prior one.
    let expected = json!({
        "sub": "spiffe://example.org/agent/third",
        "act": {"sub": "spiffe://example.org/agent/second"},
    });
    assert_eq!(said["act"], expected);
    assert_eq!(agent_of(stand.tokens.verify(token.reveal()).unwrap()), spiffe("third"));

    task.terms.on_behalf_of = Some(Subject::parse("user:ada").unwrap());
    let token = stand.tokens.issue(&task).unwrap().token;
    let said = payload(token.reveal());
    assert_eq!(said["sub"], "user:ada");
    assert_eq!(said["act"]["act"]["act"]["sub"], "spiffe://example.org/agent/first");
    assert_eq!(agent_of(stand.tokens.verify(token.reveal()).unwrap()), spiffe("third"));
}

#[test]
fn a_subject_that_is_no_agent_does_not_act() {
    let stand = stand();
    let token = stand.with_claim("sub", json!("user:ada"));
    assert!(matches!(stand.refusal(&token), TokenError::Malformed { .. }));
    let token = stand.with_claim("act", json!({"sub": "user:ada"}));
    assert!(matches!(stand.refusal(&token), TokenError::Malformed { .. }));
    let token = stand.with_claim("cnf", json!({"jkt": "x"}));
    assert!(
        matches!(stand.refusal(&token), TokenError::Malformed { .. }),
        "an unknown binding is not passed over"
    );
}

#[test]
fn a_token_lives_a_quarter_of_an_hour_and_no_longer_than_its_task() {
    let stand = stand();
    let mut task = stand.task();
    task.deadline = stand.world.now().plus(Duration::from_secs(8 * 3600));
    let issued = stand.tokens.issue(&task).unwrap();
    assert_eq!(issued.expires, stand.world.now().plus(DEFAULT_LIFE));
    stand.world.set_s(START_S + 900);
    assert!(matches!(stand.refusal(issued.token.reveal()), TokenError::Expired { .. }));
    task.deadline = stand.world.now().plus(Duration::from_secs(60));
    assert_eq!(stand.tokens.issue(&task).unwrap().expires, task.deadline);
}

#[test]
fn a_renewed_token_holds_as_long_as_somebody_asks() {
    let stand = stand();
    let mut task = stand.task();
    task.deadline = stand.world.now().plus(Duration::from_secs(2_000));
    let (one, other) = (stand.tokens.issue(&task).unwrap().token, stand.tokens.issue(&task).unwrap().token);
    stand.world.set_s(START_S + 600);
    let until = stand.tokens.renew(&task, one.reveal()).unwrap();
    assert_eq!(until, stand.world.now().plus(DEFAULT_LIFE));
    stand.world.set_s(START_S + 1_499);
    stand.tokens.verify(one.reveal()).unwrap();
    assert!(matches!(stand.refusal(other.reveal()), TokenError::Expired { .. }), "the other was not renewed");
    assert_eq!(stand.tokens.renew(&task, one.reveal()).unwrap(), task.deadline, "never beyond the task");
    stand.world.set_s(START_S + 2_000);
    assert!(matches!(stand.refusal(one.reveal()), TokenError::Expired { .. }));
    let mut another = stand.task();
    another.id = TaskId::fresh(&*stand.world, &*stand.world);
    assert!(stand.tokens.renew(&another, one.reveal()).is_err(), "it is not that task's");
    assert!(stand.tokens.renew(&task, "a.b.c").is_err());
}

#[test]
fn a_bound_token_is_worth_nothing_from_elsewhere() {
    let stand = stand();
    let mut task = stand.task();
    task.terms.binding = Binding::X509Svid;
    let token = stand.tokens.issue(&task).unwrap().token;
    let identity = stand.identity(None);
    let refused = identity.attribute(&presented(Entrance::Proxy, Some(token.reveal())));
    assert_eq!(refused, Err(IdentityError::Unbound));
}
