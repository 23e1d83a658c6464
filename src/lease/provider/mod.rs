//! Those who give credentials: one file a way of obtaining them.
//!
//! A provider MUST NOT keep what it gave: whoever asked keeps it, and brings back the [`Minted::handle`] when it is to be
//! revoked, perhaps from another process. It MUST NOT put a secret into an error. It asks the world through
//! [`Fetch`] alone.
//!
//! | file | `provider` | gives | takes back |
//! |---|---|---|---|
//! | [`oauth`] | `oauth` | access tokens: RFC 6749 §4.4 and §6, RFC 8693, RFC 7523 §2.1; bound by RFC 9449 if asked | RFC 7009, where `revocation_url` is set |
//! | [`github_app`] | `github_app` | installation tokens for named repositories and permissions | `DELETE /installation/token` |
//! | [`google`] | `google` | access tokens of a service account, of its own or of one that it may act as | `revocation_url`; what Google does not end, ends by itself |
//! | [`aws_sts`] | `aws_sts` | temporary keys of AWS, with a session policy | nothing: they end with the task's deadline |
//! | [`vault`] | `vault` | dynamic secrets of Vault and OpenBao | `/sys/leases/revoke`, and the login token itself |
//!
//! What they share: [`ask`] (one request, and how its failures read), [`endpoint`] (where secrets may be sent), [`jwt`]
//! (what is signed), [`dpop`] (proofs), [`narrow`] (what a class may ask for).

pub mod ask;
pub mod aws_sts;
pub mod dpop;
pub mod endpoint;
pub mod fixed;
pub mod github_app;
pub mod google;
pub mod jwt;
pub mod narrow;
pub mod oauth;
pub mod vault;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::call::{Class, Clock, Entropy, Fetch, Operations, Secret, ServiceName, Task, Timestamp};

/// One way of obtaining credentials, set up as the operator wrote it down.
pub trait Provider: Send + Sync {
    /// As the configuration names it: `fixed`, `oauth`, `github_app`.
    fn kind(&self) -> &'static str;

    /// What a credential for this need may do, in one canonical line for people, such as `contents:read on octo/hello`. Needs of
    /// the same task with the same scope share one lease, so the scope MUST name all that [`Provider::mint`] narrows by.
    fn scope(&self, need: &Need<'_>) -> Result<String, MintError>;

    /// Obtains a credential that can do what the need asks and as little else as the provider can say.
    fn mint<'a>(&'a self, need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>>;

    /// Has a credential end. What is gone already counts as ended.
    fn revoke<'a>(&'a self, handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>>;

    /// Changes when what was given before is not to be used any more, because it was replaced where it comes from. Asked at every
    /// call.
    fn generation(&self) -> u64 {
        0
    }
}

/// What a credential is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// For which task; its grant narrows.
    pub task: &'a Task,
    /// For which service: a name of the catalog, or a host.
    pub service: &'a ServiceName,
    /// The strongest class of the call. What is obtained for a read MUST NOT be able to act where the provider can tell them apart.
    pub class: Class,
    /// What the call would do, and to what.
    pub operations: &'a Operations,
    /// When the task ends at the latest: a credential that would hold longer is to be asked for with this end.
    pub until: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// A credential.
#[derive(Debug)]
pub struct Minted {
    /// The credential itself.
    pub material: Material,
    /// When it ends by itself; none: never, which spans and `task show` say.
    pub expires: Option<Timestamp>,
    /// What [`Provider::revoke`] wants to see; none: this provider cannot take it back.
    pub handle: Option<Secret<String>>,
}

/// What a credential is made of.
#[derive(Clone, Debug)]
pub enum Material {
    /// One text: a bearer token, an API key.
    Token(Secret<String>),
    /// RFC 7617.
    Basic {
        /// No secret.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// RFC 9449: a token and the key that it is bound to.
    Dpop {
        /// The token.
        token: Secret<String>,
        /// The private key, PKCS #8 in PEM.
        key: Secret<String>,
    },
    /// AWS keys, to sign with.
    Aws {
        /// `AKIA…` or `ASIA…`, no secret.
        access_key_id: String,
        /// What signatures are made of.
        secret_access_key: Secret<String>,
        /// Of temporary keys.
        session_token: Option<Secret<String>>,
    },
}

/// What became of a credential that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// It is gone.
    Revoked,
    /// The provider cannot take it back: it ends by itself then, or never.
    Until(Option<Timestamp>),
}

/// There is no credential, or it could not be taken back. The text names cause and remedy, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Asking again can help: an outage, a limit.
    #[error("{0}")]
    Unavailable(String),
    /// Asking again cannot help: the provider refused, or the configuration is wrong.
    #[error("{0}")]
    Refused(String),
    /// It cannot be said in this provider's terms what the task may do, so nothing is asked for.
    #[error("{0}")]
    TooWide(String),
    /// Whether the provider gave anything is not known: the answer was lost.
    #[error("{0}")]
    Unknown(String),
    /// Something was given that is of no use here, and it could not be taken back. Asking again would give more of it.
    #[error("{0}")]
    Stray(String),
}

/// Where the operator's secret comes from: the environment, a file, a command. It is asked each time, so that what was
/// replaced there is used from then on.
pub trait SecretSource: Send + Sync {
    /// The secret, without the line's end.
    fn read(&self) -> BoxFuture<'_, Result<Secret<String>, MintError>>;
}

/// A secret that is there already.
pub struct Given(pub Secret<String>);

impl SecretSource for Given {
    fn read(&self) -> BoxFuture<'_, Result<Secret<String>, MintError>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

impl SecretSource for Arc<dyn SecretSource> {
    fn read(&self) -> BoxFuture<'_, Result<Secret<String>, MintError>> {
        self.as_ref().read()
    }
}

/// This node's own JWT-SVIDs (SPIFFE Workload API §6).
pub trait SvidSource: Send + Sync {
    /// A fresh one for `audience`.
    fn jwt_svid<'a>(&'a self, audience: &'a str) -> BoxFuture<'a, Result<Secret<String>, MintError>>;
}

/// One secret of a provider's own that has to outlive the process: a refresh token that the server replaced.
pub trait Keeper: Send + Sync {
    /// What was kept last.
    fn kept(&self) -> BoxFuture<'_, Result<Option<Secret<String>>, MintError>>;
    /// Keeps this instead. It is durable when this returns.
    fn keep<'a>(&'a self, secret: &'a Secret<String>) -> BoxFuture<'a, Result<(), MintError>>;
}

/// What of the world a provider asks.
#[derive(Clone)]
pub struct Ports {
    /// Servers that the operator named.
    pub fetch: Arc<dyn Fetch>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Keys and ids.
    pub entropy: Arc<dyn Entropy>,
    /// The Workload API, where there is one.
    pub svids: Option<Arc<dyn SvidSource>>,
    /// For refresh tokens that servers replace; without it, such a server locks the node out at its next start.
    pub keeper: Option<Arc<dyn Keeper>>,
}

impl Ports {
    /// This node's JWT-SVID for `audience`.
    pub async fn jwt_svid(&self, audience: &str) -> Result<Secret<String>, MintError> {
        match &self.svids {
            Some(svids) => svids.jwt_svid(audience).await,
            None => Err(MintError::Refused(
                "a JWT-SVID is wanted and no Workload API is named; set `identity.workload_api`".to_owned(),
            )),
        }
    }
}
