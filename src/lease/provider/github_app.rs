//! GitHub Apps: installation tokens for named repositories and permissions, for an hour at the most, ended by themselves.
//!
//! | what | published description | keys |
//! |---|---|---|
//! | the app's own token, RS256, ten minutes at the most | "Generating a JSON Web Token for a GitHub App" | `app_id` (or client id), `secret` (PEM) |
//! | a token | `POST /app/installations/{installation_id}/access_tokens` | `installation_id`, `owner` |
//! | its end | `DELETE /installation/token` | |
//! | where | | `api_url` (GitHub Enterprise: `https://HOST/api/v3`) |
//! | which permission an operation needs | `permissions.toml` in the catalog's folder | `permissions`, `wide` |
//!
//! Repositories are those of the task's grant, where it names them one by one, else the one that the call touches.
//! Permissions are those of the call's operations, to read where they are reads and to write where not. A token for a read
//! therefore cannot write, and one for issues cannot push. What cannot be said in these terms (a repository of another owner,
//! an operation with no permission of its own) is refused unless the operator said `wide = true`.

mod permissions;
mod reach;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::permissions::{BadPermissions, Permissions};
use self::reach::Reach;
use super::ask::{self, Answer, Ask, Effect};
use super::endpoint::Endpoint;
use super::jwt::Key;
use super::narrow::Width;
use super::{Material, MintError, Minted, Need, Ports, Provider, Returned, SecretSource};
use crate::call::{Secret, Timestamp};

const API: &str = "the GitHub API";
/// The version of the API that is spoken here.
const VERSION: &str = "2022-11-28";
/// Into the past, for clocks that run behind, and into the future, where ten minutes are the limit.
const BACKDATED: u64 = 60;
const APP_TOKEN_LIFE: Duration = Duration::from_secs(9 * 60);

/// All that [`GithubApp`] wants to know. `S` says where secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings<S> {
    /// `api_url`.
    pub api: Endpoint,
    /// `app_id`: the app's number or its client id.
    pub app_id: String,
    /// `secret`: the app's private key, RSA in PEM.
    pub key: S,
    /// `installation_id`.
    pub installation_id: u64,
    /// `owner`: the account that the app is installed at; repositories of others cannot be reached through it.
    pub owner: String,
    /// What operations need.
    pub permissions: Permissions,
    /// `wide`.
    pub width: Width,
}

/// Installation tokens of one installation.
pub struct GithubApp<S> {
    settings: Settings<S>,
    ports: Ports,
}

/// The claims of the app's own token.
#[derive(Serialize)]
struct AppClaims<'a> {
    iat: u64,
    exp: u64,
    iss: &'a str,
}

#[derive(Deserialize)]
struct Said {
    token: String,
    expires_at: String,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    /// `all` or `selected`.
    repository_selection: Option<String>,
    #[serde(default)]
    repositories: Vec<SaidRepository>,
}

#[derive(Deserialize)]
struct SaidRepository {
    name: String,
}

#[derive(Default, Deserialize)]
struct SaidError {
    #[serde(default)]
    message: String,
}

impl<S: SecretSource> GithubApp<S> {
    /// One installation.
    pub fn new(settings: Settings<S>, ports: Ports) -> Self {
        Self { settings, ports }
    }

    fn reach(&self, need: &Need<'_>) -> Result<Reach, MintError> {
        Reach::of(need, &self.settings)
    }

    async fn app_token(&self) -> Result<Secret<String>, MintError> {
        let key = Key::parse(&self.settings.key.read().await?, None)?;
        let now = self.ports.clock.now();
        key.sign(&AppClaims {
            iat: now.unix_s().saturating_sub(BACKDATED),
            exp: now.plus(APP_TOKEN_LIFE).unix_s(),
            iss: &self.settings.app_id,
        })
    }

    async fn give(&self, need: &Need<'_>) -> Result<Minted, MintError> {
        let reach = self.reach(need)?;
        let app_token = self.app_token().await?;
        let id = self.settings.installation_id.to_string();
        let to = self.settings.api.join(["app", "installations", &id, "access_tokens"]);
        let ask = Ask::json(Method::POST, &to, API, Effect::Gives, &json!(reach))?;
        let answer = signed(ask, &app_token)?.send(&*self.ports.fetch).await?;
        if answer.status != StatusCode::CREATED {
            return Err(refused(&answer, "token"));
        }
        let said: Said = answer.json()?;
        let token = ask::token(said.token, API)?;
        let unfit = match expiry(&said.expires_at) {
            Err(why) => Err(why),
            Ok(_) if self.settings.width == Width::Wide => expiry(&said.expires_at),
            Ok(end) => {
                let names = said.repositories.iter().map(|repository| repository.name.as_str());
                let all = said.repository_selection.as_deref() == Some("all");
                reach.contains(&said.permissions, names, all).map(|()| end)
            }
        };
        match unfit {
            Ok(end) => Ok(Minted {
                material: Material::Token(token.clone()),
                expires: Some(end),
                handle: Some(token),
            }),
            Err(why) => Err(match (self.take_back(&token).await, why) {
                (Ok(_), MintError::TooWide(text)) => MintError::TooWide(format!("{text}; it was taken back")),
                (Ok(_), other) => MintError::Refused(format!("{other}; it was taken back")),
                (Err(error), why) => MintError::Stray(format!(
                    "{why}; it could not be taken back and holds for an hour: {error}"
                )),
            }),
        }
    }

    async fn take_back(&self, token: &Secret<String>) -> Result<Returned, MintError> {
        let to = self.settings.api.join(["installation", "token"]);
        let ask = Ask::bare(Method::DELETE, &to, API, Effect::Repeatable)?;
        let answer = signed(ask, token)?.send(&*self.ports.fetch).await?;
        match answer.status {
            // A token that is not known any more cannot even ask for its end.
            StatusCode::NO_CONTENT | StatusCode::UNAUTHORIZED => Ok(Returned::Revoked),
            _ => Err(refused(&answer, "end")),
        }
    }
}

fn signed<'a>(ask: Ask<'a>, token: &Secret<String>) -> Result<Ask<'a>, MintError> {
    let authorization = Secret::new(format!("Bearer {}", token.reveal()));
    let ask = ask.with("authorization", authorization.reveal())?.with("x-github-api-version", VERSION)?;
    Ok(ask.with("accept", "application/vnd.github+json")?.hiding([token.clone()]))
}

fn refused(answer: &Answer, what: &str) -> MintError {
    let said: SaidError = answer.json_if_any().unwrap_or_default();
    let remedy = match (what, answer.status) {
        (_, StatusCode::UNAUTHORIZED) => {
            "check `app_id`, the key in `secret`, and this machine's clock (the app's token holds for minutes)"
        }
        ("token", StatusCode::NOT_FOUND) => "check `installation_id`, and that the app is still installed",
        ("token", StatusCode::UNPROCESSABLE_ENTITY) => {
            "the installation has not this permission or this repository: grant it to the app, or leave it out of the task's grant"
        }
        ("token", StatusCode::FORBIDDEN) => "the installation is suspended, or asks too often",
        _ => "",
    };
    // Its secondary limits come as 403 with `retry-after`.
    match answer.refused(&said.message, remedy) {
        MintError::Refused(text) if answer.headers.contains_key(http::header::RETRY_AFTER) => {
            MintError::Unavailable(text)
        }
        error => error,
    }
}

/// RFC 3339, as GitHub writes it.
fn expiry(text: &str) -> Result<Timestamp, MintError> {
    let parsed = text.parse::<jiff::Timestamp>().ok();
    let seconds = parsed.and_then(|end| u64::try_from(end.as_second()).ok());
    seconds.map(Timestamp::from_unix_s).ok_or_else(|| {
        MintError::Refused(format!("{API} gave a token without a readable end (`expires_at`)"))
    })
}

impl<S: SecretSource> Provider for GithubApp<S> {
    fn kind(&self) -> &'static str {
        "github_app"
    }

    fn scope(&self, need: &Need<'_>) -> Result<String, MintError> {
        Ok(self.reach(need)?.to_string())
    }

    fn mint<'a>(&'a self, need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        Box::pin(self.give(need))
    }

    fn revoke<'a>(&'a self, handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        Box::pin(self.take_back(handle))
    }
}
