//! AWS Signature Version 4 and 4a: a call that the agent signed with a placeholder is signed with the lease's keys.
//!
//! The agent's signature is not checked, for nobody has the key that it was made with; it is read, to sign the same fields
//! in the same form for the same service and region. What the body is signed as:
//!
//! | the agent said | what is done |
//! |---|---|
//! | `x-amz-content-sha256: <hash>` | signed as it is: the service compares it with the body |
//! | `UNSIGNED-PAYLOAD` | the same |
//! | `STREAMING-UNSIGNED-PAYLOAD-TRAILER` | the same: chunks and trailer have checksums and no signatures |
//! | nothing | the body is hashed, if it is there as a whole |
//! | `STREAMING-AWS4-…` | refused: each chunk or event is signed with a key that is none |
//!
//! A presigned URL is signed again if it has not expired, with the time that it had left. Calls without a signature, with
//! version 2, and S3 Express sessions are refused. Specification: AWS IAM User Guide, "Signature Version 4 signing process"; the
//! arithmetic is AWS's own crate.

mod presented;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningParams, SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::{v4, v4a};
use http::Method;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
};

use self::presented::{Algorithm, Presented, Region, Where};
use super::Material;
use crate::call::{Origin, Target, Timestamp};

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
pub(super) const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const REGION_SET: HeaderName = HeaderName::from_static("x-amz-region-set");
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// Fields that remit or the next hop may change, so no signature may rest on them.
const NOT_SIGNED: [HeaderName; 10] = [
    HeaderName::from_static("connection"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("proxy-authorization"),
    AUTHORIZATION,
    AMZ_DATE,
    EXPECT,
    SECURITY_TOKEN,
    TE,
    TRANSFER_ENCODING,
];

/// What is known of a call's body.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It streams, or is longer than what is read of one.
    Streaming,
}

/// A call that cannot be signed. The text names cause and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The keys are no keys of AWS.
    #[error(
        "the lease is no AWS key; a lease with `place = {{ sign = \"aws\" }}` needs a provider that gives AWS keys"
    )]
    NotAws,
    /// Nothing to go by.
    #[error("the call is not signed; configure the agent's AWS SDK with the placeholder keys")]
    Unsigned,
    /// Two readings.
    #[error("the call's signature has two readings: {0}")]
    Ambiguous(&'static str),
    /// A kind of signature that cannot be made again.
    #[error("{0}")]
    Kind(&'static str),
    /// It is for another service or region than the call.
    #[error(
        "the call is signed for {signed}, and goes to {host}; configure the region and service of the agent's SDK"
    )]
    Scope {
        /// Service and region of the signature.
        signed: String,
        /// Where the call goes.
        host: String,
    },
    /// Its time is over.
    #[error("the presigned URL has expired; make a new one")]
    Expired,
    /// The body is needed and not there.
    #[error(
        "the body is longer than what is hashed for a signature; have the SDK send `x-amz-content-sha256`"
    )]
    Body,
    /// What the signer said.
    #[error("the call cannot be signed: {0}")]
    Malformed(String),
}

/// What a signature is made of beside the request's head.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Its body.
    pub payload: Payload<'a>,
    /// What the catalog says that signatures for this service name.
    pub signing_name: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// The access key id that the agent signed with: where a placeholder is to be looked for.
pub fn presented_key(headers: &HeaderMap, target: &Target) -> Option<String> {
    Presented::of(headers, target).ok().map(|presented| presented.access_key_id)
}

/// Whether the whole body has to be there for [`sign`].
pub fn wants_body(headers: &HeaderMap, target: &Target) -> bool {
    let hashed = |presented: &Presented| presented.place == Where::Headers || !presented.is_s3();
    !headers.contains_key(CONTENT_SHA256) && Presented::of(headers, target).as_ref().is_ok_and(hashed)
}

/// Signs `headers` and `target`, which are the call's own as they are to be sent, with `material`.
pub fn sign(
    material: &Material,
    origin: &Origin,
    method: &Method,
    headers: &mut HeaderMap,
    target: &mut Target,
    sent: Sent<'_>,
) -> Result<(), SignError> {
    let presented = Presented::of(headers, target)?;
    presented.agrees(origin.host.to_string().as_str(), sent.signing_name)?;
    let body = body(&presented, headers, sent.payload)?;
    clean(headers);
    let left = presented.left(sent.now)?;
    let bare = presented::without_signature(target.raw());
    let signed: Vec<(&str, &str)> = signed(&presented, headers)?;
    let settings = settings(&presented, headers, left);
    let url = format!("{}://{}{bare}", origin.scheme.as_str(), origin.authority());
    let request = SignableRequest::new(method.as_str(), url, signed.into_iter(), body).map_err(malformed)?;
    let instructions = instructions(material, &presented, settings, request, sent.now)?;
    apply(&instructions, &bare, headers, target)
}

/// Signs a POST of remit's own with version 4: the fields to add. `url` has no query.
pub(super) fn own(
    keys: &Material,
    url: &str,
    content_type: &str,
    body: &[u8],
    scope: (&str, &str),
    now: Timestamp,
) -> Result<HeaderMap, SignError> {
    let presented = Presented::own(scope.0, scope.1);
    let headers = [("content-type", content_type)].into_iter();
    let request = SignableRequest::new("POST", url, headers, SignableBody::Bytes(body)).map_err(malformed)?;
    let instructions = instructions(keys, &presented, SigningSettings::default(), request, now)?;
    let mut headers = HeaderMap::new();
    apply_fields(&instructions, &mut headers)?;
    Ok(headers)
}

fn malformed(error: impl std::error::Error) -> SignError {
    // Its sources say what is wrong; none of them has a key in it.
    SignError::Malformed(error.source().map_or_else(|| error.to_string(), ToString::to_string))
}

/// What the body is signed as.
fn body<'a>(
    presented: &Presented,
    headers: &HeaderMap,
    payload: Payload<'a>,
) -> Result<SignableBody<'a>, SignError> {
    let mut said = headers.get_all(CONTENT_SHA256).iter();
    match (said.next(), said.next(), presented.place, payload) {
        (Some(_), Some(_), ..) => Err(SignError::Ambiguous("it has two hashes of the body")),
        (Some(said), ..) => match said.to_str() {
            Ok(UNSIGNED) => Ok(SignableBody::UnsignedPayload),
            Ok(UNSIGNED_TRAILER) => Ok(SignableBody::StreamingUnsignedPayloadTrailer),
            Ok(said) if said.starts_with("STREAMING-") => Err(SignError::Kind(
                "each chunk of the body is signed with a key that is none; have the SDK sign the payload as a whole or not at \
                 all (AWS CLI: `s3.payload_signing_enabled = false`)",
            )),
            Ok(hash) if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(SignableBody::Precomputed(hash.to_owned()))
            }
            _ => Err(SignError::Kind("`x-amz-content-sha256` is none of the forms that are known")),
        },
        (None, _, Where::Query { .. }, _) if presented.is_s3() => Ok(SignableBody::UnsignedPayload),
        (None, _, _, Payload::Whole(bytes)) => Ok(SignableBody::Bytes(bytes)),
        (None, _, _, Payload::Streaming) => Err(SignError::Body),
    }
}

/// Takes out what the agent's signature was made of.
fn clean(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, AMZ_DATE, SECURITY_TOKEN, REGION_SET] {
        headers.remove(name);
    }
}

/// The fields that the agent signed and that are there, less those that nobody may rely on.
fn signed<'a>(presented: &Presented, headers: &'a HeaderMap) -> Result<Vec<(&'a str, &'a str)>, SignError> {
    let mut found = Vec::new();
    for (name, value) in headers {
        // The host is in the URL; the length is framed anew, and is right where the body is.
        let listed = presented.signed_headers.iter().any(|listed| listed == name.as_str());
        if !listed
            || NOT_SIGNED.contains(name)
            || *name == "host"
            || *name == CONTENT_SHA256
            || *name == CONTENT_LENGTH
        {
            continue;
        }
        let text = value.to_str();
        found.push((name.as_str(), text.map_err(|_| SignError::Kind("a signed field is no ASCII text"))?));
    }
    Ok(found)
}

fn settings(presented: &Presented, headers: &HeaderMap, left: Option<Duration>) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if presented.is_s3() {
        // S3 takes the path as it is; all others encode it once more and resolve it.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    if left.is_some() {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = left;
    } else if presented.is_s3() || headers.contains_key(CONTENT_SHA256) {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

fn instructions(
    material: &Material,
    presented: &Presented,
    settings: SigningSettings,
    request: SignableRequest<'_>,
    now: Timestamp,
) -> Result<SigningInstructions, SignError> {
    let Material::Aws { access_key_id, secret_access_key, session_token } = material else {
        return Err(SignError::NotAws);
    };
    let token = session_token.as_ref().map(|token| token.reveal().clone());
    // The crate's own type zeroes what it holds.
    let keys = Credentials::new(access_key_id, secret_access_key.reveal(), token, None, "lease");
    let identity = keys.into();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now.unix_s());
    let params: SigningParams<'_> = match (presented.algorithm, &presented.region) {
        (Algorithm::V4, Region::One(region)) => v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(&presented.service)
            .time(time)
            .settings(settings)
            .build()
            .map_err(malformed)?
            .into(),
        (_, Region::One(regions) | Region::Set(regions)) => v4a::SigningParams::builder()
            .identity(&identity)
            .region_set(regions)
            .name(&presented.service)
            .time(time)
            .settings(settings)
            .build()
            .map_err(malformed)?
            .into(),
    };
    let signed = aws_sigv4::http_request::sign(request, &params).map_err(malformed)?;
    Ok(signed.into_parts().0)
}

fn apply(
    instructions: &SigningInstructions,
    bare: &str,
    headers: &mut HeaderMap,
    target: &mut Target,
) -> Result<(), SignError> {
    apply_fields(instructions, headers)?;
    let mut raw = bare.to_owned();
    for (name, value) in instructions.params() {
        raw.push(if raw.contains('?') { '&' } else { '?' });
        raw.push_str(name);
        raw.push('=');
        raw.extend(percent_encoding::utf8_percent_encode(value, presented::RESERVED));
    }
    if raw != target.raw() {
        *target = Target::parse(&raw).map_err(malformed)?;
    }
    Ok(())
}

fn apply_fields(instructions: &SigningInstructions, headers: &mut HeaderMap) -> Result<(), SignError> {
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(malformed)?;
        let mut value = HeaderValue::from_str(value).map_err(malformed)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}
