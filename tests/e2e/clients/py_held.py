"""An MCP client that calls a tool until it is let out."""

import asyncio
import json
import sys


async def mcp() -> dict:
    from mcp import Client

    said = []
    async with Client("https://mcp.up.test/mcp", mode="legacy") as client:
        await client.list_tools()
        for _ in range(60):
            called = await client.call_tool("toggle-simulated-logging", {})
            said.append(called.content[0].text)
            if not called.is_error:
                break
            print((called.meta or {}).get("remit/refusal", {}).get("hold", ""), file=sys.stderr, flush=True)
            await asyncio.sleep(0.5)
    return {"said": said, "error": called.is_error}


print(json.dumps(asyncio.run(mcp())))
