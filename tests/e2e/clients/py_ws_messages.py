"""websockets: GraphQL, JSON-RPC and a model provider's events over a WebSocket; the library's own compression is offered."""

import json

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

OPTIONS = {"open_timeout": 20, "close_timeout": 5}


def told(peer, message) -> dict:
    peer.send(message if isinstance(message, str) else json.dumps(message))
    return json.loads(peer.recv(timeout=20))


def subscribe(number: str, document: str) -> dict:
    return {"type": "subscribe", "id": number, "payload": {"query": document}}


found = {}
with connect("wss://ws.up.test/graphql", **OPTIONS) as peer:
    peer.recv(timeout=20)
    found["init"] = told(peer, {"type": "connection_init"})
    found["query"] = told(peer, subscribe("1", "query { viewer { id } }"))
    found["act"] = told(peer, subscribe("2", "mutation { payNow { id } }"))
    found["delegate"] = told(peer, subscribe("3", "mutation { createToken { id } }"))
    found["after"] = told(peer, subscribe("4", "query { viewer { id } }"))
    # Too big for one frame of the library's own: it is sent in pieces.
    peer.send(iter(['{"type":"subscribe","id":"5","payload":', '{"query":"mutation { create', 'Token { id } }"}}']))
    found["pieces"] = json.loads(peer.recv(timeout=20))
with connect("wss://ws.up.test/mcp", **OPTIONS) as peer:
    peer.recv(timeout=20)
    found["rpc"] = told(peer, {"jsonrpc": "2.0", "id": 7, "method": "message/send", "params": {}})
    try:
        peer.send('{"jsonrpc": "2.0", "method":')
        found["close"] = [0, peer.recv(timeout=20)]
    except ConnectionClosed as closed:
        found["close"] = [closed.rcvd.code, closed.rcvd.reason]
with connect("wss://api.openai.com/v1/responses", additional_headers={"authorization": "Bearer sk-test"}, **OPTIONS) as peer:
    peer.send(json.dumps({"type": "response.create", "model": "gpt-4o", "input": "hello"}))
    kinds, text = [], ""
    while "response.completed" not in kinds:
        event = json.loads(peer.recv(timeout=20))
        kinds.append(event["type"])
        text += event.get("delta", "")
    found["responses"] = {"kinds": sorted(set(kinds)), "text": text}
print(json.dumps(found))
