//! Policy directories.

use std::fs;
use std::path::Path;

use super::ground::Small;
use crate::judge::{LoadErrors, PolicySource, Rules};

const OK: &str = "@id(\"ok\") permit (principal, action, resource);\n";

fn put(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn load(directory: &Path) -> Result<Vec<String>, LoadErrors> {
    let rules = Rules::load(&PolicySource::dir(directory)?, &Small)?;
    Ok(rules.policies().iter().map(ToString::to_string).collect())
}

#[test]
fn a_directory_is_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "b.cedar", OK);
    put(
        directory.path(),
        "teams/a/x.cedar",
        "@id(\"deep\") permit (principal in Group::\"g\", action, resource);",
    );
    put(directory.path(), "groups.toml", "g = []");
    put(directory.path(), ".swap.cedar", "rubbish");
    put(directory.path(), "README.md", "rubbish");
    put(directory.path(), "tests/a.toml", "");
    assert_eq!(load(directory.path()), Ok(vec!["deep".to_owned(), "ok".to_owned()]));
    assert_eq!(PolicySource::dir(directory.path()).unwrap().cases().len(), 1);
}

#[test]
fn an_unreadable_directory_fails_closed() {
    let directory = tempfile::tempdir().unwrap();
    let told = load(directory.path()).unwrap_err().to_string();
    assert!(
        told.contains("there is no policy here") && told.contains("help: put *.cedar files there"),
        "{told}"
    );
    let told = load(&directory.path().join("absent")).unwrap_err().to_string();
    assert!(told.contains("absent: cannot be read: "), "{told}");

    put(directory.path(), "ok.cedar", OK);
    put(directory.path(), "bad.cedar", b"\xff\xfe");
    let told = load(directory.path()).unwrap_err().to_string();
    assert!(told.contains("bad.cedar: cannot be read: "), "{told}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_broken_ones_fail_closed() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "..data/a.cedar", OK);
    std::os::unix::fs::symlink("..data/a.cedar", directory.path().join("a.cedar")).unwrap();
    assert_eq!(load(directory.path()), Ok(vec!["ok".to_owned()]), "as a ConfigMap is mounted");
    std::os::unix::fs::symlink("nowhere", directory.path().join("b.cedar")).unwrap();
    assert!(load(directory.path()).is_err());
    fs::remove_file(directory.path().join("b.cedar")).unwrap();
    std::os::unix::fs::symlink(".", directory.path().join("round")).unwrap();
    let told = load(directory.path()).unwrap_err().to_string();
    assert!(told.contains("directories deep"), "{told}");
}
