//! From what a task may touch to what its keys can do: a session policy (IAM User Guide, "Session policies").
//!
//! Services are named differently in IAM than elsewhere, and so are actions; what can be said of all of them is which verbs
//! only read. A read gets those alone. An act gets all but what hands authority on, and a delegation gets all. None outlives
//! the task: its last statement ends everything at the deadline. A wrong name of a service allows nothing.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::{MintError, Need};
use crate::call::{Class, Timestamp};

/// STS takes no longer one.
const LONGEST_POLICY: usize = 2048;
/// Verbs that retrieve, in the names of IAM's actions.
const READS: [&str; 12] = [
    "BatchGet*",
    "Describe*",
    "Filter*",
    "Get*",
    "Head*",
    "List*",
    "Lookup*",
    "Query*",
    "Scan*",
    "Search*",
    "Select*",
    "View*",
];
/// Reads by their verb that hand out what opens other doors.
const HANDS_OUT: [&str; 4] = ["Get*Credential*", "Get*Password*", "Get*Token*", "Get*AccessKey*"];
/// Changes of who may do what.
const AUTHORITY: [&str; 11] = [
    "*Grant*",
    "*Permission*",
    "*Policy*",
    "Put*Acl",
    "*AccessKey*",
    "*Credential*",
    "Assume*",
    "Pass*",
    "*LoginProfile*",
    "*UserToGroup*",
    "*FederationToken*",
];

/// How session policies are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The service's name in IAM, where it is not the one that the catalog has behind `aws-`.
    pub iam_prefix: Option<String>,
    /// The operator's own policy, for grants that cannot be said in ARNs; a JSON document. It is narrowed further by class
    /// and deadline.
    pub session_policy: Option<String>,
}

impl Narrowing {
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(policy) = &self.session_policy {
            statements(policy)?;
        }
        let sound = |prefix: &String| {
            prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        match &self.iam_prefix {
            Some(prefix) if !sound(prefix) => {
                Err(format!("`iam_prefix` is `{prefix}`; IAM's name of a service is wanted, as `s3`"))
            }
            _ => Ok(()),
        }
    }

    /// The policy for a need.
    pub(super) fn policy(&self, need: &Need<'_>, role_arn: &str) -> Result<String, MintError> {
        let service = need.service.0.as_ref();
        let prefix =
            self.iam_prefix.as_deref().unwrap_or_else(|| service.strip_prefix("aws-").unwrap_or(service));
        let actions =
            |verbs: &[&str]| verbs.iter().map(|verb| format!("{prefix}:{verb}")).collect::<Vec<_>>();
        let mut all = if let Some(own) = &self.session_policy {
            statements(own).map_err(MintError::Refused)?
        } else {
            let allowed = if need.class == Class::Read { actions(&READS) } else { actions(&["*"]) };
            vec![json!({"Effect": "Allow", "Action": allowed, "Resource": arns(need, role_arn)?})]
        };
        if self.session_policy.is_some() && need.class == Class::Read {
            all.push(json!({"Effect": "Deny", "NotAction": actions(&READS), "Resource": "*"}));
        }
        let denied = match need.class {
            Class::Read => actions(&HANDS_OUT),
            Class::Act => actions(&[&HANDS_OUT[..], &AUTHORITY[..]].concat()),
            Class::Delegate => Vec::new(),
        };
        if !denied.is_empty() {
            all.push(json!({"Effect": "Deny", "Action": denied, "Resource": "*"}));
        }
        all.push(json!({
            "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"DateGreaterThanEquals": {"aws:CurrentTime": iso(need.until)}},
        }));
        let policy = json!({"Version": "2012-10-17", "Statement": all}).to_string();
        if policy.len() > LONGEST_POLICY {
            return Err(MintError::TooWide(format!(
                "the session policy has {} characters, and STS takes {LONGEST_POLICY}; grant the task fewer resources, or patterns \
                 for them",
                policy.len()
            )));
        }
        Ok(policy)
    }
}

/// What keys for this need can do, for people. Names all that the policy is made of.
pub(super) fn scope(need: &Need<'_>, role_arn: &str) -> String {
    let mut scope = format!("{} on {}", need.class, need.service.0);
    for (n, resource) in need.task.terms.grant.resources.iter().enumerate() {
        let _infallible = write!(scope, "{}{resource}", if n == 0 { ": " } else { ", " });
    }
    let _infallible = write!(scope, " as {role_arn}");
    scope
}

fn statements(policy: &str) -> Result<Vec<Value>, String> {
    let wrong = |why: &str| format!("`session_policy` {why}; write an IAM policy as JSON");
    let policy: Value =
        serde_json::from_str(policy).map_err(|error| wrong(&format!("is no JSON ({error})")))?;
    match policy.get("Statement") {
        Some(Value::Array(statements)) if statements.iter().all(Value::is_object) => Ok(statements.clone()),
        Some(statement @ Value::Object(_)) => Ok(vec![statement.clone()]),
        _ => Err(wrong("has no `Statement`")),
    }
}

/// The resources of the grant as ARNs. Those of other services are left out.
fn arns(need: &Need<'_>, role_arn: &str) -> Result<Vec<String>, MintError> {
    let granted = &need.task.terms.grant.resources;
    if granted.is_empty() {
        return Ok(vec!["*".to_owned()]);
    }
    let service = need.service.0.as_ref();
    let partition = role_arn.split(':').nth(1).unwrap_or("aws");
    let mut found = Vec::new();
    for pattern in granted {
        let pattern = pattern.to_string();
        if let Some(start) = pattern.strip_suffix('*')
            && !start.contains('/')
        {
            if service.starts_with(start) {
                return Ok(vec!["*".to_owned()]);
            }
            continue;
        }
        let Some(rest) = pattern.strip_prefix(service).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        found.push(arn(service, partition, rest).ok_or_else(|| {
            MintError::TooWide(format!(
                "the grant's `{pattern}` cannot be said as an ARN; write `session_policy` into the [[leases]] entry, or grant \
                 the resource by its ARN"
            ))
        })?);
    }
    if found.is_empty() {
        return Err(MintError::TooWide(format!(
            "the task's grant has no resource of `{service}`, so there is nothing to ask for"
        )));
    }
    Ok(found)
}

/// `kind/id` of the catalog as an ARN.
fn arn(service: &str, partition: &str, resource: &str) -> Option<String> {
    if resource == "*" {
        return Some("*".to_owned());
    }
    let (kind, id) = resource.split_once('/')?;
    // In IAM a `?` stands for any character and `${` begins a variable.
    if id.is_empty() || id.contains(['?', '$']) {
        return None;
    }
    match (service, kind) {
        _ if id.starts_with("arn:") => Some(id.to_owned()),
        ("aws-s3", "bucket" | "object") => Some(format!("arn:{partition}:s3:::{id}")),
        _ => None,
    }
}

fn iso(at: Timestamp) -> String {
    // `2026-01-02T03:04:05.678Z`, of which IAM takes whole seconds.
    let text = at.to_string();
    format!("{}Z", text.get(..19).unwrap_or(&text))
}
