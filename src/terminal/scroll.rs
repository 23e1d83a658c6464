//! Span trees, kept until there is a good moment to show them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A trace longer than this is cut: it is for reading. The journal has it all.
const LIMIT_BYTES: usize = 4 << 20;

/// What the node draws, in memory. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Scroll {
    // Guards the text alone; held for a copy.
    text: Arc<Mutex<Vec<u8>>>,
    drawn: Arc<Notify>,
}

impl Scroll {
    /// What was drawn since the last time.
    pub(super) fn take(&self) -> String {
        let mut text = std::mem::take(&mut *self.text.lock().unwrap_or_else(PoisonError::into_inner));
        if text.len() >= LIMIT_BYTES {
            text.extend_from_slice("\n(cut; the journal has it all)\n".as_bytes());
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits for a drawing, but not for ever: a call's span comes after its answer.
    pub(super) async fn next(&self, patience: Duration) -> String {
        // A permit is kept where nobody waits yet, so a drawing between two calls of this is not missed.
        let _ = tokio::time::timeout(patience, self.drawn.notified()).await;
        self.take()
    }
}

impl Write for Scroll {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let room = LIMIT_BYTES.saturating_sub(text.len()).min(bytes.len());
        text.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(bytes.len())
    }

    /// A drawing is whole when it is flushed.
    fn flush(&mut self) -> io::Result<()> {
        self.drawn.notify_one();
        Ok(())
    }
}
