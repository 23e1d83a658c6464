//! One reading of a request: a verb and a path, and what the protocols make of the body behind them.
//!
//! Each protocol says [`Told::Instead`] where the place leaves no doubt that the server speaks it, and [`Told::Also`] where
//! the body only looks like it: then what the head says counts as well, and the stronger of the two decides. A sender
//! chooses its body freely; the place it does not.

use std::borrow::Cow;

use http::HeaderMap;

use crate::call::{Class, Facts, Head, Operation, OperationId, Recognition, ServiceName};

use super::content::Content;
use super::index::Asked;
use super::naming::{self, Words};
use super::request::{Query, WEBSOCKET};
use super::service::Service;
use super::table::Row;
use super::{Catalog, aws, batch, git, graphql, grpc, oauth, rpc, soap, sql, webdav};

/// A request, or one of those inside of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) host: &'a str,
    pub(super) verb: &'a str,
    pub(super) path: &'a [Cow<'a, str>],
    pub(super) query: Query<'a>,
    pub(super) headers: &'a HeaderMap,
    pub(super) content: &'a Content,
    pub(super) websocket: bool,
    /// How many batches it is inside of.
    pub(super) depth: usize,
}

impl<'a> Request<'a> {
    /// What `head` asks for, as one that is in no batch.
    pub(super) fn of(head: &'a Head, host: &'a str, path: &'a [Cow<'a, str>], content: &'a Content) -> Self {
        Self {
            host,
            verb: head.method.as_str(),
            path,
            query: Query(head.target.query()),
            headers: &head.headers,
            content,
            websocket: head.upgrade.is_some(),
            depth: 0,
        }
    }
}

/// What a protocol makes of a request.
#[derive(Debug, Default)]
pub(super) enum Told {
    /// It is none of its.
    #[default]
    Nothing,
    /// It could be this as well.
    Also(Vec<Operation>),
    /// It is this, whatever the head looks like.
    Instead(Vec<Operation>),
}

impl Told {
    /// `Instead` where `certain`, else `Also`.
    pub(super) fn by(certain: Certain, operations: Vec<Operation>) -> Self {
        match (operations.is_empty(), certain) {
            (true, _) => Self::Nothing,
            (false, Certain::ByPlace) => Self::Instead(operations),
            (false, Certain::ByLooks) => Self::Also(operations),
        }
    }
}

/// What tells that a protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certain {
    /// Host, path or catalog.
    ByPlace,
    /// The body, or a header field: the sender's word alone.
    ByLooks,
}

impl Certain {
    pub(super) fn if_place(is_there: bool) -> Self {
        if is_there { Self::ByPlace } else { Self::ByLooks }
    }
}

/// What the catalog says of a place.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    /// The services that answer there, the most specific first.
    pub(super) services: Vec<&'a Service>,
    /// The line that fits, and whose it is: the first of `services`.
    pub(super) entry: Option<&'a Row>,
    /// The path in the words of the first of `services`, where the operator has it at another one.
    pub(super) path: Option<Vec<Cow<'a, str>>>,
    pub(super) broken: bool,
}

impl<'a> Place<'a> {
    /// Whose calls these are: the service, or the host where nobody knows it.
    pub(super) fn name(&self) -> ServiceName {
        let owner = self.services.first();
        owner.map_or_else(|| ServiceName(self.host.into()), |service| service.name.clone())
    }

    /// The catalog names the operation.
    pub(super) fn is_exact(&self) -> bool {
        self.entry.is_some_and(|entry| entry.how == Recognition::Exact)
    }

    /// The catalog knows the place and says that the head does not tell what is done there.
    pub(super) fn is_open(&self) -> bool {
        self.entry.is_some_and(|entry| entry.how == Recognition::Unknown)
    }

    /// The service whose line fits, and the line.
    pub(super) fn known(&self) -> Option<(&'a Service, &'a Row)> {
        Some((*self.services.first()?, self.entry?))
    }

    /// What is to be told of the operation is in the body.
    pub(super) fn facts_want_body(&self) -> bool {
        let Some((service, entry)) = self.known() else { return false };
        service.facts().is_some_and(|facts| facts.wants_body(&entry.id.0))
    }
}

/// How many bare names of a query are read as places.
const BARE: usize = 4;

/// A path less what follows a marker of documents: that is an id which the sender chose, whatever it looks like.
fn named(path: &str) -> &str {
    const MARKERS: [&str; 4] = ["/_doc/", "/_create/", "/_update/", "/_source/"];
    let end = MARKERS.iter().filter_map(|marker| Some(path.find(marker)? + marker.len() - 1)).min();
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

/// One reading.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) request: Request<'a>,
    pub(super) verb: &'a str,
    /// The path.
    pub(super) sent: &'a [Cow<'a, str>],
    /// The path as the service has it: another one where the operator put the service elsewhere.
    pub(super) path: Cow<'a, [Cow<'a, str>]>,
    pub(super) place: Place<'a>,
}

/// The protocols. SQL is none: it changes what they found.
const PROTOCOLS: [fn(&Reading<'_>) -> Told; 8] =
    [graphql::read, rpc::read, aws::read, grpc::read, soap::read, batch::read, git::read, oauth::read];

impl<'a> Reading<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        request: Request<'a>,
        verb: &'a str,
        sent: &'a [Cow<'a, str>],
    ) -> Self {
        let asked = Asked { verb, query: request.query, headers: request.headers };
        let mut place = catalog.place(request.host, sent, &asked);
        let path = place.path.take().map_or(Cow::Borrowed(sent), Cow::Owned);
        Self { catalog, request, verb, sent, path, place }
    }

    /// Everything that this reading says is done. Never empty.
    pub(super) fn operations(&self) -> Vec<Operation> {
        if self.place.broken {
            return vec![super::class::opaque(self.place.name(), "the catalog's data is broken")];
        }
        let (mut also, mut instead) = (Vec::new(), Vec::new());
        if self.verb != WEBSOCKET {
            for told in PROTOCOLS.map(|read| read(self)) {
                match told {
                    Told::Nothing => {}
                    Told::Also(operations) => also.extend(operations),
                    Told::Instead(operations) => instead.extend(operations),
                }
            }
        }
        if instead.is_empty() {
            instead.push(self.by_head());
            instead.extend(self.doubt());
        }
        instead.extend(also);
        if self.verb != WEBSOCKET {
            sql::apply(self, &mut instead);
        }
        for operation in instead.iter_mut().filter(|operation| operation.how == Recognition::Exact) {
            self.tell(operation);
        }
        instead
    }

    /// Adds what the catalog tells of an operation beside its name.
    fn tell(&self, operation: &mut Operation) {
        let service = self.place.services.iter().find(|service| service.name == operation.service);
        if let Some(facts) = service.and_then(|service| service.facts()) {
            facts.add(self, &self.catalog.labels, operation);
        } else if let Some(resource) = &operation.resource {
            self.catalog.labels.apply(&operation.service, resource, &mut operation.facts);
        }
    }

    /// By verb and path alone.
    pub(super) fn by_head(&self) -> Operation {
        if let Some((service, entry)) = self.place.known() {
            let asked = Asked { verb: self.verb, query: self.request.query, headers: self.request.headers };
            return entry.operation(&service.name, entry.touches(&self.path, &asked));
        }
        if self.verb == WEBSOCKET {
            return self.inferred(Class::Act, "WebSocket upgrade");
        }
        match self.verb {
            "GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE" => {}
            // TRACE echoes credentials; CONNECT is no call.
            "TRACE" | "CONNECT" => return self.inferred(Class::Act, &format!("verb {}", self.verb)),
            verb => {
                return webdav::class(verb).map_or_else(
                    || self.unknown(Class::Act, "unrecognised verb"),
                    |(class, rule)| self.inferred(class, rule),
                );
            }
        }
        let path = self.path_text();
        let path = named(&path);
        let mut verdict = naming::judge(self.verb, Words { name: "", path });
        // `PUT /bucket?acl`: at S3 and whoever copied it a bare name is a place below the path. It only strengthens, for
        // other servers do not look at it.
        for name in self.request.query.bare().take(BARE) {
            let below = naming::judge(self.verb, Words { name: "", path: &format!("{path}/{name}") });
            if below.class > verdict.class {
                verdict = below;
            }
        }
        self.inferred(verdict.class, verdict.rule)
    }

    /// What a body adds that cannot be read, where it could decide.
    fn doubt(&self) -> Option<Operation> {
        let why = self.request.content.trouble?.0;
        if self.place.is_exact() || matches!(self.verb, "GET" | "HEAD" | "OPTIONS") && !self.place.is_open() {
            return None;
        }
        Some(self.unknown(Class::Delegate, why))
    }

    /// The catalog's entry for a protocol's own name of an operation: `POST` and `#CreateUser`.
    pub(super) fn action(&self, method: &str, name: &str) -> Option<Operation> {
        self.place.services.iter().find_map(|service| service.table()?.action(method, name, &service.name))
    }

    /// Whether the catalog lists operations of a service here by such names.
    pub(super) fn has_actions(&self, method: &str) -> bool {
        let lists = |service: &&Service| service.table().is_some_and(|table| table.has_actions(method));
        self.place.services.iter().any(lists)
    }

    /// Whether a service that lists operations by such names speaks its protocol at this path: at one of its `endpoints`,
    /// or anywhere where it names none.
    pub(super) fn speaks_here(&self, method: &str) -> bool {
        let here = |endpoint: &String| {
            let mut asked = self.path.iter();
            let mut wanted = endpoint.split('/').filter(|segment| !segment.is_empty());
            wanted.all(|segment| asked.next().is_some_and(|have| have.eq_ignore_ascii_case(segment)))
                && asked.next().is_none()
        };
        self.place.services.iter().any(|service| {
            let endpoints = &service.about.endpoints;
            service.table().is_some_and(|table| table.has_actions(method))
                && (endpoints.is_empty() || endpoints.iter().any(here))
        })
    }

    /// An operation that a rule tells.
    pub(super) fn inferred(&self, class: Class, because: &str) -> Operation {
        self.nameless(class, Recognition::Inferred, because)
    }

    /// An operation that nothing tells.
    pub(super) fn unknown(&self, class: Class, because: &str) -> Operation {
        self.nameless(class, Recognition::Unknown, because)
    }

    fn nameless(&self, class: Class, how: Recognition, because: &str) -> Operation {
        let service = self.place.name();
        Operation {
            id: OperationId::unknown(class),
            service,
            class,
            resource: None,
            how,
            facts: Facts::default(),
            because: because.into(),
            ai: None,
        }
    }

    /// Whether a segment of the path has one of `words` in it: `v1/mcp-server` has `mcp`.
    pub(super) fn path_has(&self, words: &[&str]) -> bool {
        let mut all =
            self.path.iter().flat_map(|segment| segment.split(|c: char| !c.is_ascii_alphanumeric()));
        all.any(|word| words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
    }

    /// The last segment of the path, in lower case; empty for `/`.
    pub(super) fn last(&self) -> String {
        self.path.last().map(|segment| segment.to_ascii_lowercase()).unwrap_or_default()
    }

    pub(super) fn path_text(&self) -> String {
        let mut text = String::new();
        for segment in self.path.iter() {
            text.push('/');
            text.push_str(segment);
        }
        text
    }

    /// Whether the verb sends a body that does something.
    pub(super) fn may_carry(&self) -> bool {
        !self.request.content.is_empty()
    }
}
