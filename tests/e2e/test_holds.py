"""Calls of real clients that wait for a person, and people who vote with `remit approve` and `remit refuse`."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import HERE, SCRIPTS, need
from standins.process import until

PATIENT = ("[holds]\npatience_s = 60\nwaiting_per_task = 5000\nwaiting_per_agent = 5000\nasks_per_minute = 100000\n")
AT_ONCE = "[holds]\npatience_s = 0\n"


@pytest.fixture
def holding(own_remit):
    def start(extra: str = PATIENT):
        return own_remit(policies=HERE / "holding", extra=extra)

    return start


def waiting(node, count: int = 1, within: float = 30) -> list[dict]:
    """The holds that wait, once there are as many."""
    def look():
        holds = node.command("holds", "--json").json_text()["holds"]
        return holds if len(holds) >= count else None

    return until(look, within, f"{count} calls wait")


def posts(reached, host: str) -> list:
    """What was posted to a host since the test began, once something was."""
    return [seen for seen in reached(host) if seen.method == "POST"]


def beside(work):
    """Runs it in a thread; `join` gives what came of it."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def test_octokit_waits_and_its_issue_is_made_once_it_is_approved(holding, emulate, npm, node24, reached):
    node = holding()
    client = beside(lambda: node.run(node24, npm / "clients" / "js_held.mjs", "held by octokit", timeout=90))
    hold, = waiting(node)
    assert hold["summary"] == "Open an issue in alice/demo (GitHub)", hold
    reached.none_matching("api.github.com", "POST")
    card = node.command("holds", hold["id"])
    assert 'title: "held by octokit"' in card.out and "A person looks at every change." in card.out, card.out
    assert "ghp_real_alice" not in card.out and "authorization: (masked" in card.out, card.out
    time.sleep(2)  # `remit run` looks once in a while
    told = node.command("approve", hold["id"], "--note", "looks right")
    assert told.status == 0 and "goes out once" in told.out, told
    ran = client.result(90)
    assert json.loads(ran.out) == {"title": "held by octokit"}, ran
    assert f"remit approve {hold['id']}" in ran.err, "whoever started the agent was told"
    assert len(posts(reached, "api.github.com")) == 1
    voted, = [entry["data"] for entry in node.journal.entries() if entry["kind"] == "hold_voted"]
    assert (voted["by"], voted["note"], voted["digest"]) == ("local:admin", "looks right", hold["digest"])


def test_octokit_is_told_who_refused_it(holding, emulate, npm, node24, reached):
    node = holding()
    client = beside(lambda: node.run(node24, npm / "clients" / "js_held.mjs", "not wanted", timeout=90))
    hold, = waiting(node)
    assert node.command("refuse", hold["id"], "--note", "wrong repository").status == 0
    told = json.loads(client.result(90).out)
    assert told["status"] == 403 and told["refusal"] == "approval_refused", told
    assert "wrong repository" in told["message"], told
    reached.none_matching("api.github.com", "POST")


def test_curl_comes_again_after_the_approval_and_gets_through_once(holding, front, reached, origin):
    node = holding(AT_ONCE)
    task = node.task()
    curl = [need("curl"), "-sS", "--proxy", task.proxy_url, "--cacert", str(node.ca), "-w", "\n%{http_code}",
            "-H", "content-type: application/json", "-d", '{"n": 1}', "https://up.test/echo"]

    def send(*more: str) -> tuple[int, str]:
        out = subprocess.run([*curl, *more], capture_output=True, text=True, timeout=30, check=True).stdout
        body, _, code = out.rpartition("\n")
        return int(code), body

    code, body = send()
    assert code == 425 and json.loads(body)["code"] == "held", body
    hold, = waiting(node)
    assert json.loads(body)["hold"] == hold["id"]
    stale = node.command("approve", hold["id"], "--digest", "sha256:" + "0" * 64)
    assert stale.status == 1 and "digest" in stale.err, stale
    assert node.command("approve", hold["id"]).status == 0
    assert send("-H", "x-other: 1")[0] == 425, "another field is another call"
    assert send("-H", "x-request-id: 77", "-A", "another curl")[0] == 200, "what differs by nature does not matter"
    assert send()[0] == 425, "once"
    assert len(posts(reached, "up.test")) == 1


def test_deletions_wait_for_two_people_and_one_token_is_one_person(holding, front):
    node = holding(AT_ONCE)
    task = node.task()
    subprocess.run([need("curl"), "-sS", "--proxy", task.proxy_url, "--cacert", str(node.ca), "-X", "DELETE",
                    "https://up.test/echo"], capture_output=True, timeout=30, check=True)
    hold, = waiting(node)
    assert hold["wants"] == {"owners": 2}
    first = node.command("approve", hold["id"])
    assert first.status == 0 and "still wanted: 1 of owners" in first.out, first
    second = node.command("approve", hold["id"])
    assert second.status == 1 and "has voted on hold" in second.err, second


def test_a_model_reads_that_its_tool_waits_and_calls_it_again(holding, mcp):
    node = holding(AT_ONCE)

    def vote():
        hold = waiting(node)[0]
        assert node.command("approve", hold["id"]).status == 0

    voter = threading.Thread(target=vote)
    voter.start()
    ran = node.run(SCRIPTS / "python", HERE / "clients" / "py_held.py", timeout=90)
    voter.join()
    told = json.loads(ran.out)
    assert told["error"] is False and "logging" in told["said"][-1].lower(), ran
    assert "send the very same call again" in told["said"][0] and "held for a person of `owners`" in told["said"][0], told
    holds = node.command("holds", "--all", "--json").json_text()["holds"]
    assert len(holds) == 1 and holds[0]["state"] == "spent", holds
    assert holds[0]["asks"] == len(told["said"]) - 1, "each call joined the first, with another id of its own"
