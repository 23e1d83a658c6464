//! In which form whoever made a call wants to be told that it was refused: by the protocol in which it is recognised to be
//! spoken or, where that leaves the form of errors to each service, by what `data/errors.toml` says of the service.
//!
//! Asked only for calls that are refused. It decides nothing: a wrong form is a refusal that reads badly.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::HeaderMap;
use http::header::ACCEPT;

use crate::call::{AwsError, Head, JsonError, Peek, RpcCall, RpcRequest, SoapVersion, Wire};

use super::content::Content;
use super::json::Json;
use super::manifest::{About, Protocol};
use super::reading::{Reading, Request, Told};
use super::request;
use super::{Catalog, graphql, grpc, webdav};

/// How services with a REST API tell errors.
static ERRORS: &str = include_str!("data/errors.toml");

/// How many requests of a batch are answered; a batch with more is refused as one.
const ANSWERS: usize = 100;

impl Catalog {
    /// The form in which a refusal of this request is said.
    pub fn wire(&self, head: &Head, peek: &Peek) -> Wire {
        let host = super::host_text(&head.origin.host);
        let path = request::segments(head.target.path());
        let content = Content::read(&head.headers, peek);
        let request = Request::of(head, &host, &path, &content);
        let reading = Reading::new(self, request, head.method.as_str(), &path);
        FORMS.iter().find_map(|form| form(&reading)).unwrap_or_default()
    }
}

/// The forms, the surest first: what a media type says, then a body, then what is known of the service.
const FORMS: [fn(&Reading<'_>) -> Option<Wire>; 9] =
    [rpc_of_google, json_rpc, soap, aws, graphql, oauth, git, dav, service];

/// gRPC and its relatives.
fn rpc_of_google(reading: &Reading<'_>) -> Option<Wire> {
    let media = reading.request.content.media.as_str();
    if media.starts_with("application/grpc-web") {
        return Some(Wire::GrpcWeb { media: media.to_owned() });
    }
    if grpc::is_grpc(media) {
        return Some(Wire::Grpc);
    }
    let connect = reading.request.headers.contains_key("connect-protocol-version");
    (connect && !media.starts_with("application/connect+")).then_some(Wire::Connect)
}

fn json_rpc(reading: &Reading<'_>) -> Option<Wire> {
    let content = reading.request.content;
    content.objects().next()?.has("jsonrpc").then_some(())?;
    let batch = matches!(content.json.first(), Some(Json::List(_)));
    // What has an id and no method is an answer, and wants none.
    let asks = |object: &&Json| object.has("id") && object.texts("method").next().is_some();
    let request = |object: &Json| RpcRequest {
        id: object.fields("id").next().map_or_else(|| "null".to_owned(), Json::scalar),
        tool: object.texts("method").any(|method| method == "tools/call"),
    };
    let requests = content.objects().filter(asks).take(ANSWERS).map(request).collect();
    let headers = reading.request.headers;
    let stream = accepts(headers, "text/event-stream") && !accepts(headers, "json");
    Some(Wire::JsonRpc(RpcCall { requests, batch, stream }))
}

fn soap(reading: &Reading<'_>) -> Option<Wire> {
    let content = reading.request.content;
    let text = content.text.as_deref().unwrap_or_default();
    if content.media == "application/soap+xml" || text.contains("http://www.w3.org/2003/05/soap-envelope") {
        return Some(Wire::Soap(SoapVersion::V1_2));
    }
    let old = text.contains("http://schemas.xmlsoap.org/soap/envelope");
    (old || reading.request.headers.contains_key("soapaction")).then_some(Wire::Soap(SoapVersion::V1_1))
}

/// Requests to AWS say how they are meant; so do those of its clients to somebody else's servers.
fn aws(reading: &Reading<'_>) -> Option<Wire> {
    let headers = reading.request.headers;
    let spoken = reading.place.services.first().map(|service| &service.about);
    let says = |name: &str, what: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(what))
    };
    let content = reading.request.content;
    let action = reading.request.query.has("Action") || content.form().has("Action");
    let protocol = spoken.map(|about| about.protocol);
    let form = match protocol {
        _ if says("smithy-protocol", "rpc-v2-cbor") => AwsError::Cbor,
        _ if headers.contains_key("x-amz-target") => AwsError::Json,
        Some(Protocol::AwsEc2) => AwsError::Ec2,
        Some(Protocol::AwsJson | Protocol::AwsCbor) if !action => AwsError::Json,
        Some(Protocol::AwsRestJson) => AwsError::RestJson,
        // S3 alone has errors without a root of their own.
        Some(Protocol::AwsRestXml) if spoken.is_some_and(About::is_bare_xml) => AwsError::Xml,
        Some(Protocol::AwsQuery | Protocol::AwsRestXml | Protocol::AwsJson | Protocol::AwsCbor) => {
            AwsError::Query
        }
        // Signed for S3, to nobody that is known: one of those who copied it.
        None if says("authorization", "/s3/aws4_request") || reading.request.query.has("X-Amz-Signature") => {
            AwsError::Xml
        }
        _ => return None,
    };
    Some(Wire::Aws(form))
}

fn graphql(reading: &Reading<'_>) -> Option<Wire> {
    let spoken = match graphql::read(reading) {
        Told::Nothing => false,
        Told::Instead(_) => true,
        // It only looks so: at a place of which nothing else is known that is reason enough.
        Told::Also(_) => reading.place.services.is_empty(),
    };
    spoken.then(|| Wire::GraphQl {
        batch: match reading.request.content.json.first() {
            Some(Json::List(list)) => Some(list.len().min(ANSWERS)),
            _ => None,
        },
        own_media: accepts(reading.request.headers, "application/graphql-response+json"),
    })
}

fn oauth(reading: &Reading<'_>) -> Option<Wire> {
    (!reading.request.content.said("grant_type").is_empty()).then_some(Wire::OAuth)
}

/// git shows plain text to whoever waits for it, and nothing else.
fn git(reading: &Reading<'_>) -> Option<Wire> {
    let service = reading.request.query.all("service").any(|name| name.starts_with("git-"));
    let last = reading.last();
    let pack = matches!(last.as_str(), "git-upload-pack" | "git-receive-pack");
    (pack || (service && last == "refs")).then_some(Wire::Text)
}

fn dav(reading: &Reading<'_>) -> Option<Wire> {
    webdav::class(reading.verb).map(|_| Wire::WebDav)
}

/// By what is known of the service; `OData` says so itself wherever it is spoken.
fn service(reading: &Reading<'_>) -> Option<Wire> {
    let headers = reading.request.headers;
    let odata = ["odata-version", "odata-maxversion", "dataserviceversion"].iter();
    let odata = || odata.clone().any(|name| headers.contains_key(*name)).then_some(JsonError::Odata);
    let about = reading.place.services.first().map(|service| &service.about);
    about.and_then(|about| about.errors.or_else(|| shipped(&about.name))).or_else(odata).map(Wire::Json)
}

/// What `data/errors.toml` says of a service.
fn shipped(service: &str) -> Option<JsonError> {
    static PARSED: OnceLock<BTreeMap<JsonError, Vec<String>>> = OnceLock::new();
    // Broken shipped data, which a test rules out, says nothing.
    let parsed = PARSED.get_or_init(|| toml::from_str(ERRORS).unwrap_or_default());
    let is_named = |name: &String| match name.strip_suffix('*') {
        Some(beginning) => service.starts_with(beginning),
        None => service == name,
    };
    parsed.iter().find(|(_, names)| names.iter().any(is_named)).map(|(form, _)| *form)
}

/// Whether the caller takes a media type, as it says; a preference is not looked at.
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let mut said = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    said.any(|value| value.to_ascii_lowercase().contains(media))
}

#[cfg(test)]
pub(super) fn named_services() -> BTreeMap<JsonError, Vec<String>> {
    toml::from_str(ERRORS).expect("errors.toml")
}
