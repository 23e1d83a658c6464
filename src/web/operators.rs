//! Who operators are: by which evidence each is known, and what they may do.
//!
//! The token of the state folder is for whoever could write the configuration anyway, and may do everything. Everybody else is
//! somebody: a certificate or an identity provider names them, and the configuration says what they may.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::session::{Life, Sessions};
use super::throttle::Throttle;
use super::{Problem, StatusCode};
use crate::call::{Certificates, Clock, Entropy, Membership, Operator, OperatorId, Role};
use crate::identity::{ClientCertificates, Oidc};

/// Wrong tokens and failed sign-ins of one source: a burst, then one in so long. The right token is let in all the same: it
/// cannot be guessed, so what is bounded is work and noise, and nobody who shares an address can lock an operator out.
const FAILURES: (u32, Duration) = (20, Duration::from_secs(6));
/// Beginnings of sign-ins at the identity provider, of one source.
const BEGINNINGS: (u32, Duration) = (20, Duration::from_secs(3));
/// Requests at once, as seconds of the steady pace.
const BURST_S: u32 = 10;
/// Longest name that an identity provider may give.
const MAX_NAME_CHARS: usize = 200;

/// What an operator of a name may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// What it is of, which `@hold` names.
    pub groups: BTreeSet<Arc<str>>,
    /// Which person it is, if the name does not say it.
    pub person: Option<Arc<str>>,
}

/// How the claims of an identity provider are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The claim that names the operator.
    pub name_claim: String,
    /// The claim that lists its groups.
    pub groups_claim: String,
    /// The groups that give each role.
    pub roles: BTreeMap<Role, BTreeSet<String>>,
}

/// What the configuration says of operators.
#[derive(Clone, Debug)]
pub struct Access {
    /// How long browsers stay signed in.
    pub life: Life,
    /// How many requests of one operator are answered, a second.
    pub requests_per_s: u32,
    /// Those who are named.
    pub named: BTreeMap<OperatorId, Rights>,
}

/// What operators are known by.
#[derive(Default)]
pub struct Evidence {
    /// Certificates, on a TLS listener.
    pub certificates: Option<Arc<ClientCertificates>>,
    /// An identity provider, and how its claims are read.
    pub provider: Option<(Oidc, Reading)>,
}

/// Everything that lets operators in, but the token of the state folder.
pub struct Operators {
    pub(super) sessions: Sessions,
    pub(super) life: Life,
    pub(super) failures: Throttle<IpAddr>,
    pub(super) beginnings: Throttle<IpAddr>,
    pub(super) requests: Throttle<OperatorId>,
    pub(super) evidence: Evidence,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    named: BTreeMap<OperatorId, Rights>,
    key: [u8; 64],
}

impl Operators {
    /// Knows operators by this evidence.
    pub fn new(access: Access, evidence: Evidence, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let Access { life, requests_per_s, named } = access;
        let pace = Duration::from_secs(1) / requests_per_s.max(1);
        let mut key = [0; 64];
        entropy.fill(&mut key);
        Self {
            sessions: Sessions::new(life),
            life,
            failures: Throttle::new(FAILURES.0, FAILURES.1),
            beginnings: Throttle::new(BEGINNINGS.0, BEGINNINGS.1),
            requests: Throttle::new(requests_per_s.max(1).saturating_mul(BURST_S), pace),
            evidence,
            clock,
            entropy,
            named,
            key,
        }
    }

    /// Whom a certificate names.
    pub(super) fn certified(&self, shown: &Certificates) -> Result<Operator, Problem> {
        let judge = self.evidence.certificates.as_ref();
        let judge = judge.ok_or_else(|| unauthorized("certificates are not asked for here"))?;
        let id = judge
            .name(shown)
            .map_err(|error| unauthorized(&format!("the client certificate does not hold: {error}")))?;
        let id = OperatorId(id.into());
        let Rights { roles, groups, person } = self.named.get(&id).cloned().ok_or_else(|| {
            let detail = format!("`{id}` is no operator; name it in [[operators]] with its roles");
            Problem::new(StatusCode::FORBIDDEN, "no_operator", detail)
        })?;
        Ok(Operator { id, roles, groups: Membership::Of(groups), person })
    }

    /// Whom the claims of an identity provider name.
    pub(super) fn claimed(
        &self,
        reading: &Reading,
        claims: &Map<String, Value>,
    ) -> Result<Operator, Problem> {
        let no = |detail: String| Problem::new(StatusCode::FORBIDDEN, "no_operator", detail);
        let claim = &reading.name_claim;
        let name =
            claims.get(claim).and_then(Value::as_str).filter(|name| is_name(name)).ok_or_else(|| {
                no(format!(
                    "the identity provider names nobody in `{claim}`; see admin.oidc.name_claim and scopes"
                ))
            })?;
        // An address that nobody has checked may be somebody else's.
        if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(no("the identity provider has not verified the address (`email_verified`)".into()));
        }
        let id = OperatorId(format!("oidc:{name}").into());
        let mut rights = self.named.get(&id).cloned().unwrap_or_default();
        let listed = claims.get(&reading.groups_claim).and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        let groups: BTreeSet<Arc<str>> = listed.map(Arc::from).collect();
        for (role, giving) in &reading.roles {
            if groups.iter().any(|group| giving.contains(&**group)) {
                rights.roles.insert(*role);
            }
        }
        rights.groups.extend(groups);
        if rights.roles.is_empty() {
            return Err(no(format!(
                "`{id}` has no role here; give it one in [[operators]], or its group in admin.oidc.roles"
            )));
        }
        Ok(Operator { id, roles: rights.roles, groups: Membership::Of(rights.groups), person: rights.person })
    }

    /// An operator that is known by name alone, because somebody else vouches for it.
    pub(super) fn named(&self, id: &OperatorId) -> Option<Operator> {
        let Rights { roles, groups, person } = self.named.get(id)?.clone();
        Some(Operator { id: id.clone(), roles, groups: Membership::Of(groups), person })
    }

    /// What nobody else can make of a text: the secrets of an attempt to sign in, so that none has to be remembered.
    pub(super) fn derive(&self, what: &str, from: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(from.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Counts a failure of a source, and says instead how long it has to wait if there were too many.
    pub(super) fn failed(&self, source: IpAddr, problem: Problem) -> Problem {
        match self.failures.take(&source_of(source)) {
            Ok(()) => problem,
            Err(wait) => too_many("too many failed attempts to sign in came from this address", wait),
        }
    }
}

/// One customer has a /64 (RFC 6177).
pub(super) fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

pub(super) fn too_many(why: &str, wait: Duration) -> Problem {
    let seconds = wait.as_secs().saturating_add(1);
    let detail = format!("{why}; try again in {seconds} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_often", detail).retry_after(seconds)
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

/// Of letters that can be told apart on a card and in the record.
fn is_name(name: &str) -> bool {
    let printable = |c: char| !c.is_control() && !c.is_whitespace();
    !name.is_empty() && name.chars().count() <= MAX_NAME_CHARS && name.chars().all(printable)
}
