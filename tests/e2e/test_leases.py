"""Agents hold placeholders: real clients work with them unchanged, services see the credential, nobody else sees either."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conftest import HERE, SCRIPTS, need
from journal import Watch as JournalWatch
from node import AGENT, run
from standins.process import free_port, until
from standins.services import GITHUB_TOKEN, Llm
from wire import client

OPENAI_KEY = "sk-real-0a8f3e5d7c9b1f2e4d6a"

LEASES = """
[[leases]]
service = "github"
provider = "fixed"
secret = {{ file = "{folder}/github.token" }}

[[leases]]
service = "openai"
provider = "fixed"
secret = {{ env = "REAL_OPENAI_KEY" }}

[[leases]]
service = "up.test"
provider = "fixed"
secret = {{ command = ["printf", "by command"] }}
place = {{ query = "key" }}
env = "UP_KEY"
"""


@pytest.fixture(scope="session")
def strict_llm(workdir, node24, npm):
    """A model provider that takes one key alone."""
    served = Llm(node24, npm, workdir / "strict", free_port(), keys=[OPENAI_KEY])
    yield served
    served.close()


@pytest.fixture
def leased(own_remit, tmp_path, resolve, strict_llm):
    """A node that holds the credentials of three services."""
    (tmp_path / "github.token").write_text(GITHUB_TOKEN + "\n")
    return own_remit(extra=LEASES.format(folder=tmp_path), wrapper=["env", f"REAL_OPENAI_KEY={OPENAI_KEY}"],
                     resolve=resolve | {"api.openai.com": f"http://127.0.0.1:{strict_llm.port}"})


def test_python_clients_work_with_placeholders(leased, emulate, strict_llm, reached):
    journal, before = JournalWatch(leased.journal), len(strict_llm.journal())
    told = leased.run(SCRIPTS / "python", HERE / "clients" / "py_leased.py",
                      env={"OPENAI_API_KEY": "sk-inherited", "REAL_OPENAI_KEY": OPENAI_KEY}).json()
    assert told["token"].startswith("ghp_rem1t") and told["key"].startswith("sk-rem1t"), told
    assert told["inherited"] is None, "the secret of the node is not the agent's to inherit"
    assert (told["login"], told["issue"]) == ("alice", "by a lease"), told
    assert all(said.startswith("Hi from the stand-in") for said in told["said"]), told

    # It takes the real key alone: neither the placeholder nor the agent's own came there.
    asked = strict_llm.journal()[before:]
    assert [entry["response"]["status"] for entry in asked] == [200, 200], asked
    assert "agents-own" not in json.dumps(asked) and told["key"] not in json.dumps(asked)
    own = run([need("curl"), "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "authorization: Bearer sk-the-agents-own-key",
               "-H", "content-type: application/json", "-d", "{}", f"http://127.0.0.1:{strict_llm.port}/v1/chat/completions"])
    assert own.out == "401", own
    sent = {request.headers["authorization"] for request in reached("api.github.com", at_least=2)}
    assert sent == {f"Bearer {GITHUB_TOKEN}"}, sent

    opened, closing = journal.allowed(operation="github:issues/create", agent=AGENT)
    minted = [entry["data"] for entry in journal.entries() if entry["kind"] == "lease_minted"]
    assert {lease["service"] for lease in minted} == {"github", "openai"}, minted
    assert closing["lease"]["id"] in {lease["lease"] for lease in minted}
    assert closing["lease"]["provider"] == "fixed" and closing["lease"]["short_lived"] is False
    shown = leased.command("task", "show", opened["task"])
    assert "everything gone?  yes for the agent" in shown.out and "fixed" in shown.out, shown
    listed = leased.command("task", "show", opened["task"], "--json").json_text()
    assert {lease["state"] for lease in listed["leases"]} == {"expired"} and listed["gone"] == {"answer": "stays"}


def test_octokit_works_with_a_placeholder(leased, emulate, npm, node24, reached):
    told = leased.run(node24, npm / "clients" / "js_leased.mjs").json()
    assert told["token"].startswith("ghp_rem1t") and told["login"] == "alice", told
    sent = {request.headers["authorization"] for request in reached("api.github.com", at_least=2)}
    assert sent == {f"Bearer {GITHUB_TOKEN}"}, sent


def test_a_placeholder_is_worth_nothing_elsewhere(leased, emulate, origin, reached):
    journal = JournalWatch(leased.journal)
    curl = need("curl")
    task = leased.command("task", "open", "--agent", AGENT, "--intent", "e2e", "--json").json_text()
    dummy, key = task["env"]["GITHUB_TOKEN"], task["env"]["UP_KEY"]

    def ask(*arguments: str):
        more = ["--proxy", task["proxy_url"], "--cacert", task["ca"], "-s", "-o", "-", "-w", "\n%{http_code}"]
        answer = run([curl, *more, *arguments])
        assert answer.status == 0, answer
        body, _, status = answer.out.rpartition("\n")
        return int(status), body

    for arguments in (
        ["https://bare.up.test/headers?stolen-1", "-H", f"authorization: Bearer {dummy}"],
        ["https://bare.up.test/headers?stolen-2", "-u", f"x:{dummy}"],
        ["https://api.github.com/user", "-H", f"x-note: {dummy}"],
        [f"https://api.github.com/user?token={dummy}"],
        [f"https://up.test/headers?other={key}"],
    ):
        status, body = ask(*arguments)
        assert status == 403 and "placeholder" in body, (arguments, status, body)
        assert dummy not in body and key not in body, body
    journal.refused("placeholder_misplaced", host="bare.up.test")
    status, body = ask(f"https://up.test/headers?key={key}&after=yes")
    assert status == 200, body
    seen = origin.seen("after=yes")
    assert len(seen) == 1 and "key=by%20command" in str(vars(seen[0])), vars(seen[0])
    assert not origin.seen("stolen-1") and not origin.seen("stolen-2")


def test_no_secret_is_kept_or_told(leased, emulate):
    leased.run(SCRIPTS / "python", HERE / "clients" / "py_leased.py").json()
    metrics = run([need("curl"), "-s", f"{leased.admin}/metrics"]).out
    assert 'remit_leases{state="expired"} 2' in metrics and 'remit_lease_mints_total{result="given"} 2' in metrics, metrics
    leased.stop()
    for path in Path(leased.state).rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            for secret in (GITHUB_TOKEN, OPENAI_KEY):
                assert secret.encode() not in held, f"{path} holds a secret"
    assert GITHUB_TOKEN not in leased.log and OPENAI_KEY not in leased.log
    assert os.stat(leased.state / "lease.key").st_mode & 0o777 == 0o600


def test_the_lease_is_in_the_span(leased, otlp, emulate):
    journal = JournalWatch(leased.journal)
    leased.run(SCRIPTS / "python", HERE / "clients" / "py_leased.py").json()
    opened, closing = journal.allowed(operation="github:issues/create")
    span = otlp.wait(lambda one: one["attributes"].get("remit.call.id") == opened["call"])
    attributes = span["attributes"]
    assert attributes["remit.lease.id"] == closing["lease"]["id"] and attributes["remit.lease.provider"] == "fixed"
    assert attributes["remit.lease.short_lived"] in (False, "False", "false"), attributes


def test_a_secret_that_was_replaced_is_used_by_the_next_call(leased, emulate, tmp_path):
    task = leased.task()
    with client(leased, task) as http:
        assert http.get("https://api.github.com/user").json()["login"] == "alice"
        (tmp_path / "github.token").write_text("\n")
        refused = until(lambda: (answer := http.get("https://api.github.com/user")).status_code == 403 and answer, 10,
                        "the emptied file is read again")
        assert refused.headers["remit-refusal"] == "lease_refused", refused.text
        (tmp_path / "github.token").write_text(GITHUB_TOKEN)
        until(lambda: http.get("https://api.github.com/user").status_code == 200, 10, "the new secret is read")
