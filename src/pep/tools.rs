//! Listens to answers that tell of tools (MCP `tools/list`), so that the catalog knows what a later `tools/call` does.
//!
//! It copies what passes and changes nothing. What is longer than [`ANSWER_BYTES`] is not learnt from.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::body::{Body, BodyError, Watch};
use crate::call::{BodyFacts, Head};
use crate::catalog::Catalog;

/// As much of an answer is kept until its end.
const ANSWER_BYTES: usize = 1 << 20;

/// Beside the answer of one call.
pub(super) struct Listener {
    catalog: Arc<Catalog>,
    head: Head,
    headers: HeaderMap,
    heard: Vec<u8>,
}

impl Listener {
    pub(super) fn new(catalog: Arc<Catalog>, head: Head) -> Self {
        Self { catalog, head, headers: HeaderMap::new(), heard: Vec::new() }
    }

    /// The same answer, listened to.
    pub(super) fn listen(mut self, answer: Response<Body>) -> Response<Body> {
        if !answer.status().is_success() {
            return answer;
        }
        self.headers = answer.headers().clone();
        answer.map(|body| body.watched(self))
    }
}

impl Watch for Listener {
    fn data(&mut self, data: &Bytes) {
        if self.heard.len() + data.len() <= ANSWER_BYTES {
            self.heard.extend_from_slice(data);
        } else {
            self.heard.clear();
            // Nothing more fits: what began is gone, so what follows is of no use.
            self.heard.resize(ANSWER_BYTES, 0);
        }
    }

    fn over(&mut self, _facts: BodyFacts, _error: Option<&BodyError>) {
        for tool in self.catalog.remember_tools(&self.head, &self.headers, &self.heard) {
            let server = &self.head.origin;
            tracing::warn!(%server, %tool, "a tool is described otherwise than before: it is an act from now on");
        }
    }
}
