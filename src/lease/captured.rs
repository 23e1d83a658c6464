//! Tokens that a provider answered an agent with: the agent holds placeholders, and the tokens stay here until they are redeemed,
//! their time is up, or their task is over.
//!
//! In memory alone. remit did not ask for them and cannot take them back, so they are no leases: no row, no outbox. A node that was
//! restarted does not know them any more, and says so.

mod refresh;
mod shown;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use self::shown::Shown;
use super::broker::Broker;
use super::examine::Misplaced;
use super::held::Held;
use super::place::Spot;
use super::placeholder::{Candidate, Placeholders, is_captured};
use super::ports::LeaseError;
use super::possession::Possession;
use super::provider::Material;
use crate::call::{
    Entropy, Given, Handout, Head, Leak, LeaseId, Operations, Secret, ServiceName, Task, TaskId, Timestamp,
};

pub use refresh::Refreshed;
pub(super) use refresh::refresh_token;

/// As many are kept of one task; the oldest gives way.
const OF_ONE_TASK: usize = 64;
/// As many are kept in all; then no more are taken.
const IN_ALL: usize = 4_096;
/// What calls that carry one name as their provider.
const PROVIDER: &str = "captured";

/// One token, or one key of AWS's.
pub(super) struct Token {
    instead: StandIn,
    pub(super) held: Arc<Held>,
    services: Arc<[ServiceName]>,
    until: Timestamp,
}

/// What the agent holds.
enum StandIn {
    Token(String),
    /// The agent signs with the secret, so calls show the others alone.
    Key {
        id: String,
        secret: String,
        session: Option<String>,
    },
}

impl Token {
    /// A call that could be of several services is none that it is for.
    fn serves(&self, operations: &Operations) -> bool {
        operations.iter().all(|one| self.services.contains(&one.service))
    }

    /// Whether it is this very one.
    fn is(&self, what: &Handout) -> bool {
        match (&self.held.material, what) {
            (Material::Token(known), Handout::Token(token)) => known.reveal() == token.reveal(),
            (Material::Aws { secret_access_key: known, .. }, Handout::AwsKey { secret, .. }) => {
                known.reveal() == secret.reveal()
            }
            _ => false,
        }
    }

    /// Whether a candidate is of what the agent holds of it and shows.
    fn shows(&self, candidate: Candidate<'_>) -> bool {
        match &self.instead {
            StandIn::Token(placeholder) => candidate.is_of(placeholder),
            StandIn::Key { id, session, .. } => {
                candidate.is_of(id) || session.as_ref().is_some_and(|session| candidate.is_of(session))
            }
        }
    }

    /// Whether a candidate is of what nobody ever has to send.
    fn keeps(&self, candidate: Candidate<'_>) -> bool {
        matches!(&self.instead, StandIn::Key { secret, .. } if candidate.is_of(secret))
    }

    /// Whether it signs, and stays here.
    pub(super) fn signs(&self) -> bool {
        matches!(self.instead, StandIn::Key { .. })
    }

    /// What must not reach the agent.
    pub(super) fn leaks(&self) -> Vec<Leak> {
        let leak = |secret: &Secret<String>, instead: &String| Leak {
            secret: secret.clone(),
            instead: instead.clone(),
        };
        match (&self.instead, &self.held.material) {
            (StandIn::Token(placeholder), Material::Token(token)) => vec![leak(token, placeholder)],
            (
                StandIn::Key { id, secret, session },
                Material::Aws { access_key_id, secret_access_key, session_token },
            ) => {
                // The id is no secret, and is what the agent has to show to have this key.
                let id = leak(&Secret::new(access_key_id.clone()), id);
                let session = session_token.as_ref().zip(session.as_ref());
                let session = session.map(|(token, instead)| leak(token, instead));
                [id, leak(secret_access_key, secret)].into_iter().chain(session).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// All that are kept.
#[derive(Default)]
pub(super) struct Captured(RwLock<HashMap<TaskId, VecDeque<Arc<Token>>>>);

impl Captured {
    fn find(&self, task: TaskId, now: Timestamp, is: impl Fn(&Token) -> bool) -> Option<Arc<Token>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut of_task = all.get(&task)?.iter();
        of_task.find(|token| token.until > now && is(token)).cloned()
    }

    fn keep(&self, task: TaskId, tokens: Vec<Arc<Token>>, now: Timestamp) -> Result<(), LeaseError> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, of_task| {
            of_task.retain(|token| token.until > now);
            !of_task.is_empty()
        });
        let kept: usize = all.values().map(VecDeque::len).sum();
        let full = |limit| LeaseError::Refused(format!("more than {limit} tokens would be kept"));
        if tokens.len() > OF_ONE_TASK {
            return Err(full(OF_ONE_TASK));
        }
        if kept + tokens.len() > IN_ALL {
            return Err(full(IN_ALL));
        }
        let of_task = all.entry(task).or_default();
        of_task.extend(tokens);
        while of_task.len() > OF_ONE_TASK {
            of_task.pop_front();
        }
        Ok(())
    }

    /// A task is over.
    pub(super) fn end(&self, task: TaskId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&task);
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.read().unwrap().values().map(VecDeque::len).sum()
    }
}

impl Broker {
    /// Keeps the tokens that a provider answered a call of `task` with, for calls of the same task to `services`. What is to stand
    /// in the answer in their place comes back.
    pub fn capture(
        self: &Arc<Self>,
        task: &Task,
        services: &[ServiceName],
        given: Vec<Given>,
    ) -> Result<Vec<Leak>, LeaseError> {
        let of = self.of_task(task)?;
        let (services, now): (Arc<[ServiceName]>, _) = (services.into(), self.ports.clock.now());
        let mut tokens: Vec<Arc<Token>> = Vec::new();
        for one in given {
            if !tokens.iter().any(|token| token.is(&one.what)) {
                tokens.push(Arc::new(self.token(task, services.clone(), one, now)));
            }
        }
        let leaks = tokens.iter().flat_map(|token| token.leaks()).collect();
        self.captured.keep(task.id, tokens, now)?;
        // It may have ended in between, and then nobody would come to drop them.
        if of.is_over() {
            self.captured.end(task.id);
            return Err(LeaseError::Ended);
        }
        Ok(leaks)
    }

    fn token(&self, task: &Task, services: Arc<[ServiceName]>, given: Given, now: Timestamp) -> Token {
        let until = given.expires.map_or(task.deadline, |end| end.min(task.deadline));
        let number = || drawn(&*self.ports.entropy);
        let placeholder = || Placeholders::captured(task.id, number());
        let (instead, material) = match given.what {
            Handout::Token(token) => (StandIn::Token(placeholder()), Material::Token(token)),
            Handout::AwsKey { id: access_key_id, secret: secret_access_key, session: session_token } => {
                let session = session_token.as_ref().map(|_| placeholder());
                let id = Placeholders::captured_key(number());
                (
                    StandIn::Key { id, secret: placeholder(), session },
                    Material::Aws { access_key_id, secret_access_key, session_token },
                )
            }
        };
        let held = Held {
            id: LeaseId::fresh(&*self.ports.clock, &*self.ports.entropy),
            provider: PROVIDER.into(),
            material,
            minted: now,
            expires: Some(until),
            generation: 0,
            // Else nobody knows how long it works where it comes from.
            short_lived: given.expires.is_some(),
            possession: Possession::default(),
            beside: OnceLock::new(),
        };
        Token { instead, held: Arc::new(held), services, until }
    }

    /// Whether a call shows the placeholder of a token.
    pub(super) fn shows_captured(head: &Head) -> bool {
        Shown::of(&head.headers, &head.target).is_some()
    }

    /// The token whose placeholder a call shows.
    pub(super) fn redeem(
        &self,
        head: &Head,
        task: TaskId,
        operations: &Operations,
    ) -> Result<Option<Arc<Token>>, LeaseError> {
        let Some(shown) = Shown::of(&head.headers, &head.target) else { return Ok(None) };
        let now = self.ports.clock.now();
        let found = self.captured.find(task, now, |token| shown.is_of(token));
        // It was looked at before the call was judged, and may have ended since.
        let gone = || LeaseError::Refused(format!("the token behind the placeholder {GONE}"));
        found.filter(|token| token.serves(operations)).map(Some).ok_or_else(gone)
    }

    /// Whether the placeholder of a token stands where it may. Without a head it does not.
    pub(super) fn check_captured(
        &self,
        candidate: Candidate<'_>,
        spot: Spot<'_>,
        task: TaskId,
        seen: Option<(&Head, &Operations)>,
    ) -> Result<(), Misplaced> {
        let what = "the placeholder of a token that a service answered with";
        let misplaced = |may: String| Err(Misplaced::new(what, spot, may));
        if let Some(other) = candidate.task().filter(|other| *other != task) {
            return misplaced(format!("it is of task {other}, and this call is of another task"));
        }
        let now = self.ports.clock.now();
        let is = |token: &Token| token.shows(candidate) || token.keeps(candidate);
        let Some(token) = self.captured.find(task, now, is) else {
            return misplaced(format!("its token {GONE}"));
        };
        let Some((head, operations)) = seen else {
            return misplaced("messages hold no credentials".to_owned());
        };
        if !token.serves(operations) {
            let services: Vec<&str> = token.services.iter().map(|one| &*one.0).collect();
            return misplaced(format!("it is for calls to {} alone", services.join(", ")));
        }
        if token.keeps(candidate) {
            return misplaced("it is the secret of a key, to sign with and never to be sent".to_owned());
        }
        let shown = Shown::of(&head.headers, &head.target).filter(|shown| shown.is_of(&token));
        if shown.is_some_and(|shown| shown.covers(spot)) || (spot == Spot::Refresh && !token.signs()) {
            return Ok(());
        }
        let may = if token.signs() {
            "it is redeemed in the signature of a request (AWS version 4 or 4a), with its session token beside it"
        } else {
            "it is redeemed in `authorization`, as Bearer, token or Basic, and as `refresh_token` where tokens are answered with"
        };
        misplaced(may.to_owned())
    }
}

const GONE: &str = "is not kept any more: its time is up, newer ones took its place, or the node was restarted; ask for a new one";

fn drawn(entropy: &dyn Entropy) -> u64 {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    let both = u128::from_be_bytes(bytes);
    u64::try_from((both >> 64) ^ (both & u128::from(u64::MAX))).unwrap_or_default()
}
