//! The agent's signature, read: what it covers, for which service and region, and where it stands.

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};

use super::SignError;
use crate::call::{Target, Timestamp};

/// RFC 3986 §2.3: what a query value of AWS's leaves as it is.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The query parameters of a signature.
const OF_THE_SIGNATURE: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-region-set",
    "x-amz-security-token",
    "x-amz-s3session-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];
/// How long a presigned URL may hold: seven days, AWS says.
const LONGEST: Duration = Duration::from_secs(604_800);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    V4,
    V4a,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Region {
    One(String),
    Set(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Headers,
    /// A presigned URL: when it was made, and how long it holds.
    Query {
        made: Timestamp,
        holds: Duration,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Presented {
    pub(super) algorithm: Algorithm,
    pub(super) access_key_id: String,
    pub(super) service: String,
    pub(super) region: Region,
    /// In lower case.
    pub(super) signed_headers: Vec<String>,
    pub(super) place: Where,
}

impl Presented {
    pub(super) fn of(headers: &HeaderMap, target: &Target) -> Result<Self, SignError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let query = parameters(target.query().unwrap_or_default());
        let presigned = query.iter().any(|(name, _)| name == "x-amz-signature");
        match (values.next(), values.next(), presigned) {
            (_, Some(_), _) => Err(SignError::Ambiguous("it has two `authorization` fields")),
            (Some(_), None, true) => Err(SignError::Ambiguous("it is in a field and in the URL")),
            (Some(value), None, false) => {
                let value = value.to_str().map_err(|_| SignError::Ambiguous("it is no text"))?;
                Self::of_header(value, headers)
            }
            (None, None, true) => Self::of_query(&query),
            (None, None, false) => Err(SignError::Unsigned),
        }
    }

    fn of_header(value: &str, headers: &HeaderMap) -> Result<Self, SignError> {
        let (algorithm, rest) = value.split_once(' ').unwrap_or((value, ""));
        let algorithm = Algorithm::of(algorithm)?;
        let field = |name: &str| {
            let mut found =
                rest.split(',').filter_map(|part| part.trim().split_once('=')).filter(|(n, _)| *n == name);
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(value),
                _ => Err(SignError::Ambiguous("a part of it is missing, or there twice")),
            }
        };
        let regions = headers.get(super::REGION_SET).and_then(|set| set.to_str().ok());
        Self::new(algorithm, field("Credential")?, field("SignedHeaders")?, regions, Where::Headers)
    }

    fn of_query(query: &[(String, String)]) -> Result<Self, SignError> {
        let field = |name: &str| {
            let mut found = query.iter().filter(|(each, _)| each == name);
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(value.as_str()),
                _ => Err(SignError::Ambiguous("a part of it is missing, or there twice")),
            }
        };
        let made = date(field("x-amz-date")?).ok_or(SignError::Ambiguous("its date is none"))?;
        let holds =
            field("x-amz-expires")?.parse().map_err(|_| SignError::Ambiguous("its term is no number"))?;
        let holds = Duration::from_secs(holds).min(LONGEST);
        let place = Where::Query { made, holds };
        let regions = field("x-amz-region-set").ok();
        let algorithm = Algorithm::of(field("x-amz-algorithm")?)?;
        Self::new(algorithm, field("x-amz-credential")?, field("x-amz-signedheaders")?, regions, place)
    }

    fn new(
        algorithm: Algorithm,
        credential: &str,
        signed: &str,
        regions: Option<&str>,
        place: Where,
    ) -> Result<Self, SignError> {
        let parts: Vec<&str> = credential.split('/').collect();
        let (access_key_id, region, service) = match (algorithm, parts.as_slice()) {
            (Algorithm::V4, [id, _, region, service, "aws4_request"]) => {
                (id, Region::One((*region).to_owned()), service)
            }
            (Algorithm::V4a, [id, _, service, "aws4_request"]) => {
                let regions = regions.ok_or(SignError::Ambiguous("it names no region set"))?;
                (id, Region::Set(regions.to_owned()), service)
            }
            _ => return Err(SignError::Ambiguous("its scope is none")),
        };
        if *service == "s3express" {
            return Err(SignError::Kind(
                "sessions of S3 Express cannot be signed again; have the SDK sign each call (`disable_s3_express_session_auth`)",
            ));
        }
        Ok(Self {
            algorithm,
            access_key_id: (*access_key_id).to_owned(),
            service: (*service).to_owned(),
            region,
            signed_headers: signed.split(';').map(str::to_ascii_lowercase).collect(),
            place,
        })
    }

    /// For what remit asks itself.
    pub(super) fn own(service: &str, region: &str) -> Self {
        Self {
            algorithm: Algorithm::V4,
            access_key_id: String::new(),
            service: service.to_owned(),
            region: Region::One(region.to_owned()),
            signed_headers: Vec::new(),
            place: Where::Headers,
        }
    }

    pub(super) fn is_s3(&self) -> bool {
        self.service == "s3" || self.service.starts_with("s3-")
    }

    /// How long a presigned URL still holds; none where the signature is in a field.
    pub(super) fn left(&self, now: Timestamp) -> Result<Option<Duration>, SignError> {
        let Where::Query { made, holds } = self.place else { return Ok(None) };
        let left = holds.checked_sub(Duration::from_secs(now.since(made).as_secs()));
        left.filter(|left| !left.is_zero()).map(Some).ok_or(SignError::Expired)
    }

    /// Whether it is for where the call goes. A host that names a region names the signature's; a service that the catalog
    /// knows is signed for by its name.
    pub(super) fn agrees(&self, host: &str, signing_name: Option<&str>) -> Result<(), SignError> {
        let named = signing_name.is_none_or(|name| name == self.service);
        let here = match &self.region {
            Region::Set(_) => true,
            Region::One(region) => {
                let mut named = host.split('.').filter(|label| is_region(label)).peekable();
                named.peek().is_none() || named.any(|label| label == region)
            }
        };
        if named && here {
            return Ok(());
        }
        let (Region::One(region) | Region::Set(region)) = &self.region;
        Err(SignError::Scope {
            signed: format!("`{}` in `{region}`", self.service),
            host: format!("`{host}`"),
        })
    }
}

impl Algorithm {
    fn of(name: &str) -> Result<Self, SignError> {
        match name {
            "AWS4-HMAC-SHA256" => Ok(Self::V4),
            "AWS4-ECDSA-P256-SHA256" => Ok(Self::V4a),
            "AWS" => Err(SignError::Kind("signature version 2 is not spoken; have the SDK use version 4")),
            _ => Err(SignError::Unsigned),
        }
    }
}

/// Whether a label of a name is a region: `eu-central-1`, `us-gov-west-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return false };
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    (2..=4).contains(&first.len())
        && letters(first)
        && (1..=2).contains(&middle.len())
        && middle.iter().all(|part| letters(part))
        && (1..=2).contains(&last.len())
        && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Decoded, names in lower case.
fn parameters(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let each = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name).to_ascii_lowercase(), decoded(value))
    };
    query.split('&').filter(|part| !part.is_empty()).map(each).collect()
}

/// A target without the parameters of a signature, all else as it was.
pub(super) fn without_signature(raw: &str) -> String {
    let Some((path, query)) = raw.split_once('?') else { return raw.to_owned() };
    let of_it = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
        OF_THE_SIGNATURE.contains(&name.as_str())
    };
    let kept: Vec<&str> = query.split('&').filter(|part| !of_it(part)).collect();
    match kept.as_slice() {
        [] => path.to_owned(),
        kept => format!("{path}?{}", kept.join("&")),
    }
}

/// `20150830T123600Z`.
fn date(text: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let seconds = jiff::tz::Offset::UTC.to_timestamp(time).ok()?.as_second();
    Some(Timestamp::from_unix_s(u64::try_from(seconds).ok()?))
}
