//! Counts what goes out against the budgets of bytes, before it goes out.

use std::sync::{Arc, Mutex, PoisonError};

use crate::body::{Body, Gate};
use crate::intent::{Obstacle, Place};

/// Pays for a request's body. What is announced is paid for at once, so that a body that is too long does not go out at
/// all; what is not announced is paid for as it comes, and cut where the budget ends. What did not go out is given back.
pub(super) struct Toll {
    place: Arc<Place>,
    prepaid: u64,
    stopped: Arc<Mutex<Option<Obstacle>>>,
}

/// Tells whether the toll stopped a body.
#[derive(Clone)]
pub(super) struct Stopped(Arc<Mutex<Option<Obstacle>>>);

/// How many bytes a body says that it has; 0 where it says nothing.
pub(super) fn announced(body: &Body) -> u64 {
    http_body::Body::size_hint(body).exact().unwrap_or_default()
}

impl Toll {
    /// Pays for what is [`announced`].
    pub(super) fn prepay(place: Arc<Place>, prepaid: u64) -> Result<Self, Obstacle> {
        place.spend_bytes(prepaid)?;
        Ok(Self { place, prepaid, stopped: Arc::default() })
    }

    /// What was paid for goes out, and nothing more.
    pub(super) fn all_passes(&mut self) {
        self.prepaid = 0;
    }

    pub(super) fn stopped(&self) -> Stopped {
        Stopped(self.stopped.clone())
    }
}

impl Stopped {
    pub(super) fn why(&self) -> Option<Obstacle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Gate for Toll {
    fn pass(&mut self, bytes: u64) -> Result<(), &'static str> {
        let beyond = bytes.saturating_sub(self.prepaid);
        if let Err(obstacle) = self.place.spend_bytes(beyond) {
            *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(obstacle);
            return Err("the task's budget of bytes is used up");
        }
        self.prepaid = self.prepaid.saturating_sub(bytes);
        Ok(())
    }
}

impl Drop for Toll {
    fn drop(&mut self) {
        self.place.give_back_bytes(self.prepaid);
    }
}
