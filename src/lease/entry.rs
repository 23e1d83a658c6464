//! One `[[leases]]` entry: which calls it serves, where its credential goes, and who gives it.

use std::sync::Arc;

use super::place::Place;
use super::placeholder::Look;
use super::provider::Provider;
use crate::call::hmac::HmacScheme;
use crate::call::{Class, Head, Host, Operations};

/// One credential that remit holds.
pub struct Entry {
    /// What it is called in the store and in tags: service and provider, with a number where there are several.
    pub name: Arc<str>,
    /// A service of the catalog, or a host.
    pub service: Arc<str>,
    /// The hosts of the service to which the credential goes; empty: all.
    pub hosts: Vec<Host>,
    /// The classes of calls that it serves; empty: all.
    pub classes: Vec<Class>,
    /// Where the credential goes.
    pub place: Place,
    /// What signatures of AWS's for this service name; none: nobody knows.
    pub signing_name: Option<String>,
    /// How requests are signed with a shared secret, where `place` names a scheme.
    pub scheme: Option<HmacScheme>,
    /// What `error` says in answers of status 200 that did not take the credential.
    pub untaken: Vec<String>,
    /// What its placeholder looks like.
    pub look: Look,
    /// The variables in which a client looks for it; the first gets the placeholder of that look, further ones get one of the
    /// plain look.
    pub env: Vec<String>,
    /// Whether it is given to calls that policies would refuse, and that go on because these are only observed.
    pub observed: bool,
    /// Who gives it.
    pub provider: Arc<dyn Provider>,
}

impl Entry {
    /// Whether a call is one that its credential is for. A call that could be of several services is not, unless the entry
    /// names its host: what is for one service must not go out under the name of another.
    pub fn serves(&self, head: &Head, operations: &Operations) -> bool {
        let classes = &self.classes;
        if !classes.is_empty() && !operations.iter().all(|one| classes.contains(&one.class)) {
            return false;
        }
        if !self.hosts.is_empty() && !self.hosts.contains(&head.origin.host) {
            return false;
        }
        let mut services = operations.iter().map(|one| &*one.service.0);
        services.all(|service| service == &*self.service) || head.origin.host.to_string() == *self.service
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}
