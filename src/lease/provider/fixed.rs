//! A secret that is there already: in the environment, in a file, or told by a command. It is not short-lived, nobody can take
//! it back, and spans say so. What it may do is not narrowed.
//!
//! A file is read again when it changes, a command is asked again every [`ASK_EVERY`], so a secret can be replaced while the
//! node runs.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroize as _;

use super::{Material, MintError, Minted, Need, Provider, Returned, SecretSource};
use crate::call::Secret;

/// Shortest secret that is put into requests, bytes: a shorter one could not be told from other text in an answer, and would
/// reach the agent with it.
const LEAST_BYTES: usize = 8;
/// Longest secret that is read, bytes.
const LIMIT_BYTES: u64 = 64 * 1024;
/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(10);
/// How often a command is asked again.
const ASK_EVERY: Duration = Duration::from_secs(300);
/// How often a file is looked at, at the most.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Where a secret is. Holds none itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An environment variable of the node.
    Env(String),
    /// A file.
    File(PathBuf),
    /// What a program prints; the program and its arguments.
    Command(Vec<String>),
}

impl SecretSource for Source {
    fn read(&self) -> BoxFuture<'_, Result<Secret<String>, MintError>> {
        Source::read(self).boxed()
    }
}

impl Source {
    /// Reads it now, without white space at its ends.
    pub async fn read(&self) -> Result<Secret<String>, MintError> {
        let refused = |why: String| Err(MintError::Refused(why));
        let text = match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(text) => text.into_bytes(),
                Err(_) => return refused(format!("the environment of the node has no `{name}`")),
            },
            Self::File(path) => match read_file(path).await {
                Ok(bytes) => bytes,
                Err(error) => return refused(format!("`{}` cannot be read: {error}", path.display())),
            },
            Self::Command(words) => run(words).await?,
        };
        let mut text = Secret::new(text);
        trim(&mut text);
        match String::from_utf8(text.reveal().clone()) {
            Ok(text) if text.is_empty() => refused(format!("{} is empty", self.told())),
            Ok(text) => Ok(Secret::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                refused(format!("{} is no text", self.told()))
            }
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Env(name) => format!("the variable `{name}`"),
            Self::File(path) => format!("`{}`", path.display()),
            Self::Command(words) => {
                format!("what `{}` prints", words.first().map(String::as_str).unwrap_or_default())
            }
        }
    }
}

fn trim(text: &mut Secret<Vec<u8>>) {
    let trimmed = text.reveal().trim_ascii().to_vec();
    *text = Secret::new(trimmed);
}

async fn read_file(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(LIMIT_BYTES).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

async fn run(words: &[String]) -> Result<Vec<u8>, MintError> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(MintError::Refused("the command is empty".to_owned()));
    };
    let unavailable = |why: String| MintError::Unavailable(format!("`{program}` {why}"));
    let mut command = tokio::process::Command::new(program);
    // What it says on standard error may be the secret itself, so nobody sees it.
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| MintError::Refused(format!("`{program}` cannot be run: {error}")))?;
    let out = child.stdout.take().ok_or_else(|| unavailable("has no output".to_owned()))?;
    let mut bytes = Vec::new();
    let whole = async {
        out.take(LIMIT_BYTES).read_to_end(&mut bytes).await?;
        child.wait().await
    };
    match tokio::time::timeout(COMMAND_TIME, whole).await {
        Ok(Ok(status)) if status.success() => Ok(bytes),
        Ok(Ok(status)) => Err(unavailable(format!("ended with {status}"))),
        Ok(Err(error)) => Err(unavailable(format!("was lost: {error}"))),
        Err(_elapsed) => Err(unavailable(format!("did not end within {} s", COMMAND_TIME.as_secs()))),
    }
}

/// When a file was written last, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// What was seen of the source, and when.
struct Seen {
    at: Instant,
    stamp: Stamp,
    generation: u64,
}

/// Gives one secret.
pub struct Fixed {
    source: Source,
    seen: Mutex<Seen>,
}

impl Fixed {
    /// Reads nothing yet.
    pub fn new(source: Source) -> Self {
        let seen = Seen { at: Instant::now(), stamp: stamp(&source), generation: 0 };
        Self { source, seen: Mutex::new(seen) }
    }
}

fn stamp(source: &Source) -> Stamp {
    let Source::File(path) = source else { return None };
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

impl Provider for Fixed {
    fn kind(&self) -> &'static str {
        "fixed"
    }

    fn scope(&self, _need: &Need<'_>) -> Result<String, MintError> {
        Ok("whatever the key may do".to_owned())
    }

    fn mint<'a>(&'a self, _need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        async move {
            let secret = self.source.read().await?;
            if secret.reveal().len() < LEAST_BYTES {
                let why = format!(
                    "{} has less than {LEAST_BYTES} characters, so answers could not be searched for it",
                    self.source.told()
                );
                return Err(MintError::Refused(why));
            }
            Ok(Minted { material: Material::Token(secret), expires: None, handle: None })
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, _handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        std::future::ready(Ok(Returned::Until(None))).boxed()
    }

    fn generation(&self) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let age = seen.at.elapsed();
        match &self.source {
            Source::Env(_) => {}
            Source::File(_) if age < LOOK_EVERY => {}
            Source::File(_) => {
                seen.at = Instant::now();
                let now = stamp(&self.source);
                // A file that is away is being replaced: what it held goes on being used until it is back.
                if now.is_some() && now != seen.stamp {
                    seen.stamp = now;
                    seen.generation += 1;
                }
            }
            Source::Command(_) if age < ASK_EVERY => {}
            Source::Command(_) => {
                seen.at = Instant::now();
                seen.generation += 1;
            }
        }
        seen.generation
    }
}

impl std::fmt::Debug for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fixed({:?})", self.source)
    }
}
