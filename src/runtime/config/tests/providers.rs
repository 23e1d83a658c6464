//! What providers of credentials want to be told, and how mistakes in it are told.

use super::*;
use crate::call::Class;
use crate::lease::provider::narrow::{ByClass, Width};
use crate::lease::provider::oauth::{ClientAuth, Flow, Kind, Proven, Source as Party};
use crate::lease::provider::vault::{Fields, Login};

fn provider(text: &str) -> LeaseProvider {
    let leases = parse(&format!("[[leases]]\nservice = \"github\"\n{text}")).unwrap().leases;
    leases.into_iter().next().unwrap().provider
}

fn mistake(text: &str) -> String {
    complaint(&format!("[[leases]]\nservice = \"github\"\n{text}"))
}

const OAUTH: &str = "provider = \"oauth\"\ntoken_url = \"https://as.test/token\"\nclient_id = \"remit\"\nsecret = { env = \"S\" }\n";
const APP: &str = "provider = \"github_app\"\napp_id = \"1\"\ninstallation_id = 2\nowner = \"octo\"\nsecret = { file = \"k\" }\n";
const GOOGLE: &str =
    "provider = \"google\"\nsecret = { file = \"k\" }\nscopes = { read = [\"https://a.test/r\"] }\n";
const VAULT: &str = "provider = \"vault\"\napi_url = \"https://vault.test:8200\"\nsecret = { env = \"V\" }\npath = { read = \"kv/data/x\" }\n";

/// The blocks of the sample, as an operator would take the comment signs away.
#[test]
fn the_samples_of_all_providers_are_right() {
    let sample = std::fs::read_to_string("config.toml").unwrap();
    let mut kinds = Vec::new();
    for block in sample.split("# [[leases]]\n").skip(1) {
        let lines = block.lines().take_while(|line| line.starts_with("# ")).map(|line| &line[2..]);
        let lines: Vec<_> = lines.take_while(|line| !line.starts_with("What other")).collect();
        let text = lines.join("\n");
        let config = parse(&format!("[[leases]]\n{text}")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        kinds.push(config.leases[0].provider.kind());
    }
    assert_eq!(kinds, ["fixed", "oauth", "aws_sts", "github_app", "google", "vault"]);
}

#[test]
fn an_authorization_server_is_asked_by_client_credentials_unless_said_otherwise() {
    let LeaseProvider::Oauth(plain) = provider(OAUTH) else { panic!() };
    assert!(matches!(plain.client, ClientAuth::Basic(_)));
    assert_eq!(
        (&plain.flow, &plain.scopes, plain.width),
        (&Flow::ClientCredentials, &ByClass::Unsaid, Width::Narrow)
    );
    assert_eq!((plain.proven, &plain.revocation_url), (Proven::Bearer, &None));
    let more = "client_auth = \"private_key_jwt\"\nkey_id = \"k\"\ngrant = \"token_exchange\"\n\
        subject = { token = { file = \"id\" }, type = \"id_token\" }\nactor = \"svid\"\n\
        scopes = { read = [\"a\"], act = [\"a\", \"b\"] }\nwide = true\ndpop = true\nlifetime_s = 60\n";
    let LeaseProvider::Oauth(full) = provider(&format!("{OAUTH}{more}")) else { panic!() };
    assert!(matches!(&full.client, ClientAuth::PrivateKeyJwt { kid: Some(kid), .. } if kid == "k"));
    let Flow::Exchange { subject, actor } = &full.flow else { panic!("{full:?}") };
    assert!(matches!(subject, Party::Configured { kind: Kind::IdToken, .. }));
    assert_eq!(actor, &Some(Party::Svid));
    assert_eq!(full.scopes.of(Class::Read, Width::Narrow, "scopes"), Ok(Some(&vec!["a".to_owned()])));
    assert_eq!(
        (full.width, full.proven, full.lifetime),
        (Width::Wide, Proven::Dpop, Some(Duration::from_secs(60)))
    );
    // Two secrets: the client's key, and the subject's token.
    assert_eq!(provider(&format!("{OAUTH}{more}")).sources().len(), 2);
}

#[test]
fn mistakes_in_an_authorization_server_are_told_by_their_key() {
    let with = |more: &str| mistake(&format!("{OAUTH}{more}"));
    for (more, told) in [
        ("scope = [\"a\"]\n", "did you mean `scopes`?"),
        ("scopes = { reed = [\"a\"] }\n", "`reed` is not one of"),
        ("scopes = [\"a b\"]\n", "`a b` is no scope"),
        ("grant = \"password\"\n", "`password` is not one of"),
        ("grant = \"refresh_token\"\n", "`refresh_token` is missing"),
        ("grant = \"jwt_bearer\"\n", "`issuer` is missing"),
        ("client_auth = \"none\"\n", "client credentials are for clients that can show who they are"),
        ("revocation_url = \"http://as.test/revoke\"\n", "secrets go over TLS"),
        ("lifetime_s = 0\n", "from 1 to 31622400"),
        (
            "refresh_token = \"rt-hunter2\"\ngrant = \"refresh_token\"\n",
            "`leases.refresh_token`: a table is wanted",
        ),
    ] {
        let complaint = with(more);
        assert!(complaint.contains(told), "{more}: {complaint}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
    let lacking = mistake("provider = \"oauth\"\n");
    assert!(
        lacking.contains("`token_url` is missing") && lacking.contains("`client_id` is missing"),
        "{lacking}"
    );
}

#[test]
fn an_app_asks_where_the_catalog_says_and_its_operations_need_what_the_operator_says() {
    let LeaseProvider::GithubApp(app) = provider(APP) else { panic!() };
    assert!(app.api.as_str().starts_with("https://"));
    assert_eq!((app.installation_id, app.width), (2, Width::Narrow));
    assert!(
        mistake(&format!("{APP}permissions = {{ \"a*b\" = [\"issues\"] }}\n"))
            .contains("a `*` stands at the end")
    );
    assert!(mistake(&APP.replace("octo", "octo/hello")).contains("its name alone is wanted"));
    assert!(mistake(&APP.replace("installation_id = 2\n", "")).contains("`installation_id` is missing"));
}

#[test]
fn a_google_account_has_scopes_and_delegates_belong_to_another_account() {
    let LeaseProvider::Google(google) = provider(GOOGLE) else { panic!() };
    assert!(google.impersonate.is_none());
    assert!(mistake(&GOOGLE.replace("scopes", "# ")).contains("`scopes` is missing"));
    assert!(
        mistake(&format!("{GOOGLE}delegates = [\"a@b\"]\n")).contains("`delegates` belong to `impersonate`")
    );
    assert!(
        mistake(&format!("{GOOGLE}impersonate = \"worker\"\n")).contains("no address of a service account")
    );
}

#[test]
fn a_vault_is_asked_with_a_token_for_the_field_token_unless_said_otherwise() {
    let LeaseProvider::Vault(vault) = provider(VAULT) else { panic!() };
    assert!(matches!(vault.login, Login::Token(_)));
    assert_eq!(vault.fields, Fields::Token("token".to_owned()));
    let svid = VAULT.replace("secret = { env = \"V\" }", "auth = \"svid\"\nrole = \"r\"");
    let LeaseProvider::Vault(vault) = provider(&svid) else { panic!() };
    let audience = "https://vault.test:8200/".to_owned();
    assert_eq!(vault.login, Login::Svid { mount: "jwt".to_owned(), role: "r".to_owned(), audience });
    for (text, told) in [
        (VAULT.replace("kv/data/x", "/v1/kv/data/x"), "no path of a secret"),
        (VAULT.replace("kv/data/x", "kv/../sys/x"), "no path of a secret"),
        (format!("{VAULT}auth = \"approle\"\n"), "`role_id` is missing"),
        (format!("{VAULT}auth = \"ldap\"\n"), "`ldap` is not one of"),
        (format!("{VAULT}fields = {{ user = \"u\" }}\n"), "either `user` and `password`"),
        (format!("{VAULT}field = \"t\"\nfields = {{ user = \"u\", password = \"p\" }}\n"), "go not together"),
    ] {
        let complaint = mistake(&text);
        assert!(complaint.contains(told), "{text}: {complaint}");
    }
}
