//! Credentials on the walk: placeholders are looked for before anything is decided, and a credential is put in once the call is
//! written down, at the last moment before it leaves.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use http::Response;
use http::header::CONTENT_LENGTH;

use super::{Pep, refusals};
use crate::body::{Body, BodyError};
use crate::call::stage::Upgrade;
use crate::call::{Attributed, Call, Credentialed, Decision, Leased, Mode, Peek, Refusal};
use crate::catalog::Catalog;
use crate::intent::Place;
use crate::lease::sign::Payload;
use crate::lease::{Answers, Grip, LeaseError, Outgoing, Refreshed};
use crate::origin::{self, Answer, OriginError, Scrubber};

/// As much of a body is read to be signed, where its sender has not said its digest.
const SIGNED_BYTES: usize = 1 << 20;

/// As much of a request for tokens is read; what is longer shows no placeholder that could be redeemed.
const REFRESH_BYTES: usize = 64 << 10;
/// What would not be true any more of a body in which a placeholder gave way (RFC 9530, RFC 1864).
const DIGESTS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];
const NOT_FIT: &str =
    "a credential is sent over verified TLS alone; use https://, or map the name under [upstream.resolve]";

/// Why a call did not get an answer.
pub(super) enum Unsent {
    /// It never went out.
    Lease(LeaseError),
    /// The origin's affair.
    Origin(OriginError),
}

/// What a call carried: for whoever closes it, and for whoever hears what the origin says later.
#[derive(Clone, Default)]
pub(super) struct Carried(Arc<OnceLock<(Leased, Arc<Scrubber>)>>);

impl Carried {
    pub(super) fn lease(&self) -> Option<&Leased> {
        self.0.get().map(|(lease, _)| lease)
    }

    /// What keeps the credential from the agent.
    pub(super) fn scrubber(&self) -> Option<Scrubber> {
        self.0.get().map(|(_, scrubber)| Scrubber::clone(scrubber))
    }
}

impl Pep {
    /// A placeholder that is somewhere else than where its credential goes is not let out, whatever the policies say.
    pub(super) async fn examine(
        &self,
        catalog: &Catalog,
        call: Call<Attributed>,
        seen: &Peek,
        place: &Place,
    ) -> Result<Call<Attributed>, Refusal> {
        let (head, stage) = (call.head(), call.stage());
        let examined = if head.upgrade == Some(Upgrade::Message) {
            // Its head is that of the upgrade, which was looked at.
            self.leases.examine_message(&seen.bytes, stage.task.id)
        } else {
            let tokens = catalog.tokens(&stage.operations).is_some();
            let answer = if tokens { Answers::WithTokens } else { Answers::Otherwise };
            self.leases.examine(head, &seen.bytes, stage.task.id, (&stage.operations, answer))
        };
        let Err(misplaced) = examined else { return Ok(call) };
        let refusal = Refusal::PlaceholderMisplaced { why: misplaced.to_string() };
        self.settle(place, stage, Decision::Deny, Some(refusal.code()));
        Err(self.refuse(call.account(), Decision::Deny, refusal).await)
    }

    /// Sends a call, with the credential of a lease if one is for it. An answer with tokens comes back with placeholders.
    pub(super) async fn send(
        &self,
        catalog: &Catalog,
        mut call: Call<Credentialed>,
        mut body: Body,
        carried: &Carried,
    ) -> Result<Answer, Unsent> {
        // On the heap: rare, and no other call is to carry its weight.
        let capturing = catalog.tokens(&call.stage().operations).map(Box::new);
        if capturing.is_some() {
            call.ask(origin::ask_searchable);
        }
        let mut refreshed = None;
        if capturing.is_some() {
            (call, body, refreshed) = Box::pin(self.refresh(call, body)).await?;
        }
        let (mut call, grip) = self.equip(call, &mut body).await?;
        if let (None, Some(refreshed)) = (&grip, &refreshed) {
            let carrying = call.carrying(refreshed.lease.clone(), |_, _, _, _| Ok::<_, Infallible>(()));
            call = carrying.unwrap_or_else(|never| match never {});
            let _first = carried.0.set((refreshed.lease.clone(), Arc::new(Scrubber::new(&refreshed.leaks))));
        }
        let carrying = grip.map(|grip| {
            let scrubber = grip.kept_beside(|leaks| Scrubber::new(&leaks));
            let _first = carried.0.set((grip.as_used(), scrubber.clone()));
            (grip, scrubber, call.head().origin.clone())
        });
        let Answer { call, mut response, upgraded } =
            self.upstream.send(call, body).await.map_err(Unsent::Origin)?;
        let leased = carrying.is_some();
        if let Some((grip, scrubber, to)) = carrying {
            let wants_nonce = grip.hear(&to, response.headers());
            let refusal = grip.refusal(response.status(), response.headers());
            if let (Ok(Some(why)), false) = (&refusal, wants_nonce) {
                Box::pin(grip.rejected(why)).await;
            }
            // What says the credential back does not reach the agent with it.
            response = origin::scrub(response, &scrubber).map_err(Unsent::Origin)?;
            if let Err(error_bytes) = refusal {
                response = Box::pin(heard(&grip, response, error_bytes)).await?;
            }
        }
        if capturing.is_some() && (!leased || refreshed.is_some()) {
            // To be unpacked; and freed of a refresh token, if the call carried one.
            let leaks = refreshed.as_ref().map(|refreshed| refreshed.leaks.as_slice()).unwrap_or_default();
            response = origin::scrub(response, &Scrubber::new(leaks)).map_err(Unsent::Origin)?;
        }
        if let Some(places) = capturing {
            response = Box::pin(self.capture(&places, &call.stage().task, response)).await?;
        }
        Ok(Answer { call, response, upgraded })
    }

    /// A call for tokens may show the placeholder of a refresh token: the token itself goes out in its place.
    async fn refresh(
        &self,
        mut call: Call<Credentialed>,
        mut body: Body,
    ) -> Result<(Call<Credentialed>, Body, Option<Box<Refreshed>>), Unsent> {
        if http_body::Body::is_end_stream(&body) {
            return Ok((call, body, None));
        }
        let seen = body.peek(REFRESH_BYTES).await.map_err(broke)?;
        if !seen.whole {
            return Ok((call, body, None));
        }
        let (head, stage) = (call.head(), call.stage());
        let redeemed = self.leases.refresh(&head.headers, &seen.bytes, stage.task.id, &stage.operations);
        let Some(refreshed) = redeemed.map_err(Unsent::Lease)? else {
            return Ok((call, body, None));
        };
        if !self.upstream.is_fit_for_secrets(&head.origin) {
            return Err(Unsent::Lease(LeaseError::Refused(NOT_FIT.to_owned())));
        }
        if head.headers.keys().any(|name| DIGESTS.contains(&name.as_str())) {
            let why = "its body has a digest, and would have another one with the refresh token in it; leave it out";
            return Err(Unsent::Lease(LeaseError::Refused(why.to_owned())));
        }
        let length = refreshed.body.len();
        call.ask(|headers| {
            if headers.contains_key(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, length.into());
            }
        });
        Ok((call, Body::full(refreshed.body.to_vec()), Some(Box::new(refreshed))))
    }

    async fn equip(
        &self,
        call: Call<Credentialed>,
        body: &mut Body,
    ) -> Result<(Call<Credentialed>, Option<Grip>), Unsent> {
        let (head, stage) = (call.head(), call.stage());
        if !self.leases.serves(head, &stage.operations) {
            return Ok((call, None));
        }
        if !self.upstream.is_fit_for_secrets(&head.origin) {
            return Err(Unsent::Lease(LeaseError::Refused(NOT_FIT.to_owned())));
        }
        let only_observed = stage.mode == Mode::Observe && stage.ruling.decision() != Decision::Allow;
        if only_observed && self.leases.withholds(head, &stage.operations) {
            let why = "policies would refuse this call, which is only observed, and `observed = false` keeps the credential \
                       from such calls; permit it, or hand it out while you observe";
            return Err(Unsent::Lease(LeaseError::Refused(why.to_owned())));
        }
        let grip = Box::pin(self.leases.grip(head, &stage.task, &stage.operations)).await;
        let grip = grip.map_err(Unsent::Lease)?;
        let Some(grip) = grip else { return Ok((call, None)) };
        let seen = if grip.wants_body(head) {
            body.peek(SIGNED_BYTES).await.map_err(broke)?
        } else {
            Peek { whole: http_body::Body::is_end_stream(body), ..Peek::default() }
        };
        let payload = if seen.whole { Payload::Whole(&seen.bytes) } else { Payload::Streaming };
        let carrying = call.carrying(grip.as_used(), |to, method, headers, target| {
            origin::ask_searchable(headers);
            if grip.sends_secret() {
                origin::ask_whole(headers);
            }
            grip.put(Outgoing { origin: to, method, headers, target }, payload)
        });
        let call = carrying.map_err(|error| Unsent::Lease(LeaseError::Refused(error.to_string())))?;
        Ok((call, Some(grip)))
    }
}

/// Looks into an error, unpacked by now, whether it says that the credential was not taken.
async fn heard(grip: &Grip, error: Response<Body>, error_bytes: usize) -> Result<Response<Body>, Unsent> {
    let (parts, mut body) = error.into_parts();
    let broke = |why: BodyError| Unsent::Origin(OriginError::Protocol { why: why.to_string() });
    let seen = body.peek(error_bytes).await.map_err(broke)?;
    if let Some(why) = grip.refusal_in(parts.status, &parts.headers, &seen.bytes) {
        grip.rejected(&why).await;
    }
    Ok(Response::from_parts(parts, body))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err, which hands errors over")]
fn broke(error: BodyError) -> Unsent {
    Unsent::Origin(OriginError::AgentBody { why: error.to_string() })
}

/// What becomes of a call that got no answer.
pub(super) fn unsent(
    unsent: &Unsent,
    origin: &crate::call::Origin,
) -> (crate::call::Outcome, Refusal, String) {
    match unsent {
        Unsent::Lease(error) => {
            let (outcome, refusal) = refusals::lease(error);
            (outcome, refusal, error.to_string())
        }
        Unsent::Origin(error) => {
            let (outcome, refusal) = refusals::origin(error, origin);
            (outcome, refusal, error.to_string())
        }
    }
}
