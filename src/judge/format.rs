//! The one form of a policy file: that of Cedar's own formatter as it comes, so that `cedar format` and the editors say the same.

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::source::{PolicySource, SourceFile};

/// The file in its form. The formatter looks whether it still says the same; if it cannot, it is said why.
pub fn formatted(file: &SourceFile) -> Result<String, String> {
    policies_str_to_pretty(&file.text, &Config::default())
        .map_err(|error| format!("{}: cannot be formatted: {error}", file.name))
}

/// The files of a set that have another form than theirs, policies and invariants, each with that form. A file that cannot be
/// formatted is left out: loading says why.
pub fn unformatted(source: &PolicySource) -> Vec<(&SourceFile, String)> {
    let files = source.policies.iter().chain(&source.invariants);
    let other = |file: &SourceFile| formatted(file).ok().filter(|text| *text != file.text);
    files.filter_map(|file| other(file).map(|text| (file, text))).collect()
}
