//! Every way in which a call may not go on.
//!
//! A closed list on purpose: rooms turn their errors into one of these by exhaustive match, and one function
//! (`accept::refuse`) turns it into what the caller's protocol wants to see. The message says the cause; `advice`
//! says what to do about it. Both are read by people and by language models.

mod advice;
mod code;
mod ruled;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::decision::Ruling;
use super::host::Origin;
use super::id::HoldId;
use super::operation::{Class, OperationId};
use super::operator::OperatorId;

use ruled::{denied, held, noted};

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever sent the call.
    Agent,
    /// Whoever runs remit.
    Operator,
    /// The origin.
    Origin,
    /// remit itself.
    Remit,
}

/// Whether sending the call again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No.
    Never,
    /// Yes, no sooner than this.
    After(Duration),
}

/// Why a call may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The egress guard: the name leads to an address that agents may not reach.
    #[error("`{host}` leads to {address}, {range}")]
    AddressForbidden {
        /// The name that was asked for.
        host: String,
        /// Where it leads.
        address: String,
        /// What that is: `a private address`.
        range: &'static str,
    },
    /// Whoever asked has left. Nobody reads this but the journal.
    #[error("the agent left before an answer came")]
    AgentGone,
    /// Somebody in the chain of the task is in quarantine.
    #[error("the task may do nothing for now: {why}")]
    AgentQuarantined {
        /// Who.
        why: String,
    },
    /// People were asked, and nobody said yes in time.
    #[error("`{operation}` ({class}) waited for a person until nobody had answered, hold {hold}")]
    ApprovalExpired {
        /// What it would have done.
        class: Class,
        /// Its name.
        operation: OperationId,
        /// Which hold it was.
        hold: HoldId,
    },
    /// A person said no.
    #[error("`{operation}` ({class}) was refused by {by}, hold {hold}{}", noted(.note.as_deref()))]
    ApprovalRefused {
        /// What it would have done.
        class: Class,
        /// Its name.
        operation: OperationId,
        /// Which hold it was.
        hold: HoldId,
        /// Who.
        by: OperatorId,
        /// In whose words why.
        note: Option<Arc<str>>,
    },
    /// The request breaks a rule of its protocol.
    #[error("the request breaks the rules of HTTP: {why}")]
    BadRequest {
        /// Which rule.
        why: String,
    },
    /// The task has done as much as it may.
    #[error("{why}")]
    BudgetExhausted {
        /// Whose budget, and which line of it.
        why: String,
    },
    /// remit is stopping.
    #[error("remit is stopping and takes no new calls")]
    Draining,
    /// The head is too long or has too many fields.
    #[error("the head of the request is too large: {why}")]
    HeadTooLarge {
        /// Which bound.
        why: String,
    },
    /// The policies, less what a person may lift.
    #[error("{}", held(*.class, .operation, *.hold, .ruling))]
    Held {
        /// What it would have done.
        class: Class,
        /// Its name.
        operation: OperationId,
        /// Which hold it is.
        hold: HoldId,
        /// What the policies said, and who may approve.
        ruling: Box<Ruling>,
    },
    /// It would be held, and cannot be shown to anybody.
    #[error("`{operation}` ({class}) needs a person's approval, and cannot be held: {why}")]
    HoldImpossible {
        /// What it would have done.
        class: Class,
        /// Its name.
        operation: OperationId,
        /// What is in the way.
        why: &'static str,
    },
    /// It would be held, and holds cannot be kept.
    #[error("the call needs a person's approval, and nobody can be asked: {why}")]
    HoldsUnavailable {
        /// What is away.
        why: String,
    },
    /// There was evidence and it does not hold.
    #[error("the caller's identity is refused: {why}")]
    IdentityInvalid {
        /// What is wrong with it.
        why: String,
    },
    /// There was no evidence.
    #[error("the caller has not said who it is")]
    IdentityRequired,
    /// A bug, contained.
    #[error("remit failed inside while it worked on this call")]
    Internal,
    /// No journal, no forwarding (INVARIANT I2).
    #[error("the journal cannot be written: {why}")]
    JournalUnavailable {
        /// What the disk said.
        why: String,
    },
    /// No credential will be had for it.
    #[error("there is no credential for this call: {why}")]
    LeaseRefused {
        /// Who refuses, and why.
        why: String,
    },
    /// No credential can be had for it now.
    #[error("no credential can be had for this call: {why}")]
    LeaseUnavailable {
        /// What is away.
        why: String,
    },
    /// CONNECT, TRACE inside a tunnel, and their like.
    #[error("the method {method} is not let through")]
    MethodRefused {
        /// Which one.
        method: String,
    },
    /// What came through a tunnel was neither TLS nor, on another port than 443, HTTP.
    #[error("what came through the tunnel to {origin} is not TLS")]
    NotTls {
        /// Where to.
        origin: String,
    },
    /// CONNECT target, SNI and `Host` do not name one origin.
    #[error("the connection is for {expected}, but {what} names `{got}`")]
    OriginMismatch {
        /// The authority of the connection.
        expected: String,
        /// Which part disagrees: `the SNI`, `the Host header`.
        what: &'static str,
        /// What it names.
        got: String,
    },
    /// The origin cannot carry this protocol.
    #[error("{origin} does not speak HTTP/2, and gRPC needs it")]
    OriginLacksHttp2 {
        /// Which one.
        origin: Origin,
    },
    /// The origin broke a rule of its protocol, or off.
    #[error("{origin} gave no proper answer: {why}")]
    OriginProtocol {
        /// Which one.
        origin: Origin,
        /// What it did.
        why: String,
    },
    /// The origin let a limit pass.
    #[error("{origin} did not answer within {limit_s} s")]
    OriginTimeout {
        /// Which one.
        origin: Origin,
        /// The limit, seconds.
        limit_s: u64,
    },
    /// No connection.
    #[error("{origin} cannot be reached: {why}")]
    OriginUnreachable {
        /// Which one.
        origin: Origin,
        /// What the network said.
        why: String,
    },
    /// Its certificate does not hold. The request was not sent.
    #[error("{origin} is not trusted: {why}")]
    OriginUntrusted {
        /// Which one.
        origin: Origin,
        /// What is wrong with the certificate.
        why: String,
    },
    /// The task, or one that it was delegated from, was not granted this.
    #[error("{why}")]
    OutsideGrant {
        /// Whose grant, and which part of it.
        why: String,
    },
    /// A placeholder somewhere else than where remit puts the credential that it stands for.
    #[error("the request has a placeholder of remit's where it does not belong: {why}")]
    PlaceholderMisplaced {
        /// Which, and where.
        why: String,
    },
    /// The policies.
    #[error("{}", denied(*.class, .operation, .ruling))]
    PolicyDenied {
        /// What it would have done.
        class: Class,
        /// Its name.
        operation: OperationId,
        /// What the policies said.
        ruling: Box<Ruling>,
    },
    /// A port where no web API lives.
    #[error("port {port} is not for HTTPS")]
    PortRefused {
        /// Which one.
        port: u16,
    },
    /// The task is over, or this node does not know it.
    #[error("the task is over: {why}")]
    TaskEnded {
        /// How it ended.
        why: String,
    },
    /// The agent's TLS handshake did not succeed.
    #[error("the TLS handshake with the agent failed: {why}")]
    TlsHandshake {
        /// What went wrong.
        why: String,
    },
    /// Request target too long.
    #[error("the request target is longer than {limit_bytes} bytes")]
    TargetTooLong {
        /// The limit, bytes.
        limit_bytes: usize,
    },
    /// People are asked for this task, or this agent, too often.
    #[error("the call needs a person's approval, and nobody is asked: {why}")]
    TooManyHolds {
        /// What there is too much of.
        why: String,
    },
    /// The agent took too long to say what it wants.
    #[error("the request did not arrive within {limit_s} s")]
    TooSlow {
        /// The limit, seconds.
        limit_s: u64,
    },
    /// An upgrade that remit cannot watch over.
    #[error("an upgrade to `{protocol}` is not let through")]
    UpgradeRefused {
        /// To what.
        protocol: String,
    },
}

impl Refusal {
    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::AgentGone | Self::BadRequest { .. } | Self::NotTls { .. } | Self::TlsHandshake { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::AddressForbidden { .. }
            | Self::AgentQuarantined { .. }
            | Self::ApprovalExpired { .. }
            | Self::ApprovalRefused { .. }
            | Self::HoldImpossible { .. }
            | Self::LeaseRefused { .. }
            | Self::OutsideGrant { .. }
            | Self::PlaceholderMisplaced { .. }
            | Self::PolicyDenied { .. }
            | Self::PortRefused { .. }
            | Self::UpgradeRefused { .. } => StatusCode::FORBIDDEN,
            Self::BudgetExhausted { .. } | Self::TooManyHolds { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Held { .. } => StatusCode::TOO_EARLY,
            Self::TaskEnded { .. } => StatusCode::UNAUTHORIZED,
            Self::MethodRefused { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::IdentityInvalid { .. } | Self::IdentityRequired => {
                StatusCode::PROXY_AUTHENTICATION_REQUIRED
            }
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::OriginMismatch { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::HeadTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal
            | Self::Draining
            | Self::HoldsUnavailable { .. }
            | Self::JournalUnavailable { .. }
            | Self::LeaseUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::OriginLacksHttp2 { .. }
            | Self::OriginProtocol { .. }
            | Self::OriginUnreachable { .. }
            | Self::OriginUntrusted { .. } => StatusCode::BAD_GATEWAY,
            Self::OriginTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Who has to change something.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::AgentGone
            | Self::BadRequest { .. }
            | Self::BudgetExhausted { .. }
            | Self::HeadTooLarge { .. }
            | Self::IdentityInvalid { .. }
            | Self::IdentityRequired
            | Self::MethodRefused { .. }
            | Self::NotTls { .. }
            | Self::OriginMismatch { .. }
            | Self::OutsideGrant { .. }
            | Self::PlaceholderMisplaced { .. }
            | Self::PolicyDenied { .. }
            | Self::PortRefused { .. }
            | Self::TaskEnded { .. }
            | Self::TlsHandshake { .. }
            | Self::TargetTooLong { .. }
            | Self::TooManyHolds { .. }
            | Self::TooSlow { .. }
            | Self::UpgradeRefused { .. } => Fault::Agent,
            Self::AddressForbidden { .. }
            | Self::AgentQuarantined { .. }
            | Self::ApprovalExpired { .. }
            | Self::ApprovalRefused { .. }
            | Self::Held { .. }
            | Self::HoldImpossible { .. }
            | Self::HoldsUnavailable { .. }
            | Self::JournalUnavailable { .. }
            | Self::LeaseRefused { .. }
            | Self::LeaseUnavailable { .. } => Fault::Operator,
            Self::OriginLacksHttp2 { .. }
            | Self::OriginProtocol { .. }
            | Self::OriginTimeout { .. }
            | Self::OriginUnreachable { .. }
            | Self::OriginUntrusted { .. } => Fault::Origin,
            Self::Draining | Self::Internal => Fault::Remit,
        }
    }

    /// The hold that it is about.
    pub const fn hold(&self) -> Option<HoldId> {
        match self {
            Self::ApprovalExpired { hold, .. }
            | Self::ApprovalRefused { hold, .. }
            | Self::Held { hold, .. } => Some(*hold),
            _ => None,
        }
    }

    /// Whether sending it again can help.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Draining
            | Self::HoldsUnavailable { .. }
            | Self::JournalUnavailable { .. }
            | Self::LeaseUnavailable { .. } => Retry::After(Duration::from_secs(5)),
            // The very same call: it joins the hold, or goes out if it is approved by then.
            Self::Held { .. } => Retry::After(Duration::from_secs(15)),
            Self::TooManyHolds { .. } => Retry::After(Duration::from_secs(60)),
            Self::OriginTimeout { .. } | Self::OriginUnreachable { .. } => {
                Retry::After(Duration::from_secs(1))
            }
            _ => Retry::Never,
        }
    }

    /// What to do about it, in one sentence.
    pub fn advice(&self) -> String {
        if let Self::PolicyDenied { ruling, .. } | Self::Held { ruling, .. } = self {
            let own: Vec<_> = ruling.told().filter_map(|reason| reason.advice.as_deref()).collect();
            if !own.is_empty() {
                return own.join(" ");
            }
        }
        self.standing_advice().to_owned()
    }
}
