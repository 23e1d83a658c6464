"""The tools that agents call from a shell: curl, wget, git, cargo, and a Java program."""

from __future__ import annotations

import json

import pytest

from conftest import HERE, need

GITHUB = ("-H", "Authorization: Bearer ghp_real_alice")


@pytest.mark.parametrize(("flag", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_speaks_either_version(remit, emulate, journal, reached, flag, version):
    ran = remit.run(need("curl"), "-sS", flag, *GITHUB, "-w", "\n%{http_version} %{response_code}",
                    "https://api.github.com/user")
    body, line = ran.out.rsplit("\n", 1)
    assert json.loads(body)["login"] == "alice" and line == f"{version} 200", ran
    opened, _ = journal.allowed(operation="github:users/get-authenticated", version=version)
    seen = reached("api.github.com")[0]
    assert seen.protocol == "HTTP/2.0", "the origin's leg negotiates for itself"
    assert "proxy-authorization" not in seen.headers and "proxy-connection" not in seen.headers
    assert opened["trace"] in seen.headers["traceparent"]


def test_curl_learns_why_it_was_refused(remit, emulate, journal, reached):
    ran = remit.run(need("curl"), "-sS", "-i", "-X", "PUT", *GITHUB, "-d", "{}",
                    "https://api.github.com/repos/alice/demo/collaborators/bob")
    head, _, body = ran.out.replace("\r\n", "\n").rpartition("\n\n")
    problem = json.loads(body)
    assert "application/json" in head and "remit-refusal: policy_denied" in head.lower(), head
    assert problem["status"] == 403 and problem["class"] == "delegate" and "no-delegation" in problem["policies"]
    assert "may not hand rights to others" in problem["detail"]
    assert problem["advice"] == "Ask the repository's owner to add people."
    denied = journal.denied(operation="github:repos/add-collaborator")
    assert denied["policies"] == ["no-delegation"] and denied["call"] in head
    reached.nothing("api.github.com")


def test_wget_trusts_by_its_own_file(remit, emulate, journal, reached, tmp_path):
    ran = remit.run(need("wget"), "-q", "-O", tmp_path / "user.json", "--header", GITHUB[1], "https://api.github.com/user")
    assert ran.status == 0, ran
    assert json.loads((tmp_path / "user.json").read_text())["login"] == "alice"
    journal.allowed(operation="github:users/get-authenticated", version="1.1")
    reached("api.github.com")


def test_git_answers_the_407_and_clones(remit, git_origin, journal, reached, tmp_path):
    ran = remit.run(need("git"), "clone", "-q", "https://git.up.test/demo.git", tmp_path / "clone",
                    env={"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"})
    assert ran.status == 0, ran
    assert (tmp_path / "clone" / "README.md").read_text() == "from the origin\n"
    journal.turned_away("identity_required")
    journal.allowed(host="git.up.test", path="/demo.git/info/refs")
    journal.allowed(host="git.up.test", path="/demo.git/git-upload-pack")
    reached("git.up.test", at_least=2)


def test_git_push_is_refused_before_it_reaches_the_server(remit, git_origin, journal, reached, tmp_path):
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
           "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    before = git_origin.head()
    script = ("set -e; git clone -q https://git.up.test/demo.git work; cd work; git commit -q --allow-empty -m mine;"
              "git push -q origin main && exit 9 || true")
    ran = remit.run("bash", "-c", script, env=env, cwd=tmp_path)
    assert ran.status == 0, ran
    assert "403" in ran.err, ran
    assert git_origin.head() == before
    denied = journal.denied(host="git.up.test")
    assert denied["policies"] == ["no-push"] or "no-push" in denied["policies"], denied
    assert not [request for request in reached("git.up.test") if request.uri.endswith("/git-receive-pack")]


@pytest.mark.heavy
def test_cargo_fetches_from_a_sparse_registry(remit, crates, journal, reached, tmp_path):
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / ".cargo").mkdir()
    (project / "src" / "lib.rs").write_text("")
    (project / "Cargo.toml").write_text(
        '[package]\nname = "asks"\nversion = "0.1.0"\nedition = "2021"\n'
        '[dependencies]\ntinydep = { version = "1", registry = "up" }\n')
    (project / ".cargo" / "config.toml").write_text('[registries]\nup = { index = "sparse+https://crates.up.test/index/" }\n')
    ran = remit.run(need("cargo"), "fetch", cwd=project, env={"CARGO_HOME": str(tmp_path / "cargo")}, timeout=90)
    assert ran.status == 0, ran
    assert 'name = "tinydep"' in (project / "Cargo.lock").read_text()
    opened, closing = journal.allowed(host="crates.up.test", path="/dl/tinydep/1.0.0.crate")
    assert opened["http"]["version"] == "2" and closing["status"] == 200
    reached("crates.up.test", at_least=3)


@pytest.mark.heavy
def test_java_needs_nothing_but_its_options(remit, emulate, journal, reached):
    told = remit.run(need("java"), HERE / "clients" / "Client.java", timeout=110).json()
    assert told["status"] == 200 and told["alice"], told
    assert told["refused"] == {"status": 403, "refusal": "policy_denied"}, told
    opened, _ = journal.allowed(operation="github:users/get-authenticated")
    journal.denied(operation="github:repos/delete")
    reached("api.github.com")
    reached.none_matching("api.github.com", "DELETE")
