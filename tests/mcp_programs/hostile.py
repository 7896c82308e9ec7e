"""An MCP server over stdio that misbehaves in the way that its argument names."""

import json
import os
import signal
import sys
import time
from typing import Any

HOW = sys.argv[1]
NAMES = {
    "names": [
        "a.b",
        "a_b",
        "café",
        "x" * 100,
        "x" * 101,
        "",
        "add__two",
        "two\nlines",
        "a b",
        "\x1b[31m",
    ],
    "many": [f"tool_{number}" for number in range(500)],
}.get(HOW, ["go"])
SCHEMA: Any = {
    "schemas": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "anyOf": [{"required": ["a"]}],
        "oneOf": [{"properties": {"b": {"type": ["array", "null"]}, "items": {}}}, 3],
        "properties": {"a": True, "list": {"type": "array"}, "items": {"type": "string"}},
        "required": ["a"],
    },
    "deep": {"type": "object"},
}.get(HOW, {"type": "object"})


MODERN = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
BROKEN: list[Any] = [
    {"name": "none"},
    {"name": "null", "description": 3, "inputSchema": None},
    {"name": "text", "inputSchema": {"type": "string", "required": None}, "outputSchema": 3},
    {
        "name": "int",
        "inputSchema": {"properties": {"a": {"type": "int"}, "required": ["a"]}, "required": ["a"]},
    },
    {"name": 3},
    "no tool",
]


def deep() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tools(number: int) -> dict[str, Any]:
    schema = deep() if HOW == "deep" else SCHEMA
    listed: list[Any] = [
        {"name": name, "description": "Go.", "inputSchema": schema} for name in NAMES
    ]
    if HOW == "unreadable list":
        return {"tools": 3}
    if HOW == "broken tools":
        return {"tools": BROKEN}
    if HOW == "endless list":
        listed[0]["name"] = f"go_{number}"
        return {"tools": listed, "nextCursor": "more"}
    if HOW == "misfit":
        listed[0]["outputSchema"] = {"type": "object", "required": ["nara"]}
    return {"tools": [] if HOW == "no tools" else listed}


def texts(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


RESULTS: dict[str, dict[str, Any]] = {
    "parts": texts(
        text("one"),
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "resource_link", "name": "a file", "uri": "file:///tmp/a"},
        {"type": "resource", "resource": {"uri": "file:///b", "text": "held"}},
        {"type": "resource", "resource": {"uri": "file:///c", "blob": "AAAA"}},
    ),
    "structured": {"content": [], "structuredContent": {"kyoto": 3}},
    "misfit": {**texts(text("three")), "structuredContent": {"kyoto": 3}},
    "error": {**texts(text("no such city")), "isError": True},
    "silent error": {"content": [], "isError": True},
    "half a result": {"content": 3},
    "key": texts(text(f"the key is {os.environ.get('CANARY')}")),
}


def called() -> dict[str, Any]:
    if HOW == "silent call":
        time.sleep(600)
    if HOW == "dies":
        os._exit(1)
    return RESULTS.get(HOW, texts(text("gone")))


if HOW == "ends at once":
    sys.stderr.write(f"no config found, the key is {os.environ.get('CANARY')}\n")
    sys.exit(1)
if HOW == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if HOW in ("junk", "junk too"):
    sys.stdout.write("Starting the server … 日本\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\xff\xfe not UTF-8\n{\n[]\n")
    sys.stdout.flush()
if HOW == "loud":
    sys.stderr.write("x" * 1_000_000 + "\n")
while HOW in ("silent", "junk"):
    time.sleep(1)
for number, line in enumerate(sys.stdin):
    message = json.loads(line)
    if "id" not in message:
        continue
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    match message["method"]:
        case "initialize" if HOW == "modern":
            versions = {"supported": ["2026-07-28"], "requested": "2025-11-25"}
            answer["error"] = {"code": -32022, "message": "no handshake", "data": versions}
        case "server/discover" if HOW == "modern":
            answer["result"] = {
                **MODERN,
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
            }
        case "initialize":
            answer["result"] = {
                "protocolVersion": "2024-11-05",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "hostile", "version": "1"},
            }
        case "tools/list":
            answer["result"] = tools(number) | (MODERN if HOW == "modern" else {})
        case "tools/call" if HOW == "refusal":
            answer["error"] = {"code": -32602, "message": "no such tool\nat all"}
        case "tools/call":
            answer["result"] = {"resultType": "complete", **called()}
        case _:
            answer["error"] = {"code": -32601, "message": "method not found"}
    say(answer)
while HOW == "deaf":
    time.sleep(1)
