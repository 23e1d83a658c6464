"""The TLS front of every stand-in that speaks plain HTTP: a real server (Caddy) with an h2 face and an h1-only face.

Its access log is the witness of what reached an origin: one JSON line per request, credentials included.
"""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
from dataclasses import dataclass
from pathlib import Path

from .authority import Authority
from .process import Process, free_port, listening, until


@dataclass(frozen=True)
class Seen:
    """One request as the front saw it. Header names in lower case."""

    host: str
    method: str
    uri: str
    protocol: str
    status: int
    headers: dict[str, str]
    body_bytes: int


class Front:
    def __init__(self, caddy: Path, folder: Path, authority: Authority, backends: dict[str, int], *, grpc: dict[str, int]):
        """`backends`: host (or `*.host`) -> port of a plain HTTP/1.1 server; `grpc`: the same for h2c servers."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port_h2, self.port_h1 = free_port(), free_port()
        self._log, self._authority = folder / "access.log", authority
        self._log.touch()
        self._sentinel = itertools.count(1)
        names = [*backends, *grpc, "sentinel.up.test"]
        chain, key = authority.leaf("front", names)
        config = folder / "caddy.json"
        config.write_text(json.dumps(self._config(folder, backends, grpc, chain, key), indent=1))
        self._process = Process(
            "caddy", [caddy, "run", "--config", config], folder / "caddy.log",
            lambda: listening(self.port_h2) and listening(self.port_h1),
            env={"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)})

    def _config(self, folder, backends, grpc, chain, key) -> dict:
        def to(hosts, port, versions):
            return {"match": [{"host": hosts}], "terminal": True, "handle": [{
                "handler": "reverse_proxy", "flush_interval": -1, "upstreams": [{"dial": f"127.0.0.1:{port}"}],
                "transport": {"protocol": "http", "versions": versions, "compression": False}}]}

        by_port: dict[int, list[str]] = {}
        for host, port in backends.items():
            by_port.setdefault(port, []).append(host)
        routes = [to(hosts, port, ["1.1"]) for port, hosts in by_port.items()]
        routes += [to([host], port, ["h2c"]) for host, port in grpc.items()]
        routes.append({"handle": [{"handler": "static_response", "status_code": 204}]})

        def server(port, protocols, alpn):
            return {"listen": [f"127.0.0.1:{port}"], "protocols": protocols, "automatic_https": {"disable": True},
                    "tls_connection_policies": [{"alpn": alpn}], "routes": routes,
                    "logs": {"should_log_credentials": True}}

        return {
            "admin": {"disabled": True, "config": {"persist": False}},
            "storage": {"module": "file_system", "root": str(folder / "storage")},
            "logging": {"logs": {
                "default": {"level": "ERROR", "exclude": ["http.log.access"]},
                "access": {"writer": {"output": "file", "filename": str(self._log), "roll": False},
                           "encoder": {"format": "json"}, "include": ["http.log.access"]}}},
            "apps": {
                "tls": {"certificates": {"load_files": [{"certificate": str(chain), "key": str(key)}]},
                        "disable_ocsp_stapling": True},
                "http": {"servers": {"h2": server(self.port_h2, ["h1", "h2"], ["h2", "http/1.1"]),
                                     "h1": server(self.port_h1, ["h1"], ["http/1.1"])}}},
        }

    def mark(self) -> int:
        """The present end of the log; hand it to `since`."""
        return self._log.stat().st_size

    def since(self, mark: int) -> list[Seen]:
        with open(self._log, "rb") as log:
            log.seek(mark)
            lines = log.read().split(b"\n")[:-1]
        return [self._parse(json.loads(line)) for line in lines if line]

    @staticmethod
    def _parse(line: dict) -> Seen:
        request = line["request"]
        headers = {name.lower(): ", ".join(values) for name, values in request["headers"].items()}
        return Seen(request["host"], request["method"], request["uri"], request["proto"], line["status"], headers,
                    line.get("bytes_read", 0))

    def settle(self) -> None:
        """Returns once a request sent now is in the log: whatever reached the front before is there, too."""
        mark, path = self.mark(), f"/sentinel/{next(self._sentinel)}"
        context = ssl.create_default_context(cafile=str(self._authority.root))
        connection = _Dialled("sentinel.up.test", self.port_h1, context)
        connection.request("GET", path, headers={"Host": "sentinel.up.test"})
        connection.getresponse().read()
        connection.close()
        until(lambda: any(seen.uri == path for seen in self.since(mark)), 10, "the front wrote its log")

    def close(self) -> None:
        self._process.kill()


class _Dialled(http.client.HTTPSConnection):
    """Dials loopback, and speaks to the front by the name."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext):
        super().__init__(name, port, context=context, timeout=10)
        self._create_connection = lambda address, *rest: __import__("socket").create_connection(("127.0.0.1", port), 10)


class Watch:
    """What one test lets reach the origins behind the front."""

    def __init__(self, front: Front):
        self._front, self._mark = front, front.mark()

    def __call__(self, host: str, *, at_least: int = 1, within: float = 5.0) -> list[Seen]:
        """The requests for `host` since the test began, once there are `at_least` that many."""
        def found():
            some = [seen for seen in self._front.since(self._mark) if seen.host.split(":")[0] == host]
            return some if len(some) >= at_least else None

        return until(found, within, f"{at_least} request(s) for {host} at the front")

    def nothing(self, host: str) -> None:
        """Fails if anything for `host` has reached the front since the test began."""
        self._front.settle()
        some = [seen for seen in self._front.since(self._mark) if seen.host.split(":")[0] == host]
        assert not some, f"reached the origin: {some}"

    def none_matching(self, host: str, method: str) -> None:
        self._front.settle()
        some = [s for s in self._front.since(self._mark) if s.host.split(":")[0] == host and s.method == method]
        assert not some, f"reached the origin: {some}"
