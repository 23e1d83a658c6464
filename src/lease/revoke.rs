//! The outbox: takes leases back, however long their providers are away.
//!
//! A lease is `revoking` on disk before its provider is told, so whatever ends this process in between, the next one goes on.
//! Each lease has a task of its own that ends with the answer; a provider is told again after a quarter of a second, then less
//! and less often, until it answers or the lease has ended by itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};

use super::broker::Broker;
use super::ports::Told;
use super::provider::{MintError, Provider, Returned};
use crate::call::{Lease, LeaseId, LeaseState, Secret, Seen, SeenError, TaskId, Timestamp};

/// The pause after the first attempt; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a provider may take to answer; then it is asked again, since one answer that is lost must not cost the five seconds in
/// which a credential is to be gone.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// How often leases are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Takes all leases of a task back when it ends.
pub(super) fn when(broker: Arc<Broker>, ended: BoxFuture<'static, ()>, task: TaskId) {
    tokio::spawn(async move {
        ended.await;
        broker.end_task(task).await;
    });
}

/// Takes one lease back.
pub(super) fn deliver(broker: Arc<Broker>, id: LeaseId, entry: Arc<str>, handle: Secret<String>) {
    let busy = Busy::with(broker);
    tokio::spawn(async move { busy.0.deliver(id, &entry, &handle).await });
}

/// Counts what is under way with a provider, until it is not.
pub(super) struct Busy(pub(super) Arc<Broker>);

impl Busy {
    pub(super) fn with(broker: Arc<Broker>) -> Self {
        broker.busy.send_modify(|count| *count += 1);
        Self(broker)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Broker {
    async fn deliver(&self, id: LeaseId, entry: &str, handle: &Secret<String>) {
        let provider = self.entries.iter().find(|one| &*one.name == entry).map(|one| one.provider.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            match attempt(provider.as_deref(), entry, handle).await {
                Ok(Returned::Revoked) => {
                    self.turn(id, LeaseState::Revoked, None).await;
                    return;
                }
                Ok(Returned::Until(until)) => {
                    self.lock().ends(id, until);
                    self.turn(id, LeaseState::Expired, None).await;
                    return;
                }
                Err(error) => {
                    self.meters.revocations_failed.add();
                    tracing::warn!(lease = %id, %error, "a lease is not taken back yet");
                    self.lock().hindered(id, &error.to_string());
                }
            }
            // Only after it was asked: what takes a lease back may end more than the credential that was in use.
            let until = self.lock().lease(id).and_then(|lease| lease.until);
            if until.is_some_and(|until| until <= self.ports.clock.now()) {
                self.turn(id, LeaseState::Expired, None).await;
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks after leases for as long as the node runs: those whose time is up, and those that should be gone.
    pub async fn look_after(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick().await;
            self.look(self.ports.clock.now()).await;
        }
    }

    pub(super) async fn look(self: &Arc<Self>, now: Timestamp) {
        let run_out = self.lock().run_out(now);
        for id in run_out {
            self.take_back(id).await;
        }
        let overdue = self.lock().overdue(now);
        for lease in overdue {
            let why = lease.why.as_deref().unwrap_or("the provider has not answered yet");
            tracing::error!(lease = %lease.id, task = %lease.task, service = %lease.service, why, "a lease should be gone and is not");
            if let Err(error) = self.ports.witness.tell(&lease, Told::Overdue).await {
                tracing::error!(lease = %lease.id, %error, "that a lease is overdue cannot be recorded");
            }
        }
        self.lock().tidy();
    }

    /// An operator's word on a lease that is lost: nothing of it works any more. It is in the journal before it counts; the first
    /// word on a lease stands.
    pub async fn seen(&self, id: LeaseId, seen: Seen) -> Result<Lease, SeenError> {
        let lease = self.lock().lease(id).cloned().ok_or(SeenError::Unknown)?;
        if lease.state != LeaseState::Lost {
            return Err(SeenError::NotLost(lease.state));
        }
        if lease.seen.is_none() {
            let told = Lease { seen: Some(seen.clone()), ..lease };
            self.ports.witness.tell(&told, Told::Seen).await.map_err(SeenError::Unwritten)?;
        }
        let (lease, kept) = self.change(|ledger| ledger.seen(id, seen)).ok_or(SeenError::Unknown)?;
        kept.await.map_err(|error| SeenError::Unwritten(error.to_string()))?;
        Ok(lease)
    }

    /// The node stops: takes back what belongs to tasks that end with it, and waits for what is under way, for at most `patience`.
    /// Leases of tasks that go on with the next start stay; so does what is not taken back by then, which the next start goes on with.
    pub async fn close(self: &Arc<Self>, patience: Duration) {
        for task in self.tasks_to_end() {
            self.end_task(task).await;
        }
        let mut busy = self.busy.subscribe();
        let all = busy.wait_for(|count| *count == 0);
        if timeout(patience, all).await.is_err() {
            tracing::warn!("some leases are not taken back yet; the next start goes on with it");
        }
    }
}

async fn attempt(
    provider: Option<&dyn Provider>,
    entry: &str,
    handle: &Secret<String>,
) -> Result<Returned, MintError> {
    let Some(provider) = provider else {
        let why = format!(
            "nobody knows who takes it back: there is no [[leases]] entry `{entry}` any more; put it back"
        );
        return Err(MintError::Unavailable(why));
    };
    match timeout(ANSWER_TIME, provider.revoke(handle)).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(MintError::Unavailable(format!("no answer within {} s", ANSWER_TIME.as_secs()))),
    }
}
