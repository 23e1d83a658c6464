//! A connection that stops speaking HTTP (RFC 9110 §7.8), as raw bytes in both directions.

use hyper_util::rt::TokioIo;

/// The raw connection.
pub type Raw = TokioIo<hyper::upgrade::Upgraded>;

/// A connection that will be raw once both ends have said so.
pub struct Pending(hyper::upgrade::OnUpgrade);

impl Pending {
    /// The connection that a request came by.
    pub fn of_request<B>(request: &mut http::Request<B>) -> Self {
        Self(hyper::upgrade::on(request))
    }

    /// The connection that an answer came by.
    pub fn of_answer<B>(answer: &mut http::Response<B>) -> Self {
        Self(hyper::upgrade::on(answer))
    }

    /// Waits until the `101` has gone through. Fails if it never does.
    pub async fn ready(self) -> Result<Raw, hyper::Error> {
        self.0.await.map(TokioIo::new)
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}
