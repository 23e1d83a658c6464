//! Loading once more: what was found sound is not looked at again, and nothing else is taken for sound.

use super::ground::{Small, file, load_files};
use crate::call::{Class, ServiceName};
use crate::judge::{LoadErrors, Loader, PolicySource, Rules, Vocabulary};

const READS: &str = "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n";

fn source(files: &[(&str, &str)]) -> PolicySource {
    PolicySource::of_files(files.iter().map(|(name, text)| file(name, text)).collect(), "policies").unwrap()
}

fn load(loader: &mut Loader, files: &[(&str, &str)]) -> Result<Rules, LoadErrors> {
    loader.load(&source(files), &Small)
}

#[test]
fn a_second_load_says_what_a_first_one_would() {
    let bad = "@id(\"bad\") permit (principal, action, resource) when { context.nothing };\n";
    let odd = "@id(\"odd\") @hodl(\"x\") permit (principal, action, resource);\n";
    let ghost = "@id(\"ghost\") forbid (principal in Group::\"g\", action, resource);\n";
    let name = "@id(\"n\") permit (principal, action == Action::\"github:issues/get\", resource) when { resource.catalogued };\n";
    let mut loader = Loader::default();
    for text in [READS, bad, READS, odd, odd, ghost, ghost, bad, name, name, READS] {
        let files = [("p.cedar", format!("{READS}{text}").replace(&READS.repeat(2), READS))];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let (again, anew) = (load(&mut loader, &files), load_files(&files));
        match (again, anew) {
            (Ok(again), Ok(anew)) => {
                assert_eq!((again.digest(), again.policies()), (anew.digest(), anew.policies()));
            }
            (again, anew) => assert_eq!(again.err(), anew.err(), "{text}"),
        }
    }
}

#[test]
fn another_schema_makes_all_policies_new() {
    let mut loader = Loader::default();
    let text =
        "@id(\"late\") permit (principal, action, resource) when { context.evidence == \"assumed\" };\n";
    load(&mut loader, &[("p.cedar", text)]).unwrap();
    let schema = include_str!("../../../policies/remit.cedarschema");
    let other = schema.replace("  evidence: String,", "  evidence: Bool,");
    let told = load(&mut loader, &[("p.cedar", text), ("s.cedarschema", &other)]).unwrap_err().to_string();
    assert!(told.contains("policy `late`"), "valid under the first schema, and not under this one: {told}");
}

/// `Small`, after somebody found out that `github:issues/get` is an act.
struct Corrected;
impl Vocabulary for Corrected {
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        let (service, class) = Small.operation(id)?;
        Some((service, if id == "github:issues/get" { Class::Act } else { class }))
    }
    fn services(&self) -> Vec<ServiceName> {
        Small.services()
    }
    fn operation_ids(&self) -> Vec<String> {
        Small.operation_ids()
    }
}

#[test]
fn another_class_in_the_catalog_makes_a_policy_new() {
    let text = "@id(\"get\") permit (principal, action == Action::\"github:issues/get\", resource) \
                when { action in Action::\"read\" };\n";
    let mut loader = Loader::default();
    load(&mut loader, &[("p.cedar", text)]).unwrap();
    let told = loader.load(&source(&[("p.cedar", text)]), &Corrected).unwrap_err().to_string();
    assert!(told.contains("get"), "it can never apply to an act: {told}");
}

#[test]
fn files_are_cut_where_cedar_ends_a_policy() {
    let text = "// a comment; with \"half a string\n@id(\"a;b\")".replace("a;b", "a")
        + " @reason(\"it; ends \\\"; here // not\") permit (principal, action, resource); // ; \"\r"
        + "@id(\"b\") forbid (principal, action, resource) when { context.http.path == \"/;//\" };\n// the end;";
    let rules = load_files(&[("p.cedar", &text)]).unwrap_or_else(|errors| panic!("{errors}"));
    let ids: Vec<_> = rules.policies().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn a_later_policys_mistake_is_shown_at_its_line() {
    let told = load_files(&[(
        "p.cedar",
        &format!("{READS}\n// two\n@id(\"b\") permit (principal, action resource);"),
    )]);
    let told = told.unwrap_err().to_string();
    assert!(told.starts_with("p.cedar:4:36: "), "{told}");
}
