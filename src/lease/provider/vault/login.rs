//! Who asks a vault: a token that the operator has, or a login with a token of its own.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{VAULT, Vault, refused};
use crate::call::Secret;
use crate::lease::provider::ask::{self, Ask, Effect};
use crate::lease::provider::{MintError, SecretSource};

/// How remit shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login<S> {
    /// `token`: `secret` is one.
    Token(S),
    /// `approle`.
    AppRole {
        /// `auth_mount`; `approle` where nothing is said.
        mount: String,
        /// `role_id`.
        role_id: String,
        /// `secret`; a role may do without.
        secret_id: Option<S>,
    },
    /// `jwt`: a JWT that the operator has.
    Jwt {
        /// `auth_mount`; `jwt` where nothing is said.
        mount: String,
        /// `role`.
        role: String,
        /// `secret`.
        jwt: S,
    },
    /// `svid`: this node's JWT-SVID at the same kind of mount.
    Svid {
        /// `auth_mount`; `jwt` where nothing is said.
        mount: String,
        /// `role`.
        role: String,
        /// `audience`: that which the role is bound to.
        audience: String,
    },
}

impl<S> Login<S> {
    /// Where its secret is.
    pub fn secret(&self) -> Option<&S> {
        match self {
            Self::Token(secret) | Self::Jwt { jwt: secret, .. } => Some(secret),
            Self::AppRole { secret_id, .. } => secret_id.as_ref(),
            Self::Svid { .. } => None,
        }
    }
}

/// A token, and whether it was made for this one use.
pub(super) struct Token {
    pub(super) token: Secret<String>,
    pub(super) is_own: bool,
}

#[derive(Deserialize)]
struct Said {
    auth: Option<SaidAuth>,
}

#[derive(Deserialize)]
struct SaidAuth {
    client_token: String,
}

impl<S: SecretSource> Vault<S> {
    pub(super) async fn login(&self) -> Result<Token, MintError> {
        let (mount, body, secret) = match &self.settings.login {
            Login::Token(source) => {
                return Ok(Token {
                    token: ask::token(source.read().await?.reveal().clone(), "`secret`")?,
                    is_own: false,
                });
            }
            Login::AppRole { mount, role_id, secret_id: None } => {
                (mount, json!({ "role_id": role_id }), None)
            }
            Login::AppRole { mount, role_id, secret_id: Some(source) } => {
                let secret = source.read().await?;
                (mount, json!({ "role_id": role_id, "secret_id": secret.reveal() }), Some(secret))
            }
            Login::Jwt { mount, role, jwt } => {
                let jwt = jwt.read().await?;
                (mount, json!({ "role": role, "jwt": jwt.reveal() }), Some(jwt))
            }
            Login::Svid { mount, role, audience } => {
                let jwt = self.ports.jwt_svid(audience).await?;
                (mount, json!({ "role": role, "jwt": jwt.reveal() }), Some(jwt))
            }
        };
        let to = self.at(std::iter::once("auth").chain(mount.split('/')).chain(std::iter::once("login")));
        // A login whose answer was lost gave a token that nobody has: it gives no access, and runs out.
        let ask = Ask::json(Method::POST, &to, VAULT, Effect::Repeatable, &body)?.hiding(secret);
        let answer = self.dressed(ask, None)?.send(&*self.ports.fetch).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer, "check `auth`, `auth_mount`, the role and the secret"));
        }
        let said: Said = answer.json()?;
        let auth = said.auth.ok_or_else(|| answer.odd("there is no `auth`"))?;
        Ok(Token { token: ask::token(auth.client_token, VAULT)?, is_own: true })
    }
}
