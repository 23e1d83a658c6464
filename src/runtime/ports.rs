//! Task ports: loopback listeners that stand for one task each, for clients that cannot send proxy credentials (Java).
//! Whoever reaches the port has the task, which is why the evidence is named as weak, and why only loopback is bound.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::accept::listen::Listener;
use crate::accept::{Front, Walk};
use crate::call::principal::Entrance;
use crate::call::{Task, TaskId};
use crate::intent::TaskEnd;

/// Opens ports; their keeper closes each when its task ends.
#[derive(Clone)]
pub(super) struct TaskPorts {
    listeners: mpsc::Sender<Port>,
}

struct Port {
    listener: Listener,
    task: TaskId,
    ended: watch::Receiver<Option<TaskEnd>>,
}

impl TaskPorts {
    /// The opener, and the keeper's work.
    pub(super) fn new<W: Walk>(
        front: Arc<Front<W>>,
        drain: watch::Receiver<bool>,
    ) -> (Self, impl Future<Output = ()>) {
        let (listeners, opened) = mpsc::channel(16);
        (Self { listeners }, keep(front, opened, drain))
    }

    /// Opens a port for `task` until `ended` shows its end.
    pub(super) async fn open(
        &self,
        task: &Task,
        ended: watch::Receiver<Option<TaskEnd>>,
    ) -> Result<SocketAddr, std::io::Error> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(any, Entrance::TaskPort(task.id)).await?;
        let address = listener.address()?;
        let port = Port { listener, task: task.id, ended };
        self.listeners.send(port).await.map_err(|_| std::io::Error::other("the node is stopping"))?;
        Ok(address)
    }
}

/// Runs the ports' listeners; each ends with its task, or with the node.
async fn keep<W: Walk>(front: Arc<Front<W>>, mut opened: mpsc::Receiver<Port>, drain: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            port = opened.recv() => {
                let Some(port) = port else { return };
                running.spawn(serve(front.clone(), port, drain.clone()));
            }
            Some(_ended) = running.join_next() => {}
        }
    }
}

async fn serve<W: Walk>(front: Arc<Front<W>>, port: Port, mut drain: watch::Receiver<bool>) {
    let Port { listener, task, mut ended } = port;
    let (stop, stopped) = watch::channel(false);
    let stopping = async {
        tokio::select! {
            () = async { drop(ended.wait_for(Option::is_some).await) } => {}
            () = async { drop(drain.wait_for(|drain| *drain).await) } => {}
        }
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = listener.run(front, stopped) => tracing::debug!(%task, "its port is closed"),
        () = stopping => {}
    }
}
