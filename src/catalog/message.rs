//! Messages over a WebSocket: one operation at least per message.
//!
//! JSON-RPC 2.0; GraphQL over WebSocket (`graphql-transport-ws` and, before it, `subscriptions-transport-ws`, `graphql-ws`
//! by name); events with a `type` that the catalog lists (`MESSAGE` `#response.create`). The subprotocol that the origin chose
//! and the place tell which of them is spoken; a message that only looks like one may be something else as well, and the
//! stronger counts. What nothing understands is what the upgrade was judged as, if that was an act, else an unknown act.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::call::{Class, Dialect, Head, Operation, Operations, Peek};

use super::content::Content;
use super::json::Json;
use super::reading::{Reading, Request, Told};
use super::request::{self, Query};
use super::tools::Server;
use super::{Catalog, Found, graphql, rpc};

/// The verb under which the catalog lists events.
const VERB: &str = "MESSAGE";

/// What a message says.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// What it would do.
    pub operations: Operations,
    /// How a refusal of it is said.
    pub dialect: Dialect,
    /// It is no more than what the upgrade was judged as.
    pub covered: bool,
    /// The answer is one for [`Catalog::remember_spoken_tools`].
    pub lists_tools: bool,
}

/// The session that a WebSocket is (MCP tells sessions of HTTP apart by this field): what its server says of tools counts in it.
static SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

impl Catalog {
    /// What a message does over the WebSocket that `opened` asked for and `upgrade` was judged as. `protocol` is what the
    /// origin chose.
    pub fn recognise_message(
        &self,
        opened: &Head,
        upgrade: &Operation,
        protocol: Option<&str>,
        message: &Peek,
    ) -> Spoken {
        let host = super::host_text(&opened.origin.host);
        let path = request::segments(opened.target.path());
        let mut headers = HeaderMap::new();
        headers.extend(HeaderValue::from_str(&session(opened)).ok().map(|id| (SESSION.clone(), id)));
        let content = Content::read(&headers, message);
        let request = Request {
            host: &host,
            verb: VERB,
            path: &path,
            query: Query(opened.target.query()),
            headers: &headers,
            content: &content,
            websocket: false,
            depth: 0,
        };
        let reading = Reading::new(self, request, VERB, &path);
        let said = Said { reading: &reading, protocol };
        let (mut found, certain) = said.operations();
        let covered =
            found.is_empty() && upgrade.class >= Class::Act && !(certain && content.trouble.is_some());
        if let Some(why) = content.trouble.filter(|_| certain) {
            found.push(reading.unknown(Class::Delegate, why.0));
        } else if !certain || found.is_empty() {
            found.push(opaque(&reading, upgrade));
        }
        let mut all = Found::default();
        for operation in found {
            all.add(operation, None);
        }
        let mut all = all.operations.into_iter();
        let first = all.next().unwrap_or_else(|| opaque(&reading, upgrade));
        let operations = Operations::batch(first, all.collect());
        let lists_tools = said.objects().flat_map(|object| object.texts("method")).any(|m| m == "tools/list");
        Spoken { operations, dialect: said.dialect(), covered, lists_tools }
    }

    /// Takes what a server said over the WebSocket that `opened` asked for, if that tells of tools; see
    /// [`Catalog::remember_tools`].
    pub fn remember_spoken_tools(&self, opened: &Head, message: &[u8]) -> Option<Vec<String>> {
        let path: String = request::segments(opened.target.path())
            .iter()
            .flat_map(|segment| ["/", segment.as_ref()])
            .collect();
        let (host, session) = (super::host_text(&opened.origin.host), session(opened));
        self.tools.remember(
            &Server { host: &host, path: &path, session: &session },
            std::str::from_utf8(message).ok()?,
        )
    }
}

/// A WebSocket is a session of its own.
fn session(opened: &Head) -> String {
    format!("websocket-{}", opened.id)
}

/// A message that nothing understands.
fn opaque(reading: &Reading<'_>, upgrade: &Operation) -> Operation {
    if upgrade.class >= Class::Act {
        let because = "a message of the connection that was let through".into();
        return Operation { because, ..upgrade.clone() };
    }
    reading.unknown(Class::Act, "a message that is not understood")
}

struct Said<'a> {
    reading: &'a Reading<'a>,
    protocol: Option<&'a str>,
}

impl Said<'_> {
    fn objects(&self) -> impl Iterator<Item = &Json> {
        self.reading.request.content.objects()
    }

    /// What it would do, and whether the place or the subprotocol tells that it is this and nothing else.
    fn operations(&self) -> (Vec<Operation>, bool) {
        let mut found = Vec::new();
        let graphql = self.speaks(&["graphql"]) || graphql::is_place(self.reading);
        for object in self.objects() {
            found.extend(self.graphql(object, graphql));
        }
        let events = self.reading.has_actions(VERB);
        if events {
            for kind in self.objects().flat_map(|object| object.texts("type")) {
                let unknown = || self.reading.unknown(Class::Act, "an event that the catalog does not list");
                found.push(self.reading.action(VERB, kind).unwrap_or_else(unknown));
            }
        }
        match rpc::read(self.reading) {
            Told::Nothing => {}
            Told::Also(operations) | Told::Instead(operations) => found.extend(operations),
        }
        // Also where nothing could be read: what is cut off at such a place could be anything.
        let rpc = rpc::is_place(self.reading) || self.speaks(&["mcp", "json-rpc", "jsonrpc", "a2a"]);
        (found, graphql || events || rpc)
    }

    fn speaks(&self, words: &[&str]) -> bool {
        let protocol = self.protocol.unwrap_or_default().to_ascii_lowercase();
        words.iter().any(|word| protocol.contains(word))
    }

    /// What a message of GraphQL over WebSocket would do.
    fn graphql(&self, object: &Json, certain: bool) -> Vec<Operation> {
        let mut found = Vec::new();
        for kind in object.texts("type") {
            match kind {
                "subscribe" | "start" => {
                    let payloads: Vec<&Json> = object.fields("payload").collect();
                    found.extend(payloads.iter().flat_map(|payload| self.document(payload, certain)));
                    if payloads.is_empty() && certain {
                        found.push(self.reading.unknown(Class::Act, "a GraphQL request without a document"));
                    }
                }
                "connection_init" | "connection_terminate" | "complete" | "stop" | "ping" | "pong"
                    if certain =>
                {
                    found.push(self.reading.inferred(Class::Read, "GraphQL over WebSocket: bookkeeping"));
                }
                _ if certain => {
                    found.push(
                        self.reading.unknown(Class::Act, "a kind of GraphQL message that is not known"),
                    );
                }
                _ => {}
            }
        }
        found
    }

    fn document(&self, payload: &Json, certain: bool) -> Vec<Operation> {
        // Some services put the request into a text.
        let packed = payload.texts("data").map(|text| Json::Text(text.to_owned()));
        let mut found = Vec::new();
        for payload in std::iter::once(payload.clone()).chain(packed) {
            let content = Content::of_json(&payload);
            if content.json.iter().flat_map(Json::objects).all(|object| !object.has("query"))
                && payload.has("data")
            {
                continue;
            }
            let request = Request { content: &content, ..self.reading.request };
            let inner = Reading::new(self.reading.catalog, request, VERB, request.path);
            match graphql::read_as(&inner, certain) {
                Told::Nothing => {}
                Told::Also(operations) | Told::Instead(operations) => found.extend(operations),
            }
        }
        found
    }

    /// How a refusal is said: as the first object of the message is spoken.
    fn dialect(&self) -> Dialect {
        let Some(object) = self.objects().next() else { return Dialect::None };
        let kind = object.texts("type").next();
        let old = kind == Some("start");
        if let (true, Some(id)) = (old || kind == Some("subscribe"), object.texts("id").next()) {
            return Dialect::GraphQl { id: id.to_owned(), old };
        }
        if object.has("jsonrpc") {
            let id = object.fields("id").next().map_or_else(|| "null".to_owned(), Json::scalar);
            let tool = object.texts("method").any(|method| method == "tools/call");
            return Dialect::JsonRpc { id, tool };
        }
        if kind.is_some() && self.reading.has_actions(VERB) {
            return Dialect::Event { event: object.texts("event_id").next().map(str::to_owned) };
        }
        Dialect::None
    }
}
