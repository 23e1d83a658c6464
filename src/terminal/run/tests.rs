//! What CMD is given, exactly, and what it leaves behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::environment::{Environment, Given};
use super::files::Files;
use super::node::Host;
use super::{agent_of, truststore};
use crate::runtime::config::{Config, Variables};

const PROXY: &str = "http://task:TOKEN@127.0.0.1:8118";

fn root(name: &str) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A folder with a bundle of two roots, one of them unreadable text around.
fn bundle(folder: &Path) -> PathBuf {
    let file = folder.join("bundle.pem");
    std::fs::write(&file, format!("# system\n{}\n{}", root("one"), root("ours"))).unwrap();
    file
}

fn environment(inherited: &[(&str, &str)], port: Option<&str>) -> (Environment, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundle(folder.path());
    let inherited = |name: &str| {
        inherited.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    let files = Files::write(folder.path(), "01TASK", &bundle, &inherited).unwrap();
    let ca = Path::new("/s/ca.pem");
    let given = Given {
        task: "01TASK",
        proxy_url: PROXY,
        port_url: port,
        ca,
        bundle: &bundle,
        files: &files,
        placeholders: Vec::new(),
        hidden: Vec::new(),
    };
    let environment = Environment::of(&given, &inherited);
    let place = |path: &Path| path.to_str().unwrap().to_owned();
    (environment, place(&folder.path().join("01TASK")), place(&bundle))
}

#[test]
fn the_environment_is_exactly_this() {
    let (environment, own, bundle) = environment(&[], Some("http://127.0.0.1:40001"));
    let java = format!(
        "\"-Djavax.net.ssl.trustStore={own}/trust.p12\" -Djavax.net.ssl.trustStoreType=PKCS12 \
         -Djavax.net.ssl.trustStorePassword=changeit -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=40001 \
         -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=40001 -Dhttp.nonProxyHosts=localhost|127.*|[::1]"
    );
    let expected: BTreeMap<&str, String> = [
        ("HTTPS_PROXY", PROXY),
        ("https_proxy", PROXY),
        ("HTTP_PROXY", PROXY),
        ("http_proxy", PROXY),
        ("ALL_PROXY", PROXY),
        ("all_proxy", PROXY),
        ("NO_PROXY", "localhost,127.0.0.1,::1"),
        ("no_proxy", "localhost,127.0.0.1,::1"),
        ("SSL_CERT_FILE", &bundle),
        ("NIX_SSL_CERT_FILE", &bundle),
        ("REQUESTS_CA_BUNDLE", &bundle),
        ("CURL_CA_BUNDLE", &bundle),
        ("GIT_SSL_CAINFO", &bundle),
        ("PIP_CERT", &bundle),
        ("AWS_CA_BUNDLE", &bundle),
        ("CARGO_HTTP_CAINFO", &bundle),
        ("npm_config_cafile", &bundle),
        ("HTTPLIB2_CA_CERTS", &bundle),
        ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &bundle),
        ("PERL_LWP_SSL_CA_FILE", &bundle),
        ("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", &bundle),
        ("NODE_EXTRA_CA_CERTS", "/s/ca.pem"),
        ("DENO_CERT", "/s/ca.pem"),
        ("CODEX_CA_CERTIFICATE", "/s/ca.pem"),
        ("REMIT_CA", "/s/ca.pem"),
        ("REMIT_TASK", "01TASK"),
        ("WGETRC", &format!("{own}/wgetrc")),
        ("NODE_USE_ENV_PROXY", "1"),
        ("NODE_OPTIONS", &format!("--require \"{own}/preload.cjs\"")),
        ("PYTHONPATH", &format!("{own}/python")),
        ("JAVA_TOOL_OPTIONS", &java),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .collect();
    let set: BTreeMap<&str, String> =
        environment.set.iter().map(|(name, value)| (*name, value.to_str().unwrap().to_owned())).collect();
    assert_eq!(set, expected);
    for name in ["SSL_CERT_DIR", "grpc_proxy", "npm_config_proxy", "CARGO_HTTP_PROXY", "PIP_PROXY"] {
        assert!(environment.unset.contains(&name), "{name} stays");
    }
}

#[test]
fn what_is_inherited_is_overruled_or_kept_beside_ours() {
    let inherited = [
        ("SSL_CERT_FILE", "/etc/ssl/other.pem"),
        ("HTTPS_PROXY", "http://other:1"),
        ("NODE_OPTIONS", "--max-old-space-size=99"),
        ("PYTHONPATH", "/mine"),
        ("JAVA_TOOL_OPTIONS", "-Dx=y"),
    ];
    let (environment, own, bundle) = environment(&inherited, None);
    let value = |name: &str| environment.set[name].to_str().unwrap();
    assert_eq!((value("SSL_CERT_FILE"), value("HTTPS_PROXY")), (bundle.as_str(), PROXY));
    assert_eq!(value("NODE_OPTIONS"), format!("--max-old-space-size=99 --require \"{own}/preload.cjs\""));
    assert_eq!(value("PYTHONPATH"), format!("{own}/python:/mine"));
    assert!(value("JAVA_TOOL_OPTIONS").starts_with("-Dx=y \"-Djavax.net.ssl.trustStore="));
    assert!(!value("JAVA_TOOL_OPTIONS").contains("proxyHost"), "without a port Java has no proxy");
}

#[test]
fn the_files_are_private_and_gone_afterwards() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".wgetrc"), "timeout = 3\nca_certificate = /other").unwrap();
    let inherited = |name: &str| (name == "HOME").then(|| home.path().into());
    let files = Files::write(folder.path(), "01TASK", &bundle(folder.path()), &inherited).unwrap();
    let own = folder.path().join("01TASK");
    assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
    let wgetrc = std::fs::read_to_string(files.wgetrc()).unwrap();
    assert!(wgetrc.starts_with("timeout = 3\n"), "{wgetrc}");
    let last = format!("ca_certificate = {}", folder.path().join("bundle.pem").display());
    assert_eq!(wgetrc.lines().last(), Some(last.as_str()));
    assert!(files.preload().is_file() && files.python().join("sitecustomize.py").is_file());
    drop(files);
    assert!(!own.exists(), "the files stay");
}

#[test]
fn the_trust_store_holds_the_whole_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let store = truststore::of_bundle(&bundle(folder.path())).unwrap();
    let read = KeyStore::from_pkcs12(&store, truststore::PASSWORD, Pkcs12ImportPolicy::Strict).unwrap();
    assert_eq!(read.entries_len(), 2);
}

#[test]
fn the_trust_store_can_be_read_by_java() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trust.p12");
    std::fs::write(&file, truststore::of_bundle(&bundle(folder.path())).unwrap()).unwrap();
    let keytool = Command::new("keytool")
        .args(["-list", "-storetype", "PKCS12", "-storepass", truststore::PASSWORD, "-keystore"])
        .arg(&file)
        .output();
    let Ok(said) = keytool else {
        println!("left out: there is no keytool here");
        return;
    };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.matches("trustedCertEntry").count(), 2, "{said}");
}

#[test]
fn an_agent_is_named_after_its_program() {
    for (program, name) in
        [("/usr/bin/claude", "claude"), ("my agent", "my-agent"), ("..", "agent"), ("/", "agent")]
    {
        assert_eq!(agent_of(Some(&OsString::from(program))), name, "{program}");
    }
}

#[tokio::test]
async fn two_runs_side_by_side_do_not_share_a_node_that_ends_with_one_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config::default_for_laptop(folder.path().join("remit"), &Variables::new()).unwrap();
    let first = Host::find_or_start(config(), None).await.unwrap();
    let second = Host::find_or_start(config(), None).await.unwrap();
    assert_ne!(first.files_dir(), second.files_dir());
    first.leave().await;
    second.admin().get("/v1/node").await.unwrap();
    second.leave().await;
    let again = Host::find_or_start(config(), None).await.unwrap();
    assert_eq!(again.files_dir(), folder.path().join("remit/run"));
    again.leave().await;
}
