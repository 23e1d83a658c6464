//! What the admin API asks of the node.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::ports::TaskPorts;
use super::reload::{Reload, Reloaded};
use crate::call::{
    Card, Dummy, Hold, HoldId, Lease, LeaseId, Operator, OperatorId, RulesDigest, Seen, SeenError, Task,
    TaskId, Timestamp,
};
use crate::judge::hold::Ballot;
use crate::pep::Pep;
use crate::pep::desk::DeskError;
use crate::record::Event;
use crate::telemetry::{Scrape, metrics};
use crate::web::{self, NodeFacts, NotVoted, TaskEvent};

pub(super) struct Administered {
    pub(super) facts: NodeFacts,
    pub(super) pep: Arc<Pep>,
    /// Variables of the node's own environment that hold secrets.
    pub(super) hidden: Vec<String>,
    pub(super) ports: TaskPorts,
    pub(super) reload: Arc<Reload>,
    pub(super) drain: watch::Receiver<bool>,
    pub(super) scrape: Scrape,
}

impl web::Node for Administered {
    fn facts(&self) -> NodeFacts {
        let law = self.pep.law.borrow();
        NodeFacts { rules: law.rules.digest(), generation: law.generation, ..self.facts.clone() }
    }

    fn ready(&self) -> Result<(), String> {
        if *self.drain.borrow() {
            return Err("the node is stopping".into());
        }
        self.pep.journal.failing().map_or(Ok(()), Err)
    }

    fn notice(&self) -> Option<&'static str> {
        self.reload.has_refused().then_some(
            "what is in policies.dir or catalog.dirs is refused, and what was there before stays in force; the log says why",
        )
    }

    fn reload_policies(&self, by: OperatorId) -> BoxFuture<'_, Result<(RulesDigest, RulesDigest), String>> {
        async move {
            match self.reload.reload(&by.0).await {
                Reloaded::Swapped { from, to } => Ok((from, to)),
                Reloaded::Kept(why) => Err(why),
            }
        }
        .boxed()
    }

    fn metrics(&self) -> (&'static str, String) {
        (metrics::CONTENT_TYPE, metrics::text(&(self.scrape)()))
    }

    fn leases(&self, task: Option<TaskId>) -> (Vec<Lease>, Timestamp) {
        (self.pep.leases.leases(task), self.pep.clock.now())
    }

    fn holds(&self) -> Vec<(Arc<Hold>, Arc<Card>)> {
        self.pep.desk.list()
    }

    fn hold(&self, id: HoldId) -> Option<(Arc<Hold>, Arc<Card>)> {
        self.pep.desk.show(id)
    }

    fn vote(&self, ballot: Ballot, voter: Operator) -> BoxFuture<'_, Result<Arc<Hold>, NotVoted>> {
        async move {
            self.pep.desk.vote(ballot, voter).await.map_err(|error| match error {
                DeskError::Vote(why) => NotVoted::Refused(why),
                DeskError::Book(_)
                | DeskError::Closed
                | DeskError::Journal(_)
                | DeskError::Slow
                | DeskError::Unsealed => NotVoted::Unavailable(error.to_string()),
            })
        }
        .boxed()
    }

    fn lease_seen(
        &self,
        lease: LeaseId,
        by: OperatorId,
        note: Option<String>,
    ) -> BoxFuture<'_, Result<(Lease, Timestamp), SeenError>> {
        let at = self.pep.clock.now();
        async move { Ok((self.pep.leases.seen(lease, Seen { by, at, note }).await?, at)) }.boxed()
    }

    fn dummies(&self, task: TaskId) -> (Vec<Dummy>, Vec<String>) {
        (self.pep.leases.dummies(task), self.hidden.clone())
    }

    fn open_task_port(&self, task: Arc<Task>) -> BoxFuture<'_, Result<SocketAddr, String>> {
        async move {
            let ended = self.pep.tasks.ended(task.id).map_err(|error| error.to_string())?;
            self.ports.open(&task, ended).await.map_err(|error| format!("no port can be opened: {error}"))
        }
        .boxed()
    }

    fn record(&self, by: OperatorId, event: TaskEvent) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let noted = self.pep.journal.note(entry_of(&event, &by)).await;
            noted.map(drop).map_err(|error| error.to_string())
        }
        .boxed()
    }
}

fn entry_of<'a>(event: &'a TaskEvent, who: &'a OperatorId) -> Event<'a> {
    let by = Some(who);
    match event {
        TaskEvent::Opened { task } => Event::TaskOpened { task, by },
        TaskEvent::Ended { task, why } => Event::TaskEnded { task: task.id, why: why.as_str(), by },
        TaskEvent::Renewed { task, until } => Event::TaskRenewed { task: *task, until: *until, by },
        TaskEvent::Registered { agent, registration } => {
            let registration = registration.as_deref();
            Event::AgentRegistered {
                agent,
                profile: registration.map(|it| &it.profile),
                hosts: registration.map(|it| it.hosts.as_slice()).unwrap_or_default(),
                behind: registration.and_then(|it| it.behind.as_ref()),
                by,
            }
        }
        TaskEvent::Quarantined { agent } => Event::AgentQuarantined { agent, by },
        TaskEvent::Released { agent } => Event::AgentReleased { agent, by },
        TaskEvent::SignedIn => Event::OperatorSignedIn(who),
        TaskEvent::SignedOut => Event::OperatorSignedOut(who),
    }
}
