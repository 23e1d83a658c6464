//! Signed webhooks, as Standard Webhooks 1.0 says: `webhook-id`, `webhook-timestamp`, `webhook-signature`. What would be sent is
//! not in them: whoever wants to see it asks the API, and says who they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, Request, Uri};
use serde_json::json;
use sha2::Sha256;

use super::{Channel, Notice, Occasion, Untold};
use crate::call::{Clock, Fetch, Secret};

/// What a secret begins with, before its base64.
const PREFIX: &str = "whsec_";
/// Standard Webhooks: 24 to 64 bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Refusals of a client's request that may pass: Request Timeout, Too Early, Too Many Requests.
const PASSING: [u16; 3] = [408, 425, 429];

/// A webhook.
pub struct Webhook {
    name: String,
    url: Uri,
    key: Secret<Vec<u8>>,
    occasions: BTreeSet<Occasion>,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
}

/// A secret that is none of a webhook's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its secret is not `whsec_` and the base64 of 24 to 64 bytes (Standard Webhooks 1.0)")]
pub struct BadSecret;

impl Webhook {
    /// To this address, signed with this secret.
    pub fn new(
        name: String,
        url: Uri,
        secret: &Secret<String>,
        occasions: BTreeSet<Occasion>,
        (fetch, clock): (Arc<dyn Fetch>, Arc<dyn Clock>),
    ) -> Result<Self, BadSecret> {
        let text = secret.reveal().trim();
        let key = STANDARD.decode(text.strip_prefix(PREFIX).ok_or(BadSecret)?).map_err(|_| BadSecret)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(BadSecret);
        }
        Ok(Self { name, url, key: Secret::new(key), occasions, fetch, clock })
    }

    fn request(&self, notice: &Notice) -> Option<Request<Bytes>> {
        let body = body(notice);
        let at = self.clock.now().unix_s();
        let signature = sign(&self.key, &notice.id, at, &body)?;
        Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header("content-type", "application/json")
            .header("user-agent", "remit")
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", format!("v1,{signature}"))
            .body(Bytes::from(body))
            .ok()
    }
}

impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self, occasion: Occasion) -> bool {
        self.occasions.contains(&occasion)
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), Untold>> {
        async move {
            let request = self.request(notice).ok_or_else(|| Untold::Never("it is no request".into()))?;
            let answer = self.fetch.fetch(request).await.map_err(|error| Untold::Later(error.to_string()))?;
            match answer.status() {
                status if status.is_success() => Ok(()),
                // What is wrong with this one is wrong with it next time too, and others wait behind it.
                status if status.is_client_error() && !PASSING.contains(&status.as_u16()) => {
                    Err(Untold::Never(format!("the webhook answered {status}")))
                }
                status => Err(Untold::Later(format!("the webhook answered {status}"))),
            }
        }
        .boxed()
    }
}

pub(super) fn sign(key: &Secret<Vec<u8>>, id: &str, at: u64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal()).ok()?;
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

fn body(notice: &Notice) -> String {
    let hold = &notice.hold;
    let kind = match notice.occasion {
        Occasion::HoldOpened => "hold.opened",
        Occasion::HoldSettled => "hold.settled",
    };
    let does: Vec<_> = notice.card.does.iter().map(|deed| &deed.sentence).collect();
    json!({
        "type": kind,
        "timestamp": notice.at.to_string(),
        "data": {
            "id": hold.id,
            "state": hold.state.as_str(),
            "digest": hold.digest,
            "does": does,
            "operation": hold.operation,
            "class": hold.class,
            "agent": hold.agent,
            "task": hold.task,
            "intent": notice.card.intent,
            "wants": hold.wants,
            "by": hold.votes.iter().map(|vote| &vote.by).collect::<Vec<_>>(),
            "until": hold.until.to_string(),
            "url": notice.url,
        },
    })
    .to_string()
}
