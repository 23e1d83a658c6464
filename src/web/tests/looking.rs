//! What can be looked at: calls, events, and every page of the console.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Answer, PATIENCE, Stand, json, stand};
use crate::call::{Class, Lease, LeaseState, ServiceName, Timestamp};
use crate::record::tests::fixture::intercepted;

/// A stand whose node is the one that the journal is of.
async fn looking() -> Stand {
    let stand = stand().await;
    *stand.node.state_dir.lock().unwrap() = stand.dir.path().to_owned();
    stand
}

/// Everything that was closed so far is in the journal once this is.
async fn settled(stand: &Stand) {
    stand.insight.journal.note(crate::record::Event::NodeStarted { version: "1" }).await.unwrap();
}

async fn html(stand: &Stand, path: &str) -> Answer {
    let answer = stand.ask(&format!("GET {path}")).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{path}");
    answer
}

fn ids(answer: &Answer) -> Vec<String> {
    let calls = answer.json()["calls"].as_array().unwrap().clone();
    calls.iter().map(|call| call["call"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn calls_are_listed_the_latest_first_and_by_what_is_asked() {
    let stand = looking().await;
    let read = stand.insight.call(Class::Read).await.to_string();
    let act = stand.insight.call(Class::Act).await.to_string();
    settled(&stand).await;
    let all = stand.ask("GET /v1/calls").await;
    assert_eq!(ids(&all), [act.clone(), read.clone()]);
    let first = &all.json()["calls"][0];
    let wanted = json!({"state": "ended", "outcome": "answered", "status": 200});
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(first["end"][name], *value, "{first}");
    }
    assert_eq!(
        (first["operation"].as_str(), first["decision"].as_str()),
        (Some("example:things/act"), Some("allow"))
    );
    for (query, found) in [
        ("class=act", vec![act.clone()]),
        ("agent=coder&class=read", vec![read.clone()]),
        ("operation=example:*", vec![act.clone(), read.clone()]),
        ("decision=deny", vec![]),
        ("host=api.example.test&task=", vec![act.clone(), read.clone()]),
        (&format!("call={read}"), vec![read.clone()]),
        ("since=365d", vec![act.clone(), read.clone()]),
        ("until=1d6h", vec![]),
        ("limit=1", vec![act.clone()]),
    ] {
        let found_now = ids(&stand.ask(&format!("GET /v1/calls?{query}")).await);
        assert_eq!(found_now, found, "{query}");
    }
    let next = stand.ask("GET /v1/calls?limit=1").await.json()["next"].as_u64().unwrap();
    assert_eq!(ids(&stand.ask(&format!("GET /v1/calls?before={next}")).await), [read]);
}

#[tokio::test]
async fn a_search_that_makes_no_sense_is_told_why() {
    let stand = looking().await;
    for query in
        ["class=write", "decision=maybe", "task=1", "since=soon", "limit=many", "colour=red", "before=-1"]
    {
        let answer = stand.ask(&format!("GET /v1/calls?{query}")).await;
        answer.is_problem(400, "bad_query");
    }
    stand.ask("GET /v1/calls/nonsense").await.is_problem(404, "call_unknown");
}

#[tokio::test]
async fn one_call_comes_with_its_entries_and_a_proof_that_holds() {
    let stand = looking().await;
    let call = stand.insight.call(Class::Act).await;
    stand.insight.journal.stop().await;
    let shown = stand.ask(&format!("GET /v1/calls/{call}")).await.json();
    assert_eq!(shown["call"]["call"], call.to_string());
    let kinds: Vec<_> =
        shown["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["opened", "closed"]);
    assert_eq!(shown["receipt"]["signed"], true, "{shown}");
    let proofs = shown["receipt"]["entries"].as_array().unwrap();
    assert_eq!(proofs.len(), 2);
    let line: Value = serde_json::from_str(proofs[0]["line"].as_str().unwrap()).unwrap();
    assert_eq!(line, shown["entries"][0]);
}

/// Reads a stream until it has this in it.
async fn streamed(stand: &Stand, path: &str, more: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(stand.at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\n{}{}{more}\r\n", stand.host(), stand.bearer());
    stream.write_all(request.as_bytes()).await.unwrap();
    let read = async {
        let mut all = String::new();
        let mut some = [0; 4096];
        while !all.contains(until) {
            let count = stream.read(&mut some).await.unwrap();
            assert_ne!(count, 0, "it ended: {all}");
            all.push_str(&String::from_utf8_lossy(&some[..count]));
        }
        all
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("`{until}` did not come"))
}

#[tokio::test]
async fn events_are_the_entries_from_the_one_that_is_asked_for() {
    let stand = looking().await;
    let call = stand.insight.call(Class::Act).await.to_string();
    settled(&stand).await;
    let all = streamed(&stand, "/v1/events?from=0", "", "event: node_started").await;
    assert!(all.contains("content-type: text/event-stream"), "{all}");
    assert!(all.contains("id: 0\nevent: opened\n") || all.contains("event: opened"), "{all}");
    assert!(all.contains(&call), "{all}");
    let rest = streamed(&stand, "/v1/events", "last-event-id: 0\r\n", "event: node_started").await;
    assert!(!rest.contains("event: opened") && rest.contains("event: closed"), "{rest}");
    let kinds =
        streamed(&stand, "/v1/events?from=0&kind=closed,node_started", "", "event: node_started").await;
    assert!(!kinds.contains("event: opened") && kinds.contains("event: closed"), "{kinds}");
    stand
        .with("GET /v1/events", &(stand.host() + &stand.bearer() + "last-event-id: x\r\n"), "")
        .await
        .is_problem(400, "bad_last_event_id");
}

#[tokio::test]
async fn streams_are_as_many_as_there_is_room_for() {
    let stand = looking().await;
    let mut open = Vec::new();
    for _ in 0..super::super::events::MAX_STREAMS {
        let mut stream = TcpStream::connect(stand.at).await.unwrap();
        let request = format!("GET /v1/events HTTP/1.1\r\n{}{}\r\n", stand.host(), stand.bearer());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        open.push(stream);
    }
    stand.ask("GET /v1/events").await.is_problem(503, "too_many_streams");
}

const PAGES: [&str; 9] = [
    "/console/now",
    "/console/holds",
    "/console/tasks",
    "/console/tasks?state=all",
    "/console/agents",
    "/console/calls",
    "/console/calls?class=act",
    "/console/policies",
    "/console/health",
];

/// What the policy of the page would have the browser leave undone, and say so in a log that nobody reads.
fn has_nothing_inline(page: &str, text: &str) {
    for (at, _) in text.match_indices("<script") {
        let tag = &text[at..at + text[at..].find('>').unwrap()];
        assert!(tag.contains(" src=\"/console/assets/"), "{page}: {tag}");
    }
    assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("javascript:"), "{page}");
    for tag in text.split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        assert!(
            !tag.split_whitespace().any(|word| word.starts_with("on") && word.contains("=\"")),
            "{page}: {tag}"
        );
    }
}

#[tokio::test]
async fn every_page_is_whole_and_has_the_browser_keep_to_this_node() {
    let stand = looking().await;
    let task = stand.opened().await;
    let call = stand.insight.call(Class::Act).await;
    settled(&stand).await;
    let (task, call) = (format!("/console/tasks/{task}"), format!("/console/calls/{call}"));
    for page in PAGES.into_iter().chain([task.as_str(), call.as_str()]) {
        let answer = html(&stand, page).await;
        let policy = &answer.headers["content-security-policy"];
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{page}: {policy}");
        has_nothing_inline(page, &answer.body);
        assert_eq!(answer.body.matches("<h1").count(), 1, "{page}");
        assert!(answer.body.starts_with("<!DOCTYPE html>") && answer.body.ends_with("</html>"), "{page}");
        // Nothing is fetched from elsewhere.
        assert!(!answer.body.contains("src=\"http") && !answer.body.contains("href=\"http"), "{page}");
    }
}

#[tokio::test]
async fn assets_are_for_anybody_and_pages_are_not() {
    let stand = looking().await;
    for (name, kind) in [
        ("console.css", "text/css; charset=utf-8"),
        ("htmx.min.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let answer = stand.with(&format!("GET /console/assets/{name}"), &stand.host(), "").await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, kind), "{name}");
    }
    stand.ask("GET /console/assets/other.js").await.is_problem(404, "not_found");
    for page in PAGES {
        let answer = stand.with(&format!("GET {page}"), &stand.host(), "").await;
        assert!(answer.status == 401 || answer.status == 303, "{page}: {answer:?}");
    }
    let home = stand.ask("GET /").await;
    assert_eq!((home.status, home.headers["location"].as_str()), (303, "/console/now"));
}

#[tokio::test]
async fn what_an_agent_says_does_nothing_in_a_page() {
    let stand = looking().await;
    let nasty = "x\u{202e}<script>alert(1)</script>\" onload=\"x";
    let call = stand.insight.made(intercepted("/things/%3Cb%3E", &[("user-agent", nasty)]), Class::Act).await;
    settled(&stand).await;
    let page = html(&stand, &format!("/console/calls/{call}")).await;
    has_nothing_inline("the call", &page.body);
    assert!(page.body.contains("x\\u{202e}&lt;script&gt;alert(1)"), "{}", page.body);
    assert!(!page.body.contains('\u{202e}'));
    let bad = html(&stand, "/console/calls?class=%3Cscript%3E%E2%80%AE").await;
    has_nothing_inline("a bad search", &bad.body);
    assert!(!bad.body.contains('\u{202e}') || !bad.body.contains("<script>"), "{}", bad.body);
}

#[tokio::test]
async fn a_task_is_ended_by_its_form_and_an_agent_shut_out() {
    let stand = looking().await;
    let task = stand.opened().await;
    let page = html(&stand, &format!("/console/tasks/{task}")).await;
    assert!(page.body.contains(&format!("action=\"/console/tasks/{task}/end\"")), "{}", page.body);
    let form = stand.host() + &stand.bearer() + "content-type: application/x-www-form-urlencoded\r\n";
    let ended = stand.with(&format!("POST /console/tasks/{task}/end"), &form, "").await;
    assert_eq!(
        (ended.status, ended.headers["location"].as_str()),
        (303, format!("/console/tasks/{task}").as_str()),
        "{ended:?}"
    );
    let page = html(&stand, &format!("/console/tasks/{task}")).await;
    assert!(page.body.contains("by command") && !page.body.contains("End task"), "{}", page.body);
    let agent = "agent=spiffe%3A%2F%2Fexample.org%2Fagent%2Fcoder";
    let out = stand.with("POST /console/agents/quarantine", &form, agent).await;
    assert_eq!(out.status, 303, "{out:?}");
    assert!(html(&stand, "/console/agents").await.body.contains("in quarantine"));
    assert_eq!(stand.with("POST /console/agents/release", &form, agent).await.status, 303);
    assert!(!html(&stand, "/console/agents").await.body.contains("in quarantine"));
    stand.with("POST /console/agents/release", &form, "other=1").await.is_problem(400, "bad_form");
    assert_eq!(stand.events().len(), 4, "{:?}", stand.events());
}

#[tokio::test]
async fn what_is_lost_is_gone_by_the_word_of_who_looked() {
    let stand = looking().await;
    let task = stand.opened().await;
    let at = Timestamp::from_unix_s(1);
    let lease = Lease {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        task,
        service: ServiceName("one<b>".into()),
        provider: "oauth".into(),
        scope: "read".into(),
        state: LeaseState::Lost,
        since: at,
        minted: at,
        until: None,
        short_lived: true,
        why: Some("no answer".into()),
        task_ended: None,
        seen: None,
    };
    *stand.node.leases.lock().unwrap() = vec![lease];
    let page = html(&stand, &format!("/console/tasks/{task}")).await;
    assert!(page.body.contains("It is gone") && page.body.contains("one&lt;b&gt;"), "{}", page.body);
    let form = stand.host() + &stand.bearer() + "content-type: application/x-www-form-urlencoded\r\n";
    let word = stand.with("POST /console/leases/01ARZ3NDEKTSV4RRFFQ69G5FAV/seen", &form, "").await;
    assert_eq!(
        (word.status, word.headers["location"].as_str()),
        (303, format!("/console/tasks/{task}").as_str())
    );
    let page = html(&stand, &format!("/console/tasks/{task}")).await;
    assert!(page.body.contains("gone, says ") && !page.body.contains("It is gone"), "{}", page.body);
    stand.with("POST /console/leases/nonsense/seen", &form, "").await.is_problem(404, "lease_unknown");
}

#[tokio::test]
async fn what_is_wrong_is_a_page_for_browsers_and_a_problem_for_programs() {
    let stand = looking().await;
    stand.ask("GET /console/calls/nonsense").await.is_problem(404, "call_unknown");
    let headers = stand.host() + &stand.bearer();
    let by_script = headers.clone() + "accept: text/html\r\nhx-request: true\r\n";
    stand.with("GET /console/calls/nonsense", &by_script, "").await.is_problem(404, "call_unknown");
    let page = stand.with("GET /console/calls/%3Cb%3E", &(headers + "accept: text/html,*/*\r\n"), "").await;
    assert_eq!((page.status, page.headers["content-type"].as_str()), (404, "text/html; charset=utf-8"));
    assert!(page.body.contains("&lt;b&gt;") && page.body.contains("<h1>Not Found</h1>"), "{page:?}");
    has_nothing_inline("a problem", &page.body);
}

#[tokio::test]
async fn a_draft_is_tried_and_what_is_wrong_with_it_is_shown() {
    let stand = looking().await;
    let form = stand.host() + &stand.bearer() + "content-type: application/x-www-form-urlencoded\r\n";
    let tried = stand
        .with(
            "POST /console/policies/replay",
            &(form.clone() + "hx-request: true\r\n"),
            "text=permit&calls=500",
        )
        .await;
    assert!(tried.body.starts_with("<p>500 calls"), "{tried:?}");
    let whole = stand.with("POST /console/policies/replay", &form, "text=%3Cb%3E&calls=x").await;
    assert!(whole.body.contains("<!DOCTYPE html>") && whole.body.contains("&lt;b&gt;"), "{whole:?}");
}

#[tokio::test]
async fn the_policies_say_what_is_proved_of_them() {
    let stand = looking().await;
    let page = stand.ask("GET /console/policies").await.body;
    let row = |claim: &str| {
        let (_, rest) =
            page.split_once(&format!(">{claim}</bdi></code>")).unwrap_or_else(|| panic!("{page}"));
        rest.split_once("</tr>").unwrap().0
    };
    assert!(row("no-key-is-brought").contains("</span>proved"), "{page}");
    assert!(row("of-today").contains("not known"), "{page}");
    assert!(page.contains("For every request that there could be, by <bdi class=\"said\">cvc5 "), "{page}");
}

#[tokio::test]
async fn what_happens_is_pushed_to_the_first_page() {
    let stand = looking().await;
    let follow = stand.insight.journal.follow(crate::call::EntryId(0));
    let watching = tokio::spawn(stand.pulse.clone().follow(follow));
    let pushed = {
        let reading = streamed(&stand, "/console/now/stream", "", "event: calls");
        let acting = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            stand.insight.call(Class::Delegate).await
        };
        let (pushed, call) = tokio::join!(reading, acting);
        assert!(pushed.contains(&call.to_string()) || pushed.contains("event: calls"), "{pushed}");
        pushed
    };
    has_nothing_inline("what is pushed", &pushed);
    watching.abort();
}
