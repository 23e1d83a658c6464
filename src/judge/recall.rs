//! Many calls judged one after the other, each kind of call once: for replays.
//!
//! Two calls get one ruling if they differ in nothing that the policies look at. What that is, the policies say themselves
//! ([`Footprint`]); the operation, the agent and what is known of it, the evidence and the request's head are taken whole.
//! Not for the walk: a ruling there is made for the call that it is about.

use std::collections::HashMap;

use super::engine::Rules;
use super::footprint::{Footprint, Leaves};
use super::request::Asker;
use crate::call::{AgentHistory, Attributed, Call, Decision, History, Operation, Task};

/// Kinds of calls that are kept; then it is begun anew.
const KEPT: usize = 1 << 18;

/// What was decided so far, by all that the decisions rest on.
#[derive(Debug)]
pub struct Recall<'r> {
    rules: &'r Rules,
    footprint: Option<Footprint>,
    decided: HashMap<Vec<u8>, Decision>,
    key: Vec<u8>,
}

impl Rules {
    /// For a replay under these rules.
    pub fn recall(&self) -> Recall<'_> {
        let footprint = self.read.clone();
        // A ruling that rests on the time of the call, or on what is not known here, is made for each call.
        let known = [
            "agent",
            "task",
            "history",
            "http",
            "recognition",
            "direction",
            "brought_key",
            "drifted",
            "args",
            "evidence",
            "approved",
        ];
        let sound = !footprint.whole && footprint.groups().all(|group| known.contains(&group));
        Recall {
            rules: self,
            footprint: sound.then_some(footprint),
            decided: HashMap::new(),
            key: Vec::new(),
        }
    }
}

impl Recall<'_> {
    /// What [`Rules::rule`] decides.
    pub fn decide(&mut self, call: &Call<Attributed>) -> Decision {
        let rules = self.rules;
        let judge = || rules.rule(call).decision();
        let Some(footprint) = &self.footprint else { return judge() };
        if call.stage().approval.is_some() {
            return judge(); // few are, and each is for one call
        }
        self.key.clear();
        if write(&mut self.key, footprint, call).is_none() {
            return judge();
        }
        if let Some(&known) = self.decided.get(&self.key) {
            return known;
        }
        let decision = judge();
        if self.decided.len() >= KEPT {
            self.decided.clear();
        }
        self.decided.insert(self.key.clone(), decision);
        decision
    }
}

/// Everything that a ruling on the call rests on. Each part is written as JSON, so that none can run into the next.
fn write(key: &mut Vec<u8>, footprint: &Footprint, call: &Call<Attributed>) -> Option<()> {
    let (head, stage) = (call.head(), call.stage());
    let mut put = |value: &dyn erased::Json| value.put(key);
    // A link of the task names an object, whatever the policies do.
    let linked = Asker::all(call).any(|asker| !asker.task.terms.grant.links.is_empty());
    for operation in stage.operations.iter() {
        if footprint.objects || linked {
            put(operation)?;
        } else {
            put(&whichever(operation))?;
        }
    }
    put(&stage.principal.evidence)?;
    put(&stage.principal.claims)?;
    if footprint.reads("http") {
        let origin = &head.origin;
        put(&(
            origin.scheme.as_str(),
            origin.host.to_string(),
            origin.port,
            head.method.as_str(),
            head.target.path(),
        ))?;
    }
    for Asker { task, history, profile, claims: _, above: _ } in Asker::all(call) {
        put(&task.agent)?;
        put(&task.terms.grant.links)?;
        // What an agent is may change between two entries of a journal.
        put(profile)?;
        let group =
            |name: &str, leaf: &mut dyn FnMut(Option<&str>) -> Option<()>| match footprint.leaves(name) {
                None => Some(()),
                Some(Leaves::All) => leaf(None),
                Some(Leaves::Some(names)) => names.iter().try_for_each(|name| leaf(Some(name))),
            };
        group("task", &mut |name| one_of_task(name, task, &mut put))?;
        group("history", &mut |name| one_of_history(name, history, &mut put))?;
        group("agent", &mut |name| one_of_agent(name, &history.agent, &mut put))?;
    }
    Some(())
}

/// The same on any other object of its kind.
fn whichever(operation: &Operation) -> Operation {
    let mut operation = operation.clone();
    if let Some(object) = &mut operation.resource {
        object.id.clear();
    }
    operation.facts.ancestors.clear();
    operation
}

fn one_of_history(
    name: Option<&str>,
    history: &History,
    put: &mut dyn FnMut(&dyn erased::Json) -> Option<()>,
) -> Option<()> {
    match name {
        Some("reads") => put(&history.reads),
        Some("acts") => put(&history.acts),
        Some("delegates") => put(&history.delegates),
        Some("denials") => put(&history.denials),
        Some("holds") => put(&history.holds),
        Some("service_seen") => put(&history.service_seen),
        Some("operation_seen") => put(&history.operation_seen),
        Some("resource_seen") => put(&history.resource_seen),
        Some("resource_read") => put(&history.resource_read),
        Some("labels") => put(&history.labels),
        Some("external") => put(&history.external),
        Some("bytes_out") => put(&history.bytes_out),
        // What is not known here may matter.
        _ => put(history),
    }
}

fn one_of_task(
    name: Option<&str>,
    task: &Task,
    put: &mut dyn FnMut(&dyn erased::Json) -> Option<()>,
) -> Option<()> {
    match name {
        Some("intent") => put(&task.intent),
        Some("labels") => put(&task.labels),
        Some("granted") => put(&task.terms.grant.classes),
        Some("on_behalf_of") => put(&task.terms.on_behalf_of),
        Some("depth" | "delegated_by") => put(&task.terms),
        _ => put(&(task.id, &task.intent, &task.labels, &task.terms)),
    }
}

fn one_of_agent(
    name: Option<&str>,
    past: &AgentHistory,
    put: &mut dyn FnMut(&dyn erased::Json) -> Option<()>,
) -> Option<()> {
    match name {
        // Said by the profile.
        Some("registered" | "kind" | "owner" | "environment" | "labels") => Some(()),
        Some("reads") => put(&past.reads),
        Some("acts") => put(&past.acts),
        Some("delegates") => put(&past.delegates),
        Some("denials") => put(&past.denials),
        Some("holds") => put(&past.holds),
        Some("service_seen") => put(&past.service_seen),
        Some("operation_seen") => put(&past.operation_seen),
        Some("drift") => put(&past.drift),
        _ => put(past),
    }
}

/// Whatever can be written as JSON, behind one face.
mod erased {
    pub(super) trait Json {
        fn put(&self, to: &mut Vec<u8>) -> Option<()>;
    }

    impl<T: serde::Serialize> Json for T {
        fn put(&self, to: &mut Vec<u8>) -> Option<()> {
            serde_json::to_writer(&mut *to, self).ok()?;
            to.push(b'\n');
            Some(())
        }
    }
}
