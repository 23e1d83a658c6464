//! Browsers: signing in, what a session may, what a page of somebody else's may not, and how often.

use super::*;

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

impl Stand {
    async fn signed_in(&self) -> String {
        let body = format!("token={}&next=%2Fholds", self.admin.reveal());
        let answer = self.with("POST /login", &(self.host() + FORM), &body).await;
        assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/holds"), "{answer:?}");
        let cookie = &answer.headers["set-cookie"];
        let (pair, rest) = cookie.split_once(';').unwrap();
        assert_eq!(rest, " Path=/; Max-Age=28800; HttpOnly; SameSite=Lax");
        assert!(!cookie.contains(self.admin.reveal()));
        format!("cookie: {pair}\r\n")
    }

    /// What the session of this cookie has to show.
    fn csrf(&self, cookie: &str) -> String {
        let name = cookie.trim_end().split_once('=').unwrap().1;
        self.operators.sessions.find(name, Timestamp::from_unix_s(START_S)).unwrap().1.0.to_string()
    }
}

#[tokio::test]
async fn a_browser_signs_in_looks_changes_and_signs_out() {
    let stand = stand().await;
    let page = stand.with("GET /tasks/1", &(stand.host() + "accept: text/html,*/*;q=0.8\r\n"), "").await;
    assert_eq!((page.status, page.headers["location"].as_str()), (303, "/login?next=%2Ftasks%2F1"));
    let cookie = stand.signed_in().await;
    let (host, csrf) = (stand.host(), stand.csrf(&cookie));
    assert_eq!(stand.with("GET /v1/tasks", &format!("{host}{cookie}"), "").await.status, 200);
    let header = format!("{host}{cookie}remit-csrf: {csrf}\r\n");
    assert_eq!(stand.with("POST /v1/tasks/end", &header, "").await.status, 200);
    // As a form, too, whose body the route gets whole.
    let answer = stand.with("POST /logout", &format!("{host}{cookie}{FORM}"), &format!("csrf={csrf}")).await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/login"));
    assert!(answer.headers["set-cookie"].contains("Max-Age=0"), "{answer:?}");
    stand.with("GET /v1/tasks", &format!("{host}{cookie}"), "").await.is_problem(401, "unauthorized");
    assert_eq!(stand.events(), ["signed in", "signed out"]);
}

#[tokio::test]
async fn a_change_by_cookie_needs_the_sessions_own_token() {
    let stand = stand().await;
    let (cookie, other) = (stand.signed_in().await, stand.signed_in().await);
    let (host, foreign) = (stand.host(), stand.csrf(&other));
    let name = cookie.trim_end().split_once('=').unwrap().1;
    for header in
        ["", "remit-csrf: \r\n", &format!("remit-csrf: {foreign}\r\n"), &format!("remit-csrf: {name}\r\n")]
    {
        let headers = format!("{host}{cookie}{header}");
        stand.with("POST /v1/tasks/end", &headers, "").await.is_problem(403, "csrf_wanted");
    }
    for body in ["", "csrf=", "csrf=a&csrf=b", &format!("csrf={foreign}")] {
        let headers = format!("{host}{cookie}{FORM}");
        stand.with("POST /logout", &headers, body).await.is_problem(403, "csrf_wanted");
    }
    // With a token there is no cookie that somebody else could have had sent.
    let headers = format!("{host}{}", stand.bearer());
    assert_eq!(stand.with("POST /v1/tasks/end", &headers, "").await.status, 200);
}

#[tokio::test]
async fn what_comes_from_another_site_changes_nothing() {
    let stand = stand().await;
    let cookie = stand.signed_in().await;
    let good = format!("{}{cookie}remit-csrf: {}\r\n", stand.host(), stand.csrf(&cookie));
    for site in ["cross-site", "same-site", "x"] {
        let headers = format!("{good}sec-fetch-site: {site}\r\n");
        stand.with("POST /v1/tasks/end", &headers, "").await.is_problem(403, "foreign_origin");
        assert_eq!(stand.with("GET /v1/tasks", &headers, "").await.status, 200, "a link may lead here");
    }
    for origin in ["https://evil.test", "null", &format!("https://{}", stand.at), "http://localhost"] {
        let headers = format!("{good}origin: {origin}\r\n");
        stand.with("POST /v1/tasks/end", &headers, "").await.is_problem(403, "foreign_origin");
    }
    let ours = format!("{good}origin: http://{}\r\nsec-fetch-site: same-origin\r\n", stand.at);
    assert_eq!(stand.with("POST /v1/tasks/end", &ours, "").await.status, 200);
}

#[tokio::test]
async fn a_wrong_token_signs_nobody_in_and_after_too_many_has_to_wait() {
    let stand = stand().await;
    let headers = stand.host() + FORM;
    let wrong = stand.with("POST /login", &headers, "token=nope&next=//evil.test").await;
    assert_eq!((wrong.status, wrong.headers.get("set-cookie")), (401, None), "{wrong:?}");
    assert!(wrong.body.contains("role=\"alert\"") && !wrong.body.contains("evil.test"), "{}", wrong.body);
    for _ in 1..20 {
        assert_eq!(stand.with("POST /login", &headers, "token=nope").await.status, 401);
    }
    let late = stand.with("POST /login", &headers, "token=nope").await;
    assert_eq!(late.status, 429);
    assert!((1..=7).contains(&late.headers["retry-after"].parse::<u64>().unwrap()), "{late:?}");
    let bearer = stand.host() + "authorization: Bearer nope\r\n";
    stand.with("GET /v1/tasks", &bearer, "").await.is_problem(429, "too_often");
    // Nobody who shares the address locks an operator out.
    stand.signed_in().await;
    assert_eq!(stand.ask("GET /v1/tasks").await.status, 200);
}

#[tokio::test]
async fn nobody_is_sent_to_another_place_after_signing_in() {
    let stand = stand().await;
    for next in
        ["", "https://evil.test/", "//evil.test", "/%5Cevil.test", "/\\evil.test", "holds", "/a%0d%0ab"]
    {
        let body = format!("token={}&next={next}", stand.admin.reveal());
        let answer = stand.with("POST /login", &(stand.host() + FORM), &body).await;
        assert_eq!(answer.headers["location"], "/", "{next}");
    }
}

#[tokio::test]
async fn pages_let_in_nothing_inline_and_nothing_from_elsewhere() {
    let stand = stand().await;
    let page = stand.with("GET /login?next=%22%3E%3Cscript%3E", &stand.host(), "").await;
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    let policy = &page.headers["content-security-policy"];
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !page.body.contains("<script") && !page.body.contains("style="));
    assert_eq!(page.headers["referrer-policy"], "same-origin");
    assert_eq!(page.headers["cross-origin-opener-policy"], "same-origin");
    let data = stand.ask("GET /v1/tasks").await;
    assert_eq!(data.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
    assert_eq!(data.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn one_operator_asks_no_faster_than_it_may() {
    let stand = stand_with(|access| Access { requests_per_s: 1, ..access }).await;
    for _ in 0..10 {
        assert_eq!(stand.ask("GET /v1/tasks").await.status, 200);
    }
    let late = stand.ask("GET /v1/tasks").await;
    late.is_problem(429, "too_often");
    assert!(late.headers.contains_key("retry-after"));
    assert_eq!(stand.with("GET /healthz", &stand.host(), "").await.status, 200, "probes are nobody's");
}

#[tokio::test]
async fn without_a_provider_there_is_no_way_to_one() {
    let stand = stand().await;
    assert!(!stand.with("GET /login", &stand.host(), "").await.body.contains("/login/oidc"));
    assert_eq!(stand.with("GET /login/oidc", &stand.host(), "").await.status, 404);
    let back = stand.with("GET /login/oidc/callback?code=x&state=y", &stand.host(), "").await;
    assert_eq!(back.status, 404);
}
