"""What a provider shall cache of a prompt, marked as Anthropic's models need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.content import CACHED, Content, joined
from openhands_llm_magic.llm.litellm.models import abilities_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Message

MOST_MARKS = 4
"""Marks that Anthropic takes; it refuses a request with more."""

LONG_BYTES = 4_096
"""The size from which on a file is worth a mark: less than 1,024 tokens are not cached."""


def is_asked(settings: Snapshot) -> bool:
    """Whether a prompt is marked: `caching_prompt` is on, and the model caches by marks."""
    named = settings.custom_llm_provider
    model = f"{named}/{settings.model}" if named else settings.model
    return bool(settings.caching_prompt) and abilities_of(model).caches_by_marks


def marked(messages: Sequence[Message], settings: Snapshot) -> list[Message]:
    """Mark what of the messages is to be cached, if the model caches by marks; take others away."""
    return _with_marks(messages) if is_asked(settings) else _without_marks(messages)


def _with_marks(messages: Sequence[Message]) -> list[Message]:
    """Mark the system prompt; of the files of a conversation the newest stay marked."""
    left = MOST_MARKS - any(each["role"] == "system" for each in messages)
    made: list[Message] = []
    for message in reversed(messages):
        content: Content = message["content"]
        if message["role"] == "system" and isinstance(content, str):
            content = [{"type": "text", "text": content} | CACHED]
        elif message["role"] != "system" and not isinstance(content, str):
            forms: list[dict[str, Any]] = []
            for form in reversed(content):
                left -= "cache_control" in form
                forms.append(form if left >= 0 else _unmarked(form))
            content = forms[::-1]
        made.append(message | {"content": content})
    return made[::-1]


def _without_marks(messages: Sequence[Message]) -> list[Message]:
    """Take away the marks of earlier turns, for a model that knows none."""
    return [
        message
        if isinstance(message["content"], str)
        else message | {"content": joined([_unmarked(form) for form in message["content"]])}
        for message in messages
    ]


def _unmarked(form: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in form.items() if name != "cache_control"}
