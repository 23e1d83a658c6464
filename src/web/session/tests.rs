use axum::http::HeaderValue;

use super::*;

const LIFE: Life = Life { idle: Duration::from_secs(60), whole: Duration::from_secs(150) };

struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    }
}

/// One draw unlike the next.
struct Drawn(std::sync::atomic::AtomicU64);

impl Entropy for Drawn {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1 << 32, std::sync::atomic::Ordering::SeqCst).to_be_bytes();
        buffer.iter_mut().zip(number).for_each(|(to, byte)| *to = byte);
    }
}

fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_s(1_800_000_000 + s)
}

fn begun() -> (Sessions, String) {
    let sessions = Sessions::new(LIFE);
    let name = sessions.begin(Operator::local(), at(0), &Counting(0.into()));
    (sessions, name.reveal().clone())
}

#[test]
fn a_session_ends_when_it_is_idle_and_at_the_latest_after_its_whole_life() {
    let (sessions, name) = begun();
    for s in [59, 118, 149] {
        assert!(sessions.find(&name, at(s)).is_some(), "{s}");
    }
    assert!(sessions.find(&name, at(150)).is_none());
    let (sessions, name) = begun();
    assert!(sessions.find(&name, at(60)).is_none());
    assert!(sessions.find(&name, at(1)).is_none(), "what is over stays over");
}

#[test]
fn a_session_that_was_ended_is_nobodys_and_its_token_is_not_its_name() {
    let (sessions, name) = begun();
    let (operator, csrf) = sessions.find(&name, at(1)).unwrap();
    assert_eq!(operator, Operator::local());
    assert!(csrf.is(&csrf.0) && !csrf.is(&name) && !csrf.is(""));
    sessions.end(&name);
    assert!(sessions.find(&name, at(1)).is_none());
}

#[test]
fn there_are_no_more_sessions_than_fit() {
    let (sessions, first) = begun();
    for s in 1..1_011_u64 {
        sessions.begin(Operator::local(), at(1 + s / 100), &Drawn(s.into()));
    }
    assert_eq!(sessions.all.lock().unwrap().len(), MAX_SESSIONS);
    assert!(sessions.find(&first, at(2)).is_none(), "the quietest went first");
}

#[test]
fn cookies_over_tls_are_bound_to_host_and_tls() {
    let place = |scheme| Place { scheme, authority: "localhost:8119".into(), port: 8119 };
    let plain = place("http").set("remit", "x", Duration::from_secs(5));
    assert_eq!(plain, "remit-8119=x; Path=/; Max-Age=5; HttpOnly; SameSite=Lax");
    let secure = place("https").set("remit", "x", Duration::from_secs(5));
    assert_eq!(secure, "__Host-remit-8119=x; Path=/; Max-Age=5; HttpOnly; SameSite=Lax; Secure");
    let sent = |value: &str| {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(value).unwrap())]);
        place("https").sent("remit", &headers).map(str::to_owned)
    };
    assert_eq!(sent("a=b; __Host-remit-8119=x"), Some("x".into()));
    for value in ["remit-8119=x", "__Host-remit-8119=x; __Host-remit-8119=y", "__Host-remit-81190=x", ""] {
        assert_eq!(sent(value), None, "{value}");
    }
}
