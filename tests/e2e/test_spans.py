"""Spans: one per call, made from the journal, continuing the agent's own trace."""

from __future__ import annotations

import secrets

import pytest

from node import AGENT, INTENT
from standins.process import until
from wire import client

KIND_CLIENT = 3
STATUS_ERROR = 2


def one_read_and_one_refusal(node, marker: str) -> tuple[str, str, str, str]:
    """Gives trace and span id of the agent, and the ids of the allowed and of the refused call."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    with client(node, node.task()) as http:
        headers = {"traceparent": f"00-{trace}-{span}-01"}
        read = http.get(f"https://up.test/headers?{marker}", headers=headers)
        refused = http.delete("https://up.test/forbidden/span", headers=headers)
    assert (read.status_code, refused.status_code) == (200, 403)
    return trace, span, read.headers["remit-call"], refused.headers["remit-call"]


def check_allowed(attributes: dict) -> None:
    assert attributes["remit.decision"] == "allow" and attributes["remit.operation"] == "unknown:read"
    assert attributes["remit.class"] == "read" and attributes["remit.agent.id"] == AGENT
    assert attributes["remit.task.intent"] == INTENT and attributes["remit.recognition"] == "inferred"
    assert attributes["remit.rules.digest"].startswith("sha256:")
    assert attributes["http.request.method"] == "GET" and int(attributes["http.response.status_code"]) == 200
    assert attributes["server.address"] == "up.test"


def check_denied(attributes: dict) -> None:
    assert attributes["remit.decision"] == "deny" and attributes["remit.refusal"] == "policy_denied"
    assert attributes["remit.class"] == "act" and "closed-area" in str(attributes["remit.policy.ids"])


@pytest.mark.parametrize("via", ["http", "grpc"])
def test_spans_arrive_by_both_kinds_of_otlp(own_remit, otlp, origin, via):
    node = own_remit(otlp=getattr(otlp, via))
    trace, span, read, refused = one_read_and_one_refusal(node, f"span-{via}")
    allowed = otlp.wait(lambda one: one["attributes"].get("remit.call.id") == read)
    assert allowed["via"] == via and allowed["name"] == "unknown:read"
    assert (allowed["trace"], allowed["parent"]) == (trace, span) and allowed["status"] != STATUS_ERROR
    check_allowed(allowed["attributes"])
    denied = otlp.wait(lambda one: one["attributes"].get("remit.call.id") == refused)
    assert (denied["trace"], denied["parent"], denied["status"]) == (trace, span, STATUS_ERROR)
    check_denied(denied["attributes"])
    assert allowed["resource"]["service.name"] == "remit"
    passed_on = origin.seen(f"span-{via}")[0].header("traceparent")
    assert passed_on == f"00-{trace}-{allowed['span']}-01", "the origin continues remit's span"


def test_a_backend_that_is_down_for_a_while_loses_nothing(own_remit, otlp, origin):
    otlp.failures_left = 2
    node = own_remit(otlp=otlp.http)
    _, _, read, refused = one_read_and_one_refusal(node, "span-late")
    otlp.wait(lambda one: one["attributes"].get("remit.call.id") == read, within=40)
    otlp.wait(lambda one: one["attributes"].get("remit.call.id") == refused, within=40)


def test_spans_leave_before_the_node_does(own_remit, otlp, origin):
    node = own_remit(otlp=otlp.http)
    _, _, read, _ = one_read_and_one_refusal(node, "span-last")
    node.terminate()
    assert node.wait(20) == 0
    otlp.wait(lambda one: one["attributes"].get("remit.call.id") == read, within=1)


def test_a_call_without_a_trace_begins_one(remit, otlp, origin, task):
    with client(remit, task) as http:
        call = http.get("https://up.test/headers?no-trace").headers["remit-call"]
    span = otlp.wait(lambda one: one["attributes"].get("remit.call.id") == call)
    assert span["parent"] == "" and int(span["trace"], 16)


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("via", ["http", "grpc"])
def test_spans_are_seen_in_phoenix(own_remit, phoenix, origin, via):
    endpoint = phoenix.base if via == "http" else f"grpc://127.0.0.1:{phoenix.grpc}"
    node = own_remit(otlp=endpoint)
    trace, span, read, refused = one_read_and_one_refusal(node, f"phoenix-{via}")

    def both():
        mine = {one["attributes"].get("remit.call.id"): one for one in phoenix.spans()}
        return (mine[read], mine[refused]) if read in mine and refused in mine else None

    allowed, denied = until(both, 60, "both spans are in Phoenix", every=0.5)
    assert allowed["name"] == "unknown:read" and allowed["context"]["trace_id"] == trace and allowed["parent_id"] == span
    check_allowed(allowed["attributes"])
    assert denied["status_code"] == "ERROR" and denied["context"]["trace_id"] == trace
    check_denied(denied["attributes"])
