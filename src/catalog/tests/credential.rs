//! Where the catalog says that credentials stand.

use crate::catalog::{Catalog, Credential};

#[test]
fn the_catalog_says_where_credentials_stand() {
    let catalog = Catalog::shipped().unwrap();
    let github = catalog.credential("github").unwrap();
    assert_eq!(
        (github.look.as_deref(), github.env.as_slice()),
        (Some("ghp_"), ["GITHUB_TOKEN".to_owned()].as_slice())
    );
    assert_eq!(catalog.credential("api.github.com").map(|one| one.env), Some(github.env), "by its host too");
    assert_eq!(catalog.credential("anthropic").unwrap().header.as_deref(), Some("x-api-key"));
    assert_eq!(catalog.credential("aws-s3").unwrap().signing_name.as_deref(), Some("s3"));
    assert_eq!(catalog.credential("nobody.test"), None);
    let broken = Credential { format: Some("Bearer".into()), ..Credential::default() };
    assert!(broken.check().unwrap_err().why.contains("no place for a credential"));
}
