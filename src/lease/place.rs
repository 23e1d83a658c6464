//! Where in a request a credential stands.

use std::fmt;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};

/// Where the credential of a lease goes. Whatever the agent put there itself does not go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A header field.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value, with `{}` for the credential: `Bearer {}`.
        format: String,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
    },
    /// A cookie (RFC 6265).
    Cookie {
        /// Its name.
        name: String,
    },
    /// User and password in `Authorization` (RFC 7617).
    Basic {
        /// The user, where the credential is the password; none: whichever of both the agent's placeholder stands for.
        user: Option<String>,
    },
    /// A signature of AWS's, version 4 or 4a.
    SignAws,
    /// A signature that the service's entry in the catalog describes.
    Hmac {
        /// The name of its scheme there.
        scheme: String,
    },
}

/// Where in a request something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot<'a> {
    /// In a header field.
    Header(&'a HeaderName),
    /// In a cookie of that name.
    Cookie(&'a str),
    /// In the path.
    Path,
    /// In a parameter of that name, as it was sent.
    Query(&'a str),
    /// In the body.
    Body,
    /// In the body, as the `refresh_token` that a server is asked with that answers with tokens.
    Refresh,
}

impl Default for Place {
    /// RFC 6750 §2.1.
    fn default() -> Self {
        Self::Header { name: AUTHORIZATION, format: "Bearer {}".to_owned() }
    }
}

impl Place {
    /// Whether what stands at a spot is what the credential takes the place of.
    pub fn covers(&self, spot: Spot<'_>) -> bool {
        match (self, spot) {
            (Self::Header { name, .. }, Spot::Header(found)) => name == found,
            (Self::Query { name }, Spot::Query(found)) => is_named(found, name),
            (Self::Cookie { name }, Spot::Cookie(found)) => name == found,
            (Self::Basic { .. } | Self::SignAws, Spot::Header(found)) => *found == AUTHORIZATION,
            // A presigned request.
            (Self::SignAws, Spot::Query(found)) => is_named(found, "X-Amz-Credential"),
            // Signing schemes name the key in a header field of theirs; all of them are written anew.
            (Self::Hmac { .. }, Spot::Header(found)) => *found != COOKIE,
            _ => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, .. } => write!(f, "the header field `{name}`"),
            Self::Query { name } => write!(f, "the query parameter `{name}`"),
            Self::Cookie { name } => write!(f, "the cookie `{name}`"),
            Self::Basic { .. } => f.write_str("`authorization`, as user or password"),
            Self::SignAws => f.write_str("the signature of the request"),
            Self::Hmac { scheme } => write!(f, "the signature `{scheme}` of the request"),
        }
    }
}

impl fmt::Display for Spot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header field `{name}`"),
            Self::Cookie(_) => f.write_str("a cookie"),
            Self::Path => f.write_str("the path"),
            Self::Query(_) => f.write_str("the query"),
            Self::Body | Self::Refresh => f.write_str("the body"),
        }
    }
}

/// Whether the name of a parameter, as it was sent, is this one.
pub(super) fn is_named(sent: &str, name: &str) -> bool {
    sent == name || decoded(sent) == name
}

/// As servers read the query: `+` is a blank (WHATWG URL, `application/x-www-form-urlencoded`).
pub(super) fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
