"""websockets: the proxy is taken from the environment; text, binary and a large message come back."""

import json

from websockets.sync.client import connect

with connect("wss://ws.up.test/chat", max_size=8 << 20, open_timeout=20, close_timeout=5) as peer:
    welcome = peer.recv(timeout=20)
    peer.send("to be echoed")
    text = peer.recv(timeout=20)
    large = b"\x07" * 2_000_000
    peer.send(large)
    same = peer.recv(timeout=20) == large
print(json.dumps({"welcome": welcome, "text": text, "large": same}))
