"""A WebSocket origin over TLS, on the `websockets` library: echoes, and speaks first when asked to."""

from __future__ import annotations

import ssl
import threading

from websockets.sync.server import ServerConnection, serve


class WebSocketOrigin:
    def __init__(self, context: ssl.SSLContext):
        self.handshakes: list[dict[str, str]] = []
        self.messages: list[str | bytes] = []
        self._server = serve(self._talk, "127.0.0.1", 0, ssl=context, max_size=8 << 20)
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _talk(self, peer: ServerConnection) -> None:
        self.handshakes.append({name.lower(): value for name, value in peer.request.headers.raw_items()})
        peer.send("welcome")
        for message in peer:
            self.messages.append(message)
            peer.send(message)

    def close(self) -> None:
        self._server.shutdown()
