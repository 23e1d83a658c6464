//! What policies read of a request's context: the rest of it cannot change a ruling.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Policy, pst};

use super::names;

/// Attributes of the context that some policy reads, and of those that are records the attributes that it reads. Deeper it does not
/// go: that is where the schema's records end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// Whether the context is used in a way that does not tell what of it matters.
    pub(super) whole: bool,
    /// Whether it can matter which object of its kind a request is about: some policy names one, asks for its id, or holds it against
    /// something.
    pub(super) objects: bool,
    read: BTreeMap<String, Leaves>,
}

/// What is read of one attribute of the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    /// All that it has.
    All,
    /// These attributes of it.
    Some(BTreeSet<String>),
}

impl Leaves {
    /// Whether `leaf` is among them.
    pub(super) fn has(&self, leaf: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(leaf),
        }
    }
}

impl Footprint {
    /// Of policies that look at everything.
    pub(super) fn whole() -> Self {
        Self { whole: true, objects: true, read: BTreeMap::new() }
    }

    /// Of all these together.
    pub(super) fn of<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Self {
        let mut all = Self::default();
        for policy in policies {
            all.objects |= policy.entity_literals().iter().any(names::is_object);
            match policy.to_pst() {
                Err(_) => all.whole = true,
                Ok(written) => {
                    for clause in written.body().clauses() {
                        let (pst::Clause::When(expression) | pst::Clause::Unless(expression)) = clause;
                        all.visit(expression);
                    }
                }
            }
        }
        all
    }

    /// All of these.
    pub(super) fn together<'f>(parts: impl IntoIterator<Item = &'f Self>) -> Self {
        let mut all = Self::default();
        for Self { whole, objects, read } in parts {
            all.whole |= whole;
            all.objects |= objects;
            for (group, leaves) in read {
                match leaves {
                    Leaves::All => all.add(group, None),
                    Leaves::Some(names) => names.iter().for_each(|name| all.add(group, Some(name))),
                }
            }
        }
        all
    }

    /// What is read of the attribute `group`, if anything is.
    pub(super) fn leaves(&self, group: &str) -> Option<&Leaves> {
        if self.whole { Some(&Leaves::All) } else { self.read.get(group) }
    }

    /// Whether any part of the attribute `group` is read.
    pub(super) fn reads(&self, group: &str) -> bool {
        self.leaves(group).is_some()
    }

    /// Whether the attribute `leaf` of the attribute `group` is read.
    pub(super) fn reads_leaf(&self, group: &str, leaf: &str) -> bool {
        self.leaves(group).is_some_and(|leaves| leaves.has(leaf))
    }

    /// The attributes of the context itself that are read.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.read.keys().map(String::as_str)
    }

    fn add(&mut self, group: &str, leaf: Option<&str>) {
        if !self.read.contains_key(group) {
            self.read.insert(group.to_owned(), Leaves::Some(BTreeSet::new()));
        }
        match (self.read.get_mut(group), leaf) {
            (Some(Leaves::Some(names)), Some(leaf)) if !names.contains(leaf) => {
                names.insert(leaf.to_owned());
            }
            (Some(leaves), None) => *leaves = Leaves::All,
            _ => {}
        }
    }

    fn visit(&mut self, expression: &pst::Expr) {
        if let Some(path) = path(expression) {
            let mut path = path.into_iter();
            match path.next() {
                Some(first) => self.add(&first, path.next().as_deref()),
                None => self.whole = true,
            }
            return;
        }
        if is_kind_of_resource(expression) {
            return;
        }
        match expression {
            pst::Expr::Var(pst::Var::Resource) => self.objects = true,
            pst::Expr::Literal(_) | pst::Expr::Slot(_) | pst::Expr::Var(_) => {}
            pst::Expr::UnaryOp { expr, .. }
            | pst::Expr::GetAttr { expr, .. }
            | pst::Expr::HasAttr { expr, .. }
            | pst::Expr::Like { expr, .. } => self.visit(expr),
            pst::Expr::BinaryOp { left, right, .. } => {
                self.visit(left);
                self.visit(right);
            }
            pst::Expr::Is { expr, in_expr, .. } => {
                for part in std::iter::once(expr).chain(in_expr) {
                    self.visit(part);
                }
            }
            pst::Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.visit(cond);
                self.visit(then_expr);
                self.visit(else_expr);
            }
            pst::Expr::Set(parts) => {
                for part in parts {
                    self.visit(part);
                }
            }
            pst::Expr::Record(parts) => {
                for part in parts.values() {
                    self.visit(part);
                }
            }
            // Words that Cedar may learn: nothing is known of what they read.
            _ => self.whole = true,
        }
    }
}

/// Whether it asks of the resource what all of its kind, service and labels have in common.
fn is_kind_of_resource(expression: &pst::Expr) -> bool {
    let shared = |name: &str| ["service", "catalogued", "labels", "kind"].contains(&name);
    match expression {
        pst::Expr::GetAttr { expr, attr } => {
            matches!(&**expr, pst::Expr::Var(pst::Var::Resource)) && shared(attr.as_ref())
        }
        pst::Expr::Is { expr, in_expr: None, .. } => {
            matches!(&**expr, pst::Expr::Var(pst::Var::Resource))
        }
        _ => false,
    }
}

/// `context.a.b` as its attributes, outermost first; `context` itself has none.
fn path(expression: &pst::Expr) -> Option<Vec<String>> {
    match expression {
        pst::Expr::Var(pst::Var::Context) => Some(Vec::new()),
        pst::Expr::GetAttr { expr, attr } => {
            let mut path = path(expr)?;
            path.push(attr.to_string());
            Some(path)
        }
        pst::Expr::HasAttr { expr, attrs } => {
            let mut path = path(expr)?;
            path.extend(attrs.iter().map(ToString::to_string));
            Some(path)
        }
        _ => None,
    }
}
