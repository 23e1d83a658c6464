//! Credentials in places that are no header field, through a whole node: a cookie among the agent's own, and a signature that a
//! service of the operator's describes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::StatusCode;

use crate::harness::{Agent, House, PERMIT_ALL, of_kind};

const KEY: &[u8] = b"a shared secret of the operator's";

async fn with(more: &str) -> House {
    House::start(PERMIT_ALL, more).await
}

#[tokio::test]
async fn a_cookie_is_set_among_those_of_the_agent() {
    let house = with(
        "[[leases]]\nservice = \"api.test\"\nprovider = \"fixed\"\nplace = { cookie = \"session\" }\n\
         secret = { command = [\"printf\", \"real-session\"] }\nenv = \"SESSION\"\n",
    )
    .await;
    let task = house.task().await;
    let dummy = task["env"]["SESSION"].as_str().unwrap();
    let mut agent = Agent::connect(&house, "api.test", "http/1.1", task["token"].as_str().unwrap()).await;
    let own = format!("theme=dark; session={dummy}; lang=en");
    let (status, ..) = agent.ask("GET", "https://api.test/x", &[("cookie", &own)]).await;
    assert_eq!(status, StatusCode::OK);
    let (status, headers, _) =
        agent.ask("GET", "https://api.test/x", &[("cookie", &format!("other={dummy}"))]).await;
    assert_eq!(
        (status, headers["remit-refusal"].to_str().unwrap()),
        (StatusCode::FORBIDDEN, "placeholder_misplaced")
    );
    let sent: Vec<_> = house.origin.seen().iter().map(|seen| seen.headers["cookie"].clone()).collect();
    assert_eq!(sent, ["theme=dark; lang=en; session=real-session"]);
    let journal = house.journal().await;
    assert!(!journal.iter().any(|entry| entry.to_string().contains("real-session")));
}

#[tokio::test]
async fn a_request_is_signed_as_the_service_describes_it() {
    let services = tempfile::tempdir().unwrap();
    let folder = services.path().join("exchange");
    std::fs::create_dir(&folder).unwrap();
    let service = "format = 1\nname = \"exchange\"\ntitle = \"Exchange\"\nprotocol = \"rest\"\nhosts = [\"api.test\"]\n\
        [provenance]\nsource = \"ours\"\nversion = \"1\"\ndate = \"2026-11-26\"\nlicence = \"ours\"\n";
    let scheme = "[[credential.hmac]]\nname = \"hex\"\nmessage = \"{time}{method}{target}{body}\"\n\
        headers = { x-time = \"{time}\", x-sign = \"{signature}\" }\n";
    std::fs::write(folder.join("service.toml"), service).unwrap();
    std::fs::write(
        folder.join("operations.tsv"),
        "#remit-operations 1\nPOST\t/orders\torders/place\tact\t-\n",
    )
    .unwrap();
    std::fs::write(folder.join("overrides.toml"), scheme).unwrap();
    let house = with(&format!(
        "[catalog]\ndirs = [\"{}\"]\n[[leases]]\nservice = \"exchange\"\nprovider = \"fixed\"\nplace = {{ hmac = \"hex\" }}\n\
         secret = {{ file = \"shared\" }}\n",
        services.path().display()
    ))
    .await;
    std::fs::write(house.dir.path().join("shared"), KEY).unwrap();
    let mut agent = house.agent("api.test", "http/1.1").await;
    let own = [("x-sign", "the agent's"), ("x-time", "0"), ("authorization", "Bearer own")];
    let (status, _, told) = agent.ask("POST", "https://api.test/orders?side=buy", &own).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let seen = house.origin.seen().pop().unwrap();
    let time = seen.headers["x-time"].to_str().unwrap();
    let mac = Hmac::<sha2::Sha256>::new_from_slice(KEY).unwrap();
    let mac = mac.chain_update(format!("{time}POST/orders?side=buy{{}}")).finalize().into_bytes();
    let signature = mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(seen.headers["x-sign"], signature.as_str());
    assert!(time.parse::<u64>().unwrap() > 1_700_000_000);
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "opened")[0]["operations"][0]["id"], "exchange:orders/place");
    assert_eq!(of_kind(&journal, "closed")[0]["closing"]["lease"]["provider"], "fixed");
}
