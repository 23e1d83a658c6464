use std::path::Path;

use super::{Finding, check, test};
use crate::call::{Class, ServiceName};
use crate::judge::{PolicySource, SourceFile, Vocabulary};

/// A catalog of one service.
struct Small;

impl Vocabulary for Small {
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        (id == "github:issues/create").then(|| (ServiceName("github".into()), Class::Act))
    }
    fn services(&self) -> Vec<ServiceName> {
        vec![ServiceName("github".into())]
    }
    fn operation_ids(&self) -> Vec<String> {
        vec!["github:issues/create".into()]
    }
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.into(), text: text.into() }
}

/// The repository's policies without their cases.
fn shipped() -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    ["00-guardrails.cedar", "10-read.cedar", "20-act.cedar", "30-delegate.cedar"]
        .map(|name| file(name, &std::fs::read_to_string(folder.join(name)).unwrap()))
        .into()
}

#[test]
fn check_prints_one_line_or_every_problem() {
    let mut out = Vec::new();
    assert_eq!(check(&Ok(PolicySource::embedded()), &Small, &mut out).unwrap(), Finding::Sound);
    let line = String::from_utf8(out).unwrap();
    assert!(
        line.starts_with("11 policies in 5 files, 7 invariants, 6 actions in the schema, sha256:"),
        "{line}"
    );

    let bad =
        PolicySource::of_files(vec![file("a.cedar", "permit (principal, action, resource);")], "policies");
    let mut out = Vec::new();
    assert_eq!(check(&bad, &Small, &mut out).unwrap().exit_code(), 1);
    let told = String::from_utf8(out).unwrap();
    assert!(
        told.starts_with("a.cedar:1:1: the policy has no `@id`") && told.ends_with("\n1 problem found\n"),
        "{told}"
    );
}

#[test]
fn test_tells_what_went_otherwise() {
    let run = |cases: &str| {
        let mut files = shipped();
        files.push(file("tests/mine.toml", cases));
        let source = PolicySource::of_files(files, "policies").unwrap();
        let mut out = Vec::new();
        let finding = test(&Ok(source), &Small, &mut out).unwrap();
        (finding, String::from_utf8(out).unwrap())
    };
    let (finding, told) =
        run("[[case]]\nname = \"one\"\noperation = \"github:issues/create\"\nexpect = \"allow\"\n");
    assert_eq!(finding, Finding::Wanting);
    assert!(
        told.starts_with(
            "tests/mine.toml: one: expected allow, got hold by act-not-listed\n1 case, 1 not as expected"
        ),
        "{told}"
    );

    let (finding, told) = run(
        "[[case]]\nname = \"one\"\nagent = \"ci\"\noperation = \"github:issues/create\"\nexpect = \"hold\"\npolicy = \"other\"",
    );
    assert_eq!(finding, Finding::Wanting, "held, but by another policy: {told}");

    let (finding, told) =
        run("[[case]]\nname = \"one\"\noperation = \"github:issues/creat\"\nexpect = \"deny\"");
    assert_eq!(finding, Finding::Wanting);
    assert!(
        told.contains("tests/mine.toml:1:1: case `one`: the catalog has no operation `github:issues/creat`"),
        "{told}"
    );

    let (finding, told) =
        run("[[case]]\nname = \"one\"\nservice = \"github\"\nclas = \"act\"\nexpect = \"deny\"");
    assert_eq!(finding, Finding::Wanting);
    assert!(told.contains("unknown field `clas`"), "{told}");

    let (finding, told) = run("");
    assert_eq!((finding, told.starts_with("there are no cases")), (Finding::Wanting, true));

    let (finding, told) = run(
        "[[case]]\nname = \"one\"\nagent = \"ci\"\nintent = \"x\"\nlabels = { a = \"b\" }\nservice = \"github\"\nclass = \"read\"\nhost = \"api.github.com\"\nmethod = \"POST\"\npath = \"/x\"\nhistory = { acts = 3 }\nexpect = \"allow\"",
    );
    assert_eq!((finding, told.as_str()), (Finding::Sound, "1 case, all as expected\n"));
}
