//! The operator's services, read again.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Reload, Reloaded, first, look};
use crate::call::{Class, Clock};
use crate::record::{self, Journal};
use crate::runtime::clock::SystemClock;
use crate::runtime::config::{Config, Variables};

const ABOUT: &str = "format = 1\nname = \"billing\"\ntitle = \"Billing\"\nprotocol = \"rest\"\nhosts = [\"billing.example\"]\n\
    [provenance]\nsource = \"ours\"\nversion = \"1\"\ndate = \"2026-11-25\"\nlicence = \"own\"\n";

fn put(dir: &Path, class: &str) {
    let folder = dir.join("billing");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("service.toml"), ABOUT).unwrap();
    let lines = format!("#remit-operations 1\nPOST\t/invoices\tinvoices.create\t{class}\t-\n");
    std::fs::write(folder.join("operations.tsv"), lines).unwrap();
}

struct House {
    reload: Arc<Reload>,
    law: watch::Receiver<crate::pep::Law>,
    state: tempfile::TempDir,
    own: tempfile::TempDir,
}

fn house() -> House {
    let (state, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = Config::default_for_laptop(state.path().to_owned(), &Variables::default()).unwrap();
    config.catalog_dirs = vec![own.path().to_owned()];
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let journal = Arc::new(Journal::start(record::Settings::new(state.path()), clock).unwrap());
    let (read, loader, law) = first(&config).unwrap();
    let (sender, law) = watch::channel(law);
    let reload = Arc::new(Reload::new(config, loader, sender, journal, read));
    House { reload, law, state, own }
}

fn class(house: &House) -> Option<Class> {
    house.law.borrow().catalog.operation("billing:invoices.create").map(|(_, class)| class)
}

fn journal_text(house: &House) -> String {
    let files = std::fs::read_dir(house.state.path().join("journal")).unwrap();
    let texts = files.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    texts.collect()
}

#[tokio::test]
async fn a_new_service_counts_without_a_new_start_and_is_in_the_journal() {
    let house = house();
    assert_eq!(class(&house), None);
    put(house.own.path(), "act");
    assert!(matches!(house.reload.reload("change of catalog.dirs").await, Reloaded::Swapped { .. }));
    assert_eq!(class(&house), Some(Class::Act));
    put(house.own.path(), "delegate");
    assert!(matches!(house.reload.reload("operator").await, Reloaded::Swapped { .. }));
    assert_eq!(class(&house), Some(Class::Delegate));
    house.reload.journal.stop().await;
    let text = journal_text(&house);
    assert!(text.contains("change of catalog.dirs") && text.contains("operator"), "{text}");
}

#[tokio::test]
async fn one_broken_file_keeps_the_whole_old_catalog() {
    let house = house();
    put(house.own.path(), "act");
    assert!(matches!(house.reload.reload("operator").await, Reloaded::Swapped { .. }));
    put(house.own.path(), "no class");
    let other = house.own.path().join("other");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("service.toml"), ABOUT.replace("billing", "other")).unwrap();
    std::fs::write(other.join("operations.tsv"), "#remit-operations 1\n").unwrap();
    let Reloaded::Kept(why) = house.reload.reload("operator").await else { panic!("a broken file counts") };
    assert!(why.contains("operations.tsv"), "{why}");
    assert_eq!(class(&house), Some(Class::Act));
    assert!(!house.law.borrow().catalog.services().any(|service| &*service.0 == "other"));
    house.reload.journal.stop().await;
}

#[tokio::test]
async fn a_reload_that_cannot_be_written_down_fails_closed() {
    let house = house();
    put(house.own.path(), "act");
    house.reload.journal.stop().await;
    assert!(matches!(house.reload.reload("operator").await, Reloaded::Kept(_)));
    assert_eq!(class(&house), None);
}

#[tokio::test]
async fn what_changes_in_the_folders_is_found_once_it_has_come_to_rest() {
    let mut house = house();
    let before = look(&house.reload.config.catalog_dirs);
    let own = house.own.path().to_owned();
    let journal = house.reload.journal.clone();
    let watching = tokio::spawn(house.reload.clone().watch());
    put(&own, "act");
    assert_ne!(look(std::slice::from_ref(&own)), before);
    // The clock is a real one: under a paused one the journal, which is a thread, would be late for every entry.
    house.law.changed().await.unwrap();
    assert!(house.law.borrow().catalog.operation("billing:invoices.create").is_some());
    watching.abort();
    journal.stop().await;
}
