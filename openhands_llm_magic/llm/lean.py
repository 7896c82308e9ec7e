"""LiteLLM's streams without the work that nobody sees.

Of a chunk in OpenAI's form LiteLLM makes three copies and logs each; at the end it sums up all
chunks and logs the answer, on threads of its own. That is more than half of what a streamed answer
costs, and the threads hold up its last output. `benchmarks/` measures it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def drop_logging(stream: Any, *, keep_answer: bool) -> None:
    """Take the logging out of a stream.

    Args:
        stream: LiteLLM's `CustomStreamWrapper`.
        keep_answer: Whether to log and cache the whole answer at its end, for a user who has
            callbacks or a cache of his own.
    """
    stream.run_success_logging_and_cache_storage = nothing
    if not keep_answer:
        stream.chunks = _UsageChunks()
        stream.logging_obj.success_handler = nothing


def nothing(*_: object, **__: object) -> None:
    """Take the place of logging."""


class _UsageChunks(list[Any]):
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
