//! Identifiers that cannot be mixed up: each is a ULID (128 bits: 48 of milliseconds, 80 random), printed in
//! Crockford base 32, so a listing sorts by time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::port::{Clock, Entropy};

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// A fresh id. 80 random bits: ids are not guessable, though nothing relies on that alone.
            pub fn fresh(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
                let mut random = [0; 16];
                entropy.fill(&mut random);
                Self(Ulid::from_parts(clock.now().unix_ms(), u128::from_be_bytes(random)))
            }

            /// The sixteen bytes, big-endian.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Ulid::from_string(text).map(Self).map_err(|_| NotAnId(text.to_owned()))
            }
        }
    };
}

ulid_id!(
    /// One call: from the head that an agent sent to the closing entry in the journal.
    CallId
);
ulid_id!(
    /// One call that waits for a person.
    HoldId
);
ulid_id!(
    /// One lease: a credential that remit obtained for one task.
    LeaseId
);
ulid_id!(
    /// One task: what an agent declared that it is about.
    TaskId
);

/// The place of an entry in one node's journal: 0 for the first, then up by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub u64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A text that should have been an id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an id: 26 letters and digits are wanted, as `remit task list` prints them")]
pub struct NotAnId(String);
