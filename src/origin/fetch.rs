//! remit's own requests, to what the operator named: a collector, an identity provider, a vault. No agent has a part in
//! them, so the egress guard does not apply; everything else does: verification, limits, no redirects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;
use url::Url;

use super::connection::{Fresh, establish};
use super::deadline::{Outbound, Progress};
use super::error::{OriginError, Reached, Waiting};
use super::resolve::{Route, Wire};
use super::tls::Offer;
use super::{Inner, Upstream};
use crate::body::Body;
use crate::call::port::Fetched;
use crate::call::{Fetch, FetchError, Host, Origin, Scheme};

/// The longest answer that is read, bytes.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Longest that an answer to [`Fetch`] is waited for.
const FETCH_TIME: Duration = Duration::from_secs(20);

impl Fetch for Upstream {
    fn fetch(&self, request: Request<Bytes>) -> Fetched<'_> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let lost = |why: String, reached| FetchError { why, reached };
            let url = Url::parse(&head.uri.to_string()).map_err(|error| lost(error.to_string(), false))?;
            let asked = ask(&self.inner, &url, head.method, head.headers, body);
            match timeout(FETCH_TIME, asked).await {
                Ok(answered) => answered.map_err(|error| {
                    let reached = error.reached() != Reached::Never;
                    lost(error.to_string(), reached)
                }),
                Err(_elapsed) => {
                    let place = url.host_str().unwrap_or_default();
                    Err(lost(format!("{place} did not answer within {} s", FETCH_TIME.as_secs()), true))
                }
            }
        })
    }
}

/// Sends one POST over a connection of its own and reads the whole answer. The caller bounds the time of the whole.
pub(super) async fn post(
    inner: &Arc<Inner>,
    url: &Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Bytes>, OriginError> {
    ask(inner, url, Method::POST, headers, body).await
}

async fn ask(
    inner: &Arc<Inner>,
    url: &Url,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Bytes>, OriginError> {
    let origin = origin(url)?;
    let mut request = Request::builder().method(method).uri(target(url)).body(()).map_err(malformed)?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, HeaderValue::try_from(origin.authority()).map_err(malformed)?);
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let mut failure = OriginError::Unresolved { host: origin.host.to_string(), why: "no address".into() };
    for route in routes(inner, &origin).await? {
        let dialled = match inner.dialler.dial(&origin, &route, Offer::Http1).await {
            Ok(dialled) => dialled,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        let Fresh::Http1(mut connection) = establish(dialled, &inner.limits).await? else {
            return Err(OriginError::unreachable("it chose HTTP/2, which was not offered"));
        };
        let request = request.map(|()| Outbound::new(Body::full(body), Progress::new()));
        let answer = connection
            .send(request)
            .await
            .map_err(|unanswered| OriginError::protocol(unanswered.error().to_string()))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| OriginError::protocol(error.to_string()))?;
        return Ok(Response::from_parts(head, body.to_bytes()));
    }
    Err(failure)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err, which hands errors over")]
fn malformed(error: impl ToString) -> OriginError {
    OriginError::Malformed { why: error.to_string() }
}

fn origin(url: &Url) -> Result<Origin, OriginError> {
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => return Err(malformed(format!("`{other}` is neither http nor https"))),
    };
    let host = Host::parse(url.host_str().unwrap_or_default()).map_err(malformed)?;
    Ok(Origin { scheme, host, port: url.port().unwrap_or(scheme.default_port()) })
}

fn target(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

/// Every address of the name, in the resolver's order.
async fn routes(inner: &Inner, origin: &Origin) -> Result<Vec<Route>, OriginError> {
    let wire = if origin.scheme == Scheme::Http { Wire::Plain } else { Wire::Tls };
    let name = origin.host.to_string();
    let looked_up = tokio::net::lookup_host(format!("{name}:{}", origin.port));
    let found = timeout(inner.limits.dns, looked_up)
        .await
        .map_err(|_elapsed| OriginError::timeout(Waiting::Dns, inner.limits.dns))?
        .map_err(|error| OriginError::Unresolved { host: name, why: error.to_string() })?;
    Ok(found.map(|address| Route { mapped: Some(address), wire }).collect())
}
