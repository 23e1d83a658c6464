//! Invariants: what has to hold whatever the policies say. They are policies themselves, in `invariants/*.cedar`, that
//! nothing is judged by: each describes requests, and says what is to become of them.
//!
//! ```text
//! @id("read-only-never-acts")
//! @expect("never")                       no such request is ever allowed; "always": each of them is
//! permit (principal, action in Action::"act", resource)
//! when { context.task.granted == ["read"] };
//! ```

use cedar_policy::{Effect, Policy, Validator};

use crate::judge::draft::{self, Draft, Earlier};
use crate::judge::error::{Cause, LoadErrors, Problem};
use crate::judge::groups::Groups;
use crate::judge::load;
use crate::judge::schema::Types;
use crate::judge::source::PolicySource;
use crate::judge::vocabulary::{Checker, Named, Vocabulary};

/// The annotation that makes a policy an invariant.
const EXPECT: &str = "expect";

/// What is to become of the requests that an invariant describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// None of them is allowed.
    Never,
    /// Each of them is.
    Always,
}

impl Expect {
    /// `never` or `always`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
        }
    }
}

/// An invariant.
#[derive(Clone, Debug)]
pub(super) struct Invariant {
    pub(super) id: String,
    pub(super) file: String,
    pub(super) says: Option<String>,
    pub(super) expect: Expect,
    /// What it describes, as a permit.
    pub(super) probe: Policy,
}

impl Invariant {
    pub(super) fn claim(&self) -> super::Claim {
        let Self { id, file, says, expect, probe: _ } = self;
        super::Claim { id: id.clone(), file: file.clone(), says: says.clone(), expect: expect.as_str() }
    }
}

/// Reads the invariants of a set, and what they name of the catalog. They are held to what policies are held to.
pub(super) fn read(
    source: &PolicySource,
    vocabulary: &dyn Vocabulary,
) -> Result<(Vec<Invariant>, Named), LoadErrors> {
    let groups = source.groups.as_ref().map(Groups::parse).transpose().map_err(LoadErrors::one)?;
    let groups = groups.unwrap_or_default();
    let (mut problems, earlier) = (Vec::new(), Earlier::new());
    let mut drafts = Vec::new();
    for file in &source.invariants {
        drafts.extend(draft::read(file, &earlier, &mut problems));
    }
    // The one annotation that policies do not have.
    problems.retain(|problem| problem.cause != Cause::UnknownAnnotation(EXPECT.into()));
    problems.extend(draft::duplicates(&drafts));
    let checker = Checker::new(vocabulary, &groups);
    let (mut invariants, mut all) = (Vec::new(), Named::default());
    for draft in &drafts {
        let (named, found) = checker.check(draft);
        all.add(&named);
        problems.extend(found);
        match of(draft) {
            Ok(invariant) => invariants.push(invariant),
            Err(problem) => problems.push(problem),
        }
    }
    LoadErrors::none_of(problems)?;
    let types = Types::parse(&source.schema).map_err(LoadErrors::one)?;
    let validator = Validator::new(types.with(&all).map_err(LoadErrors::one)?);
    LoadErrors::none_of(drafts.iter().flat_map(|draft| load::validate_one(draft, &validator)).collect())?;
    Ok((invariants, all))
}

fn of(draft: &Draft<'_>) -> Result<Invariant, Problem> {
    let policy = &draft.parsed.policy;
    let bad = |needle: &str, why: &str, remedy: &str| {
        draft
            .problem(needle, Cause::Invariant { id: draft.id().to_owned(), why: why.to_owned() })
            .remedy(remedy)
    };
    if draft.parsed.template.is_some() {
        let remedy = "write the principal and the resource out in place of ?principal and ?resource";
        return Err(bad("\0", "is a template", remedy));
    }
    let expect = match policy.annotation(EXPECT) {
        Some("never") => Expect::Never,
        Some("always") => Expect::Always,
        Some(_) => {
            return Err(bad("@expect", "expects neither `never` nor `always`", "write one of the two"));
        }
        None => {
            let remedy = "put `@expect(\"never\")` before it if no such request may be allowed, `@expect(\"always\")` if each must be";
            return Err(bad("\0", "does not say what it expects", remedy));
        }
    };
    if policy.effect() == Effect::Forbid {
        let remedy =
            "write it as a permit: it describes requests, and @expect says what is to become of them";
        return Err(bad("forbid", "is a forbid", remedy));
    }
    Ok(Invariant {
        id: draft.id().to_owned(),
        file: draft.file.name.clone(),
        says: draft.parsed.reason.reason.as_deref().map(str::to_owned),
        expect,
        probe: policy.clone(),
    })
}
