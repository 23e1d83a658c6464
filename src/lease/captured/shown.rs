//! Where a call shows the placeholder of a token or of a key, and what is put there instead.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use memchr::memmem;
use zeroize::Zeroizing;

use super::{StandIn, Token};
use crate::call::{Target, Timestamp};
use crate::lease::inject::{InjectError, Outgoing, header};
use crate::lease::place::{Spot, is_named};
use crate::lease::placeholder::{CAPTURED_KEY, basic, is_captured};
use crate::lease::provider::Material;
use crate::lease::sign::{self, Payload, SECURITY_TOKEN, Sent};

/// A placeholder where it may stand.
pub(super) enum Shown {
    /// As the whole credential of `Authorization`, the only one there.
    Token { placeholder: String, way: Way },
    /// As the key that signed, by AWS's version 4 or 4a.
    Key { id: String },
}

pub(super) enum Way {
    Bare { scheme: String },
    User { password: String },
    Password { user: String },
}

impl Shown {
    pub(super) fn of(headers: &HeaderMap, target: &Target) -> Option<Self> {
        Self::key(headers, target).or_else(|| Self::token(headers))
    }

    fn key(headers: &HeaderMap, target: &Target) -> Option<Self> {
        let is_there = |text: &[u8]| memmem::find(text, CAPTURED_KEY.as_bytes()).is_some();
        let signed = headers.get(AUTHORIZATION).is_some_and(|value| is_there(value.as_bytes()));
        if !signed && !is_there(target.raw().as_bytes()) {
            return None;
        }
        let id = sign::presented_key(headers, target)?;
        id.starts_with(CAPTURED_KEY).then_some(Self::Key { id })
    }

    fn token(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
        let credential = credential.trim();
        if ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            let way = Way::Bare { scheme: scheme.to_owned() };
            return is_captured(credential).then(|| Self::Token { placeholder: credential.to_owned(), way });
        }
        let pair = String::from_utf8(basic(value.as_bytes())?.to_vec()).ok()?;
        let (user, password) = pair.split_once(':')?;
        let (user, password) = (user.to_owned(), password.to_owned());
        if is_captured(&password) {
            return Some(Self::Token { placeholder: password, way: Way::Password { user } });
        }
        is_captured(&user).then_some(Self::Token { placeholder: user, way: Way::User { password } })
    }

    /// Whether it is what the agent holds of this one.
    pub(super) fn is_of(&self, token: &Token) -> bool {
        match (self, &token.instead) {
            (Self::Token { placeholder, .. }, StandIn::Token(held)) => placeholder == held,
            (Self::Key { id }, StandIn::Key { id: held, .. }) => id == held,
            _ => false,
        }
    }

    /// Whether what stands at a spot gives way with it.
    pub(super) fn covers(&self, spot: Spot<'_>) -> bool {
        match (self, spot) {
            (_, Spot::Header(name)) if *name == AUTHORIZATION => true,
            (Self::Key { .. }, Spot::Header(name)) => *name == SECURITY_TOKEN,
            // A presigned request.
            (Self::Key { .. }, Spot::Query(name)) => {
                ["X-Amz-Credential", "X-Amz-Security-Token"].iter().any(|known| is_named(name, known))
            }
            _ => false,
        }
    }
}

impl Token {
    /// Puts it where its placeholder stands.
    pub(in crate::lease) fn put(
        &self,
        outgoing: Outgoing<'_>,
        payload: Payload<'_>,
        now: Timestamp,
    ) -> Result<(), InjectError> {
        let Outgoing { origin, method, headers, target } = outgoing;
        match (Shown::of(headers, target), &self.held.material) {
            (Some(Shown::Token { way, .. }), Material::Token(token)) => {
                let token = token.reveal();
                let text = match way {
                    Way::Bare { scheme } => Zeroizing::new(format!("{scheme} {token}")),
                    Way::User { password } => rendered(&Zeroizing::new(format!("{token}:{password}"))),
                    Way::Password { user } => rendered(&Zeroizing::new(format!("{user}:{token}"))),
                };
                header(headers, &AUTHORIZATION, &text)
            }
            (Some(Shown::Key { .. }), material @ Material::Aws { .. }) => {
                // For which service it is signed is the agent's word; a wrong one is AWS's to refuse.
                let sent = Sent { payload, signing_name: None, now };
                Ok(sign::sign(material, origin, method, headers, target, sent)?)
            }
            _ => Ok(()),
        }
    }
}

/// RFC 7617.
fn rendered(pair: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("Basic {}", BASE64.encode(pair)))
}
