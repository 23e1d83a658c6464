//! OAuth 2.0: access tokens from a token endpoint, taken back at a revocation endpoint.
//!
//! | what | specification | keys |
//! |---|---|---|
//! | client credentials | RFC 6749 §4.4 | `grant = "client_credentials"` |
//! | refresh token, one that the server replaces is kept | RFC 6749 §6, RFC 9700 §4.14 | `grant = "refresh_token"`, `refresh_token` |
//! | token exchange, subject and actor of the task | RFC 8693 §2.1 | `grant = "token_exchange"`, `subject`, `actor` |
//! | JWT bearer, a JWT-SVID or a JWT of the task | RFC 7523 §2.1 | `grant = "jwt_bearer"`, `subject` |
//! | who the client is | RFC 6749 §2.3.1, RFC 7523 §2.2 | `client_auth`, `secret` |
//! | scopes of each class | RFC 6749 §3.3 | `scopes`, `wide` |
//! | for which API | RFC 8707 §2, RFC 8693 §2.1 | `resource`, `audience` |
//! | bound to a key | RFC 9449 §5, §8 | `dpop` |
//! | taking back | RFC 7009 §2 | `revocation_url` |
//!
//! A token that came out wider than it was asked for, of another kind, or with a lifetime that cannot be, is taken back at once
//! and refused. No client library of OAuth is used: what they add to a form and a JSON document is flows with a browser, and
//! they leave what is hard here (narrowing, what a lost answer means, DPoP towards two servers) to the caller.

mod form;
mod handle;
mod settings;
mod token;

use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use self::form::Form;
use self::handle::Handle;
pub use self::settings::{ClientAuth, Flow, Kind, Proven, Settings, Source};
use self::token::{Given, Said};
use super::ask::{Answer, Ask, Effect};
use super::dpop::{self, Proof, Prover};
use super::jwt::Party;
use super::{Material, MintError, Minted, Need, Ports, Provider, Returned, SecretSource};
use crate::call::Secret;

const TOKEN_ENDPOINT: &str = "the token endpoint";
const REVOCATION_ENDPOINT: &str = "the revocation endpoint";

/// Access tokens from one authorization server.
pub struct Oauth<S> {
    settings: Settings<S>,
    ports: Ports,
    /// Refreshes go one after the other: of two at a time with one token that the server replaces, the second would look
    /// like a thief's (RFC 9700 §4.14.2).
    turn: Semaphore,
    /// The refresh token that holds, once it was replaced.
    replaced: Mutex<Option<Secret<String>>>,
}

impl<S: SecretSource> Oauth<S> {
    /// The settings have to have passed [`Settings::check`].
    pub fn new(settings: Settings<S>, ports: Ports) -> Self {
        Self { settings, ports, turn: Semaphore::new(1), replaced: Mutex::new(None) }
    }

    async fn give(&self, need: &Need<'_>) -> Result<Minted, MintError> {
        // Narrowing is settled before anybody is asked for anything.
        let scopes = self.settings.scopes_of(need.class)?;
        let mut form = Form::new(&self.settings, scopes);
        let given = match &self.settings.flow {
            Flow::ClientCredentials => {
                form.push("grant_type", "client_credentials");
                self.token(form).await?
            }
            Flow::Refresh { .. } => self.refresh(form).await?,
            Flow::Exchange { subject, actor } => {
                form.push("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
                let party = if actor.is_some() { Party::Subject } else { Party::SubjectWithActors };
                let (token, kind) = self.party(subject, party, need).await?;
                form.push_secret("subject_token", token);
                form.push("subject_token_type", kind.urn());
                if let Some(actor) = actor {
                    let (token, kind) = self.party(actor, Party::Actor, need).await?;
                    form.push_secret("actor_token", token);
                    form.push("actor_token_type", kind.urn());
                }
                form.push("requested_token_type", Kind::AccessToken.urn());
                self.token(form).await?
            }
            Flow::JwtBearer { assertion } => {
                form.push("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                let (token, _) = self.party(assertion, Party::SubjectWithActors, need).await?;
                form.push_secret("assertion", token);
                self.token(form).await?
            }
        };
        self.take(given, scopes, need).await
    }

    /// The token of a party, from where the operator says that it comes from.
    async fn party(
        &self,
        source: &Source<S>,
        party: Party,
        need: &Need<'_>,
    ) -> Result<(Secret<String>, Kind), MintError> {
        let aud = self.settings.assertion_audience();
        match source {
            Source::Task { issuer, key, kid } => {
                let key = super::jwt::Key::parse(&key.read().await?, kid.as_deref())?;
                let now = self.ports.clock.now();
                let claims =
                    super::jwt::Assertion::of_task(need.task, party, issuer, aud, now, &*self.ports.entropy);
                Ok((key.sign(&claims)?, Kind::Jwt))
            }
            Source::Svid => Ok((self.ports.jwt_svid(aud).await?, Kind::Jwt)),
            Source::Configured { token, kind } => Ok((token.read().await?, *kind)),
        }
    }

    /// With the refresh token that holds now; a new one is kept before the access token is handed out.
    async fn refresh(&self, mut form: Form) -> Result<Given, MintError> {
        let Flow::Refresh { token } = &self.settings.flow else {
            return Err(MintError::Refused("there is no refresh token".to_owned()));
        };
        // Never closed, so there is always a turn; it ends with this call.
        let _turn = self.turn.acquire().await;
        let configured = token.read().await?;
        let held = self.replaced().clone();
        let keeper = self.ports.keeper.as_ref();
        let kept = match (keeper, held) {
            (_, Some(held)) => Some(held),
            (Some(keeper), None) => keeper.kept().await?,
            (None, None) => None,
        };
        let current = kept.and_then(|kept| handle::successor_of(&configured, &kept));
        form.push("grant_type", "refresh_token");
        form.push_secret("refresh_token", current.unwrap_or_else(|| configured.clone()));
        let mut given = self.token(form).await?;
        // It goes on holding after the lease, so it is no part of what is taken back with it.
        if let Some(next) = given.refresh_token.take() {
            let successor = handle::successor(&configured, &next);
            if let Some(keeper) = keeper
                && let Err(error) = keeper.keep(&successor).await
            {
                tracing::error!(%error, "a new refresh token could not be kept; it is lost when the node stops, and a person has to log in again");
            }
            *self.replaced() = Some(successor);
        }
        Ok(given)
    }

    fn replaced(&self) -> std::sync::MutexGuard<'_, Option<Secret<String>>> {
        // A panic elsewhere leaves a whole token behind: it is set in one step.
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the token endpoint; twice where it wants a nonce (RFC 9449 §8).
    async fn token(&self, form: Form) -> Result<Given, MintError> {
        let key = match self.settings.proven {
            Proven::Bearer => None,
            Proven::Dpop => Some(dpop::new_key(&*self.ports.entropy)?),
        };
        let prover = key.as_ref().map(Prover::new).transpose()?;
        let mut nonce: Option<String> = None;
        loop {
            let mut ask =
                self.authenticated(&form, &self.settings.token_url, TOKEN_ENDPOINT, Effect::Gives).await?;
            if let Some(prover) = &prover {
                let proof = Proof {
                    method: &http::Method::POST,
                    url: self.settings.token_url.as_str(),
                    token: None,
                    nonce: nonce.as_deref(),
                    now: self.ports.clock.now(),
                };
                ask = ask.with(dpop::PROOF, prover.proof(&proof, &*self.ports.entropy)?.reveal())?;
            }
            let answer = ask.send(&*self.ports.fetch).await?;
            if answer.status.is_success() {
                let said: Said = answer.json()?;
                return said.given(TOKEN_ENDPOINT, key);
            }
            let error = token::Error::of(&answer);
            let wanted = dpop::nonce(&answer.headers).filter(|_| error.code == "use_dpop_nonce");
            match wanted {
                Some(fresh) if nonce.is_none() && prover.is_some() => nonce = Some(fresh.to_owned()),
                _ => return Err(error.told(&answer, &self.settings)),
            }
        }
    }

    /// A request that says who the client is. Made anew for each: an assertion is for one use (RFC 7523 §3, `jti`).
    async fn authenticated<'a>(
        &self,
        form: &Form,
        to: &'a super::endpoint::Endpoint,
        who: &'a str,
        effect: Effect,
    ) -> Result<Ask<'a>, MintError> {
        form.authenticated(&self.settings, &self.ports).await?.ask(to, who, effect)
    }

    /// What was given as a lease, or, where it must not be one, taken back.
    async fn take(
        &self,
        given: Given,
        scopes: Option<&[String]>,
        need: &Need<'_>,
    ) -> Result<Minted, MintError> {
        let expires = given.expires(self.ports.clock.now().max(need.now), self.settings.lifetime);
        let refused = match (&expires, given.unfit(&self.settings, scopes)) {
            (_, Some(why)) => Some(why),
            (Err(error), None) => Some(error.clone()),
            (Ok(_), None) => None,
        };
        let expires = expires.unwrap_or_default();
        let handle =
            Handle { access: given.access_token.clone(), refresh: given.refresh_token.clone(), expires };
        if let Some(why) = refused {
            return Err(self.throw_away(&handle, why).await);
        }
        let material = match given.key {
            Some(key) => Material::Dpop { token: given.access_token, key },
            None => Material::Token(given.access_token),
        };
        let handle = self.settings.revocation_url.as_ref().map(|_| handle.write());
        Ok(Minted { material, expires, handle })
    }

    async fn throw_away(&self, handle: &Handle, why: MintError) -> MintError {
        let end = match self.take_back(handle).await {
            Ok(Returned::Revoked) => {
                let back = "it was taken back";
                return match why {
                    MintError::TooWide(text) => MintError::TooWide(format!("{text}; {back}")),
                    MintError::Unavailable(text) => MintError::Unavailable(format!("{text}; {back}")),
                    MintError::Refused(text) | MintError::Unknown(text) | MintError::Stray(text) => {
                        MintError::Refused(format!("{text}; {back}"))
                    }
                };
            }
            Ok(Returned::Until(Some(end))) => format!("it cannot be taken back and holds until {end}"),
            Ok(Returned::Until(None)) => "it cannot be taken back".to_owned(),
            Err(error) => format!("it could not be taken back: {error}"),
        };
        MintError::Stray(format!("{why}; {end}"))
    }

    /// RFC 7009 §2.1: the refresh token first, with which servers are to end the access tokens too.
    async fn take_back(&self, handle: &Handle) -> Result<Returned, MintError> {
        let Some(url) = &self.settings.revocation_url else { return Ok(Returned::Until(handle.expires)) };
        let refresh = handle.refresh.as_ref().map(|token| (token, "refresh_token"));
        let mut returned = Returned::Revoked;
        for (token, hint) in refresh.into_iter().chain([(&handle.access, "access_token")]) {
            let mut form = Form::bare();
            form.push_secret("token", token.clone());
            form.push("token_type_hint", hint);
            let ask = self.authenticated(&form, url, REVOCATION_ENDPOINT, Effect::Repeatable).await?;
            let answer = ask.send(&*self.ports.fetch).await?;
            if !self.is_gone(&answer)? {
                returned = Returned::Until(handle.expires);
            }
        }
        Ok(returned)
    }

    /// RFC 7009 §2.2: 200, for tokens that nobody knows (any more) as well.
    fn is_gone(&self, answer: &Answer) -> Result<bool, MintError> {
        if answer.status == http::StatusCode::OK || answer.status == http::StatusCode::NO_CONTENT {
            return Ok(true);
        }
        let error = token::Error::of(answer);
        // §2.2.1: this server does not take back tokens of this kind.
        if error.code == "unsupported_token_type" {
            Ok(false)
        } else {
            Err(error.told(answer, &self.settings))
        }
    }
}

impl<S: SecretSource> Provider for Oauth<S> {
    fn kind(&self) -> &'static str {
        "oauth"
    }

    fn scope(&self, need: &Need<'_>) -> Result<String, MintError> {
        let scopes = self.settings.scopes_of(need.class)?;
        Ok(self.settings.line(scopes))
    }

    fn mint<'a>(&'a self, need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        Box::pin(self.give(need))
    }

    fn revoke<'a>(&'a self, handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        Box::pin(async move { self.take_back(&Handle::read(handle)?).await })
    }
}
