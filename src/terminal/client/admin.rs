//! The admin API's client: JSON in, JSON out, RFC 9457 problems as failures.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use super::exchange::{self, Answer};
use crate::call::Secret;
use crate::terminal::failure::Failure;

/// A node on this machine answers at once; a remote one within this or not at all.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// One node's admin API.
#[derive(Clone, Debug)]
pub(in crate::terminal) struct Admin {
    authority: String,
    token: Secret<String>,
}

impl Admin {
    /// By address.
    pub(in crate::terminal) fn at(address: SocketAddr, token: Secret<String>) -> Self {
        Self { authority: address.to_string(), token }
    }

    /// By `http://host:port`.
    pub(in crate::terminal) fn at_url(url: &str, token: Secret<String>) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("`--admin {url}`: {why}"));
        let parsed = Url::parse(url).map_err(|_| wrong("a URL such as `http://127.0.0.1:8119` is wanted"))?;
        if parsed.scheme() != "http" {
            return Err(wrong(
                "only `http://` is spoken here; reach a far node through a tunnel, such as `ssh -L`",
            ));
        }
        match (parsed.host_str(), parsed.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self { authority: format!("{host}:{port}"), token }),
            _ => Err(wrong("a host and a port are wanted")),
        }
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
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.reveal()))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| Failure::usage(format!("`{path}` cannot be asked for")))?;
        let socket = tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| self.unreachable("it does not answer"))?
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let answer = exchange::exchange(socket, request).await.map_err(|why| self.unreachable(&why))?;
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
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::found_wanting(cause)
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
