"""slack_sdk: a read, an act, a refused act."""

import json

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from refused import told

client = WebClient(token="xoxb-local-test", timeout=20)
channel = next(c for c in client.conversations_list()["channels"] if c["name"] == "general")
posted = client.chat_postMessage(channel=channel["id"], text="by slack_sdk")
try:
    client.conversations_create(name="not-allowed")
    refused = None
except SlackApiError as error:
    refused = told(error.response.status_code, error.response.headers, error.response.data)
print(json.dumps({"channel": channel["name"], "posted": posted["message"]["text"], "refused": refused}))
