//! The vocabulary that every room speaks: what a call is, and the stages of its life.
//!
//! Pure on purpose: no I/O, no async, no clock, no TLS, no policy engine. A room takes a call at one stage and
//! gives it back at the next:
//!
//! ```text
//! Call<Intercepted>  accept            who knocked, for which origin, with which head
//!   .recognise(..)   catalog           + operations and their class
//!   .attribute(..)   identity, intent  + principal, task, history
//!   .decide(ruling)  judge             Ruled::Allowed(Call<Decided>) | Ruled::Held(Call<Held>) | Ruled::Denied(Call<Denied>)
//!   journal.open(..) record            Opened: the intention is written
//!   .equip(&opened)  lease             Call<Credentialed>: the only thing that may leave; .carrying(..) a credential
//!   upstream.send()  origin            Call<Forwarded>
//!   opened.close()   record            Receipt: one closing entry, one span
//! ```
//!
//! The next stage can only be made from the last one. This compiles:
//!
//! ```
//! use remit::{body::Body, call::{Call, Closing, Credentialed, Decided, Opened, Outcome}, origin::Upstream};
//! fn equip(call: Call<Decided>, opened: &Opened) -> Call<Credentialed> { call.equip(opened) }
//! async fn send(upstream: Upstream, call: Call<Credentialed>) { let _ = upstream.send(call, Body::empty()).await; }
//! fn close(opened: Opened) { opened.close(Closing::bare(Outcome::Answered)); }
//! ```
//!
//! and none of these does. A call that no policy ruled on cannot be sent:
//!
//! ```compile_fail
//! use remit::{body::Body, call::{Attributed, Call}, origin::Upstream};
//! async fn send(upstream: Upstream, call: Call<Attributed>) { let _ = upstream.send(call, Body::empty()).await; }
//! ```
//!
//! A decided call cannot leave without the proof that its intention is written:
//!
//! ```compile_fail
//! use remit::call::{Call, Credentialed, Decided};
//! fn equip(call: Call<Decided>) -> Call<Credentialed> { call.equip() }
//! ```
//!
//! One that is held cannot go on, whoever says that it may: it would have to be ruled on again.
//!
//! ```compile_fail
//! use remit::call::{Call, Credentialed, Held, Opened};
//! fn equip(call: Call<Held>, opened: &Opened) -> Call<Credentialed> { call.equip(opened) }
//! ```
//!
//! A call is closed once:
//!
//! ```compile_fail
//! use remit::call::{Closing, Opened, Outcome};
//! fn close(opened: Opened) {
//!     opened.close(Closing::bare(Outcome::Answered));
//!     opened.close(Closing::bare(Outcome::Answered));
//! }
//! ```
//!
//! And nobody outside can make a proof:
//!
//! ```compile_fail
//! use remit::call::{Decision, RulesDigest, Ruling};
//! let ruling = Ruling::assertion(Decision::Allow, Vec::new(), None, RulesDigest([0; 32]));
//! ```

pub mod card;
pub mod decision;
pub mod facts;
pub mod grant;
pub mod handed;
pub mod hmac;
pub mod hold;
pub mod host;
pub mod id;
pub mod inert;
pub mod lease;
pub mod link;
pub mod meter;
pub mod money;
pub mod operation;
pub mod operator;
pub mod port;
pub mod principal;
pub mod receipt;
pub mod refusal;
pub mod secret;
pub mod shown;
pub mod stage;
pub mod target;
pub mod task;
pub mod time;
pub mod trace;
pub mod veil;
pub mod wire;

pub use card::Card;
pub use decision::{Decision, Mode, Opinion, PolicyId, Reason, RulesDigest, Ruling};
pub use facts::{Args, Direction, Facts};
pub use grant::{Budget, Grant};
pub use handed::{Handed, HandedLink, PeerName};
pub use hold::{Approval, CallDigest, Hold, HoldState, Quorum, Vote};
pub use host::{Host, Origin, Scheme};
pub use id::{CallId, EntryId, HoldId, LeaseId, TaskId};
pub use lease::{Dummy, Given, Gone, Handout, Leak, Lease, LeaseState, Leased, Seen, SeenError};
pub use link::TemplateLink;
pub use operation::{Ai, Class, Operation, OperationId, Operations, Recognition, Resource, ServiceName};
pub use operator::{Membership, Operator, OperatorId, Role};
pub use port::{Clock, Entropy, Fetch, FetchError};
pub use principal::{Certificates, Claims, Evidence, Presented, Principal, Process, SpiffeId, TrustDomain};
pub use receipt::{BodyFacts, CloseBook, Closing, Opened, Outcome, Receipt};
pub use refusal::{Fault, Refusal, Retry};
pub use secret::Secret;
pub use stage::{
    Account, Attributed, Call, Credentialed, Decided, Denied, Forwarded, Head, Held, Intercepted, Peek,
    Recognised, Ruled, Stage,
};
pub use target::Target;
pub use task::{
    AgentHistory, AgentKind, AgentProfile, Binding, History, IntentName, Link, Subject, Task, Terms,
    Thumbprint,
};
pub use time::Timestamp;
pub use trace::{SpanId, TraceContext, TraceId};
pub use wire::{AwsError, Dialect, JsonError, RpcCall, RpcRequest, SoapVersion, Wire};

#[cfg(test)]
mod tests;
