"""What a server says to a prompt, in no provider's form: `dialects.py` writes it in each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Call:
    """A function that the model asks for.

    Attributes:
        name: The function's name.
        arguments: Its arguments in JSON, or what else a bad model writes there.
        id: What the call is called; None leaves it out, as some servers do.
        at_once: Whether a stream has it in one piece, as Mistral's and Ollama's have.
    """

    name: str
    arguments: str = "{}"
    id: str | None = "call_1"
    at_once: bool = False

    @property
    def pieces(self) -> tuple[str, ...]:
        """What a stream sends of the arguments, piece by piece."""
        if self.at_once:
            return (self.arguments,)
        return tuple(self.arguments[at : at + 7] for at in range(0, len(self.arguments), 7))

    @property
    def data(self) -> dict[str, Any] | None:
        """The arguments as JSON, or None where they are none: not each dialect can send such."""
        try:
            data = json.loads(self.arguments)
        except ValueError:
            return None
        return data if isinstance(data, dict) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """A correct answer: streamed, one event for each chunk, or whole, as the request asks.

    Attributes:
        text: The answer; a stream sends it word by word.
        chunks: The pieces of a stream, in place of `text`.
        finish_reason: In OpenAI's words; sent in the dialect's own. None leaves it out.
        usage: Tokens of the prompt and of the answer, or None for none.
        calls: The functions that it asks for after its text.
        reasoning: What the model thought first; a stream sends it as one piece.
        id: What tells this answer from others, after what the dialect begins such names with.
        cached_tokens: Those of the prompt that were in a cache.
        cost_usd: The cost in US dollars, which OpenRouter tells beside its count of the tokens.
    """

    text: str = "Hello from the model."
    chunks: tuple[str, ...] | None = None
    finish_reason: str | None = "stop"
    usage: tuple[int, int] | None = (7, 5)
    calls: tuple[Call, ...] = ()
    reasoning: str | None = None
    id: str = "1"
    cached_tokens: int = 0
    cost_usd: float | None = None

    @property
    def pieces(self) -> tuple[str, ...]:
        """What a stream sends, piece by piece."""
        if self.chunks is not None:
            return self.chunks
        return tuple(re.findall(r"\S+\s*|^\s+", self.text))

    @property
    def whole(self) -> str:
        """The complete text."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Refuse:
    """An error, in the form the provider really uses.

    Attributes:
        status: The HTTP status.
        headers: HTTP headers to add, for instance `retry-after`.
        code: The provider's word for the error (OpenAI's code, Anthropic's type, Gemini's status);
            None takes the usual one for the status.
        message: The text for people.
        details: Gemini's `details`, for instance a RetryInfo.
        body: The whole body, in place of all that.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    message: str = "The model refused."
    details: tuple[Mapping[str, Any], ...] = ()
    body: bytes | None = None
