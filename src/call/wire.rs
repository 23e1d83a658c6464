//! In which form a caller wants to be told that its call was refused: that of the protocol in which it was made, so that
//! its library raises what it raises for a refusal of the service's own.
//!
//! `catalog` finds it out from the call, `accept` writes it. Service names have no place here.

use serde::{Deserialize, Serialize};

/// How whoever sent a request wants to be told that it was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// An error of one of AWS's protocols.
    Aws(AwsError),
    /// The Connect protocol: an error in JSON.
    Connect,
    /// A `google.rpc` status in the header fields (trailers-only).
    Grpc,
    /// The same for gRPC-Web, under the media type of the request.
    GrpcWeb {
        /// `application/grpc-web+proto`.
        media: String,
    },
    /// A GraphQL response with `errors`.
    GraphQl {
        /// For a batch, how many responses are expected.
        batch: Option<usize>,
        /// Whether the client takes `application/graphql-response+json`.
        own_media: bool,
    },
    /// JSON, as clients of this kind of service read errors from it.
    Json(JsonError),
    /// JSON-RPC 2.0: the Model Context Protocol, A2A, and others.
    JsonRpc(RpcCall),
    /// A token endpoint (RFC 6749 §5.2).
    OAuth,
    /// A problem (RFC 9457).
    #[default]
    Problem,
    /// A fault in a SOAP envelope.
    Soap(SoapVersion),
    /// Plain text: git shows it to its user, line by line.
    Text,
    /// `WebDAV`: an `error` element (RFC 4918 §16).
    WebDav,
}

/// The error bodies of AWS's protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsError {
    /// Smithy RPC v2.
    Cbor,
    /// As `query`, under another root.
    Ec2,
    /// JSON 1.0 and 1.1: the code is in the body.
    Json,
    /// An `ErrorResponse` in XML; so does rest-xml.
    Query,
    /// JSON, with the code in a header field as well.
    RestJson,
    /// A bare `Error` in XML, as S3 has it.
    Xml,
}

/// Shapes of JSON in which families of clients look for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JsonError {
    /// `{"error": {"type", "code", "message"}}`.
    ErrorObject,
    /// `{"error": {"code": 403, "message", "status": "PERMISSION_DENIED", "details"}}` (AIP-193).
    Google,
    /// `{"kind": "Status", "status": "Failure", "message", "reason", "code": 403}` (Kubernetes).
    KubernetesStatus,
    /// `{"message"}`.
    Message,
    /// `{"error": {"code", "message", "innererror"}}` (`OData` JSON format 4.01 §21.1).
    Odata,
    /// `{"ok": false, "error"}`, with a status that says yes.
    OkFalse,
    /// `{"type": "error", "error": {"type", "message"}}`.
    TypedError,
}

/// A version of SOAP, by the namespace of its envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoapVersion {
    /// SOAP 1.1.
    V1_1,
    /// SOAP 1.2.
    V1_2,
}

/// The messages of a JSON-RPC request that want an answer, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcCall {
    /// One for each request; notifications want none.
    pub requests: Vec<RpcRequest>,
    /// Whether they came in a list, and are answered in one.
    pub batch: bool,
    /// Whether the caller takes an event stream and nothing else.
    pub stream: bool,
}

/// One JSON-RPC request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcRequest {
    /// Its `id`, as JSON.
    pub id: String,
    /// Whether it calls a tool (MCP), so that a model reads the answer.
    pub tool: bool,
}

/// How whoever sent a message wants to be told that it was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As an `error` event of a model provider.
    Event {
        /// The event's own id.
        event: Option<String>,
    },
    /// As an `error` message of GraphQL over WebSocket.
    GraphQl {
        /// The subscription's id.
        id: String,
        /// `subscriptions-transport-ws`, whose payload is one error and not a list.
        old: bool,
    },
    /// As an answer of JSON-RPC.
    JsonRpc {
        /// The request's `id`, as JSON.
        id: String,
        /// Whether it calls a tool (MCP).
        tool: bool,
    },
    /// There is no word for it: the connection ends.
    None,
}
