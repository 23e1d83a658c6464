//! Whose node it is: one that runs here already, or one inside this process.
//!
//! A node inside a `remit run` ends with it, so another `remit run` must not join it. A lock tells the two kinds apart:
//! whoever holds `<state>/run.lock` has a node inside. The next one then keeps its state in a folder beside.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::runtime::config::Config;
use crate::runtime::{Node, TraceTo};
use crate::terminal::client::Admin;
use crate::terminal::failure::Failure;
use crate::terminal::find::NodeArguments;
use crate::terminal::screen::Paint;
use crate::terminal::scroll::Scroll;

/// Programs that run behind nodes of their own at one time, for one state folder.
const SIDE_BY_SIDE: usize = 64;
/// What calls get to finish when CMD is gone; whoever waited for them is gone too.
const LEAVE: Duration = Duration::from_secs(5);

/// The node that serves CMD.
pub(super) struct Host {
    admin: Admin,
    state_dir: PathBuf,
    inside: Option<Inside>,
}

/// A node of our own, and the claim on its state folder.
struct Inside {
    node: Node,
    _claim: File,
}

impl Host {
    /// A node that was named; files for CMD go under `files`.
    pub(super) fn joined(admin: Admin, files: PathBuf) -> Self {
        Self { admin, state_dir: files, inside: None }
    }

    /// The node of the configuration's state folder if it runs, else one inside this process.
    pub(super) async fn find_or_start(mut config: Config, scroll: Option<Scroll>) -> Result<Self, Failure> {
        let base = config.state_dir.clone();
        for number in 0..SIDE_BY_SIDE {
            config.state_dir = match number {
                0 => base.clone(),
                number => base.join("beside").join(number.to_string()),
            };
            // Shared first: several may look at the same time whether a node runs here that all can join.
            let looking = FlockOperation::NonBlockingLockShared;
            let Some(lock) = claim(&config.state_dir, looking)? else { continue };
            if let Some(admin) = running(&config.state_dir).await {
                return Ok(Self::joined(admin, config.state_dir));
            }
            drop(lock);
            let alone = FlockOperation::NonBlockingLockExclusive;
            let Some(claim) = claim(&config.state_dir, alone)? else { continue };
            return Self::start(config, claim, scroll).await;
        }
        Err(Failure::found_wanting(format!("{SIDE_BY_SIDE} programs run behind nodes of their own already"))
            .remedy("start one node for all of them with `remit serve`"))
    }

    async fn start(mut config: Config, claim: File, scroll: Option<Scroll>) -> Result<Self, Failure> {
        // Nobody else needs to find this node, and the usual ports may be taken.
        config.on_free_ports();
        let state_dir = config.state_dir.clone();
        let colour = Paint::for_stderr().has_colour();
        let trace = scroll.map_or(TraceTo::Nothing, |to| TraceTo::Tree { to: Box::new(to), colour });
        let node = Box::pin(Node::start(config, trace)).await?;
        let admin = NodeArguments::default().in_state(&state_dir)?;
        Ok(Self { admin, state_dir, inside: Some(Inside { node, _claim: claim }) })
    }

    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Where the files for CMD go.
    pub(super) fn files_dir(&self) -> PathBuf {
        self.state_dir.join("run")
    }

    /// Stops the node if it is ours; its spans are sent before this returns.
    pub(super) async fn leave(self) {
        if let Some(inside) = self.inside {
            inside.node.stop(LEAVE).await;
        }
    }
}

/// Claims a state folder; none: another `remit run` has a node of its own in it. Given back when the file is dropped.
fn claim(state_dir: &Path, how: FlockOperation) -> Result<Option<File>, Failure> {
    let open = || -> io::Result<Option<File>> {
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(state_dir.join("run.lock"))?;
        match flock(&file, how) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    open().map_err(|error| {
        Failure::usage(format!("the state folder `{}` cannot be used: {error}", state_dir.display()))
            .remedy("name another with [state] dir in the configuration, or set XDG_STATE_HOME")
    })
}

/// The node that runs in a state folder, if it answers.
async fn running(state_dir: &Path) -> Option<Admin> {
    // A node that ended without a word leaves its node.json behind.
    let admin = NodeArguments::default().in_state(state_dir).ok()?;
    admin.get("/v1/node").await.ok().map(|_| admin)
}
