//! The admin API's client: JSON in, JSON out, RFC 9457 problems as failures.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use super::exchange::{self, Answer};
use super::secure::{Secure, Tls};
use crate::call::Secret;
use crate::terminal::failure::Failure;

/// A node on this machine answers at once; a remote one within this or not at all.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// One node's admin API.
#[derive(Clone, Debug)]
pub(in crate::terminal) struct Admin {
    authority: String,
    /// None: a certificate names the operator.
    token: Option<Secret<String>>,
    /// None: plain HTTP.
    secure: Option<Secure>,
}

impl Admin {
    /// By address.
    pub(in crate::terminal) fn at(address: SocketAddr, token: Secret<String>) -> Self {
        Self { authority: address.to_string(), token: Some(token), secure: None }
    }

    /// By `http://host:port` or `https://host:port`.
    pub(in crate::terminal) fn at_url(
        url: &str,
        token: Option<Secret<String>>,
        tls: &Tls,
    ) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("`--admin {url}`: {why}"));
        let parsed = Url::parse(url).map_err(|_| wrong("a URL such as `http://127.0.0.1:8119` is wanted"))?;
        let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
            return Err(wrong("a host and a port are wanted"));
        };
        let secure = match parsed.scheme() {
            "http" => None,
            "https" => Some(Secure::new(host, tls)?),
            _ => return Err(wrong("`http://` or `https://` is wanted")),
        };
        Ok(Self { authority: format!("{host}:{port}"), token, secure })
    }

    /// Asks for something.
    pub(in crate::terminal) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Sends something.
    pub(in crate::terminal) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, body.to_string().into()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let request = request
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| Failure::usage(format!("`{path}` cannot be asked for")))?;
        let socket = tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| self.unreachable("it does not answer"))?
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let answer = match &self.secure {
            None => exchange::exchange(socket, request).await,
            Some(secure) => {
                let shaken = tokio::time::timeout(CONNECT_DEADLINE, secure.connect(socket)).await;
                let shaken = shaken.map_err(|_| self.unreachable("TLS takes too long"))?;
                let stream = shaken.map_err(|error| self.unreachable(&format!("TLS: {error}")))?;
                exchange::exchange(stream, request).await
            }
        };
        let answer = answer.map_err(|why| self.unreachable(&why))?;
        if !answer.status.is_success() {
            return Err(failure_of(&answer));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| self.unreachable("what answers there is not a remit node"))
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::unreachable(format!("the node at `{}` cannot be reached: {why}", self.authority))
            .remedy("is it running? start one with `remit serve`, or name another with --config or --admin")
    }
}

/// What an answer that is no success means (RFC 9457 §3.1).
pub(in crate::terminal) fn failure_of(answer: &Answer) -> Failure {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let cause = text("detail")
        .or(text("title"))
        .map_or_else(|| format!("the node answered {}", answer.status), one_line);
    let failure = match answer.status {
        StatusCode::UNAUTHORIZED => Failure::found_wanting(cause)
            .remedy("the admin token is not this node's; read it anew from its admin.token"),
        status if status.is_server_error() => Failure::unreachable(cause),
        _ => Failure::found_wanting(cause),
    };
    match text("advice") {
        Some(advice) => failure.remedy(one_line(advice)),
        None => failure,
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
