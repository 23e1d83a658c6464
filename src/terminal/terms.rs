//! `--grant`, `--budget` and their like: how far a task reaches, as several verbs take it.

use std::collections::BTreeMap;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

use super::arguments;
use crate::call::money::{Currency, Money};
use crate::call::{Binding, TemplateLink, Thumbprint};

/// How far a task reaches.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Terms {
    /// What it may touch, such as `class=read,service=github`; keys are class, service, operation, resource, several values
    /// of one key are alternatives, `*` may end a value. `template:NAME=SERVICE/KIND/ID` (or `=SERVICE`) links a policy
    /// template for this task. May be repeated [default: all that its intent may, and no links]
    #[arg(long = "grant", value_name = "KEY=VALUE,...", value_parser = grant)]
    grants: Vec<Pairs>,
    /// How much it may do, such as `acts=5,bytes=10M,time=10m,money=99.50EUR`; keys are calls, reads, acts, delegates, bytes,
    /// time, and money, once for each currency: what requests name, and no other currency then
    #[arg(long = "budget", value_name = "KEY=AMOUNT,...", value_parser = budget)]
    budgets: Vec<Budget>,
    /// What its token has to come with
    #[arg(long, value_name = "WHAT", value_parser = ["none", "x509-svid"])]
    bind: Option<String>,
    /// The client certificate (PEM) that its token has to come with, on the TLS proxy listener (RFC 8705)
    #[arg(long, value_name = "FILE", value_parser = certificate, conflicts_with = "bind")]
    bind_certificate: Option<Thumbprint>,
}

/// Keys with one value each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(Vec<(&'static str, String)>);

/// Amounts, and perhaps the wall time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Budget {
    amounts: BTreeMap<&'static str, u64>,
    money: Money,
    time: Option<Duration>,
}

impl Terms {
    /// Adds what was said to the body of a request. Wall time is the task's life: the shorter of it and `ttl` counts.
    pub(super) fn add_to(&self, body: &mut Value, ttl: Option<Duration>) {
        let Some(body) = body.as_object_mut() else { return };
        let mut grant: Map<String, Value> = Map::new();
        for (key, value) in self.grants.iter().flat_map(|pairs| &pairs.0) {
            if let Value::Array(values) = grant.entry(*key).or_insert_with(|| json!([])) {
                values.push(json!(value));
            }
        }
        let mut amounts: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, amount) in self.budgets.iter().flat_map(|budget| &budget.amounts) {
            amounts.insert(key, *amount);
        }
        if !grant.is_empty() {
            body.insert("grant".into(), Value::Object(grant));
        }
        let mut money = Money::new();
        for budget in &self.budgets {
            money.extend(&budget.money);
        }
        if !amounts.is_empty() || !money.is_empty() {
            let mut budget = json!(amounts);
            if let Some(budget) = budget.as_object_mut().filter(|_| !money.is_empty()) {
                budget.insert("money".into(), json!(money));
            }
            body.insert("budget".into(), budget);
        }
        if let Some(bind) = &self.bind {
            body.insert("bind".into(), json!(bind));
        }
        if let Some(thumbprint) = self.bind_certificate {
            body.insert("bind".into(), json!(Binding::Certificate(thumbprint)));
        }
        let time = self.budgets.iter().filter_map(|budget| budget.time).chain(ttl).min();
        if let Some(time) = time {
            body.insert("ttl_s".into(), json!(time.as_secs()));
        }
    }
}

fn pairs(text: &str) -> impl Iterator<Item = Result<(&str, &str), String>> {
    text.split(',').map(|part| match part.split_once('=') {
        Some((key, value)) if !value.is_empty() => Ok((key, value)),
        _ => Err(format!("`{part}` is not `key=value`")),
    })
}

/// `class=read,service=github,service=slack`.
fn grant(text: &str) -> Result<Pairs, String> {
    let pair = |pair: Result<(&str, &str), String>| {
        let (key, value) = pair?;
        if let Some(template) = key.strip_prefix("template:") {
            let link = TemplateLink::parse(&format!("{template}={value}"));
            return Ok(("links", link.map_err(|error| error.to_string())?.to_string()));
        }
        let key = match key {
            "class" => "classes",
            "service" => "services",
            "operation" => "operations",
            "resource" => "resources",
            other => {
                return Err(format!(
                    "`{other}` is none of class, service, operation, resource, template:NAME"
                ));
            }
        };
        Ok((key, value.to_owned()))
    };
    pairs(text).map(pair).collect::<Result<_, _>>().map(Pairs)
}

/// `acts=5,bytes=10M,time=10m`.
fn budget(text: &str) -> Result<Budget, String> {
    let mut budget = Budget::default();
    for pair in pairs(text) {
        let (key, value) = pair?;
        let key = match key {
            "calls" => "calls",
            "reads" => "reads",
            "acts" => "acts",
            "delegates" => "delegates",
            "bytes" => "bytes",
            "time" => {
                budget.time = Some(arguments::duration(value)?);
                continue;
            }
            "money" => {
                let (currency, amount) = money(value)?;
                budget.money.insert(currency, amount);
                continue;
            }
            other => {
                return Err(format!(
                    "`{other}` is none of calls, reads, acts, delegates, bytes, money, time"
                ));
            }
        };
        budget.amounts.insert(key, amount(value)?);
    }
    Ok(budget)
}

/// The first certificate of a PEM file.
fn certificate(path: &str) -> Result<Thumbprint, String> {
    let read = CertificateDer::from_pem_file(path).map_err(|error| format!("`{path}`: {error}"))?;
    Ok(Thumbprint::of(&read))
}

/// `100USD`, `99.50EUR`, `5000JPY`: an amount of a currency, in its smallest unit.
fn money(text: &str) -> Result<(Currency, u64), String> {
    let wrong = || format!("`{text}` is not an amount of money; write `100USD` or `99.50EUR`");
    let code = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, code) = text.split_at(code);
    let currency = Currency::parse(code).map_err(|error| error.to_string())?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = usize::try_from(currency.digits()).map_err(|_| wrong())?;
    if part.len() > digits || !part.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "`{text}` is more exact than {currency} is; it has {digits} digits behind the point"
        ));
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<digits$}0").parse::<u64>().map_err(|_| wrong())? / 10;
    let whole = whole.checked_mul(10_u64.pow(currency.digits())).ok_or_else(wrong)?;
    Ok((currency, whole.checked_add(part).ok_or_else(wrong)?))
}

/// `20`, `64k`, `10M`, `2G`: the letters are powers of 1,024.
fn amount(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not an amount; write `20`, `64k`, `10M` or `2G`");
    let (digits, unit) = match text.strip_suffix(['k', 'M', 'G']) {
        None => (text, 1),
        Some(digits) if text.ends_with('k') => (digits, 1 << 10),
        Some(digits) if text.ends_with('M') => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
