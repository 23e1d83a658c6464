//! Money by currency, in the smallest unit of each: what a call would spend, and how much a task may.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{Class, Operations};

/// A currency's code (ISO 4217), in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Three letters; their case does not matter.
    pub fn parse(text: &str) -> Result<Self, BadCurrency> {
        let bad = || BadCurrency(text.chars().take(20).collect());
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| bad())?;
        if code.iter().all(u8::is_ascii_alphabetic) {
            Ok(Self(code.map(|b| b.to_ascii_lowercase())))
        } else {
            Err(bad())
        }
    }

    /// How many digits its smallest unit lies behind the point (ISO 4217, "minor unit").
    pub fn digits(self) -> u32 {
        match &self.0 {
            b"bif" | b"clp" | b"djf" | b"gnf" | b"isk" | b"jpy" | b"kmf" | b"krw" | b"pyg" | b"rwf"
            | b"ugx" | b"uyi" | b"vnd" | b"vuv" | b"xaf" | b"xof" | b"xpf" => 0,
            b"bhd" | b"iqd" | b"jod" | b"kwd" | b"lyd" | b"omr" | b"tnd" => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

impl TryFrom<String> for Currency {
    type Error = BadCurrency;
    fn try_from(text: String) -> Result<Self, BadCurrency> {
        Self::parse(&text)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

/// A text that names no currency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no currency: three letters are wanted (ISO 4217), such as `usd`")]
pub struct BadCurrency(String);

/// Amounts by currency, each in its smallest unit.
pub type Money = BTreeMap<Currency, u64>;

/// What a call would spend, as far as the request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How much.
    pub money: Money,
    /// Whether it may be more: an amount cannot be read, or has no currency.
    pub unclear: bool,
}

impl Cost {
    /// Of all operations together. What only reads spends nothing, whatever amounts it names.
    pub fn of(operations: &Operations) -> Self {
        let mut cost = Self::default();
        for operation in operations.iter().filter(|operation| operation.class != Class::Read) {
            let args = &operation.facts.args;
            cost.unclear |= args.unclear;
            let Some(amount) = args.amount else { continue };
            let currency = args.currency.as_deref().map(Currency::parse);
            match (u64::try_from(amount), currency) {
                (Ok(amount), Some(Ok(currency))) => {
                    let sum = cost.money.entry(currency).or_default();
                    *sum = sum.saturating_add(amount);
                }
                _ => cost.unclear = true,
            }
        }
        cost
    }
}

/// Adds up.
pub fn add(to: &mut Money, more: &Money) {
    for (currency, amount) in more {
        let sum = to.entry(*currency).or_default();
        *sum = sum.saturating_add(*amount);
    }
}

/// Takes away; what is not there is not missed.
pub fn take(from: &mut Money, part: &Money) {
    for (currency, amount) in part {
        if let Some(sum) = from.get_mut(currency) {
            *sum = sum.saturating_sub(*amount);
        }
    }
}
