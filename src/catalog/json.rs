//! JSON as it was sent: every field is kept, also those whose name occurs twice.
//!
//! RFC 8259 §4 leaves open which of two equal names counts, and some decoders do not tell letter case apart. So whoever
//! asks for a field gets all that any server could take for it. Depth and size are bounded; what is beyond is an error.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// More values than this are not read. Each costs at most 56 bytes beside its text.
const VALUES: usize = 100_000;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// `null`.
    Null,
    /// As near as 64 bits come to it.
    Number(serde_json::Number),
    Bool(bool),
    Text(String),
    List(Vec<Json>),
    /// In the order sent.
    Fields(Vec<(Name, Json)>),
}

/// The name of a field. Most are short, and then they are kept where they stand: a body has more names than anything.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Name {
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

/// As long as a name may be that takes no memory of its own.
const SHORT: usize = 22;

impl Name {
    pub(super) fn of(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short(length, bytes)
            }
            _ => Self::Long(text.into()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            // It was made of a text, so it is one.
            Self::Short(length, bytes) => {
                let bytes = bytes.get(..usize::from(*length)).unwrap_or_default();
                std::str::from_utf8(bytes).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }

    /// Letter case does not count.
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Short(length, bytes) => {
                usize::from(*length) == name.len()
                    && bytes.get(..name.len()).is_some_and(|have| have.eq_ignore_ascii_case(name.as_bytes()))
            }
            Self::Long(text) => text.eq_ignore_ascii_case(name),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Json {
    /// The values of a text: one, or several one after the other (`application/x-ndjson`).
    pub(super) fn all(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        let left = Cell::new(VALUES);
        let mut input = serde_json::Deserializer::from_str(text);
        let mut all = Vec::new();
        loop {
            all.push(Seed(&left).deserialize(&mut input)?);
            if input.end().is_ok() {
                return Ok(all);
            }
        }
    }

    /// All that a server could take for the field `name`.
    pub(super) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> + 'a {
        let fields = if let Self::Fields(fields) = self { fields.as_slice() } else { &[] };
        fields.iter().filter(move |(have, _)| have.is(name)).map(|(_, value)| value)
    }

    /// All that a server could take for the field `name`, for a name that does not live as long.
    pub(super) fn named(&self, name: &str) -> Vec<&Self> {
        let fields = if let Self::Fields(fields) = self { fields.as_slice() } else { &[] };
        fields.iter().filter(|(have, _)| have.is(name)).map(|(_, value)| value).collect()
    }

    /// Whether there is a field `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields(name).next().is_some()
    }

    /// All texts of the field `name`.
    pub(super) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.fields(name).filter_map(Self::text)
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// As JSON, where it is a text or a number; `null` otherwise.
    pub(super) fn scalar(&self) -> String {
        match self {
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Number(number) => number.to_string(),
            _ => "null".to_owned(),
        }
    }

    /// All objects: itself, or those in its lists and their lists.
    pub(super) fn objects(&self) -> Vec<&Self> {
        let (mut open, mut found) = (vec![self], Vec::new());
        while let Some(value) = open.pop() {
            match value {
                Self::Fields(_) => found.push(value),
                Self::List(list) => open.extend(list.iter().rev()),
                _ => {}
            }
        }
        found
    }

    /// Its elements, or itself alone.
    pub(super) fn each(&self) -> &[Self] {
        if let Self::List(list) = self { list } else { std::slice::from_ref(self) }
    }
}

struct Seed<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<Json, D::Error> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.0.set(left);
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        // JSON has no infinity, so there is always a number.
        Ok(serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = input.next_element_seed(Seed(self.0))? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = input.next_key_seed(NameSeed)? {
            fields.push((name, input.next_value_seed(Seed(self.0))?));
        }
        Ok(Json::Fields(fields))
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<Name, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name::of(name))
    }
}
