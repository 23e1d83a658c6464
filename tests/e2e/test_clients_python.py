"""Python clients work unchanged under `remit run`, and are refused in words that they can read."""

from __future__ import annotations

import pytest

from node import AGENT, INTENT


def refused_in_words(refused: dict, operation: str, status: int = 403) -> None:
    """The refusal as the client saw it, with the operation, its class and what to do."""
    assert refused["status"] == status and refused["refusal"] == "policy_denied", refused
    body = refused["body"]
    assert body["operation"] == operation and body["class"] in ("act", "delegate"), body
    assert body["detail"] and body["advice"], body


def github_story(journal, reached, told: dict) -> None:
    """Read, act, refused act: what the client saw, what the journal says, what the origin saw."""
    assert told["login"] == "alice" and told["issue"].startswith("by "), told
    refused_in_words(told["refused"], "github:repos/delete")
    read, _ = journal.allowed(operation="github:users/get-authenticated", agent=AGENT, intent=INTENT)
    act, closing = journal.allowed(operation="github:issues/create")
    assert act["policies"] == ["few-acts"] and closing["status"] == 201 and closing["request"]["bytes"] > 0
    journal.denied(operation="github:repos/delete")
    seen = reached("api.github.com", at_least=2)
    assert {request.method for request in seen} == {"GET", "POST"}, seen
    assert not any("proxy-authorization" in request.headers for request in seen)
    reached.none_matching("api.github.com", "DELETE")


def test_requests_reads_acts_and_is_refused(python, emulate, journal, reached):
    github_story(journal, reached, python("py_requests.py"))


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_httpx_reads_acts_and_is_refused(python, emulate, journal, reached, version):
    told = python("py_httpx.py", version)
    assert told["version"] == ("HTTP/2" if version == "h2" else "HTTP/1.1")
    github_story(journal, reached, told)


def test_pygithub_reads_acts_and_is_refused(python, emulate, journal, reached):
    github_story(journal, reached, python("py_github.py"))


def test_slack_sdk_posts_and_is_refused(python, emulate, journal, reached):
    told = python("py_slack.py")
    assert told["channel"] == "general" and told["posted"] == "by slack_sdk"
    refused_in_words(told["refused"], "slack:conversations.create", status=200)  # as Slack tells errors
    journal.allowed(operation="slack:conversations.list")
    journal.allowed(operation="slack:chat.postMessage")
    journal.denied(operation="slack:conversations.create")
    assert not [request for request in reached("slack.com", at_least=2) if "conversations.create" in request.uri]


def test_stripe_is_trusted_without_a_variable_of_its_own(python, emulate, journal, reached):
    told = python("py_stripe.py")
    assert told["object"] == "list"
    assert told["refused"]["status"] == 403 and told["refused"]["body"]["operation"].startswith("stripe:"), told
    journal.allowed(host="api.stripe.com", method="GET")
    denied = journal.denied(host="api.stripe.com", method="POST")
    assert denied["operations"][0]["id"].startswith("stripe:") and denied["operations"][0]["how"] == "exact", denied
    reached("api.stripe.com")
    reached.none_matching("api.stripe.com", "POST")


@pytest.mark.parametrize(("program", "host"), [("py_openai.py", "api.openai.com"), ("py_anthropic.py", "api.anthropic.com")])
def test_model_answers_stream_through_piece_by_piece(python, llm, journal, reached, program, host):
    told = python(program)
    assert told["whole"].startswith("Hi from the stand-in") and told["streamed"] == told["whole"], told
    # That no piece waits for the next is shown in test_protocols.py, where the test holds the gate.
    assert told["pieces"] > 5, told
    opened, closing = journal.allowed(host=host, method="POST")
    assert opened["operations"][0]["service"] in host and opened["operations"][0]["how"] == "exact", opened
    assert closing["response"]["complete"] and closing["response"]["bytes"] > 0
    assert len(reached(host, at_least=2)) == 2


def test_an_mcp_tool_is_called_and_answers_as_a_stream(python, mcp, journal, reached):
    told = python("py_mcp.py")
    assert told["text"] == "Echo: by hand" and told["type"].startswith("text/event-stream"), told
    journal.allowed(host="mcp.up.test", method="POST", path="/mcp")
    assert len(reached("mcp.up.test", at_least=3)) == 3


def test_boto3_signatures_survive(python, aws, journal, reached):
    told = python("py_boto3.py", timeout=90)
    assert told == {"account": "123456789012", "bytes": 400_000, "same": True}
    journal.allowed(host="agents-bucket.s3.amazonaws.com", method="PUT", path="/a/b%20c.txt")
    signed = reached("agents-bucket.s3.amazonaws.com", at_least=2) + reached("sts.us-east-1.amazonaws.com")
    assert all("AWS4-HMAC-SHA256" in request.headers["authorization"] for request in signed)


def test_cloud_storage_over_h2_on_both_legs(python, storage, journal):
    assert python("py_storage.py") == {"same": True, "version": "HTTP/2"}
    journal.allowed(host="storage.googleapis.com", path="/upload/storage/v1/b/agents/o")
    opened, closing = journal.allowed(host="storage.googleapis.com", path="/storage/v1/b/agents/o/a.bin")
    assert opened["http"]["version"] == "2" and closing["response"]["bytes"] == 500_000


def test_grpc_calls_streams_and_trailers_pass(python, grpc_origin, journal):
    told = python("py_grpc.py")
    assert told["unary"] == {"answer": "echo:" + "x" * 10, "trailers": {"x-trailer": "kept"}}
    assert told["large"]["answer"] == 3_000_005
    assert told["stream"] == {"answer": ["echo:a", "echo:b", "echo:c"], "trailers": {"x-trailer": "kept"}}
    assert told["fail"]["code"] == "FAILED_PRECONDITION" and told["fail"]["details"] == "not today"
    assert told["fail"]["trailers"]["x-trailer"] == "kept"
    _, closing = journal.allowed(host="grpc.up.test", path="/demo.Echo/Unary")
    assert closing["grpc_status"] == 0
    _, closing = journal.allowed(host="grpc.up.test", path="/demo.Echo/Fail")
    assert closing["grpc_status"] == 9
    sent = next(metadata for method, metadata in grpc_origin.calls if method == "Unary")
    assert sent["x-sent"] == "by-client" and "proxy-authorization" not in sent


def test_grpc_to_an_origin_without_h2_is_refused_as_grpc(python, grpc_origin, journal, reached):
    told = python("py_grpc.py")["h1"]
    assert told["code"] in ("UNAVAILABLE", "UNIMPLEMENTED") and "HTTP/2" in told["details"], told
    assert told["trailers"]["remit-refusal"] == "origin_lacks_http2", told
    _, closing = journal.allowed(host="grpc-h1.up.test", outcome="origin_failed")
    assert closing["refusal"] == "origin_lacks_http2"
    reached.nothing("grpc-h1.up.test")


def test_messages_over_websockets_are_judged_one_by_one(python, websocket_origin, journal):
    """What passes is echoed; what is refused is told in its protocol and never reaches the origin."""
    before = len(websocket_origin.messages)
    told = python("py_ws_messages.py")
    assert told["init"] == {"type": "connection_init"}
    assert [told[name]["id"] for name in ("query", "act", "after")] == ["1", "2", "4"]
    for name, number in (("delegate", "3"), ("pieces", "5")):
        assert (told[name]["type"], told[name]["id"]) == ("error", number), told[name]
        assert told[name]["payload"][0]["extensions"]["code"] == "policy_denied"
    assert told["rpc"]["id"] == 7 and told["rpc"]["error"]["code"] == -32003
    assert told["close"][0] == 1008 and told["close"][1].startswith("remit: policy_denied"), told["close"]
    assert "response.completed" in told["responses"]["kinds"] and told["responses"]["text"].startswith("Hi from the stand-in")
    reached = websocket_origin.messages[before:]
    assert len(reached) == 4 and not [one for one in reached if "createToken" in one or "message/send" in one], reached
    assert "sec-websocket-extensions" not in websocket_origin.handshakes[-1]
    journal.denied(host="ws.up.test", path="/graphql", **{"class": "delegate"})
    journal.denied(host="ws.up.test", path="/mcp", **{"class": "delegate"})
    journal.allowed(host="api.openai.com", operation="openai:responses.message.create")
    acts = [entry["data"] for entry in journal.entries() if entry["kind"] == "opened" and entry["data"]["http"].get("message")
            and any(operation["class"] == "act" for operation in entry["data"]["operations"])]
    assert len(acts) == 1, acts


def test_websockets_takes_its_proxy_from_the_environment(python, websocket_origin, journal):
    told = python("py_websocket.py")
    assert told == {"welcome": "welcome", "text": "to be echoed", "large": True}
    opened, closing = journal.allowed(host="ws.up.test", path="/chat")
    assert opened["http"]["websocket"] is True and closing["status"] == 101
    assert "proxy-authorization" not in websocket_origin.handshakes[-1]
