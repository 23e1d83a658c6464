//! What the admin API asks of the node.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::policies::Policies;
use super::ports::TaskPorts;
use crate::call::{RulesDigest, Task};
use crate::intent::Tasks;
use crate::pep::rulebook::Rulebook;
use crate::record::{Event, Journal};
use crate::web::{self, NodeFacts, TaskEvent};

pub(super) struct Administered {
    pub(super) facts: NodeFacts,
    pub(super) journal: Arc<Journal>,
    pub(super) tasks: Arc<Tasks>,
    pub(super) ports: TaskPorts,
    pub(super) book: Arc<Rulebook>,
    pub(super) policies: Arc<Policies>,
    pub(super) drain: watch::Receiver<bool>,
}

impl web::Node for Administered {
    fn facts(&self) -> NodeFacts {
        let rules = self.book.now().digest();
        NodeFacts { rules, generation: self.book.generation(), ..self.facts.clone() }
    }

    fn ready(&self) -> Result<(), String> {
        if *self.drain.borrow() {
            return Err("the node is stopping".into());
        }
        self.journal.failing().map_or(Ok(()), Err)
    }

    fn notice(&self) -> Option<&'static str> {
        self.policies.are_refused().then_some(
            "the policies on disk are refused, and those before stay in force; the log and `remit policy check` say why",
        )
    }

    fn reload_policies(&self) -> BoxFuture<'_, Result<(RulesDigest, RulesDigest), String>> {
        async move { self.policies.reload("operator").await.map(|done| (done.from, done.to)) }.boxed()
    }

    fn open_task_port(&self, task: Arc<Task>) -> BoxFuture<'_, Result<SocketAddr, String>> {
        async move {
            let ended = self.tasks.ended(task.id).map_err(|error| error.to_string())?;
            self.ports.open(&task, ended).await.map_err(|error| format!("no port can be opened: {error}"))
        }
        .boxed()
    }

    fn record(&self, event: TaskEvent) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let noted = match &event {
                TaskEvent::Opened { task } => self.journal.note(Event::TaskOpened(task)).await,
                TaskEvent::Ended { task, why } => {
                    self.journal.note(Event::TaskEnded { task: task.id, why: why.as_str() }).await
                }
            };
            noted.map(drop).map_err(|error| error.to_string())
        }
        .boxed()
    }
}
