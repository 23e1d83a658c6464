"""`remit policy verify`, `test`, `fmt` and `check` on the shipped policies, with the real cvc5."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conftest import REPOSITORY, need
from node import run

COMMENTED = '|| action in [Action::"github:issues/create", Action::"stripe"]'
LISTED = '|| action in [Action::"github:issues/create"]'


@pytest.fixture
def cvc5() -> str:
    return need("cvc5")


@pytest.fixture
def policies(tmp_path) -> Path:
    """The shipped policies as an operator would have them: a folder of one's own."""
    return Path(shutil.copytree(REPOSITORY / "policies", tmp_path / "policies"))


def remit(binary, policies, *arguments, **more):
    return run([binary, "policy", arguments[0], "--policies", policies, *arguments[1:]], **more)


def verdicts(ran) -> dict[str, dict]:
    return {proof["id"]: proof for proof in json.loads(ran.out)["proofs"]}


def list_acts(policies: Path) -> None:
    acts = policies / "20-act.cedar"
    text = acts.read_text()
    assert f"// {COMMENTED}" in text
    acts.write_text(text.replace(f"// {COMMENTED}", LISTED))


def test_the_shipped_invariants_are_proved(binary, policies, cvc5):
    ran = remit(binary, policies, "verify", "--json")
    proofs = verdicts(ran)
    assert ran.status == 0 and len(proofs) >= 6, ran
    assert {proof["verdict"] for proof in proofs.values()} == {"proved"}
    assert json.loads(ran.out)["solver"].startswith("cvc5 ")
    # And with what operators are told to do: list acts.
    list_acts(policies)
    assert remit(binary, policies, "verify").status == 0


def test_a_weaker_set_is_refuted_by_a_request_that_becomes_a_test(binary, policies, cvc5):
    list_acts(policies)
    history = policies / "05-history.cedar"
    text = history.read_text()
    assert '"secret"' in text
    history.write_text(text.replace('contains("secret")', 'contains("top-secret")'))
    ran = remit(binary, policies, "verify", "--json")
    proof = verdicts(ran)["secret-never-leaves-unapproved"]
    assert ran.status == 1 and proof["verdict"] == "refuted", ran
    assert proof["now"] == {"decision": "allow", "policies": ["act"]}
    assert "context.history.labels" in proof["reads"]
    told = remit(binary, policies, "verify")
    assert told.status == 1 and "REFUTED     secret-never-leaves-unapproved" in told.out and "context.approved is false" in told.out

    (policies / "tests" / "found.json").write_text(json.dumps([proof["case"]]))
    failing = remit(binary, policies, "test")
    assert failing.status == 1 and "expected deny, got allow by act" in failing.out, failing
    history.write_text(text)
    assert remit(binary, policies, "test").status == 0


def test_an_upgrade_is_proved_or_shown_to_allow_more(binary, policies, tmp_path, cvc5):
    old = shutil.copytree(policies, tmp_path / "old")
    same = remit(binary, policies, "verify", "--against", old)
    assert same.status == 0 and "proved" in same.out, same
    list_acts(policies)
    more = remit(binary, policies, "verify", "--against", old, "--json")
    proof = verdicts(more)["nothing-newly-allowed"]
    assert more.status == 1 and proof["verdict"] == "refuted", more
    assert proof["now"]["decision"] == "allow" and proof["then"]["decision"] == "deny"
    back = remit(binary, old, "verify", "--against", policies)
    assert back.status == 0, back


def test_without_a_solver_nothing_is_proved(binary, policies, tmp_path):
    ran = remit(binary, policies, "verify", env={"CVC5": str(tmp_path / "nowhere")})
    assert ran.status == 1 and "nothing is proved" in ran.err and "\nproved" not in f"\n{ran.out}", ran
    liar = tmp_path / "cvc5"
    liar.write_text("#!/bin/sh\nexit 0\n")
    liar.chmod(0o755)
    ran = remit(binary, policies, "verify", env={"CVC5": str(liar)})
    assert ran.status == 1 and "\nproved" not in f"\n{ran.out}", ran


def test_files_have_one_form(binary, policies):
    assert remit(binary, policies, "check", "--fmt-check").status == 0
    reads = policies / "10-read.cedar"
    form = reads.read_text()
    reads.write_text(form.replace("  principal,", " principal,"))
    assert remit(binary, policies, "check").status == 0
    told = remit(binary, policies, "check", "--fmt-check")
    assert told.status == 1 and "10-read.cedar: not formatted" in told.err, told
    assert remit(binary, policies, "fmt", "--check").status == 1
    assert remit(binary, policies, "fmt").status == 0
    assert reads.read_text() == form
