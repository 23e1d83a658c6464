//! What to do about a refusal, where no policy says it: one sentence each, true wherever it is read.

use super::Refusal;

impl Refusal {
    pub(super) const fn standing_advice(&self) -> &'static str {
        match self {
            Self::AddressForbidden { .. } => {
                "Private, loopback, link-local and metadata addresses are closed to agents; the operator can map the name under [upstream.resolve]."
            }
            Self::AgentGone => "Keep the connection open until the answer has come.",
            Self::AgentQuarantined { .. } => {
                "Stop; the operator looks into it, and lets the agent out with `remit agent release ID`."
            }
            Self::BudgetExhausted { .. } => {
                "Finish with what is there, and ask whoever opened the task for a new one with a larger budget."
            }
            Self::BadRequest { .. } => "Send a well-formed request; remit does not repair one.",
            Self::Draining => "Send the call again in a few seconds, to another node if there is one.",
            Self::HeadTooLarge { .. } => "Send fewer or shorter header fields.",
            Self::IdentityInvalid { .. } => {
                "Open a new task (`remit task open`) and use the proxy URL that it prints."
            }
            Self::IdentityRequired => {
                "Start the agent with `remit run -- CMD`, or put the proxy URL that `remit task open` prints into HTTPS_PROXY."
            }
            Self::Internal => {
                "Nothing was sent. The operator finds the cause in the node's log under this call's id."
            }
            Self::JournalUnavailable { .. } => {
                "Nothing is forwarded that cannot be recorded; the operator must see to the disk under state.dir."
            }
            Self::LeaseRefused { .. } => {
                "Nothing was sent. The operator looks at the [[leases]] of this service, or grants the task less."
            }
            Self::LeaseUnavailable { .. } => {
                "Nothing was sent; send the call again in a few seconds. The operator looks at whoever gives the credential."
            }
            Self::MethodRefused { .. } => "Use a method that the API documents.",
            Self::NotTls { .. } => {
                "Speak TLS through the tunnel; remit carries HTTP over TLS and nothing else."
            }
            Self::OriginMismatch { .. } => {
                "Use one connection per host, and the same name in CONNECT, SNI and Host."
            }
            Self::OriginLacksHttp2 { .. } => "Call a host that offers HTTP/2, or the service's REST API.",
            Self::OriginProtocol { .. } => {
                "Nothing is known to be wrong on this side; the origin's operator can tell."
            }
            Self::OriginTimeout { .. } => "The call may have had its effect: look before sending it again.",
            Self::OriginUnreachable { .. } => "Nothing was sent; check the name, or try again later.",
            Self::OriginUntrusted { .. } => {
                "Nothing was sent. The operator can add a trust anchor under upstream.trust."
            }
            Self::OutsideGrant { .. } => {
                "Stay within what the task was opened for, or ask whoever opened it for a task that reaches further."
            }
            Self::PlaceholderMisplaced { .. } => {
                "Nothing was sent. A placeholder is worth nothing by itself: leave it where the service's client puts its credential, and send it nowhere else."
            }
            Self::PolicyDenied { .. } => {
                "Do without this call, or ask the operator for a policy that permits it."
            }
            Self::PortRefused { .. } => "Use the API's HTTPS port.",
            Self::TaskEnded { .. } => {
                "Open a new task (`remit task open`); calls of an ended task are never let through."
            }
            Self::TlsHandshake { .. } => {
                "Make the client trust remit's CA (`remit ca show` names the file); `remit run` does it for common clients."
            }
            Self::TargetTooLong { .. } => "Send the parameters in the body, if the API takes them there.",
            Self::TooSlow { .. } => "Send the whole head of the request without pausing.",
            Self::UpgradeRefused { .. } => "WebSocket is the only upgrade that remit carries.",
            Self::ApprovalExpired { .. }
            | Self::ApprovalRefused { .. }
            | Self::Held { .. }
            | Self::HoldImpossible { .. }
            | Self::HoldsUnavailable { .. }
            | Self::TooManyHolds { .. } => self.advice_on_holds(),
        }
    }

    /// Of those that are about a person's approval.
    const fn advice_on_holds(&self) -> &'static str {
        match self {
            Self::ApprovalExpired { .. } => {
                "Nothing was sent. Do without this call, or send it again if it is still wanted: people are asked anew."
            }
            Self::ApprovalRefused { .. } => {
                "Nothing was sent. Do not send it again: it is refused without asking. Ask the person that you work for what to do instead."
            }
            Self::Held { .. } => {
                "Nothing was sent yet, and people are asked. Do what can be done without it; later send the very same call again: it goes out once it is approved. `remit holds` shows it."
            }
            Self::HoldImpossible { .. } => {
                "Nothing was sent. Send it in a form that a person can look at whole: no streams, bodies of at most 256 KiB, without trailers."
            }
            Self::HoldsUnavailable { .. } => {
                "Nothing was sent; send the call again in a few seconds. The operator sees to the disk under state.dir."
            }
            Self::TooManyHolds { .. } => {
                "Nothing was sent. Wait until people have answered what was asked before, and ask for less."
            }
            _ => "",
        }
    }
}
