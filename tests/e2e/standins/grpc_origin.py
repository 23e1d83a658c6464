"""A gRPC origin over TLS and h2, without generated code: bytes in, bytes out.

`/demo.Echo/Unary`, `/demo.Echo/Stream` (both ways), `/demo.Echo/Fail` (a status with details). The request bytes
`read`, `act` mean nothing to it; metadata and trailers are recorded and sent.
"""

from __future__ import annotations

from concurrent import futures

import grpc

TRAILERS = (("x-trailer", "kept"),)


class GrpcOrigin:
    def __init__(self, chain: bytes, key: bytes):
        self.calls: list[tuple[str, dict[str, str]]] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
        self._server.start()

    def _note(self, method: str, context) -> None:
        self.calls.append((method, dict(context.invocation_metadata())))
        context.set_trailing_metadata(TRAILERS)

    def _handlers(self):
        def unary(request, context):
            self._note("Unary", context)
            return b"echo:" + request

        def stream(requests, context):
            self._note("Stream", context)
            for request in requests:
                yield b"echo:" + request

        def fail(request, context):
            self._note("Fail", context)
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")

        return grpc.method_handlers_generic_handler("demo.Echo", {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Stream": grpc.stream_stream_rpc_method_handler(stream),
            "Fail": grpc.unary_unary_rpc_method_handler(fail)})

    def close(self) -> None:
        self._server.stop(0)
