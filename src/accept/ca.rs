//! Our issuing CA: one per installation, made at first start, and the leaf certificates that agents are shown.
//!
//! The root's key never leaves `ca.key` (mode 0600). A leaf names exactly one host, cannot sign, and lives for hours
//! (RFC 5280 §4.2.1; THREATS: a leaf too broad). All leaves share one key pair that is made anew at each start: what a
//! leaf's key could be stolen for ends with the process.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::call::meter::Histogram;
use crate::call::{Clock, Host, Timestamp};

/// Leaves are valid from an hour ago (agents' clocks differ) for a day.
const LEAF_LIFE: Duration = Duration::from_secs(24 * 3600);
const LEAF_BACKDATE: Duration = Duration::from_secs(3600);
/// A cached leaf is used for half its life, so a client never sees one that is about to end.
const LEAF_USE: Duration = Duration::from_secs(12 * 3600);
/// Hosts whose leaf is kept. The least used goes first; minting one anew takes a fraction of a millisecond.
const LEAVES: u64 = 4_096;
/// Names by which the proxy itself is reached.
const DOORS: u64 = 64;
/// The root lives for two years; it is one per installation and can be made anew at any time.
const ROOT_LIFE: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

/// The CA, and the TLS settings that its leaves are served with.
pub struct Ca {
    pub(super) root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    leaf_key: KeyPair,
    leaves: Cache<Host, Arc<ServerConfig>>,
    doors: Cache<Host, Arc<ServerConfig>>,
    /// Where the proxy itself shows an SVID instead of a leaf: the one of now, once it is known.
    svid: Option<ArcSwapOption<ServerConfig>>,
    /// What clients of the proxy itself are asked to show.
    ask: Arc<dyn ClientCertVerifier>,
    mints: Histogram,
    base: ServerConfigBase,
    clock: Arc<dyn Clock>,
    files: Files,
}

/// Where the public parts are.
#[derive(Clone, Debug)]
pub struct Files {
    /// Our root alone, PEM.
    pub root: PathBuf,
    /// The system's roots and ours, PEM.
    pub bundle: PathBuf,
}

/// Why there is no CA, or no leaf.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file.
    #[error("the CA's file `{}` cannot be used: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key can be read by others.
    #[error("the CA's key `{}` can be read by others: run `chmod 600` on it, or remove the folder `ca` for a new CA", path.display())]
    KeyExposed {
        /// Which one.
        path: PathBuf,
    },
    /// The root is past its end.
    #[error("the CA in `{}` has expired: remove the folder for a new one, and let agents trust that", path.display())]
    Expired {
        /// Its folder.
        path: PathBuf,
    },
    /// What is in the files is not ours.
    #[error("the CA in `{}` cannot be read: {why}; remove the folder for a new one", path.display())]
    Unreadable {
        /// Its folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The Workload API has not told it.
    #[error("this node's own SVID is not known yet: the Workload API has to tell it (identity.workload_api)")]
    NoSvid,
    /// Making a certificate failed.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// rustls does not take it.
    #[error("a certificate cannot be served: {0}")]
    Serve(#[from] rustls::Error),
}

impl Ca {
    /// Loads the CA from `dir`, or makes it there if there is none. Also writes the bundle anew, since the system's roots
    /// change.
    pub fn load_or_make(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, CaError> {
        let files = Files { root: dir.join("ca.pem"), bundle: dir.join("bundle.pem") };
        let key_path = dir.join("ca.key");
        if !key_path.exists() {
            make_root(dir, &files.root, &key_path, clock.now())?;
        }
        refuse_exposed(&key_path)?;
        let read = |path: &Path| fs::read_to_string(path).map_err(file_error(path));
        let (pem, key) = (read(&files.root)?, read(&key_path)?);
        let unreadable = |why: String| CaError::Unreadable { path: dir.to_owned(), why };
        let key = KeyPair::from_pem(&key).map_err(|error| unreadable(error.to_string()))?;
        let root =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
        if expiry(&root).is_none_or(|end| end <= clock.now()) {
            return Err(CaError::Expired { path: dir.to_owned() });
        }
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(|error| unreadable(error.to_string()))?;
        write_new(&files.bundle, bundle(&pem).as_bytes(), 0o644)?;
        let leaves = Cache::builder().max_capacity(LEAVES).time_to_live(LEAF_USE).build();
        let leaf_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let base = ServerConfigBase::new()?;
        let doors = Cache::builder().max_capacity(DOORS).time_to_live(LEAF_USE).build();
        let ask = WebPkiClientVerifier::no_client_auth();
        Ok(Self {
            root,
            issuer,
            leaf_key,
            leaves,
            doors,
            svid: None,
            ask,
            mints: Histogram::default(),
            base,
            clock,
            files,
        })
    }

    /// Lets clients of the proxy itself show certificates, as `ask` has it.
    #[must_use]
    pub fn asking(self, ask: Arc<dyn ClientCertVerifier>) -> Self {
        Self { ask, ..self }
    }

    /// Has the proxy itself show an SVID, which [`Ca::show_svid`] brings, and no leaf.
    #[must_use]
    pub fn showing_svid(self) -> Self {
        Self { svid: Some(ArcSwapOption::empty()), ..self }
    }

    /// The SVID that the proxy itself shows from the next handshake on: its chain in DER, leaf first, and its key (PKCS#8).
    pub fn show_svid(&self, chain: Vec<Vec<u8>>, key: &[u8]) -> Result<(), CaError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let config = self.base.door(chain, key, self.ask.clone())?;
        if let Some(svid) = &self.svid {
            svid.store(Some(Arc::new(config)));
        }
        Ok(())
    }

    /// TLS settings with a leaf for exactly this host. Of concurrent calls for one host, one mints and the others wait.
    pub fn server_config(&self, host: &Host) -> Result<Arc<ServerConfig>, Arc<CaError>> {
        self.leaves.try_get_with_by_ref(host, || {
            let began = std::time::Instant::now();
            let minted = self.mint(host).map(Arc::new);
            self.mints.add(began.elapsed());
            minted
        })
    }

    /// How long leaves took to be made.
    pub fn mints(&self) -> &Histogram {
        &self.mints
    }

    /// TLS settings for the proxy itself: its SVID, or a leaf for the name or address by which a client reached it, and the question
    /// for a certificate of the client's. There is no HTTP/2 towards the proxy.
    pub fn door_config(&self, host: &Host) -> Result<Arc<ServerConfig>, Arc<CaError>> {
        if let Some(svid) = &self.svid {
            return svid.load_full().ok_or_else(|| Arc::new(CaError::NoSvid));
        }
        self.doors.try_get_with_by_ref(host, || {
            let (chain, key) = self.leaf(host)?;
            Ok(Arc::new(self.base.door(chain, &key, self.ask.clone())?))
        })
    }

    /// Where the public parts are.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// SHA-256 of the root's DER: what people compare.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.root).into()
    }

    /// When the root ends.
    pub fn until(&self) -> Option<Timestamp> {
        expiry(&self.root)
    }

    fn mint(&self, host: &Host) -> Result<ServerConfig, CaError> {
        let (chain, key) = self.leaf(host)?;
        self.base.with(chain, &key)
    }

    fn leaf(&self, host: &Host) -> Result<(Vec<CertificateDer<'static>>, Vec<u8>), CaError> {
        let name = match host {
            Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
            Host::V4(address) => SanType::IpAddress((*address).into()),
            Host::V6(address) => SanType::IpAddress((*address).into()),
        };
        let now = self.clock.now();
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name = DistinguishedName::new();
        let text = host.to_string();
        // RFC 5280 bounds a common name at 64 characters; clients read the SAN.
        leaf.distinguished_name
            .push(DnType::CommonName, if text.len() <= 64 { text.as_str() } else { "remit leaf" });
        leaf.subject_alt_names = vec![name];
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        leaf.not_before = date(Timestamp::from_unix_ns(now.unix_ns().saturating_sub(nanos(LEAF_BACKDATE))));
        leaf.not_after = date(now.plus(LEAF_LIFE));
        let leaf = leaf.signed_by(&self.leaf_key, &self.issuer)?;
        Ok((vec![leaf.der().clone(), self.root.clone()], self.leaf_key.serialized_der().to_vec()))
    }
}

/// What all leaves are served with: one ticketer, so that a client resumes its session (RFC 8446 §2.2) even after its
/// leaf was made anew. rustls binds a ticket to the SNI.
struct ServerConfigBase {
    ticketer: Arc<dyn rustls::server::ProducesTickets>,
    sessions: Arc<dyn rustls::server::StoresServerSessions>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerConfigBase {
    fn new() -> Result<Self, rustls::Error> {
        Ok(Self {
            ticketer: rustls::crypto::ring::Ticketer::new()?,
            sessions: rustls::server::ServerSessionMemoryCache::new(1_024),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
        })
    }

    fn with(&self, chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<ServerConfig, CaError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = self.ticketer.clone();
        config.session_storage = self.sessions.clone();
        config.send_tls13_tickets = 1;
        Ok(config)
    }

    /// Without tickets: a session that is resumed would bring a certificate of before.
    fn door(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: &[u8],
        ask: Arc<dyn ClientCertVerifier>,
    ) -> Result<ServerConfig, CaError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_client_cert_verifier(ask)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

fn make_root(dir: &Path, root_path: &Path, key_path: &Path, now: Timestamp) -> Result<(), CaError> {
    make_private_dir(dir)?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut root = CertificateParams::default();
    root.distinguished_name = DistinguishedName::new();
    // The time tells installations apart in a trust store that holds several.
    root.distinguished_name.push(DnType::CommonName, format!("remit CA {now}"));
    root.distinguished_name.push(DnType::OrganizationName, "remit");
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    root.not_before = date(Timestamp::from_unix_ns(now.unix_ns().saturating_sub(nanos(LEAF_BACKDATE))));
    root.not_after = date(now.plus(ROOT_LIFE));
    let root = root.self_signed(&key)?;
    write_new(root_path, root.pem().as_bytes(), 0o644)?;
    // The key comes last: its presence says that the CA is complete.
    write_new(key_path, key.serialize_pem().as_bytes(), 0o600)
}

fn make_private_dir(dir: &Path) -> Result<(), CaError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(file_error(dir))
}

/// Writes beside and renames, so that a reader sees the old file or the new one.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let beside = path.with_extension("new");
    let write = || {
        let _absent_mostly = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(file_error(path))
}

fn refuse_exposed(key: &Path) -> Result<(), CaError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(key).map_err(file_error(key))?.permissions().mode();
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(CaError::KeyExposed { path: key.to_owned() }) }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::File { path, source }
}

/// The system's roots, then ours.
fn bundle(ours: &str) -> String {
    use base64::Engine as _;
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a root of the system is left out of the bundle");
    }
    let mut text = String::new();
    for certificate in &system.certs {
        let body = base64::engine::general_purpose::STANDARD.encode(certificate);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in body.as_bytes().chunks(64) {
            text.push_str(std::str::from_utf8(line).unwrap_or_default());
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text + ours
}

fn expiry(root: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(root).ok()?;
    u64::try_from(parsed.validity().not_after.timestamp()).ok().map(Timestamp::from_unix_s)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn date(at: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(at.unix_s()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
