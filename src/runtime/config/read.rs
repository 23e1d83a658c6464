//! Typed reading of one table: each key is taken once, and what nobody took is unknown.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;

/// One table of the document, perhaps absent.
pub(super) struct Section<'d> {
    path: String,
    table: Option<&'d DeTable<'d>>,
    known: Vec<&'static str>,
    problems: &'d Problems<'d>,
}

impl<'d> Section<'d> {
    pub(super) fn root(table: &'d DeTable<'d>, problems: &'d Problems<'d>) -> Self {
        Self { path: String::new(), table: Some(table), known: Vec::new(), problems }
    }

    /// A table in this one; an absent one is empty.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'d> {
        self.known.push(key);
        let path = self.name(key);
        let found = self.find(key);
        let table = found.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                let what = format!("`{path}`: a table is wanted, such as `[{path}]`, not {}", kind(other));
                self.problems.at(Some(value.span()), what);
                None
            }
        });
        Section { path, table, known: Vec::new(), problems: self.problems }
    }

    /// The tables of a list such as `[[agents]]`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'d>> {
        self.known.push(key);
        let path = self.name(key);
        let Some(value) = self.find(key) else { return Vec::new() };
        let mut sections = Vec::new();
        if let DeValue::Array(items) = value.get_ref() {
            for item in items {
                if let DeValue::Table(table) = item.get_ref() {
                    let (path, table) = (path.clone(), Some(table));
                    sections.push(Section { path, table, known: Vec::new(), problems: self.problems });
                } else {
                    let what = format!("`{path}`: a table is wanted, such as `[[{path}]]`");
                    self.problems.at(Some(item.span()), what);
                }
            }
        } else {
            let what =
                format!("`{path}`: tables are wanted, such as `[[{path}]]`, not {}", kind(value.get_ref()));
            self.problems.at(Some(value.span()), what);
        }
        sections
    }

    /// The tables in a table whose keys are the operator's, such as `[services.github]`.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(String, Section<'d>)> {
        let Section { path, table, problems, .. } = self.section(key);
        let mut sections = Vec::new();
        for (name, value) in table.into_iter().flatten() {
            let (name, path) = (name.get_ref().to_string(), format!("{path}.{}", name.get_ref()));
            if let DeValue::Table(table) = value.get_ref() {
                sections.push((name, Section { path, table: Some(table), known: Vec::new(), problems }));
            } else {
                let what = format!("`{path}`: a table is wanted, such as `[{path}]`");
                problems.at(Some(value.span()), what);
            }
        }
        sections
    }

    /// Whether the document has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Whether the key holds a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.find(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// Notes that a key without which the table means nothing is absent.
    pub(super) fn lacks(&self, key: &str) {
        self.problems.anywhere(format!("`{}` is missing in one of the [[{}]]", key, self.path));
    }

    /// Notes what is wrong with a table as a whole.
    pub(super) fn wrong(&self, what: &str) {
        self.problems.anywhere(format!("[[{}]]: {what}", self.path));
    }

    /// Notes what is wrong, in whole words.
    pub(super) fn amiss(&self, what: &str) {
        self.problems.anywhere(what.to_owned());
    }

    /// The key's value, parsed; a mistake is noted and reads as absent.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(Value<'_>) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.find(key)?;
        match parse(Value(value)) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.problems.at(Some(value.span()), format!("`{}`: {why}", self.name(key)));
                None
            }
        }
    }

    /// Every key and value, for tables whose keys are the operator's.
    pub(super) fn entries<T>(self, parse: impl Fn(&str, Value<'_>) -> Result<T, String>) -> Vec<T> {
        let mut parsed = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            match parse(key.get_ref(), Value(value)) {
                Ok(entry) => parsed.push(entry),
                Err(why) => {
                    self.problems.at(Some(key.span()), format!("`{}`: {why}", self.name(key.get_ref())));
                }
            }
        }
        parsed
    }

    /// Notes every key that nobody took.
    pub(super) fn finish(self) {
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let place = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
                let what = format!("unknown key `{name}`{place}{}", advice(name, &self.known));
                self.problems.at(Some(key.span()), what);
            }
        }
    }

    fn find(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.table?.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// One value of the document.
#[derive(Clone, Copy)]
pub(super) struct Value<'d>(&'d Spanned<DeValue<'d>>);

impl<'d> Value<'d> {
    pub(super) fn text(self) -> Result<&'d str, String> {
        match self.0.get_ref() {
            DeValue::String(text) => Ok(text),
            other => Err(format!("a text in quotes is wanted, not {}", kind(other))),
        }
    }

    /// `true` or `false`.
    pub(super) fn truth(self) -> Result<bool, String> {
        match self.0.get_ref() {
            DeValue::Boolean(truth) => Ok(*truth),
            other => Err(format!("true or false is wanted, not {}", kind(other))),
        }
    }

    /// A whole number from `least` to `most`.
    pub(super) fn integer(self, least: u64, most: u64, unit: &str) -> Result<u64, String> {
        let wanted = format!("a whole number of {unit} from {least} to {most} is wanted");
        let DeValue::Integer(number) = self.0.get_ref() else {
            return Err(format!("{wanted}, not {}", kind(self.0.get_ref())));
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if (least..=most).contains(&value) => Ok(value),
            _ => Err(format!("{wanted}, not {}", number.as_str())),
        }
    }

    /// Each key and value, if this is a table whose keys are of one kind.
    pub(super) fn members(self) -> Option<Vec<(&'d str, Value<'d>)>> {
        match self.0.get_ref() {
            DeValue::Table(table) => {
                Some(table.iter().map(|(key, value)| (&**key.get_ref(), Value(value))).collect())
            }
            _ => None,
        }
    }

    /// Each item of a list.
    pub(super) fn each<T>(self, parse: impl Fn(Value<'d>) -> Result<T, String>) -> Result<Vec<T>, String> {
        match self.0.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| parse(Value(item))).collect(),
            other => Err(format!("a list in brackets is wanted, not {}", kind(other))),
        }
    }
}

/// `one of a, b is wanted`, with the nearest.
pub(super) fn not_one_of(given: &str, known: &[&str]) -> String {
    let all: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "`{given}` is not one of {}{}",
        all.join(", "),
        nearest(given, known).map_or(String::new(), did_you_mean)
    )
}

fn advice(given: &str, known: &[&str]) -> String {
    nearest(given, known).map_or_else(|| format!("; known keys: {}", known.join(", ")), did_you_mean)
}

fn did_you_mean(name: &str) -> String {
    format!("; did you mean `{name}`?")
}

/// The known name that the given one most likely meant: a slip of the hand, a beginning, or a missing unit.
fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    // A third of the letters may be wrong; beyond that a suggestion misleads more often than it helps.
    let slips = 1.max(given.chars().count() / 3);
    known
        .iter()
        .filter(|name| {
            strsim::damerau_levenshtein(given, name) <= slips || (given.len() > 2 && name.starts_with(given))
        })
        .min_by_key(|name| strsim::damerau_levenshtein(given, name))
        .copied()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
