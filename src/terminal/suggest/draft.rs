//! The draft: one permit for each agent, service and class.
//!
//! Operations by name, as long as they are few; else the group that they are all in, which is their class at that service.
//! Objects by name, as long as they are few; else what they lie in, from the inside out; else the service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::call::{Attributed, Call, Class, Operation, Resource};
use crate::judge::Vocabulary;

/// More objects, or things that objects lie in, than this are not listed.
pub(super) const FEW_OBJECTS: usize = 8;
/// More operations than this are not listed.
pub(super) const FEW_OPERATIONS: usize = 16;
/// Levels of what an object lies in that are looked at.
const LEVELS: usize = 4;

/// Kind and id.
type Object = (String, String);

/// What an agent did of one class at one service.
#[derive(Clone, Debug, Default)]
struct Used {
    calls: u64,
    /// Calls by operation of the catalog.
    named: BTreeMap<String, u64>,
    /// Calls of what has no name in the catalog.
    unnamed: u64,
    /// At each level (the object, what it lies in, what that lies in) the distinct things; nothing where a call had none,
    /// or where they are not few.
    levels: Vec<Option<BTreeSet<Object>>>,
}

/// By agent, service and class.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage(BTreeMap<(String, String, Class), Used>);

impl Usage {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes note of an allowed call: by its agent, and by everybody who delegated it, since each of them has to be permitted.
    pub(super) fn note(&mut self, call: &Call<Attributed>, vocabulary: &dyn Vocabulary) {
        let stage = call.stage();
        let agents: BTreeSet<_> = std::iter::once(&stage.principal.agent)
            .chain(stage.links.iter().map(|link| &link.task.agent))
            .map(ToString::to_string)
            .collect();
        for agent in agents {
            for operation in stage.operations.iter() {
                let kind = (agent.clone(), operation.service.to_string(), operation.class);
                self.0.entry(kind).or_insert_with(Used::none).note(operation, vocabulary);
            }
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (kind, used) in other.0 {
            self.0.entry(kind).or_insert_with(Used::none).add(used);
        }
    }

    pub(super) fn draft(&self, vocabulary: &dyn Vocabulary) -> String {
        let mut sizes: BTreeMap<(String, Class), usize> = BTreeMap::new();
        for (service, class) in vocabulary.operation_ids().iter().filter_map(|id| vocabulary.operation(id)) {
            *sizes.entry((service.to_string(), class)).or_default() += 1;
        }
        let mut text = String::from(
            "// Drafted from the journal: what agents were allowed to do, and no more. Read it before it counts.\n",
        );
        for (number, ((agent, service, class), used)) in (1..).zip(&self.0) {
            let size = sizes.get(&(service.clone(), *class)).copied().unwrap_or(0);
            used.explain(&mut text, *class, size);
            let action = used.action(*class);
            let _ = write!(
                text,
                "@id(\"suggested-{number}\")\npermit (principal == Agent::{}, {action}, resource in Service::{})",
                quoted(agent),
                quoted(service)
            );
            if let Some(condition) = used.condition(service) {
                let _ = write!(text, "\nwhen {{ {condition} }}");
            }
            text.push_str(";\n");
        }
        text
    }
}

impl Used {
    fn none() -> Self {
        Self { levels: vec![Some(BTreeSet::new()); LEVELS], ..Self::default() }
    }

    fn note(&mut self, operation: &Operation, vocabulary: &dyn Vocabulary) {
        self.calls += 1;
        match vocabulary.operation(&operation.id.0) {
            Some((service, class)) if service == operation.service && class == operation.class => {
                *self.named.entry(operation.id.to_string()).or_default() += 1;
            }
            _ => self.unnamed += 1,
        }
        let object = |of: &Resource| (of.kind.to_string(), of.id.clone());
        let own = operation.resource.as_ref();
        // Nearest first; what lies in nothing that the catalog knows has no outer level.
        let outer = operation.facts.ancestors.iter().filter(|_| own.is_some());
        let mut path = own.into_iter().chain(outer).map(object);
        for level in &mut self.levels {
            let thing = path.next();
            match (level.as_mut(), thing) {
                (Some(things), Some(thing)) if things.len() < FEW_OBJECTS || things.contains(&thing) => {
                    things.insert(thing);
                }
                _ => *level = None,
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.unnamed += other.unnamed;
        for (operation, calls) in other.named {
            *self.named.entry(operation).or_default() += calls;
        }
        for (level, more) in self.levels.iter_mut().zip(other.levels) {
            let both = level.take().zip(more).map(|(a, b)| a.into_iter().chain(b).collect::<BTreeSet<_>>());
            *level = both.filter(|things| things.len() <= FEW_OBJECTS);
        }
    }

    /// How much of what: for whoever reads the draft.
    fn explain(&self, text: &mut String, class: Class, size: usize) {
        let plural = if self.calls == 1 { "" } else { "s" };
        let _ = writeln!(text, "\n// {} {class} call{plural}", self.calls);
        if self.lists_operations() {
            for (operation, calls) in &self.named {
                let _ = writeln!(text, "//   {calls} of {operation}");
            }
        } else {
            let _ = writeln!(
                text,
                "//   of {} operations that the catalog names ({size} are in this group) and {} calls without a name",
                self.named.len(),
                self.unnamed
            );
        }
    }

    fn lists_operations(&self) -> bool {
        // Names alone would leave out what has none.
        self.unnamed == 0 && self.named.len() <= FEW_OPERATIONS
    }

    fn action(&self, class: Class) -> String {
        if !self.lists_operations() {
            return format!("action in Action::{}", quoted(class.as_str()));
        }
        match self.named.keys().collect::<Vec<_>>().as_slice() {
            [one] => format!("action == Action::{}", quoted(one)),
            several => {
                let several: Vec<_> = several.iter().map(|id| format!("Action::{}", quoted(id))).collect();
                format!("action in [{}]", several.join(", "))
            }
        }
    }

    fn condition(&self, service: &str) -> Option<String> {
        let few = |level: &Option<BTreeSet<Object>>| level.clone().filter(|things| !things.is_empty());
        let (at, things) = self.levels.iter().enumerate().find_map(|(at, level)| Some((at, few(level)?)))?;
        if at > 0 {
            let things = things
                .iter()
                .map(|(kind, id)| format!("Resource::{}", quoted(&format!("{service}/{kind}/{id}"))));
            return Some(format!("resource in [{}]", things.collect::<Vec<_>>().join(", ")));
        }
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (kind, id) in &things {
            kinds.entry(kind).or_default().push(quoted(id));
        }
        let kinds = kinds.iter().map(|(kind, ids)| {
            format!("(resource.kind == {} && [{}].contains(resource.id))", quoted(kind), ids.join(", "))
        });
        Some(format!("resource is Resource && ({})", kinds.collect::<Vec<_>>().join(" || ")))
    }
}

/// A Cedar string: quotes, backslashes and control characters are escaped as in Rust, which is where Cedar has it from.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
