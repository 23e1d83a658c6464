//! What the operator says about an authorization server, and what of it can be found wrong before anybody is asked.

use std::time::Duration;

use crate::call::Class;
use crate::lease::provider::MintError;
use crate::lease::provider::ask::LONGEST_LIFE;
use crate::lease::provider::endpoint::Endpoint;
use crate::lease::provider::narrow::{ByClass, Width};

/// All that [`Oauth`](super::Oauth) wants to know. `S` says where secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings<S> {
    /// `token_url`.
    pub token_url: Endpoint,
    /// `revocation_url`; none: tokens end by themselves.
    pub revocation_url: Option<Endpoint>,
    /// `client_id`.
    pub client_id: String,
    /// `client_auth`.
    pub client: ClientAuth<S>,
    /// `grant`.
    pub flow: Flow<S>,
    /// `scopes`.
    pub scopes: ByClass<Vec<String>>,
    /// `wide`.
    pub width: Width,
    /// `resource`: absolute URIs (RFC 8707 §2).
    pub resources: Vec<String>,
    /// `audience`: names (RFC 8693 §2.1).
    pub audiences: Vec<String>,
    /// `dpop`.
    pub proven: Proven,
    /// `lifetime_s`, where the server does not say how long tokens hold; 1 s to 366 days.
    pub lifetime: Option<Duration>,
    /// `assertion_audience`: whom assertions are for; none: the token endpoint (RFC 7523 §3).
    pub assertion_audience: Option<String>,
}

/// How the client shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth<S> {
    /// `none`: it says its name (RFC 6749 §2.1, a public client).
    Public,
    /// `client_secret_basic` (RFC 6749 §2.3.1).
    Basic(S),
    /// `client_secret_post` (RFC 6749 §2.3.1).
    Post(S),
    /// `private_key_jwt` (RFC 7523 §2.2): a key in PEM, and its id.
    PrivateKeyJwt {
        /// The key.
        key: S,
        /// `key_id`.
        kid: Option<String>,
    },
    /// `jwt_svid`: a JWT-SVID of this node is the assertion (RFC 7523 §2.2).
    Svid,
}

/// What is shown for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow<S> {
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §6.
    Refresh {
        /// The first one, from a login; what the server puts in its place is kept.
        token: S,
    },
    /// RFC 8693.
    Exchange {
        /// For whom.
        subject: Source<S>,
        /// Who acts.
        actor: Option<Source<S>>,
    },
    /// RFC 7523 §2.1.
    JwtBearer {
        /// For whom, and by whom.
        assertion: Source<S>,
    },
}

/// Where the token of a party comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<S> {
    /// `task`: remit signs it, and the server has to trust the key.
    Task {
        /// `issuer`.
        issuer: String,
        /// `signing_key`, in PEM.
        key: S,
        /// `signing_key_id`.
        kid: Option<String>,
    },
    /// `svid`: this node's JWT-SVID.
    Svid,
    /// A token that the operator has.
    Configured {
        /// It.
        token: S,
        /// What it is.
        kind: Kind,
    },
}

/// What a token is (RFC 8693 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `access_token`.
    AccessToken,
    /// `id_token`.
    IdToken,
    /// `jwt`.
    Jwt,
}

/// What an access token has to come with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proven {
    /// Nothing (RFC 6750).
    #[default]
    Bearer,
    /// A proof of its key (RFC 9449).
    Dpop,
}

impl<S> Source<S> {
    fn secret(&self) -> Option<&S> {
        match self {
            Self::Task { key, .. } => Some(key),
            Self::Configured { token, .. } => Some(token),
            Self::Svid => None,
        }
    }
}

impl Kind {
    /// Its name on the wire.
    pub const fn urn(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }

    /// Its name in the configuration.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "access_token" => Some(Self::AccessToken),
            "id_token" => Some(Self::IdToken),
            "jwt" => Some(Self::Jwt),
            _ => None,
        }
    }
}

impl<S> Settings<S> {
    /// The first thing that cannot work, with the key that says it.
    pub fn check(&self) -> Result<(), BadOauth> {
        let bad = |key, why: &str| Err(BadOauth { key, why: why.to_owned() });
        if self.client_id.is_empty() || self.client_id.chars().any(char::is_control) {
            return bad("client_id", "it is empty or has control characters");
        }
        let scopes: Vec<&String> = match &self.scopes {
            ByClass::Each(each) => each.values().flatten().collect(),
            ByClass::Same(all) => all.iter().collect(),
            ByClass::Unsaid => Vec::new(),
        };
        if let Some(scope) = scopes.into_iter().find(|scope| !is_scope(scope)) {
            return bad("scopes", &format!("`{scope}` is no scope (RFC 6749 §3.3): one word a scope"));
        }
        if let Some(wrong) = self
            .resources
            .iter()
            .find(|text| url::Url::parse(text).map_or(true, |url| url.fragment().is_some()))
        {
            return bad(
                "resource",
                &format!("`{wrong}` is no absolute URI without a fragment (RFC 8707 §2)"),
            );
        }
        if self.lifetime.is_some_and(|life| life.is_zero() || life > LONGEST_LIFE) {
            return bad("lifetime_s", "1 to 31622400 (366 days) make sense");
        }
        let public = matches!(self.client, ClientAuth::Public);
        match &self.flow {
            Flow::ClientCredentials if public => bad(
                "client_auth",
                "client credentials are for clients that can show who they are (RFC 6749 §4.4)",
            ),
            // RFC 9449 §5: a public client's refresh token is bound to one key, and each lease has its own.
            Flow::Refresh { .. } if public && self.proven == Proven::Dpop => bad(
                "dpop",
                "a refresh token of a public client is bound to the key of its login (RFC 9449 §5), which remit does not have; register the client with a secret or a key",
            ),
            Flow::ClientCredentials
            | Flow::Refresh { .. }
            | Flow::Exchange { .. }
            | Flow::JwtBearer { .. } => Ok(()),
        }
    }

    /// Where its secrets are.
    pub fn secrets(&self) -> Vec<&S> {
        let client = match &self.client {
            ClientAuth::Basic(secret) | ClientAuth::Post(secret) => Some(secret),
            ClientAuth::PrivateKeyJwt { key, .. } => Some(key),
            ClientAuth::Public | ClientAuth::Svid => None,
        };
        let (one, other) = match &self.flow {
            Flow::ClientCredentials => (None, None),
            Flow::Refresh { token } => (Some(token), None),
            Flow::Exchange { subject, actor } => (subject.secret(), actor.as_ref().and_then(Source::secret)),
            Flow::JwtBearer { assertion } => (assertion.secret(), None),
        };
        client.into_iter().chain(one).chain(other).collect()
    }

    pub(super) fn scopes_of(&self, class: Class) -> Result<Option<&[String]>, MintError> {
        Ok(self.scopes.of(class, self.width, "scopes")?.map(Vec::as_slice))
    }

    pub(super) fn assertion_audience(&self) -> &str {
        self.assertion_audience.as_deref().unwrap_or(self.token_url.as_str())
    }

    /// What a token with these scopes may do, for people.
    pub(super) fn line(&self, scopes: Option<&[String]>) -> String {
        let mut line = match scopes {
            None => "whatever the server gives".to_owned(),
            Some([]) => "no scope".to_owned(),
            Some(scopes) => {
                let mut sorted: Vec<_> = scopes.iter().map(String::as_str).collect();
                sorted.sort_unstable();
                sorted.dedup();
                sorted.join(" ")
            }
        };
        for place in self.resources.iter().chain(&self.audiences) {
            line.push_str(" at ");
            line.push_str(place);
        }
        line
    }
}

/// RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` cannot be used: {why}")]
pub struct BadOauth {
    /// Its name.
    pub key: &'static str,
    /// What is wrong, and what is wanted.
    pub why: String,
}
