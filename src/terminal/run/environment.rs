//! The environment in which common clients go through the proxy and trust its CA.
//!
//! Learnt client by client (see `tests/e2e`). Three rules: always set, never "if absent", because images export half of
//! these to the system's bundle and an inherited value silently wins; both cases of the proxy variables, because wget and
//! gRPC read only the lower one; and BUNDLE (system roots and our CA) for variables that replace a client's roots, CA
//! (ours alone) for those that add to them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use url::Url;

use super::files::Files;
use super::truststore;

/// Reads a variable that the parent's environment may hold.
pub(super) type Inherited<'i> = &'i dyn Fn(&str) -> Option<OsString>;

/// What a task brings along.
pub(super) struct Given<'g> {
    pub(super) task: &'g str,
    /// With the task's token as the password.
    pub(super) proxy_url: &'g str,
    /// A loopback port that stands for the task, for clients that cannot send credentials.
    pub(super) port_url: Option<&'g str>,
    pub(super) ca: &'g Path,
    pub(super) bundle: &'g Path,
    pub(super) files: &'g Files,
    /// Placeholders, by the variables in which clients look for credentials.
    pub(super) placeholders: Vec<(String, String)>,
    /// Variables of ours that hold what the placeholders stand for.
    pub(super) hidden: Vec<String>,
}

/// What CMD's environment has that ours has not, and the other way round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) set: BTreeMap<&'static str, OsString>,
    pub(super) unset: Vec<&'static str>,
    /// What stands for credentials, over what is there by that name.
    pub(super) placeholders: Vec<(String, String)>,
    /// Secrets of ours, which CMD must not inherit.
    pub(super) hidden: Vec<String>,
}

const PROXY: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// What runs on this machine is the agent's own (its dev server, its MCP servers).
const LOCAL: &str = "localhost,127.0.0.1,::1";

/// These replace a client's roots.
const BUNDLE: [&str; 13] = [
    "SSL_CERT_FILE",
    "NIX_SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "PERL_LWP_SSL_CA_FILE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
];
/// These add to them. `REMIT_CA` is read by our own sitecustomize.
const CA: [&str; 4] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT", "CODEX_CA_CERTIFICATE", "REMIT_CA"];
/// A folder of roots without ours, and the proxy settings of single clients, which would win over ours.
const UNSET: [&str; 9] = [
    "SSL_CERT_DIR",
    "grpc_proxy",
    "no_grpc_proxy",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "npm_config_noproxy",
    "CARGO_HTTP_PROXY",
    "PIP_PROXY",
    "NODE_USE_SYSTEM_CA",
];

impl Environment {
    /// Builds it. What already stands in `NODE_OPTIONS`, `PYTHONPATH` and `JAVA_TOOL_OPTIONS` is kept.
    pub(super) fn of(given: &Given<'_>, inherited: Inherited<'_>) -> Self {
        let mut set = BTreeMap::new();
        let mut all = |names: &[&'static str], value: &OsStr| {
            set.extend(names.iter().map(|name| (*name, value.to_owned())));
        };
        all(&PROXY, OsStr::new(given.proxy_url));
        all(&NO_PROXY, OsStr::new(LOCAL));
        all(&BUNDLE, given.bundle.as_os_str());
        all(&CA, given.ca.as_os_str());
        all(&["WGETRC"], given.files.wgetrc().as_os_str());
        // Node 24 and later; earlier ones have the preload alone.
        all(&["NODE_USE_ENV_PROXY"], OsStr::new("1"));
        all(&["NODE_OPTIONS"], &joined(inherited("NODE_OPTIONS"), " ", &node_options(given.files)));
        all(&["PYTHONPATH"], &python_path(given.files, inherited("PYTHONPATH")));
        all(&["JAVA_TOOL_OPTIONS"], &joined(inherited("JAVA_TOOL_OPTIONS"), " ", &java_options(given)));
        all(&["REMIT_TASK"], OsStr::new(given.task));
        let (placeholders, hidden) = (given.placeholders.clone(), given.hidden.clone());
        Self { set, unset: UNSET.to_vec(), placeholders, hidden }
    }
}

fn node_options(files: &Files) -> OsString {
    let mut options = OsString::from("--require ");
    options.push(quoted(&files.preload()));
    options
}

/// Ours first: Python runs the first sitecustomize that it finds, and ours goes on to the next.
fn python_path(files: &Files, inherited: Option<OsString>) -> OsString {
    let mut path = files.python().as_os_str().to_owned();
    if let Some(more) = inherited.filter(|value| !value.is_empty()) {
        path.push(":");
        path.push(more);
    }
    path
}

/// Java reads no variable but this one and sends no credentials in CONNECT, hence the task's own port.
fn java_options(given: &Given<'_>) -> OsString {
    let mut options = OsString::from("\"-Djavax.net.ssl.trustStore=");
    options.push(given.files.trust_store());
    options.push(format!(
        "\" -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword={}",
        truststore::PASSWORD
    ));
    let port = given.port_url.and_then(|url| Url::parse(url).ok());
    if let Some((host, port)) = port.as_ref().and_then(|url| Some((url.host_str()?, url.port()?))) {
        for scheme in ["https", "http"] {
            options.push(format!(" -D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}"));
        }
        options.push(" -Dhttp.nonProxyHosts=localhost|127.*|[::1]");
    }
    options
}

fn joined(inherited: Option<OsString>, between: &str, ours: &OsStr) -> OsString {
    // Ours last: the last of two equal options wins.
    let mut whole = inherited.filter(|value| !value.is_empty()).map_or_else(OsString::new, |mut value| {
        value.push(between);
        value
    });
    whole.push(ours);
    whole
}

/// Node splits `NODE_OPTIONS` at blanks, except between double quotes, where a backslash escapes.
fn quoted(path: &Path) -> OsString {
    match path.to_str() {
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).into(),
        None => path.into(),
    }
}
