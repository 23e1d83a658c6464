//! What a class of calls may ask for: scopes, paths. What cannot be told apart is refused unless the operator said `wide`.

use std::collections::BTreeMap;

use super::MintError;
use crate::call::Class;

/// Something for each class, or one thing for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByClass<T> {
    /// `{ read = …, act = …, delegate = … }`: each class has its own, exactly as it is written; one that is not named has none.
    Each(BTreeMap<Class, T>),
    /// The same for all: a lease for reads could act.
    Same(T),
    /// The server says.
    Unsaid,
}

/// Whether a lease may be able to do more than its class needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// No: what cannot be narrowed is refused.
    #[default]
    Narrow,
    /// The operator said `wide = true`.
    Wide,
}

impl<T> ByClass<T> {
    /// What to ask for; none: nothing is to be said, and the server gives what it gives. `key` names the setting.
    pub fn of(&self, class: Class, width: Width, key: &str) -> Result<Option<&T>, MintError> {
        let wide = match self {
            Self::Each(each) => match each.get(&class) {
                Some(own) => return Ok(Some(own)),
                None => None,
            },
            Self::Same(all) => Some(all),
            Self::Unsaid => None,
        };
        if width == Width::Wide {
            return Ok(wide);
        }
        Err(MintError::TooWide(format!(
            "nothing says what a lease for calls of class {class} may do and no more; name it in `{key} = {{ {class} = … }}`, or accept with `wide = true` that it can do more"
        )))
    }
}
