//! Which node a verb talks to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::client::{Admin, Tls};
use super::failure::Failure;
use crate::call::Secret;
use crate::runtime::config::{Config, Variables};

/// The configuration that is used when none is named.
const DEFAULT_CONFIG: &str = "config.toml";

/// How to find the node.
#[derive(Debug, Default, clap::Args)]
pub(super) struct NodeArguments {
    /// The node's configuration [default: ./config.toml if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The admin API's address, instead of looking it up in the state folder (token: `REMIT_ADMIN_TOKEN`, or a certificate)
    #[arg(long, global = true, value_name = "URL")]
    pub(super) admin: Option<String>,
    /// A file that holds the admin token
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) admin_token_file: Option<PathBuf>,
    /// Whom to believe at an https address, beside the system's CAs, PEM (or `REMIT_ADMIN_CA`)
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) admin_ca: Option<PathBuf>,
    /// The client certificate to show at an https address, PEM (or `REMIT_ADMIN_CERT`)
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) admin_cert: Option<PathBuf>,
    /// Its key, PEM (or `REMIT_ADMIN_KEY`)
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) admin_key: Option<PathBuf>,
}

impl NodeArguments {
    /// The admin API, by `--admin` or by the configuration's state folder.
    pub(super) fn admin(&self) -> Result<Admin, Failure> {
        if let Some(admin) = self.named()? {
            return Ok(admin);
        }
        self.in_state(&configuration(self.config.as_deref())?.state_dir)
    }

    /// The admin API by `--admin`.
    pub(super) fn named(&self) -> Result<Option<Admin>, Failure> {
        let Some(url) = &self.admin else { return Ok(None) };
        let tls = self.tls()?;
        let token = match (&self.admin_token_file, std::env::var("REMIT_ADMIN_TOKEN")) {
            (Some(file), _) => Some(token_in(file)?),
            (None, Ok(token)) if !token.is_empty() => Some(Secret::new(token)),
            _ if tls.certificate.is_some() => None,
            _ => {
                return Err(Failure::usage("`--admin` needs the admin token, or a client certificate").remedy(
                    "set REMIT_ADMIN_TOKEN, or name the node's admin.token with --admin-token-file, or a certificate with --admin-cert and --admin-key",
                ));
            }
        };
        Admin::at_url(url, token, &tls).map(Some)
    }

    fn tls(&self) -> Result<Tls, Failure> {
        let or_variable = |file: &Option<PathBuf>, name: &str| {
            let told = || std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            file.clone().or_else(told)
        };
        let ca = or_variable(&self.admin_ca, "REMIT_ADMIN_CA");
        let certificate = or_variable(&self.admin_cert, "REMIT_ADMIN_CERT");
        let key = or_variable(&self.admin_key, "REMIT_ADMIN_KEY");
        if certificate.is_some() != key.is_some() {
            return Err(Failure::usage("a client certificate goes with its key")
                .remedy("name both: --admin-cert and --admin-key, or REMIT_ADMIN_CERT and REMIT_ADMIN_KEY"));
        }
        Ok(Tls { ca, certificate: certificate.zip(key) })
    }

    /// The admin API of the node that keeps its state in this folder.
    pub(super) fn in_state(&self, state_dir: &Path) -> Result<Admin, Failure> {
        let own = state_dir.join("admin.token");
        node_in_state(state_dir, self.admin_token_file.as_deref().unwrap_or(&own))
    }
}

/// The named configuration, or `./config.toml`, or that of a laptop without one.
pub(super) fn configuration(named: Option<&Path>) -> Result<Config, Failure> {
    let variables = Config::variables_of_process();
    let default = Path::new(DEFAULT_CONFIG);
    match named {
        Some(file) => Ok(Config::load(file, &variables)?),
        None if default.exists() => Ok(Config::load(default, &variables)?),
        None => laptop(&variables),
    }
}

fn laptop(variables: &Variables) -> Result<Config, Failure> {
    let state_dir = Config::laptop_state_dir(variables).ok_or_else(|| {
        Failure::usage(
            "there is no place for remit's state: neither XDG_STATE_HOME nor HOME is an absolute path",
        )
        .remedy("set one of them, or name a configuration with --config")
    })?;
    Ok(Config::default_for_laptop(state_dir, variables)?)
}

/// What `remit` reads of a node's `node.json`.
#[derive(Deserialize)]
struct NodeFile {
    admin: SocketAddr,
}

fn node_in_state(state_dir: &Path, token: &Path) -> Result<Admin, Failure> {
    let file = state_dir.join("node.json");
    let nobody = |why: String| {
        Failure::unreachable(format!("no node is running with its state in `{}`: {why}", state_dir.display()))
            .remedy("start one with `remit serve`, or name another with --config or --admin")
    };
    let text = std::fs::read_to_string(&file).map_err(|error| nobody(format!("`node.json`: {error}")))?;
    let node: NodeFile = serde_json::from_str(&text)
        .map_err(|error| nobody(format!("`node.json` cannot be read: {error}")))?;
    Ok(Admin::at(reachable(node.admin), token_in(token)?))
}

/// A node that listens on every address is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn token_in(file: &Path) -> Result<Secret<String>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::unreachable(format!("the admin token in `{}` cannot be read: {error}", file.display()))
            .remedy(
                "run this as the user that runs the node, or name a readable copy with --admin-token-file",
            )
    })?;
    Ok(Secret::new(text.trim().to_owned()))
}
