//! Tokens in answers: where the catalog says that a service answers with some, the agent sees placeholders (`lease/captured.rs`).
//!
//! The one place where an answer is held back as a whole: a client that begins to read a token has it.

use std::sync::Arc;

use http::Response;
use http::header::CONTENT_LENGTH;

use super::Pep;
use super::equipping::Unsent;
use crate::body::Body;
use crate::call::Task;
use crate::catalog::TokenPlaces;
use crate::lease::LeaseError;
use crate::origin::{self, OriginError, Scrubber};

/// As much of an answer is read.
const ANSWER_BYTES: usize = 1 << 20;

impl Pep {
    /// Has an answer hold placeholders where it held tokens; it is unpacked already. `Err`: they cannot be told, and so nothing of it
    /// may reach the agent.
    pub(super) async fn capture(
        &self,
        places: &TokenPlaces,
        task: &Arc<Task>,
        answer: Response<Body>,
    ) -> Result<Response<Body>, Unsent> {
        if !answer.status().is_success() || http_body::Body::is_end_stream(answer.body()) {
            return Ok(answer);
        }
        let (mut parts, mut body) = answer.into_parts();
        let seen = body.peek(ANSWER_BYTES).await.map_err(|error| unsearchable(&error.to_string()))?;
        if !seen.whole {
            return Err(unsearchable("is longer than 1 MiB"));
        }
        if seen.bytes.is_empty() {
            return Ok(Response::from_parts(parts, body));
        }
        let now = self.clock.now();
        let told = |bytes: &[u8]| places.find(bytes, now).map_err(|untold| unsearchable(&untold.to_string()));
        let given = told(&seen.bytes)?;
        if given.is_empty() {
            return Ok(Response::from_parts(parts, body));
        }
        let leaks = self.leases.capture(task, &places.services, given).map_err(|error| match error {
            LeaseError::Ended => Unsent::Lease(error),
            LeaseError::Refused(why) | LeaseError::Unavailable(why) => unkept(&why),
        })?;
        let scrubber = Scrubber::new(&leaks);
        let clean = scrubber.replace(&seen.bytes).unwrap_or_default();
        let is_placeholder = |text: &&str| leaks.iter().any(|leak| leak.instead == **text);
        if clean.is_empty() || !told(&clean)?.iter().all(|left| left.what.texts().iter().all(is_placeholder))
        {
            return Err(unsearchable("has tokens in a form that is not known"));
        }
        origin::is_rewritten(&mut parts.headers);
        parts.headers.insert(CONTENT_LENGTH, clean.len().into());
        // The head may say them too.
        let answer = Response::from_parts(parts, Body::full(clean));
        origin::scrub(answer, &scrubber).map_err(Unsent::Origin)
    }
}

fn unsearchable(what: &str) -> Unsent {
    let remedy = "ask for it as JSON (`accept: application/json`)";
    let why =
        format!("its answer {what} and cannot be searched for the tokens that it should have; {remedy}");
    Unsent::Origin(OriginError::Protocol { why })
}

fn unkept(why: &str) -> Unsent {
    let why = format!("its answer has tokens that remit cannot keep ({why}); end tasks that are done");
    Unsent::Origin(OriginError::Protocol { why })
}
