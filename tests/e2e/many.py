"""A journal of many calls, made from the lines of a few that were real: for how fast pages are, not for what they say."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SEGMENT_BYTES = 60 << 20


def ulid(at_ms: int, random_bits: int) -> str:
    value = (at_ms << 80) | random_bits
    return "".join(DIGITS[value >> shift & 31] for shift in range(125, -1, -5))


def instant(at_ns: int) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ns // 1_000_000_000))
    return f"{whole}.{at_ns % 1_000_000_000:09d}Z"


def fill(state: Path, calls: int, *, hours: int = 24, agents: int = 20) -> None:
    """Puts `calls` calls behind those of a node that has stopped, each a copy of one of its own but for id, time and agent."""
    folder = state / "journal"
    lines = [line for segment in sorted(folder.glob("*.jsonl")) for line in segment.read_text().splitlines()]
    entries = [json.loads(line) for line in lines]
    closings = {entry["data"]["call"]: entry for entry in entries if entry["kind"] == "closed"}
    pairs = [(entry, closings.get(entry["data"]["call"])) for entry in entries if entry["kind"] in ("opened", "refused")]
    for old in [*folder.glob("*.leaves"), *folder.glob("*.index"), folder / "checkpoint"]:
        old.unlink(missing_ok=True)
    dice = random.Random(7)
    seq = len(entries)
    end_ns = time.time_ns()
    step_ns = hours * 3_600_000_000_000 // calls
    out, size = None, SEGMENT_BYTES
    for number in range(calls):
        at_ns = end_ns - (calls - number) * step_ns
        opening, closing = pairs[number % len(pairs)]
        call = ulid(at_ns // 1_000_000, dice.getrandbits(80))
        if size >= SEGMENT_BYTES:
            if out:
                out.close()
            out, size = open(folder / f"{seq:020}.jsonl", "w"), 0
        opened = seq
        data = opening["data"] | {"call": call, "began": instant(at_ns)}
        if data.get("agent"):
            data["agent"] = f"spiffe://example.org/agent/worker-{dice.randrange(agents)}"
        made = [opening | {"seq": seq, "at": instant(at_ns), "data": data}]
        if closing:
            data = closing["data"] | {"call": call, "opened": opened}
            made.append(closing | {"seq": seq + 1, "at": instant(at_ns + 5_000_000), "data": data})
        seq += len(made)
        text = "".join(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in made)
        size += len(text)
        out.write(text)
    out.close()
