"""A real agent program, end to end: Claude Code, its shell tool and its MCP tool, with a stand-in for the model."""

from __future__ import annotations

import json

import pytest

import journal as journals
from node import AGENT
from standins.process import until

SERVERS = {"mcpServers": {"ev": {"type": "http", "url": "https://mcp.up.test/mcp"}}}


@pytest.mark.heavy
@pytest.mark.timeout(240)
def test_claude_code_works_within_its_remit(own_remit, npm, llm, emulate, mcp, phoenix, reached, tmp_path):
    node = own_remit(otlp=phoenix.base)
    watch = journals.Watch(node.journal)
    home = tmp_path / "home"
    home.mkdir()
    program = npm / "node_modules/@anthropic-ai/claude-code-linux-x64/claude"
    ran = node.run(
        program, "-p", "please open an issue", "--strict-mcp-config", "--allowedTools", "Bash(curl:*)", "mcp__ev__echo",
        "--mcp-config", json.dumps(SERVERS), "--output-format", "stream-json", "--verbose",
        env={"HOME": str(home), "ANTHROPIC_API_KEY": "sk-ant-test-000", "MCP_CONNECTION_NONBLOCKING": "0",
             "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "IS_SANDBOX": "1"}, timeout=180)
    assert ran.status == 0, ran
    assert "all done" in ran.out, ran
    assert '\\"login\\":\\"alice\\"' in ran.out.replace(" ", "") or "alice" in ran.out, ran
    assert "Echo: through the proxy" in ran.out, ran

    opened, _ = watch.allowed(operation="github:users/get-authenticated", agent=AGENT)
    assert opened["http"]["user_agent"].startswith("curl/")
    watch.allowed(host="api.anthropic.com", method="POST", path="/v1/messages")
    watch.allowed(host="mcp.up.test", method="POST", path="/mcp")
    assert reached("api.github.com")[0].uri == "/user"
    assert not any("proxy-authorization" in request.headers for request in reached("mcp.up.test"))

    calls = {entry["data"]["call"] for entry in watch.entries() if entry["kind"] in ("opened", "refused")}

    def spans():
        found = {one["attributes"].get("remit.call.id"): one["name"] for one in phoenix.spans()}
        return found if calls <= set(found) else None

    names = until(spans, 60, "every call of the agent has a span", every=0.5)
    assert "github:users/get-authenticated" in {names[call] for call in calls}
