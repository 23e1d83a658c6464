//! Placeholders: what an agent is configured with in the place of a credential.
//!
//! A placeholder is worth nothing. It says which task and which service it stands for, so that one that turns up somewhere else
//! can be told, and nothing has to be remembered for that:
//!
//! ```text
//! <prefix> rem1t <task: 26 letters and digits> <tag: 13>       ghp_rem1t01k4…
//! AKIARMIT <tag: 12>                                          where only an AWS key id fits
//! remit_rem1c <task> <number: 13>                             a token that a service answered the agent with
//! ASIARMIT <number: 12>                                       the same, for the id of an AWS key
//! ```
//!
//! Those of tokens (`captured.rs`) have another marker, so neither is ever taken for the other.
//!
//! The tag is an HMAC over task and service with a key of this state folder. It is no secret either; it keeps texts that only
//! look so from being taken for ours, and tells the service.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use memchr::memmem::Finder;
use sha2::Sha256;

use crate::call::{Secret, TaskId};

/// What every placeholder has, and hardly anything else. A letter follows that says of what it is.
const MARKER: &[u8] = b"rem1";
const OF_LEASE: u8 = b't';
const OF_TOKEN: u8 = b'c';
/// How the placeholder of a token begins.
pub(super) const CAPTURED: &str = "remit_rem1c";
/// The beginning of those that look like an AWS key id, whose other letters are of `[A-Z2-7]`.
const AWS_MARKER: &[u8] = b"AKIARMIT";
/// The beginning of those of keys that a service answered with.
pub(super) const CAPTURED_KEY: &str = "ASIARMIT";
const AWS_TAG: usize = 12;
const TASK: usize = 26;
const TAG: usize = 13;

/// Crockford's base 32, lower case, as ids have it.
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// RFC 4648 §6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a placeholder looks like to a service's client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It begins so.
    Prefix(String),
    /// It is the id of an AWS key.
    AwsKeyId,
}

impl Default for Look {
    fn default() -> Self {
        Self::Prefix("remit_".to_owned())
    }
}

impl Look {
    /// From its beginning.
    pub fn of(prefix: &str) -> Self {
        if prefix == "AKIA" { Self::AwsKeyId } else { Self::Prefix(prefix.to_owned()) }
    }
}

/// A text that is a placeholder by its look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    captured: bool,
    task: Option<TaskId>,
    tag: &'a [u8],
}

/// Makes placeholders and tells them.
pub(super) struct Placeholders {
    key: Secret<Vec<u8>>,
    marker: Finder<'static>,
    aws: Finder<'static>,
    captured_aws: Finder<'static>,
}

impl Placeholders {
    /// With a key of this purpose alone.
    pub(super) fn new(key: Secret<Vec<u8>>) -> Self {
        Self {
            key,
            marker: Finder::new(MARKER),
            aws: Finder::new(AWS_MARKER),
            captured_aws: Finder::new(CAPTURED_KEY),
        }
    }

    /// The placeholder of a task for a service.
    pub(super) fn of(&self, task: TaskId, service: &str, look: &Look) -> String {
        let tag = self.tag(task, service);
        match look {
            Look::Prefix(prefix) => {
                let marker = String::from_utf8_lossy(MARKER);
                let task = task.to_string().to_ascii_lowercase();
                format!("{prefix}{marker}{}{task}{}", char::from(OF_LEASE), spelt::<TAG>(tag, CROCKFORD))
            }
            Look::AwsKeyId => {
                format!("{}{}", String::from_utf8_lossy(AWS_MARKER), spelt::<AWS_TAG>(tag, BASE32))
            }
        }
    }

    /// The placeholder of a token that a call of this task was answered with.
    pub(super) fn captured(task: TaskId, number: u64) -> String {
        let task = task.to_string().to_ascii_lowercase();
        format!("{CAPTURED}{task}{}", spelt::<TAG>(number, CROCKFORD))
    }

    /// The placeholder of the id of a key that a call was answered with.
    pub(super) fn captured_key(number: u64) -> String {
        format!("{CAPTURED_KEY}{}", spelt::<AWS_TAG>(number, BASE32))
    }

    /// Every text in `hay` that looks like a placeholder.
    pub(super) fn find<'h>(&self, hay: &'h [u8]) -> impl Iterator<Item = Candidate<'h>> + use<'h, '_> {
        let common = self.marker.find_iter(hay).filter_map(|at| {
            let (kind, rest) = hay.get(at + MARKER.len()..)?.split_first()?;
            if !matches!(*kind, OF_LEASE | OF_TOKEN) {
                return None;
            }
            let task = std::str::from_utf8(rest.get(..TASK)?).ok()?.to_ascii_uppercase();
            let tag = rest.get(TASK..TASK + TAG)?;
            let task = tag.iter().all(|b| CROCKFORD.contains(b)).then(|| task.parse().ok())??;
            Some(Candidate { captured: *kind == OF_TOKEN, task: Some(task), tag })
        });
        let key_id = |at: usize, captured| {
            let tag = hay.get(at + AWS_MARKER.len()..at + AWS_MARKER.len() + AWS_TAG)?;
            tag.iter().all(|b| BASE32.contains(b)).then_some(Candidate { captured, task: None, tag })
        };
        let aws = self.aws.find_iter(hay).filter_map(move |at| key_id(at, false));
        let captured_aws = self.captured_aws.find_iter(hay).filter_map(move |at| key_id(at, true));
        common.chain(aws).chain(captured_aws)
    }

    /// Whether a candidate is the placeholder of this task for this service.
    pub(super) fn is(&self, candidate: Candidate<'_>, task: TaskId, service: &str) -> bool {
        if candidate.captured {
            return false;
        }
        let tag = self.tag(task, service);
        match candidate.task {
            Some(named) => named == task && candidate.tag == spelt::<TAG>(tag, CROCKFORD).as_bytes(),
            None => candidate.tag == spelt::<AWS_TAG>(tag, BASE32).as_bytes(),
        }
    }

    fn tag(&self, task: TaskId, service: &str) -> u64 {
        // HMAC takes keys of any length, so this cannot fail; a key of nothing would only make tags that anybody can make.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.reveal()) else { return 0 };
        mac.update(&task.to_bytes());
        mac.update(service.as_bytes());
        let first = mac.finalize().into_bytes();
        first.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl Candidate<'_> {
    /// The task that it names.
    pub(super) fn task(self) -> Option<TaskId> {
        self.task
    }

    /// Whether it stands for a token that a service answered with, and not for a lease.
    pub(super) fn is_captured(self) -> bool {
        self.captured
    }

    /// Whether it is the end of this text.
    pub(super) fn is_of(self, text: &str) -> bool {
        text.as_bytes().ends_with(self.tag)
    }
}

/// Whether a text is the placeholder of a token, and nothing else.
pub(super) fn is_captured(text: &str) -> bool {
    text.len() == CAPTURED.len() + TASK + TAG && text.starts_with(CAPTURED)
}

/// The lower bits, five a letter.
fn spelt<const LETTERS: usize>(number: u64, alphabet: &[u8; 32]) -> String {
    let letter = |at: usize| {
        let five = number.checked_shr(u32::try_from(5 * at).unwrap_or(u32::MAX)).unwrap_or_default() & 31;
        let letter = usize::try_from(five).ok().and_then(|five| alphabet.get(five)).copied();
        char::from(letter.unwrap_or(b'0'))
    };
    (0..LETTERS).rev().map(letter).collect()
}

/// The user and the password that a value of `Authorization: Basic` holds, still with the colon between.
pub(super) fn basic(value: &[u8]) -> Option<Bytes> {
    use base64::Engine as _;
    let scheme = value.get(..6)?;
    let rest = scheme.eq_ignore_ascii_case(b"basic ").then(|| value.get(6..))??;
    base64::engine::general_purpose::STANDARD.decode(rest.trim_ascii()).ok().map(Bytes::from)
}
