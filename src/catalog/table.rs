//! `operations.tsv` and `overrides.toml`: the operations of one service, ready to be asked.
//!
//! ```text
//! #remit-operations 1
//! # method<TAB>template<TAB>operation<TAB>class<TAB>resource
//! GET         /repos/{owner}/{repo}/issues   issues/list-for-repo   read   repo={owner}/{repo}
//! GET,POST    /api/chat.postMessage          chat.postMessage       act    -
//! POST        /graphql                       -                      act    -
//! ```
//!
//! A template may end in conditions: `?acl=` (the query says something under `acl`), `?list-type=2`, `?header:x-amz-copy-source=` (the
//! field is there). A template `#name` is no path: the operation is named in a body, a header or a query, and a protocol's reader asks
//! for it (`Table::action`). A sixth column may say why the class is as it is.
//!
//! An operation may have several lines, all of one class. `-` for an operation says: the head does not tell what this
//! is. `-` for a resource says: none, or none that the head names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::call::{Class, Facts, Operation, OperationId, Recognition, Resource, ServiceName};

use super::ai::Models;
use super::credential::Credential;
use super::error::Fault;
use super::hosts::Named;
use super::index::{Asked, Leaf, Trie};
use super::manifest::{About, FORMAT};
use super::request;
use super::resource::ResourceTemplate;
use super::sentence::{self, Sentences};
use super::template::{Segment, Template};
use super::tokens::Tokens;

/// The operations of one service.
#[derive(Debug)]
pub(super) struct Table {
    here: Trie,
    /// By `other_hosts` entry.
    elsewhere: HashMap<Box<str>, Trie>,
    /// By method, then by the name that a protocol gives: `POST` and `CreateUser` of `POST #CreateUser`.
    actions: Named<Box<str>, Named<Box<str>, usize>>,
    pub(super) rows: Vec<Row>,
    by_id: HashMap<OperationId, usize>,
    /// Which operations ask a model.
    pub(super) models: Option<Models>,
    /// Where a credential stands.
    pub(super) credential: Option<Credential>,
    /// Which operations answer with tokens.
    pub(super) tokens: Option<Tokens>,
    /// What operations do, for people.
    pub(super) sentences: Sentences,
}

/// One line of `operations.tsv`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) id: OperationId,
    pub(super) class: Class,
    pub(super) how: Recognition,
    pub(super) because: Arc<str>,
    /// Method and template as written.
    pub(super) place: String,
    pub(super) resource: Option<(String, ResourceTemplate)>,
}

impl Row {
    /// What the line says, of a request that touches `resource`.
    pub(super) fn operation(&self, service: &ServiceName, resource: Option<Resource>) -> Operation {
        Operation {
            id: self.id.clone(),
            service: service.clone(),
            class: self.class,
            resource,
            how: self.how,
            facts: Facts::default(),
            because: self.because.clone(),
            ai: None,
        }
    }

    /// What a request to this line's place touches.
    pub(super) fn touches(&self, segments: &[Cow<'_, str>], asked: &Asked<'_>) -> Option<Resource> {
        self.resource.as_ref()?.1.of(segments, asked.query, asked.verb)
    }
}

/// Where a fault was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Operations,
    Overrides,
}

impl Table {
    pub(super) fn parse(about: &About, operations: &str, overrides: &str) -> Result<Self, (File, Fault)> {
        let mut corrections = Corrections::parse(overrides).map_err(|fault| (File::Overrides, fault))?;
        let mut table =
            Self::build(about, operations, &mut corrections).map_err(|fault| (File::Operations, fault))?;
        corrections.all_used().map_err(|fault| (File::Overrides, fault))?;
        (table.models, table.tokens) = (corrections.models.take(), corrections.tokens.take());
        let known = |name: &str| table.class(&format!("{}:{name}", about.name)).is_some();
        let models = table.models.as_ref().map_or(Ok(()), |models| models.check(known));
        let tokens = table.tokens.as_ref().map_or(Ok(()), |tokens| tokens.check(known));
        let sentences = sentence::check(&corrections.sentences, known);
        models.and(tokens).and(sentences).map_err(|fault| (File::Overrides, fault))?;
        table.sentences = std::mem::take(&mut corrections.sentences);
        table.credential = corrections.credential.take();
        if let Some(credential) = &table.credential {
            credential.check().map_err(|fault| (File::Overrides, fault))?;
        }
        Ok(table)
    }

    fn build(about: &About, operations: &str, corrections: &mut Corrections) -> Result<Self, Fault> {
        let mut lines =
            operations.lines().enumerate().map(|(at, line)| (at + 1, line.trim_end_matches('\r')));
        let first = format!("#remit-operations {FORMAT}");
        if lines.next().is_none_or(|(_, line)| line != first) {
            return Err(Fault::new(
                1,
                "the format's version is missing or unknown",
                format!("begin with `{first}`"),
            ));
        }
        let (here, elsewhere, rows, by_id) = (Trie::default(), HashMap::new(), Vec::new(), HashMap::new());
        let (actions, models, credential, tokens) = (Named::default(), None, None, None);
        let sentences = Sentences::new();
        let mut table = Self { here, elsewhere, actions, rows, by_id, models, credential, tokens, sentences };
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
            table.add(about, number, line, corrections)?;
        }
        Ok(table)
    }

    fn add(
        &mut self,
        about: &About,
        number: usize,
        line: &str,
        corrections: &mut Corrections,
    ) -> Result<(), Fault> {
        let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
        let ([verbs, place, name, class, resource, why], 5..=6) = (columns_of(&columns), columns.len())
        else {
            let why = format!("it has {} columns", columns.len());
            return Err(Fault::new(
                number,
                why,
                "five are wanted, parted by tabs: method, template, operation, class, resource",
            ));
        };
        let fault = |why: String| {
            Fault::new(
                number,
                why,
                "wanted, parted by tabs: METHOD, /path/{parameter}, operation, class, kind={parameter} or -",
            )
        };
        let action = place.strip_prefix('#');
        let template = Template::parse(if action.is_some() { "/" } else { place }).map_err(fault)?;
        let known = Known::parse(about, name, class, why, corrections).map_err(fault)?;
        let resource_template = match resource {
            "-" => None,
            text => {
                let parsed = ResourceTemplate::parse(text, &template, &about.ignore_case).map_err(fault)?;
                Some((text.to_owned(), parsed))
            }
        };
        let verbs = verbs_of(verbs).map_err(fault)?;
        let row = self.rows.len();
        let leaf = Leaf { verbs, conditions: template.conditions.clone().into(), class: known.class, row };
        let hung = match action {
            Some(action) => self.name(action, &leaf),
            None => self.trie(about, &template).map_err(fault)?.insert(&template.segments, leaf),
        };
        if let Err(other) = hung {
            let other = self.rows.get(other).map_or(0, |row| row.line);
            return Err(Fault::new(
                number,
                format!("`{place}` is the same template as in line {other}"),
                "keep one of the two",
            ));
        }
        let Known { id, class, how, because } = known;
        if how == Recognition::Exact {
            let first = *self.by_id.entry(id.clone()).or_insert(row);
            if let Some(before) = self.rows.get(first).filter(|before| before.class != class) {
                let why =
                    format!("`{name}` is `{class}` here and `{}` in line {}", before.class, before.line);
                return Err(Fault::new(
                    number,
                    why,
                    "an operation has one class: split it in two or make them agree",
                ));
            }
        }
        let place = format!("{} {place}", columns.first().copied().unwrap_or_default());
        self.rows.push(Row { line: number, id, class, how, because, place, resource: resource_template });
        Ok(())
    }

    /// Lists a protocol's own name of an operation. Gives back the row that has it already.
    fn name(&mut self, action: &str, leaf: &Leaf) -> Result<(), usize> {
        for verb in &leaf.verbs {
            if let Some(other) = self.actions.entry(verb.clone()).or_default().insert(action.into(), leaf.row)
            {
                return Err(other);
            }
        }
        Ok(())
    }

    /// The operation that a protocol calls `name`.
    pub(super) fn action(&self, method: &str, name: &str, service: &ServiceName) -> Option<Operation> {
        Some(self.rows.get(*self.actions.get(method)?.get(name)?)?.operation(service, None))
    }

    /// Whether any operation is listed by such a name.
    pub(super) fn has_actions(&self, method: &str) -> bool {
        self.actions.contains_key(method)
    }

    /// Where a template belongs. One that no request could reach is a mistake.
    fn trie(&mut self, about: &About, template: &Template) -> Result<&mut Trie, String> {
        if let Some(host) = &template.host {
            if about.other_hosts.iter().any(|have| have.eq_ignore_ascii_case(host)) {
                return Ok(self.elsewhere.entry(host.clone()).or_default());
            }
            return Err(format!("`{host}` is not among the `other_hosts` of `service.toml`"));
        }
        let begins = |prefix: &Vec<Box<str>>| {
            let literal =
                |segment: &Segment, text: &str| matches!(segment, Segment::Literal(l) if l.as_ref() == text);
            prefix.len() <= template.segments.len()
                && prefix.iter().zip(&template.segments).all(|(text, segment)| literal(segment, text))
        };
        if about.prefixes().iter().any(begins) {
            Ok(&mut self.here)
        } else {
            Err("the template begins with none of the `paths` of `service.toml`".to_owned())
        }
    }

    /// The line that names the operation of a request, if one does.
    pub(super) fn find(
        &self,
        other: Option<&str>,
        segments: &[Cow<'_, str>],
        asked: &Asked<'_>,
    ) -> Option<&Row> {
        let trie = other.map_or(Some(&self.here), |host| self.elsewhere.get(host))?;
        self.rows.get(trie.find(segments, asked)?)
    }

    /// The class of the operation with this id.
    pub(super) fn class(&self, id: &str) -> Option<Class> {
        let at = self.by_id.get(&OperationId(id.into()))?;
        self.rows.get(*at).map(|row| row.class)
    }
}

/// What a line says about its operation.
struct Known {
    id: OperationId,
    class: Class,
    how: Recognition,
    because: Arc<str>,
}

impl Known {
    fn parse(
        about: &About,
        name: &str,
        class: &str,
        why: &str,
        corrections: &mut Corrections,
    ) -> Result<Self, String> {
        let published = Class::ALL.into_iter().find(|c| c.as_str() == class);
        let published =
            published.ok_or_else(|| format!("`{class}` is no class: read, act and delegate are"))?;
        if name == "-" {
            if published == Class::Read {
                return Err("a call whose head does not tell what it is cannot be `read`".to_owned());
            }
            let (how, because) = (Recognition::Unknown, "the head does not tell the operation".into());
            return Ok(Self { id: OperationId::unknown(published), class: published, how, because });
        }
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\' || c.is_control())
        {
            return Err(format!("`{name}` is no operation name"));
        }
        let (class, because) = match corrections.take(name) {
            Some((class, reason)) => (class, format!("catalog, corrected: {reason}").into()),
            None if why.is_empty() => (published, "catalog".into()),
            None => (published, format!("catalog, {why}").into()),
        };
        let id = OperationId(format!("{}:{name}", about.name).into());
        Ok(Self { id, class, how: Recognition::Exact, because })
    }
}

/// Six columns, empty where there are fewer.
fn columns_of<'a>(columns: &[&'a str]) -> [&'a str; 6] {
    std::array::from_fn(|at| columns.get(at).copied().unwrap_or_default())
}

fn verbs_of(text: &str) -> Result<Box<[Box<str>]>, String> {
    let verb = |verb: &str| {
        let token = !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if token || verb == request::WEBSOCKET {
            Ok(verb.into())
        } else {
            Err(format!("`{verb}` is no method: write `GET`, `GET,POST` or `{}`", request::WEBSOCKET))
        }
    };
    text.split(',').map(verb).collect()
}

/// `overrides.toml`: judgements by hand that no import loses.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Corrections {
    #[serde(default, rename = "override")]
    all: Vec<Correction>,
    #[serde(default)]
    models: Option<Models>,
    #[serde(default)]
    credential: Option<Credential>,
    #[serde(default)]
    tokens: Option<Tokens>,
    #[serde(default)]
    sentences: Sentences,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Correction {
    operation: toml::Spanned<String>,
    class: Class,
    reason: String,
    /// The line in the file; 0 until it was looked up.
    #[serde(skip)]
    line: usize,
    #[serde(skip)]
    used: bool,
}

impl Corrections {
    fn parse(text: &str) -> Result<Self, Fault> {
        let remedy = "write `[[override]]` with `operation`, `class` and `reason`";
        let mut parsed: Self = toml::from_str(text).map_err(|error| Fault::toml(text, &error, remedy))?;
        let mut seen: HashMap<String, usize> = HashMap::new();
        for one in &mut parsed.all {
            let before = text.get(..one.operation.span().start).unwrap_or_default();
            one.line = before.matches('\n').count() + 1;
            let name = one.operation.get_ref();
            if one.reason.trim().is_empty() {
                return Err(Fault::new(
                    one.line,
                    format!("`{name}` is corrected without a reason"),
                    "say why",
                ));
            }
            if let Some(line) = seen.insert(name.clone(), one.line) {
                return Err(Fault::new(
                    one.line,
                    format!("`{name}` was corrected in line {line}"),
                    "keep one of the two",
                ));
            }
        }
        Ok(parsed)
    }

    fn take(&mut self, name: &str) -> Option<(Class, &str)> {
        let one = self.all.iter_mut().find(|one| one.operation.get_ref() == name)?;
        one.used = true;
        Some((one.class, one.reason.as_str()))
    }

    fn all_used(&self) -> Result<(), Fault> {
        match self.all.iter().find(|one| !one.used) {
            None => Ok(()),
            Some(one) => {
                let why = format!("there is no operation `{}`", one.operation.get_ref());
                Err(Fault::new(one.line, why, "take the name from `operations.tsv`"))
            }
        }
    }
}
