//! Tokens that a provider answered an agent with: the agent holds placeholders, and the tokens stay here until they are redeemed,
//! their time is up, or their task is over.
//!
//! In memory alone. remit did not ask for them and cannot take them back, so they are no leases: no row, no outbox. A node that was
//! restarted does not know them any more, and says so.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use memchr::memmem;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::broker::Broker;
use super::examine::Misplaced;
use super::held::Held;
use super::inject::{InjectError, header};
use super::place::Spot;
use super::placeholder::{CAPTURED, Candidate, Placeholders, basic, is_captured};
use super::ports::LeaseError;
use super::possession::Possession;
use super::provider::Material;
use crate::call::{
    Entropy, Given, Head, Leak, LeaseId, Leased, Operations, ServiceName, Task, TaskId, Timestamp,
};

/// As many are kept of one task; the oldest gives way.
const OF_ONE_TASK: usize = 64;
/// As many are kept in all; then no more are taken.
const IN_ALL: usize = 4_096;
/// What calls that carry one name as their provider.
const PROVIDER: &str = "captured";

/// One token.
pub(super) struct Token {
    /// What the agent holds.
    pub(super) placeholder: String,
    pub(super) held: Arc<Held>,
    services: Arc<[ServiceName]>,
    until: Timestamp,
}

impl Token {
    /// A call that could be of several services is none that it is for.
    fn serves(&self, operations: &Operations) -> bool {
        operations.iter().all(|one| self.services.contains(&one.service))
    }

    /// What must not reach the agent.
    pub(super) fn leaks(&self) -> Vec<Leak> {
        match &self.held.material {
            Material::Token(secret) => {
                vec![Leak { secret: secret.clone(), instead: self.placeholder.clone() }]
            }
            _ => Vec::new(),
        }
    }

    /// Puts it where its placeholder stands.
    pub(super) fn put(&self, headers: &mut HeaderMap) -> Result<(), InjectError> {
        let (Some(shown), Material::Token(token)) = (Shown::of(headers), &self.held.material) else {
            return Ok(());
        };
        let token = token.reveal();
        let text = match shown.way {
            Way::Bare { scheme } => Zeroizing::new(format!("{scheme} {token}")),
            Way::User { password } => rendered(&Zeroizing::new(format!("{token}:{password}"))),
            Way::Password { user } => rendered(&Zeroizing::new(format!("{user}:{token}"))),
        };
        header(headers, &AUTHORIZATION, &text)
    }
}

/// RFC 7617.
fn rendered(pair: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("Basic {}", BASE64.encode(pair)))
}

/// The placeholder of a token where it may stand: as the whole credential of `Authorization`, the only one there.
struct Shown {
    placeholder: String,
    way: Way,
}

enum Way {
    Bare { scheme: String },
    User { password: String },
    Password { user: String },
}

impl Shown {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
        let credential = credential.trim();
        if ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            let way = Way::Bare { scheme: scheme.to_owned() };
            return is_captured(credential).then(|| Self { placeholder: credential.to_owned(), way });
        }
        let pair = String::from_utf8(basic(value.as_bytes())?.to_vec()).ok()?;
        let (user, password) = pair.split_once(':')?;
        let (user, password) = (user.to_owned(), password.to_owned());
        if is_captured(&password) {
            return Some(Self { placeholder: password, way: Way::Password { user } });
        }
        is_captured(&user).then_some(Self { placeholder: user, way: Way::User { password } })
    }
}

/// All that are kept.
#[derive(Default)]
pub(super) struct Captured(RwLock<HashMap<TaskId, VecDeque<Arc<Token>>>>);

impl Captured {
    fn find(&self, task: TaskId, now: Timestamp, is: impl Fn(&str) -> bool) -> Option<Arc<Token>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut of_task = all.get(&task)?.iter();
        of_task.find(|token| token.until > now && is(&token.placeholder)).cloned()
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
            let is_same = |token: &Arc<Token>| matches!(&token.held.material, Material::Token(known) if known.reveal() == one.token.reveal());
            if !tokens.iter().any(is_same) {
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
        let held = Held {
            id: LeaseId::fresh(&*self.ports.clock, &*self.ports.entropy),
            provider: PROVIDER.into(),
            material: Material::Token(given.token),
            minted: now,
            expires: Some(until),
            generation: 0,
            // Else nobody knows how long it works where it comes from.
            short_lived: given.expires.is_some(),
            possession: Possession::default(),
            beside: OnceLock::new(),
        };
        let placeholder = Placeholders::captured(task.id, drawn(&*self.ports.entropy));
        Token { placeholder, held: Arc::new(held), services, until }
    }

    /// What goes out to a server that answers with tokens, with the refresh token in the place of its placeholder; none: the call
    /// shows none. `Err`: what is shown cannot be redeemed there.
    pub fn refresh(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        task: TaskId,
        operations: &Operations,
    ) -> Result<Option<Refreshed>, LeaseError> {
        let Some(place) = refresh_token(headers, body) else { return Ok(None) };
        let shown = std::str::from_utf8(body.get(place.clone()).unwrap_or_default()).unwrap_or_default();
        let now = self.ports.clock.now();
        let found = self.captured.find(task, now, |placeholder| placeholder == shown);
        let gone = || LeaseError::Refused(format!("the token behind the placeholder {GONE}"));
        let token = found.filter(|token| token.serves(operations)).ok_or_else(gone)?;
        let Material::Token(secret) = &token.held.material else { return Ok(None) };
        let is_json = is_json(headers);
        let written = if is_json {
            let quoted = Zeroizing::new(serde_json::Value::String(secret.reveal().clone()).to_string());
            let within = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            Zeroizing::new(within.unwrap_or_default().to_owned())
        } else {
            Zeroizing::new(form_urlencoded::byte_serialize(secret.reveal().as_bytes()).collect::<String>())
        };
        // With room for all of it: what grows is copied and left behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(body.len() + written.len()));
        whole.extend_from_slice(body.get(..place.start).unwrap_or_default());
        whole.extend_from_slice(written.as_bytes());
        whole.extend_from_slice(body.get(place.end..).unwrap_or_default());
        Ok(Some(Refreshed { body: whole, lease: token.held.as_used(), leaks: token.leaks() }))
    }

    /// Whether a call shows the placeholder of a token.
    pub(super) fn shows_captured(head: &Head) -> bool {
        Shown::of(&head.headers).is_some()
    }

    /// The token whose placeholder a call shows.
    pub(super) fn redeem(
        &self,
        head: &Head,
        task: TaskId,
        operations: &Operations,
    ) -> Result<Option<Arc<Token>>, LeaseError> {
        let Some(shown) = Shown::of(&head.headers) else { return Ok(None) };
        let now = self.ports.clock.now();
        let found = self.captured.find(task, now, |placeholder| placeholder == shown.placeholder);
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
        let Some(token) = self.captured.find(task, now, |text| candidate.is_of(text)) else {
            return misplaced(format!("its token {GONE}"));
        };
        let Some((head, operations)) = seen else {
            return misplaced("messages hold no credentials".to_owned());
        };
        if !token.serves(operations) {
            let services: Vec<&str> = token.services.iter().map(|one| &*one.0).collect();
            return misplaced(format!("it is for calls to {} alone", services.join(", ")));
        }
        let shown = Shown::of(&head.headers).is_some_and(|shown| shown.placeholder == token.placeholder);
        if shown && spot == Spot::Header(&AUTHORIZATION) {
            return Ok(());
        }
        if let Spot::Refresh = spot {
            return Ok(());
        }
        misplaced(
            "it is redeemed in `authorization`, as Bearer, token or Basic, and as `refresh_token` where tokens are answered with"
                .to_owned(),
        )
    }
}

/// A refresh token that a call carries in its body.
pub struct Refreshed {
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// What the call tells of it.
    pub lease: Leased,
    /// What must not reach the agent.
    pub leaks: Vec<Leak>,
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Where in a form (RFC 6749 §6) or in a JSON object the placeholder of a refresh token stands, if it stands there once and nowhere
/// else in the body. Placeholders have no letter that either would spell otherwise.
pub(super) fn refresh_token(headers: &HeaderMap, body: &[u8]) -> Option<Range<usize>> {
    let mut found = memmem::find_iter(body, CAPTURED);
    let (start, None) = (found.next()?, found.next()) else { return None };
    let end = start
        + body.get(start..)?.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    is_captured(std::str::from_utf8(body.get(start..end)?).ok()?).then_some(())?;
    let (before, after) = (body.get(..start)?, body.get(end..)?);
    let stands = if is_json(headers) {
        let name = before.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
        name.ends_with(b"\"refresh_token\"") && after.starts_with(b"\"")
    } else {
        let name = before.strip_suffix(b"refresh_token=")?;
        (name.is_empty() || name.ends_with(b"&")) && (after.is_empty() || after.starts_with(b"&"))
    };
    stands.then_some(start..end)
}

const GONE: &str = "is not kept any more: its time is up, newer ones took its place, or the node was restarted; ask for a new one";

fn drawn(entropy: &dyn Entropy) -> u64 {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    let both = u128::from_be_bytes(bytes);
    u64::try_from((both >> 64) ^ (both & u128::from(u64::MAX))).unwrap_or_default()
}
