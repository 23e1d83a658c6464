"""Each real client raises for a refusal what it raises for one of the service's own, with remit's words in it."""

from __future__ import annotations

import pytest

from conftest import HERE, SCRIPTS, need

REASON, ADVICE = "Changes are made by people here.", "Write down what you would do."
HELD_REASON, HELD_ADVICE = "Changes wait for an owner.", "Tell the person that you work for."


@pytest.fixture(scope="module")
def strict(binary, workdir, settings):
    """A node under which every change is refused; under the intent `held`, held."""
    from node import Node, Settings

    node = Node(binary, workdir / "strict", Settings(**(vars(settings) | {"policies": HERE / "refusing"}))).start()
    yield node
    node.stop()


@pytest.fixture
def python(strict):
    def run(client: str, intent: str = "e2e") -> dict:
        return strict.run(SCRIPTS / "python", HERE / "clients" / "py_refusals.py", client, intent=intent, timeout=120).json()

    return run


@pytest.fixture
def javascript(strict, npm, node24):
    def run(client: str, intent: str = "e2e") -> dict:
        return strict.run(node24, npm / "clients" / "js_refusals.mjs", client, intent=intent, timeout=60).json()

    return run


def in_our_words(text: str) -> None:
    assert REASON in text and ADVICE in text, text


def as_held(text: str) -> None:
    assert "held for a person of `owners`" in text and HELD_REASON in text and HELD_ADVICE in text, text


def test_boto3_raises_access_denied_in_every_protocol(python):
    told = python("aws")
    assert set(told) == {"json", "query", "ec2", "rest-json", "rest-xml", "smithy-rpc-v2-cbor"}, told
    for protocol, one in told.items():
        assert one["error"]["Code"] == "AccessDenied", (protocol, one)
        assert one["status"] == 403 and one["refusal"] == "policy_denied", (protocol, one)
        in_our_words(one["error"]["Message"])


def test_boto3_raises_access_denied_for_what_is_held(python):
    for protocol, one in python("aws", intent="held").items():
        assert one["error"]["Code"] == "AccessDenied" and one["refusal"] == "held", (protocol, one)
        assert one["status"] == 425, (protocol, one)
        as_held(one["error"]["Message"])


def test_pygithub_has_the_message(python):
    told = python("github")
    assert told["type"] == "GithubException", told
    in_our_words(told["message"])


def test_octokit_has_the_message(javascript):
    told = javascript("octokit")
    assert told["name"] == "HttpError" and told["status"] == 403, told
    in_our_words(told["message"])


@pytest.mark.parametrize("client", ["octokit_graphql", "graphql_request"])
def test_graphql_clients_have_errors(javascript, client):
    told = javascript(client)
    assert told["name"] in ("GraphqlResponseError", "Error"), told
    in_our_words(told["errors"][0]["message"])
    assert told["errors"][0]["extensions"]["code"] == "policy_denied"
    as_held(javascript(client, "held")["errors"][0]["message"])


def test_gql_raises_a_query_error(python):
    told = python("gql")
    assert told["type"] == "TransportQueryError", told
    in_our_words(told["text"])


@pytest.mark.parametrize(("client", "kind"), [("openai", "PermissionDeniedError"), ("anthropic", "PermissionDeniedError")])
def test_model_sdks_raise_permission_denied(python, client, kind):
    told = python(client)
    assert told["type"] == kind and told["status_code"] == 403, told
    in_our_words(told["text"])


def test_stripe_has_the_message(python, javascript):
    told = python("stripe")
    assert told["http_status"] == 403, told
    in_our_words(told["text"])
    told = javascript("stripe")
    assert told["status"] == 403, told
    in_our_words(told["message"])


def test_slack_sdks_do_not_try_again(python, javascript):
    told = python("slack")
    assert told["type"] == "SlackApiError", told
    in_our_words(told["text"])
    # With its own retries, which are ten in half an hour for any status but 200.
    told = javascript("slack")
    assert told["code"] == "slack_webapi_platform_error", told
    assert "policy_denied" in told["message"], told


def test_google_clients_raise_forbidden(python):
    told = python("google")
    assert told["type"] == "Forbidden" and told["code"] == 403, told
    in_our_words(told["text"])


def test_a_token_endpoint_says_access_denied(python):
    told = python("oauth")
    assert told["error"] == "access_denied", told
    in_our_words(told["description"])


def test_a_soap_client_raises_a_fault(python):
    told = python("soap")
    assert told["type"] == "Fault" and told["code"].endswith("Client"), told
    in_our_words(told["message"])


def test_grpc_has_its_codes(python, grpc_origin):
    told = python("grpc")
    assert told["code"] == "PERMISSION_DENIED", told
    in_our_words(told["text"])
    told = python("grpc", intent="held")
    assert told["code"] == "FAILED_PRECONDITION", told
    as_held(told["text"])


def test_an_mcp_client_gets_a_result_that_a_model_reads(python, javascript, mcp):
    told = python("mcp")
    assert told["tools"] > 3 and told["error"] is True, told
    in_our_words(told["text"])
    assert told["meta"]["code"] == "policy_denied", told
    assert told["other"]["type"] == "MCPError", told
    in_our_words(told["other"]["text"])
    told = javascript("mcp")
    assert told["called"]["isError"] is True, told
    in_our_words(told["called"]["content"][0]["text"])
    assert told["other"]["name"] == "McpError" and told["other"]["code"] == -32003, told


def test_a_held_tool_call_is_a_result_too(python, javascript, mcp):
    told = python("mcp", intent="held")
    assert told["error"] is True, told
    as_held(told["text"])
    assert told["meta"]["approvers"] == ["owners"] and told["meta"]["hold"], told
    as_held(javascript("mcp", "held")["called"]["content"][0]["text"])


def test_an_a2a_client_raises_an_error(python):
    told = python("a2a")
    for way in ("plain", "streaming"):
        assert told[way]["type"], told
        in_our_words(told[way]["text"])


def test_git_shows_the_reason(strict, tmp_path):
    ran = strict.run(need("git"), "clone", "-q", "https://git.up.test/demo.git", tmp_path / "clone",
                     env={"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"})
    assert ran.status != 0
    assert "remote: " in ran.err and "This repository is not for agents." in ran.err, ran
