//! Followers of the journal: spans.

/// Nothing yet.
pub struct Followers;

impl Followers {
    /// Stops.
    pub async fn stop(self, _deadline: std::time::Duration) {}
}
