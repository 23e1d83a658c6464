//! The story that the demo tells, as data.

use serde::Deserialize;

/// Who calls what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    pub(super) host: String,
    pub(super) agent: String,
    pub(super) intent: String,
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// One call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What is shown.
    pub(super) title: String,
    /// What the agent wants.
    pub(super) says: String,
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    #[serde(default)]
    pub(super) body: String,
    /// Whether it waits for a person, who says yes.
    #[serde(default)]
    pub(super) held: bool,
    /// What the origin answers, should it be asked.
    pub(super) answer: String,
}

impl Story {
    pub(super) fn shipped() -> Result<Self, String> {
        toml::from_str(include_str!("story.toml")).map_err(|error| error.to_string())
    }
}
