//! A class for each operation: what the provider publishes, then its method and name, and what is doubtful about it.

use std::collections::HashMap;

use super::{Described, Description, Doubt, Imported, Line, Wanted, template};
use crate::call::Class;
use crate::catalog::manifest::{About, FORMAT, Protocol, Provenance};
use crate::catalog::naming::{Words, hands_out, judge};

/// Classes all operations and puts them in order.
pub(super) fn classify(description: Description, wanted: &Wanted, digest: String) -> Imported {
    let mut sorter = Sorter { doubts: description.doubts, ..Sorter::default() };
    for operation in &description.operations {
        sorter.add(operation);
    }
    sorter.agree();
    let Sorter { lines, mut doubts, .. } = sorter;
    doubts.dedup();
    let own = |text: &str, other: String| if text.is_empty() { other } else { text.to_owned() };
    let provenance = Provenance {
        version: own(&wanted.provenance.version, one_line(&description.version)),
        digest: Some(digest),
        ..wanted.provenance.clone()
    };
    let mut hosts = if wanted.hosts.is_empty() { description.hosts } else { wanted.hosts.clone() };
    hosts.extend(wanted.more_hosts.iter().cloned());
    let about = About {
        format: FORMAT,
        name: wanted.service.clone(),
        title: own(&wanted.title, own(&one_line(&description.title), wanted.service.clone())),
        protocol: description.protocol.unwrap_or(Protocol::Rest),
        hosts,
        other_hosts: description.other_hosts,
        paths: description.paths,
        ignore_case: Vec::new(),
        endpoints: if wanted.endpoints.is_empty() { description.endpoints } else { wanted.endpoints.clone() },
        target_prefix: description.target_prefix,
        api_version: description.api_version,
        signing_name: description.signing_name,
        errors: None,
        provenance,
    };
    Imported { about, lines, doubts }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A class and what led to it.
struct Judged {
    class: Class,
    why: String,
    doubt: Option<String>,
}

fn judge_one(operation: &Described) -> Judged {
    let path = if operation.template.starts_with('#') { "" } else { operation.template.as_str() };
    let words = Words { name: &operation.name, path };
    let named = judge(&operation.verb, words);
    let floor = operation.floor.unwrap_or(Class::Read);
    let Some((published, because)) = &operation.published else {
        let class = named.class.max(floor);
        let is_safe = judge("GET", Words::default()).class == judge(&operation.verb, Words::default()).class;
        let doubt = match class {
            Class::Read if !is_safe => Some(format!("a read by {}: {}", operation.verb, named.rule)),
            Class::Act | Class::Delegate if is_safe => {
                Some(format!("{} by {}: {}", class, operation.verb, named.rule))
            }
            _ => None,
        };
        return Judged { class, why: format!("name: {}", named.rule), doubt };
    };
    if let Some(handed) =
        hands_out(words).filter(|_| operation.floor.is_none() && *published < Class::Delegate)
    {
        let doubt = Some(format!("published as {published} ({because}), but {}", handed.rule));
        return Judged {
            class: handed.class,
            why: format!("name against {because}: {}", handed.rule),
            doubt,
        };
    }
    // Levels say act or delegate on their own. That something reads is believed unless its name says what it does.
    let named_plainly = judge("GET", words);
    let contradicts =
        *published == Class::Read && operation.floor.is_none() && named_plainly.class > Class::Read;
    let delegates = *published == Class::Read && operation.floor.is_none() && named.class == Class::Delegate;
    let believed = because.starts_with("access level")
        || because.starts_with("annotated")
        || because.starts_with("defined");
    if (contradicts || delegates) && !believed {
        let class = named.class.max(named_plainly.class);
        let doubt = Some(format!("published as {published} ({because}), but {}", named_plainly.rule));
        return Judged { class, why: format!("name against {because}: {}", named.rule), doubt };
    }
    let differs = contradicts || (*published == Class::Read && named.class == Class::Delegate);
    let doubt = differs.then(|| format!("published as {published} ({because}), but {}", named.rule));
    Judged { class: *published, why: format!("published: {because}"), doubt }
}

#[derive(Default)]
struct Sorter {
    lines: Vec<Line>,
    doubts: Vec<Doubt>,
    /// Lines by what a request would look like.
    places: HashMap<(String, String), usize>,
}

impl Sorter {
    fn add(&mut self, operation: &Described) {
        let name = if operation.name.is_empty() { name_of(operation) } else { clean(&operation.name) };
        let judged = judge_one(operation);
        if let Some(why) = judged.doubt {
            self.doubts.push(Doubt { operation: name.clone(), class: Some(judged.class), why });
        }
        let key = (operation.verb.clone(), shape(&operation.template));
        if let Some(&at) = self.places.get(&key) {
            let Some(have) = self.lines.get_mut(at).filter(|have| have.name != name) else { return };
            let (class, why) = (
                have.class.max(judged.class),
                format!("told apart from `{}` by neither path nor query", have.name),
            );
            have.class = class;
            self.doubts.push(Doubt { operation: name, class: Some(class), why });
            return;
        }
        self.places.insert(key, self.lines.len());
        self.lines.push(Line {
            verb: operation.verb.clone(),
            resource: template::resource(&operation.template),
            template: operation.template.clone(),
            name,
            class: judged.class,
            why: judged.why,
        });
    }

    /// An operation has one class: the strongest of its lines.
    fn agree(&mut self) {
        let mut strongest: HashMap<String, (Class, String)> = HashMap::new();
        for line in &self.lines {
            let entry = strongest.entry(line.name.clone()).or_insert((line.class, line.why.clone()));
            if line.class > entry.0 {
                *entry = (line.class, line.why.clone());
            }
        }
        for line in &mut self.lines {
            if let Some((class, why)) = strongest.get(&line.name) {
                line.class = *class;
                line.why.clone_from(why);
            }
        }
        self.lines.sort_by(|a, b| (&a.template, &a.verb).cmp(&(&b.template, &b.verb)));
    }
}

/// What the index takes for the same: names of parameters and letter case do not count.
pub(super) fn shape(template: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in template.chars() {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            // `{x}` and `{x...}` are two shapes.
            '.' if inside => {
                out.push('.');
                continue;
            }
            _ if inside => continue,
            _ => {}
        }
        out.extend(c.to_lowercase().filter(|_| !template.starts_with('#')));
        if template.starts_with('#') {
            out.push(c);
        }
    }
    if template.starts_with('#') { out } else { out.trim_end_matches('/').to_owned() }
}

/// A name for an operation that has none: its path and verb.
fn name_of(operation: &Described) -> String {
    let path: String = operation.template.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    let path = path.trim_matches(['/', '#', '.']);
    clean(&format!("{path}.{}", operation.verb.to_ascii_lowercase()))
}

fn clean(name: &str) -> String {
    let odd = |c: char| c.is_whitespace() || c == '"' || c == '\\' || c.is_control();
    let name: String = name.trim().chars().map(|c| if odd(c) { '-' } else { c }).collect();
    if name == "-" || name.is_empty() { "unnamed".to_owned() } else { name }
}
