"""Vectors: how texts get them, and how providers put them on the wire.

Texts that share parts of words get vectors near each other, which know nothing of meaning. The
forms follow the API references of OpenAI, Gemini (batchEmbedContents), Ollama (api/embed) and
Amazon's Titan models.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODEL = "embed"
"""The name of the one practice model that makes vectors."""

ABOUT = "makes vectors of texts"
"""What it does, as the rest of a sentence that starts with its name."""

WIDTH = 64
"""Numbers in a vector."""


def vector(text: str) -> list[float]:
    """Make the vector of a text, of length 1: each part of a word goes up or down one number."""
    numbers = [0] * WIDTH
    for word in re.findall(r"\w+", text.casefold()) or [text]:
        marked = f"<{word}>"  # so that beginnings and ends of words count as such
        for start in range(len(marked) - 2):
            digest = hashlib.sha256(marked[start : start + 3].encode(errors="replace")).digest()
            numbers[digest[0] % WIDTH] += 1 if digest[1] % 2 else -1
    length = math.hypot(*numbers) or 1.0
    return [number / length for number in numbers]


def encoded(numbers: Sequence[float]) -> str:
    """Write a vector as OpenAI does for who asks for base64: floats of 4 bytes."""
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def texts_in(dialect: str, body: Mapping[str, Any]) -> list[str] | None:
    """Return the texts that a request asks vectors for, or None where it has none.

    Raises:
        AttributeError, KeyError, TypeError: The request is of another form.
    """
    match dialect:
        case "gemini":
            parts = [each["content"]["parts"] for each in body["requests"]]
            texts: Any = ["\n".join(part["text"] for part in each) for each in parts]
        case "bedrock":
            texts = body["inputText"]
        case _:
            texts = body["input"]
    texts = [texts] if isinstance(texts, str) else texts
    is_right = isinstance(texts, list) and texts and all(isinstance(each, str) for each in texts)
    return texts if is_right else None


def written(
    dialect: str, model: str, vectors: Sequence[Sequence[float] | str], tokens: int
) -> dict[str, Any]:
    """Return the body of an answer with vectors, in order.

    Args:
        dialect: The name of the dialect.
        model: The model that made them.
        vectors: One for each text; one that is encoded is for OpenAI's dialect.
        tokens: Those of all texts.
    """
    match dialect:
        case "gemini":
            return {"embeddings": [{"values": vector} for vector in vectors]}
        case "ollama":
            return {"model": model, "embeddings": vectors, "prompt_eval_count": tokens}
        case "bedrock":
            return {"embedding": vectors[0], "inputTextTokenCount": tokens}
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}
