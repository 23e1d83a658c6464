//! The token that lets operators in: 256 bits in a file that only remit's own user may read.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::call::{Entropy, Secret};
use crate::identity::{KeyError, private_file};

/// Bytes behind the token.
const BYTES: usize = 32;

/// The token that lets operators in.
#[derive(Clone, Debug)]
pub struct AdminToken(Secret<String>);

impl AdminToken {
    /// Reads the token from `path` (`admin.token` in the state folder), or makes it there with mode 0600.
    pub fn load_or_make(path: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let content = private_file::load_or_make(path, || Secret::new(fresh(entropy)))?;
        Self::parse(path, &content)
    }

    /// Reads the token from `path`, where a node has put it: for its clients.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::parse(path, &private_file::load(path)?)
    }

    /// The token itself, for the `Authorization` header of a client.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Whether this is the token. Takes the same time wherever a guess goes wrong; its length is no secret.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.reveal().as_bytes().ct_eq(presented.as_bytes()).into()
    }

    fn parse(path: &Path, content: &Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let broken = || KeyError::Content { path: path.into(), what: "admin token" };
        let text = std::str::from_utf8(content.reveal()).map_err(|_| broken())?.trim_ascii_end();
        let bytes = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| broken())?;
        if bytes.len() != BYTES {
            return Err(broken());
        }
        Ok(Self(Secret::new(text.to_owned())))
    }
}

/// One line, so that it reads well in a terminal and in `$(cat admin.token)`.
fn fresh(entropy: &dyn Entropy) -> Vec<u8> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    entropy.fill(bytes.as_mut());
    let mut line = URL_SAFE_NO_PAD.encode(*bytes).into_bytes();
    line.push(b'\n');
    line
}
