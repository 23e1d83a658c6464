use super::draft::{FEW_OBJECTS, FEW_OPERATIONS, Usage};
use crate::call::{Attributed, Call, Class, Decision, ServiceName};
use crate::judge::{PolicySource, Rules, SourceFile, Vocabulary, format, lab};

/// One service with many reads and a few acts.
struct Wide;

impl Vocabulary for Wide {
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        let class = match id.strip_prefix("github:")? {
            name if name.starts_with("get") => Class::Read,
            name if name.starts_with("set") => Class::Act,
            _ => return None,
        };
        Some((ServiceName("github".into()), class))
    }
    fn services(&self) -> Vec<ServiceName> {
        vec![ServiceName("github".into())]
    }
    fn operation_ids(&self) -> Vec<String> {
        (0..40).map(|n| format!("github:get-{n}")).chain((0..4).map(|n| format!("github:set-{n}"))).collect()
    }
}

fn call(operation: &str, object: Option<&str>) -> Call<Attributed> {
    let object =
        object.map(|id| format!("resource = {{ kind = \"repo\", id = {id:?} }}\n")).unwrap_or_default();
    let owner = object.split('"').nth(3).and_then(|id| id.split_once('/')).map(|(owner, _)| owner.to_owned());
    let facts =
        owner.map(|owner| format!("facts = {{ ancestors = [{{ kind = \"owner\", id = {owner:?} }}] }}\n"));
    lab::call(&format!("operation = {operation:?}\n{object}{}", facts.unwrap_or_default()), &Wide).unwrap()
}

fn draft(calls: &[Call<Attributed>]) -> (String, Rules) {
    // As two readers would share them.
    let (mut one, mut two) = (Usage::default(), Usage::default());
    for (at, call) in calls.iter().enumerate() {
        if at % 2 == 0 { one.note(call, &Wide) } else { two.note(call, &Wide) }
    }
    one.add(two);
    let file = SourceFile { name: "suggested.cedar".into(), text: one.draft(&Wide) };
    let text = format::formatted(&file).unwrap_or_else(|why| panic!("{why}\n{}", file.text));
    let file = SourceFile { text: text.clone(), ..file };
    let rules = Rules::load(&PolicySource::embedded().with_policies(file), &Wide);
    (text, rules.unwrap_or_else(|errors| panic!("{errors}")))
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn few_operations_and_objects_are_named_and_counted() {
    let calls = [
        call("github:get-1", Some("octo/a")),
        call("github:get-1", Some("octo/b")),
        call("github:get-2", Some("octo/a")),
    ];
    let (text, rules) = draft(&calls);
    let text = flat(&text);
    assert!(text.contains("// 3 read calls // 2 of github:get-1 // 1 of github:get-2"), "{text}");
    assert!(text.contains("action in [Action::\"github:get-1\", Action::\"github:get-2\"]"), "{text}");
    assert!(text.contains("[\"octo/a\", \"octo/b\"].contains(resource.id)"), "{text}");
    let decide = |call: &Call<Attributed>| rules.rule(call).decision();
    assert_eq!(decide(&call("github:get-1", Some("octo/c"))), Decision::Deny);
    assert_eq!(decide(&call("github:get-3", Some("octo/a"))), Decision::Deny);
}

#[test]
fn many_objects_become_what_they_lie_in() {
    let names: Vec<_> =
        (0..=FEW_OBJECTS).map(|n| format!("{}/{n}", if n % 2 == 0 { "octo" } else { "acme" })).collect();
    let calls: Vec<_> = names.iter().map(|name| call("github:set-1", Some(name))).collect();
    let (text, rules) = draft(&calls);
    assert!(
        flat(&text)
            .contains("resource in [Resource::\"github/owner/acme\", Resource::\"github/owner/octo\"]"),
        "{text}"
    );
    let decide = |call: &Call<Attributed>| rules.rule(call).decision();
    assert_eq!(decide(&call("github:set-1", Some("octo/new"))), Decision::Allow);
    assert_eq!(decide(&call("github:set-1", Some("evil/new"))), Decision::Deny);
    // And if they lie in too many things, it is the service.
    let names: Vec<_> = (0..=FEW_OBJECTS).map(|n| format!("owner{n}/x")).collect();
    let calls: Vec<_> = names.iter().map(|name| call("github:set-1", Some(name))).collect();
    assert!(!draft(&calls).0.contains("when"));
}

#[test]
fn many_operations_become_their_group() {
    let calls: Vec<_> =
        (0..=FEW_OPERATIONS).map(|n| call(&format!("github:get-{n}"), Some("octo/a"))).collect();
    let (text, rules) = draft(&calls);
    let text = flat(&text);
    assert!(text.contains("action in Action::\"read\""), "{text}");
    assert!(text.contains("of 17 operations that the catalog names (40 are in this group)"), "{text}");
    let decide = |call: &Call<Attributed>| rules.rule(call).decision();
    assert_eq!(decide(&call("github:get-30", Some("octo/a"))), Decision::Allow);
    assert_eq!(decide(&call("github:set-1", Some("octo/a"))), Decision::Deny);
}

#[test]
fn a_draft_allows_all_that_was_seen() {
    // A small linear congruential generator: the same calls each time.
    let mut state = 5_u64;
    let mut below = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    for _ in 0..12 {
        let (operations, owners, repos) = (1 + below(30), 1 + below(12), 1 + below(12));
        let calls: Vec<_> = (0..=below(60))
            .map(|_| {
                let name = if below(5) == 0 {
                    format!("github:set-{}", below(4))
                } else {
                    format!("github:get-{}", below(operations))
                };
                let object = format!("owner{}/\"repo\\{}", below(owners), below(repos));
                let operation = if below(40) == 0 { "unknown:act".to_owned() } else { name };
                let object = (below(30) != 0).then_some(object.as_str()).map(str::to_owned);
                match operation.as_str() {
                    "unknown:act" => {
                        lab::call("operation = \"unknown:act\"\nservice = \"github\"\n", &Wide).unwrap()
                    }
                    _ => call(&operation, object.as_deref()),
                }
            })
            .collect();
        let (text, rules) = draft(&calls);
        for call in &calls {
            assert_eq!(rules.rule(call).decision(), Decision::Allow, "{:?}\n{text}", call.stage().operations);
        }
    }
}

#[test]
fn whoever_delegated_a_call_is_granted_it_too() {
    let above = lab::call("operation = \"github:get-1\"\nagent = \"boss\"\n", &Wide).unwrap();
    let link = crate::call::Link {
        task: above.stage().task.clone(),
        profile: std::sync::Arc::default(),
        history: crate::call::History::default(),
    };
    let delegated = call("github:get-1", None).standing_in(std::sync::Arc::default(), vec![link]);
    let (text, rules) = draft(std::slice::from_ref(&delegated));
    assert!(text.contains("agent/boss") && text.contains("agent/coder"), "{text}");
    assert_eq!(rules.rule(&delegated).decision(), Decision::Allow);
}
