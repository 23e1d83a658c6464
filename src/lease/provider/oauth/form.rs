//! The form of a request to an authorization server, and how the client says in it who it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::settings::{ClientAuth, Settings};
use crate::call::Secret;
use crate::lease::provider::ask::{Ask, Effect};
use crate::lease::provider::endpoint::Endpoint;
use crate::lease::provider::jwt::{Assertion, Key};
use crate::lease::provider::{MintError, Ports, SecretSource};

/// RFC 7523 §2.2.
const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Parameters, in the order in which they are sent.
#[derive(Clone, Default)]
pub(super) struct Form {
    pairs: Vec<(&'static str, Zeroizing<String>)>,
    secrets: Vec<Secret<String>>,
    authorization: Option<Secret<String>>,
}

impl Form {
    /// A form without anything in it.
    pub(super) fn bare() -> Self {
        Self::default()
    }

    /// A form of a token request: scopes, and what the token is for.
    pub(super) fn new<S>(settings: &Settings<S>, scopes: Option<&[String]>) -> Self {
        let mut form = Self::bare();
        if let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) {
            form.push("scope", &scopes.join(" "));
        }
        for resource in &settings.resources {
            form.push("resource", resource);
        }
        for audience in &settings.audiences {
            form.push("audience", audience);
        }
        form
    }

    pub(super) fn push(&mut self, name: &'static str, value: &str) {
        self.pairs.push((name, Zeroizing::new(value.to_owned())));
    }

    pub(super) fn push_secret(&mut self, name: &'static str, value: Secret<String>) {
        self.push(name, value.reveal());
        self.secrets.push(value);
    }

    /// This, with the client's name and what shows that it is it.
    pub(super) async fn authenticated<S: SecretSource>(
        &self,
        settings: &Settings<S>,
        ports: &Ports,
    ) -> Result<Self, MintError> {
        let mut form = self.clone();
        let id = settings.client_id.as_str();
        let assertion = match &settings.client {
            ClientAuth::Public => {
                form.push("client_id", id);
                return Ok(form);
            }
            ClientAuth::Basic(secret) => {
                let secret = secret.read().await?;
                // RFC 6749 §2.3.1: each form-encoded before they are put together.
                let pair =
                    [id, secret.reveal()].map(|part| byte_serialize(part.as_bytes()).collect::<String>());
                let pair = Zeroizing::new(pair.join(":"));
                form.authorization = Some(Secret::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))));
                form.secrets.push(secret);
                return Ok(form);
            }
            ClientAuth::Post(secret) => {
                form.push("client_id", id);
                form.push_secret("client_secret", secret.read().await?);
                return Ok(form);
            }
            ClientAuth::PrivateKeyJwt { key, kid } => {
                let key = Key::parse(&key.read().await?, kid.as_deref())?;
                key.sign(&Assertion::of_client(
                    id,
                    settings.assertion_audience(),
                    ports.clock.now(),
                    &*ports.entropy,
                ))?
            }
            ClientAuth::Svid => ports.jwt_svid(settings.assertion_audience()).await?,
        };
        form.push("client_id", id);
        form.push("client_assertion_type", JWT_ASSERTION);
        form.push_secret("client_assertion", assertion);
        Ok(form)
    }

    /// The request.
    pub(super) fn ask<'a>(
        self,
        to: &'a Endpoint,
        who: &'a str,
        effect: Effect,
    ) -> Result<Ask<'a>, MintError> {
        let pairs: Vec<_> = self.pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ask = Ask::form(to, who, effect, &pairs)?.hiding(self.secrets);
        match &self.authorization {
            Some(value) => ask.with("authorization", value.reveal()),
            None => Ok(ask),
        }
    }
}
