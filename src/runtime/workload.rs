//! Follows the trust bundles of a SPIFFE Workload API, and the node's own SVID: it tells of each change by itself, so both rotate
//! without anybody doing anything here.
//!
//! The API may come later than the node, go away and come back; meanwhile the last bundles stay in force.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, Either};
use spiffe::{JwtBundleSet, WorkloadApiClient, X509BundleSet};

use crate::accept::ca::Ca;
use crate::call::{Secret, TrustDomain};
use crate::identity::{Bundle, Bundles, ByDomain};
use crate::lease::provider::{MintError, SvidSource};

/// For connecting, and for the first answer of each stream.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two attempts, at first and at most; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// This node's own JWT-SVIDs, from the API at an address; a connection for each, since they are asked for once a lease.
pub(super) struct OwnSvids(pub(super) String);

impl SvidSource for OwnSvids {
    fn jwt_svid<'a>(&'a self, audience: &'a str) -> BoxFuture<'a, Result<Secret<String>, MintError>> {
        Box::pin(async move {
            let lost = |why: String| {
                let text = format!(
                    "the Workload API gives no JWT-SVID for `{audience}`: {why}; check `identity.workload_api` and that this node is registered there"
                );
                MintError::Unavailable(text)
            };
            let client = connect(&self.0).await.map_err(lost)?;
            let asked = tokio::time::timeout(ANSWER_WITHIN, client.fetch_jwt_svid([audience], None));
            let svid = asked.await.map_err(|_| lost(late()))?.map_err(|error| lost(error.to_string()))?;
            Ok(Secret::new(svid.token().to_owned()))
        })
    }
}

/// Follows the API at `endpoint` (`unix:/path`, `tcp://address:port`) for as long as the node runs.
pub(super) async fn follow(endpoint: Option<String>, bundles: Arc<Bundles>) {
    let Some(endpoint) = endpoint else { return };
    let mut pause = PAUSE;
    loop {
        match follow_once(&endpoint, &bundles).await {
            // It told something before it went.
            Ok(()) => pause = PAUSE,
            Err(error) => {
                tracing::warn!(%endpoint, %error, "the Workload API does not answer; the last bundles stay");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Follows the node's own SVID, which the proxy shows to its clients, for as long as the node runs.
pub(super) async fn follow_own(endpoint: Option<String>, ca: Arc<Ca>) {
    let Some(endpoint) = endpoint else { return };
    let mut pause = PAUSE;
    loop {
        match follow_own_once(&endpoint, &ca).await {
            Ok(()) => pause = PAUSE,
            Err(error) => {
                tracing::warn!(%endpoint, %error, "the Workload API does not tell this node's SVID; the last one stays");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn follow_own_once(endpoint: &str, ca: &Ca) -> Result<(), String> {
    let client = connect(endpoint).await?;
    let opening = tokio::time::timeout(ANSWER_WITHIN, client.stream_x509_svids());
    let mut svids = Box::pin(opening.await.map_err(|_| late())?.map_err(|error| error.to_string())?);
    let mut told = false;
    while let Some(next) = svids.next().await {
        let svid = match next {
            Ok(svid) => svid,
            Err(error) => return ended(told, error.to_string()),
        };
        let chain = svid.cert_chain().iter().map(|one| one.as_bytes().to_vec()).collect();
        match ca.show_svid(chain, svid.private_key().as_bytes()) {
            Ok(()) => tracing::info!(svid = %svid.spiffe_id(), "the proxy shows this SVID from now on"),
            Err(error) => {
                tracing::error!(%error, "the Workload API's SVID cannot be shown; the last one stays");
            }
        }
        told = true;
    }
    ended(told, "it closed the stream".into())
}

fn late() -> String {
    format!("no answer within {} s", ANSWER_WITHIN.as_secs())
}

async fn connect(endpoint: &str) -> Result<WorkloadApiClient, String> {
    let connecting = tokio::time::timeout(ANSWER_WITHIN, WorkloadApiClient::connect_to(endpoint));
    connecting.await.map_err(|_| late())?.map_err(|error| error.to_string())
}

/// One connection, to its end.
async fn follow_once(endpoint: &str, bundles: &Bundles) -> Result<(), String> {
    let client = connect(endpoint).await?;
    let opening = tokio::time::timeout(ANSWER_WITHIN, client.stream_x509_bundles());
    let x509 = opening.await.map_err(|_| late())?.map_err(|error| error.to_string())?;
    // An API without JWTs is an API all the same.
    let jwt = match tokio::time::timeout(ANSWER_WITHIN, client.stream_jwt_bundles()).await {
        Ok(Ok(stream)) => Either::Left(stream),
        Ok(Err(_)) | Err(_) => Either::Right(futures_util::stream::pending()),
    };
    let (mut x509, mut jwt) = (Box::pin(x509), Box::pin(jwt));
    let (mut certificates, mut keys) = (None, None);
    let mut told = false;
    loop {
        tokio::select! {
            next = x509.next() => match next {
                Some(Ok(set)) => certificates = Some(set),
                Some(Err(error)) => return ended(told, error.to_string()),
                None => return ended(told, "it closed the stream".into()),
            },
            next = jwt.next() => match next {
                Some(Ok(set)) => keys = Some(set),
                // No JWTs from now on; what was told before stays.
                Some(Err(_)) | None => jwt = Box::pin(Either::Right(futures_util::stream::pending())),
            },
        }
        bundles.replace_fetched(merge(certificates.as_ref(), keys.as_ref()));
        told = true;
    }
}

/// Certificates in DER, or keys as JWKs.
type Encoded = Vec<Vec<u8>>;

fn ended(told: bool, why: String) -> Result<(), String> {
    if told { Ok(()) } else { Err(why) }
}

/// A trust domain whose bundle is not understood is left out, and told; the others hold.
fn merge(certificates: Option<&X509BundleSet>, keys: Option<&JwtBundleSet>) -> ByDomain {
    let mut authorities: BTreeMap<String, (Encoded, Encoded)> = BTreeMap::new();
    for (domain, bundle) in certificates.into_iter().flat_map(X509BundleSet::iter) {
        let ders = bundle.authorities().iter().map(|authority| authority.as_bytes().to_vec());
        authorities.entry(domain.to_string()).or_default().0.extend(ders);
    }
    for (domain, bundle) in keys.into_iter().flat_map(JwtBundleSet::iter) {
        let jwks = bundle.jwt_authorities().map(|authority| authority.jwk_json().to_vec());
        authorities.entry(domain.to_string()).or_default().1.extend(jwks);
    }
    let mut merged = ByDomain::new();
    for (domain, (ders, jwks)) in authorities {
        let parsed = TrustDomain::parse(&domain).map_err(|error| error.to_string());
        let (ders, jwks) = (ders.iter().map(Vec::as_slice), jwks.iter().map(Vec::as_slice));
        match parsed.and_then(|name| Ok((name, Arc::new(Bundle::of_authorities(ders, jwks)?)))) {
            Ok((name, bundle)) => drop(merged.insert(name, bundle)),
            Err(why) => tracing::error!(%domain, %why, "a bundle of the Workload API is not understood"),
        }
    }
    merged
}
