"""Spans: one per call, made from the journal, continuing the agent's own trace."""

from __future__ import annotations

import json
import secrets

import httpx
import pytest

from conftest import HERE
from node import AGENT, INTENT
from standins.otlp import Receiver
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


def test_what_has_no_force_is_in_the_spans_too(own_remit, otlp, origin):
    """Policies that are only observed, and a candidate beside them: the call goes out, and the span has both opinions."""
    node = own_remit(otlp=otlp.http, candidate=HERE / "refusing", extra='[services."up.test"]\nmode = "observe"\n')
    held, reader = node.task(intent="held"), node.task(intent="read-only")
    with client(node, held) as http:
        passed = http.delete("https://up.test/observed/passed")
    with client(node, reader) as http:
        denied = http.delete("https://up.test/observed/denied")
        enforced = http.delete("https://h1.up.test/observed/enforced")
    assert "remit-refusal" not in passed.headers and "remit-refusal" not in denied.headers
    assert enforced.status_code == 403
    assert len(origin.seen("/observed/")) == 2, "what is enforced did not go out"

    def told(answer, *names: str) -> list:
        call = answer.headers["remit-call"]
        attributes = otlp.wait(lambda one: one["attributes"].get("remit.call.id") == call)["attributes"]
        return [attributes.get(f"remit.{name}") for name in names]

    names = ("decision", "observed.decision", "policy.ids", "candidate.decision", "candidate.differs")
    assert told(passed, *names) == ["allow", "allow", None, "hold", True]
    assert told(passed, "candidate.policy.ids") == [["needs-a-person"]]
    assert told(denied, *names) == ["allow", "deny", None, "deny", False]
    assert told(denied, "observed.policy.ids") == [["reader-only-reads"]]
    assert told(enforced, *names) == ["deny", None, ["reader-only-reads"], "deny", False]


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


def call_a_tool(http) -> str:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_weather", "arguments": {}}}
    answer = http.post("https://up.test/mcp", json=body)
    assert answer.status_code == 200
    return answer.headers["remit-call"]


def test_tools_and_models_are_told_in_the_words_of_the_conventions(remit, otlp, origin, llm, task):
    with client(remit, task) as http:
        tool = call_a_tool(http)
        asked = {"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}
        model = http.post("https://api.openai.com/v1/chat/completions", json=asked,
                          headers={"authorization": "Bearer sk-test"}).headers["remit-call"]
    told = otlp.wait(lambda one: one["attributes"].get("remit.call.id") == tool)["attributes"]
    assert told["gen_ai.operation.name"] == "execute_tool" and told["gen_ai.tool.name"] == "get_weather"
    assert told["mcp.method.name"] == "tools/call" and told["openinference.span.kind"] == "TOOL"
    told = otlp.wait(lambda one: one["attributes"].get("remit.call.id") == model)["attributes"]
    assert told["gen_ai.operation.name"] == "chat" and told["gen_ai.request.model"] == "gpt-test"
    assert told["gen_ai.provider.name"] == "openai" and told["openinference.span.kind"] == "LLM"


def test_metrics_are_scraped_and_pushed(own_remit, otlp, origin):
    node = own_remit(otlp=otlp.http, extra="metrics_interval_s = 1\n")
    one_read_and_one_refusal(node, "span-metrics")
    otlp.metrics.clear()
    text = httpx.get(f"{node.admin}/metrics", trust_env=False).text
    for line in ('remit_calls_total{class="read",decision="allow"} 1', 'remit_calls_total{class="act",decision="deny"} 1',
                 'remit_refusals_total{code="policy_denied"} 1', 'remit_call_ends_total{outcome="answered"} 1',
                 'remit_journal_commit_duration_seconds_count{class="read"} 1', "remit_leaf_mint_duration_seconds_count 1",
                 'remit_call_stage_duration_seconds_count{stage="judge"} 1', "remit_journal_failing 0",
                 "remit_calls_open 0", "remit_rules_refused 0"):
        assert line in text.splitlines(), f"{line} is not in\n{text}"
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names >= {"remit_pool_connections", "remit_pool_requests_total", "remit_export_spans_total", "remit_export_failures_total",
                     "remit_origin_response_duration_seconds_count", "remit_tasks_open", "remit_rules_loads_total", "remit_build_info"}, names
    until(lambda: {"remit.calls", "remit.call.stage.duration", "remit.export.lag"} <= otlp.metrics, 10, "metrics are pushed")


def test_a_collector_with_a_certificate_of_its_own(own_remit, origin, authority):
    chain, key = authority.leaf("collector", ["localhost"])
    secure = Receiver(tls=(chain, key))
    try:
        for via in (secure.http, secure.grpc):
            untrusted = own_remit(otlp=via, trust=[])
            known = own_remit(otlp=via, trust=[], extra=f"certificate = {json.dumps(str(authority.root))}\n",
                              wrapper=["env", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip"])
            calls = []
            for node in (untrusted, known):
                with client(node, node.task()) as http:
                    calls.append(http.get("http://plain.up.test/own-trust").headers["remit-call"])
            secure.wait(lambda one: one["attributes"].get("remit.call.id") == calls[1])
            until(lambda: "cannot be sent" in untrusted.log, 15, "the other collector is not trusted")
            assert not [one for one in secure.spans if one["attributes"].get("remit.call.id") == calls[0]]
    finally:
        secure.close()


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("via", ["http", "grpc"])
def test_spans_are_seen_in_phoenix(own_remit, phoenix, origin, via):
    endpoint = phoenix.base if via == "http" else f"grpc://127.0.0.1:{phoenix.grpc}"
    node = own_remit(otlp=endpoint)
    trace, span, read, refused = one_read_and_one_refusal(node, f"phoenix-{via}")
    with client(node, node.task()) as http:
        tool = call_a_tool(http)

    def both():
        mine = {one["attributes"].get("remit.call.id"): one for one in phoenix.spans()}
        return [mine[call] for call in (read, refused, tool)] if {read, refused, tool} <= mine.keys() else None

    allowed, denied, called = until(both, 60, "both spans are in Phoenix", every=0.5)
    assert allowed["name"] == "unknown:read" and allowed["context"]["trace_id"] == trace and allowed["parent_id"] == span
    check_allowed(allowed["attributes"])
    assert denied["status_code"] == "ERROR" and denied["context"]["trace_id"] == trace
    check_denied(denied["attributes"])
    assert called["span_kind"] == "TOOL" and called["attributes"]["gen_ai.tool.name"] == "get_weather"
