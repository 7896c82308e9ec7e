"""Conversations: what was said before, and how much of it still fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.content import Content, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

BYTES_PER_TOKEN = 4
"""What a token takes in UTF-8, roughly, in any language; counting exactly takes seconds to load."""

IMAGE_TOKENS = 1_000
"""What an image or a PDF counts as, roughly."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt and its answer.

    Attributes:
        prompt: The content of the prompt's message.
        answer: The text of the answer.
    """

    prompt: Content
    answer: str

    @property
    def messages(self) -> list[Message]:
        """Both as messages, in OpenAI's form."""
        return [
            {"role": "user", "content": self.prompt},
            {"role": "assistant", "content": self.answer},
        ]


@dataclass(slots=True)
class Conversations:
    """The conversations of one session; they are kept in memory alone.

    Attributes:
        named: Those with a name, by it, in the order in which they began.
        last: The one that the last answer belongs to, which `--continue` goes on with.
    """

    named: dict[str, list[Turn]] = field(default_factory=dict)
    last: list[Turn] = field(default_factory=list)

    def before(self, *, name: str | None = None, goes_on: bool = False) -> list[Turn]:
        """Return the turns that a prompt goes on from: none for one that stands alone."""
        if name is not None:
            return list(self.named.get(name, []))
        return list(self.last) if goes_on else []

    def add(self, before: Sequence[Turn], turn: Turn, *, name: str | None = None) -> None:
        """Add an answered prompt to the turns that it went on from.

        A cell that is run again replaces nothing: what was said was said.
        """
        self.last = [*before, turn]
        if name is not None:
            self.named[name] = self.last

    def forget(self, name: str) -> bool:
        """Forget a conversation, and what went on from it; tell whether there was one."""
        found = self.named.pop(name, None)
        if found and self.last and self.last[0] is found[0]:
            self.last = []
        return found is not None

    def forget_all(self) -> None:
        """Forget all that was said."""
        self.named.clear()
        self.last = []


def trimmed(turns: Sequence[Turn], room_tokens: float) -> tuple[list[Turn], int]:
    """Leave out the oldest turns that do not fit; return the others and how many were left out."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        room_tokens -= sum(tokens_of(message["content"]) for message in turn.messages)
        if room_tokens < 0:
            break
        kept.insert(0, turn)
    return kept, len(turns) - len(kept)


def tokens_of(content: Content) -> float:
    """Estimate the tokens of a message's content."""
    files = 0 if isinstance(content, str) else sum(form["type"] != "text" for form in content)
    return len(text_of(content).encode(errors="replace")) / BYTES_PER_TOKEN + IMAGE_TOKENS * files
