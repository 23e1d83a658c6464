//! Trust bundles: by which keys the SVIDs of a trust domain are believed (SPIFFE Trust Domain and Bundle §4).
//!
//! A bundle is PEM certificates (X.509 alone) or a SPIFFE bundle in JSON, whose keys say what they are for: `x509-svid`
//! with `x5c`, `jwt-svid` with `kid`. Replaced whole; where a new one is not understood, the last good one stays.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde::Deserialize;

use crate::call::TrustDomain;

/// What signs SVIDs of one trust domain.
pub struct Bundle {
    /// Builds paths to its X.509 authorities; none: it has none.
    pub(super) x509: Option<Arc<dyn ClientCertVerifier>>,
    /// Its JWT authorities by `kid`.
    pub(super) jwt: HashMap<String, JwtAuthority>,
}

/// A key that signs JWT-SVIDs, and how.
pub(super) struct JwtAuthority {
    pub key: DecodingKey,
    pub algorithms: Vec<Algorithm>,
}

/// All bundles of a node: those that the operator named, and those that the Workload API gives. For a trust domain that is
/// in both, what the operator named counts.
#[derive(Default)]
pub struct Bundles {
    named: ArcSwap<ByDomain>,
    fetched: ArcSwap<ByDomain>,
}

/// One bundle for each trust domain.
pub type ByDomain = BTreeMap<TrustDomain, Arc<Bundle>>;

impl Bundles {
    /// Puts others in the place of those that were named.
    pub fn replace(&self, bundles: ByDomain) {
        self.named.store(Arc::new(bundles));
    }

    /// Puts others in the place of those that were fetched.
    pub fn replace_fetched(&self, bundles: ByDomain) {
        self.fetched.store(Arc::new(bundles));
    }

    /// Those of one trust domain.
    pub(super) fn of(&self, domain: &str) -> Option<Arc<Bundle>> {
        let find = |all: &ByDomain| {
            all.iter().find(|(name, _)| name.as_str() == domain).map(|(_, bundle)| Arc::clone(bundle))
        };
        find(&self.named.load()).or_else(|| find(&self.fetched.load()))
    }

    /// Whether no SVID at all is believed.
    pub fn is_empty(&self) -> bool {
        self.named.load().is_empty() && self.fetched.load().is_empty()
    }
}

/// The document of SPIFFE Trust Domain and Bundle §4: an RFC 7517 JWK set. Other members are for refreshing it.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "use")]
    purpose: Option<String>,
    kid: Option<String>,
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    #[serde(default)]
    x5c: Vec<String>,
}

impl Bundle {
    /// Parses PEM or JSON, told apart by its first character.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii_start().first() == Some(&b'{') {
            let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
            return Self::of_keys(document.keys);
        }
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        Self::of(certificates.map_err(|error| error.to_string())?, HashMap::new())
    }

    /// Of X.509 authorities in DER and JWT authorities as JWKs, as the Workload API gives them.
    pub fn of_authorities<'a>(
        x509: impl IntoIterator<Item = &'a [u8]>,
        jwks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, String> {
        let x509 = x509.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        let mut jwt = HashMap::new();
        for jwk in jwks {
            let key: Key = serde_json::from_slice(jwk).map_err(|error| error.to_string())?;
            let kid = key.kid.clone().filter(|kid| !kid.is_empty()).ok_or("a JWT authority has no `kid`")?;
            jwt.insert(kid, JwtAuthority::of(&key)?);
        }
        Self::of(x509, jwt)
    }

    fn of_keys(keys: Vec<Key>) -> Result<Self, String> {
        let (mut x509, mut jwt) = (Vec::new(), HashMap::new());
        for key in keys {
            match key.purpose.as_deref() {
                Some("x509-svid") => {
                    // §4.1.1: exactly one certificate.
                    let [certificate] = key.x5c.as_slice() else {
                        return Err("a key for x509-svid has not exactly one `x5c`".into());
                    };
                    let der = STANDARD.decode(certificate).map_err(|_| "an `x5c` is not base64")?;
                    x509.push(CertificateDer::from(der));
                }
                Some("jwt-svid") => {
                    let kid = key
                        .kid
                        .clone()
                        .filter(|kid| !kid.is_empty())
                        .ok_or("a key for jwt-svid has no `kid`")?;
                    jwt.insert(kid, JwtAuthority::of(&key)?);
                }
                // §4.2.2: a key without a use that is known is ignored.
                _ => {}
            }
        }
        Self::of(x509, jwt)
    }

    fn of(x509: Vec<CertificateDer<'static>>, jwt: HashMap<String, JwtAuthority>) -> Result<Self, String> {
        if x509.is_empty() && jwt.is_empty() {
            return Err("it holds no key that signs SVIDs".into());
        }
        let mut roots = RootCertStore::empty();
        for certificate in x509 {
            roots
                .add(certificate)
                .map_err(|error| format!("a certificate in it is no trust anchor: {error}"))?;
        }
        let x509: Option<Arc<dyn ClientCertVerifier>> = if roots.is_empty() {
            None
        } else {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            Some(built.map_err(|error| error.to_string())?)
        };
        Ok(Self { x509, jwt })
    }
}

impl JwtAuthority {
    fn of(key: &Key) -> Result<Self, String> {
        use Algorithm::{ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512};
        let unusable = |what: &str| format!("a key for jwt-svid cannot be used: {what}");
        let (key, algorithms) = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) =
                    key.n.as_deref().zip(key.e.as_deref()).ok_or(unusable("it has no `n` and `e`"))?;
                (DecodingKey::from_rsa_components(n, e), vec![RS256, RS384, RS512, PS256, PS384, PS512])
            }
            ("EC", Some(curve @ ("P-256" | "P-384"))) => {
                let (x, y) =
                    key.x.as_deref().zip(key.y.as_deref()).ok_or(unusable("it has no `x` and `y`"))?;
                let algorithm = if curve == "P-256" { ES256 } else { ES384 };
                (DecodingKey::from_ec_components(x, y), vec![algorithm])
            }
            (kind, _) => return Err(unusable(&format!("its kind is `{kind}`, of no curve that is taken"))),
        };
        Ok(Self { key: key.map_err(|error| unusable(&error.to_string()))?, algorithms })
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle(x509: {}, jwt: {})", self.x509.is_some(), self.jwt.len())
    }
}
