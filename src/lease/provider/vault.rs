//! HashiCorp Vault and OpenBao: dynamic secrets, and the end of their leases.
//!
//! | what | published description (HTTP API) | keys |
//! |---|---|---|
//! | who asks | a token; `/auth/{mount}/login` of AppRole and of JWT/OIDC | `auth`, `secret`, `role_id`, `role`, `auth_mount` |
//! | a secret | the secrets engine's path | `path` or `paths` of each class, `wide`, `field` or `fields` |
//! | its end | `PUT /sys/leases/revoke`; the login's own token: `POST /auth/token/revoke-self` | |
//! | where | | `api_url`, `namespace` |
//!
//! A lease in Vault ends with the token that asked for it. With AppRole and JWT each lease of remit therefore has a login of
//! its own, whose token is its handle: ending that token ends whatever came of it, even where the policy does not let it
//! revoke leases. What Vault gives without a lease id (a static secret) cannot be ended, and is said to hold for ever.

mod login;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::login::Login;
use super::ask::{self, Answer, Ask, Effect};
use super::endpoint::Endpoint;
use super::narrow::{ByClass, Width};
use super::{Material, MintError, Minted, Need, Ports, Provider, Returned, SecretSource};
use crate::call::{Class, Secret, Timestamp};

const VAULT: &str = "the vault";

/// All that [`Vault`] wants to know. `S` says where secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings<S> {
    /// `api_url`, without `/v1`.
    pub api: Endpoint,
    /// `namespace`.
    pub namespace: Option<String>,
    /// `auth` and what belongs to it.
    pub login: Login<S>,
    /// `path`, `paths`: below `/v1/`, such as `database/creds/readonly`.
    pub paths: ByClass<String>,
    /// `wide`.
    pub width: Width,
    /// `field`, `fields`.
    pub fields: Fields,
}

/// Which members of a secret's `data` are the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// `field = "token"`.
    Token(String),
    /// `fields = { user = "username", password = "password" }`.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// `fields = { access_key_id = "access_key", secret_access_key = "secret_key", session_token = "security_token" }`.
    Aws {
        /// The key's id.
        access_key_id: String,
        /// What signatures are made of.
        secret_access_key: String,
        /// Of temporary keys.
        session_token: Option<String>,
    },
}

/// Dynamic secrets of one vault.
pub struct Vault<S> {
    settings: Settings<S>,
    ports: Ports,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: u64,
    data: Option<Map<String, Value>>,
}

#[derive(Default, Deserialize)]
struct SaidError {
    #[serde(default)]
    errors: Vec<String>,
}

/// What ends a secret.
#[derive(Default, Serialize, Deserialize)]
struct Handle {
    lease: String,
    /// Of a login of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl<S: SecretSource> Vault<S> {
    /// One vault.
    pub fn new(settings: Settings<S>, ports: Ports) -> Self {
        Self { settings, ports }
    }

    fn path(&self, class: Class) -> Result<&str, MintError> {
        let path = self.settings.paths.of(class, self.settings.width, "paths")?;
        path.map(String::as_str)
            .ok_or_else(|| MintError::Refused(format!("`paths` names none for class {class}")))
    }

    fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Endpoint {
        self.settings.api.join(std::iter::once("v1").chain(path))
    }

    fn dressed<'a>(&self, ask: Ask<'a>, token: Option<&Secret<String>>) -> Result<Ask<'a>, MintError> {
        let mut ask = ask.with("x-vault-request", "true")?;
        if let Some(namespace) = &self.settings.namespace {
            ask = ask.with("x-vault-namespace", namespace)?;
        }
        match token {
            Some(token) => Ok(ask.with("x-vault-token", token.reveal())?.hiding([token.clone()])),
            None => Ok(ask),
        }
    }

    async fn give(&self, need: &Need<'_>) -> Result<Minted, MintError> {
        let path = self.path(need.class)?;
        let token = self.login().await?;
        let to = self.at(path.split('/'));
        let ask = self.dressed(Ask::bare(Method::GET, &to, VAULT, Effect::Gives)?, Some(&token.token))?;
        let now = self.ports.clock.now();
        let answered = match ask.send(&*self.ports.fetch).await {
            Ok(answer) if answer.status == StatusCode::OK => self.read(&answer),
            Ok(answer) => {
                Err(refused(&answer, "check the path, and that the policy of the login lets it read there"))
            }
            Err(error) => Err(error),
        };
        let own = token.is_own.then(|| token.token.clone());
        match answered {
            Ok((said, material)) => {
                let expires = match expires(&said, now) {
                    Ok(expires) => expires,
                    Err(error) => return Err(self.clean_up(error, own).await),
                };
                if said.lease_id.is_empty() {
                    // The login gave what was there before it and stays after it: nothing to take back.
                    if let Some(own) = own {
                        drop(self.end_login(&own).await);
                    }
                    return Ok(Minted { material, expires, handle: None });
                }
                let handle = Handle { lease: said.lease_id, token: own.map(|t| t.reveal().clone()) };
                let handle = Secret::new(serde_json::to_string(&handle).unwrap_or_default());
                Ok(Minted { material, expires, handle: Some(handle) })
            }
            Err(error) => Err(self.clean_up(error, own).await),
        }
    }

    /// With the login's token goes whatever was given, also what nobody here could read.
    async fn clean_up(&self, error: MintError, own: Option<Secret<String>>) -> MintError {
        match (own, error) {
            (Some(own), MintError::Unknown(text)) => match self.end_login(&own).await {
                Ok(()) => {
                    MintError::Unavailable(format!("{text}; what it may have given was ended with the login"))
                }
                Err(_) => MintError::Unknown(text),
            },
            (Some(own), error) => match self.end_login(&own).await {
                Ok(()) => error,
                Err(end) => MintError::Stray(format!("{error}; and its login could not be ended: {end}")),
            },
            (None, error) => error,
        }
    }

    fn read(&self, answer: &Answer) -> Result<(Said, Material), MintError> {
        let said: Said = answer.json()?;
        let mut data = said.data.as_ref().ok_or_else(|| answer.odd("there is no `data`"))?;
        // The second version of the key-value engine puts the secret one level deeper.
        if let (Some(Value::Object(inner)), Some(Value::Object(_))) = (data.get("data"), data.get("metadata"))
        {
            data = inner;
        }
        let text = |field: &String| match data.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(answer.odd(&format!("`{field}` is no text"))),
            None => Err(answer.odd(&format!("there is no `{field}`; see `field` and `fields`"))),
        };
        let material = match &self.settings.fields {
            Fields::Token(field) => Material::Token(ask::token(text(field)?, VAULT)?),
            Fields::Basic { user, password } => {
                Material::Basic { user: text(user)?, password: Secret::new(text(password)?) }
            }
            Fields::Aws { access_key_id, secret_access_key, session_token } => Material::Aws {
                access_key_id: text(access_key_id)?,
                secret_access_key: ask::token(text(secret_access_key)?, VAULT)?,
                session_token: session_token
                    .as_ref()
                    .map(|field| ask::token(text(field)?, VAULT))
                    .transpose()?,
            },
        };
        Ok((said, material))
    }

    async fn take_back(&self, handle: &Secret<String>) -> Result<Returned, MintError> {
        let handle: Handle = serde_json::from_str(handle.reveal()).map_err(|_| {
            MintError::Refused(
                "the handle of a lease cannot be read; end it with `vault lease revoke -prefix`".to_owned(),
            )
        })?;
        if let Some(own) = handle.token.map(Secret::new) {
            return self.end_login(&own).await.map(|()| Returned::Revoked);
        }
        let token = self.login().await?;
        let ended = self.end_lease(&handle.lease, &token.token).await;
        if token.is_own {
            drop(self.end_login(&token.token).await);
        }
        ended.map(|()| Returned::Revoked)
    }

    /// `sync`: it is gone when this is answered, not when the vault comes to it.
    async fn end_lease(&self, lease: &str, token: &Secret<String>) -> Result<(), MintError> {
        let to = self.at(["sys", "leases", "revoke"]);
        let body = json!({ "lease_id": lease, "sync": true });
        let ask = Ask::json(Method::PUT, &to, VAULT, Effect::Repeatable, &body)?;
        let answer = self.dressed(ask, Some(token))?.send(&*self.ports.fetch).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(refused(
                &answer,
                "let the policy of the token `update` at `sys/leases/revoke`, or use `auth = \"approle\"`, whose leases end with its login",
            )),
        }
    }

    async fn end_login(&self, token: &Secret<String>) -> Result<(), MintError> {
        let to = self.at(["auth", "token", "revoke-self"]);
        let ask = Ask::bare(Method::POST, &to, VAULT, Effect::Repeatable)?;
        let answer = self.dressed(ask, Some(token))?.send(&*self.ports.fetch).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            // A token that is not known any more is refused, and its leases went with it; one whose policies do not let it end itself
            // is refused too, and lives.
            StatusCode::FORBIDDEN if is_unknown(&answer) => Ok(()),
            _ => Err(refused(
                &answer,
                "let the policies of the login `update` at `auth/token/revoke-self`, as the default policy does",
            )),
        }
    }
}

fn is_unknown(answer: &Answer) -> bool {
    let said: SaidError = answer.json_if_any().unwrap_or_default();
    said.errors.iter().any(|error| error.contains("invalid token") || error.contains("bad token"))
}

/// A secret without a lease has a `lease_duration` all the same, which only says how often to look again.
fn expires(said: &Said, now: Timestamp) -> Result<Option<Timestamp>, MintError> {
    if said.lease_id.is_empty() || said.lease_duration == 0 {
        return Ok(None);
    }
    ask::ends(now, said.lease_duration).map(Some)
}

fn refused(answer: &Answer, remedy: &str) -> MintError {
    let said: SaidError = answer.json_if_any().unwrap_or_default();
    let sealed = answer.status == StatusCode::SERVICE_UNAVAILABLE;
    answer.refused(&said.errors.join("; "), if sealed { "it is sealed or on standby" } else { remedy })
}

impl<S: SecretSource> Provider for Vault<S> {
    fn kind(&self) -> &'static str {
        "vault"
    }

    fn scope(&self, need: &Need<'_>) -> Result<String, MintError> {
        let path = self.path(need.class)?;
        Ok(match &self.settings.namespace {
            Some(namespace) => format!("{path} in {namespace}"),
            None => path.to_owned(),
        })
    }

    fn mint<'a>(&'a self, need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        Box::pin(self.give(need))
    }

    fn revoke<'a>(&'a self, handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        Box::pin(self.take_back(handle))
    }
}
