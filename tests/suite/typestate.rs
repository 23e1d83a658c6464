//! What must not compile (DESIGN: the typestate of a call). Each file under `typestate/` is a mistake; beside it stands
//! what the compiler says about it.

#[test]
fn a_call_cannot_skip_a_stage() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/suite/typestate/*.rs");
}
