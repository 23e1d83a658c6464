//! Attributed, first half: who asks?
//!
//! Evidence goes in, a [`Claim`] comes out; the strongest evidence wins, and evidence that is present but does not
//! hold is refused: it never makes room for weaker evidence. Whether the claimed task is still open is not asked
//! here but by `intent`, which alone knows.
//!
//! Task tokens are JWTs (RFC 7519) under the rules of RFC 8725; agents are named by SPIFFE IDs.

mod error;
pub mod private_file;
mod task_token;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::call::principal::Entrance;
use crate::call::{Evidence, IntentName, Presented, Principal, SpiffeId, Task, TaskId};

pub use error::{IdentityError, KeyError, TokenError};
pub use task_token::{AUDIENCE, CLOCK_STEP_S, MAX_LIFE, MAX_TOKEN_BYTES, TaskTokens, VERIFIED_TOKENS};

/// What the operator decided about identities.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who a caller without any evidence is; `None` refuses such callers.
    pub default_agent: Option<SpiffeId>,
}

/// Turns what a connection presented into a claim about who asks.
#[derive(Clone)]
pub struct Identity {
    settings: Settings,
    tokens: Arc<TaskTokens>,
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
    },
    /// The connection came in by a task's own port.
    Port {
        /// The task that the port stands for.
        task: TaskId,
    },
    /// Nothing was presented; the operator named this agent for such callers.
    Assumed {
        /// The agent.
        agent: SpiffeId,
    },
}

impl Identity {
    /// Verifies with `tokens` and falls back on what `settings` say.
    pub fn new(settings: Settings, tokens: Arc<TaskTokens>) -> Self {
        Self { settings, tokens }
    }

    /// Who asks: by the token, else by the task's port, else the default agent.
    pub fn attribute(&self, presented: &Presented) -> Result<Claim, IdentityError> {
        if let Some(token) = &presented.token {
            return Ok(self.tokens.verify(token.reveal())?);
        }
        if let Entrance::TaskPort(task) = presented.by {
            return Ok(Claim::Port { task });
        }
        let agent = self.settings.default_agent.clone().ok_or(IdentityError::Missing)?;
        Ok(Claim::Assumed { agent })
    }
}

impl Claim {
    /// What the claim rests on.
    pub fn evidence(&self) -> Evidence {
        match self {
            Self::Token { .. } => Evidence::TaskToken,
            Self::Port { .. } => Evidence::TaskPort,
            Self::Assumed { .. } => Evidence::Assumed,
        }
    }

    /// The principal of a call in `task`, the task that `intent` found for this claim.
    ///
    /// A token names agent and intent itself; where it disagrees with the registry one of the two was tampered with,
    /// and the call is refused.
    pub fn principal(&self, task: &Task) -> Result<Principal, IdentityError> {
        let agrees = match self {
            Self::Token { task: id, agent, intent } => {
                *id == task.id && *agent == task.agent && *intent == task.intent
            }
            Self::Port { task: id } => *id == task.id,
            Self::Assumed { agent } => *agent == task.agent,
        };
        if !agrees {
            return Err(IdentityError::Disagrees { task: task.id });
        }
        Ok(Principal { agent: task.agent.clone(), evidence: self.evidence() })
    }
}
