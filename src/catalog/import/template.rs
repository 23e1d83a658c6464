//! Path templates of others, written as ours: RFC 6570, `OpenAPI`, Google, AWS and old habits.

/// Writes a path as a template of `operations.tsv`; `None` where it cannot be said. Query conditions stay, fragments go.
pub(super) fn ours(path: &str) -> Option<String> {
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut names: Vec<String> = Vec::new();
    let mut out = String::new();
    let segments: Vec<&str> = in_segments(path);
    let last = segments.len().saturating_sub(1);
    for (at, text) in segments.iter().enumerate() {
        out.push('/');
        out.push_str(&segment(text, at == last, &mut names)?);
    }
    if out.is_empty() {
        out.push('/');
    }
    let pairs: Vec<&str> = query.into_iter().flat_map(|q| q.split('&')).filter(is_condition).collect();
    if !pairs.is_empty() {
        out.push('?');
        let with_value =
            |pair: &&str| if pair.contains('=') { (*pair).to_owned() } else { format!("{pair}=") };
        out.push_str(&pairs.iter().map(with_value).collect::<Vec<_>>().join("&"));
    }
    Some(out)
}

fn is_condition(pair: &&str) -> bool {
    !pair.is_empty() && !pair.contains(['{', '}', ' ', '\t', '%']) && !pair.starts_with('=')
}

/// Splits at `/`, but not within braces: `{name=projects/*}` is one parameter.
fn in_segments(path: &str) -> Vec<&str> {
    let (mut depth, mut from, mut out) = (0_usize, 0, Vec::new());
    for (at, c) in path.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => {
                out.push(path.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push(path.get(from..).unwrap_or_default());
    out.retain(|segment| !segment.is_empty());
    out
}

fn segment(text: &str, last: bool, names: &mut Vec<String>) -> Option<String> {
    let (Some(open), Some(close)) = (text.find('{'), text.rfind('}')) else {
        // `:id` of other routers.
        if let Some(name) = text.strip_prefix(':').filter(|name| !name.is_empty()) {
            return Some(format!("{{{}}}", unique(name, names)));
        }
        return literal(text).then(|| text.to_owned());
    };
    let (prefix, inner, suffix) = (text.get(..open)?, text.get(open + 1..close)?, text.get(close + 1..)?);
    // Two parameters in a segment (`{base}...{head}`) are one to us.
    let first = inner.split('}').next().unwrap_or(inner);
    let (name, several) = name_of(first);
    if !literal(prefix) || !literal(suffix) {
        return None;
    }
    let name = unique(&name, names);
    if several && last && prefix.is_empty() && suffix.is_empty() {
        return Some(format!("{{{name}...}}"));
    }
    Some(format!("{prefix}{{{name}}}{suffix}"))
}

/// The name of a parameter, and whether it stands for several segments (`{+path}`, `{key+}`, `{path*}`, `{x=a/**}`).
fn name_of(inner: &str) -> (String, bool) {
    let several = inner.starts_with(['+', '*']) || inner.ends_with(['+', '*']);
    let bare = inner.trim_start_matches(['+', '*', '/', '#']).trim_end_matches(['+', '*']);
    let bare = bare.split(['=', ':']).next().unwrap_or(bare);
    (bare.to_owned(), several)
}

fn literal(text: &str) -> bool {
    !text.contains(['{', '}', '%', ' ', '\t', '?', '#'])
}

fn unique(name: &str, names: &mut Vec<String>) -> String {
    let mut name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .collect();
    if name.is_empty() {
        "x".clone_into(&mut name);
    }
    while names.contains(&name) {
        name.push('2');
    }
    names.push(name.clone());
    name
}

/// The resource of a template: what its last parameter counts as, by the literal before it: `/repos/{id}` is `repo={id}`.
pub(super) fn resource(template: &str) -> Option<String> {
    let path = template.split('?').next().unwrap_or_default();
    // `//host/path`: a host is no kind of thing.
    let path = path
        .strip_prefix("//")
        .map_or(path, |rest| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default());
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let parameter = |text: &str| text.contains('{');
    let pair = segments.windows(2).rev().find_map(|pair| match pair {
        [before, here] if !parameter(before) && parameter(here) => Some((*before, *here)),
        _ => None,
    })?;
    let name = pair.1.split(['{', '}']).nth(1)?.trim_end_matches("...");
    let kind: String = singular(pair.0)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .collect();
    (!kind.is_empty() && !is_version(&kind)).then(|| format!("{kind}={{{name}}}"))
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit())
}

fn singular(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    for (plural, one) in [
        ("ies", "y"),
        ("sses", "ss"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("xes", "x"),
        ("ss", "ss"),
        ("us", "us"),
    ] {
        if let Some(stem) = word.strip_suffix(plural) {
            return format!("{stem}{one}");
        }
    }
    word.strip_suffix('s').map_or_else(|| word.clone(), str::to_owned)
}
