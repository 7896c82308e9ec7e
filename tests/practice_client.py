"""A client of the practice provider, for its tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from openhands_llm_magic.llm.practice.server import PracticeServer


def connect(server: PracticeServer) -> httpx.Client:
    headers = {"Authorization": f"Bearer {server.key}"}
    return httpx.Client(base_url=server.base_url, headers=headers, trust_env=False)


def chat(model: str, prompt: str = "Hello there", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **more}


def ask(client: httpx.Client, model: str, prompt: str = "Hello there", **more: Any) -> Any:
    return client.post("/chat/completions", json=chat(model, prompt, **more))


def events(body: str) -> list[dict[str, Any]]:
    """Read a stream of server-sent events that must be complete."""
    *data, end, nothing = body.split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in data]


def streamed_text(chunks: list[dict[str, Any]]) -> str:
    return "".join(
        choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]
    )
