//! `remit policy verify`: what the policies do with all requests that there could be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::failure::Failure;
use super::screen;
use crate::call::{Clock as _, Decision, PolicyId};
use crate::judge::prove::{self, Example, Proof, Proofs, Solver, Verdict};
use crate::judge::{LoadErrors, PROOFS, PolicySource, Vocabulary};
use crate::runtime::clock::SystemClock;

/// How `verify` was called.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArguments {
    /// Prove that nothing is allowed that the policies in DIR do not allow, instead of the invariants
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// How long the solver may think about one question
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Keep what was found in invariants/proofs.json of the policies, where the console of a node finds it
    #[arg(long, conflicts_with = "against")]
    keep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    arguments: &VerifyArguments,
    directory: Option<&Path>,
    source: &PolicySource,
    vocabulary: &dyn Vocabulary,
) -> Result<ExitCode, Failure> {
    if arguments.keep && directory.is_none() {
        return Err(Failure::usage(
            "the policies are those in the binary, whose proofs are there too; name a folder with --policies",
        ));
    }
    let program = std::env::var_os("CVC5").filter(|path| !path.is_empty());
    let program = program.map_or_else(|| PathBuf::from("cvc5"), PathBuf::from);
    let solver = Solver { program, limit: Duration::from_secs(arguments.timeout) };
    let version = solver.version();
    let proofs = match &arguments.against {
        Some(directory) => vec![upgrade(directory, source, vocabulary, &solver)?],
        None => prove::invariants(source, vocabulary, &solver).map_err(|errors| not_loaded(&errors))?,
    };
    if arguments.json {
        let solver = version.as_ref().ok();
        screen::print_json(
            &json!({"solver": solver, "proofs": proofs.iter().map(as_json).collect::<Vec<_>>()}),
        )?;
    } else {
        let told: String = proofs.iter().map(told).collect();
        screen::print(&told)?;
    }
    if let (true, Some(directory), Ok(version)) = (arguments.keep, directory, &version) {
        let kept = Proofs::of(source, vocabulary, &proofs, (version, SystemClock.now()));
        keep(directory, &kept.map_err(|errors| not_loaded(&errors))?)?;
    }
    let proved = proofs.iter().filter(|proof| matches!(proof.verdict, Verdict::Proved)).count();
    match &version {
        Ok(version) => screen::tell(&format!("{proved} of {} proved with {version}", proofs.len())),
        Err(why) => {
            let remedy =
                "install it (Debian: `apt-get install cvc5`) or name it in the environment variable CVC5";
            return Err(Failure::found_wanting(format!("nothing is proved: {why}")).remedy(remedy));
        }
    }
    if proofs.is_empty() {
        return Err(Failure::found_wanting("there are no invariants, so nothing is proved")
            .remedy("write some into invariants/*.cedar beside the policies (policies/README.md)"));
    }
    Ok(ExitCode::from(u8::from(proved < proofs.len())))
}

/// In the place of what was kept before; a reader sees the one or the other.
fn keep(directory: &Path, proofs: &Proofs) -> Result<(), Failure> {
    let (path, fresh) = (directory.join(PROOFS), directory.join("invariants/.proofs.json"));
    let text =
        serde_json::to_string_pretty(proofs).map_err(|error| Failure::found_wanting(error.to_string()))?;
    let written = std::fs::write(&fresh, text + "\n").and_then(|()| std::fs::rename(&fresh, &path));
    written
        .map_err(|error| Failure::found_wanting(format!("`{}` cannot be written: {error}", path.display())))
}

fn upgrade(
    directory: &Path,
    source: &PolicySource,
    vocabulary: &dyn Vocabulary,
    solver: &Solver,
) -> Result<Proof, Failure> {
    let old = PolicySource::dir(directory).map_err(|errors| not_loaded(&errors))?;
    prove::upgrade(&old, source, vocabulary, solver).map_err(|errors| not_loaded(&errors))
}

fn not_loaded(errors: &LoadErrors) -> Failure {
    Failure::usage(format!("the policies cannot be loaded:\n{errors}"))
}

fn told(proof: &Proof) -> String {
    let Proof { claim, kinds, verdict } = proof;
    let says = claim.says.as_ref().map(|says| format!(": {says}")).unwrap_or_default();
    let id = &claim.id;
    match verdict {
        Verdict::Proved if *kinds == 1 => format!("proved      {id} (1 kind of requests){says}\n"),
        Verdict::Proved => format!("proved      {id} ({kinds} kinds of requests){says}\n"),
        Verdict::Open(why) => format!("not proved  {id}{says}\n            {why}\n"),
        Verdict::Refuted(example) => {
            format!("REFUTED     {id}{says}\n{}", shown(example, claim.expect))
        }
    }
}

fn shown(example: &Example, expect: &str) -> String {
    let Example { principal, action, resource, reads, now, then, case: _ } = example;
    let ruling = |(decision, by): &(Decision, Vec<PolicyId>)| {
        let by: Vec<_> = by.iter().map(ToString::to_string).collect();
        if by.is_empty() {
            decision.as_str().to_owned()
        } else {
            format!("{} by {}", decision.as_str(), by.join(", "))
        }
    };
    let mut lines = vec![
        format!("claimed     {expect}, but the engine says to this request: {}", ruling(now)),
        format!("principal   {principal}"),
        format!("action      {action}"),
        format!("resource    {resource}"),
    ];
    lines.extend(then.as_ref().map(|then| format!("before      {}", ruling(then))));
    lines.extend(reads.iter().map(|(path, value)| format!("{path} is {value}")));
    let indented: Vec<_> = lines.iter().map(|line| format!("            {line}")).collect();
    indented.join("\n") + "\n"
}

fn as_json(proof: &Proof) -> Value {
    let Proof { claim, kinds, verdict } = proof;
    let mut told = json!({
        "id": claim.id, "file": claim.file, "says": claim.says, "expect": claim.expect, "kinds": kinds,
    });
    let more = match verdict {
        Verdict::Proved => json!({"verdict": "proved"}),
        Verdict::Open(why) => json!({"verdict": "not proved", "why": why}),
        Verdict::Refuted(example) => {
            let Example { principal, action, resource, reads, now, then, case } = &**example;
            let ruling =
                |(decision, by): &(Decision, Vec<PolicyId>)| json!({"decision": decision, "policies": by});
            let reads: serde_json::Map<_, _> =
                reads.iter().map(|(path, value)| (path.clone(), Value::from(value.as_str()))).collect();
            json!({
                "verdict": "refuted", "principal": principal, "action": action, "resource": resource, "reads": reads,
                "now": ruling(now), "then": then.as_ref().map(ruling), "case": case,
            })
        }
    };
    if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
    }
    told
}
