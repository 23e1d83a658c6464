"""X.509-SVIDs by a SPIFFE Workload API whose authorities rotate while agents call: no call is lost, and an authority
that is gone is believed no more."""

from __future__ import annotations

import datetime
import http.server
import json
import socket
import ssl
import threading
from concurrent import futures
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from standins.process import Process, until

pb2 = pytest.importorskip("spiffe._proto.workload_pb2", reason="PyPI `spiffe` is not in this environment")
pb2_grpc = pytest.importorskip("spiffe._proto.workload_pb2_grpc")
grpc = pytest.importorskip("grpc")

ROTATIONS = 6
CLIENTS = 3
# The stand-in origin answers in HTTP/1.0, and remit passes the version on to an HTTP/1 agent.
OK = ("HTTP/1.0 200 ", "HTTP/1.1 200 ")
LIFE = datetime.timedelta(seconds=60)


class Authority:
    """Signs SVIDs of example.org."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIFFE")])
        self.certificate = self._sign(self.key.public_key(), self.name, "spiffe://example.org", ca=True)

    def _sign(self, public_key, subject, uri: str, *, ca: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                               "crl_sign", "encipher_only", "decipher_only"), False)
        return (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - LIFE).not_valid_after(now + LIFE)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, **usage), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
            .sign(self.key, hashes.SHA256()))

    def leaf(self, path: str):
        key = ec.generate_private_key(ec.SECP256R1())
        return self._sign(key.public_key(), x509.Name([]), f"spiffe://example.org/{path}", ca=False), key

    def svid(self, folder: Path, agent: str) -> Path:
        """A leaf and its key, as one PEM file."""
        leaf, key = self.leaf(f"agent/{agent}")
        file = folder / f"{leaf.serial_number}.pem"
        file.write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption()))
        return file

    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


class WorkloadApi(pb2_grpc.SpiffeWorkloadAPIServicer):
    """Streams the bundle, and streams it again whenever it changes."""

    def __init__(self, authorities: list[Authority]):
        self._changed = threading.Condition()
        self._authorities, self._version, self._own = authorities, 0, []

    def publish(self, authorities: list[Authority]) -> None:
        with self._changed:
            self._authorities, self._version = authorities, self._version + 1
            self._changed.notify_all()

    def issue(self, authority: Authority) -> int:
        """Gives whoever asks an SVID of its own, in place of the one before; its serial number."""
        leaf, key = authority.leaf("remit/node")
        pkcs8 = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        svid = pb2.X509SVID(spiffe_id="spiffe://example.org/remit/node", x509_svid=leaf.public_bytes(serialization.Encoding.DER),
                            x509_svid_key=pkcs8, bundle=authority.der())
        with self._changed:
            self._own.append(svid)
            self._changed.notify_all()
        return leaf.serial_number

    def FetchX509SVID(self, request, context):  # noqa: N802
        told = 0
        while context.is_active():
            with self._changed:
                self._changed.wait_for(lambda: len(self._own) > told, timeout=1)
                if len(self._own) == told:
                    continue
                told = len(self._own)
                svid = self._own[-1]
            yield pb2.X509SVIDResponse(svids=[svid])

    def FetchX509Bundles(self, request, context):  # noqa: N802, the name is the protocol's
        metadata = dict(context.invocation_metadata())
        if metadata.get("workload.spiffe.io") != "true":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no workload.spiffe.io")
        told = -1
        while context.is_active():
            with self._changed:
                self._changed.wait_for(lambda: self._version != told, timeout=1)
                if self._version == told:
                    continue
                told, ders = self._version, b"".join(authority.der() for authority in self._authorities)
            yield pb2.X509BundlesResponse(bundles={"example.org": ders})


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def house(tmp_path, binary, request):
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    first = Authority()
    api = WorkloadApi([first])
    server = grpc.server(futures.ThreadPoolExecutor(8))
    pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(api, server)
    endpoint = f"unix:{tmp_path}/api.sock"
    server.add_insecure_port(endpoint)
    server.start()
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "all.cedar").write_text('@id("svid") permit (principal, action, resource) when { context.evidence == "x509-svid" };\n')
    config = tmp_path / "config.toml"
    config.write_text(
        '[listen]\nproxy = "127.0.0.1:0"\nproxy_tls = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        f'{getattr(request, "param", "")}'
        f'[identity]\nworkload_api = {json.dumps(endpoint)}\n[policies]\ndir = "policies"\n'
        f'[upstream.resolve]\n"api.test:80" = "http://127.0.0.1:{origin.server_port}"\n')
    ready = tmp_path / "state" / "node.json"
    node = Process("remit", [binary, "serve", "--config", config], tmp_path / "remit.log", ready.exists, within=60)
    facts = until(lambda: json.loads(ready.read_text()), 5, "node.json is whole")
    yield api, first, facts
    node.kill()
    server.stop(None)
    origin.shutdown()


def call(facts: dict, svid: Path) -> str:
    context = ssl.create_default_context(cafile=facts["ca"])
    context.load_cert_chain(svid)
    host, port = facts["proxy_tls"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as plain, \
            context.wrap_socket(plain, server_hostname=host) as tls:
        tls.sendall(b"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := tls.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")


def test_authorities_rotate_under_load_and_no_call_is_lost(house, tmp_path):
    api, current, facts = house
    first = current.svid(tmp_path, "coder")
    until(lambda: call(facts, first).startswith(OK), 20, "the first bundle arrived")
    svid, failures, calls, stop = [first], [], [0], threading.Event()

    def work():
        while not stop.is_set():
            answer = call(facts, svid[0])
            calls[0] += 1
            if not answer.startswith(OK):
                failures.append(answer)

    workers = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for worker in workers:
        worker.start()
    published = [current]
    for _ in range(ROTATIONS):
        former, current = current, Authority()
        # SPIFFE: an authority is published before it signs, and stays while what it signed is about.
        published.append(current)
        api.publish(published[-4:])
        fresh = current.svid(tmp_path, "coder")
        until(lambda: call(facts, fresh).startswith(OK), 20, "the new authority is believed")
        svid[0] = fresh
    stop.set()
    for worker in workers:
        worker.join()
    assert not failures, failures[0]
    assert calls[0] >= ROTATIONS, calls

    api.publish([current])
    gone = former.svid(tmp_path, "coder")
    until(lambda: call(facts, gone).startswith("HTTP/1.1 407 "), 20, "the former authority is believed no more")
    refused = call(facts, gone)
    assert "does not lead to an authority" in refused, refused
    assert call(facts, svid[0]).startswith(OK)


def shown(facts: dict, authority: Authority, folder: Path) -> x509.Certificate:
    """The certificate that the proxy shows to a client that believes nobody but `authority`."""
    context = ssl.create_default_context(cadata=authority.certificate.public_bytes(serialization.Encoding.PEM).decode())
    # An SVID has no host name; SPIFFE has its clients look at the URI.
    context.check_hostname = False
    context.load_cert_chain(authority.svid(folder, "coder"))
    host, port = facts["proxy_tls"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as plain, context.wrap_socket(plain) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))


@pytest.mark.parametrize("house", ['proxy_tls_certificate = "svid"\n'], indirect=True)
def test_the_proxy_shows_its_own_svid_and_renews_it(house, tmp_path):
    api, authority, facts = house
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown(facts, authority, tmp_path)
    for _ in range(3):
        serial = api.issue(authority)

        def renewed() -> bool:
            try:
                return shown(facts, authority, tmp_path).serial_number == serial
            except (ssl.SSLError, ConnectionError):
                return False

        until(renewed, 30, "the new SVID is shown")
    names = shown(facts, authority, tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org/remit/node"]
