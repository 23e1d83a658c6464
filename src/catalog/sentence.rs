//! What an operation does, in a sentence for people: from `[sentences]` of the service where somebody wrote one, else made of
//! its name. The request's own words stand in it only as the resource, and do nothing there.

use std::fmt::Write as _;

use crate::call::money::Currency;
use crate::call::{Args, Class, Head, Operation, Peek, inert};

use super::Catalog;
use super::content::Content;
use super::error::Fault;
use super::service::Service;

/// How much of a resource's name is shown, characters.
const NAME_CHARS: usize = 200;
/// How many domains are named.
const DOMAINS: usize = 5;

/// The file's words for operations: `{resource}` stands for what the call is about.
pub(super) type Sentences = std::collections::BTreeMap<String, String>;

/// Each is for an operation that there is, and one line.
pub(super) fn check(sentences: &Sentences, known: impl Fn(&str) -> bool) -> Result<(), Fault> {
    for (operation, sentence) in sentences {
        if !known(operation) {
            let why = format!("`[sentences]` names `{operation}`, and there is no such operation");
            return Err(Fault::new(1, why, "take the name from `operations.tsv`"));
        }
        if sentence.is_empty() || sentence.chars().any(char::is_control) {
            let why = format!("the sentence of `{operation}` is no line of text");
            return Err(Fault::new(1, why, "write `Open an issue in {resource}`"));
        }
    }
    Ok(())
}

impl Catalog {
    /// What an operation does.
    pub fn sentence(&self, operation: &Operation) -> String {
        let service = self.named(&operation.service.0);
        let name = operation.id.0.split_once(':').map_or("", |(_, name)| name);
        let written =
            service.and_then(Service::table).and_then(|table| table.sentences.get(name)).map(String::as_str);
        let resource = operation.resource.as_ref();
        let which = resource.map(|resource| inert::text(&resource.id, NAME_CHARS).into_owned());
        let mut out = match (written, &which) {
            (Some(sentence), which) => {
                sentence.replace("{resource}", which.as_deref().unwrap_or("something unnamed"))
            }
            (None, Some(which)) => {
                let kind = resource.map_or("", |resource| &resource.kind);
                format!("{}: {kind} {which}", in_words(name, operation.class))
            }
            (None, None) => in_words(name, operation.class),
        };
        out.push_str(&circumstances(&operation.facts.args));
        let title = service.map_or_else(
            || inert::text(&operation.service.0, NAME_CHARS).into_owned(),
            |service| service.about.title.clone(),
        );
        let _infallible = write!(out, " ({title})");
        out
    }

    /// A request's body as text, its codings undone; `None` where it is no text, or cannot be read.
    pub fn readable(&self, head: &Head, body: &Peek) -> Option<String> {
        Content::read(&head.headers, body).text
    }
}

/// `issues/create-comment` as `Create comment (issues)`.
fn in_words(name: &str, class: Class) -> String {
    let parts: Vec<_> = name.split(['/', '.', ':']).filter(|part| !part.is_empty()).collect();
    let Some((last, before)) = parts.split_last() else {
        return match class {
            Class::Read => "Read something that the catalog does not know".to_owned(),
            Class::Act => "Do something that the catalog does not know".to_owned(),
            Class::Delegate => "Hand over something that the catalog does not know".to_owned(),
        };
    };
    let mut words = String::new();
    let mut small = false;
    for c in inert::text(last, NAME_CHARS).chars() {
        match c {
            '-' | '_' => words.push(' '),
            c if c.is_uppercase() && small => {
                words.push(' ');
                words.extend(c.to_lowercase());
            }
            c if words.is_empty() => words.extend(c.to_uppercase()),
            c => words.push(c),
        }
        small = c.is_lowercase() || c.is_ascii_digit();
    }
    if !before.is_empty() {
        let _infallible = write!(words, " ({})", inert::text(&before.join(" "), NAME_CHARS));
    }
    words
}

/// `, to 3 recipients, 1 of them outside (example.net)`, and whatever else the request says of itself.
fn circumstances(args: &Args) -> String {
    let Args { amount, currency, recipients, external, domains, visibility, branch, rows, unclear } = args;
    let mut out = String::new();
    let mut add = |text: String| {
        out.push_str(", ");
        out.push_str(&text);
    };
    if let Some(amount) = amount {
        add(money(*amount, currency.as_deref()));
    }
    if let Some(recipients) = recipients {
        let noun = if *recipients == 1 { "recipient" } else { "recipients" };
        let outside = external.filter(|external| *external > 0).map(|external| {
            let named: Vec<_> = domains.iter().take(DOMAINS).map(|name| inert::text(name, 80)).collect();
            let more = if domains.len() > DOMAINS { ", …" } else { "" };
            format!(", {external} of them outside of the organisation ({}{more})", named.join(", "))
        });
        add(format!("to {recipients} {noun}{}", outside.unwrap_or_default()));
    }
    if let Some(rows) = rows {
        add(format!("{rows} at once"));
    }
    if let Some(branch) = branch {
        add(format!("on branch {}", inert::text(branch, 80)));
    }
    if let Some(visibility) = visibility {
        add(format!("visible as {}", inert::text(visibility, 40)));
    }
    if *unclear {
        add("and more than that may be meant: a field of it can be read in two ways".to_owned());
    }
    out
}

/// `12.50 usd`.
fn money(amount: i64, currency: Option<&str>) -> String {
    let Some(currency) = currency.and_then(|name| Currency::parse(name).ok()) else {
        return format!("an amount of {amount} in an unknown currency");
    };
    let (whole, digits) = (10_i64.pow(currency.digits()), currency.digits() as usize);
    match digits {
        0 => format!("{amount} {currency}"),
        _ => format!("{}.{:0digits$} {currency}", amount / whole, (amount % whole).abs()),
    }
}

#[cfg(test)]
mod tests;
