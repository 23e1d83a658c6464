//! Fields of a request by name, wherever a server could look for them: `amount`, `message.raw`, `header:x-amz-acl`.
//!
//! A dot goes into an object of a JSON body; lists are gone through. The same name is looked for in a form as `a[b]`, `a.b`,
//! `a[]`, `a.1` and `a.member.1`, in the parts of a multipart body and in the query.

use super::json::Json;
use super::reading::Request;

/// How many values of one field are looked at.
const VALUES: usize = 1_000;

/// The fields of a request.
pub(super) struct Fields<'a> {
    request: Request<'a>,
    /// The body could not be read, or not to its end.
    pub(super) unreadable: bool,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
}

impl<'a> Fields<'a> {
    pub(super) fn of(request: Request<'a>) -> Self {
        Self { request, unreadable: request.content.trouble.is_some() }
    }

    /// All values of a field.
    pub(super) fn values(&self, field: &str) -> Vec<Value> {
        let content = self.request.content;
        if let Some(name) = field.strip_prefix("header:") {
            let values = self.request.headers.get_all(name).iter();
            return values
                .filter_map(|value| value.to_str().ok())
                .map(|value| Value::Text(value.to_owned()))
                .collect();
        }
        let mut found = Vec::new();
        for object in content.objects() {
            into(object, field, &mut found);
        }
        let told = self.request.query.pairs().chain(content.form().pairs());
        found.extend(
            told.filter(|(key, _)| names(key, field)).map(|(_, value)| Value::Text(value.into_owned())),
        );
        let parts =
            content.parts.iter().filter(|part| part.name.as_deref().is_some_and(|name| names(name, field)));
        found.extend(parts.map(|part| Value::Text(part.body.clone())));
        found.truncate(VALUES);
        found
    }

    /// The one value of a field, as text of at most `most` bytes. An error where there are several, or it is longer.
    pub(super) fn one(&self, field: &str, most: usize) -> Result<Option<String>, ()> {
        let mut texts: Vec<String> = self.values(field).iter().map(Value::text).collect();
        texts.dedup();
        match texts.as_slice() {
            [] => Ok(None),
            [text] if text.len() <= most => Ok(Some(text.clone())),
            _ => Err(()),
        }
    }

    /// A number, or how many values there are.
    pub(super) fn count(&self, field: &str) -> Option<u64> {
        let content = self.request.content;
        let lists: Vec<u64> = content.objects().filter_map(|object| longest(object, field)).collect();
        let values = self.values(field);
        let said =
            values.iter().filter_map(|value| value.amount(0)).filter_map(|n| u64::try_from(n).ok()).max();
        lists.into_iter().max().or(said).or(Some(values.len() as u64).filter(|n| *n > 0))
    }
}

impl Value {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bool(truth) => truth.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::Number(_) => None,
            Self::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
        }
    }

    /// An amount in the smallest unit of a currency, of which there are ten to the power of `digits` in what is written;
    /// what is more exact than that is rounded up.
    pub(super) fn amount(&self, digits: u32) -> Option<i64> {
        let text = self.text();
        let text = text.trim();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        if unsigned.is_empty() || !is_number(unsigned) || !is_number(decimals) {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let exact = usize::try_from(digits).ok()?;
        let beyond = decimals.bytes().skip(exact).any(|b| b != b'0');
        let part: i64 = match decimals.chars().chain(std::iter::repeat('0')).take(exact).collect::<String>() {
            none if none.is_empty() => 0,
            part => part.parse().ok()?,
        };
        let whole = whole.checked_mul(10_i64.checked_pow(digits)?)?;
        whole.checked_add(part)?.checked_add(i64::from(beyond))
    }
}

/// The values at a path inside of a JSON value.
fn into(value: &Json, path: &str, found: &mut Vec<Value>) {
    for value in reached(value, path) {
        for one in value.each().iter().take(VALUES) {
            match one {
                Json::Bool(truth) => found.push(Value::Bool(*truth)),
                Json::Number(number) => found.push(Value::Number(number.clone())),
                Json::Text(text) => found.push(Value::Text(text.clone())),
                Json::Null | Json::List(_) | Json::Fields(_) => {}
            }
        }
    }
}

fn reached<'a>(value: &'a Json, path: &str) -> Vec<&'a Json> {
    let mut open = vec![value];
    for name in path.split('.') {
        let inside = open.into_iter().flat_map(Json::each);
        open = inside.flat_map(|value| value.named(name)).take(VALUES).collect();
    }
    open
}

fn longest(value: &Json, path: &str) -> Option<u64> {
    let lists = reached(value, path).into_iter();
    lists.filter_map(|value| if let Json::List(list) = value { Some(list.len() as u64) } else { None }).max()
}

/// Whether the name of a form's field means `field`.
fn names(key: &str, field: &str) -> bool {
    if key == field {
        return true;
    }
    let mut asked = key.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| {
        // `a[]`, `a[0]`, `a.member.1`.
        !part.is_empty() && *part != "member" && !part.bytes().all(|b| b.is_ascii_digit())
    });
    let mut wanted = field.split('.');
    loop {
        match (asked.next(), wanted.next()) {
            (None, None) => return true,
            (Some(have), Some(want)) if have.eq_ignore_ascii_case(want) => {}
            _ => return false,
        }
    }
}
