//! Names and ids are text in the document, of the form that they have.

use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::call::grant::Pattern;
use crate::call::{
    CallDigest, CallId, HoldId, Host, IntentName, LeaseId, OperationId, OperatorId, PeerName, PolicyId,
    ServiceName, SpiffeId, Subject, TaskId, TemplateLink, Thumbprint,
};

/// 128 bits in Crockford's base 32.
pub(super) const ULID: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$";
const DIGEST: &str = "^sha256:[0-9a-f]{64}$";
const NAME: &str = "^[A-Za-z0-9._-]{1,64}$";
const SPIFFE_ID: &str = "^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$";
const ANY: &str = "^.+$";

pub(super) fn text(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
}

macro_rules! texts {
    ($($name:ident: $pattern:expr),* $(,)?) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($pattern)
            }
        }
        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

texts!(
    CallDigest: DIGEST,
    CallId: ULID,
    HoldId: ULID,
    Host: ANY,
    IntentName: NAME,
    LeaseId: ULID,
    OperationId: ANY,
    OperatorId: ANY,
    Pattern: ANY,
    PeerName: NAME,
    PolicyId: ANY,
    ServiceName: ANY,
    SpiffeId: SPIFFE_ID,
    Subject: ANY,
    TaskId: ULID,
    TemplateLink: "^[^= *]+=[^ *]+$",
    Thumbprint: ANY,
);
