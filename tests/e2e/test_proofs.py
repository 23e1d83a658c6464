"""`remit policy verify`, `test`, `fmt` and `check` on the shipped policies, with the real cvc5."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

from conftest import REPOSITORY, need
from node import run

COMMENTED = '|| action in [Action::"github:issues/create", Action::"stripe"]'
LISTED = '|| action in [Action::"github:issues/create"]'


@pytest.fixture
def cvc5() -> str:
    return need("cvc5")


@pytest.fixture
def folder(tmp_path) -> Path:
    """The shipped policies as an operator would have them: a folder of one's own."""
    return Path(shutil.copytree(REPOSITORY / "policies", tmp_path / "policies"))


def remit(binary, folder, *arguments, **more):
    return run([binary, "policy", arguments[0], "--policies", folder, *arguments[1:]], **more)


def verdicts(ran) -> dict[str, dict]:
    return {proof["id"]: proof for proof in json.loads(ran.out)["proofs"]}


def list_acts(folder: Path) -> None:
    acts = folder / "20-act.cedar"
    text = acts.read_text()
    assert f"// {COMMENTED}" in text
    acts.write_text(text.replace(f"// {COMMENTED}", LISTED))


def test_the_shipped_invariants_are_proved(binary, folder, cvc5):
    ran = remit(binary, folder, "verify", "--json")
    proofs = verdicts(ran)
    assert ran.status == 0 and len(proofs) >= 6, ran
    assert {proof["verdict"] for proof in proofs.values()} == {"proved"}
    assert json.loads(ran.out)["solver"].startswith("cvc5 ")
    # And with what operators are told to do: list acts.
    list_acts(folder)
    assert remit(binary, folder, "verify").status == 0


def test_a_weaker_set_is_refuted_by_a_request_that_becomes_a_test(binary, folder, cvc5):
    list_acts(folder)
    history = folder / "05-history.cedar"
    text = history.read_text()
    assert '"secret"' in text
    history.write_text(text.replace('contains("secret")', 'contains("top-secret")'))
    ran = remit(binary, folder, "verify", "--json")
    proof = verdicts(ran)["secret-never-leaves-unapproved"]
    assert ran.status == 1 and proof["verdict"] == "refuted", ran
    assert proof["now"] == {"decision": "allow", "policies": ["act"]}
    assert "context.history.labels" in proof["reads"]
    told = remit(binary, folder, "verify")
    assert told.status == 1 and "REFUTED     secret-never-leaves-unapproved" in told.out and "context.approved is false" in told.out

    (folder / "tests" / "found.json").write_text(json.dumps([proof["case"]]))
    failing = remit(binary, folder, "test")
    assert failing.status == 1 and "expected deny, got allow by act" in failing.out, failing
    history.write_text(text)
    assert remit(binary, folder, "test").status == 0


def test_an_upgrade_is_proved_or_shown_to_allow_more(binary, folder, tmp_path, cvc5):
    old = shutil.copytree(folder, tmp_path / "old")
    same = remit(binary, folder, "verify", "--against", old)
    assert same.status == 0 and "proved" in same.out, same
    list_acts(folder)
    more = remit(binary, folder, "verify", "--against", old, "--json")
    proof = verdicts(more)["nothing-newly-allowed"]
    assert more.status == 1 and proof["verdict"] == "refuted", more
    assert proof["now"]["decision"] == "allow" and proof["then"]["decision"] == "deny"
    back = remit(binary, old, "verify", "--against", folder)
    assert back.status == 0, back


def test_what_was_proved_is_shown_by_the_console_until_something_changes(binary, folder, own_remit, cvc5):
    (folder / "invariants" / "proofs.json").unlink()
    node = own_remit(policies=folder)
    token = (node.state / "admin.token").read_text().strip()

    def page() -> str:
        told = httpx.get(f"{node.admin}/console/policies", headers={"authorization": f"Bearer {token}"}, timeout=30)
        assert told.status_code == 200, told.text
        return told.text

    assert ">not known<" in page() and ">proved<" not in page()
    kept = remit(binary, folder, "verify", "--keep")
    assert kept.status == 0, kept
    assert page().count("</span>proved<") == 7 and "cvc5" in page()
    acts = folder / "20-act.cedar"
    acts.write_text(acts.read_text() + "\n// changed\n")
    assert "The proofs on file do not count" in page() and ">proved<" not in page()
    refused = run([binary, "policy", "verify", "--keep"], cwd=folder.parent)
    assert refused.status == 2 and "name a folder" in refused.err, refused


def test_without_a_solver_nothing_is_proved(binary, folder, tmp_path):
    ran = remit(binary, folder, "verify", env={"CVC5": str(tmp_path / "nowhere")})
    assert ran.status == 1 and "nothing is proved" in ran.err and "\nproved" not in f"\n{ran.out}", ran
    liar = tmp_path / "cvc5"
    liar.write_text("#!/bin/sh\nexit 0\n")
    liar.chmod(0o755)
    ran = remit(binary, folder, "verify", env={"CVC5": str(liar)})
    assert ran.status == 1 and "\nproved" not in f"\n{ran.out}", ran


def test_files_have_one_form(binary, folder):
    assert remit(binary, folder, "check", "--fmt-check").status == 0
    reads = folder / "10-read.cedar"
    form = reads.read_text()
    reads.write_text(form.replace("  principal,", " principal,"))
    assert remit(binary, folder, "check").status == 0
    told = remit(binary, folder, "check", "--fmt-check")
    assert told.status == 1 and "10-read.cedar: not formatted" in told.err, told
    assert remit(binary, folder, "fmt", "--check").status == 1
    assert remit(binary, folder, "fmt").status == 0
    assert reads.read_text() == form
