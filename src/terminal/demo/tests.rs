//! The story is sound, and it is told.

use super::story::Story;
use super::{Folder, origin::Origin};

#[test]
fn the_story_shows_a_read_an_act_and_a_delegation() {
    let story = Story::shipped().unwrap();
    let catalog = crate::catalog::Catalog::shipped().unwrap();
    let methods: Vec<_> = story.steps.iter().map(|step| step.method.as_str()).collect();
    assert_eq!(methods, ["GET", "POST", "PUT"]);
    assert!(catalog.services().next().is_some());
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
