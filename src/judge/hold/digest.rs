//! What an approval is bound to.
//!
//! Everything counts that could change what happens: who, for which task, under which rules, method, origin, target, every
//! header field but those below, and the body. Left out is what differs from one sending of the same call to the next by
//! its nature, or would: an approval would otherwise never find its call again.

use http::HeaderName;
use http::header::{AUTHORIZATION, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::call::{Attributed, CallDigest, Head, RulesDigest, shown};

/// Fields that say nothing of what is asked for. Of the connection (RFC 9110 §7.6.1); of one attempt: its time, its number, its
/// place in a trace, how its answer may be packed, and keys that keep a retry from happening twice.
const PASSING: [&str; 39] = [
    "accept-encoding",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "b3",
    "cf-ray",
    "client-request-id",
    "connection",
    "content-length",
    "date",
    "dpop",
    "expect",
    "idempotency-key",
    "keep-alive",
    "priority",
    "proxy-authorization",
    "proxy-connection",
    "remit-chain",
    "request-id",
    "retry-attempt",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    "sentry-trace",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "user-agent",
    "x-amz-date",
    "x-amz-security-token",
    "x-client-request-id",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-idempotency-key",
    "x-ms-client-request-id",
    "x-request-id",
    "x-retry-count",
    "x-amzn-trace-id",
];
/// And all that begin so.
const PASSING_PREFIXES: [&str; 3] = ["x-b3-", "x-datadog-", "x-stainless-"];

/// Whether a header field is part of what is approved.
pub fn is_bound(name: &HeaderName) -> bool {
    let name = name.as_str();
    !PASSING.contains(&name) && !PASSING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A body, and what its server is known to take it for.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// For what it is.
    Bytes(&'a [u8]),
    /// For JSON-RPC: the ids by which answers find their requests mean nothing else to it.
    Rpc(&'a [u8]),
}

/// The digest of a call with this body, under these rules.
pub fn digest(head: &Head, stage: &Attributed, body: Read<'_>, rules: RulesDigest) -> CallDigest {
    let mut sum = Sha256::new();
    let mut put = |part: &[u8]| {
        // With its length, so that nothing can run into the next.
        sum.update((part.len() as u64).to_be_bytes());
        sum.update(part);
    };
    put(b"remit held call 1");
    put(stage.principal.agent.as_str().as_bytes());
    put(&stage.task.id.to_bytes());
    put(&rules.0);
    put(head.method.as_str().as_bytes());
    put(head.origin.to_string().as_bytes());
    put(head.target.raw().as_bytes());
    put(format!("{:?}", head.upgrade).as_bytes());
    let mut fields: Vec<_> = head.headers.iter().filter(|(name, _)| is_bound(name)).collect();
    // Stable: values of one name keep their order, which means something.
    fields.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    for (name, value) in fields {
        put(name.as_str().as_bytes());
        put(if *name == AUTHORIZATION { signer(value) } else { value.as_bytes() });
    }
    match body {
        Read::Bytes(bytes) => [b"bytes".as_slice(), bytes].into_iter().for_each(put),
        Read::Rpc(bytes) => match shown::essence(bytes) {
            Some(essence) => [b"rpc".as_slice(), &essence].into_iter().for_each(put),
            None => [b"bytes".as_slice(), bytes].into_iter().for_each(put),
        },
    }
    CallDigest(sum.finalize().into())
}

/// Of a signature only who signed: `AWS4-HMAC-SHA256 Credential=AKID`. It is made anew for each attempt.
fn signer(value: &HeaderValue) -> &[u8] {
    let bytes = value.as_bytes();
    if !bytes.starts_with(b"AWS4-") {
        return bytes;
    }
    bytes.split(|byte| *byte == b'/').next().unwrap_or(bytes)
}
