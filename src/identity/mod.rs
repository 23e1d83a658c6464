//! Attributed, first half: who asks?
//!
//! Evidence goes in, a [`Claim`] comes out; the strongest evidence wins, and evidence that is present but does not
//! hold is refused: it never makes room for weaker evidence. Whether the claimed task is still open is not asked
//! here but by `intent`, which alone knows.
//!
//! Task tokens are JWTs (RFC 7519) under the rules of RFC 8725; agents are named by SPIFFE IDs.

mod bundle;
mod chain;
mod client_cert;
mod error;
mod jwt_svid;
mod node_key;
mod oidc;
pub mod private_file;
mod socket_peer;
mod task_token;
#[cfg(test)]
mod tests;
mod x509_svid;

use std::sync::Arc;

use crate::call::principal::Entrance;
use jwt_svid::JwtSvids;
use x509_svid::X509Svids;

use crate::call::{
    Binding, Claims, Clock, Evidence, IntentName, Presented, Principal, SpiffeId, Task, TaskId, Thumbprint,
};

pub use bundle::{Bundle, Bundles, ByDomain};
pub use chain::{Carrier, Chain, Chains, DEFAULT_CHAIN_LIFE, MAX_CHAIN_BYTES, MAX_CHAIN_LIFE, Peer};
pub use client_cert::ClientCertificates;
pub use error::{ChainError, IdentityError, KeyError, SvidError, TokenError};
pub use oidc::{Attempt, Oidc, OidcError, OidcSettings};
pub use socket_peer::{Proc, ProcessRule};
pub use task_token::{
    AUDIENCE, CLOCK_STEP_S, DEFAULT_LIFE, Issued, MAX_LIFE, MAX_TOKEN_BYTES, TaskTokens, VERIFIED_TOKENS,
};
pub use x509_svid::PossessionOnly;

/// What the operator decided about identities.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who a caller without any evidence is; `None` refuses such callers.
    pub default_agent: Option<SpiffeId>,
    /// Whom JWT-SVIDs have to be for.
    pub audience: String,
    /// Which processes of this machine are which agent; the first that fits counts.
    pub processes: Vec<ProcessRule>,
}

/// Turns what a connection presented into a claim about who asks.
#[derive(Clone)]
pub struct Identity {
    settings: Settings,
    tokens: Arc<TaskTokens>,
    bundles: Arc<Bundles>,
    x509: X509Svids,
    jwt: JwtSvids,
    chains: Option<Arc<Chains>>,
}

/// Who asks, as far as the evidence goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A task token that holds.
    Token {
        /// The task that it was minted for.
        task: TaskId,
        /// The agent that it was minted for.
        agent: SpiffeId,
        /// The purpose that was declared then.
        intent: IntentName,
        /// What it has to come with.
        binding: Binding,
        /// Whether the connection showed the agent's X.509-SVID too.
        proven: bool,
    },
    /// An SVID, and no task.
    Svid {
        /// The workload.
        agent: SpiffeId,
        /// Which kind.
        evidence: Evidence,
        /// What it says of the workload beside its name.
        claims: Claims,
    },
    /// The connection came in by a task's own port.
    Port {
        /// The task that the port stands for.
        task: TaskId,
    },
    /// The process that connected is one that the operator named.
    Neighbour {
        /// The agent.
        agent: SpiffeId,
    },
    /// Nothing was presented; the operator named this agent for such callers.
    Assumed {
        /// The agent.
        agent: SpiffeId,
    },
}

impl Identity {
    /// Verifies with `tokens` and `bundles`, and falls back on what `settings` say.
    pub fn new(
        settings: Settings,
        tokens: Arc<TaskTokens>,
        bundles: Arc<Bundles>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let x509 = X509Svids::new(bundles.clone(), clock.clone());
        let jwt = JwtSvids::new(bundles.clone(), settings.audience.clone(), clock);
        Self { settings, tokens, bundles, x509, jwt, chains: None }
    }

    /// The same, believing chains too.
    #[must_use]
    pub fn believing(self, chains: Arc<Chains>) -> Self {
        Self { chains: Some(chains), ..self }
    }

    /// What was handed over to the caller, if it presents a chain. A chain that does not hold is refused, and never taken
    /// for none.
    pub fn handed(&self, presented: &Presented) -> Result<Option<Chain>, IdentityError> {
        let Some(chain) = &presented.chain else { return Ok(None) };
        let chains = self.chains.as_ref().ok_or(ChainError::None)?;
        Ok(Some(chains.verify(chain.reveal())?))
    }

    /// Who asks. A token tells the task, or else the agent; a certificate has to name the same agent, and tells it alone
    /// where there is no token; then the task's port; then the process that connected; then the default agent. Whatever is shown has to hold.
    pub fn attribute(&self, presented: &Presented) -> Result<Claim, IdentityError> {
        let shown = presented.certificates.as_ref().map(|chain| self.x509.verify(chain));
        if let Some(token) = &presented.token {
            let leaf = presented.certificates.as_ref().and_then(|chain| chain.first());
            return self.by_token(token.reveal(), leaf.map(Vec::as_slice), shown);
        }
        if let Some(agent) = shown.transpose()? {
            return Ok(Claim::Svid { agent, evidence: Evidence::X509Svid, claims: Claims::default() });
        }
        if let Entrance::TaskPort(task) = presented.by {
            return Ok(Claim::Port { task });
        }
        if let Some(process) = &presented.process
            && let Some(rule) = self.settings.processes.iter().find(|rule| rule.covers(process))
        {
            return Ok(Claim::Neighbour { agent: rule.agent.clone() });
        }
        let agent = self.settings.default_agent.clone().ok_or(IdentityError::Missing)?;
        Ok(Claim::Assumed { agent })
    }

    fn by_token(
        &self,
        token: &str,
        leaf: Option<&[u8]>,
        shown: Option<Result<SpiffeId, SvidError>>,
    ) -> Result<Claim, IdentityError> {
        let ours = self.tokens.verify(token);
        let shown = match (&ours, shown) {
            // The token vouches for the certificate, which may be anybody's; if it is an SVID, it counts as one too.
            (Ok(Claim::Token { binding: Binding::Certificate(bound), .. }), shown) => {
                if leaf.map(Thumbprint::of) != Some(*bound) {
                    return Err(IdentityError::OtherKey);
                }
                shown.and_then(Result::ok)
            }
            (_, shown) => shown.transpose()?,
        };
        let mut claim = match ours {
            // Not one of ours: somebody else's, if there is anybody else.
            Err(TokenError::Type | TokenError::Algorithm { .. } | TokenError::Malformed { .. })
                if !self.bundles.is_empty() =>
            {
                let (agent, claims) = self.jwt.verify(token)?;
                Claim::Svid { agent, evidence: Evidence::JwtSvid, claims }
            }
            claim => claim?,
        };
        if let Some(certificate) = &shown
            && let Some(token) = claim.agent()
            && certificate != token
        {
            return Err(IdentityError::Several { certificate: certificate.clone(), token: token.clone() });
        }
        match &mut claim {
            Claim::Token { binding: Binding::X509Svid, .. } if shown.is_none() => {
                return Err(IdentityError::Unbound);
            }
            Claim::Token { proven, .. } => *proven = shown.is_some(),
            Claim::Svid { evidence, .. } if shown.is_some() => *evidence = Evidence::X509Svid,
            _ => {}
        }
        Ok(claim)
    }
}

impl Claim {
    /// What the claim rests on.
    pub fn evidence(&self) -> Evidence {
        match self {
            Self::Svid { evidence, .. } => *evidence,
            Self::Token { proven: true, .. } => Evidence::X509Svid,
            Self::Token { .. } => Evidence::TaskToken,
            Self::Port { .. } => Evidence::TaskPort,
            Self::Neighbour { .. } => Evidence::SocketPeer,
            Self::Assumed { .. } => Evidence::Assumed,
        }
    }

    /// The agent that the evidence names.
    fn agent(&self) -> Option<&SpiffeId> {
        match self {
            Self::Assumed { agent }
            | Self::Neighbour { agent }
            | Self::Svid { agent, .. }
            | Self::Token { agent, .. } => Some(agent),
            Self::Port { .. } => None,
        }
    }

    /// The principal of a call for a task that was handed to `to`: the claim has to show that the caller is that agent.
    /// `own` is the task that the caller works under anyway.
    pub fn handed_to(&self, to: &SpiffeId, own: &Task) -> Result<Principal, IdentityError> {
        let principal = self.principal(own)?;
        if principal.agent != *to {
            return Err(IdentityError::NotHanded { to: to.clone(), caller: principal.agent });
        }
        Ok(principal)
    }

    /// The principal of a call in `task`, the task that `intent` found for this claim.
    ///
    /// A token names agent and intent itself; where it disagrees with the registry one of the two was tampered with,
    /// and the call is refused.
    pub fn principal(&self, task: &Task) -> Result<Principal, IdentityError> {
        let agrees = match self {
            Self::Token { task: id, agent, intent, .. } => {
                *id == task.id && *agent == task.agent && *intent == task.intent
            }
            Self::Port { task: id } => *id == task.id,
            Self::Assumed { agent } | Self::Neighbour { agent } | Self::Svid { agent, .. } => {
                *agent == task.agent
            }
        };
        if !agrees {
            return Err(IdentityError::Disagrees { task: task.id });
        }
        let claims = match self {
            Self::Svid { claims, .. } => claims.clone(),
            _ => Claims::default(),
        };
        Ok(Principal { agent: task.agent.clone(), evidence: self.evidence(), claims })
    }
}
