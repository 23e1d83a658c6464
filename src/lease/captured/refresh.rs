//! Refresh tokens, redeemed where a server is asked for new tokens: in the body, and nowhere else.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;
use memchr::memmem;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{GONE, StandIn, is_captured};
use crate::call::{Leak, Leased, Operations, TaskId};
use crate::lease::broker::Broker;
use crate::lease::placeholder::CAPTURED;
use crate::lease::ports::LeaseError;
use crate::lease::provider::Material;
use crate::lease::rejected::is_json;

impl Broker {
    /// What goes out to a server that answers with tokens, with the refresh token in the place of its placeholder; none: the call
    /// shows none. `Err`: what is shown cannot be redeemed there.
    pub fn refresh(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        task: TaskId,
        operations: &Operations,
    ) -> Result<Option<Refreshed>, LeaseError> {
        let Some(place) = refresh_token(headers, body) else { return Ok(None) };
        let shown = std::str::from_utf8(body.get(place.clone()).unwrap_or_default()).unwrap_or_default();
        let now = self.ports.clock.now();
        let found = self.captured.find(
            task,
            now,
            |token| matches!(&token.instead, StandIn::Token(held) if held == shown),
        );
        let gone = || LeaseError::Refused(format!("the token behind the placeholder {GONE}"));
        let token = found.filter(|token| token.serves(operations)).ok_or_else(gone)?;
        let Material::Token(secret) = &token.held.material else { return Ok(None) };
        let is_json = is_json(headers);
        let written = if is_json {
            let quoted = Zeroizing::new(serde_json::Value::String(secret.reveal().clone()).to_string());
            let within = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            Zeroizing::new(within.unwrap_or_default().to_owned())
        } else {
            Zeroizing::new(form_urlencoded::byte_serialize(secret.reveal().as_bytes()).collect::<String>())
        };
        // With room for all of it: what grows is copied and left behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(body.len() + written.len()));
        whole.extend_from_slice(body.get(..place.start).unwrap_or_default());
        whole.extend_from_slice(written.as_bytes());
        whole.extend_from_slice(body.get(place.end..).unwrap_or_default());
        Ok(Some(Refreshed { body: whole, lease: token.held.as_used(), leaks: token.leaks() }))
    }
}

/// A refresh token that a call carries in its body.
pub struct Refreshed {
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// What the call tells of it.
    pub lease: Leased,
    /// What must not reach the agent.
    pub leaks: Vec<Leak>,
}

/// Where in a form (RFC 6749 §6) or in a JSON object the placeholder of a refresh token stands, if it stands there once and nowhere
/// else in the body. Placeholders have no letter that either would spell otherwise.
pub(in crate::lease) fn refresh_token(headers: &HeaderMap, body: &[u8]) -> Option<Range<usize>> {
    let mut found = memmem::find_iter(body, CAPTURED);
    let (start, None) = (found.next()?, found.next()) else { return None };
    let end = start
        + body.get(start..)?.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    is_captured(std::str::from_utf8(body.get(start..end)?).ok()?).then_some(())?;
    let (before, after) = (body.get(..start)?, body.get(end..)?);
    let stands = if is_json(headers) {
        let name = before.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
        name.ends_with(b"\"refresh_token\"") && after.starts_with(b"\"")
    } else {
        let name = before.strip_suffix(b"refresh_token=")?;
        (name.is_empty() || name.ends_with(b"&")) && (after.is_empty() || after.starts_with(b"&"))
    };
    stands.then_some(start..end)
}
