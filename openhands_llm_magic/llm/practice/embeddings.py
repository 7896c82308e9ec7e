"""How providers put vectors on the wire.

The forms follow the API references of OpenAI, Gemini (batchEmbedContents), Ollama (api/embed) and
Amazon's Titan models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS: Mapping[str, str] = {
    "/embeddings": "openai",
    ":batchEmbedContents": "gemini",
    "/api/embed": "ollama",
    "/invoke": "bedrock",
}
"""The end of a path, and the dialect of the server's errors there."""

TOKENS = 7


def asks_for_vectors(path: str) -> bool:
    """Whether a request's path is one for embeddings."""
    return urlsplit(path).path.endswith(tuple(ENDPOINTS))


def vectors(dialect: str, body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the JSON with a vector for each text: (0.5, -0.5), (1.5, -0.5) and so on."""
    texts = body.get("input", body.get("requests", [None]))
    count = 1 if isinstance(texts, str) else len(texts)
    numbers = [[index + 0.5, -0.5] for index in range(count)]
    match dialect:
        case "gemini":
            return {"embeddings": [{"values": vector} for vector in numbers]}
        case "ollama":
            return {"model": model, "embeddings": numbers, "prompt_eval_count": TOKENS}
        case "bedrock":
            return {"embedding": numbers[0], "inputTextTokenCount": TOKENS}
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(numbers)
    ]
    usage = {"prompt_tokens": TOKENS, "total_tokens": TOKENS}
    # The order of the list is not what counts.
    return {"object": "list", "data": data[::-1], "model": model, "usage": usage}
