//! `remit ca`: the issuing CA, read from the state folder; it works whether or not the node runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use super::{find, screen};

/// Show the CA that agents must trust
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit ca bundle > bundle.pem\n\n\
    Exit codes: 0 done, 1 there is no CA yet, 2 wrong usage or bad configuration.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The node's configuration [default: ./config.toml if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Where the CA's certificate is, and its fingerprint
    #[command(
        after_help = "Example:\n  remit ca show --json\n\nExit codes: 0 done, 1 there is no CA yet, 2 wrong usage or bad configuration."
    )]
    Show,
    /// Print the system's roots and the CA, as one PEM file
    #[command(
        after_help = "Example:\n  remit ca bundle > bundle.pem\n\nExit codes: 0 done, 1 there is no CA yet, 2 wrong usage or bad configuration."
    )]
    Bundle,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let folder = find::configuration(arguments.config.as_deref())?.state_dir.join("ca");
    let bundle = folder.join("bundle.pem");
    match arguments.verb {
        Verb::Bundle if arguments.json => {
            screen::print_json(&json!({"bundle": read(&bundle)?, "path": bundle}))?;
        }
        Verb::Bundle => screen::print(&read(&bundle)?)?,
        Verb::Show => show(&folder.join("ca.pem"), &bundle, arguments.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(file: &Path, bundle: &Path, as_json: bool) -> Result<(), Failure> {
    let broken = || {
        Failure::found_wanting(format!("`{}` is not a certificate", file.display()))
            .remedy("it is remit's own file; move the folder away and let the node make a new CA")
    };
    let der = CertificateDer::from_pem_slice(read(file)?.as_bytes()).map_err(|_| broken())?;
    let fingerprint: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
    let fingerprint = fingerprint.join(":");
    if as_json {
        return screen::print_json(&json!({
            "certificate": file, "bundle": bundle, "sha256": fingerprint,
        }));
    }
    screen::print(&format!(
        "certificate  {}\nbundle       {}\nSHA-256      {fingerprint}\n",
        file.display(),
        bundle.display()
    ))
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        Failure::found_wanting(format!("`{}` cannot be read: {error}", file.display()))
            .remedy("the CA is made when a node first starts; name the node's configuration with --config")
    })
}
