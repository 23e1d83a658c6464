"""The admin API is what its document says, whatever is sent to it: schemathesis makes requests of the document, sound and unsound."""

from __future__ import annotations

import json
import re
import uuid

import httpx
import pytest

from node import run
from wire import client

# What an answer is held against. Whether unsound requests are refused is for the API's own tests: here no answer may be a failure of
# the node's, and each has to be of the form that the document promises for its status.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
SECONDS = 60


@pytest.fixture
def open_node(own_remit):
    return own_remit(extra="[admin]\nrequests_per_s = 100000\n")


def test_the_document_is_for_operators_and_names_every_way_to_be_one(open_node):
    url = f"{open_node.admin}/v1/openapi.json"
    assert httpx.get(url, trust_env=False).status_code == 401
    token = (open_node.state / "admin.token").read_text().strip()
    document = httpx.get(url, headers={"authorization": f"Bearer {token}"}, trust_env=False).json()
    assert document["openapi"].startswith("3.1.")
    assert set(document["components"]["securitySchemes"]) == {"token", "session", "certificate"}
    assert {"/v1/tasks", "/v1/holds/{id}/approve", "/v1/agents", "/v1/leases", "/v1/openapi.json"} <= set(document["paths"])


@pytest.mark.heavy
def test_no_request_makes_the_node_fail_and_no_answer_is_another_than_promised(open_node, schemathesis, tmp_path, origin):
    token = (open_node.state / "admin.token").read_text().strip()
    # Something to be found by the ids that are asked for.
    task = open_node.task()
    with client(open_node, task) as http:
        http.get(f"http://plain.up.test/headers?{uuid.uuid4().hex}")
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(
        '[[operations]]\ninclude-path = "/v1/tasks/{id}"\n' f'parameters = {{ "path.id" = {json.dumps(task.id)} }}\n')
    done = run(
        [schemathesis, "--config-file", settings, "run", f"{open_node.admin}/v1/openapi.json",
         "--header", f"Authorization: Bearer {token}", "--phases", "coverage,fuzzing,stateful", "--checks", CHECKS,
         "--max-time", SECONDS, "--seed", 8, "--no-color"],
        cwd=tmp_path, env={"NO_PROXY": "127.0.0.1"}, timeout=SECONDS * 3)
    assert done.status == 0, done
    cases = re.search(r"(\d+) generated", done.out)
    assert cases and int(cases[1]) > 500, done
    assert open_node.alive()
    assert httpx.get(f"{open_node.admin}/readyz", trust_env=False).status_code == 200
    print(cases[0])
