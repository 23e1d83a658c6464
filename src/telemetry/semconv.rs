//! Names of attributes: OpenTelemetry semantic conventions 1.37 where they have one (HTTP; `GenAI` and MCP, which have since
//! moved to a repository of their own with the same names), ours otherwise.

pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const GRPC_STATUS: &str = "rpc.grpc.status_code";
pub(super) const METHOD: &str = "http.request.method";
pub(super) const METHOD_ORIGINAL: &str = "http.request.method_original";
pub(super) const PROTOCOL_NAME: &str = "network.protocol.name";
pub(super) const PROTOCOL_VERSION: &str = "network.protocol.version";
pub(super) const REQUEST_SIZE: &str = "http.request.body.size";
pub(super) const RESPONSE_SIZE: &str = "http.response.body.size";
pub(super) const SCHEME: &str = "url.scheme";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";
pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";
pub(super) const STATUS: &str = "http.response.status_code";
/// Without the query: values may be secret.
pub(super) const URL_FULL: &str = "url.full";
pub(super) const URL_PATH: &str = "url.path";
pub(super) const USER_AGENT: &str = "user_agent.original";

pub(super) const AI_MODEL: &str = "gen_ai.request.model";
pub(super) const AI_OPERATION: &str = "gen_ai.operation.name";
pub(super) const AI_PROVIDER: &str = "gen_ai.provider.name";
pub(super) const AI_TOOL: &str = "gen_ai.tool.name";
pub(super) const MCP_METHOD: &str = "mcp.method.name";
/// `OpenInference`'s, by which Arize Phoenix shows a span as a tool's, a model's or an embedding's.
pub(super) const SPAN_KIND: &str = "openinference.span.kind";
pub(super) const TOOL: &str = "tool.name";

/// Whoever acts, then whoever delegated to them, nearest first; only where somebody did.
pub(super) const ACTORS: &str = "remit.actor.chain";
pub(super) const AGENT: &str = "remit.agent.id";
pub(super) const ARG_AMOUNT: &str = "remit.args.amount";
pub(super) const ARG_BRANCH: &str = "remit.args.branch";
pub(super) const ARG_CURRENCY: &str = "remit.args.currency";
pub(super) const ARG_EXTERNAL: &str = "remit.args.external";
pub(super) const ARG_RECIPIENTS: &str = "remit.args.recipients";
pub(super) const ARG_ROWS: &str = "remit.args.rows";
pub(super) const ARG_VISIBILITY: &str = "remit.args.visibility";
/// Who approved the call, where it was held before.
pub(super) const APPROVAL_BY: &str = "remit.approval.by";
pub(super) const CALL: &str = "remit.call.id";
/// What policies that are a candidate for the place of those in force would have ruled; `differs`: whether that is other than
/// what these say.
pub(super) const CANDIDATE_DECISION: &str = "remit.candidate.decision";
pub(super) const CANDIDATE_DIFFERS: &str = "remit.candidate.differs";
pub(super) const CANDIDATE_POLICIES: &str = "remit.candidate.policy.ids";
pub(super) const CANDIDATE_RULES: &str = "remit.candidate.rules.digest";
pub(super) const CLASS: &str = "remit.class";
pub(super) const DECISION: &str = "remit.decision";
/// `in` or `out`.
pub(super) const DIRECTION: &str = "remit.direction";
pub(super) const ENTRY: &str = "remit.journal.entry";
pub(super) const EVIDENCE: &str = "remit.agent.evidence";
/// The hold that the call waited for, or went out with.
pub(super) const HOLD: &str = "remit.hold.id";
pub(super) const INTENT: &str = "remit.task.intent";
/// The lease whose credential the call carried; `short_lived`: whether that ends with the task or soon after.
pub(super) const LEASE: &str = "remit.lease.id";
pub(super) const LEASE_PROVIDER: &str = "remit.lease.provider";
pub(super) const LEASE_SHORT_LIVED: &str = "remit.lease.short_lived";
/// What would have become of a call if the policies had been enforced.
pub(super) const OBSERVED_DECISION: &str = "remit.observed.decision";
pub(super) const OBSERVED_POLICIES: &str = "remit.observed.policy.ids";
pub(super) const OPERATION: &str = "remit.operation";
/// Only where a call has several.
pub(super) const OPERATIONS: &str = "remit.operations";
/// Of a window over a WebSocket: `operation=count`.
pub(super) const MESSAGES: &str = "remit.messages";
pub(super) const OUTCOME: &str = "remit.outcome";
pub(super) const POLICIES: &str = "remit.policy.ids";
pub(super) const RECOGNITION: &str = "remit.recognition";
pub(super) const REFUSAL: &str = "remit.refusal";
pub(super) const RESOURCE_ID: &str = "remit.resource.id";
pub(super) const RESOURCE_KIND: &str = "remit.resource.kind";
pub(super) const RESOURCE_LABELS: &str = "remit.resource.labels";
/// The format of a key of the agent's own.
pub(super) const BROUGHT_KEY: &str = "remit.brought_key";
/// An MCP tool that is described otherwise than before.
pub(super) const TOOL_DRIFTED: &str = "remit.tool.drifted";
pub(super) const RULES: &str = "remit.rules.digest";
pub(super) const SERVICE: &str = "remit.service";
pub(super) const TASK: &str = "remit.task.id";

/// Events of a span.
pub(super) const DECIDED: &str = "remit.decided";
pub(super) const FIRST_BYTE: &str = "remit.first_byte";

/// The methods that the conventions know; any other is told as `_OTHER`, its name beside it.
pub(super) const KNOWN_METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
