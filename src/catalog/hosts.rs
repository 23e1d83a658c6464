//! From a host and the beginning of a path to the services that may answer there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::manifest::About;
use super::request;

/// A host of `service.toml`: labels in lower case, `*` standing for exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern(Box<str>);

impl HostPattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let good = |label: &str| {
            label == "*"
                || (!label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
        };
        if !lower.split('.').all(good) {
            return Err(format!(
                "`{text}` is no host: each label is a name or `*` alone, without port or trailing dot"
            ));
        }
        // `*.com` would claim hosts of everyone.
        if lower.contains('*') && fixed_end(&lower).split('.').filter(|label| !label.is_empty()).count() < 2 {
            return Err(format!("`{text}` is too wide: two labels at least must follow the last `*`"));
        }
        Ok(Self(lower.into()))
    }
}

/// What follows the last `*.`.
fn fixed_end(pattern: &str) -> &str {
    pattern.rsplit_once("*.").map_or(pattern, |(_, end)| end)
}

/// A line of `catalog.hosts`: what answers at a host of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// As in `service.toml`.
    pub host: String,
    /// The path at which it is, or nothing.
    pub base: String,
    /// The service's name.
    pub service: String,
    /// The path at which the service has it, or nothing.
    pub instead: String,
}

impl Own {
    /// `git.example.org/api/v3` and `github`; `wiki.example.org` and `confluence/wiki`.
    pub fn parse(place: &str, service: &str) -> Result<Self, String> {
        let split = |text: &str| -> (String, String) {
            let (first, path) = text.split_at(text.find('/').unwrap_or(text.len()));
            (first.to_owned(), path.trim_end_matches('/').to_owned())
        };
        let ((host, base), (service, instead)) = (split(place), split(service));
        if [&base, &instead].iter().any(|path| path.contains(['{', '%', '?', '#'])) {
            return Err(format!("`{place}`: a path is of literal segments"));
        }
        HostPattern::parse(&host)?;
        Ok(Self { host, base, service, instead })
    }
}

/// A service at a host.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its place in the catalog.
    pub(super) service: usize,
    /// Segments in lower case with which its paths begin here.
    prefix: Vec<Box<str>>,
    /// The `other_hosts` entry that this is, if it is one.
    pub(super) other: Option<Box<str>>,
    /// What the service's paths begin with instead of `prefix`, where the operator has it elsewhere.
    instead: Option<Vec<Box<str>>>,
}

impl Place {
    /// A path as the service would have it; `None` where it is the same.
    pub(super) fn moved<'a>(&self, sent: &[Cow<'a, str>]) -> Option<Vec<Cow<'a, str>>> {
        let before = self.instead.as_ref()?.iter().map(|segment| Cow::Owned(segment.to_string()));
        Some(before.chain(sent.iter().skip(self.prefix.len()).cloned()).collect())
    }

    fn takes(&self, segments: &[Cow<'_, str>]) -> bool {
        self.prefix.len() <= segments.len()
            && self.prefix.iter().zip(segments).all(|(have, asked)| have.eq_ignore_ascii_case(asked))
    }
}

/// All hosts of all services: a tree of labels, from the last to the first. A search visits a label of the host and `*`
/// at each level, so its time does not grow with the catalog.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    root: Label,
}

#[derive(Debug, Default)]
struct Label {
    named: Named<Box<str>, Label>,
    any: Option<Box<Label>>,
    places: Vec<Place>,
}

/// Longer hosts than this are nobody's (RFC 1035 §2.3.4 allows 127 labels).
const MOST_LABELS: usize = 127;

impl Hosts {
    /// Adds the hosts of a service. Of services that are equally specific, the one added first is asked first.
    pub(super) fn add(&mut self, service: usize, about: &About) -> Result<(), String> {
        for host in &about.hosts {
            for prefix in about.prefixes() {
                self.put(host, Place { service, prefix, other: None, instead: None })?;
            }
        }
        for host in &about.other_hosts {
            let other = Some(host.to_ascii_lowercase().into());
            self.put(host, Place { service, prefix: Vec::new(), other, instead: None })?;
        }
        Ok(())
    }

    /// Has what is at `host` below `prefix` be what the service has below `instead`.
    pub(super) fn add_own(&mut self, service: usize, own: &Own) -> Result<(), String> {
        let split =
            |path: &str| request::segments(path).iter().map(|s| s.to_ascii_lowercase().into()).collect();
        let (prefix, instead): (Vec<Box<str>>, Vec<Box<str>>) = (split(&own.base), split(&own.instead));
        let instead = (prefix != instead).then_some(instead);
        self.put(&own.host, Place { service, prefix, other: None, instead })
    }

    fn put(&mut self, host: &str, place: Place) -> Result<(), String> {
        let pattern = HostPattern::parse(host)?;
        let mut label = &mut self.root;
        for text in pattern.0.rsplit('.') {
            label = match text {
                "*" => label.any.get_or_insert_default(),
                text => label.named.entry(text.into()).or_default(),
            };
        }
        // Longer prefixes first; of equal ones the earlier.
        let at = label.places.partition_point(|have| have.prefix.len() >= place.prefix.len());
        label.places.insert(at, place);
        Ok(())
    }

    /// Whether a service has anything at a host.
    pub(super) fn has(&self, host: &str, service: usize) -> bool {
        let mut found: Vec<(usize, &Label)> = Vec::new();
        self.root.collect(Some(host), 0, 0, &mut found);
        found.iter().flat_map(|(_, label)| &label.places).any(|place| place.service == service)
    }

    /// Who may answer: exact hosts before wildcards, longer path prefixes before shorter.
    pub(super) fn at<'a>(
        &'a self,
        host: &str,
        segments: &'a [Cow<'a, str>],
    ) -> impl Iterator<Item = &'a Place> + 'a {
        let mut found: Vec<(usize, &Label)> = Vec::new();
        self.root.collect(Some(host), 0, 0, &mut found);
        found.sort_by_key(|(wild, _)| *wild);
        found.into_iter().flat_map(|(_, label)| &label.places).filter(|place| place.takes(segments))
    }
}

impl Label {
    /// The ends of all patterns that match what is left of a host, with the number of their `*`.
    fn collect<'a>(
        &'a self,
        host: Option<&str>,
        labels: usize,
        wild: usize,
        found: &mut Vec<(usize, &'a Self)>,
    ) {
        let Some(host) = host else {
            if !self.places.is_empty() {
                found.push((wild, self));
            }
            return;
        };
        if labels == MOST_LABELS {
            return;
        }
        let (rest, last) = host.rsplit_once('.').map_or((None, host), |(rest, last)| (Some(rest), last));
        if let Some(named) = self.named.get(last) {
            named.collect(rest, labels + 1, wild, found);
        }
        if let Some(any) = &self.any {
            any.collect(rest, labels + 1, wild + 1, found);
        }
    }
}

/// FNV-1a, for maps whose keys are all the catalog's own: what an agent sends is only
/// looked up, so that nobody can fill them with names that collide.
#[derive(Clone)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map of the catalog's own names.
pub(super) type Named<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;
