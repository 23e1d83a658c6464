"""Fixtures of the outer rung: stand-ins are started when a test first asks for them, once a session."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # before grpc is imported: its fork handlers get in the way of subprocesses

import journal as journals  # noqa: E402
from node import Node, Settings  # noqa: E402
from standins.authority import Authority  # noqa: E402
from standins.crates import Crates  # noqa: E402
from standins.front import Front, Watch  # noqa: E402
from standins.git import GitOrigin  # noqa: E402
from standins.github_app import GithubApp  # noqa: E402
from standins.google import Google  # noqa: E402
from standins.grpc_origin import GrpcOrigin  # noqa: E402
from standins.login import Login  # noqa: E402
from standins.oidc import Oidc  # noqa: E402
from standins.openapi import Description  # noqa: E402
from standins.origin import Origin  # noqa: E402
from standins.otlp import Receiver  # noqa: E402
from standins.process import free_port  # noqa: E402
from standins.services import Backlot, Emulate, Llm, Phoenix, consecutive_ports, gcs, mcp_everything, moto  # noqa: E402
from standins.vault import Vault  # noqa: E402
from standins.websocket import WebSocketOrigin  # noqa: E402

REPOSITORY = HERE.parent.parent
INSTALLED = Path(os.environ.get("REMIT_TEST_DIR", REPOSITORY / ".test"))
SCRIPTS = INSTALLED / "venv" / "bin"
NPM = INSTALLED / "npm"
IN_CI = os.environ.get("CI") == "true"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI nothing may be left out silently: a skip there is a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and IN_CI and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"left out in CI: {report.longrepr}"


def need(program: str) -> str:
    """The path of a program of the machine; the test is left out where there is none."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"`{program}` is not installed")
    return found


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, for no longer than it is used: its driver keeps an event loop running in this thread. Without its own sandbox where the tests are root, which that refuses."""
    chromium = need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--no-proxy-server"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def workdir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def binary() -> Path:
    given = os.environ.get("REMIT_BIN")
    path = Path(given) if given else REPOSITORY / "target" / "debug" / "remit"
    assert path.exists(), f"{path} is not built; tests/run builds it"
    return path


@pytest.fixture(scope="session")
def node24() -> Path:
    return SCRIPTS / "node"


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder with node_modules; the client programs are copied there, where their imports resolve."""
    target = NPM / "clients"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for program in (HERE / "clients").glob("*.mjs"):
        shutil.copy(program, target)
    return NPM


@pytest.fixture(scope="session")
def authority(workdir) -> Authority:
    return Authority(workdir / "authority")


# --- stand-ins -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    """Chosen before anything starts, so that the front can name backends that start later."""
    return {"emulate": consecutive_ports(3), **{name: free_port() for name in ("moto", "llm", "mcp", "gcs")}}


@pytest.fixture(scope="session")
def origin():
    served = Origin()
    yield served
    served.close()


@pytest.fixture(scope="session")
def bare_origin(authority):
    """The same, faced without the front: TLS, HTTP/1.1 only."""
    served = Origin(authority.server_context("bare", ["bare.up.test", "other.up.test"], ["http/1.1"]))
    yield served
    served.close()


@pytest.fixture(scope="session")
def expired_origin(authority):
    served = Origin(authority.server_context("expired", ["expired.up.test"], ["http/1.1"], expired=True))
    yield served
    served.close()


@pytest.fixture(scope="session")
def git_origin(workdir):
    need("git")
    served = GitOrigin(workdir / "git")
    yield served
    served.close()


@pytest.fixture(scope="session")
def crates():
    served = Crates()
    yield served
    served.close()


@pytest.fixture(scope="session")
def websocket_origin(authority):
    served = WebSocketOrigin(authority.server_context("ws", ["ws.up.test"], ["http/1.1"]))
    yield served
    served.close()


@pytest.fixture(scope="session")
def grpc_origin(authority):
    chain, key = authority.leaf("grpc", ["grpc.up.test"])
    served = GrpcOrigin(chain.read_bytes(), key.read_bytes())
    yield served
    served.close()


@pytest.fixture(scope="session")
def front(workdir, authority, ports, origin, git_origin, crates):
    first = ports["emulate"]
    backends = {
        "api.github.com": first, "slack.com": first + 1, "api.stripe.com": first + 2,
        "api.openai.com": ports["llm"], "api.anthropic.com": ports["llm"], "mcp.up.test": ports["mcp"],
        "sts.us-east-1.amazonaws.com": ports["moto"], "s3.amazonaws.com": ports["moto"],
        "*.s3.amazonaws.com": ports["moto"],
        "up.test": origin.port, "h1.up.test": origin.port, "git.up.test": git_origin.port, "crates.up.test": crates.port,
        "grpc-h1.up.test": origin.port}
    served = Front(SCRIPTS / "caddy", workdir / "front", authority, backends, grpc={})
    yield served
    served.close()


@pytest.fixture(scope="session")
def emulate(workdir, node24, npm, ports, front):
    served = Emulate(node24, npm, workdir / "emulate", ports["emulate"])
    yield served
    served.close()


@pytest.fixture(scope="session")
def llm(workdir, node24, npm, ports, front):
    served = Llm(node24, npm, workdir, ports["llm"])
    yield served
    served.close()


@pytest.fixture(scope="session")
def aws(workdir, ports, front):
    served = moto(SCRIPTS, workdir, ports["moto"])
    yield served
    served.kill()


@pytest.fixture(scope="session")
def mcp(workdir, node24, npm, ports, front):
    served = mcp_everything(node24, npm, workdir, ports["mcp"])
    yield served
    served.kill()


@pytest.fixture(scope="session")
def storage(workdir, authority, ports):
    served = gcs(SCRIPTS, workdir, authority, ports["gcs"])
    yield served
    served.kill()


@pytest.fixture(scope="session")
def published(npm) -> Description:
    """GitHub's OpenAPI document."""
    return Description(npm / "node_modules/@octokit/openapi/generated/api.github.com.json")


@pytest.fixture
def github_app(published):
    served = GithubApp(published)
    yield served
    served.close()


@pytest.fixture
def google():
    served = Google()
    yield served
    served.close()


@pytest.fixture(scope="session")
def backlot(workdir):
    scripts = INSTALLED / "backlot" / "bin"
    if not (scripts / "backlot").exists():
        pytest.skip("backlot is not installed; `tests/run` installs it")
    served = Backlot(scripts, workdir / "backlot")
    yield served
    served.close()


@pytest.fixture(scope="session")
def schemathesis() -> Path:
    program = INSTALLED / "schemathesis" / "bin" / "st"
    if not program.exists():
        pytest.skip("schemathesis is not installed; `tests/run --all` installs it")
    return program


@pytest.fixture
def vault():
    served = Vault()
    yield served
    served.close()


@pytest.fixture(scope="session")
def oidc(workdir, node24, npm):
    served = Oidc(node24, npm, workdir / "oidc")
    yield served
    served.close()


@pytest.fixture(scope="session")
def login(workdir, node24, npm):
    served = Login(node24, npm, workdir / "login")
    yield served
    served.close()


@pytest.fixture(scope="session")
def oidc_with_nonces(workdir, node24, npm):
    served = Oidc(node24, npm, workdir / "oidc-nonces", nonces=True)
    yield served
    served.close()


@pytest.fixture(scope="session")
def otlp():
    served = Receiver()
    yield served
    served.close()


@pytest.fixture(scope="session")
def phoenix(workdir):
    scripts = INSTALLED / "phoenix" / "bin"
    if not (scripts / "phoenix").exists():
        pytest.skip("Arize Phoenix is not installed; `tests/run --all` installs it")
    served = Phoenix(scripts, workdir / "phoenix")
    yield served
    served.close()


# --- remit -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def resolve(front, ports, origin, bare_origin, expired_origin, websocket_origin, grpc_origin) -> dict[str, str]:
    """The whole of the test's internet."""
    h2 = ["api.github.com", "slack.com", "api.stripe.com", "api.openai.com", "api.anthropic.com", "mcp.up.test",
          "sts.us-east-1.amazonaws.com", "s3.amazonaws.com", "*.s3.amazonaws.com", "up.test", "git.up.test", "crates.up.test"]
    h1 = ["h1.up.test", "grpc-h1.up.test"]
    own = {"bare.up.test": bare_origin.port, "other.up.test": bare_origin.port, "ws.up.test": websocket_origin.port,
           "expired.up.test": expired_origin.port, "grpc.up.test": grpc_origin.port,
           "storage.googleapis.com": ports["gcs"], "closed.up.test": free_port()}
    return ({host: f"127.0.0.1:{front.port_h2}" for host in h2} | {host: f"127.0.0.1:{front.port_h1}" for host in h1}
            | {host: f"127.0.0.1:{port}" for host, port in own.items()}
            | {"plain.up.test": f"http://127.0.0.1:{origin.port}", "plain.up.test:80": f"http://127.0.0.1:{origin.port}"})


@pytest.fixture(scope="session")
def policies() -> Path:
    return HERE / "policies"


@pytest.fixture(scope="session")
def settings(authority, resolve, policies, otlp) -> Settings:
    return Settings(resolve=resolve, policies=policies, trust=[str(authority.root)], otlp=otlp.http)


@pytest.fixture(scope="session")
def remit(binary, workdir, settings):
    """The node that most tests share."""
    node = Node(binary, workdir / "remit", settings).start()
    yield node
    node.stop()


@pytest.fixture
def own_remit(binary, tmp_path, settings):
    """Starts nodes for one test alone: `own_remit(otlp=..., extra=...)`."""
    nodes = []

    def start(*, wrapper: list[str] | None = None, state: Path | None = None, **changes) -> Node:
        node = Node(binary, tmp_path / f"remit{len(nodes)}", Settings(**(vars(settings) | changes)), wrapper=wrapper,
                    state=state)
        nodes.append(node)
        return node.start()

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture(scope="session")
def task(remit):
    return remit.task()


@pytest.fixture
def journal(remit) -> journals.Watch:
    """What this test adds to the shared node's journal."""
    return journals.Watch(remit.journal)


@pytest.fixture
def reached(front) -> Watch:
    """What reaches the origins behind the front during this test."""
    return Watch(front)


@pytest.fixture
def python(remit):
    """Runs a client program of `clients/` under `remit run` and gives what it printed."""

    def run(program: str, *arguments: str, timeout: float = 60):
        return remit.run(SCRIPTS / "python", HERE / "clients" / program, *arguments, timeout=timeout).json()

    return run
