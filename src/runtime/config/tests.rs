//! What a configuration means, and how mistakes in one are told.

mod operators;
mod providers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_with(text, &[])
}

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(text, Path::new("/etc/remit/config.toml"), Path::new("/etc/remit"), &variables)
}

fn complaint(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// What a configuration means, without where it comes from.
fn meaning(mut config: Config) -> String {
    (config.source, config.digest) = (String::new(), None);
    format!("{config:?}")
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_nearest() {
    assert_eq!(
        complaint("mode = \"enforce\"\n\n[listen]\nprxy = \"127.0.0.1:1\"\n"),
        "/etc/remit/config.toml:4: unknown key `prxy` in [listen]; did you mean `proxy`?"
    );
    assert_eq!(
        complaint("[limits]\ndrain = 3\n"),
        "/etc/remit/config.toml:2: unknown key `drain` in [limits]; did you mean `drain_s`?"
    );
    assert_eq!(
        complaint("[jurnal]\ndurable = \"all\"\n"),
        "/etc/remit/config.toml:1: unknown key `jurnal`; did you mean `journal`?"
    );
    assert_eq!(
        complaint("[journal]\nzzz = 1\n"),
        "/etc/remit/config.toml:2: unknown key `zzz` in [journal]; known keys: durable, segment_mb, keep_days, keep_mb"
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let told = complaint(
        "mode = \"observed\"\n[limits]\nhead_timeout_s = 0\nidle_timeout_s = \"5\"\n[listen]\nproxy = \"localhost\"\n[journal]\ndurable = \"al\"\n",
    );
    let lines: Vec<_> = told.lines().map(|line| line.trim_start_matches("/etc/remit/config.toml:")).collect();
    assert_eq!(
        lines,
        [
            "1: `mode`: `observed` is not one of `enforce`, `observe`; did you mean `observe`?",
            "3: `limits.head_timeout_s`: a whole number of seconds from 1 to 600 is wanted, not 0",
            "4: `limits.idle_timeout_s`: a whole number of seconds from 1 to 86400 is wanted, not a text",
            "6: `listen.proxy`: `localhost` is not an address: `ADDRESS:PORT` is wanted, such as `127.0.0.1:8118` (port 0 picks a free one)",
            "8: `journal.durable`: `al` is not one of `act`, `all`; did you mean `all`?",
        ]
    );
}

#[test]
fn services_may_have_a_mode_of_their_own() {
    let text = "mode = \"observe\"\n[services.stripe]\nmode = \"enforce\"\n[services.\"api.example.test\"]\nmode = \"observe\"\n\
        [policies]\ncandidate = \"next\"\n";
    let config = parse(text).unwrap();
    let modes: Vec<_> = config.services.iter().map(|(name, mode)| (&*name.0, *mode)).collect();
    assert_eq!(config.mode, Mode::Observe);
    assert_eq!(modes, [("api.example.test", Mode::Observe), ("stripe", Mode::Enforce)]);
    assert_eq!(config.policies_candidate.as_deref(), Some(Path::new("/etc/remit/next")));
    assert!(complaint("[services]\ngithub = \"observe\"\n").contains("`services.github`: a table is wanted"));
    assert!(complaint("[services.github]\nmod = \"observe\"\n").contains("did you mean `mode`?"));
    assert_eq!(parse("[policies]\ncandidate = \"\"\n").unwrap().policies_candidate, None);
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let told = complaint("mode = \"enforce\"\n[listen\nproxy = 1\n");
    assert!(told.starts_with("/etc/remit/config.toml:2: "), "{told}");
    let told = complaint("[state]\ndir = \"a\"\ndir = \"b\"\n");
    assert!(told.starts_with("/etc/remit/config.toml:3: "), "{told}");
}

#[test]
fn a_table_where_a_value_belongs_is_told() {
    assert_eq!(
        complaint("listen = \"127.0.0.1:1\"\n"),
        "/etc/remit/config.toml:1: `listen`: a table is wanted, such as `[listen]`, not a text"
    );
    assert!(complaint("[mode]\n").contains("`mode`: a text in quotes is wanted, not a table"));
}

#[test]
fn an_absent_file_is_told_with_a_remedy() {
    let error = Config::load(Path::new("/nowhere/remit.toml"), &Variables::new()).unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/remit.toml: there is no such file; name another with `--config`");
}

#[test]
fn a_file_that_is_named_relatively_means_absolute_paths() {
    let here = std::env::current_dir().unwrap();
    // The package's own sample: tests run in the package's folder.
    let config = Config::load(Path::new("config.toml"), &Variables::new()).unwrap();
    assert_eq!(config.state_dir, here.join("state"));
    assert!(config.digest.is_some() && config.source == "config.toml");
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let config =
        parse("[state]\ndir = \"s\"\n[policies]\ndir = \"/abs\"\n[catalog]\ndirs = [\"a\", \"/b\"]\n")
            .unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/remit/s"));
    assert_eq!(config.policies_dir.as_deref(), Some(Path::new("/abs")));
    assert_eq!(config.catalog_dirs, [PathBuf::from("/etc/remit/a"), PathBuf::from("/b")]);
    assert!(complaint("[state]\ndir = \"\"\n").contains("`state.dir`: a path is wanted, and it is empty"));
}

#[test]
fn services_at_hosts_of_one_s_own_are_a_table() {
    let config = parse(
        "[catalog.hosts]\n\"git.corp.test/api/v3/\" = \"github\"\n\"wiki.corp.test\" = \"confluence/wiki\"\n",
    )
    .unwrap();
    let told: Vec<_> = config
        .catalog_hosts
        .iter()
        .map(|own| (own.host.as_str(), own.base.as_str(), own.service.as_str(), own.instead.as_str()))
        .collect();
    assert_eq!(
        told,
        [("git.corp.test", "/api/v3", "github", ""), ("wiki.corp.test", "", "confluence", "/wiki")]
    );
    assert!(complaint("[catalog.hosts]\n\"*.test\" = \"github\"\n").contains("too wide"));
    assert!(complaint("[catalog.hosts]\n\"git.corp.test:8443\" = \"github\"\n").contains("is no host"));
    assert!(complaint("[catalog.hosts]\n\"git.corp.test/a?b\" = \"github\"\n").contains("literal segments"));
}

#[test]
fn short_agent_names_live_in_the_trust_domain() {
    let config = parse("[identity]\ndefault_agent = \"ci\"\ntrust_domain = \"corp.test\"\n").unwrap();
    assert_eq!(config.identity.default_agent.unwrap().as_str(), "spiffe://corp.test/agent/ci");
    assert_eq!(parse("[identity]\ndefault_agent = \"\"\n").unwrap().identity.default_agent, None);
    assert!(
        complaint("[identity]\ntrust_domain = \"Corp\"\n").contains(":2: `identity.trust_domain`: `Corp`")
    );
}

#[test]
fn resolve_reads_names_suffixes_ports_and_plain_http() {
    let config = parse(
        "[upstream.resolve]\n\"API.example.test.\" = \"127.0.0.1:9443\"\n\"plain.test:80\" = \"http://127.0.0.1:9080\"\n\
         \"*.example.test\" = \"[::1]:1\"\n\"*:8443\" = \"10.0.0.1:2\"\n\"[::2]:7\" = \"10.0.0.1:3\"\n",
    )
    .unwrap();
    let entries: Vec<_> = config.upstream.resolve.iter().map(Mapping::as_entry).collect();
    for (name, to) in [
        ("api.example.test", "127.0.0.1:9443"),
        ("plain.test:80", "http://127.0.0.1:9080"),
        ("*.example.test", "[::1]:1"),
        ("*:8443", "10.0.0.1:2"),
        ("[::2]:7", "10.0.0.1:3"),
    ] {
        assert!(entries.contains(&(name.to_owned(), to.to_owned())), "{name}: {entries:?}");
    }
    for (line, why) in [
        ("\"a.test\" = \"localhost:80\"", "is an IP address"),
        ("\"a.test\" = \"127.0.0.1\"", "is an IP address"),
        ("\"a.test\" = \"127.0.0.1:0\"", "port 0 cannot be dialled"),
        ("\"*a.test\" = \"127.0.0.1:1\"", "`*` stands alone or before a dot"),
        ("\"*:0\" = \"127.0.0.1:1\"", "not a port"),
        ("\"a b\" = \"127.0.0.1:1\"", "is not a host"),
        ("\"a.test\" = 1", "a text in quotes is wanted"),
    ] {
        let told = complaint(&format!("[upstream.resolve]\n{line}\n"));
        assert!(told.contains(":2: ") && told.contains(why), "{line}: {told}");
    }
}

fn otlp(text: &str, variables: &[(&str, &str)]) -> Otlp {
    parse_with(text, variables).unwrap().telemetry.otlp.expect("no endpoint")
}

#[test]
fn the_scheme_of_the_endpoint_picks_the_protocol() {
    for (endpoint, url, protocol) in [
        ("http://c.test:4318", "http://c.test:4318/v1/traces", OtlpProtocol::HttpProtobuf),
        ("https://c.test/otlp/", "https://c.test/otlp/v1/traces", OtlpProtocol::HttpProtobuf),
        ("grpc://c.test:4317", "http://c.test:4317/", OtlpProtocol::Grpc),
        ("grpcs://c.test:4317", "https://c.test:4317/", OtlpProtocol::Grpc),
    ] {
        let otlp = otlp(&format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\n"), &[]);
        assert_eq!((otlp.endpoint.as_str(), otlp.protocol), (url, protocol));
    }
    assert!(complaint("[telemetry]\notlp_endpoint = \"c.test:4318\"\n").contains("`grpc://HOST:4317`"));
    assert!(parse("").unwrap().telemetry.otlp.is_none());
}

#[test]
fn the_standard_variables_win_over_the_file() {
    let file = "[telemetry]\notlp_endpoint = \"grpc://file.test:4317\"\ntimeout_s = 3\ncompression = \"gzip\"\n[telemetry.headers]\nX-Key = \"file\"\nX-Other = \"kept\"\n";
    let said = otlp(file, &[]);
    assert_eq!((said.timeout, said.compression), (Duration::from_secs(3), Compression::Gzip));
    let otlp = otlp(
        file,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env.test:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, x-new = 1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ],
    );
    assert_eq!(otlp.endpoint.as_str(), "http://env.test:4318/v1/traces");
    assert_eq!((otlp.timeout, otlp.compression), (Duration::from_millis(1500), Compression::None));
    let headers: Vec<_> = otlp.headers.iter().map(|(n, v)| (n.as_str(), v.reveal().as_str())).collect();
    assert_eq!(headers, [("x-key", "a b"), ("x-new", "1"), ("x-other", "kept")]);
}

#[test]
fn the_variables_of_the_traces_win_over_the_general_ones() {
    let otlp = otlp(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all.test:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces.test:4317/own/path"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ],
    );
    assert_eq!(otlp.endpoint.as_str(), "http://traces.test:4317/own/path");
    assert_eq!(otlp.protocol, OtlpProtocol::Grpc);
}

#[test]
fn telemetry_can_be_switched_off_and_named() {
    let file = "[telemetry]\notlp_endpoint = \"http://c.test:4318\"\n";
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert!(parse_with(file, &[off]).unwrap().telemetry.otlp.is_none(), "{off:?}");
    }
    let empty = [("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_SDK_DISABLED", "false")];
    assert!(parse_with(file, &empty).unwrap().telemetry.otlp.is_some());
    let named = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=x%2Cy"), ("OTEL_SERVICE_NAME", "b")];
    let resource = parse_with("", &named).unwrap().telemetry.resource;
    assert_eq!((resource["service.name"].as_str(), resource["team"].as_str()), ("b", "x,y"));
    assert_eq!(parse("").unwrap().telemetry.resource["service.name"], "remit");
}

#[test]
fn a_bad_variable_is_named_and_its_secret_is_not_shown() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c.test");
    let told = |variable| parse_with("", &[endpoint, variable]).unwrap_err().to_string();
    let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
    let why = "environment variable `OTEL_EXPORTER_OTLP_PROTOCOL`: `http/json` is not one of";
    assert!(told(protocol).contains(why), "{}", told(protocol));
    assert!(parse_with("", &[protocol]).is_ok(), "nobody asked for a collector");
    let headers = told(("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"));
    assert!(headers.contains("OTEL_EXPORTER_OTLP_HEADERS") && !headers.contains("hunter2"), "{headers}");
}

#[test]
fn the_laptop_has_free_ports_and_a_folder_of_its_own() {
    let variables = |pairs: &[(&str, &str)]| -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let config = Config::default_for_laptop("/s/remit".into(), &Variables::new()).unwrap();
    assert_eq!((config.listen.proxy.port(), config.listen.admin.port()), (0, 0));
    assert!(config.listen.proxy.ip().is_loopback() && config.policies_dir.is_none());
    assert_eq!((config.state_dir.as_path(), config.digest), (Path::new("/s/remit"), None));
    let dir = |pairs: &[(&str, &str)]| Config::laptop_state_dir(&variables(pairs));
    assert_eq!(dir(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]), Some("/x/remit".into()));
    assert_eq!(dir(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")]), Some("/h/.local/state/remit".into()));
    assert_eq!(dir(&[]), None);
}

/// The sample's keys: section, key, documented default.
fn sample() -> Vec<(String, String, String)> {
    let (mut section, mut default, mut found) = (String::new(), None, Vec::new());
    for line in include_str!("../../../config.toml").lines() {
        if let Some(text) = line.strip_prefix("# Default: ") {
            default = Some(text.to_owned());
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else if let (false, Some((key, _))) = (line.starts_with('#'), line.split_once(" = ")) {
            let default = default.take().unwrap_or_else(|| panic!("`{section}.{key}` has no default"));
            found.push((section.clone(), key.to_owned(), default));
        }
    }
    found
}

#[test]
fn each_default_in_the_sample_is_the_real_one() {
    let bare = meaning(parse("").unwrap());
    let keys = sample();
    assert!(keys.len() >= 20, "only {} keys were found", keys.len());
    for (section, key, default) in keys.iter().filter(|(.., default)| !default.starts_with("none")) {
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let alone = parse(&format!("{header}{key} = {default}\n")).unwrap();
        assert_eq!(meaning(alone), bare, "`{section}.{key}` is not {default} by default");
    }
}

#[test]
fn agents_are_put_down_one_table_each() {
    let text = "[[agents]]\nid = \"coder\"\nowner = \"team-a\"\nkind = \"integration\"\noperations = [\"github:*\"]\n\
        learning_s = 60\nbind_tokens = \"x509-svid\"\nlabels = { tier = \"2\" }\n[[agents]]\nid = \"spiffe://x.test/y\"\n";
    let agents = parse(text).unwrap().agents;
    assert_eq!(agents.len(), 2);
    assert_eq!(agents[0].id.as_str(), "spiffe://example.org/agent/coder");
    assert_eq!((agents[0].profile.owner.as_str(), agents[0].operations.len()), ("team-a", 1));
    assert_eq!(agents[0].learning, Some(Duration::from_secs(60)));
    assert_eq!(agents[0].profile.labels["tier"], "2");
    assert!(agents[1].profile.registered && agents[1].learning.is_none());
    for (wrong, told) in [
        ("[[agents]]\nowner = \"a\"\n", "`id` is missing"),
        ("[[agents]]\nid = \"a\"\nkind = \"robot\"\n", "`robot` is not one of"),
        ("[[agents]]\nid = \"a\"\nownr = \"b\"\n", "did you mean `owner`"),
        ("agents = 3\n", "tables are wanted"),
        ("[[agents]]\nid = \"a\"\nhosts = [\"a b\"]\n", "is not a host"),
        (
            "[[agents]]\nid = \"a\"\nhosts = [\"x.test\"]\n[[agents]]\nid = \"b\"\nhosts = [\"X.test.\"]\n",
            "answer at `x.test`",
        ),
        ("[[agents]]\nid = \"a\"\nlends_percent = 101\n", "from 0 to 100"),
        (
            "[[identity.peers]]\nname = \"b\"\nspeaks_for = []\n",
            "`key` is missing in one of the [[identity.peers]]",
        ),
        ("[listen]\nproxy_tls_certificate = \"svid\"\n", "which is not set"),
        ("[listen]\nproxy_tls_certificate = \"own\"\n", "is not one of"),
        ("[[identity.processes]]\nagent = \"a\"\n", "everybody would be this agent"),
        ("[[identity.processes]]\nuid = 0\n", "`agent` is missing"),
        ("[[identity.processes]]\nagent = \"a\"\nexecutable = \"x\"\n", "no absolute path"),
        ("[[identity.processes]]\nagent = \"a\"\nsha256 = \"x\"\n", "64 hex digits"),
        ("[[identity.peers]]\nname = \"self\"\nkey = \"k\"\nspeaks_for = [\"*\"]\n", "this node's own name"),
    ] {
        assert!(complaint(wrong).contains(told), "{}", complaint(wrong));
    }
}

#[test]
fn lives_beyond_the_hard_cap_are_refused_at_start() {
    assert!(complaint("[tasks]\nmax_ttl_s = 86401\n").contains("from 1 to 86400"));
    assert!(complaint("[identity]\ntoken_ttl_s = 3601\n").contains("from 30 to 3600"));
}

#[test]
fn the_sample_is_sound_and_complete() {
    let text = include_str!("../../../config.toml");
    let config = parse(text).unwrap();
    assert_eq!(config.policies_dir.as_deref(), Some(Path::new("/etc/remit/policies")));
    // Each known key is named by the message for an unknown one; all of them have to be in the sample.
    let keys = sample();
    for section in
        ["listen", "state", "identity", "tasks", "policies", "catalog", "limits", "telemetry", "journal"]
    {
        let told = complaint(&format!("[{section}]\nqqqqqqqq = 1\n"));
        let known = told.split("known keys: ").nth(1).unwrap_or_else(|| panic!("{told}"));
        for key in known
            .split(", ")
            .filter(|key| !["headers", "bundles", "peers", "processes", "hosts"].contains(key))
        {
            assert!(
                keys.iter().any(|(s, k, _)| s == section && k == key),
                "`{section}.{key}` is not in the sample"
            );
        }
    }
}

#[test]
fn metrics_go_where_spans_go_unless_said_otherwise() {
    let file = "[telemetry]\notlp_endpoint = \"http://c.test:4318\"\n";
    let metrics =
        |text: &str, variables: &[(&str, &str)]| parse_with(text, variables).unwrap().telemetry.metrics;
    let (otlp, every) = metrics(file, &[]).unwrap();
    assert_eq!((otlp.endpoint.as_str(), every.as_secs()), ("http://c.test:4318/v1/metrics", 60));
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "grpc://m.test:4317");
    let (otlp, every) = metrics(file, &[own, ("OTEL_METRIC_EXPORT_INTERVAL", "2500")]).unwrap();
    assert_eq!((otlp.protocol, every.as_millis()), (OtlpProtocol::Grpc, 2500));
    assert!(metrics(&format!("{file}metrics_interval_s = 0\n"), &[]).is_none());
    for off in [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "prometheus")] {
        assert!(metrics(file, &[off]).is_none(), "{off:?}");
        assert!(parse_with(file, &[off]).unwrap().telemetry.otlp.is_some());
    }
    assert!(metrics("", &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t.test/x")]).is_none());
}

#[test]
fn a_collector_has_trust_and_batches_of_its_own() {
    let file = "[telemetry]\notlp_endpoint = \"grpcs://c.test:4317\"\ncertificate = \"ca.pem\"\n";
    assert_eq!(otlp(file, &[]).certificate.unwrap(), Path::new("/etc/remit/ca.pem"));
    let set = [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "7"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let found = otlp(file, &set);
    assert_eq!(found.certificate.unwrap(), Path::new("/traces.pem"));
    assert_eq!((found.batch_spans, found.batch_delay.as_millis()), (7, 20));
    let told = parse_with(file, &[("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem")]).unwrap_err().to_string();
    assert_eq!(told.matches("OTEL_EXPORTER_OTLP_CLIENT_KEY").count(), 1, "{told}");
}

#[test]
fn leases_say_where_a_secret_is_and_where_it_goes() {
    use crate::lease::provider::fixed::Source;
    use crate::lease::{Look, Place};
    let text = "[[leases]]\nservice = \"github\"\nprovider = \"fixed\"\nsecret = { env = \"REAL\" }\n\
        [[leases]]\nservice = \"API.example.test\"\nprovider = \"fixed\"\nsecret = { file = \"k\" }\nclasses = [\"read\"]\n\
        hosts = [\"Api.Example.test\"]\nobserved = false\nplace = { header = \"X-Key\" }\nenv = [\"A\", \"B\"]\nplaceholder = \"sk-\"\n\
        [[leases]]\nservice = \"x\"\nprovider = \"fixed\"\nsecret = { command = [\"pass\", \"x\"] }\nplace = { basic = true }\n";
    let leases = parse(text).unwrap().leases;
    let [one, two, three] = leases.as_slice() else { panic!("{leases:?}") };
    assert_eq!((one.service.as_str(), &one.place, &one.env), ("github", &None, &None));
    assert_eq!(one.provider, LeaseProvider::Fixed(Source::Env("REAL".into())));
    assert_eq!(
        (two.service.as_str(), two.classes.as_slice()),
        ("api.example.test", [crate::call::Class::Read].as_slice())
    );
    assert_eq!(two.provider, LeaseProvider::Fixed(Source::File("/etc/remit/k".into())));
    let header = Place::Header { name: http::HeaderName::from_static("x-key"), format: "{}".into() };
    assert_eq!((&two.place, &two.look), (&Some(header), &Some(Look::Prefix("sk-".into()))));
    assert_eq!(two.env.as_deref(), Some(["A".to_owned(), "B".to_owned()].as_slice()));
    assert_eq!(two.hosts, [crate::call::Host::Name("api.example.test".into())]);
    assert_eq!((one.observed, two.observed, one.hosts.len()), (true, false, 0));
    assert_eq!(three.place, Some(Place::Basic { user: None }));
}

#[test]
fn mistakes_in_leases_are_told_and_secrets_are_not() {
    let with =
        |more: &str| complaint(&format!("[[leases]]\nservice = \"github\"\nprovider = \"fixed\"\n{more}"));
    let secret = "secret = { env = \"X\" }\n";
    assert!(
        with(&format!("{secret}plase = 1\n"))
            .contains("unknown key `plase` in [leases]; did you mean `place`?")
    );
    assert!(with("").contains("`secret` is missing in one of the [[leases]]"));
    assert!(complaint("[[leases]]\nprovider = \"fixd\"\n").contains("did you mean `fixed`?"));
    assert!(complaint("[[leases]]\nprovider = \"fixed\"\n").contains("`service` is missing"));
    let literal = with("secret = \"ghp_hunter2\"\n");
    assert!(
        literal.contains("`leases.secret`: a table is wanted") && !literal.contains("hunter2"),
        "{literal}"
    );
    let inside = with("secret = { value = \"ghp_hunter2\" }\n");
    assert!(inside.contains("one of `env`, `file`, `command`") && !inside.contains("hunter2"), "{inside}");
    assert!(with(&format!("{secret}place = {{ header = \"a b\" }}\n")).contains("names no header field"));
    assert!(with(&format!("{secret}place = {{ format = \"Bearer\" }}\n")).contains("has to have one `{}`"));
    let both = with(&format!("{secret}place = {{ query = \"a\", cookie = \"b\" }}\n"));
    assert!(both.contains("one of `header` (with `format`)"), "{both}");
    assert!(with(&format!("{secret}classes = [\"reed\"]\n")).contains("did you mean `read`?"));
    assert!(with(&format!("{secret}hosts = [\"*.example.test\"]\n")).contains("`leases.hosts`"));
    assert!(with(&format!("{secret}env = \"1X\"\n")).contains("names no environment variable"));
}
