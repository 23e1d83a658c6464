"""MCP over streamable HTTP, by hand: initialize, then a tool call whose answer is an event stream."""

import json

import httpx

URL = "https://mcp.up.test/mcp"
headers = {"accept": "application/json, text/event-stream"}


def result(answer: httpx.Response) -> dict:
    answer.raise_for_status()
    line = next(line for line in answer.text.splitlines() if line.startswith("data: {"))
    return json.loads(line.removeprefix("data: "))["result"]


with httpx.Client(headers=headers, timeout=20) as client:
    hello = client.post(URL, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}}})
    client.headers["mcp-session-id"] = hello.headers["mcp-session-id"]
    client.post(URL, json={"jsonrpc": "2.0", "method": "notifications/initialized"}).raise_for_status()
    called = client.post(URL, json={"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "echo", "arguments": {"message": "by hand"}}})
print(json.dumps({"server": result(hello)["serverInfo"]["name"], "text": result(called)["content"][0]["text"],
                  "type": called.headers["content-type"]}))
