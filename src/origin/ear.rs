//! Listens to what an origin says over a WebSocket, where somebody wants to know. It copies what passes and changes nothing;
//! a message that is longer than what is wanted passes unheard.

use std::sync::Arc;

use super::frame::Header;

/// Hears messages of the origin's, whole.
pub trait Ear: Send + Sync {
    /// How long a message may be that is to be heard, bytes; 0: none is, for now.
    fn wants(&self) -> usize;
    /// A message. Its last bytes have not gone to the agent yet: whatever is learnt holds for what the agent says next.
    fn hear(&self, message: &[u8]);
}

/// What is heard of the message that passes.
#[derive(Default)]
pub(super) struct Listening {
    ear: Option<Arc<dyn Ear>>,
    message: Vec<u8>,
    /// Not wanted, or not to its end.
    lost: bool,
}

impl Listening {
    pub(super) fn with(ear: Option<Arc<dyn Ear>>) -> Self {
        Self { ear, ..Self::default() }
    }

    /// Takes the next bytes of a frame; `at` is their place in it, and `ends` says that the frame does so with them.
    pub(super) fn take(&mut self, header: &Header, at: usize, bytes: &[u8], ends: bool) {
        let Some(ear) = self.ear.as_ref().filter(|_| !header.opcode.is_control()) else { return };
        let payload = bytes.get(header.size.saturating_sub(at)..).unwrap_or_default();
        if self.lost || self.message.len() + payload.len() > ear.wants() {
            (self.lost, self.message) = (true, Vec::new());
        } else {
            self.message.extend_from_slice(payload);
        }
        if ends && header.last {
            let (message, lost) = (std::mem::take(&mut self.message), std::mem::take(&mut self.lost));
            if !lost && !message.is_empty() {
                ear.hear(&message);
            }
        }
    }
}
