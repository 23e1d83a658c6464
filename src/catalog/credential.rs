//! Where a service wants to see a credential, and where its clients look for one: what people know of it, so that whoever has a
//! credential need not write it down.

use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::manifest::About;
use crate::call::hmac::HmacScheme;

/// `[credential]` of `overrides.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credential {
    /// The header field; absent: `authorization`.
    pub header: Option<String>,
    /// Its value, with `{}` for the credential; absent: `Bearer {}` in `authorization`, else the bare credential.
    pub format: Option<String>,
    /// The parameter of the query, instead of a header field.
    pub query: Option<String>,
    /// Whether it is user or password in `authorization` (RFC 7617).
    pub basic: bool,
    /// What signatures of AWS's for this service name; absent: it wants none. Follows from `signing_name` in `service.toml`.
    #[serde(skip)]
    pub signing_name: Option<String>,
    /// Ways of signing requests with a shared secret, for entries of `[[leases]]` that name one.
    pub hmac: Vec<HmacScheme>,
    /// What the service answers with in `error`, in JSON and with status 200, where it does not take a credential.
    pub untaken: Vec<String>,
    /// How keys of the service begin; some clients look at that.
    pub look: Option<String>,
    /// The environment variables in which its clients look for one, the key itself first.
    pub env: Vec<String>,
}

impl Credential {
    /// Of a service that is signed for as AWS has it.
    pub(super) fn of(about: &About) -> Option<Self> {
        let signing_name = Some(about.signing_name.clone()?);
        let env = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(str::to_owned).into();
        Some(Self { signing_name, look: Some("AKIA".to_owned()), env, ..Self::default() })
    }

    /// A header field that can be one, and one place in it.
    pub(super) fn check(&self) -> Result<(), Fault> {
        for scheme in &self.hmac {
            let remedy = "see `src/call/hmac.rs` for what a scheme is";
            scheme.check().map_err(|error| Fault::new(1, format!("`[credential]`: {error}"), remedy))?;
        }
        let format = self.format.as_deref().unwrap_or("{}");
        let header = self.header.as_deref().unwrap_or("authorization");
        if format.matches("{}").count() == 1 && http::HeaderName::try_from(header).is_ok() {
            return Ok(());
        }
        let why = format!("`[credential]`: `{header}: {format}` is no place for a credential");
        Err(Fault::new(1, why, "name a header field, and one `{}` in its value"))
    }
}
