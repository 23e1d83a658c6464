//! What a call gets to see of a lease: enough to carry its credential, and to keep it from the agent.

use std::any::Any;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use super::broker::Broker;
use super::captured::Token;
use super::entry::Entry;
use super::held::Held;
use super::hmac;
use super::inject::{self, InjectError, Outgoing};
use super::place::Place;
use super::ports::LeaseError;
use super::provider::Material;
use super::rejected;
use super::sign::{self, Payload, Sent};
use crate::call::hmac::HmacScheme;
use crate::call::{Head, Leak, Lease, Leased, Operations, Origin, Secret, Task, TaskId};

/// A credential for one call.
pub struct Grip {
    broker: Arc<Broker>,
    held: Arc<Held>,
    from: Source,
    task: TaskId,
}

/// Where it comes from.
enum Source {
    /// It is a lease of this entry.
    Entry(usize),
    /// A service answered the agent with it.
    Captured(Arc<Token>),
}

impl Broker {
    /// The credential for a call, minted at the first need; none: no entry serves the call, and it goes out as the agent sent it.
    /// Where a call shows the placeholder of a token, its agent has chosen that one.
    pub async fn grip(
        self: &Arc<Self>,
        head: &Head,
        task: &Arc<Task>,
        operations: &Operations,
    ) -> Result<Option<Grip>, LeaseError> {
        if let Some(token) = self.redeem(head, task.id, operations)? {
            let taken = token.held.clone();
            return Ok(Some(Grip {
                broker: self.clone(),
                held: taken,
                from: Source::Captured(token),
                task: task.id,
            }));
        }
        let Some(entry) = self.entry_for(head, operations) else { return Ok(None) };
        let taken = self.take(entry, task, operations).await?;
        Ok(Some(Grip { broker: self.clone(), held: taken, from: Source::Entry(entry), task: task.id }))
    }

    /// Whether a call is one that an entry serves, or shows the placeholder of a token.
    pub fn serves(&self, head: &Head, operations: &Operations) -> bool {
        Self::shows_captured(head) || self.entry_for(head, operations).is_some()
    }

    /// Whether a call that policies would refuse, and that goes on because they are only observed, gets no credential.
    pub fn withholds(&self, head: &Head, operations: &Operations) -> bool {
        let entry = self.entry_for(head, operations).and_then(|at| self.entries.get(at));
        !Self::shows_captured(head) && entry.is_some_and(|entry| !entry.observed)
    }

    /// The leases that are known, oldest first; those of one task, if one is named.
    pub fn leases(&self, task: Option<TaskId>) -> Vec<Lease> {
        self.lock().list(task)
    }
}

impl Grip {
    fn entry(&self) -> Option<&Entry> {
        match self.from {
            Source::Entry(at) => self.broker.entries.get(at),
            Source::Captured(_) => None,
        }
    }

    /// What the call tells of it.
    pub fn as_used(&self) -> Leased {
        self.held.as_used()
    }

    /// Whether the whole body has to be there for [`Grip::put`].
    pub fn wants_body(&self, head: &Head) -> bool {
        if self.signs_for_aws() {
            return sign::wants_body(&head.headers, &head.target);
        }
        let scheme = self.entry().and_then(|entry| entry.scheme.as_ref());
        scheme.is_some_and(HmacScheme::wants_body)
    }

    fn signs_for_aws(&self) -> bool {
        match &self.from {
            Source::Entry(_) => matches!(self.entry().map(|entry| &entry.place), Some(Place::SignAws)),
            Source::Captured(token) => token.signs(),
        }
    }

    /// Whether the credential itself goes out, and not only a signature that was made with it.
    pub fn sends_secret(&self) -> bool {
        let place = self.entry().map(|entry| &entry.place);
        !self.signs_for_aws() && !matches!(place, Some(Place::Hmac { .. }))
    }

    /// Puts the credential where the service wants to see it.
    pub fn put(&self, outgoing: Outgoing<'_>, payload: Payload<'_>) -> Result<(), InjectError> {
        let now = self.broker.ports.clock.now();
        if let Source::Captured(token) = &self.from {
            return token.put(outgoing, payload, now);
        }
        let Some(entry) = self.entry() else { return Ok(()) };
        if let (Place::Header { name: AUTHORIZATION, .. }, Material::Dpop { token, key }) =
            (&entry.place, &self.held.material)
        {
            let entropy = &*self.broker.ports.entropy;
            return self.held.possession.put((token, key), outgoing, now, entropy);
        }
        if let (Place::Hmac { .. }, Some(scheme)) = (&entry.place, &entry.scheme) {
            let Outgoing { origin, method, headers, target } = outgoing;
            let request = hmac::Request { origin, method, target, payload, now };
            return Ok(hmac::sign(scheme, &self.held.material, request, headers)?);
        }
        let sent = Sent { payload, signing_name: entry.signing_name.as_deref(), now };
        inject::put(&entry.place, &self.held.material, &self.broker.placeholders, outgoing, sent)
    }

    /// What must not reach the agent, and what it is shown instead.
    pub fn leaks(&self) -> Vec<Leak> {
        if let Source::Captured(token) = &self.from {
            return token.leaks();
        }
        let Some(entry) = self.entry() else { return Vec::new() };
        let instead = self.broker.placeholders.of(self.task, &entry.service, &entry.look);
        let leak = |secret: &Secret<String>| Leak { secret: secret.clone(), instead: instead.clone() };
        match &self.held.material {
            Material::Token(token) => vec![leak(token)],
            Material::Basic { password, .. } => vec![leak(password)],
            Material::Dpop { token, key } => vec![leak(token), leak(key)],
            Material::Aws { secret_access_key, session_token, .. } => {
                std::iter::once(leak(secret_access_key)).chain(session_token.as_ref().map(leak)).collect()
            }
        }
    }

    /// What the caller makes of [`Grip::leaks`] once and wants to have at hand for as long as the lease is in use.
    pub fn kept_beside<T: Send + Sync + 'static>(&self, make: impl Fn(Vec<Leak>) -> T) -> Arc<T> {
        let first = || -> Arc<dyn Any + Send + Sync> { Arc::new(make(self.leaks())) };
        let kept = self.held.beside.get_or_init(first).clone();
        // Another caller may have kept something else there.
        kept.downcast().unwrap_or_else(|_| Arc::new(make(self.leaks())))
    }

    /// Hears what the service says. Whether it says no more than that it wants a nonce in the next proof (RFC 9449 §9).
    pub fn hear(&self, origin: &Origin, headers: &HeaderMap) -> bool {
        self.held.possession.hear(origin, headers)
    }

    /// What an answer says, if it says that the credential was not taken; `Err`: its body has to be asked, as much of it as
    /// that.
    pub fn refusal(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<String>, usize> {
        let told = rejected::in_head(status, headers);
        let in_body = (self.signs_for_aws() && rejected::may_be_in_body(status))
            || (status == StatusCode::OK && !self.untaken().is_empty() && rejected::is_json(headers));
        if told.is_none() && in_body { Err(rejected::ERROR_BYTES) } else { Ok(told) }
    }

    /// The same of the body of such an answer.
    pub fn refusal_in(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        if status == StatusCode::OK {
            return rejected::in_success(self.untaken(), body);
        }
        rejected::in_aws_error(status, headers, body)
    }

    fn untaken(&self) -> &[String] {
        self.entry().map(|entry| entry.untaken.as_slice()).unwrap_or_default()
    }

    /// The service did not take it; `why` says what it answered.
    pub async fn rejected(&self, why: &str) {
        self.broker.rejected(self.held.id, why).await;
    }
}

impl std::fmt::Debug for Grip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grip({})", self.held.id)
    }
}
