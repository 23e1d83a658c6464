"""The Anthropic SDK: a whole answer and a streamed one."""

import json

from anthropic import Anthropic

client = Anthropic(api_key="sk-ant-test", max_retries=0, timeout=30)
ask = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
whole = client.messages.create(**ask).content[0].text
pieces, text = 0, ""
with client.messages.stream(**ask) as stream:
    for piece in stream.text_stream:
        text += piece
        pieces += 1
print(json.dumps({"whole": whole, "streamed": text, "pieces": pieces}))
