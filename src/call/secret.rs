//! A value that has no printable form (INVARIANT I10).

use std::fmt;

use zeroize::Zeroize;

/// Holds a secret: `Debug` shows nothing, there is no `Display` and no `Serialize`, and the memory is zeroed on drop.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value. The caller MUST NOT keep a copy.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Call it at the last moment, and never put what it returns into an error or a log.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
