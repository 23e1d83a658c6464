"""One client after the other meets a refusal and prints what it raised: `py_refusals.py NAME`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path


def raised(call) -> dict:
    """What a call raised, in the terms that a program would look at."""
    try:
        answer = call()
    except Exception as error:  # noqa: BLE001 - whatever the library makes of it is what is asked
        told = {"type": type(error).__name__, "text": str(error)}
        for name in ("status_code", "code", "error", "description", "message", "fault", "http_status"):
            value = getattr(error, name, None)
            if isinstance(value, (str, int)):
                told[name] = value
        told["response"] = getattr(error, "response", None) if isinstance(getattr(error, "response", None), dict) else None
        return told
    return {"type": None, "text": repr(answer)[:500]}


def boto3(service: str, operation: str, **arguments) -> dict:
    import boto3
    from botocore.config import Config

    client = boto3.client(service, region_name="us-east-1", aws_access_key_id="AKIATEST", aws_secret_access_key="secret",
                          config=Config(retries={"max_attempts": 0}, connect_timeout=20, read_timeout=20))
    try:
        getattr(client, operation)(**arguments)
    except client.exceptions.ClientError as error:
        return {"protocol": client.meta.service_model.resolved_protocol, "error": error.response["Error"],
                "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
                "refusal": error.response["ResponseMetadata"]["HTTPHeaders"].get("remit-refusal")}
    return {"error": None}


def aws() -> dict:
    return {told["protocol"]: told for told in (
        boto3("dynamodb", "delete_table", TableName="t" * 3),
        boto3("sqs", "purge_queue", QueueUrl="https://sqs.us-east-1.amazonaws.com/123456789012/q"),
        boto3("iam", "create_user", UserName="u"),
        boto3("ec2", "stop_instances", InstanceIds=["i-0123456789abcdef0"]),
        boto3("lambda", "delete_function", FunctionName="f"),
        boto3("s3", "delete_bucket", Bucket="agents-bucket"),
        boto3("route53", "delete_hosted_zone", Id="Z1"),
        cbor(),
    )}


def cbor() -> dict:
    """The first action of a service that speaks nothing but Smithy RPC v2."""
    import boto3 as sdk

    client = sdk.client("eventbridgev2", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    names = [name for name in client.meta.service_model.operation_names if name.startswith("Delete")]
    shape = client.meta.service_model.operation_model(names[0]).input_shape
    wanted = {name: "a" * 36 for name in shape.required_members}
    method = next(method for method, name in client.meta.method_to_api_mapping.items() if name == names[0])
    return boto3("eventbridgev2", method, **wanted)


def github() -> dict:
    import github as sdk

    client = sdk.Github(auth=sdk.Auth.Token("ghp_real_alice"), retry=None, timeout=20)
    return raised(lambda: client.get_repo("alice/demo", lazy=True).create_issue("title"))


def openai() -> dict:
    import openai as sdk

    client = sdk.OpenAI(api_key="sk-test", timeout=20)
    return raised(lambda: client.files.delete("file-1"))


def anthropic() -> dict:
    import anthropic as sdk

    client = sdk.Anthropic(api_key="sk-test", timeout=20)
    return raised(lambda: client.messages.batches.cancel("batch_1"))


def stripe() -> dict:
    import stripe as sdk

    client = sdk.StripeClient("sk_test_123", max_network_retries=2)
    return raised(lambda: client.v1.customers.create({"email": "a@up.test"}))


def slack() -> dict:
    from slack_sdk import WebClient

    told = raised(lambda: WebClient(token="xoxb-local-test", timeout=20).conversations_create(name="x"))
    return told


def google() -> dict:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="p", credentials=AnonymousCredentials())
    return raised(lambda: client.create_bucket("agents", retry=None))


def gql() -> dict:
    from gql import Client
    from gql import gql as document
    from gql.transport.requests import RequestsHTTPTransport

    client = Client(transport=RequestsHTTPTransport(url="https://api.linear.app/graphql", timeout=20))
    return raised(lambda: client.execute(document("mutation { issueArchive(id: \"1\") { success } }")))


def oauth() -> dict:
    from oauthlib.oauth2 import BackendApplicationClient
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(client=BackendApplicationClient(client_id="agent"))
    return raised(lambda: session.fetch_token("https://login.example/oauth2/token", client_secret="s", timeout=20))


def soap() -> dict:
    import zeep

    client = zeep.Client(str(Path(__file__).with_name("orders.wsdl")))
    return raised(lambda: client.service.DeleteOrder(id="1"))


def grpc() -> dict:
    import grpc as sdk

    channel = sdk.secure_channel("grpc.up.test:443", sdk.ssl_channel_credentials())
    try:
        channel.unary_unary("/demo.Echo/DeleteAll")(b"x", timeout=20)
    except sdk.RpcError as error:
        return {"code": error.code().name, "text": error.details()}
    return {"code": None}


def mcp() -> dict:
    from mcp import Client

    async def walk() -> dict:
        async with Client("https://mcp.up.test/mcp", mode="legacy") as client:
            tools = await client.list_tools()
            called = await client.call_tool("toggle-simulated-logging", {})
            try:
                await client.set_logging_level("debug")
                other = None
            except Exception as error:  # noqa: BLE001
                other = {"type": type(error).__name__, "text": str(error)}
            return {"tools": len(tools.tools), "error": called.is_error, "other": other,
                    "text": called.content[0].text, "meta": (called.meta or {}).get("remit/refusal")}

    return asyncio.run(walk())


def a2a() -> dict:
    import httpx
    from a2a.client import ClientConfig, create_client
    from a2a.helpers import new_text_message
    from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Role, SendMessageRequest

    async def walk(streaming: bool) -> dict:
        card = AgentCard(
            name="other", description="d", version="1", capabilities=AgentCapabilities(streaming=streaming),
            supported_interfaces=[AgentInterface(protocol_binding="JSONRPC", url="https://a2a.up.test/a2a", protocol_version="1.0")])
        async with httpx.AsyncClient(timeout=20) as http:
            client = await create_client(card, ClientConfig(streaming=streaming, httpx_client=http))
            try:
                message = new_text_message("do it", role=Role.ROLE_USER)
                async for _ in client.send_message(SendMessageRequest(message=message)):
                    pass
            except Exception as error:  # noqa: BLE001
                return {"type": type(error).__name__, "text": str(error)}
            return {"type": None}

    return {"plain": asyncio.run(walk(False)), "streaming": asyncio.run(walk(True))}


print(json.dumps(globals()[sys.argv[1]]()))
