"""remit's journal, read from disk while remit writes it: `<state.dir>/journal/*.jsonl`, one entry a line."""

from __future__ import annotations

import json
from pathlib import Path

from standins.process import until


class Journal:
    def __init__(self, folder: Path):
        self._folder = folder

    def entries(self) -> list[dict]:
        """Every whole line; a torn last one is not yet an entry."""
        found = []
        for segment in sorted(self._folder.glob("*.jsonl")):
            found += [json.loads(line) for line in segment.read_bytes().split(b"\n")[:-1] if line]
        return found


def matches(entry: dict, kinds: tuple[str, ...], facts: dict[str, object]) -> bool:
    """Whether an entry is of one of the kinds and says all the `facts`."""
    if entry["kind"] not in kinds:
        return False
    data = entry["data"]
    http, refusal, closing = data.get("http") or {}, data.get("refusal") or {}, data.get("closing") or {}
    told = {
        "call": data.get("call"), "agent": data.get("agent"), "intent": data.get("intent"), "task": data.get("task"),
        "decision": data.get("decision"), "policies": data.get("policies"), "why": data.get("why"),
        "operation": [operation["id"] for operation in data.get("operations", [])],
        "class": [operation["class"] for operation in data.get("operations", [])],
        "host": http.get("host"), "method": http.get("method"), "path": http.get("path"), "version": http.get("version"),
        "code": refusal.get("code"), "authority": data.get("authority"),
        "outcome": closing.get("outcome"), "status": closing.get("status") or refusal.get("status"),
    }
    return all(value in told[name] if isinstance(told[name], list) else told[name] == value
               for name, value in facts.items())


class Watch:
    """What one test adds to the journal."""

    def __init__(self, journal: Journal):
        self._journal, self._mark = journal, len(journal.entries())

    def entries(self) -> list[dict]:
        return self._journal.entries()[self._mark:]

    def _wait(self, kinds: tuple[str, ...], facts: dict[str, object], within: float = 5.0) -> dict:
        def found():
            return next((entry for entry in self.entries() if matches(entry, kinds, facts)), None)

        try:
            return until(found, within, f"a journal entry {kinds} with {facts}")
        except AssertionError as error:
            shown = "\n".join(json.dumps(entry)[:700] for entry in self.entries()[-15:])
            raise AssertionError(f"{error}; the journal of this test:\n{shown}") from None

    def allowed(self, *, outcome: str = "answered", within: float = 5.0, **facts) -> tuple[dict, dict]:
        """The opening and the closing entry of an allowed call, in the right order and with the outcome."""
        opened = self._wait(("opened",), facts)
        assert opened["data"]["decision"] == "allow", opened
        closed = self._wait(("closed",), {"call": opened["data"]["call"]}, within)
        assert closed["data"]["opened"] == opened["seq"] < closed["seq"], (opened, closed)
        assert closed["data"]["closing"]["outcome"] == outcome, closed
        return opened["data"], closed["data"]["closing"]

    def refused(self, code: str, **facts) -> dict:
        """The one entry of a call that was refused; no opening stands beside it."""
        data = self._wait(("refused",), facts | {"code": code})["data"]
        assert not [e for e in self.entries() if e["kind"] == "opened" and e["data"]["call"] == data["call"]]
        return data

    def denied(self, **facts) -> dict:
        data = self.refused("policy_denied", **facts)
        assert data["decision"] == "deny", data
        return data

    def turned_away(self, code: str, **facts) -> dict:
        """The entry of a connection that never became a call, or of a call refused for the same reason."""
        return self._wait(("turned_away", "refused"), facts | {"code": code})["data"]

    def event(self, kind: str, **facts) -> dict:
        return self._wait((kind,), facts)["data"]

    def nothing_opened(self, **facts) -> None:
        some = [entry for entry in self.entries() if matches(entry, ("opened",), facts)]
        assert not some, some
