//! From the rooms' errors to refusals: exhaustive matches, so that a new error does not compile until it has a place.

use crate::call::{Origin, Outcome, Refusal};
use crate::identity::IdentityError;
use crate::intent::{IntentError, Obstacle};
use crate::lease::LeaseError;
use crate::origin::{OriginError, Waiting};
use crate::record::JournalError;

pub(super) fn identity(error: &IdentityError) -> Refusal {
    match error {
        IdentityError::Missing => Refusal::IdentityRequired,
        IdentityError::Chain(_)
        | IdentityError::Disagrees { .. }
        | IdentityError::NotHanded { .. }
        | IdentityError::OtherKey
        | IdentityError::Several { .. }
        | IdentityError::Svid(_)
        | IdentityError::Token(_)
        | IdentityError::Unbound => Refusal::IdentityInvalid { why: error.to_string() },
    }
}

pub(super) fn intent(error: &IntentError) -> Refusal {
    match error {
        IntentError::Ended { why, .. } => Refusal::TaskEnded { why: why.to_string() },
        IntentError::Quarantined(_) => Refusal::AgentQuarantined { why: error.to_string() },
        IntentError::Budget { .. }
        | IntentError::Configured(_)
        | IntentError::HostTaken { .. }
        | IntentError::Cycle { .. }
        | IntentError::Depth { .. }
        | IntentError::Elsewhere { .. }
        | IntentError::FanOut { .. }
        | IntentError::Grant(_)
        | IntentError::Labels { .. }
        | IntentError::Lent { .. }
        | IntentError::NotTheirs { .. }
        | IntentError::Outside { .. }
        | IntentError::Store(_)
        | IntentError::TooMany { .. }
        | IntentError::Ttl { .. }
        | IntentError::Undeclared(_)
        | IntentError::Unknown(_) => Refusal::TaskEnded { why: error.to_string() },
    }
}

/// Why a call that invokes an agent does not hand it a task, and so does not go out.
pub(super) fn delegation(error: &IntentError) -> Refusal {
    match error {
        IntentError::Ended { .. } | IntentError::Quarantined(_) => intent(error),
        _ => Refusal::OutsideGrant { why: format!("no task can be handed over with this call: {error}") },
    }
}

pub(super) fn obstacle(obstacle: &Obstacle) -> Refusal {
    let why = obstacle.to_string();
    match obstacle {
        Obstacle::Exhausted { .. } | Obstacle::Unpriced { .. } => Refusal::BudgetExhausted { why },
        Obstacle::Outside { .. } => Refusal::OutsideGrant { why },
        Obstacle::Quarantined { .. } => Refusal::AgentQuarantined { why },
    }
}

/// Bytes that pass a WebSocket are not asked for one by one, so a budget of them could be overspent.
pub(super) fn uncounted_upgrade() -> Refusal {
    Refusal::UpgradeRefused { protocol: "websocket under a budget of bytes".into() }
}

pub(super) fn journal(error: &JournalError) -> Refusal {
    Refusal::JournalUnavailable { why: error.to_string() }
}

/// The same for a call that got no credential. It was opened, and never went out.
pub(super) fn lease(error: &LeaseError) -> (Outcome, Refusal) {
    match error {
        LeaseError::Ended => {
            (Outcome::Revoked, Refusal::TaskEnded { why: "it ended before the call went out".into() })
        }
        LeaseError::Refused(why) => (Outcome::Unequipped, Refusal::LeaseRefused { why: why.clone() }),
        LeaseError::Unavailable(why) => (Outcome::Unequipped, Refusal::LeaseUnavailable { why: why.clone() }),
    }
}

/// The refusal that the agent gets, and what the closing entry calls the end.
pub(super) fn origin(error: &OriginError, origin: &Origin) -> (Outcome, Refusal) {
    let origin = origin.clone();
    let why = error.to_string();
    let refusal = match error {
        OriginError::AddressForbidden { host, address, range } => {
            Refusal::AddressForbidden { host: host.clone(), address: address.to_string(), range }
        }
        OriginError::AgentBody { .. } => {
            return (Outcome::AgentGone, Refusal::BadRequest { why });
        }
        OriginError::Malformed { why } => {
            return (Outcome::AgentGone, Refusal::BadRequest { why: why.clone() });
        }
        OriginError::LacksHttp2 => Refusal::OriginLacksHttp2 { origin },
        OriginError::Protocol { why } => Refusal::OriginProtocol { origin, why: why.clone() },
        OriginError::Timeout { waiting: Waiting::Head, limit_s } => {
            Refusal::OriginTimeout { origin, limit_s: *limit_s }
        }
        OriginError::Timeout { waiting: Waiting::Dns | Waiting::Connect | Waiting::Handshake, .. } => {
            Refusal::OriginUnreachable { origin, why }
        }
        OriginError::Unreachable { why } => Refusal::OriginUnreachable { origin, why: why.clone() },
        OriginError::Unresolved { .. } => Refusal::OriginUnreachable { origin, why },
        OriginError::Untrusted { why } => Refusal::OriginUntrusted { origin, why: why.clone() },
    };
    (Outcome::OriginFailed, refusal)
}
