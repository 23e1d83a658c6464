//! JSON-RPC 2.0 with the Model Context Protocol and A2A over it, GraphQL over HTTP, and the messages of a WebSocket.
//!
//! These pair answers with requests by what the request says, and tell errors in the body. A tool call is answered with a
//! result that is an error and not with an error of the protocol: the former a model gets to read (MCP 2025-11-25, "Error
//! handling"), the latter its host may keep to itself.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Form, Reply, Said};
use crate::call::{CallId, Dialect, Refusal, RpcCall, RpcRequest};

/// JSON-RPC 2.0 §5.1 leaves -32000 to -32099 to servers.
const REFUSED: i64 = -32003;

impl Form for RpcCall {
    fn say(&self, said: &Said<'_>) -> Reply {
        let mut answers: Vec<Value> = self.requests.iter().map(|request| rpc_answer(request, said)).collect();
        if answers.is_empty() {
            // Nobody waits for an answer: MCP has the status say that nothing was taken.
            let nobody = json!({ "jsonrpc": "2.0", "id": null, "error": rpc_error(said) });
            return Reply::new(said.status(), "application/json", nobody.to_string());
        }
        let body = if self.batch { Value::Array(answers) } else { answers.swap_remove(0) };
        if self.stream {
            let event = format!("event: message\ndata: {body}\n\n");
            return Reply::new(said.status_inside(), "text/event-stream", event);
        }
        Reply::new(said.status_inside(), "application/json", body.to_string())
    }
}

fn rpc_answer(request: &RpcRequest, said: &Said<'_>) -> Value {
    let id: Value = serde_json::from_str(&request.id).unwrap_or_default();
    if !request.tool || said.is_challenge() {
        return json!({ "jsonrpc": "2.0", "id": id, "error": rpc_error(said) });
    }
    let result = json!({
        "content": [{ "type": "text", "text": said.message() }],
        "isError": true,
        "_meta": { "remit/refusal": said.facts() },
    });
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn rpc_error(said: &Said<'_>) -> Value {
    json!({ "code": REFUSED, "message": said.message(), "data": said.facts() })
}

/// GraphQL over HTTP.
pub(super) struct GraphQl {
    pub(super) batch: Option<usize>,
    pub(super) own_media: bool,
}

impl Form for GraphQl {
    /// Under `application/json` a status other than 200 may come from anybody on the way, so clients do not look into the body
    /// (GraphQL over HTTP draft, "Status codes"); the protocol's own media type has no such doubt.
    fn say(&self, said: &Said<'_>) -> Reply {
        let one = json!({ "errors": [{ "message": said.message(), "extensions": said.facts() }] });
        let body = match self.batch {
            None => one,
            Some(count) => Value::Array(vec![one; count.max(1)]),
        };
        if self.own_media {
            return Reply::new(said.status(), "application/graphql-response+json", body.to_string());
        }
        Reply::new(said.status_inside(), "application/json", body.to_string())
    }
}

/// What a client gets over a WebSocket in the place of what its message asked for. `None`: nothing that it could make sense
/// of, so the connection is to end with [`close_reason`](super::close_reason).
pub fn message(refusal: &Refusal, dialect: &Dialect, call: CallId) -> Option<String> {
    let said = Said { refusal, call: Some(call) };
    let answer = match dialect {
        Dialect::None => return None,
        Dialect::JsonRpc { id, tool } => rpc_answer(&RpcRequest { id: id.clone(), tool: *tool }, &said),
        Dialect::GraphQl { id, old } => {
            let error = json!({ "message": said.message(), "extensions": said.facts() });
            let payload = if *old { error } else { json!([error]) };
            json!({ "id": id, "type": "error", "payload": payload })
        }
        Dialect::Event { event } => {
            let error = json!({
                "type": "invalid_request_error", "code": refusal.code(), "message": said.message(), "param": null,
                "event_id": event, "call": call,
            });
            let status: StatusCode = said.status();
            json!({ "type": "error", "event_id": format!("remit_{call}"), "status": status.as_u16(), "error": error })
        }
    };
    Some(answer.to_string())
}
