"""The OpenAI SDK: a whole answer and a streamed one; the times tell whether the stream arrived piece by piece."""

import json
import time

from openai import OpenAI

client = OpenAI(api_key="sk-test", max_retries=0, timeout=30)
ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
whole = client.chat.completions.create(**ask).choices[0].message.content
pieces, times = [], []
for chunk in client.chat.completions.create(**ask, stream=True):
    if chunk.choices and chunk.choices[0].delta.content:
        pieces.append(chunk.choices[0].delta.content)
        times.append(time.monotonic())
print(json.dumps({"whole": whole, "streamed": "".join(pieces), "pieces": len(pieces), "spread_s": times[-1] - times[0]}))
