//! TCP listeners: takes connections, bounds their number, and knows when the last one is gone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::{Front, Walk, connect, turns_true};
use crate::call::principal::Entrance;

/// After the system refused a connection (no descriptors left), nothing is tried for this long.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection's place among those that may be open. While it is kept, the listener has not ended.
pub(super) struct Stay {
    _place: OwnedSemaphorePermit,
    _open: mpsc::Sender<()>,
}

/// One listening socket that takes connections until it is told to stop.
pub struct Listener {
    socket: TcpListener,
    entrance: Entrance,
}

impl Listener {
    /// Binds; port 0 picks a free one.
    pub async fn bind(address: SocketAddr, entrance: Entrance) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, entrance })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes connections until `stop` turns true, then waits for those that are open, and for what works on after them.
    pub async fn run<W: Walk>(self, front: Arc<Front<W>>, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(front.settings.connections));
        // Each [`Stay`] holds a sender; the receiver ends when the last is dropped.
        let (open, mut closed) = mpsc::channel::<()>(1);
        loop {
            let stream = tokio::select! {
                biased;
                () = turns_true(&mut stop) => break,
                stream = self.next(&places) => stream,
            };
            let Some((stream, peer, place)) = stream else { continue };
            let stay = Stay { _place: place, _open: open.clone() };
            tokio::spawn(connect::serve(front.clone(), stream, peer, self.entrance, stay));
        }
        drop((self.socket, open));
        closed.recv().await;
    }

    async fn next(&self, places: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, peer)) => {
                // Small writes are answers that somebody waits for.
                let _best_effort = stream.set_nodelay(true);
                Some((stream, peer, place))
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken");
                tokio::time::sleep(PAUSE).await;
                None
            }
        }
    }
}
