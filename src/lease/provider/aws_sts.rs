//! Temporary keys of AWS: `AssumeRole`, signed with long-lived keys of the operator's, and `AssumeRoleWithWebIdentity`, for
//! which a token is enough (AWS STS API Reference, 2011-06-15).
//!
//! A session can do what its role can **and** its session policy says; `policy` makes that from the task's grant and the
//! class of the call. STS takes nothing back, and gives nothing for less than 15 minutes. So the policy itself ends with the
//! task's deadline, whatever the keys' own end is; a task that is ended before leaves keys that hold until then, and the
//! entry says so. The session has the task's id as its name, which AWS's trail of calls shows.

pub mod policy;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use roxmltree::{Document, Node};

use self::policy::{Narrowing, scope};
use super::ask::shown;
use super::endpoint::Endpoint;
use super::{Material, MintError, Minted, Need, Ports, Provider, Returned, SecretSource};
use crate::call::{Secret, Timestamp};
use crate::lease::sign;

/// The least that STS gives.
const SHORTEST: Duration = Duration::from_secs(900);
/// The most that it gives; chained roles get an hour.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// What is asked for where nobody says otherwise: keys are renewed while the task lives, and nobody can take them back after it.
const USUAL: Duration = SHORTEST;
/// RFC 3986 §2.3: AWS's clients encode all else, unlike browsers, and there are servers that encode anew what they verify.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const FORM: &str = "application/x-www-form-urlencoded";
/// The longest answer that is looked at.
const ANSWER_BYTES: usize = 64 * 1024;

/// As the operator wrote it down. No secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings<S> {
    /// Who assumes the role.
    pub who: Who<S>,
    /// The role, `arn:aws:iam::123456789012:role/agents`.
    pub role_arn: String,
    /// Where STS listens.
    pub sts_url: Endpoint,
    /// For which region that is signed.
    pub region: String,
    /// Against the confused deputy, where the role asks for it.
    pub external_id: Option<String>,
    /// The most seconds that keys are asked for.
    pub duration: Option<Duration>,
    /// Names and rules of the session policy.
    pub narrowing: Narrowing,
}

/// Who assumes the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who<S> {
    /// Whoever has an access key of the operator's, `AssumeRole`.
    Key {
        /// The access key id.
        id: String,
        /// The secret access key.
        secret: S,
    },
    /// Whoever has this token, `AssumeRoleWithWebIdentity`.
    Token(S),
    /// This node by its JWT-SVID, likewise.
    Svid {
        /// For whom that is; the identity provider in IAM names it too.
        audience: String,
    },
}

impl<S> Who<S> {
    /// What is secret of it, unless it is fetched.
    pub fn secret(&self) -> Option<&S> {
        match self {
            Self::Key { secret, .. } | Self::Token(secret) => Some(secret),
            Self::Svid { .. } => None,
        }
    }
}

impl<S> Settings<S> {
    /// What is wrong with them, for the operator.
    pub fn check(&self) -> Result<(), String> {
        if !self.role_arn.starts_with("arn:") || !self.role_arn.contains(":role/") {
            return Err(format!(
                "`role_arn` is `{}`, and `arn:aws:iam::ACCOUNT:role/NAME` is wanted",
                self.role_arn
            ));
        }
        if self.sts_url.as_str().contains('?') {
            return Err("`sts_url` has a query; an address is wanted".to_owned());
        }
        if self.duration.is_some_and(|duration| !(SHORTEST..=LONGEST).contains(&duration)) {
            return Err("`duration_s` has to be from 900 to 43200: STS gives nothing else".to_owned());
        }
        self.narrowing.check()
    }
}

/// STS.
pub struct AwsSts<S> {
    settings: Settings<S>,
    ports: Ports,
}

impl<S: SecretSource> AwsSts<S> {
    /// With the world around.
    pub fn new(settings: Settings<S>, ports: Ports) -> Self {
        Self { settings, ports }
    }

    async fn obtain(&self, need: &Need<'_>) -> Result<Minted, MintError> {
        let policy = self.settings.narrowing.policy(need, &self.settings.role_arn)?;
        let secret = match &self.settings.who {
            Who::Key { secret, .. } | Who::Token(secret) => secret.read().await?,
            Who::Svid { audience } => self.ports.jwt_svid(audience).await?,
        };
        let request = self.request(need, &policy, &secret)?;
        let answer = self.ports.fetch.fetch(request).await.map_err(|error| {
            if error.reached {
                MintError::Unknown(format!("STS was asked for keys and its answer is lost: {error}"))
            } else {
                MintError::Unavailable(format!("STS cannot be reached: {error}; is `sts_url` right?"))
            }
        })?;
        let credentials = Credentials::read(&answer, &secret)?;
        // The policy ends with the task, so for whoever holds them the keys do.
        let expires = credentials.expires.min(need.until);
        Ok(Minted {
            material: credentials.material,
            expires: Some(expires),
            handle: Some(Secret::new(expires.unix_s().to_string())),
        })
    }

    fn request(
        &self,
        need: &Need<'_>,
        policy: &str,
        secret: &Secret<String>,
    ) -> Result<Request<Bytes>, MintError> {
        let Settings { role_arn, sts_url, region, who, external_id, .. } = &self.settings;
        let access_key_id = match who {
            Who::Key { id, .. } => Some(id),
            Who::Token(_) | Who::Svid { .. } => None,
        };
        let duration = self.duration(need).as_secs().to_string();
        let session = need.task.id.to_string();
        let action = if access_key_id.is_some() { "AssumeRole" } else { "AssumeRoleWithWebIdentity" };
        let mut form = vec![
            ("Action", action),
            ("Version", "2011-06-15"),
            ("RoleArn", role_arn.as_str()),
            ("RoleSessionName", session.as_str()),
            ("DurationSeconds", duration.as_str()),
            ("Policy", policy),
        ];
        if let (Some(id), Some(_)) = (external_id, access_key_id) {
            form.push(("ExternalId", id));
        }
        if access_key_id.is_none() {
            form.push(("WebIdentityToken", secret.reveal().trim()));
        }
        let field =
            |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED));
        let body = form.iter().map(field).collect::<Vec<_>>().join("&");
        let mut request = Request::post(sts_url.as_str())
            .header(CONTENT_TYPE, FORM)
            .header(ACCEPT, HeaderValue::from_static("application/xml"))
            .body(Bytes::from(body))
            .map_err(|error| MintError::Refused(format!("STS cannot be asked: {error}")))?;
        if let Some(access_key_id) = access_key_id {
            let keys = Material::Aws {
                access_key_id: access_key_id.clone(),
                secret_access_key: Secret::new(secret.reveal().trim().to_owned()),
                session_token: None,
            };
            let signed = sign::own(
                &keys,
                sts_url.as_str(),
                FORM,
                request.body(),
                ("sts", region),
                self.ports.clock.now(),
            );
            let signed =
                signed.map_err(|error| MintError::Refused(format!("STS cannot be asked: {error}")))?;
            request.headers_mut().extend(signed);
        }
        Ok(request)
    }

    /// As long as the task, within what STS and the operator allow.
    fn duration(&self, need: &Need<'_>) -> Duration {
        let most = self.settings.duration.unwrap_or(USUAL);
        let left = Duration::from_secs(need.until.since(need.now).as_secs());
        left.clamp(SHORTEST, most)
    }
}

impl<S: SecretSource> Provider for AwsSts<S> {
    fn kind(&self) -> &'static str {
        "aws_sts"
    }

    fn scope(&self, need: &Need<'_>) -> Result<String, MintError> {
        self.settings.narrowing.policy(need, &self.settings.role_arn)?;
        Ok(scope(need, &self.settings.role_arn))
    }

    fn mint<'a>(&'a self, need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        self.obtain(need).boxed()
    }

    /// STS has no way of taking keys back.
    fn revoke<'a>(&'a self, handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        let until = handle.reveal().parse().ok().map(Timestamp::from_unix_s);
        let gone = until.is_some_and(|until| until <= self.ports.clock.now());
        let returned = if gone { Returned::Revoked } else { Returned::Until(until) };
        std::future::ready(Ok(returned)).boxed()
    }
}

struct Credentials {
    material: Material,
    expires: Timestamp,
}

impl Credentials {
    fn read(answer: &Response<Bytes>, sent: &Secret<String>) -> Result<Self, MintError> {
        let status = answer.status();
        let text = answer.body().get(..ANSWER_BYTES.min(answer.body().len())).unwrap_or_default();
        let read = std::str::from_utf8(text).ok().and_then(|text| Document::parse(text).ok());
        let root = read.as_ref().map(Document::root);
        if !status.is_success() {
            return Err(refused(status, root, sent));
        }
        let lacks = |what: &str| {
            MintError::Unknown(format!("STS answered {status} and gave no `{what}`; is `sts_url` an STS?"))
        };
        let part = root.and_then(|root| element(root, "Credentials")).ok_or_else(|| lacks("Credentials"))?;
        let of = |name: &str| text_of(part, name).filter(|text| !text.is_empty()).ok_or_else(|| lacks(name));
        let expires: jiff::Timestamp = of("Expiration")?.parse().map_err(|_| lacks("Expiration"))?;
        let expires = u64::try_from(expires.as_second()).map_err(|_| lacks("Expiration"))?;
        Ok(Self {
            material: Material::Aws {
                access_key_id: of("AccessKeyId")?,
                secret_access_key: Secret::new(of("SecretAccessKey")?),
                session_token: Some(Secret::new(of("SessionToken")?)),
            },
            expires: Timestamp::from_unix_s(expires),
        })
    }
}

fn refused(status: StatusCode, answer: Option<Node<'_, '_>>, sent: &Secret<String>) -> MintError {
    let plain = |name: &str| {
        let text = answer.and_then(|answer| text_of(answer, name)).unwrap_or_default();
        shown(&text, [sent])
    };
    let (code, message) = (plain("Code"), plain("Message"));
    let told = format!("STS answered {status} {code}: {message}");
    let again = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || ["Throttling", "ThrottlingException", "RequestLimitExceeded", "IDPCommunicationError"]
            .contains(&code.as_str());
    match code.as_str() {
        _ if again => MintError::Unavailable(told),
        "PackedPolicyTooLarge" => MintError::TooWide(format!("{told}; grant the task fewer resources")),
        "AccessDenied" => MintError::Refused(format!(
            "{told}; check the role's trust policy, and `external_id` if it asks for one"
        )),
        _ => MintError::Refused(told),
    }
}

fn element<'a, 'input>(above: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    above.descendants().find(|node| node.tag_name().name() == name)
}

fn text_of(above: Node<'_, '_>, name: &str) -> Option<String> {
    Some(element(above, name)?.text().unwrap_or_default().trim().to_owned())
}
