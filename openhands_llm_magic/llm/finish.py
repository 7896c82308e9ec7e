"""How an answer really ended.

LiteLLM reports an answer that was cut short as finished, with "stop" and a usage of its own
making. So its provider's chunks are watched on their way in: what they say is what counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FinishTap:
    """Watches a provider's chunks for what only the provider can know.

    Attributes:
        finish_reason: The finish reason that the provider sent, or None when it sent none.
        usage_seen: Whether the provider counted the tokens itself.
        understood: Whether any chunk was of a kind that could tell.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.usage_seen = False
        self.understood = False
        self._reads_lines = False

    @property
    def cut_short(self) -> bool:
        """Whether the provider would have told the end of the answer, and did not."""
        return self.understood and self.finish_reason is None

    def chunks(self, chunks: Iterable[Any]) -> Iterator[Any]:
        """Pass chunks on unchanged and note what they say."""
        for chunk in chunks:
            if isinstance(chunk, dict):
                self._note_dict(chunk)
            elif hasattr(chunk, "choices"):
                self._note_choices(chunk)
            yield chunk

    def lines(self, lines: Iterable[Any]) -> Iterator[Any]:
        """Pass Gemini's raw lines on unchanged: LiteLLM makes a finish out of their end."""
        self.understood = self._reads_lines = True
        for line in lines:
            text = line.decode(errors="replace") if isinstance(line, bytes) else str(line)
            if '"finishReason"' in text:
                self.finish_reason = "stop"
            yield line

    def _note_dict(self, chunk: dict[str, Any]) -> None:
        # A chunk with nothing but a finish reason is one that LiteLLM made of a bare [DONE].
        if chunk.get("usage") or chunk.get("text"):
            self.understood = True
            self.usage_seen |= bool(chunk.get("usage"))
            self.finish_reason = chunk.get("finish_reason") or self.finish_reason

    def _note_choices(self, chunk: Any) -> None:
        self.understood = True
        self.usage_seen |= bool(getattr(chunk, "usage", None))
        for choice in () if self._reads_lines else chunk.choices or ():
            self.finish_reason = getattr(choice, "finish_reason", None) or self.finish_reason
