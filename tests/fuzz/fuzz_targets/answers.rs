//! Answers with keys and tokens: the first byte says of which operation, the rest is the answer.
#![no_main]
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use remit_fuzz::call::Timestamp;
use remit_fuzz::catalog::TokenPlaces;

const FORM: &[(&str, &[u8])] = &[("content-type", b"application/x-www-form-urlencoded")];
const PIPELINE: &[(&str, &[u8])] = &[("x-amz-target", b"CodePipeline_20150709.PollForJobs")];

fn places() -> &'static [TokenPlaces] {
    static PLACES: OnceLock<Vec<TokenPlaces>> = OnceLock::new();
    PLACES.get_or_init(|| {
        [
            ("sts.amazonaws.com", "/", FORM, "Action=AssumeRole&Version=2011-06-15"),
            ("codepipeline.us-east-1.amazonaws.com", "/", PIPELINE, "{}"),
            ("api.github.com", "/app/installations/7/access_tokens", &[], ""),
            ("slack.com", "/api/oauth.v2.access", &[], ""),
        ]
        .into_iter()
        .map(|(host, target, headers, body)| {
            let head = remit_fuzz::head("POST", host, target, headers).expect("a head");
            let operations = remit_fuzz::ask(&head, body.as_bytes());
            remit_fuzz::shipped().tokens(&operations).expect("an operation that answers with tokens")
        })
        .collect()
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((which, answer)) = data.split_first() else { return };
    let Some(places) = places().get(usize::from(which & 3)) else { return };
    let Ok(given) = places.find(answer, Timestamp::from_unix_s(1_800_000_000)) else { return };
    // Shorter ones could not be told from other text.
    assert!(given.iter().all(|one| one.what.texts().iter().all(|text| text.len() >= 8)));
});
