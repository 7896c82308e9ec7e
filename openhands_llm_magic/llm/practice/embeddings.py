"""The practice provider's vectors: texts that share parts of words are near each other.

Like its answers they are derived from the request alone, and they know nothing of meaning.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from openhands_llm_magic.llm.practice.models import Refusal

MODEL = "embed"
"""The name of the one model that makes vectors."""

ABOUT = "makes vectors of texts"
"""What it does, as the rest of a sentence that starts with its name."""

WIDTH = 64
"""Numbers in a vector."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A request for vectors that could be read.

    Attributes:
        model: The name of the model asked for; there may be no such model.
        texts: The texts.
    """

    model: str
    texts: tuple[str, ...]


def read_texts(body: bytes) -> Texts | Refusal:
    """Read a request's body, or say with status 400 what is wrong with it."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        request = None
    match request:
        case {"model": str(model), "input": str(text)}:
            return Texts(model, (text,))
        case {"model": str(model), "input": [_, *_] as texts} if all(
            isinstance(text, str) for text in texts
        ):
            return Texts(model, tuple(texts))
    message = "A request needs `model`, a text, and `input`, a text or a list of texts, as JSON."
    return Refusal(400, message, "invalid_request_error")


def embedded(request: Texts) -> dict[str, Any] | Refusal:
    """Return the body of the answer."""
    if request.model != MODEL:
        message = f"The model `{request.model}` makes no vectors; `{MODEL}` does."
        return Refusal(404, message, "invalid_request_error", "model_not_found")
    tokens = sum(len(text.split()) for text in request.texts)
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text)}
        for index, text in enumerate(request.texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": MODEL, "usage": usage}


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
