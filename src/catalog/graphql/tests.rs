//! What is read of executable documents, held against a parser of the whole grammar.

use apollo_parser::Parser;
use apollo_parser::cst::{self, Selection, SelectionSet};
use proptest::prelude::*;

use super::executable::{Definition, Document, Selected, read};

/// Of each definition: whether it is a fragment, its kind, its name, what it selects.
type Told = Vec<(bool, &'static str, Option<String>, Vec<String>)>;

/// The same by another's parser; `None` where it finds a fault, or a definition of a type.
fn by_tree(text: &str) -> Option<Told> {
    let tree = Parser::new(text).recursion_limit(500).token_limit(1_000_000).parse();
    if tree.errors().len() > 0 {
        return None;
    }
    let mut found = Vec::new();
    for definition in tree.document().definitions() {
        match definition {
            cst::Definition::FragmentDefinition(it) => {
                let name = it.fragment_name()?.name()?.text().to_string();
                found.push((true, "", Some(name), selected(it.selection_set()?)));
            }
            cst::Definition::OperationDefinition(it) => {
                let kind = match it.operation_type() {
                    Some(kind) if kind.mutation_token().is_some() => "MUTATION",
                    Some(kind) if kind.subscription_token().is_some() => "SUBSCRIPTION",
                    _ => "QUERY",
                };
                let name = it.name().map(|name| name.text().to_string());
                found.push((false, kind, name, selected(it.selection_set()?)));
            }
            _ => return None,
        }
    }
    found.sort();
    Some(found)
}

fn selected(set: SelectionSet) -> Vec<String> {
    let (mut open, mut found) = (vec![set], Vec::new());
    while let Some(set) = open.pop() {
        for selection in set.selections() {
            match selection {
                Selection::Field(field) => found.push(field.name().unwrap().text().to_string()),
                Selection::FragmentSpread(spread) => {
                    found.push(format!("...{}", spread.fragment_name().unwrap().name().unwrap().text()));
                }
                Selection::InlineFragment(inline) => open.extend(inline.selection_set()),
            }
        }
    }
    found.sort();
    found
}

fn by_us(text: &str) -> Option<Told> {
    let Document { operations, fragments } = read(text)?;
    let tell = |fragment: bool| {
        move |one: &Definition<'_>| {
            let mut names: Vec<String> = one
                .selected
                .iter()
                .map(|one| match one {
                    Selected::Field(name) => (*name).to_owned(),
                    Selected::Spread(name) => format!("...{name}"),
                })
                .collect();
            names.sort();
            (fragment, one.kind, one.name.map(str::to_owned), names)
        }
    };
    let mut found: Vec<_> =
        operations.iter().map(tell(false)).chain(fragments.iter().map(tell(true))).collect();
    found.sort();
    Some(found)
}

#[test]
fn documents_are_read_as_a_parser_of_the_whole_grammar_reads_them() {
    for text in [
        "{a}",
        "{ a: b(x: {y: [1, -2.5e3, \"}\", $v, ENUM, true]}) @skip(if: false) { c { d } } e }",
        "query Q($n: Int = 3 @d, $m: [T!]! = [{a: 1}]) @live { ...F ... on U @x { g h: i } ... @include(if: $b) { j } ... { k } }
         fragment F on Query @y { l { m } ...G } fragment G on Query { n }",
        "mutation { query: mutation { on } fragment subscription }",
        "subscription on { on: query }",
        "\u{feff}query,,,{#}\n a,b # {\n,c}",
        "{ a(s: \"\\\" { \\u00e9 \\\\\") b(t: \"\"\" \"x\" \\\"\"\" } \"\"\") c(e: \"\", f: \"\"\"\"\"\") }",
        "query A { a } query B { b } mutation C { c }",
        "{ a(x: 0, y: -1, z: 1.5E+10) }",
    ] {
        assert!(by_tree(text).is_some(), "{text}");
        assert_eq!(by_us(text), by_tree(text), "{text}");
    }
}

#[test]
fn what_no_server_takes_gives_nothing() {
    for text in [
        "{",
        "}",
        "{}",
        "{a",
        "{a}}",
        "{a{}}",
        "{a:}",
        "{a(}",
        "{a(x:[1)]}",
        "query",
        "query {",
        "query Q Q {a}",
        "{...}",
        "{... on {a}}",
        "{...F{a}}",
        "fragment on on T {a}",
        "fragment F T {a}",
        "fragment F on T",
        "{a @}",
        "{a(x:\"\n\")}",
        "{a(x:\"\\q\")}",
        "{a(x:\"\"\"\")}",
        "{a(x:1.)}",
        "{a(x:1a)}",
        "{a(x:-)}",
        "{a..b}",
        "{ä}",
        "{a\u{0}}",
        "type T {a: B}",
        "schema {query: Q}",
        "{a ? b}",
        "{1}",
        "\"about\" {a",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert!(read(&("{a".repeat(99) + &"}".repeat(99))).is_some());
    assert_eq!(read(&("{a".repeat(101) + &"}".repeat(101))), None);
    assert_eq!(read(&format!("{{a(x:{}1{})}}", "[".repeat(200), "]".repeat(200))), None);
    assert_eq!(read(&format!("{{{}}}", "a ".repeat(200_000))), None);
}

/// Texts of the pieces that documents are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => "[{}()\\[\\]:$@!=|&]",
        3 => prop::sample::select(vec!["...", "on", "query", "mutation", "subscription", "fragment", "a", "bC_1", "F", "{a}", "(x: 1)", "@d"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["\"s\"", "\"\"", "\"\"\"b\"\"\"", "1", "-1.5e3", "#c\n", ",", "\u{feff}", "\"\\\"{\""]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..25).prop_map(|all| all.join(" "))
}

fn set() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["a", "b: c", "d(x: [{y: \"}\"}])", "...F", "e @s(if: $v)", "on", "query"])
            .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 4, |inner| {
        let many = prop::collection::vec(inner, 1..4).prop_map(|all| all.join(" "));
        prop_oneof![
            many.clone().prop_map(|all| format!("f {{ {all} }}")),
            many.clone().prop_map(|all| format!("... on T @d {{ {all} }}")),
            many.prop_map(|all| format!("... {{ {all} }}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_document_that_a_whole_parser_takes_is_read_alike(
        kinds in prop::collection::vec((prop::sample::select(vec!["", "query Q", "mutation($v: T = {a: [1]})", "subscription @d", "fragment F on T"]), set()), 1..4)
    ) {
        let text: Vec<String> = kinds.iter().map(|(kind, set)| format!("{kind} {{ {set} }}")).collect();
        let text = text.join("\n");
        prop_assert!(by_tree(&text).is_some(), "{text}");
        prop_assert_eq!(by_us(&text), by_tree(&text), "{}", text);
    }

    #[test]
    fn nothing_that_a_whole_parser_takes_is_read_otherwise(text in pieces()) {
        if let Some(tree) = by_tree(&text).filter(|tree| !tree.is_empty()) {
            prop_assert_eq!(by_us(&text), Some(tree), "{}", text);
        }
    }
}
