//! Google service accounts: access tokens by JWT bearer, of the account itself or of one that it may act as.
//!
//! | what | published description | keys |
//! |---|---|---|
//! | a token of the account, an hour | RFC 7523 §2.1 at the key's `token_uri` | `secret` (the key file, JSON), `scopes`, `wide` |
//! | a token of another account, for as long as the task | `projects.serviceAccounts.generateAccessToken` | `impersonate`, `delegates`, `iam_url` |
//! | its end | token revocation of Google's OAuth 2.0 | `revocation_url` |
//!
//! Google ends tokens of people on request and lets those of service accounts run out. So `impersonate` is the way to a short
//! life: there the lifetime is asked for, and it is what the task has left. What could not be ended is told with its end.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ask::{self, Answer, Ask, Effect};
use super::endpoint::Endpoint;
use super::jwt::Key;
use super::narrow::{ByClass, Width};
use super::{Material, MintError, Minted, Need, Ports, Provider, Returned, SecretSource};
use crate::call::{Class, Secret, Timestamp};

const TOKEN_ENDPOINT: &str = "the token endpoint";
const IAM: &str = "the IAM Credentials API";
const REVOCATION: &str = "the revocation endpoint";
/// RFC 7523 §2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that Google lets an assertion and, unless a policy of the organization says more, a token live.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The shortest life that is asked for: below it, clocks would decide.
const SHORTEST: Duration = Duration::from_secs(60);

/// All that [`Google`] wants to know. `S` says where secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings<S> {
    /// `secret`: the key file of a service account, JSON.
    pub key: S,
    /// `scopes`, whole URLs as Google publishes them.
    pub scopes: ByClass<Vec<String>>,
    /// `wide`.
    pub width: Width,
    /// `impersonate`: the account that tokens are made for.
    pub impersonate: Option<Impersonate>,
    /// `token_url`, in place of the key's `token_uri`.
    pub token_url: Option<Endpoint>,
    /// `revocation_url`; none: tokens run out.
    pub revocation_url: Option<Endpoint>,
}

/// Whom tokens are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonate {
    /// `impersonate`: the account's address.
    pub account: String,
    /// `delegates`: the accounts in between, the key's own not among them.
    pub delegates: Vec<String>,
    /// `iam_url`; none: `iamcredentials` of the universe that the key names.
    pub iam: Option<Endpoint>,
    /// `iam_scope`: what the key's own token asks for, so that it may make others.
    pub scope: String,
}

/// Tokens of a service account.
pub struct Google<S> {
    settings: Settings<S>,
    ports: Ports,
}

/// The key file.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    universe_domain: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct Said {
    access_token: String,
    token_type: String,
    expires_in: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SaidByIam {
    access_token: String,
    expire_time: String,
}

/// Errors of OAuth and of Google's own APIs.
#[derive(Default, Deserialize)]
struct SaidError {
    #[serde(default)]
    error: serde_json::Value,
    #[serde(default)]
    error_description: String,
}

#[derive(Serialize, Deserialize)]
struct Handle {
    token: String,
    expires: Timestamp,
}

impl<S: SecretSource> Google<S> {
    /// One account.
    pub fn new(settings: Settings<S>, ports: Ports) -> Self {
        Self { settings, ports }
    }

    /// Google gives nothing without scopes, so here they cannot be left to the server.
    fn scopes(&self, class: Class) -> Result<&[String], MintError> {
        let scopes = self.settings.scopes.of(class, self.settings.width, "scopes")?;
        scopes.map(Vec::as_slice).filter(|scopes| !scopes.is_empty()).ok_or_else(|| {
            MintError::Refused(format!(
                "`scopes` names none for class {class}, and Google gives no token without"
            ))
        })
    }

    async fn give(&self, need: &Need<'_>) -> Result<Minted, MintError> {
        let scopes = self.scopes(need.class)?;
        let file = self.settings.key.read().await?;
        // serde's own text may quote the key.
        let file: KeyFile = serde_json::from_str(file.reveal()).map_err(|_| {
            MintError::Refused("`secret` is no key file of a service account: JSON with `client_email` and `private_key` is wanted".to_owned())
        })?;
        let (token, expires) = match &self.settings.impersonate {
            None => self.own(&file, &scopes.join(" ")).await?,
            Some(other) => {
                let (own, _) = self.own(&file, &other.scope).await?;
                self.of_another(&file, other, &own, scopes, need).await?
            }
        };
        let handle = Handle { token: token.reveal().clone(), expires };
        let handle = Secret::new(serde_json::to_string(&handle).unwrap_or_default());
        let handle = self.settings.revocation_url.as_ref().map(|_| handle);
        Ok(Minted { material: Material::Token(token), expires: Some(expires), handle })
    }

    async fn own(&self, file: &KeyFile, scope: &str) -> Result<(Secret<String>, Timestamp), MintError> {
        let to = match (&self.settings.token_url, &file.token_uri) {
            (Some(own), _) => own.clone(),
            (None, Some(uri)) => Endpoint::parse(uri)
                .map_err(|error| MintError::Refused(format!("`token_uri` of the key file: {error}")))?,
            (None, None) => {
                return Err(MintError::Refused(
                    "the key file names no `token_uri`; say `token_url`".to_owned(),
                ));
            }
        };
        let key = Key::parse(&Secret::new(file.private_key.clone()), file.private_key_id.as_deref())?;
        let now = self.ports.clock.now();
        let claims = Claims {
            iss: &file.client_email,
            scope,
            aud: to.as_str(),
            iat: now.unix_s(),
            exp: now.plus(HOUR).unix_s(),
        };
        let assertion = key.sign(&claims)?;
        let fields = [("grant_type", JWT_BEARER), ("assertion", assertion.reveal().as_str())];
        let ask = Ask::form(&to, TOKEN_ENDPOINT, Effect::Gives, &fields)?.hiding([assertion.clone()]);
        let answer = ask.send(&*self.ports.fetch).await?;
        if !answer.status.is_success() {
            return Err(refused(
                &answer,
                "check that the key is not deleted, that this machine's clock is right, and `scopes`",
            ));
        }
        let said: Said = answer.json()?;
        if !said.token_type.eq_ignore_ascii_case("Bearer") {
            return Err(answer.odd("the token is no bearer token"));
        }
        Ok((ask::token(said.access_token, TOKEN_ENDPOINT)?, ask::ends(now, said.expires_in)?))
    }

    async fn of_another(
        &self,
        file: &KeyFile,
        other: &Impersonate,
        own: &Secret<String>,
        scopes: &[String],
        need: &Need<'_>,
    ) -> Result<(Secret<String>, Timestamp), MintError> {
        let iam = match (&other.iam, &file.universe_domain) {
            (Some(iam), _) => iam.clone(),
            (None, Some(domain)) => Endpoint::parse(&format!("https://iamcredentials.{domain}"))
                .map_err(|error| MintError::Refused(format!("`universe_domain` of the key file: {error}")))?,
            (None, None) => {
                return Err(MintError::Refused(
                    "the key file names no `universe_domain`; say `iam_url`".to_owned(),
                ));
            }
        };
        let method = format!("{}:generateAccessToken", other.account);
        let to = iam.join(["v1", "projects", "-", "serviceAccounts", &method]);
        let now = self.ports.clock.now();
        let life = need.until.since(now).clamp(SHORTEST, HOUR);
        let delegates: Vec<_> =
            other.delegates.iter().map(|account| format!("projects/-/serviceAccounts/{account}")).collect();
        let body =
            json!({ "scope": scopes, "lifetime": format!("{}s", life.as_secs()), "delegates": delegates });
        let authorization = Secret::new(format!("Bearer {}", own.reveal()));
        let ask = Ask::json(Method::POST, &to, IAM, Effect::Gives, &body)?;
        let ask = ask.with("authorization", authorization.reveal())?.hiding([own.clone()]);
        let answer = ask.send(&*self.ports.fetch).await?;
        if !answer.status.is_success() {
            return Err(refused(
                &answer,
                "check `impersonate`, and that the key's account has the role Service Account Token Creator there",
            ));
        }
        let said: SaidByIam = answer.json()?;
        let end = said.expire_time.parse::<jiff::Timestamp>().ok();
        let end = end.and_then(|end| u64::try_from(end.as_second()).ok()).map(Timestamp::from_unix_s);
        let end = end.ok_or_else(|| answer.odd("`expireTime` is no time"))?;
        Ok((ask::token(said.access_token, IAM)?, end))
    }

    async fn take_back(&self, handle: &Secret<String>) -> Result<Returned, MintError> {
        let handle: Handle = serde_json::from_str(handle.reveal()).map_err(|_| {
            MintError::Refused(
                "the handle of a lease cannot be read; the token runs out within an hour".to_owned(),
            )
        })?;
        let token = Secret::new(handle.token);
        let Some(to) = &self.settings.revocation_url else {
            return Ok(Returned::Until(Some(handle.expires)));
        };
        let fields = [("token", token.reveal().as_str())];
        let ask = Ask::form(to, REVOCATION, Effect::Repeatable, &fields)?.hiding([token.clone()]);
        let answer = ask.send(&*self.ports.fetch).await?;
        match answer.status {
            StatusCode::OK => Ok(Returned::Revoked),
            // `invalid_token` is said of tokens that are gone and of those that cannot be ended: it is believed to hold.
            StatusCode::BAD_REQUEST => Ok(Returned::Until(Some(handle.expires))),
            _ => Err(refused(&answer, "")),
        }
    }
}

fn refused(answer: &Answer, remedy: &str) -> MintError {
    let said: SaidError = answer.json_if_any().unwrap_or_default();
    let text = match &said.error {
        serde_json::Value::String(code) => format!("{code}: {}", said.error_description),
        serde_json::Value::Object(error) => {
            error.get("message").and_then(|message| message.as_str()).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    answer.refused(&text, remedy)
}

impl<S: SecretSource> Provider for Google<S> {
    fn kind(&self) -> &'static str {
        "google"
    }

    fn scope(&self, need: &Need<'_>) -> Result<String, MintError> {
        let mut scopes: Vec<_> = self.scopes(need.class)?.iter().map(String::as_str).collect();
        scopes.sort_unstable();
        let whose = self.settings.impersonate.as_ref().map(|other| format!(" as {}", other.account));
        Ok(scopes.join(" ") + &whose.unwrap_or_default())
    }

    fn mint<'a>(&'a self, need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        Box::pin(self.give(need))
    }

    fn revoke<'a>(&'a self, handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        Box::pin(self.take_back(handle))
    }
}
