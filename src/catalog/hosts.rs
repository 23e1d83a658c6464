//! From a host and the beginning of a path to the services that may answer there.

use std::borrow::Cow;
use std::collections::HashMap;

use super::manifest::About;

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

    fn matches(&self, host: &str) -> bool {
        let (mut ours, mut theirs) = (self.0.split('.'), host.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(have), Some(asked)) if have == "*" || have == asked => {}
                _ => return false,
            }
        }
    }
}

/// What follows the last `*.`.
fn fixed_end(pattern: &str) -> &str {
    pattern.rsplit_once("*.").map_or(pattern, |(_, end)| end)
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
}

impl Place {
    fn takes(&self, segments: &[Cow<'_, str>]) -> bool {
        self.prefix.len() <= segments.len()
            && self.prefix.iter().zip(segments).all(|(have, asked)| have.eq_ignore_ascii_case(asked))
    }
}

/// All hosts of all services.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<str>, Vec<Place>>,
    /// By what follows the last `*.`.
    wild: HashMap<Box<str>, Vec<(HostPattern, Place)>>,
}

impl Hosts {
    /// Adds the hosts of a service. Of services that are equally specific, the one added first is asked first.
    pub(super) fn add(&mut self, service: usize, about: &About) -> Result<(), String> {
        for host in &about.hosts {
            for prefix in about.prefixes() {
                self.put(host, Place { service, prefix, other: None })?;
            }
        }
        for host in &about.other_hosts {
            let other = Some(host.to_ascii_lowercase().into());
            self.put(host, Place { service, prefix: Vec::new(), other })?;
        }
        Ok(())
    }

    fn put(&mut self, host: &str, place: Place) -> Result<(), String> {
        let pattern = HostPattern::parse(host)?;
        let longest_first = |place: &Place| std::cmp::Reverse(place.prefix.len());
        if pattern.0.contains('*') {
            let places = self.wild.entry(fixed_end(&pattern.0).into()).or_default();
            places.push((pattern, place));
            places.sort_by_key(|(_, place)| longest_first(place));
        } else {
            let places = self.exact.entry(pattern.0).or_default();
            places.push(place);
            places.sort_by_key(longest_first);
        }
        Ok(())
    }

    /// Who may answer: exact hosts before wildcards, longer path prefixes before shorter.
    pub(super) fn at<'a>(
        &'a self,
        host: &'a str,
        segments: &'a [Cow<'a, str>],
    ) -> impl Iterator<Item = &'a Place> + 'a {
        let exact = self.exact.get(host).into_iter().flatten();
        let ends = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
        let wild = ends.filter_map(|end| self.wild.get(end)).flatten();
        let wild = wild.filter(|(pattern, _)| pattern.matches(host)).map(|(_, place)| place);
        exact.chain(wild).filter(|place| place.takes(segments))
    }
}
