//! One call, one span.
//!
//! The kind is CLIENT: towards the origin remit is the client, and the span's id is what the origin gets as its parent.
//! A refused call is the client call that did not happen; it has the same kind, so that one query finds both. As the
//! conventions want it for CLIENT, an answer of 400 and above is an error, and so is every refusal.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::pair::Finished;
use super::semconv as name;
use crate::call::{Closing, Operation, Outcome, Recognition, SpanId};
use crate::record::CallFacts;

/// `SpanFlags` of the protocol: whether the parent is known to be remote, and that it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

pub(super) fn span(finished: &Finished) -> Span {
    let Finished { facts, closing, ended, .. } = finished;
    let began = facts.began.unix_ns();
    let remote = if facts.parent.is_some() { HAS_IS_REMOTE | IS_REMOTE } else { 0 };
    let fault = fault(facts, closing.as_ref());
    Span {
        trace_id: unhex(&facts.trace),
        span_id: SpanId::of_call(facts.call).0.to_vec(),
        parent_span_id: facts.parent.as_deref().map(unhex).unwrap_or_default(),
        flags: u32::from(facts.flags) | remote,
        name: title(facts),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: began,
        end_time_unix_nano: ended.unix_ns(),
        attributes: attributes(finished, fault.as_ref()),
        events: events(began, closing.as_ref()),
        status: fault.map(|fault| Status { code: StatusCode::Error.into(), message: fault.message }),
        ..Span::default()
    }
}

/// The operation; the method alone where it was refused before it had a name.
fn title(facts: &CallFacts) -> String {
    match facts.strongest() {
        Some(operation) => operation.id.to_string(),
        None => facts.http.method.to_string(),
    }
}

/// What went wrong: a word of low cardinality, and a sentence.
struct Fault {
    kind: String,
    message: String,
}

fn fault(facts: &CallFacts, closing: Option<&Closing>) -> Option<Fault> {
    if let Some(refusal) = &facts.refusal {
        return Some(Fault { kind: refusal.code.clone(), message: refusal.message.to_string() });
    }
    let closing = closing?;
    let message = closing.error.clone().unwrap_or_default();
    if let Some(code) = &closing.refusal {
        return Some(Fault { kind: code.clone(), message });
    }
    match closing.outcome {
        Outcome::Answered => answered_badly(closing).map(|kind| Fault { kind, message }),
        other => Some(Fault { kind: other.as_str().to_owned(), message }),
    }
}

/// gRPC answers with 200 and tells how it went behind the body.
fn answered_badly(closing: &Closing) -> Option<String> {
    let status = closing.status.filter(|&status| status >= 400).map(|status| status.to_string());
    status.or_else(|| closing.grpc_status.filter(|&code| code != 0).map(|code| code.to_string()))
}

fn events(began: u64, closing: Option<&Closing>) -> Vec<Event> {
    let at = |ns: u64, name: &str| Event {
        time_unix_nano: began.saturating_add(ns),
        name: name.to_owned(),
        ..Event::default()
    };
    let Some(closing) = closing else { return Vec::new() };
    let decided = Some(closing.decided_ns).filter(|&ns| ns != 0).map(|ns| at(ns, name::DECIDED));
    let first_byte = closing.first_byte_ns.map(|ns| at(ns, name::FIRST_BYTE));
    decided.into_iter().chain(first_byte).collect()
}

/// Attributes in the making: what is not known is left out.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, key: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
    }

    fn text(&mut self, key: &str, value: &(impl ToString + ?Sized)) {
        self.put(key, Value::StringValue(value.to_string()));
    }

    fn text_if(&mut self, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.text(key, &value);
        }
    }

    fn number(&mut self, key: &str, value: impl TryInto<i64>) {
        self.put(key, Value::IntValue(value.try_into().unwrap_or(i64::MAX)));
    }

    fn list(&mut self, key: &str, values: impl Iterator<Item = String>) {
        let values =
            values.map(|text| AnyValue { value: Some(Value::StringValue(text)) }).collect::<Vec<_>>();
        if !values.is_empty() {
            self.put(key, Value::ArrayValue(ArrayValue { values }));
        }
    }
}

fn attributes(finished: &Finished, fault: Option<&Fault>) -> Vec<KeyValue> {
    let Finished { facts, entry, closing, .. } = finished;
    let mut all = Attributes::default();
    ours(&mut all, facts);
    if let Some(operation) = facts.strongest() {
        ai(&mut all, operation);
    }
    all.number(name::ENTRY, entry.0);
    request(&mut all, facts);
    match closing {
        Some(closing) => answer(&mut all, closing),
        None => all.text(name::OUTCOME, "refused"),
    }
    candidate(&mut all, facts, closing.as_ref());
    let refusal = facts.refusal.as_ref().map(|refusal| refusal.code.as_str());
    let refusal = refusal.or(closing.as_ref().and_then(|closing| closing.refusal.as_deref()));
    all.text_if(name::REFUSAL, refusal);
    if let Some(refusal) = &facts.refusal {
        all.number(name::STATUS, refusal.status);
    }
    all.text_if(name::ERROR_TYPE, fault.map(|fault| &fault.kind));
    all.0
}

fn ours(all: &mut Attributes, facts: &CallFacts) {
    all.text(name::CALL, &facts.call);
    if let Some(operation) = facts.strongest() {
        all.text(name::OPERATION, &operation.id);
        all.text(name::CLASS, &operation.class);
        all.text(name::SERVICE, &operation.service);
        all.text(name::RECOGNITION, Recognition::as_str(operation.how));
        if let Some(resource) = &operation.resource {
            all.text(name::RESOURCE_KIND, &resource.kind);
            all.text(name::RESOURCE_ID, &resource.id);
        }
        told(all, operation);
    }
    if facts.operations.len() > 1 {
        all.list(name::OPERATIONS, facts.operations.iter().map(|operation| operation.id.to_string()));
    }
    // Refused at the door, before any policy was asked: that is a no as well.
    let decision = facts.decision.map(crate::call::Decision::as_str);
    all.text_if(name::DECISION, decision.or(facts.refusal.as_ref().map(|_| "deny")));
    all.list(name::POLICIES, facts.policies.iter().map(ToString::to_string));
    if let Some(approval) = &facts.approval {
        all.list(name::APPROVAL_BY, approval.by.iter().map(ToString::to_string));
    }
    let hold = facts.approval.as_ref().map(|approval| approval.hold).or(facts.hold);
    all.text_if(name::HOLD, hold.as_ref());
    if let Some(observed) = &facts.observed {
        all.text(name::OBSERVED_DECISION, observed.decision.as_str());
        all.list(name::OBSERVED_POLICIES, observed.policies.iter().map(ToString::to_string));
    }
    all.text_if(name::RULES, facts.rules.as_ref());
    all.text_if(name::AGENT, facts.agent.as_ref());
    if !facts.links.is_empty() {
        let above = facts.links.iter().map(|link| &link.agent);
        all.list(name::ACTORS, facts.agent.iter().chain(above).map(ToString::to_string));
    }
    all.text_if(name::EVIDENCE, facts.evidence.map(crate::call::Evidence::as_str));
    all.text_if(name::TASK, facts.task);
    all.text_if(name::INTENT, facts.intent.as_ref());
}

/// What a candidate for the place of the policies says, and whether that is something else.
fn candidate(all: &mut Attributes, facts: &CallFacts, closing: Option<&Closing>) {
    let told = facts.candidate.as_ref().or_else(|| closing?.candidate.as_ref());
    let Some(opinion) = told else { return };
    all.text(name::CANDIDATE_DECISION, opinion.decision.as_str());
    all.list(name::CANDIDATE_POLICIES, opinion.policies.iter().map(ToString::to_string));
    all.text_if(name::CANDIDATE_RULES, opinion.rules.as_ref());
    all.put(name::CANDIDATE_DIFFERS, Value::BoolValue(facts.ruled() != Some(opinion.decision)));
}

/// What a model or a tool was asked. An operation that the catalog names is a tool to the agent that calls it, whether
/// it was called by MCP or not; `OpenInference` has a kind for that, OpenTelemetry only for the former.
fn ai(all: &mut Attributes, operation: &Operation) {
    let ai = operation.ai.as_deref().cloned().unwrap_or_default();
    all.text_if(name::AI_OPERATION, ai.operation.as_ref());
    all.text_if(name::AI_PROVIDER, ai.provider.as_ref());
    all.text_if(name::AI_MODEL, ai.model.as_ref());
    all.text_if(name::AI_TOOL, ai.tool.as_ref());
    all.text_if(name::MCP_METHOD, ai.mcp_method.as_ref());
    let known = operation.how == Recognition::Exact;
    let kind = match ai.operation.as_deref() {
        Some("embeddings") => Some("EMBEDDING"),
        Some("execute_tool") => Some("TOOL"),
        Some(_) => Some("LLM"),
        None => known.then_some("TOOL"),
    };
    all.text_if(name::SPAN_KIND, kind);
    if kind == Some("TOOL") {
        all.text(name::TOOL, ai.tool.as_deref().unwrap_or(&operation.id.0));
    }
}

/// What is known of an operation beside its name.
fn told(all: &mut Attributes, operation: &Operation) {
    let crate::call::Facts { labels, args, drifted, brought_key, .. } = &operation.facts;
    all.text(name::DIRECTION, operation.direction().as_str());
    all.list(name::RESOURCE_LABELS, labels.iter().map(ToString::to_string));
    if let Some(amount) = args.amount {
        all.number(name::ARG_AMOUNT, amount);
    }
    all.text_if(name::ARG_CURRENCY, args.currency.as_ref());
    all.text_if(name::ARG_VISIBILITY, args.visibility.as_ref());
    all.text_if(name::ARG_BRANCH, args.branch.as_ref());
    let counts = [
        (name::ARG_RECIPIENTS, args.recipients),
        (name::ARG_EXTERNAL, args.external),
        (name::ARG_ROWS, args.rows),
    ];
    for (key, count) in counts {
        if let Some(count) = count {
            all.number(key, count);
        }
    }
    all.text_if(name::BROUGHT_KEY, brought_key.as_ref());
    if *drifted {
        all.put(name::TOOL_DRIFTED, Value::BoolValue(true));
    }
}

fn request(all: &mut Attributes, facts: &CallFacts) {
    let http = &facts.http;
    let method = http.method.as_str();
    if name::KNOWN_METHODS.contains(&method) {
        all.text(name::METHOD, method);
    } else {
        all.text(name::METHOD, "_OTHER");
        all.text(name::METHOD_ORIGINAL, method);
    }
    all.text(name::SERVER_ADDRESS, &http.host);
    all.number(name::SERVER_PORT, http.port);
    all.text(name::SCHEME, &http.scheme);
    all.text(name::URL_PATH, &http.path);
    all.text(name::URL_FULL, &url(facts));
    all.text(name::PROTOCOL_NAME, "http");
    all.text(name::PROTOCOL_VERSION, &http.version);
    all.text_if(name::USER_AGENT, http.user_agent.as_ref());
}

/// The URL less its query.
pub(super) fn url(facts: &CallFacts) -> String {
    let http = &facts.http;
    let port = match (http.scheme.as_str(), http.port) {
        ("https", 443) | ("http", 80) => String::new(),
        (_, port) => format!(":{port}"),
    };
    format!("{}://{}{port}{}", http.scheme, http.host, http.path)
}

fn answer(all: &mut Attributes, closing: &Closing) {
    all.text(name::OUTCOME, closing.outcome.as_str());
    if let Some(status) = closing.status {
        all.number(name::STATUS, status);
    }
    if let Some(status) = closing.grpc_status {
        all.number(name::GRPC_STATUS, status);
    }
    all.list(
        name::MESSAGES,
        closing.messages.iter().map(|(operation, count)| format!("{operation}={count}")),
    );
    if let Some(lease) = &closing.lease {
        all.text(name::LEASE, &lease.id);
        all.text(name::LEASE_PROVIDER, &*lease.provider);
        all.put(name::LEASE_SHORT_LIVED, Value::BoolValue(lease.short_lived));
    }
    all.number(name::REQUEST_SIZE, closing.request.bytes);
    all.number(name::RESPONSE_SIZE, closing.response.bytes);
}

/// The journal writes ids in lower-case hex; what is none becomes empty, which collectors take for absent.
fn unhex(text: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
    text.as_bytes().chunks(2).map(pair).collect::<Option<_>>().unwrap_or_default()
}
