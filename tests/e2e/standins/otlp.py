"""An OTLP receiver inside the test process: HTTP/protobuf and gRPC, spans as plain dictionaries."""

from __future__ import annotations

import gzip
import ssl
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
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
    """`spans` holds each span with `name`, `trace`, `span`, `parent` (hex), `status`, `attributes`, `via`, `resource`. `raw` holds the heads and bodies
    of every request by HTTP, `metrics` the names of the metrics that were pushed."""

    def __init__(self, tls: tuple[Path, Path] | None = None):
        """With `tls`, a chain and a key, both speak TLS, at `localhost`."""
        self.spans: list[dict] = []
        self.raw: list[bytes] = []
        self.metrics: set[str] = set()
        self.failures_left = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                known = self.path in ("/v1/traces", "/v1/metrics")
                refused = not known or self.path == "/v1/traces" and receiver.failures_left > 0
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.raw.append(str(self.headers).encode() + body)
                if refused:
                    receiver.failures_left -= 1
                elif self.path == "/v1/metrics":
                    receiver._take_metrics(ExportMetricsServiceRequest.FromString(body))
                else:
                    receiver._take(ExportTraceServiceRequest.FromString(body), "http")
                answer = b"" if refused else ExportTraceServiceResponse().SerializeToString()
                self.send_response(503 if refused else 200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        self.http = f"{scheme}://{host}:{self._http.server_address[1]}"

        def export(request, context):
            self._take(request, "grpc")
            return ExportTraceServiceResponse()

        self._grpc = grpc.server(futures.ThreadPoolExecutor(4), compression=grpc.Compression.NoCompression)
        self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "opentelemetry.proto.collector.trace.v1.TraceService",
            {"Export": grpc.unary_unary_rpc_method_handler(
                export, ExportTraceServiceRequest.FromString, ExportTraceServiceResponse.SerializeToString)}),))
        if tls:
            credentials = grpc.ssl_server_credentials([(tls[1].read_bytes(), tls[0].read_bytes())])
            self.grpc = f"grpcs://localhost:{self._grpc.add_secure_port('127.0.0.1:0', credentials)}"
        else:
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

    def _take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                self.metrics |= {metric.name for metric in scope.metrics}

    def wait(self, wanted, within: float = 15.0) -> dict:
        """The first span that `wanted` accepts."""
        return until(lambda: next((span for span in list(self.spans) if wanted(span)), None), within, "a span arrived")

    def close(self) -> None:
        self._http.shutdown()
        self._grpc.stop(0)
