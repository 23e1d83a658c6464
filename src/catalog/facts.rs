//! `facts.toml`: what policies may know of an operation beside its name. Data, one file a service; may be missing.
//!
//! ```toml
//! [kind.repo]                       # of every resource of this kind
//! parents = ["owner={1}"]           # what it lies in; `{1}` is the first part of its id, at `/`
//! labels = ["source-code"]
//!
//! [[fact]]
//! operations = ["repos/create-*"]   # ids without the service; a `*` at the end stands for any rest
//! direction = "out"
//! resource = ["channel={channel}"]  # of fields; goes before what the template says. Also {path:2}, {path:2...}, {host<.s3}
//! amount = ["amount"]               # fields; see `fields.rs` for how they are named and where they are looked for
//! ```

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use crate::call::facts::{Direction, Facts};
use crate::call::money::Currency;
use crate::call::{Operation, Resource};

use super::error::Fault;
use super::fields::Fields;
use super::hosts::Named;
use super::labels::Labels;
use super::people;
use super::reading::Reading;

/// The facts of one service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactFile {
    #[serde(default)]
    kind: HashMap<String, Kind>,
    #[serde(default)]
    fact: Vec<Fact>,
    /// Which of them speak of an operation, by its name.
    #[serde(skip)]
    by_name: Named<String, Vec<usize>>,
    /// The same for patterns, by what names begin with.
    #[serde(skip)]
    by_start: Vec<(String, usize)>,
}

/// What is true of every resource of a kind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kind {
    #[serde(default)]
    parents: Vec<String>,
    #[serde(default)]
    labels: Vec<Arc<str>>,
}

/// What is true of some operations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fact {
    operations: Vec<String>,
    direction: Option<Direction>,
    /// The first that the request has all values of.
    #[serde(default)]
    resource: Vec<String>,
    #[serde(default)]
    labels: Vec<Arc<str>>,
    #[serde(default)]
    amount: Vec<String>,
    #[serde(default)]
    unit: Unit,
    #[serde(default)]
    currency: Vec<String>,
    #[serde(default)]
    recipients: Vec<String>,
    /// Fields that hold a whole message (RFC 5322) in base64.
    #[serde(default)]
    message: Vec<String>,
    #[serde(default)]
    visibility: Vec<String>,
    /// Fields that are `true` for what is private.
    #[serde(default)]
    private: Vec<String>,
    #[serde(default)]
    branch: Vec<String>,
    #[serde(default)]
    rows: Vec<String>,
}

/// What an amount counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    /// The currency's smallest unit.
    #[default]
    Minor,
    /// The currency itself; how many decimals it has is ISO 4217's to say.
    Major,
}

/// Longer names of resources, branches and the like are not taken from a body.
const TEXT_BYTES: usize = 512;

impl FactFile {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let remedy = "write `[kind.NAME]` and `[[fact]]` as catalog/data/README.md describes them";
        let mut file: Self = toml::from_str(text).map_err(|error| Fault::toml(text, &error, remedy))?;
        for (at, fact) in file.fact.iter().enumerate() {
            for pattern in &fact.operations {
                match pattern.strip_suffix('*') {
                    Some(start) => file.by_start.push((start.to_owned(), at)),
                    None => file.by_name.entry(pattern.clone()).or_default().push(at),
                }
            }
        }
        let templates = file.kind.values().flat_map(|kind| &kind.parents);
        let templates = templates.chain(file.fact.iter().flat_map(|fact| &fact.resource));
        for template in templates {
            if template.split_once('=').is_none_or(|(kind, id)| kind.is_empty() || !id.contains('{')) {
                return Err(Fault::new(
                    1,
                    format!("`{template}` is not of the form `kind={{field}}`"),
                    remedy,
                ));
            }
        }
        Ok(file)
    }

    /// Whether anything but the head of a request tells of an operation.
    pub(super) fn wants_body(&self, operation: &str) -> bool {
        self.of(operation)
            .any(|fact| fact.reads_body() || fact.resource.iter().any(|template| names_fields(template)))
    }

    /// What is said of an operation, in the order of the file.
    fn of(&self, operation: &str) -> impl Iterator<Item = &Fact> {
        let name = operation.split_once(':').map_or(operation, |(_, name)| name);
        let mut found: Vec<usize> = self.by_name.get(name).cloned().unwrap_or_default();
        let by_start = self.by_start.iter().filter(|(start, _)| name.starts_with(start.as_str()));
        found.extend(by_start.map(|(_, at)| *at));
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|at| self.fact.get(at))
    }

    /// Adds what is known of an operation.
    pub(super) fn add(&self, reading: &Reading<'_>, labels: &Labels, operation: &mut Operation) {
        let fields = Fields::of(reading.request);
        let mut facts = std::mem::take(&mut operation.facts);
        for fact in self.of(&operation.id.0) {
            facts.direction = fact.direction.or(facts.direction);
            facts.labels.extend(fact.labels.iter().cloned());
            if let Ok(told) = fact.resource(reading, &fields) {
                operation.resource = told.or(operation.resource.take());
            } else {
                // It says two things: neither is believed.
                (operation.resource, facts.args.unclear) = (None, true);
            }
            fact.args(&fields, labels, &mut facts);
        }
        if let Some(resource) = &operation.resource {
            self.place(resource, &mut facts);
            labels.apply(&operation.service, resource, &mut facts);
        }
        operation.facts = facts;
    }

    /// What a resource lies in, and the labels of its kind and of theirs.
    fn place(&self, resource: &Resource, facts: &mut Facts) {
        let Some(kind) = self.kind.get(resource.kind.as_ref()) else { return };
        facts.labels.extend(kind.labels.iter().cloned());
        let parts: Vec<&str> = resource.id.split('/').collect();
        let part = |number: &str| {
            let at = number.parse::<usize>().ok()?.checked_sub(1)?;
            parts.get(at).map(|part| (*part).to_owned())
        };
        for parent in kind.parents.iter().filter_map(|template| self::resource(template, part)) {
            if let Some(kind) = self.kind.get(parent.kind.as_ref()) {
                facts.labels.extend(kind.labels.iter().cloned());
            }
            facts.ancestors.push(parent);
        }
    }
}

/// Decimals of an amount; where the currency is not told, or is none, as many as most have.
fn digits(currency: Option<&str>) -> u32 {
    currency.and_then(|code| Currency::parse(code).ok()).map_or(2, Currency::digits)
}

/// `kind={a}/{b}` with values in the places of names. `None` where one is missing or empty.
fn resource(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<Resource> {
    let (kind, mut rest) = template.split_once('=')?;
    let mut id = String::new();
    while let Some((before, from)) = rest.split_once('{') {
        let (name, after) = from.split_once('}')?;
        id.push_str(before);
        id.push_str(&value(name).filter(|value| !value.is_empty())?);
        rest = after;
    }
    id.push_str(rest);
    Some(Resource { kind: kind.into(), id })
}

/// Whether a template of a resource names anything but the path and the host.
fn names_fields(template: &str) -> bool {
    template.split('{').skip(1).any(|name| !name.starts_with("path:") && !name.starts_with("host<"))
}

impl Fact {
    /// Whether it declares arguments that are not in the head.
    fn reads_body(&self) -> bool {
        let lists = [
            &self.amount,
            &self.currency,
            &self.recipients,
            &self.message,
            &self.visibility,
            &self.private,
            &self.branch,
            &self.rows,
        ];
        lists.into_iter().flatten().any(|field| !field.starts_with("header:"))
    }

    /// What the operation touches.
    fn resource(&self, reading: &Reading<'_>, fields: &Fields<'_>) -> Result<Option<Resource>, ()> {
        let twice = std::cell::Cell::new(false);
        let value = |name: &str| {
            if let Some(at) = name.strip_prefix("path:") {
                let from = |at: &str| at.parse::<usize>().ok()?.checked_sub(1);
                return match at.strip_suffix("...") {
                    Some(at) => reading.path.get(from(at)?..).map(|rest| rest.join("/")),
                    None => reading.path.get(from(at)?).map(ToString::to_string),
                };
            }
            if let Some(mark) = name.strip_prefix("host<") {
                return reading
                    .request
                    .host
                    .find(mark)
                    .and_then(|at| reading.request.host.get(..at))
                    .map(str::to_owned);
            }
            // A body that cannot be read could name another thing.
            let said = if fields.unreadable { Err(()) } else { fields.one(name, TEXT_BYTES) };
            twice.set(twice.get() || said.is_err());
            said.ok().flatten()
        };
        let found = self.resource.iter().find_map(|template| self::resource(template, value));
        if twice.get() { Err(()) } else { Ok(found) }
    }

    fn args(&self, fields: &Fields<'_>, labels: &Labels, facts: &mut Facts) {
        let args = &mut facts.args;
        args.unclear |= fields.unreadable && self.reads_body();
        let mut one = |names: &[String]| {
            let mut said: BTreeSet<String> = BTreeSet::new();
            for name in names {
                match fields.one(name, TEXT_BYTES) {
                    Ok(value) => said.extend(value.filter(|value| !value.is_empty())),
                    Err(()) => args.unclear = true,
                }
            }
            args.unclear |= said.len() > 1;
            said.pop_first()
        };
        let currency = one(&self.currency).map(|text| text.to_ascii_lowercase());
        let visibility = one(&self.visibility).map(|text| text.to_ascii_lowercase());
        let branch = one(&self.branch).map(|text| text.trim_start_matches("refs/heads/").to_owned());
        args.currency = currency.or(args.currency.take());
        args.branch = branch.or(args.branch.take());
        let digits = if self.unit == Unit::Major { digits(args.currency.as_deref()) } else { 0 };
        for field in &self.amount {
            for value in fields.values(field) {
                match value.amount(digits) {
                    Some(amount) => args.amount = args.amount.max(Some(amount)),
                    None => args.unclear = true,
                }
            }
        }
        let private: BTreeSet<bool> = self
            .private
            .iter()
            .flat_map(|field| fields.values(field))
            .filter_map(|value| value.truth())
            .collect();
        // Said both ways, the wider counts.
        let private = private.first().map(|private| if *private { "private" } else { "public" }.to_owned());
        args.visibility = visibility.or(private).or(args.visibility.take());
        for field in &self.rows {
            let rows = fields.count(field);
            args.rows = args.rows.max(rows);
        }
        self.people(fields, labels, facts);
    }

    fn people(&self, fields: &Fields<'_>, labels: &Labels, facts: &mut Facts) {
        let mut addresses: BTreeSet<String> = BTreeSet::new();
        for value in self.recipients.iter().flat_map(|field| fields.values(field)) {
            addresses.extend(people::addresses(&value.text()));
        }
        for value in self.message.iter().flat_map(|field| fields.values(field)) {
            match people::of_message(&value.text()) {
                Some(found) => addresses.extend(found),
                None => facts.args.unclear = true,
            }
        }
        if !addresses.is_empty() {
            people::count(&addresses, labels, &mut facts.args);
        }
    }
}
