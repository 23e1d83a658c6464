//! A node to look at: a real journal, and policies that are those of the binary.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::call::{Call, CallId, Class, Closing, EntryId, Intercepted, Outcome, Timestamp};
use crate::judge::prove::{Claim, Kept};
use crate::judge::{PolicySource, SourceFile};
use crate::record::tests::fixture::{Ticking, decided_from, intercepted, signed};
use crate::record::{CallFacts, Follow, Journal};
use crate::web::{Difference, Explained, Health, Insight, Policies};

pub(super) struct Sights {
    pub(super) journal: Arc<Journal>,
}

impl Sights {
    pub(super) fn over(dir: &Path) -> Self {
        Self { journal: Arc::new(Journal::start(signed(dir), Ticking::new()).unwrap()) }
    }

    /// A call that was answered.
    pub(super) async fn call(&self, class: Class) -> CallId {
        self.made(intercepted("/things/1?page=2", &[]), class).await
    }

    pub(super) async fn made(&self, call: Call<Intercepted>, class: Class) -> CallId {
        let call = decided_from(call, class);
        let closing = Closing {
            status: Some(200),
            first_byte_ns: Some(2_000_000),
            duration_ns: 3_000_000,
            ..Closing::bare(Outcome::Answered)
        };
        self.journal.open(&call).await.unwrap().close(closing);
        call.head().id
    }
}

impl Insight for Sights {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(1_795_500_060)
    }

    fn follow(&self, from: EntryId) -> Follow {
        self.journal.follow(from)
    }

    fn health(&self) -> Health {
        Health { entries: 7, ca_fingerprint: "ab".repeat(32), ..Health::default() }
    }

    fn policies(&self) -> BoxFuture<'_, Result<Policies, String>> {
        let source = PolicySource::embedded();
        let (digest, files) = (source.digest().to_string(), source.files());
        let proofs = serde_json::from_str(include_str!("../../../policies/invariants/proofs.json"));
        let proofs = Kept::Proofs(proofs.unwrap());
        let known = if let Kept::Proofs(proofs) = &proofs {
            proofs.found.keys().cloned().collect()
        } else {
            Vec::new()
        };
        let unknown = std::iter::once("of-today".to_owned());
        let claim = |id| Claim { id, file: "invariants/x.cedar".into(), says: None, expect: "never" };
        let claims = known.into_iter().chain(unknown).map(claim).collect();
        let read = Policies {
            place: "the binary".into(),
            digest,
            files,
            passed: 3,
            failed: Vec::new(),
            invariants: claims,
            proofs,
        };
        Box::pin(async move { Ok(read) })
    }

    fn replay(&self, draft: SourceFile, calls: usize) -> BoxFuture<'_, Result<Difference, String>> {
        Box::pin(async move {
            if draft.text.contains("permit") {
                Ok(Difference { digest: "sha256:00".into(), calls: calls as u64, ..Difference::default() })
            } else {
                Err(format!("{}: there is no policy in `{}`", draft.name, draft.text))
            }
        })
    }

    fn explain(&self, _call: Box<CallFacts>) -> BoxFuture<'_, Result<Explained, String>> {
        Box::pin(async { Ok(Explained { parts: Vec::new(), rules: "sha256:00".into() }) })
    }
}
