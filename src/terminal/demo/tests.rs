//! The story is sound, and it is told.

use http::{HeaderMap, StatusCode};

use super::story::Story;
use super::{Folder, origin::Origin, show};
use crate::terminal::client::Answer;
use crate::terminal::screen::Paint;

#[test]
fn the_story_shows_a_read_an_act_and_a_delegation() {
    let story = Story::shipped().unwrap();
    let methods: Vec<_> = story.steps.iter().map(|step| step.method.as_str()).collect();
    assert_eq!(methods, ["GET", "POST", "PUT"]);
}

#[test]
fn a_refusal_is_shown_in_its_own_words() {
    let mut headers = HeaderMap::new();
    headers.insert("remit-refusal", "policy_denied".parse().unwrap());
    let body = r#"{"detail":"no, because","operation":"s:make","class":"act","policies":["p1","p2"]}"#.into();
    let shown = show::answer(&Answer { status: StatusCode::FORBIDDEN, headers, body }, Paint::plain());
    assert_eq!(
        shown,
        "  came back  403 Forbidden, remit-refusal: policy_denied\n             no, because\n             \
         operation: s:make · class: act · policies: p1, p2\n"
    );
}

#[test]
fn the_folder_is_gone_afterwards() {
    let folder = Folder::new().unwrap();
    let path = folder.path.clone();
    assert!(path.is_dir());
    drop(folder);
    assert!(!path.exists());
}

#[tokio::test]
async fn the_origin_answers_the_story_alone() {
    let story = Story::shipped().unwrap();
    let origin = Origin::listen(&story).await.unwrap();
    assert!(origin.address().ip().is_loopback());
    assert!(origin.seen().is_empty());
}
