//! Under numbers, in a schema with what it names alone, a policy is found as valid as under its names in a schema with
//! every operation of the catalog.

use std::collections::BTreeMap;

use cedar_policy::{PolicySet, ValidationMode, Validator};

use super::ground::{OPERATIONS, Small, file};
use super::slicing::{Dice, roll};
use crate::judge::draft;
use crate::judge::groups::Groups;
use crate::judge::lab::{self, Extent};
use crate::judge::schema::Types;
use crate::judge::shape::{self, Shape};
use crate::judge::vocabulary::{Checker, Named};
use crate::judge::{PolicySource, SourceFile, Vocabulary};

/// What makes a policy invalid, impossible, or neither, in ways that have to do with actions.
const CONDITIONS: [&str; 10] = [
    "",
    "when { action in Action::\"read\" }",
    "when { action in Action::\"github\" && action in Action::\"act\" }",
    "when { action == Action::\"github:issues/get\" || action == Action::\"slack:chat.postMessage\" }",
    "when { action in [Action::\"stripe\", Action::\"github:orgs/invite\"] }",
    "unless { action in Action::\"delegate\" }",
    "when { action == Action::\"unknown:act\" }",
    "when { context.history.acts == \"three\" }",
    "when { resource.kind == \"repo\" }",
    "when { context.args }",
];

fn valid(policy: &cedar_policy::Policy, validator: &Validator) -> bool {
    let set = PolicySet::from_policies([policy.clone()]).unwrap();
    validator.validate(&set, ValidationMode::Strict).validation_passed_without_warnings()
}

#[test]
fn the_printed_schema_is_one_and_lists_what_it_should() {
    let source = PolicySource::of_files(
        vec![file(
            "p.cedar",
            "@id(\"p\") permit (principal, action == Action::\"github:issues/get\", resource);",
        )],
        "policies",
    );
    let source = source.unwrap();
    for (extent, listed) in [(Extent::Working, 1), (Extent::Full, OPERATIONS.len())] {
        let text = lab::schema(&source, &Small, extent).unwrap();
        let (schema, _) = cedar_policy::Schema::from_cedarschema_str(&text).unwrap();
        let known = |id: &str| schema.actions().any(|action| action.id().unescaped() == id);
        assert_eq!(OPERATIONS.iter().filter(|(id, ..)| known(id)).count(), listed, "{extent:?}");
        assert!(known("*:*act") && known("unknown:read"), "{extent:?}");
    }
}

#[test]
fn numbers_and_a_small_schema_change_no_verdict() {
    let schema = include_str!("../../../policies/remit.cedarschema");
    let types = Types::parse(&file("remit.cedarschema", schema)).unwrap();
    let every: BTreeMap<_, _> =
        OPERATIONS.iter().map(|(id, ..)| ((*id).to_owned(), Small.operation(id).unwrap())).collect();
    let full = Named::of(every, Small.services().into_iter().collect());
    let full = Validator::new(types.with(&full).unwrap());
    let groups =
        Groups::parse(&SourceFile { name: "groups.toml".into(), text: super::slicing::GROUPS.into() });
    let groups = groups.unwrap();
    let checker = Checker::new(&Small, &groups);
    let rounds = if std::env::var_os("REMIT_TEST_FULL").is_some() { 5_000 } else { 150 };
    let (mut dice, mut passed) = (Dice(3), 0);
    for at in 0..rounds {
        let text = format!("{} {};", roll(&mut dice, at).scope, dice.of(&CONDITIONS));
        let source = file("p.cedar", &text);
        let mut problems = Vec::new();
        let drafts = draft::read(&source, &draft::Earlier::new(), &mut problems);
        assert!(problems.is_empty(), "{text}: {problems:?}");
        let (named, problems) = checker.check(&drafts[0]);
        assert!(problems.is_empty(), "{text}: {problems:?}");
        let policy = &drafts[0].parsed.policy;
        let (shape, numbers) = Shape::of(&named);
        let small = Validator::new(types.with(&shape.named()).unwrap());
        let numbered = shape::numbered(policy, numbers).unwrap();
        let verdict = valid(policy, &full);
        assert_eq!(valid(&numbered, &small), verdict, "{text}\nas {numbered}");
        passed += u32::from(verdict);
    }
    let rounds = u32::try_from(rounds).unwrap();
    assert!(
        passed > rounds / 4 && passed < rounds * 3 / 4,
        "{passed} of {rounds} are valid: a one-sided test"
    );
}
