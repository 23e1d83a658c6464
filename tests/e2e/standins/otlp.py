"""An OTLP receiver inside the test process: HTTP/protobuf and gRPC, spans as plain dictionaries."""

from __future__ import annotations

import gzip
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest, ExportTraceServiceResponse)

from .process import until


def _value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def _attributes(pairs) -> dict:
    return {pair.key: _value(pair.value) for pair in pairs}


class Receiver:
    """`spans` holds each span with `name`, `trace`, `span`, `parent` (hex), `status`, `attributes`, `via`, `resource`."""

    def __init__(self):
        self.spans: list[dict] = []
        self.failures_left = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                refused = self.path != "/v1/traces" or receiver.failures_left > 0
                if refused:
                    receiver.failures_left -= 1
                else:
                    if self.headers.get("content-encoding") == "gzip":
                        body = gzip.decompress(body)
                    receiver._take(ExportTraceServiceRequest.FromString(body), "http")
                answer = b"" if refused else ExportTraceServiceResponse().SerializeToString()
                self.send_response(503 if refused else 200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.http = f"http://127.0.0.1:{self._http.server_address[1]}"

        def export(request, context):
            self._take(request, "grpc")
            return ExportTraceServiceResponse()

        self._grpc = grpc.server(futures.ThreadPoolExecutor(4), compression=grpc.Compression.NoCompression)
        self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "opentelemetry.proto.collector.trace.v1.TraceService",
            {"Export": grpc.unary_unary_rpc_method_handler(
                export, ExportTraceServiceRequest.FromString, ExportTraceServiceResponse.SerializeToString)}),))
        self.grpc = f"grpc://127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()

    def _take(self, request: ExportTraceServiceRequest, via: str) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append({
                        "name": span.name, "trace": span.trace_id.hex(), "span": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(), "status": span.status.code, "kind": span.kind,
                        "attributes": _attributes(span.attributes), "via": via,
                        "resource": _attributes(resource.resource.attributes)})

    def wait(self, wanted, within: float = 15.0) -> dict:
        """The first span that `wanted` accepts."""
        return until(lambda: next((span for span in list(self.spans) if wanted(span)), None), within, "a span arrived")

    def close(self) -> None:
        self._http.shutdown()
        self._grpc.stop(0)
