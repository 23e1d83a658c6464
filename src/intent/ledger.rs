//! What one task has done: the facts that policies may ask, and the table that a person reads at the end.
//!
//! Bounded, because an agent chooses its hosts and with them the names: beyond [`DISTINCT_PER_TASK`] names nothing new is
//! remembered as seen (so it looks new each time, which can only make policies stricter), and its calls are counted in
//! one row per class and decision. The counts themselves stay exact.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::agents::remember;
use super::view::Counts;
use crate::call::money::{self, Cost, Money};
use crate::call::{
    AgentHistory, Class, Decision, History, Operation, OperationId, Operations, Resource, ServiceName,
};

/// Distinct services, operations, objects and summary rows that are kept for one task, each.
pub const DISTINCT_PER_TASK: usize = 4_096;

/// Names the row of calls that found no row of their own.
const OVERFLOW: &str = "(other operations)";

/// Calls that were alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SummaryRow {
    /// The operation that names the calls; `(other operations)` beyond the bound.
    pub operation: OperationId,
    /// The class of the calls.
    pub class: Class,
    /// What the policies said.
    pub decision: Decision,
    /// The code of the refusal that the agent got, if it got one.
    pub refusal: Option<&'static str>,
    /// How many.
    pub calls: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    counts: Counts,
    services: HashSet<ServiceName>,
    operations: HashSet<OperationId>,
    /// Objects that it was let through to, and those among them that it read.
    touched: HashSet<Object>,
    read: HashSet<Object>,
    /// Labels of what it was let through to; shared with the histories that were handed out.
    labels: Arc<BTreeSet<Arc<str>>>,
    external: u64,
    /// What it did at the node that handed it over; told to policies, and no part of a budget here.
    elsewhere: Elsewhere,
    /// What was let through to be spent.
    money: Money,
    rows: HashMap<Row, u64>,
}

#[derive(Debug, Default)]
struct Elsewhere {
    counts: Counts,
    external: u64,
    bytes_out: u64,
}

type Object = (ServiceName, Resource);

/// Whose call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The task's own.
    Own,
    /// One of a task below it.
    Descendants,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Row {
    operation: OperationId,
    class: Class,
    decision: Decision,
    refusal: Option<&'static str>,
}

impl Ledger {
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn money(&self) -> &Money {
        &self.money
    }

    /// The history as a call with these operations finds it. A batch has been seen if all of it has.
    pub(super) fn history(&self, operations: &Operations, agent: AgentHistory, bytes_out: u64) -> History {
        History {
            service_seen: operations.iter().all(|operation| self.services.contains(&operation.service)),
            operation_seen: operations.iter().all(|operation| self.operations.contains(&operation.id)),
            resource_seen: knows_all(&self.touched, operations),
            resource_read: knows_all(&self.read, operations),
            agent,
            ..self.told(bytes_out)
        }
    }

    pub(super) fn settle(
        &mut self,
        operations: &Operations,
        decision: Decision,
        refusal: Option<&'static str>,
        whose: Whose,
    ) {
        self.counts.add(operations.class(), decision);
        if decision == Decision::Allow {
            money::add(&mut self.money, &Cost::of(operations).money);
            for operation in operations.iter() {
                self.note(operation);
                remember(&mut self.services, &operation.service);
                remember(&mut self.operations, &operation.id);
                if let Some(resource) = &operation.resource {
                    let object = (operation.service.clone(), resource.clone());
                    remember(&mut self.touched, &object);
                    if operation.class == Class::Read {
                        remember(&mut self.read, &object);
                    }
                }
            }
        }
        if whose == Whose::Descendants {
            return;
        }
        let strongest = operations.strongest();
        let row = Row { operation: strongest.id.clone(), class: strongest.class, decision, refusal };
        *self.row(row) += 1;
    }

    /// Takes in what another node tells; what it told before is never told smaller.
    pub(super) fn learn(&mut self, history: &History) {
        let Elsewhere { counts, external, bytes_out } = &mut self.elsewhere;
        counts.reads = counts.reads.max(history.reads);
        counts.acts = counts.acts.max(history.acts);
        counts.delegates = counts.delegates.max(history.delegates);
        counts.denials = counts.denials.max(history.denials);
        counts.holds = counts.holds.max(history.holds);
        *external = history.external.max(*external);
        *bytes_out = history.bytes_out.max(*bytes_out);
        if !history.labels.is_subset(&self.labels) {
            Arc::make_mut(&mut self.labels).extend(history.labels.iter().cloned());
        }
    }

    /// What is told to another node: what was seen is left out, which can only make policies stricter there.
    pub(super) fn told(&self, bytes_out: u64) -> History {
        let Elsewhere { counts, external, bytes_out: sent } = &self.elsewhere;
        History {
            reads: self.counts.reads.saturating_add(counts.reads),
            acts: self.counts.acts.saturating_add(counts.acts),
            delegates: self.counts.delegates.saturating_add(counts.delegates),
            denials: self.counts.denials.saturating_add(counts.denials),
            holds: self.counts.holds.saturating_add(counts.holds),
            labels: Arc::clone(&self.labels),
            external: self.external.saturating_add(*external),
            bytes_out: bytes_out.saturating_add(*sent),
            ..History::default()
        }
    }

    /// Labels are never dropped for want of room: a forgotten one would loosen policies. They are the catalog's and the
    /// operator's, so there are few.
    fn note(&mut self, operation: &Operation) {
        self.external = self.external.saturating_add(operation.facts.args.external.unwrap_or_default());
        if !operation.facts.labels.iter().all(|label| self.labels.contains(label)) {
            Arc::make_mut(&mut self.labels).extend(operation.facts.labels.iter().cloned());
        }
    }

    fn row(&mut self, row: Row) -> &mut u64 {
        let full = self.rows.len() >= DISTINCT_PER_TASK && !self.rows.contains_key(&row);
        let row =
            if full { Row { operation: OperationId(OVERFLOW.into()), refusal: None, ..row } } else { row };
        self.rows.entry(row).or_default()
    }

    /// An ended task is asked for its table, never again for what it has seen.
    pub(super) fn forget_seen(&mut self) {
        self.services = HashSet::new();
        self.operations = HashSet::new();
        self.touched = HashSet::new();
        self.read = HashSet::new();
    }

    /// In the order of the names, the overflow first.
    pub(super) fn summary(&self) -> Vec<SummaryRow> {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .map(|(row, &calls)| SummaryRow {
                operation: row.operation.clone(),
                class: row.class,
                decision: row.decision,
                refusal: row.refusal,
                calls,
            })
            .collect();
        rows.sort_by(|a, b| {
            let key = |row: &SummaryRow| (row.class, row.decision.as_str(), row.refusal);
            a.operation.cmp(&b.operation).then_with(|| key(a).cmp(&key(b)))
        });
        rows
    }
}

/// Whether every operation names an object, and each is known.
fn knows_all(objects: &HashSet<Object>, operations: &Operations) -> bool {
    operations.iter().all(|operation| {
        let object = operation.resource.clone().map(|resource| (operation.service.clone(), resource));
        object.is_some_and(|object| objects.contains(&object))
    })
}
