"""Keys of AWS are lent: a real boto3 works with a placeholder, can do what the session policy says, and no longer than its task."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from conftest import HERE, SCRIPTS
from journal import Watch as JournalWatch
from standins.front import Front
from standins.oidc import Key
from standins.process import Process, free_port, until
from standins.services import answers
from standins.workload import workload_api

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/agents"
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
ASSUME = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}
READS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]}

LEASE = """
[[leases]]
service = "aws-s3"
provider = "aws_sts"
role_arn = "{role}"
sts_url = "{sts}/"
region = "us-east-1"
access_key_id = "{key}"
secret = {{ file = "{secret}" }}
place = {{ sign = "aws" }}
placeholder = "AKIA"
env = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
{more}
"""


class Aws:
    """moto that checks signatures and policies, behind a front of its own."""

    def __init__(self, authority, folder):
        port = free_port()
        self.url, self.sessions = f"http://127.0.0.1:{port}", folder / "sessions.jsonl"
        self._process = Process(
            "moto", [SCRIPTS / "python", HERE / "standins" / "moto_sessions.py", "-H", "127.0.0.1", "-p", str(port)],
            folder / "moto.log", lambda: answers(f"{self.url}/moto-api/"),
            env={"MOTO_SESSIONS": str(self.sessions), "MOTO_ISSUERS": str(folder / "issuers.json")})
        hosts = ["s3.amazonaws.com", "*.s3.amazonaws.com", "sts.amazonaws.com", "sts.us-east-1.amazonaws.com"]
        self.front = Front(SCRIPTS / "caddy", folder / "front", authority, dict.fromkeys(hosts, port), grpc={})
        self.resolve = {host: f"127.0.0.1:{self.front.port_h2}" for host in hosts}
        iam = self.client("iam", "test", "test")
        iam.create_role(RoleName="agents", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName="agents", PolicyName="s3", PolicyDocument=json.dumps(S3))
        iam.put_role_policy(RoleName="agents", PolicyName="assume", PolicyDocument=json.dumps(ASSUME))
        iam.create_role(RoleName="readers", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName="readers", PolicyName="s3", PolicyDocument=json.dumps(READS))
        iam.create_user(UserName="operator")
        iam.put_user_policy(UserName="operator", PolicyName="assume", PolicyDocument=json.dumps(ASSUME))
        made = iam.create_access_key(UserName="operator")["AccessKey"]
        self.key, self.secret = made["AccessKeyId"], made["SecretAccessKey"]
        s3 = self.client("s3", "test", "test")
        s3.create_bucket(Bucket="agents-leased")
        s3.put_object(Bucket="agents-leased", Key="a/b c.txt", Body=b"kept for agents")
        # From here on signatures and policies are checked.
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", b"0", {"content-type": "text/plain"})
        urllib.request.urlopen(request, timeout=10).read()

    def client(self, service: str, key: str, secret: str, token: str | None = None):
        return boto3.client(service, region_name="us-east-1", endpoint_url=self.url, aws_access_key_id=key,
                            aws_secret_access_key=secret, aws_session_token=token,
                            config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, proxies={}))

    def given(self) -> list[dict]:
        return [json.loads(line) for line in self.sessions.read_text().splitlines()] if self.sessions.exists() else []

    def close(self) -> None:
        self.front.close()
        self._process.kill()


@pytest.fixture
def strict(authority, tmp_path):
    served = Aws(authority, tmp_path)
    yield served
    served.close()


@pytest.fixture
def leased(own_remit, strict, resolve, tmp_path):
    def start(more: str = ""):
        (tmp_path / "aws.secret").write_text(strict.secret + "\n")
        extra = LEASE.format(role=ROLE, sts=strict.url, key=strict.key, secret=tmp_path / "aws.secret", more=more)
        return own_remit(extra=extra, resolve=resolve | strict.resolve)

    return start


def denied(call, **arguments) -> str:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"]


def test_boto3_reads_with_a_placeholder_and_cannot_write_what_the_session_policy_leaves_out(leased, strict):
    node = leased(f"session_policy = '{json.dumps(READS)}'")
    journal = JournalWatch(node.journal)
    told = node.run(SCRIPTS / "python", HERE / "clients" / "py_aws_lease.py", timeout=90).json()
    assert told["key"].startswith("AKIARMIT"), told
    assert told["body"] == "kept for agents" and told["listed"] == ["a/b c.txt"], told
    assert told["written"]["status"] == 403 and told["written"]["code"] == "AccessDenied", told
    # It was AWS that refused: remit had let it go.
    opened, closing = journal.allowed(operation="aws-s3:PutObject")
    assert closing["lease"]["provider"] == "aws_sts" and closing["lease"]["short_lived"] is True, closing
    sessions = strict.given()
    assert {session["session"] for session in sessions} == {opened["task"]}, sessions
    reads = [session for session in sessions if "NotAction" in session["policy"]]
    assert reads and len(sessions) == 2, "one lease for reads, one for the act"
    assert strict.secret not in json.dumps(told)


def test_a_read_lease_cannot_act_by_itself(leased, strict):
    node = leased()
    node.run(SCRIPTS / "python", HERE / "clients" / "py_aws_lease.py", timeout=90).json()
    read, act = sorted(strict.given(), key=lambda session: '"s3:*"' in session["policy"])
    for session, may in ((read, False), (act, True)):
        s3 = strict.client("s3", session["key"], session["secret"], session["token"])
        assert s3.get_object(Bucket="agents-leased", Key="a/b c.txt")["Body"].read() == b"kept for agents"
        if may:
            s3.put_object(Bucket="agents-leased", Key="by-hand", Body=b"x")
            assert denied(s3.put_bucket_policy, Bucket="agents-leased", Policy=json.dumps(S3)) == "AccessDenied"
        else:
            assert denied(s3.put_object, Bucket="agents-leased", Key="by-hand", Body=b"x") == "AccessDenied"


def test_temporary_keys_are_worth_nothing_after_the_deadline_of_their_task(leased, strict):
    node = leased()
    task = node.command("task", "open", "--agent", "spiffe://local/agent/e2e", "--intent", "e2e", "--ttl", "15s", "--json")
    task = task.json_text()
    env = task["env"]
    began = time.monotonic()
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                      aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"], verify=task["ca"],
                      config=Config(retries={"max_attempts": 0}, proxies={"https": task["proxy_url"]}))
    assert s3.get_object(Bucket="agents-leased", Key="a/b c.txt")["Body"].read() == b"kept for agents"
    (session,) = strict.given()
    by_hand = strict.client("s3", session["key"], session["secret"], session["token"])
    assert by_hand.get_object(Bucket="agents-leased", Key="a/b c.txt")["ContentLength"] == 15

    def refused():
        try:
            by_hand.get_object(Bucket="agents-leased", Key="a/b c.txt")
        except ClientError as error:
            return error.response["Error"]["Code"] == "AccessDenied"
        return False

    until(refused, 30, "the keys end with the task")
    assert time.monotonic() - began >= 12


def test_keys_that_sts_answers_with_stay_with_remit(own_remit, strict, resolve, tmp_path):
    (tmp_path / "aws.secret").write_text(strict.secret + "\n")
    lease = LEASE.format(role=ROLE, sts=strict.url, key=strict.key, secret=tmp_path / "aws.secret", more="")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.cedar").write_text('@id("all")\npermit (principal, action, resource);\n')
    node = own_remit(extra=lease.replace('"aws-s3"', '"aws-sts"'), policies=tmp_path / "policies", resolve=resolve | strict.resolve)
    journal = JournalWatch(node.journal)
    told = node.run(SCRIPTS / "python", HERE / "clients" / "py_aws_assumed.py", timeout=90).json()
    (session,) = [one for one in strict.given() if one["role"].endswith("/readers")]
    keys = told["keys"]
    assert keys["aws_access_key_id"].startswith("ASIARMIT") and keys["aws_session_token"].startswith("remit_rem1c"), told
    assert not any(session[name] in json.dumps(told) for name in ("key", "secret", "token")), told
    # They work through remit, and are what AWS gave: they read, and cannot write.
    assert told["body"] == "kept for agents" and told["written"] == "AccessDenied", told
    assert ":assumed-role/readers/agent" in told["caller"] and told["ends"] > time.time(), told
    _, closing = journal.allowed(operation="aws-s3:GetObject")
    assert closing["lease"]["provider"] == "captured" and closing["lease"]["short_lived"] is True, closing
    journal.allowed(operation="aws-sts:AssumeRole")
    # By themselves they are worth nothing, and so they are in another task.
    s3 = strict.client("s3", keys["aws_access_key_id"], keys["aws_secret_access_key"], keys["aws_session_token"])
    assert denied(s3.get_object, Bucket="agents-leased", Key="a/b c.txt") == "InvalidAccessKeyId"
    task = node.command("task", "open", "--agent", "spiffe://local/agent/e2e", "--intent", "e2e", "--json").json_text()
    s3 = boto3.client("s3", region_name="us-east-1", **keys, verify=task["ca"],
                      config=Config(retries={"max_attempts": 0}, proxies={"https": task["proxy_url"]}))
    assert denied(s3.get_object, Bucket="agents-leased", Key="a/b c.txt") == "AccessDenied"
    journal.refused("placeholder_misplaced", host="agents-leased.s3.amazonaws.com")


def test_the_nodes_own_svid_assumes_a_role(own_remit, strict, resolve, tmp_path):
    key, issuer, subject = Key("svid-1"), "https://spire.example.org", "spiffe://example.org/remit"
    vouching = {issuer: {"keys": [key.jwk], "audience": "sts.amazonaws.com", "subject": subject}}
    (tmp_path / "issuers.json").write_text(json.dumps(vouching))
    lease = "\n".join(["[[leases]]", 'service = "aws-s3"', 'provider = "aws_sts"', f'role_arn = "{ROLE}"', f'sts_url = "{strict.url}/"',
                       'region = "us-east-1"', 'svid_audience = "{audience}"', 'place = {{ sign = "aws" }}', 'placeholder = "AKIA"',
                       'env = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]'])
    with workload_api(tmp_path, key, issuer, subject) as endpoint:
        for audience, served in (("sts.amazonaws.com", True), ("somebody.else", False)):
            node = own_remit(extra=lease.format(audience=audience), resolve=resolve | strict.resolve,
                             identity=f"workload_api = {json.dumps(endpoint)}")
            task = node.command("task", "open", "--agent", "spiffe://example.org/agent/e2e", "--intent", "e2e", "--json").json_text()
            s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id=task["env"]["AWS_ACCESS_KEY_ID"],
                              aws_secret_access_key=task["env"]["AWS_SECRET_ACCESS_KEY"], verify=task["ca"],
                              config=Config(retries={"max_attempts": 0}, proxies={"https": task["proxy_url"]}))
            if served:
                assert s3.get_object(Bucket="agents-leased", Key="a/b c.txt")["Body"].read() == b"kept for agents"
                (session,) = [one for one in strict.given() if one["session"] == task["id"]]
                assert session["role"] == ROLE and '"s3:Get*"' in session["policy"]
            else:
                journal = JournalWatch(node.journal)
                with pytest.raises(ClientError):
                    s3.get_object(Bucket="agents-leased", Key="a/b c.txt")
                _, closing = journal.allowed(outcome="unequipped", operation="aws-s3:GetObject")
                assert closing["refusal"] == "lease_refused", closing
