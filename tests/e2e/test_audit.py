"""The record as an auditor meets it: `remit audit` and the stand-alone verifier, on the journal of real calls."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node import Ran, run
from wire import client

VERIFIER = Path(__file__).resolve().parents[1] / "vectors" / "verify_inclusion.py"


@pytest.fixture
def made(own_remit, origin) -> tuple:
    """A stopped node, the ids of its calls, and what an auditor kept: key and checkpoint."""
    node = own_remit()
    calls = []
    with client(node, node.task()) as http:
        for number in range(4):
            calls.append(http.post(f"https://up.test/echo?audit-{number}", content=b"x").headers["remit-call"])
        refused = http.delete("https://up.test/forbidden/audit")
        assert refused.status_code == 403
        calls.append(refused.headers["remit-call"])
    node.stop()
    kept = node.home / "kept"
    kept.mkdir()
    for name in ("checkpoint", "log.vkey"):
        shutil.copy(node.state / "journal" / name, kept)
    return node, calls, kept


def verify(node, state: Path, kept: Path) -> Ran:
    return run([node.binary, "audit", "verify", "--state", state, "--checkpoint", kept / "checkpoint",
                "--key", (kept / "log.vkey").read_text().strip(), "--json"])


def test_each_call_is_proved_with_the_public_key_alone(made):
    node, calls, kept = made
    key = (kept / "log.vkey").read_text()
    for call, entries in [(calls[0], 2), (calls[-1], 1)]:
        proof = node.command("audit", "prove", call, "--json").json_text()
        assert len(proof["entries"]) == entries
        check = [sys.executable, VERIFIER, key]
        proved = run(check, stdin=json.dumps(proof).encode())
        assert proved.status == 0 and proved.out.count("is in the journal") == entries, proved
        first = proof["entries"][0]
        wrong = [
            proof | {"entries": [first | {"line": first["line"].replace('"POST"', '"GET"').replace('"DELETE"', '"GET"')}]},
            proof | {"entries": [first | {"proof": first["proof"][1:]}]},
            proof | {"entries": [first | {"proof": first["proof"][::-1]}]},
            proof | {"entries": []},
            proof | {"checkpoint": proof["checkpoint"].replace("\n", "\n1", 1)},
            proof | {"call": calls[1]},
        ]
        for forged in wrong:
            assert run(check, stdin=json.dumps(forged).encode()).status != 0, forged
    assert node.command("audit", "prove", "01KB0ZX5D2Q7C3V9T4N8M6R1WE").status == 1


def flip(lines: list[bytes]) -> int:
    """One digit of the entry's time: it stays an entry in canonical form, in its place."""
    at = lines[7].index(b'"at":"') + 28
    lines[7] = lines[7][:at] + (b"1" if lines[7][at:at + 1] != b"1" else b"2") + lines[7][at + 1:]
    return 7


def remove(lines: list[bytes]) -> int:
    del lines[6]
    return 6


def insert(lines: list[bytes]) -> int:
    lines.insert(6, lines[5])
    return 6


def reorder(lines: list[bytes]) -> int:
    lines[4], lines[6] = lines[6], lines[4]
    return 4


def truncate(lines: list[bytes]) -> int:
    del lines[-1]
    return len(lines)


def broken(lines: list[bytes]) -> int:
    lines[3] = lines[3].replace(b":", b";", 1)
    return 3


@pytest.mark.parametrize("change", [flip, remove, insert, reorder, truncate, broken])
def test_whatever_is_changed_is_found_and_named(made, tmp_path, change):
    node, _, kept = made
    sound = verify(node, node.state, kept)
    assert sound.status == 0, sound
    entries = len(node.journal.entries())
    assert json.loads(sound.out)["entries"] == json.loads(sound.out)["signed"] == entries > 10
    state = tmp_path / "tampered"
    shutil.copytree(node.state / "journal", state / "journal")
    (segment,) = (state / "journal").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    entry = change(lines)
    segment.write_bytes(b"".join(lines))
    found = verify(node, state, kept)
    assert found.status == 1, found
    verdict = json.loads(found.out)
    assert (verdict["holds"], verdict["entry"]) == (False, entry), verdict
    assert f"entry {entry} " in found.err, found


def test_the_record_is_searched_followed_and_exported(made):
    node, calls, _ = made
    exported = node.command("audit", "export").out
    assert exported.encode() == b"".join(path.read_bytes() for path in sorted((node.state / "journal").glob("*.jsonl")))
    denied = node.command("audit", "query", "--decision", "deny", "--json")
    assert [json.loads(line)["data"]["call"] for line in denied.out.splitlines()] == [calls[-1]]
    one = node.command("audit", "query", "--call", calls[0], "--agent", "e2e")
    assert one.status == 0 and " 200 " in one.out and calls[0] in one.out and calls[1] not in one.out, one
    assert node.command("audit", "query", "--host", "nobody.test").status == 1
    last = node.command("audit", "tail", "-n", "1")
    assert "node_stopped" in last.out and len(last.out.splitlines()) == 1, last


def test_an_entry_answers_who_for_what_and_how_it_ended(own_remit, origin):
    node = own_remit()
    task = node.task()
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    sent = b'{"text": "evidence"}'
    with client(node, task) as http:
        http.get("https://up.test/hello?evidence-before")
        answer = http.post("https://up.test/echo?evidence=secret-value", content=sent, headers={"traceparent": parent})
    node.stop()
    entries = node.journal.entries()
    mine = [entry for entry in entries if entry["data"].get("call") == answer.headers["remit-call"]]
    assert [entry["kind"] for entry in mine] == ["opened", "closed"]
    opened, closing = mine[0]["data"], mine[1]["data"]["closing"]
    assert opened["agent"] == "spiffe://example.org/agent/e2e" and opened["evidence"] == "task-token", opened
    assert (opened["task"], opened["intent"]) == (task.id, "e2e")
    assert opened["operations"][0]["class"] == "act" and opened["operations"][0]["id"], opened
    assert (opened["http"]["host"], opened["http"]["port"], opened["http"]["path"]) == ("up.test", 443, "/echo")
    assert opened["history"]["reads"] == 1, opened
    assert opened["decision"] == "allow" and opened["policies"] and opened["rules"].startswith("sha256:"), opened
    assert opened["trace"] == parent.split("-")[1] and opened["parent"] == parent.split("-")[2], opened
    for body, facts in [(sent, closing["request"]), (answer.content, closing["response"])]:
        assert facts == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "complete": True}, closing
    assert closing["status"] == 200 and closing["outcome"] == "answered"
    assert closing["duration_ns"] >= closing["first_byte_ns"] >= closing["decided_ns"] > 0, closing
    assert "secret-value" not in json.dumps(entries)
    events = [entry["kind"] for entry in entries]
    for kind in ["node_started", "configuration_loaded", "rules_loaded", "ca_made", "task_opened", "node_stopped"]:
        assert kind in events, events


def test_calls_are_exported_as_otlp_json(made):
    node, calls, _ = made
    requests = [json.loads(line) for line in node.command("audit", "export", "--format", "otlp").out.splitlines()]
    spans = [span for request in requests for resource in request["resourceSpans"]
             for scope in resource["scopeSpans"] for span in scope["spans"]]
    assert len(spans) == len(calls)
    told = {entry["data"]["call"]: entry["data"] for entry in node.journal.entries() if entry["kind"] in ("opened", "refused")}
    for span in spans:
        attributes = {one["key"]: one["value"].get("stringValue") for one in span["attributes"]}
        facts = told.pop(attributes["remit.call.id"])
        assert (span["traceId"], span["spanId"]) == (facts["trace"], facts["span"]), span
    assert told == {}


def test_the_tail_follows(own_remit, origin):
    node = own_remit()
    tail = subprocess.Popen([node.binary, "audit", "tail", "--follow", "--json", "-n", "1", "--state", node.state],
                            stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(tail.stdout.readline())["seq"] >= 0
        with client(node, node.task()) as http:
            call = http.get("https://up.test/hello?tail").headers["remit-call"]
        told = []
        while not told or told[-1]["data"].get("call") != call or told[-1]["kind"] != "closed":
            told.append(json.loads(tail.stdout.readline()))
        assert [entry["kind"] for entry in told if entry["data"].get("call") == call] == ["opened", "closed"]
    finally:
        tail.kill()
        tail.wait()
