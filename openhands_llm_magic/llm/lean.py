"""What a streamed chunk costs: LiteLLM's own work for each, without what nobody reads.

A chunk in OpenAI's form costs LiteLLM 0.4 ms, five times what receiving it does: it is logged,
copied three times, and all chunks are summed up at the end. `benchmarks/` measures it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class UsageChunks(list[Any]):
    """The chunks of which LiteLLM sums up the answer at its end: those alone that count tokens."""

    def append(self, chunk: Any) -> None:
        """Keep a chunk if it counts tokens."""
        if getattr(chunk, "usage", None) is not None:
            super().append(chunk)


def short_form(chunks: Iterable[Any]) -> Iterator[Any]:
    """Pass on chunks, those with nothing but text in the form of LiteLLM's own providers.

    LiteLLM takes both forms from any provider, and does not copy this one (its
    `GenericStreamingChunk`).
    """
    for chunk in chunks:
        text = _plain_text(chunk)
        yield chunk if text is None else _generic(text)


def _plain_text(chunk: Any) -> str | None:
    """Return the text of a chunk that says nothing about the answer's end or its tokens."""
    choices = getattr(chunk, "choices", None)
    if not choices or len(choices) > 1 or getattr(chunk, "usage", None) is not None:
        return None
    text = choices[0].delta.content
    plain = isinstance(text, str) and text and choices[0].finish_reason is None
    return text if plain else None


def _generic(text: str) -> dict[str, Any]:
    return {
        "text": text,
        "is_finished": False,
        "finish_reason": "",
        "usage": None,
        "index": 0,
        "tool_use": None,
    }
