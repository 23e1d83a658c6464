//! A call that no policy ruled on cannot be sent.
use remit::body::Body;
use remit::call::{Attributed, Call};
use remit::origin::Upstream;

async fn skip_the_policies(upstream: Upstream, call: Call<Attributed>) {
    let _ = upstream.send(call, Body::empty()).await;
}

fn main() {}
