//! Leases through a whole node: the agent holds a placeholder, the origin sees the credential, and the end of the task is the end
//! of both.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::harness::{Agent, House, PERMIT_ALL, PERMIT_READS, of_kind};

const ISSUES: &str = "https://api.github.com/repos/octo/hello/issues";
const LEASE: &str =
    "[[leases]]\nservice = \"github\"\nprovider = \"fixed\"\nsecret = { file = \"github.token\" }\n";

async fn house(secret: Option<&str>) -> House {
    let house = House::start(PERMIT_ALL, LEASE).await;
    if let Some(secret) = secret {
        std::fs::write(house.dir.path().join("github.token"), secret).unwrap();
    }
    house
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

async fn agent(house: &House, host: &str, task: &Value) -> Agent {
    Agent::connect(house, host, "http/1.1", text(task, "token")).await
}

#[tokio::test]
async fn the_origin_sees_the_credential_and_the_agent_a_placeholder() {
    let house = house(Some("ghp_real\n")).await;
    let task = house.task().await;
    let dummy = text(&task["env"], "GITHUB_TOKEN").to_owned();
    assert!(dummy.starts_with("ghp_rem1t"), "{dummy}");
    let mut agent = agent(&house, "api.github.com", &task).await;
    for own in [format!("token {dummy}"), "Bearer the agent's own".to_owned()] {
        let (status, ..) = agent.ask("GET", ISSUES, &[("authorization", &own)]).await;
        assert_eq!(status, StatusCode::OK);
    }
    let (status, ..) = agent.ask("POST", ISSUES, &[]).await;
    assert_eq!(status, StatusCode::OK);
    let sent: Vec<_> = house.origin.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Bearer ghp_real"; 3]);

    let id = text(&task, "id").to_owned();
    let (_, shown) = house.admin(Method::GET, &format!("/v1/tasks/{id}"), Value::Null).await;
    assert_eq!(shown["gone"]["answer"], "no");
    assert_eq!(
        (&shown["leases"][0]["state"], &shown["leases"][0]["provider"]),
        (&"active".into(), &"fixed".into())
    );
    house.admin(Method::POST, &format!("/v1/tasks/{id}/end"), Value::Null).await;
    let listed = loop {
        let (_, listed) = house.admin(Method::GET, &format!("/v1/leases?task={id}"), Value::Null).await;
        if listed["leases"][0]["state"] != "active" {
            break listed;
        }
    };
    assert_eq!(listed["leases"].as_array().map(Vec::len), Some(1), "one lease for three calls: {listed}");
    let (_, shown) = house.admin(Method::GET, &format!("/v1/tasks/{id}"), Value::Null).await;
    assert_eq!(shown["gone"]["answer"], "stays", "the key was there before");

    let state = std::fs::read_dir(house.dir.path().join("state")).unwrap();
    for file in state.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(8).any(|bytes| bytes == b"ghp_real"), "{} has the secret", file.display());
    }
    let journal = house.journal().await;
    let minted = of_kind(&journal, "lease_minted");
    assert_eq!((minted.len(), of_kind(&journal, "lease_expired").len()), (1, 1));
    for closed in of_kind(&journal, "closed") {
        let lease = &closed["closing"]["lease"];
        assert_eq!((&lease["id"], &lease["short_lived"]), (&minted[0]["lease"], &Value::Bool(false)));
    }
    assert!(!journal.iter().any(|entry| entry.to_string().contains("ghp_real")));
}

#[tokio::test]
async fn a_placeholder_that_is_sent_elsewhere_does_not_go_out() {
    let house = house(Some("ghp_real")).await;
    let (task, other) = (house.task().await, house.task().await);
    let (dummy, theirs) = (text(&task["env"], "GITHUB_TOKEN"), text(&other["env"], "GITHUB_TOKEN"));
    assert_ne!(dummy, theirs);
    let (here, there) = (format!("{ISSUES}?q={dummy}"), format!("https://api.test/{dummy}"));
    let bearer = |dummy: &str| format!("Bearer {dummy}");
    for (host, url, header, value) in [
        ("api.test", "https://api.test/x", "authorization", bearer(dummy)),
        ("api.test", there.as_str(), "x-nothing", String::new()),
        ("api.github.com", ISSUES, "x-copy", dummy.to_owned()),
        ("api.github.com", here.as_str(), "x-nothing", String::new()),
        ("api.github.com", ISSUES, "authorization", bearer(theirs)),
    ] {
        let mut agent = agent(&house, host, &task).await;
        let (status, headers, text) = agent.ask("GET", url, &[(header, &value)]).await;
        assert_eq!(
            (status, headers["remit-refusal"].to_str().unwrap()),
            (StatusCode::FORBIDDEN, "placeholder_misplaced"),
            "{text}"
        );
    }
    assert!(house.origin.seen().is_empty());
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "refused").len(), 5);
    assert!(of_kind(&journal, "lease_minted").is_empty(), "a refused call needs no credential");
}

#[tokio::test]
async fn a_call_without_a_credential_does_not_go_out_and_says_why() {
    let house = house(None).await;
    let task = house.task().await;
    let mut github = agent(&house, "api.github.com", &task).await;
    let (status, headers, text) = github.ask("GET", ISSUES, &[("authorization", "Bearer own")]).await;
    assert_eq!(
        (status, headers["remit-refusal"].to_str().unwrap()),
        (StatusCode::FORBIDDEN, "lease_refused"),
        "{text}"
    );
    assert!(text.contains("github.token"), "{text}");
    assert!(house.origin.seen().is_empty(), "the agent's own key is no way round");
    let mut elsewhere = agent(&house, "api.test", &task).await;
    let (status, ..) = elsewhere.ask("GET", "https://api.test/x", &[("authorization", "Bearer own")]).await;
    assert_eq!(
        (status, house.origin.seen()[0].headers["authorization"].to_str().unwrap()),
        (StatusCode::OK, "Bearer own")
    );
    let journal = house.journal().await;
    let closed = of_kind(&journal, "closed");
    assert_eq!(closed[0]["closing"]["outcome"], "unequipped");
    assert_eq!(closed[0]["closing"]["refusal"], "lease_refused");
    assert!(closed[0]["closing"]["lease"].is_null() && closed[1]["closing"]["lease"].is_null());
}

#[tokio::test]
async fn a_secret_that_was_replaced_is_used_and_a_restart_changes_nothing_for_the_agent() {
    let house = house(Some("ghp_before")).await;
    let task = house.task().await;
    let dummy = format!("Bearer {}", text(&task["env"], "GITHUB_TOKEN"));
    let sent = |house: &House| house.origin.seen().last().unwrap().headers["authorization"].clone();
    let mut github = agent(&house, "api.github.com", &task).await;
    github.ask("GET", ISSUES, &[("authorization", &dummy)]).await;
    assert_eq!(sent(&house), "Bearer ghp_before");
    std::fs::write(house.dir.path().join("github.token"), "ghp_newer").unwrap();
    let began = std::time::Instant::now();
    while sent(&house) != "Bearer ghp_newer" {
        assert!(began.elapsed().as_secs() < 20, "the file is not read again");
        github.ask("GET", ISSUES, &[("authorization", &dummy)]).await;
    }
    let house = house.restart().await;
    let mut github = agent(&house, "api.github.com", &task).await;
    let (status, ..) = github.ask("GET", ISSUES, &[("authorization", &dummy)]).await;
    assert_eq!((status, sent(&house).to_str().unwrap()), (StatusCode::OK, "Bearer ghp_newer"));
}

#[tokio::test]
async fn what_says_a_credential_back_does_not_reach_the_agent_with_it() {
    let house = house(Some("ghp_real")).await;
    let task = house.task().await;
    let mut github = agent(&house, "api.github.com", &task).await;
    let (status, headers, body) = github.ask("GET", "https://api.github.com/mirror", &[]).await;
    assert_eq!((status, house.origin.seen().len()), (StatusCode::OK, 1));
    let told = format!("{headers:?} {body}");
    assert!(!told.contains("ghp_real") && headers["x-mirrored"] != "Bearer ghp_real", "{told}");
    assert!(body.contains("rem1t") || body.contains("****"), "{body}");
}

#[tokio::test]
async fn a_service_that_does_not_take_a_lease_is_told_once() {
    let house = house(Some("ghp_real_one")).await;
    let task = house.task().await;
    let mut github = agent(&house, "api.github.com", &task).await;
    for _ in 0..3 {
        let (status, ..) = github.ask("GET", "https://api.github.com/unauthorized", &[]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let journal = house.journal().await;
    let (minted, rejected) = (of_kind(&journal, "lease_minted"), of_kind(&journal, "lease_rejected"));
    assert_eq!((minted.len(), rejected.len()), (1, 1), "{journal:#?}");
    assert_eq!((&rejected[0]["lease"], &rejected[0]["task"]), (&minted[0]["lease"], &task["id"]));
    assert_eq!(rejected[0]["why"], "it answered 401");
}

#[tokio::test]
async fn a_part_of_an_answer_is_not_asked_for_where_a_credential_goes_out() {
    let house = house(Some("ghp_real_one")).await;
    let task = house.task().await;
    let asked = [("range", "bytes=0-9"), ("if-range", "\"x\"")];
    agent(&house, "api.github.com", &task).await.ask("GET", ISSUES, &asked).await;
    agent(&house, "api.test", &task).await.ask("GET", "https://api.test/x", &asked).await;
    let seen = house.origin.seen();
    assert!(!seen[0].headers.contains_key("range") && !seen[0].headers.contains_key("if-range"));
    assert_eq!(
        (&seen[1].headers["range"], &seen[1].headers["if-range"]),
        (&"bytes=0-9".parse().unwrap(), &"\"x\"".parse().unwrap())
    );
}

/// Observing changes nothing for an agent that has no other key; whoever wants it otherwise says so.
#[tokio::test]
async fn a_call_that_is_only_observed_carries_the_lease_unless_its_entry_says_otherwise() {
    for (more, status) in [("", StatusCode::OK), ("observed = false\n", StatusCode::FORBIDDEN)] {
        let more = format!("[services.github]\nmode = \"observe\"\n{LEASE}{more}");
        let house = House::start(PERMIT_READS, &more).await;
        std::fs::write(house.dir.path().join("github.token"), "ghp_real_one").unwrap();
        let task = house.task().await;
        let mut github = agent(&house, "api.github.com", &task).await;
        let (read, ..) = github.ask("GET", ISSUES, &[]).await;
        let (act, headers, told) = github.ask("POST", ISSUES, &[]).await;
        assert_eq!((read, act), (StatusCode::OK, status), "{told}");
        let sent: Vec<_> =
            house.origin.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
        if status == StatusCode::OK {
            assert_eq!(sent, ["Bearer ghp_real_one"; 2]);
        } else {
            assert_eq!((sent.len(), headers["remit-refusal"].to_str().unwrap()), (1, "lease_refused"));
            assert!(told.contains("observed = false"), "{told}");
        }
        let journal = house.journal().await;
        let opened = of_kind(&journal, "opened");
        assert_eq!(opened[1]["observed"]["decision"], "deny");
        assert_eq!(of_kind(&journal, "closed")[1]["closing"]["lease"].is_null(), status != StatusCode::OK);
    }
}

#[tokio::test]
async fn a_secret_that_is_too_short_to_be_searched_for_is_not_sent() {
    let house = house(Some("short")).await;
    let task = house.task().await;
    let mut github = agent(&house, "api.github.com", &task).await;
    let (_, headers, text) = github.ask("GET", ISSUES, &[]).await;
    assert_eq!(headers["remit-refusal"], "lease_refused");
    assert!(text.contains("less than 8 characters") && !text.contains("short\n"), "{text}");
    assert!(house.origin.seen().is_empty());
}

#[tokio::test]
async fn other_places_and_classes_are_as_the_operator_says() {
    let more = "[[leases]]\nservice = \"api.test\"\nprovider = \"fixed\"\nclasses = [\"read\"]\nplace = { query = \"key\" }\n\
        secret = { command = [\"printf\", \"real key\"] }\nenv = \"TEST_KEY\"\nplaceholder = \"sk-\"\n\
        [[leases]]\nservice = \"api.test\"\nprovider = \"fixed\"\nplace = { basic = true, user = \"bot\" }\n\
        secret = { command = [\"printf\", \"password\"] }\n";
    let house = House::start(PERMIT_ALL, more).await;
    let task = house.task().await;
    assert!(text(&task["env"], "TEST_KEY").starts_with("sk-rem1t"));
    let mut agent = agent(&house, "api.test", &task).await;
    let url = format!("https://api.test/x?key={}&a=1", text(&task["env"], "TEST_KEY"));
    let (status, _, told) = agent.ask("GET", &url, &[]).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    agent.ask("POST", "https://api.test/x", &[("authorization", "Basic b3duOm93bg==")]).await;
    let seen = house.origin.seen();
    assert_eq!(seen[0].target, "/x?a=1&key=real%20key");
    assert_eq!(seen[1].headers["authorization"], "Basic Ym90OnBhc3N3b3Jk");
}

/// A key that would work without remit is one that remit cannot take back.
#[tokio::test]
async fn a_long_lived_key_that_an_agent_brings_is_a_fact_for_policies() {
    let policies = format!(
        "{PERMIT_ALL}@id(\"no-keys\") forbid (principal, action, resource) when {{ context.brought_key }};\n"
    );
    let house = House::start(&policies, LEASE).await;
    std::fs::write(house.dir.path().join("github.token"), "ghp_real\n").unwrap();
    let task = house.task().await;
    let mut agent = agent(&house, "api.github.com", &task).await;
    let own = format!("Bearer ghp_{}", "a1B2".repeat(9));
    let (status, headers, _) = agent.ask("GET", ISSUES, &[("authorization", &own)]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(headers["remit-refusal"], "policy_denied");
    assert!(house.origin.seen().is_empty(), "it went out");
    let dummy = format!("Bearer {}", text(&task["env"], "GITHUB_TOKEN"));
    let (status, ..) = agent.ask("GET", ISSUES, &[("authorization", &dummy)]).await;
    assert_eq!(status, StatusCode::OK, "a placeholder is no key");
    let journal = house.journal().await;
    let refused = of_kind(&journal, "refused");
    assert_eq!(refused[0]["policies"][0], "no-keys");
    assert!(!serde_json::to_string(&journal).unwrap().contains("a1B2a1B2"), "the key itself is nowhere");
}

#[tokio::test]
async fn a_token_that_a_service_answers_with_stays_with_remit() {
    const TOKENS: &str = "https://api.github.com/app/installations/7/access_tokens";
    for encodings in [None, Some("gzip")] {
        // No `[[leases]]`: the agent came with a JWT of its own.
        let house = House::start(PERMIT_ALL, "").await;
        let (task, other) = (house.task().await, house.task().await);
        let mut github = agent(&house, "api.github.com", &task).await;
        let mut asked = vec![("authorization", "Bearer eyJ.own.jwt")];
        asked.extend(encodings.map(|encodings| ("accept-encoding", encodings)));
        let (status, headers, told) = github.ask("POST", TOKENS, &asked).await;
        assert_eq!(status, StatusCode::CREATED, "{told}");
        let answer: Value = serde_json::from_str(&told).unwrap();
        let placeholder = text(&answer, "token");
        assert!(placeholder.starts_with("remit_rem1c"), "{told}");
        assert_eq!(text(&answer, "expires_at"), "2099-01-01T00:00:00Z");
        assert_eq!(headers["content-length"], told.len().to_string().as_str());
        assert_eq!(headers["x-said"], format!("repeats {placeholder}").as_str());
        assert!(!headers.contains_key("content-encoding"));

        let shown = format!("token {placeholder}");
        let mirror = "https://api.github.com/mirror";
        let (status, headers, told) = github.ask("GET", mirror, &[("authorization", &shown)]).await;
        assert_eq!((status, house.origin.seen().len()), (StatusCode::OK, 2), "{told}");
        let last = house.origin.seen().pop().unwrap();
        assert_eq!(last.headers["authorization"], "token ghs_real_of_the_installation");
        let said = format!("{headers:?} {told}");
        assert!(!said.contains("ghs_real") && said.contains("rem1c"), "{said}");

        let mut theirs = agent(&house, "api.github.com", &other).await;
        let mut elsewhere = agent(&house, "api.test", &task).await;
        let copy = format!("{ISSUES}?access_token={placeholder}");
        for (agent, url) in
            [(&mut theirs, ISSUES), (&mut elsewhere, "https://api.test/x"), (&mut github, copy.as_str())]
        {
            let (status, headers, told) = agent.ask("GET", url, &[("authorization", &shown)]).await;
            let refusal = headers["remit-refusal"].to_str().unwrap();
            assert_eq!((status, refusal), (StatusCode::FORBIDDEN, "placeholder_misplaced"), "{url}: {told}");
        }
        assert_eq!(house.origin.seen().len(), 2);
        let house = house.restart().await;
        let mut github = agent(&house, "api.github.com", &task).await;
        let (_, headers, told) = github.ask("GET", ISSUES, &[("authorization", &shown)]).await;
        assert_eq!(headers["remit-refusal"], "placeholder_misplaced");
        assert!(told.contains("restarted"), "{told}");
        let journal = house.journal().await;
        let closed = of_kind(&journal, "closed");
        assert!(closed[0]["closing"]["lease"].is_null());
        assert_eq!(closed[1]["closing"]["lease"]["provider"], "captured");
        assert!(!journal.iter().any(|entry| entry.to_string().contains("ghs_real")));
    }
}

#[tokio::test]
async fn an_answer_whose_tokens_cannot_be_told_does_not_reach_the_agent() {
    let house = House::start(PERMIT_ALL, "").await;
    let task = house.task().await;
    for (id, why) in [(8, "is neither JSON nor XML"), (9, "is longer than 1 MiB")] {
        let mut github = agent(&house, "api.github.com", &task).await;
        let url = format!("https://api.github.com/app/installations/{id}/access_tokens");
        let (status, headers, told) = github.ask("POST", &url, &[]).await;
        let refusal = headers["remit-refusal"].to_str().unwrap();
        assert_eq!((status, refusal), (StatusCode::BAD_GATEWAY, "origin_protocol"), "{told}");
        let said = format!("{headers:?} {told}");
        assert!(told.contains(why) && !said.contains("ghs_real"), "{said}");
    }
    let journal = house.journal().await;
    let closed = of_kind(&journal, "closed");
    assert_eq!((closed.len(), &closed[0]["closing"]["outcome"]), (2, &"origin_failed".into()));
}
