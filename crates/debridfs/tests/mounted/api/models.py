"""The official client of the Model Context Protocol, over HTTP and over standard input and output.

Usage: models.py ENDPOINT TOKEN PROGRAM CONFIG
"""

import asyncio
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

ENDPOINT, TOKEN, PROGRAM, CONFIG = sys.argv[1:5]
FILM = "__all__/First.2024"


async def ask(client):
    """Uses all tools, also with arguments that they do not take."""
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["browse", "why", "status", "queue"], tools
    assert all(tool.annotations.read_only_hint for tool in tools), tools
    said = await client.call_tool("status", {})
    assert not said.is_error and said.structured_content["library"]["releases"] == 1, said
    said = await client.call_tool("browse", {"path": "__all__"})
    assert [line["name"] for line in said.structured_content["entries"]] == ["First.2024"], said
    said = await client.call_tool("why", {"path": "first"})
    assert said.structured_content["path"] == FILM, said
    said = await client.call_tool("queue", {})
    assert said.structured_content["jobs"] == [], said
    said = await client.call_tool("why", {"path": "no such film"})
    assert said.is_error and "not in the library" in said.content[0].text, said
    for name, arguments in [("remove", {}), ("why", {}), ("browse", {"limit": "x"})]:
        try:
            await client.call_tool(name, arguments)
        except MCPError as error:
            assert error.code == -32602, error
        else:
            raise AssertionError(f"{name} {arguments}")


def transport():
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return streamable_http_client(ENDPOINT, http_client=httpx2.AsyncClient(headers=headers, timeout=30))


def stdio():
    return StdioServerParameters(command=PROGRAM, args=["--config", CONFIG, "mcp"])


async def raw():
    """What no client sends."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        call = lambda id, method, params=None: {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}
        wanted = {"protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        said = (await http.post(ENDPOINT, json=call(1, "initialize", wanted))).json()
        assert said["result"]["protocolVersion"] == "2025-11-25", said
        wanted["protocolVersion"] = "2025-03-26"
        said = (await http.post(ENDPOINT, json=call(1, "initialize", wanted))).json()
        assert said["result"]["protocolVersion"] == "2025-03-26", said
        said = (await http.post(ENDPOINT, json=[call(1, "ping"), call("b", "nothing")])).json()
        assert said[0]["result"] == {} and said[1]["error"]["code"] == -32601 and said[1]["id"] == "b", said
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        said = await http.post(ENDPOINT, json=note)
        assert (said.status_code, said.content) == (202, b""), said
        for body, code in [(b"{", -32700), (b"[]", -32600), (b"5", -32600), (b'{"id":1,"method":"ping"}', -32600)]:
            said = await http.post(ENDPOINT, content=body, headers={"Content-Type": "application/json"})
            assert said.json()["error"]["code"] == code, (body, said.content)
        old = await http.post(ENDPOINT, json=note, headers={"MCP-Protocol-Version": "1999-01-01"})
        assert old.status_code == 400, old
        foreign = await http.post(ENDPOINT, json=note, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403, foreign
        assert (await http.get(ENDPOINT)).status_code == 405
    async with httpx2.AsyncClient() as http:
        assert (await http.post(ENDPOINT, json=note)).status_code == 401


async def main():
    for mode in ("auto", "legacy"):
        async with Client(transport(), mode=mode) as client:
            await ask(client)
        async with Client(stdio(), mode=mode) as client:
            await ask(client)
    await raw()


asyncio.run(main())
