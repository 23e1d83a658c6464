//! Forwarded: the call goes out, the answer comes back. The only door out of the house.
//!
//! [`Upstream::send`] takes a [`Call<Credentialed>`] and nothing else: what was never decided and written down cannot be
//! forwarded. Before it is called nothing leaves, no dial and no DNS query. It must not follow redirects, keep cookies,
//! cache, or send anything twice that may have arrived.
//!
//! RFC 9110 (semantics), 9112 (HTTP/1.1), 9113 (HTTP/2), 8305 (happy eyeballs), 6455 (WebSocket).

mod connection;
mod deadline;
mod dial;
mod ear;
pub mod egress;
mod error;
mod fetch;
pub mod frame;
mod headers;
mod heard;
mod messages;
mod pool;
mod pump;
mod resolve;
mod scrub;
mod send;
#[cfg(test)]
mod tests;
mod tls;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use rustls::pki_types::CertificateDer;
use url::Url;

pub use deadline::Limits;
pub use ear::Ear;
pub use error::{OriginError, Reached, SetupError, Waiting};
pub use messages::{Gate, Verdict};
pub use pool::PoolFacts;
pub use pump::{PumpEnd, PumpFacts};
pub use resolve::{Mapped, ResolveTable};
pub use scrub::{Scrubber, ask_searchable, ask_whole, is_rewritten, scrub};
pub use upgrade::Upgraded;

use crate::body::Body;
use crate::call::{Call, Credentialed, Forwarded, Origin};

/// What the room is told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Trust anchors beside the system's (`upstream.trust`).
    pub trust: Vec<CertificateDer<'static>>,
    /// Where names lead (`upstream.resolve`).
    pub resolve: ResolveTable,
    /// remit's own listeners: never dialled, not even for a mapped name.
    pub own: Vec<SocketAddr>,
    /// Bounds in time and size.
    pub limits: Limits,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The call, gone out.
    pub call: Call<Forwarded>,
    /// The answer, its hop-by-hop fields and `alt-svc` removed. Its body streams.
    pub response: http::Response<Body>,
    /// After a proper 101: the connection, for [`Upgraded::pump`].
    pub upgraded: Option<Upgraded>,
}

/// The way to all origins. Cloning is cheap and shares the pool.
#[derive(Clone)]
pub struct Upstream {
    inner: Arc<Inner>,
}

struct Inner {
    table: ResolveTable,
    dialler: dial::Dialler,
    pool: Arc<pool::Pool>,
    limits: Limits,
}

impl Upstream {
    /// Reads the system's trust anchors, once.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let Settings { trust, resolve, own, limits } = settings;
        let tls = tls::Tls::new(&trust)?;
        let dialler = dial::Dialler::new(tls, own, limits.clone());
        let pool = pool::Pool::new(limits.clone());
        Ok(Self { inner: Arc::new(Inner { table: resolve, dialler, pool, limits }) })
    }

    /// Sends a call and waits for the head of its answer.
    ///
    /// [`OriginError::reached`] tells whether a failed call may have had its effect. Dropping the future cuts the exchange:
    /// on HTTP/1.1 by closing the connection, on HTTP/2 by resetting the stream.
    pub async fn send(&self, call: Call<Credentialed>, body: Body) -> Result<Answer, OriginError> {
        send::send(&self.inner, call, body).await
    }

    /// Sends a POST of remit's own to what the operator named, and reads the whole answer.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, OriginError> {
        fetch::post(&self.inner, url, headers, body).await
    }

    /// Whether a secret can be sent there: what is spoken is TLS, or the operator said `http://` of the name. That the agent said so is
    /// no word of the operator's, wherever the name leads.
    pub fn is_fit_for_secrets(&self, origin: &Origin) -> bool {
        let table = &self.inner.table;
        table.route(origin).wire == resolve::Wire::Tls
            || table.find(&origin.host, origin.port).is_some_and(|mapped| mapped.plain)
    }

    /// How the kept connections are doing.
    pub fn pool(&self) -> PoolFacts {
        self.inner.pool.facts()
    }

    /// Forgets every kept connection: unused ones close now, those in use when their answer is over. For draining, and
    /// whenever trust or the resolve table changed.
    pub fn close_idle(&self) {
        self.inner.pool.forget();
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream(..)")
    }
}
