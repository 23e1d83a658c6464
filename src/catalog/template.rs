//! The path templates of `operations.tsv`.
//!
//! ```text
//! template  = ["//" host] *("/" segment) ["?" condition *("&" condition)]
//! condition = name "=" [value] / "header:" field-name "="
//! segment   = literal / [prefix] "{" name "}" [suffix] / "{" name "...}"      the last form only at the end
//! ```
//!
//! `{id}:batchGet` and `{repo}.git` are one parameter with a suffix. A template with a host counts at that host only;
//! one without counts at all of the service's `hosts`. Conditions tell operations apart that share path and verb: what the
//! query says under a name (anything, where the value is empty), and that a header field is there.

/// A template, taken apart.
#[derive(Debug)]
pub(super) struct Template {
    /// The host, in lower case, where the template names one.
    pub(super) host: Option<Box<str>>,
    pub(super) segments: Vec<Segment>,
    /// What must be said besides.
    pub(super) conditions: Vec<Condition>,
}

/// Name and value of a query parameter, or [`HEADER`] with the name of a field, and nothing.
pub(super) type Condition = (Box<str>, Box<str>);

/// Before the name of a header field.
pub(super) const HEADER: &str = "header:";

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// In lower case: literals match in any case.
    Literal(Box<str>),
    /// One segment; prefix and suffix are in lower case, and empty where it is a parameter alone.
    Param { prefix: Box<str>, name: Box<str>, suffix: Box<str> },
    /// All that follows, at least one segment.
    Rest { name: Box<str> },
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (place, query) = text.split_once('?').map_or((text, None), |(place, query)| (place, Some(query)));
        let (host, path) = match place.strip_prefix("//") {
            None => (None, place),
            Some(rest) => {
                let at = rest.find('/').ok_or("the template names a host and no path")?;
                let (host, path) = rest.split_at(at);
                (Some(host.to_ascii_lowercase().into_boxed_str()), path)
            }
        };
        let path = path.strip_prefix('/').ok_or("the template does not begin with `/`")?;
        let segments: Vec<Segment> =
            path.split('/').filter(|s| !s.is_empty()).map(Segment::parse).collect::<Result<_, _>>()?;
        if segments.iter().rev().skip(1).any(|s| matches!(s, Segment::Rest { .. })) {
            return Err("`{name...}` stands before the end of the template".to_owned());
        }
        let names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        if let Some(twice) =
            names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name))
        {
            return Err(format!("the parameter `{}` occurs twice", twice.1));
        }
        let conditions = query.map_or(Ok(Vec::new()), conditions)?;
        Ok(Self { host, segments, conditions })
    }

    /// Where the parameter `name` stands.
    pub(super) fn position(&self, name: &str) -> Option<(usize, &Segment)> {
        self.segments.iter().enumerate().find(|(_, segment)| segment.name() == Some(name))
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((prefix, rest)) = text.split_once('{') else {
            if text.contains('}') || text.contains('%') {
                return Err(format!("the segment `{text}` has a stray `}}` or is percent-encoded"));
            }
            return Ok(Self::Literal(text.to_ascii_lowercase().into()));
        };
        let (name, suffix) = rest.split_once('}').ok_or(format!("the segment `{text}` lacks a `}}`"))?;
        let (name, is_rest) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(format!("`{name}` is not a parameter name: letters, digits, `_` and `-` are"));
        }
        if suffix.contains(['{', '}']) || prefix.contains('}') {
            return Err(format!("the segment `{text}` has more than one parameter"));
        }
        if is_rest {
            let alone = prefix.is_empty() && suffix.is_empty();
            return if alone {
                Ok(Self::Rest { name: name.into() })
            } else {
                Err(format!("`{{{name}...}}` does not stand alone in its segment"))
            };
        }
        let [prefix, suffix] = [prefix, suffix].map(|s| s.to_ascii_lowercase().into_boxed_str());
        Ok(Self::Param { prefix, name: name.into(), suffix })
    }

    /// The parameter's name.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Param { name, .. } | Self::Rest { name } => Some(name),
        }
    }
}

fn conditions(query: &str) -> Result<Vec<Condition>, String> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if name.starts_with(HEADER) => {
            // Field names are looked up in lower case.
            let field = http::HeaderName::from_bytes(name.get(HEADER.len()..).unwrap_or_default().as_bytes());
            match field {
                Ok(field) if value.is_empty() => Ok((format!("{HEADER}{field}").into(), "".into())),
                _ => Err(format!("the condition `{pair}` is not of the form `header:field-name=`")),
            }
        }
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("the query condition `{pair}` is not of the form `name=value`")),
    };
    let mut pairs: Vec<Condition> = query.split('&').map(pair).collect::<Result<_, _>>()?;
    pairs.sort();
    Ok(pairs)
}
