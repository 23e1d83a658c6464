//! `remit policy suggest`: the least that agents would have needed, drafted from what they were allowed to do.
//!
//! One permit for each agent, service and class: the operations that were used, by name where the catalog knows them, and the
//! objects where they were few. The draft is loaded and the journal judged under it before it is printed: it allows all that
//! was allowed, or it is said what it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::past::Past;
use super::{replay, screen};
use crate::call::{Class, Decision, Operation, PolicyId};
use crate::judge::{PolicySource, Rules, SourceFile, Vocabulary};
use crate::record::{Filter, What, search};

/// More objects than this are not listed: the agent works on whatever there is.
const FEW: usize = 8;

/// What an agent did of one class at one service.
#[derive(Default)]
struct Used {
    calls: u64,
    named: BTreeSet<String>,
    /// Whether some of it has no name in the catalog.
    unnamed: bool,
    /// Kind and id of each object; nothing once a call had none.
    objects: Option<BTreeSet<(String, String)>>,
}

/// By agent, service and class.
type Usage = BTreeMap<(String, String, Class), Used>;

/// Drafts, tries the draft, prints it.
pub(super) fn run(
    state: &Path,
    source: &PolicySource,
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
) -> Result<ExitCode, Failure> {
    let (usage, decided) = observe(state, vocabulary)?;
    if usage.is_empty() {
        return Err(Failure::found_wanting(format!(
            "the journal in `{}` has no allowed call",
            state.display()
        ))
        .remedy("run agents under policies that are wide enough for a while, then ask again"));
    }
    let text = draft(&usage);
    let drafted = source.with_policies(SourceFile { name: "suggested.cedar".into(), text: text.clone() });
    let drafted = Rules::load(&drafted, vocabulary).map_err(|errors| {
        Failure::found_wanting(format!("the draft does not load, which is a bug of remit:\n{errors}"))
    })?;
    let (replayed, _) = replay::replay(state, &drafted)?;
    screen::print(&text)?;
    let idle: Vec<_> = rules.policies().into_iter().filter(|id| !decided.contains(id)).collect();
    for id in &idle {
        screen::tell(&format!("`{id}` is in force and decided no call of the journal"));
    }
    let missed: u64 = replayed.denied.values().sum();
    screen::tell(&format!(
        "drafted from {} calls; under the draft {missed} of those that were allowed would be denied",
        replayed.calls
    ));
    for ((agent, operation, class), calls) in &replayed.denied {
        screen::tell(&format!("  {calls} of {operation} ({class}) by {agent}"));
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn observe(state: &Path, vocabulary: &dyn Vocabulary) -> Result<(Usage, BTreeSet<PolicyId>), Failure> {
    let (mut past, mut usage, mut decided) = (Past::default(), Usage::new(), BTreeSet::new());
    search(state, &Filter::default(), |found| {
        let what = &found.entry.what;
        if let What::Opened(facts) | What::Refused(facts) = what {
            decided.extend(facts.policies.iter().cloned());
            decided.extend(facts.observed.iter().flat_map(|observed| observed.policies.clone()));
            let allowed = facts.decision == Some(Decision::Allow);
            if let (true, Some(call)) = (allowed, past.call(facts)) {
                let agent = call.stage().principal.agent.to_string();
                for operation in call.stage().operations.iter() {
                    let kind = (agent.clone(), operation.service.to_string(), operation.class);
                    usage.entry(kind).or_insert_with(Used::none).add(operation, vocabulary);
                }
            }
        }
        ControlFlow::Continue(())
    })
    .map_err(|error| Failure::found_wanting(error.to_string()))?;
    Ok((usage, decided))
}

impl Used {
    fn none() -> Self {
        Self { objects: Some(BTreeSet::new()), ..Self::default() }
    }

    fn add(&mut self, operation: &Operation, vocabulary: &dyn Vocabulary) {
        self.calls += 1;
        match vocabulary.operation(&operation.id.0) {
            Some((service, class)) if service == operation.service && class == operation.class => {
                self.named.insert(operation.id.to_string());
            }
            _ => self.unnamed = true,
        }
        match (&mut self.objects, &operation.resource) {
            (Some(objects), Some(object)) if objects.len() <= FEW => {
                objects.insert((object.kind.to_string(), object.id.clone()));
            }
            (objects, _) => *objects = None,
        }
    }
}

fn draft(usage: &Usage) -> String {
    let mut text = String::from(
        "// Drafted from the journal: what agents were allowed to do, and no more. Read it before it counts.\n",
    );
    for (number, ((agent, service, class), used)) in (1..).zip(usage) {
        let action = match used.named.iter().collect::<Vec<_>>().as_slice() {
            // Names alone would leave out what has none.
            _ if used.unnamed => format!("action in Action::{}", quoted(class.as_str())),
            [one] => format!("action == Action::{}", quoted(one)),
            several => {
                let several: Vec<_> =
                    several.iter().map(|id| format!("\n    Action::{}", quoted(id))).collect();
                format!("action in [{}\n  ]", several.join(","))
            }
        };
        let _ = write!(
            text,
            "\n// {} {class} calls\n@id(\"suggested-{number}\")\npermit (\n  principal == Agent::{},\n  {action},\n  resource in Service::{}\n)",
            used.calls,
            quoted(agent),
            quoted(service)
        );
        if let Some(objects) = used.objects.as_ref().filter(|objects| (1..=FEW).contains(&objects.len())) {
            let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (kind, id) in objects {
                kinds.entry(kind).or_default().push(quoted(id));
            }
            let kinds = kinds.iter().map(|(kind, ids)| {
                format!("(resource.kind == {} && [{}].contains(resource.id))", quoted(kind), ids.join(", "))
            });
            let kinds: Vec<_> = kinds.collect();
            let _ = write!(text, "\nwhen {{ resource is Resource && ({}) }}", kinds.join(" || "));
        }
        text.push_str(";\n");
    }
    text
}

/// A Cedar string: quotes, backslashes and control characters are escaped as in Rust, which is where Cedar has it from.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
