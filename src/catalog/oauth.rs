//! Token endpoints: RFC 6749 (token, authorize), 7009 (revoke), 7591 (register), 7662 (introspect), 8414 (metadata), 8628
//! (device), 9126 (pushed requests), `OpenID` Connect (userinfo, keys).
//!
//! Only where the catalog has no entry. A body that asks for a token asks for one wherever it is sent.

use crate::call::Class;

use super::reading::{Reading, Told};

pub(super) fn read(reading: &Reading<'_>) -> Told {
    if reading.place.is_exact() {
        return Told::Nothing;
    }
    let asks = ["grant_type", "subject_token", "client_assertion"].iter();
    let asks =
        asks.filter(|name| reading.request.query.has(name) || !reading.request.content.said(name).is_empty());
    let place = by_path(reading);
    match place {
        Some((class, rule)) => Told::Instead(vec![reading.inferred(class, rule)]),
        None if asks.count() > 0 => Told::Also(vec![reading.inferred(Class::Delegate, "asks for a token")]),
        None => Told::Nothing,
    }
}

fn by_path(reading: &Reading<'_>) -> Option<(Class, &'static str)> {
    let safe = matches!(reading.verb, "GET" | "HEAD" | "OPTIONS");
    if safe && reading.path.iter().any(|segment| segment == ".well-known") {
        return Some((Class::Read, "published metadata"));
    }
    let place = ["oauth", "oauth2", "openid", "oidc", "connect", "idp", "auth", "login", "sso", "as"];
    if !reading.path_has(&place) {
        return None;
    }
    let last = reading.last();
    let last = last.trim_end_matches(".json");
    let before =
        reading.path.len().checked_sub(2).and_then(|at| reading.path.get(at)).map(|s| s.to_ascii_lowercase());
    let device = before.as_deref() == Some("device");
    match last {
        "token" | "tokens" | "access_token" if !safe => Some((Class::Delegate, "token endpoint")),
        "authorize" | "authorization" | "par" | "bc-authorize" | "device_authorization" | "devicecode" => {
            Some((Class::Delegate, "authorization endpoint"))
        }
        "code" if device => Some((Class::Delegate, "device authorization endpoint")),
        "register" | "registration" | "clients" if !safe => Some((Class::Delegate, "registers a client")),
        "introspect" | "introspection" | "tokeninfo" | "userinfo" | "jwks" | "jwks_uri" | "certs" => {
            Some((Class::Read, "tells about a token or a key"))
        }
        "keys" if safe => Some((Class::Read, "tells about a token or a key")),
        "revoke" | "revocation" | "logout" | "end_session" => Some((Class::Act, "takes a token away")),
        _ => None,
    }
}
