//! `remit policy check` and `remit policy test`: is the policy set sound, and does it say what it should?

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::judge::{LoadErrors, PolicySource, Rules, Vocabulary, lab, prove};

/// What a verb found; its exit code is 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Finding {
    /// All is well: exit 0.
    Sound,
    /// Something is wrong and has been told: exit 1.
    Wanting,
}

impl Finding {
    /// The exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Sound => 0,
            Self::Wanting => 1,
        }
    }
}

/// Loads the set; prints everything that is wrong with it, or one line of what it is.
pub fn check(
    source: &Result<PolicySource, LoadErrors>,
    vocabulary: &dyn Vocabulary,
    out: &mut impl Write,
) -> io::Result<Finding> {
    let all = load(source, vocabulary)
        .and_then(|(source, rules)| Ok((source, rules, prove::read_invariants(source, vocabulary)?)));
    match all {
        Err(errors) => tell(&errors, out),
        Ok((source, rules, invariants)) => {
            let (policies, files) =
                (count(rules.policies().len(), "policy"), count(source.policy_files(), "file"));
            let actions = count(rules.actions(), "action");
            let invariants = count(invariants, "invariant");
            writeln!(
                out,
                "{policies} in {files}, {invariants}, {actions} in the schema, {}",
                rules.digest()
            )?;
            Ok(Finding::Sound)
        }
    }
}

/// Loads the set and runs its cases; prints each that went otherwise than expected, and how many went well. A set
/// without cases is found wanting: nothing was tested.
pub fn test(
    source: &Result<PolicySource, LoadErrors>,
    vocabulary: &dyn Vocabulary,
    out: &mut impl Write,
) -> io::Result<Finding> {
    let report = load(source, vocabulary)
        .and_then(|(source, rules)| lab::run_cases(&rules, vocabulary, source.cases()));
    let report = match report {
        Err(errors) => return tell(&errors, out),
        Ok(report) => report,
    };
    for failure in &report.failures {
        writeln!(out, "{failure}")?;
    }
    let cases = count(report.passed + report.failures.len(), "case");
    match (report.passed, report.failures.len()) {
        (0, 0) => writeln!(out, "there are no cases: put some into tests/*.toml beside the policies")?,
        (_, 0) => writeln!(out, "{cases}, all as expected")?,
        (_, failed) => writeln!(out, "{cases}, {failed} not as expected")?,
    }
    let sound = report.failures.is_empty() && report.passed > 0;
    Ok(if sound { Finding::Sound } else { Finding::Wanting })
}

/// Prints the schema.
pub fn schema(
    source: &Result<PolicySource, LoadErrors>,
    vocabulary: &dyn Vocabulary,
    extent: lab::Extent,
    out: &mut impl Write,
) -> io::Result<Finding> {
    let text = source.as_ref().map_err(Clone::clone);
    match text.and_then(|source| lab::schema(source, vocabulary, extent)) {
        Err(errors) => tell(&errors, out),
        Ok(text) => write!(out, "{text}").map(|()| Finding::Sound),
    }
}

fn load<'s>(
    source: &'s Result<PolicySource, LoadErrors>,
    vocabulary: &dyn Vocabulary,
) -> Result<(&'s PolicySource, Rules), LoadErrors> {
    let source = source.as_ref().map_err(Clone::clone)?;
    Ok((source, Rules::load(source, vocabulary)?))
}

fn tell(errors: &LoadErrors, out: &mut impl Write) -> io::Result<Finding> {
    writeln!(out, "{errors}\n{} found", count(errors.problems().len(), "problem"))?;
    Ok(Finding::Wanting)
}

fn count(number: usize, thing: &str) -> String {
    match (number, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {thing}s"),
    }
}
