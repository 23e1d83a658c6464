//! The errors of AWS's protocols (Smithy: awsJson, awsQuery, ec2Query, restJson1, restXml, rpcv2Cbor): their SDKs make an
//! exception of the code, and show the message.

use http::StatusCode;
use serde_json::json;

use super::xml::escape;
use super::{Form, Reply, Said};
use crate::call::AwsError;

/// The code; SDKs try none of these again of themselves, but for the last.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::URI_TOO_LONG
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "InvalidRequest",
        StatusCode::TOO_MANY_REQUESTS => "LimitExceeded",
        status if status.is_server_error() => "ServiceUnavailable",
        _ => "AccessDenied",
    }
}

impl Form for AwsError {
    fn say(&self, said: &Said<'_>) -> Reply {
        let (status, message, call) = (said.status(), said.message(), said.call_text());
        let code = code(status);
        let facts = |kind: &str| {
            let mut members = said.facts();
            members.insert("code".to_owned(), json!(code));
            members.insert(kind.to_owned(), json!(code));
            members.insert("message".to_owned(), json!(message));
            serde_json::Value::Object(members).to_string()
        };
        let xml = |inner: String| format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{inner}");
        let told = format!("<Code>{code}</Code><Message>{}</Message>", escape(&message));
        let reply = match self {
            Self::Json => Reply::new(status, "application/x-amz-json-1.1", facts("__type")),
            Self::RestJson => {
                Reply::new(status, "application/json", facts("__type")).field("x-amzn-errortype", code)
            }
            Self::Cbor => {
                Reply::new(status, "application/cbor", cbor(&[("__type", code), ("message", &message)]))
                    .field("smithy-protocol", "rpc-v2-cbor")
            }
            Self::Query => {
                let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
                let error = format!("<Error><Type>{fault}</Type>{told}</Error>");
                let body = format!("<ErrorResponse>{error}<RequestId>{call}</RequestId></ErrorResponse>");
                Reply::new(status, "text/xml", xml(body))
            }
            Self::Ec2 => {
                let error = format!("<Errors><Error>{told}</Error></Errors>");
                let body = format!("<Response>{error}<RequestID>{call}</RequestID></Response>");
                Reply::new(status, "text/xml", xml(body))
            }
            Self::Xml => {
                let body = format!("<Error>{told}<RequestId>{call}</RequestId></Error>");
                Reply::new(status, "application/xml", xml(body))
            }
        };
        let id = if *self == Self::Xml { "x-amz-request-id" } else { "x-amzn-requestid" };
        reply.field(id, call)
    }
}

/// A map of texts (RFC 8949 §3).
fn cbor(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    major(&mut out, 5, pairs.len());
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        major(&mut out, 3, text.len());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// An initial byte with its argument, in the form of eight bytes unless one will do.
fn major(out: &mut Vec<u8>, kind: u8, argument: usize) {
    match u8::try_from(argument) {
        Ok(small) if small < 24 => out.push((kind << 5) + small),
        _ => {
            out.push((kind << 5) + 27);
            out.extend_from_slice(&(argument as u64).to_be_bytes());
        }
    }
}
