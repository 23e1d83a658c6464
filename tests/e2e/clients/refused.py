"""What a client program prints of a refusal: enough for the test to see that the agent could read why."""

from __future__ import annotations


def told(status: int, headers, body) -> dict:
    lower = {str(name).lower(): value for name, value in dict(headers).items()}
    return {"status": status, "refusal": lower.get("remit-refusal"), "call": lower.get("remit-call"),
            "type": lower.get("content-type"), "body": body}
