"""Reads an event stream byte by byte and says aloud what arrived, so that the test can open the next gate."""

import sys

import httpx

url, http2 = sys.argv[1], sys.argv[2] == "h2"
with httpx.Client(http2=http2, timeout=30) as client, client.stream("GET", url) as answer:
    print(f"status {answer.status_code} {answer.http_version}", flush=True)
    for line in answer.iter_lines():
        if line:
            print(line, flush=True)
print("end", flush=True)
