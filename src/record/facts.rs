//! What an entry says of a call: who, for what, which operations, which request, what was decided.
//!
//! Nothing secret by construction: of the headers only `user-agent` and the media type of `content-type` are taken; query
//! values are replaced by the beginning of their SHA-256 (unsalted, so that equal values can be told; a value with few
//! bits of its own can be guessed from it); bodies are told by size and digest. Where names stand that somebody else
//! chose (the path, the names in the query, the agent's own name), words that look like secrets are digested as well
//! ([`veil`]), but for those that the catalog itself names as the resource. Such text is bounded and stripped of control
//! characters.

use http::{HeaderMap, HeaderName, Version, header};
use serde::{Deserialize, Serialize};

use super::entry::instant;
use super::hold::ApprovalFacts;
use crate::call::stage::Upgrade;
use crate::call::task::IntentName;
use crate::call::veil::{short_digest, veil};
use crate::call::{
    Account, AgentProfile, Attributed, CallId, Claims, Decision, Evidence, Head, History, HoldId, Link, Mode,
    Operation, Operations, OperatorId, Opinion, PolicyId, Process, Recognition, Refusal, Ruling, SpiffeId,
    Target, Task, TaskId, Terms, Timestamp,
};

/// Everything that is known of a call when it is opened or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFacts {
    /// Its id.
    pub call: CallId,
    /// When its head was complete.
    #[serde(with = "instant")]
    pub began: Timestamp,
    /// Trace id, 32 hex digits.
    pub trace: String,
    /// The call's own span, 16 hex digits.
    pub span: String,
    /// The agent's span.
    pub parent: Option<String>,
    /// The `trace-flags` byte.
    pub flags: u8,
    /// The other end of the agent's connection.
    pub peer: String,
    /// The process that connected, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Who.
    pub agent: Option<SpiffeId>,
    /// What that rests on.
    pub evidence: Option<Evidence>,
    /// What its JWT-SVID says of it beside its name.
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
    /// For which task.
    pub task: Option<TaskId>,
    /// What that task is about.
    pub intent: Option<IntentName>,
    /// What the call would do, in the order of the request.
    pub operations: Vec<Operation>,
    /// How it was asked for.
    pub http: HttpFacts,
    /// What the task had done before, as the policies saw it.
    pub history: Option<History>,
    /// What its agent is; absent where nobody put it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<AgentProfile>>,
    /// The tasks above, nearest first: the call was judged in the place of each of them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkFacts>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// By which policies.
    pub policies: Vec<PolicyId>,
    /// What no policy says.
    pub note: Option<Text>,
    /// Under which rules.
    pub rules: Option<String>,
    /// That people approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<ApprovalFacts>>,
    /// Why it was refused.
    pub refusal: Option<RefusalFacts>,
    /// The hold that it waited for, or whose end refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldId>,
    /// Where policies are only observed: what they say. The call went on all the same, so `decision` is `allow`, and by no
    /// policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Box<Opinion>>,
    /// What a candidate for the place of the policies would have ruled on a refused call; of others the closing says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Box<Opinion>>,
}

/// A task above the one that a call is made for, as it was judged in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFacts {
    /// Which.
    pub task: TaskId,
    /// Who works on it.
    pub agent: SpiffeId,
    /// What it is about.
    pub intent: IntentName,
    /// What it had done before, and those below it.
    pub history: History,
    /// What its agent is; absent where nobody put it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<AgentProfile>>,
}

/// The request's head, less whatever may be secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpFacts {
    /// The method, as sent.
    pub method: Text,
    /// `http` or `https`.
    pub scheme: String,
    /// The canonical host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The normalised path; a word that looks like a secret is `~` and the beginning of its SHA-256.
    pub path: String,
    /// The parameters, by name.
    pub query: Vec<QueryFact>,
    /// The version on the agent's leg: `1.0`, `1.1`, `2`.
    pub version: String,
    /// `User-Agent`.
    pub user_agent: Option<Text>,
    /// `Content-Type`, without its parameters.
    pub content_type: Option<Text>,
    /// Whether it asks for a WebSocket, or is said over one.
    pub websocket: bool,
    /// Whether it is a message over a WebSocket; the rest is said of the request that opened it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub message: bool,
}

/// One parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryFact {
    /// Its name, as sent, veiled as the path is. Empty where the query has no `=`: such a text is taken for a value.
    pub name: Text,
    /// The first 16 hex digits of the value's SHA-256, as sent.
    pub sha256: String,
}

/// A refusal, as the caller saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalFacts {
    /// The stable code.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The cause in one line.
    pub message: Text,
    /// From interception to the refusal, nanoseconds.
    pub after_ns: Option<u64>,
}

/// A task, as it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFacts {
    /// Its id.
    pub task: TaskId,
    /// Who works on it.
    pub agent: SpiffeId,
    /// What for.
    pub intent: IntentName,
    /// The operator's words.
    pub labels: std::collections::BTreeMap<String, String>,
    /// When it was opened.
    #[serde(with = "instant")]
    pub opened: Timestamp,
    /// When it ends by itself.
    #[serde(with = "instant")]
    pub deadline: Timestamp,
    /// For whom, from whom, how far it reaches; absent in entries of before there were terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Box<Terms>>,
    /// The operator who opened it; absent where a call or the node itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<OperatorId>,
}

/// Text that somebody else chose: one line, no control characters, at most [`Text::LIMIT_CHARS`] characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// What is longer ends in `…`.
    pub const LIMIT_CHARS: usize = 500;

    /// Bounds a text.
    pub fn new(text: &str) -> Self {
        Self::within(text, Self::LIMIT_CHARS)
    }

    fn within(text: &str, limit_chars: usize) -> Self {
        let mut printable = text.chars().filter(|c| !c.is_control());
        let mut kept: String = printable.by_ref().take(limit_chars).collect();
        if printable.next().is_some() {
            kept.push('…');
        }
        Self(kept)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl CallFacts {
    pub(super) fn of(account: Account<'_>) -> Self {
        let Account { head, presented, operations, attributed, ruling, mode, candidate } = account;
        let observed =
            ruling.filter(|_| mode == Mode::Observe).map(|ruling| Box::new(Opinion::observed(ruling)));
        let forceful = ruling.filter(|_| observed.is_none());
        Self {
            call: head.id,
            began: head.at,
            trace: head.trace.trace.to_string(),
            span: head.trace.span.to_string(),
            parent: head.trace.parent.map(|span| span.to_string()),
            flags: head.trace.flags,
            peer: presented.peer.to_string(),
            process: presented.process.as_deref().cloned(),
            agent: attributed.map(|a| a.principal.agent.clone()),
            evidence: attributed.map(|a| a.principal.evidence),
            claims: attributed.map(|a| a.principal.claims.clone()).unwrap_or_default(),
            task: attributed.map(|a| a.task.id),
            intent: attributed.map(|a| a.task.intent.clone()),
            operations: operations.map(|all| all.iter().map(bounded).collect()).unwrap_or_default(),
            http: HttpFacts::of(head, &named(operations)),
            history: attributed.map(|a: &Attributed| a.history.clone()),
            profile: attributed.and_then(|a| put_down(&a.profile)),
            links: attributed.map(|a| a.links.iter().map(LinkFacts::of).collect()).unwrap_or_default(),
            decision: if observed.is_some() { Some(Decision::Allow) } else { ruling.map(Ruling::decision) },
            policies: forceful
                .map(|r| r.reasons().iter().map(|r| r.policy.clone()).collect())
                .unwrap_or_default(),
            note: forceful.and_then(|r| r.note().map(Text::new)),
            rules: ruling.map(|r| r.rules().to_string()),
            approval: attributed
                .and_then(|a| a.approval.as_deref())
                .map(|approval| Box::new(ApprovalFacts::of(approval))),
            refusal: None,
            hold: None,
            observed,
            candidate: candidate.cloned().map(Box::new),
        }
    }

    /// What the policies said, whether that had any force or not.
    pub fn ruled(&self) -> Option<Decision> {
        self.observed.as_ref().map(|observed| observed.decision).or(self.decision)
    }

    /// The operation that names the call: the strongest, the first of them where several are equally strong.
    pub fn strongest(&self) -> Option<&Operation> {
        let mut all = self.operations.iter();
        let first = all.next()?;
        Some(all.fold(first, |best, next| if next.class > best.class { next } else { best }))
    }
}

impl LinkFacts {
    fn of(link: &Link) -> Self {
        let Link { task, profile, history } = link;
        Self {
            task: task.id,
            agent: task.agent.clone(),
            intent: task.intent.clone(),
            history: history.clone(),
            profile: put_down(profile),
        }
    }
}

fn put_down(profile: &AgentProfile) -> Option<Box<AgentProfile>> {
    profile.registered.then(|| Box::new(profile.clone()))
}

/// What the catalog's own descriptions name as resources: those words are names, whatever they look like.
fn named(operations: Option<&Operations>) -> String {
    let exact = operations.into_iter().flat_map(Operations::iter).filter(|o| o.how == Recognition::Exact);
    let names: Vec<_> = exact.filter_map(|o| o.resource.as_ref()).map(|r| r.id.as_str()).collect();
    names.join(" ")
}

/// A resource's name may come from a body, so it is bounded like any other text; so are a model's and a tool's. Where no
/// description says that it is a name, it is veiled.
fn bounded(operation: &Operation) -> Operation {
    let mut operation = operation.clone();
    if let Some(resource) = &mut operation.resource {
        let known = if operation.how == Recognition::Exact { resource.id.as_str() } else { "" };
        resource.id = Text::new(&veil(&resource.id, known)).0;
    }
    if let Some(ai) = &mut operation.ai {
        for name in [&mut ai.model, &mut ai.tool].into_iter().flatten() {
            *name = Text::within(name, 200).0;
        }
    }
    let facts = &mut operation.facts;
    facts.ancestors.iter_mut().for_each(|object| object.id = Text::new(&object.id).0);
    for text in [&mut facts.args.currency, &mut facts.args.visibility, &mut facts.args.branch] {
        *text = text.take().map(|text| Text::within(&text, 100).0);
    }
    operation
}

impl HttpFacts {
    fn of(head: &Head, known: &str) -> Self {
        Self {
            method: Text::within(&veil(head.method.as_str(), ""), 32),
            scheme: head.origin.scheme.as_str().to_owned(),
            host: head.origin.host.to_string(),
            port: head.origin.port,
            path: veil(head.target.path(), known).into_owned(),
            query: query(&head.target),
            version: version(head.version).to_owned(),
            user_agent: header_text(&head.headers, &header::USER_AGENT),
            content_type: media_type(&head.headers),
            websocket: head.upgrade.is_some(),
            message: head.upgrade == Some(Upgrade::Message),
        }
    }
}

/// Parameters beyond this many are told together, as one value without a name.
const QUERY_LIMIT: usize = 64;

fn query(target: &Target) -> Vec<QueryFact> {
    let Some(query) = target.query().filter(|query| !query.is_empty()) else { return Vec::new() };
    query
        .splitn(QUERY_LIMIT, '&')
        .map(|pair| {
            let (name, value) = match pair.split_once('=') {
                // The last piece may be all the rest; its first name is no name for it.
                Some((name, value)) if !value.contains('&') => (name, value),
                _ => ("", pair),
            };
            QueryFact { name: Text::within(&veil(name, ""), 100), sha256: short_digest(value) }
        })
        .collect()
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<Text> {
    headers.get(name).map(|value| Text::within(&veil(&String::from_utf8_lossy(value.as_bytes()), ""), 200))
}

/// Without parameters: what is in a `boundary` is nobody's business.
fn media_type(headers: &HeaderMap) -> Option<Text> {
    let whole = header_text(headers, &header::CONTENT_TYPE)?;
    Some(Text::new(whole.as_str().split(';').next().unwrap_or_default().trim()))
}

impl RefusalFacts {
    pub(super) fn of(refusal: &Refusal, after_ns: Option<u64>) -> Self {
        Self {
            code: refusal.code().to_owned(),
            status: refusal.status().as_u16(),
            message: Text::new(&refusal.to_string()),
            after_ns,
        }
    }
}

impl From<&Task> for TaskFacts {
    fn from(task: &Task) -> Self {
        Self {
            task: task.id,
            agent: task.agent.clone(),
            intent: task.intent.clone(),
            labels: task.labels.clone(),
            opened: task.opened,
            deadline: task.deadline,
            terms: (task.terms != Terms::default()).then(|| Box::new(task.terms.clone())),
            by: None,
        }
    }
}
