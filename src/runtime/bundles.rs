//! Reads trust bundles from their files, at start and whenever they change: authorities rotate while a node runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::StartError;
use crate::call::TrustDomain;
use crate::identity::{Bundle, Bundles};

/// How often files are looked at. SPIFFE authorities announce themselves long before they sign.
const LOOK_EVERY: Duration = Duration::from_secs(5);

type Files = BTreeMap<TrustDomain, PathBuf>;
type Texts = BTreeMap<TrustDomain, Vec<u8>>;

/// All bundles; at start each has to be good.
pub(super) fn load(files: &Files) -> Result<Arc<Bundles>, StartError> {
    let bundles = Arc::new(Bundles::default());
    let mut parsed = BTreeMap::new();
    for (domain, path) in files {
        let text = std::fs::read(path).map_err(|source| StartError::File { path: path.clone(), source })?;
        let bundle = Bundle::parse(&text).map_err(|why| StartError::Bundle { path: path.clone(), why })?;
        parsed.insert(domain.clone(), Arc::new(bundle));
    }
    bundles.replace(parsed);
    Ok(bundles)
}

/// Looks at the files for as long as the node runs. What is not understood is told, and the last good bundles stay.
pub(super) async fn watch(files: Files, bundles: Arc<Bundles>) {
    if files.is_empty() {
        return;
    }
    let mut known = Texts::new();
    let mut parsed: BTreeMap<TrustDomain, Arc<Bundle>> = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        let mut changed = false;
        for (domain, path) in &files {
            match tokio::fs::read(path).await {
                Ok(text) if known.get(domain) == Some(&text) => {}
                Ok(text) => {
                    match Bundle::parse(&text) {
                        Ok(bundle) => {
                            parsed.insert(domain.clone(), Arc::new(bundle));
                            changed = true;
                        }
                        Err(why) => {
                            tracing::error!(path = %path.display(), %why, "a trust bundle is not understood; the last good one stays");
                        }
                    }
                    known.insert(domain.clone(), text);
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a trust bundle cannot be read; the last good one stays");
                }
            }
        }
        // Until each was read once here, those of the start are in force.
        if changed && parsed.len() == files.len() {
            bundles.replace(parsed.clone());
        }
    }
}
