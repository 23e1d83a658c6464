//! The tasks that the store kept, bounded as the configuration says, with what the journal knows that they did.

use std::path::Path;
use std::sync::Arc;

use super::config::{self, Config};
use super::error::StartError;
use super::replay;
use crate::call::{Clock, Entropy, SpiffeId};
use crate::intent::{self, Tasks};
use crate::store::Sqlite;

/// Opens the store, and reads the tasks in it.
pub(super) async fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    dir: &Path,
) -> Result<(Arc<Sqlite>, Arc<Tasks>), StartError> {
    let store = Arc::new(Sqlite::open(dir)?);
    let tasks = load(config, ports(clock, entropy, &store), dir).await?;
    Ok((store, tasks))
}

/// What the registry needs of the world.
fn ports(clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>, store: &Arc<Sqlite>) -> intent::Ports {
    intent::Ports { clock: clock.clone(), entropy: entropy.clone(), book: store.clone() }
}

/// Reads them all.
async fn load(config: &Config, ports: intent::Ports, dir: &Path) -> Result<Arc<Tasks>, StartError> {
    let settings = intent::Settings {
        max_ttl: config.tasks.max_ttl,
        depth: config.tasks.max_depth,
        fan_out: config.tasks.max_children,
        registered: config.agents.clone().into_iter().map(registration).collect(),
        intents: intents(config.policies_dir.as_deref())?,
        ..intent::Settings::default()
    };
    let dir = dir.to_owned();
    let loading = tokio::task::spawn_blocking(move || {
        let tasks = Tasks::load(settings, ports)?;
        replay::replay(&dir, &tasks)?;
        Ok(Arc::new(tasks))
    });
    loading.await.unwrap_or(Err(StartError::Interrupted))
}

fn registration(agent: config::Agent) -> (SpiffeId, intent::Registration) {
    let config::Agent { id, profile, binding, learning, operations, hosts, behind, lends_percent } = agent;
    (id, intent::Registration { profile, binding, learning, operations, hosts, behind, lends_percent })
}

/// The declared intents; none where there is no file.
fn intents(policies: Option<&Path>) -> Result<intent::Intents, StartError> {
    let Some(path) = policies.map(|dir| dir.join("intents.toml")) else {
        return Ok(intent::Intents::default());
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(intent::Intents::default()),
        Err(source) => return Err(StartError::File { path, source }),
    };
    intent::Intents::parse(&text).map_err(|why| StartError::Intents { path, why })
}
