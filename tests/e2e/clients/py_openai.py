"""The OpenAI SDK: a whole answer and a streamed one."""

import json

from openai import OpenAI

client = OpenAI(api_key="sk-test", max_retries=0, timeout=30)
ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
whole = client.chat.completions.create(**ask).choices[0].message.content
pieces = []
for chunk in client.chat.completions.create(**ask, stream=True):
    if chunk.choices and chunk.choices[0].delta.content:
        pieces.append(chunk.choices[0].delta.content)
print(json.dumps({"whole": whole, "streamed": "".join(pieces), "pieces": len(pieces)}))
