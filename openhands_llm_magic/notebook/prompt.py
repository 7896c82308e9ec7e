"""The body of a cell made into the messages that are sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm import caching
from openhands_llm_magic.llm.abilities import abilities_of
from openhands_llm_magic.llm.content import PDF, Attachment, Part, content_of
from openhands_llm_magic.llm.conversations import tokens_of, trimmed
from openhands_llm_magic.llm.session import conversation
from openhands_llm_magic.notebook.attachments import attachment
from openhands_llm_magic.notebook.variables import Filled, filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.content import Content
    from openhands_llm_magic.llm.conversations import Message, Turn
    from openhands_llm_magic.notebook.arguments import PromptOptions

HISTORY = ("In", "Out")
"""Names of IPython's that a prompt may use beside the person's own."""


@dataclass(frozen=True, slots=True)
class Made:
    """A prompt as it is sent.

    Attributes:
        content: That of its own message.
        messages: All that is sent, in OpenAI's form.
        notes: What a person should know of how it was made.
    """

    content: Content
    messages: list[Message]
    notes: tuple[str, ...] = ()


def made(
    body: str,
    options: PromptOptions,
    shell: Any,
    settings: Snapshot,
    before: Sequence[Turn] = (),
) -> Made:
    """Put in variables and files, and go on from what was said before, as far as that fits.

    Raises:
        UsageError: The prompt is empty, a file cannot be sent, or the model does not take it.
    """
    hidden = shell.user_ns_hidden.keys() - HISTORY
    own = {name: value for name, value in shell.user_ns.items() if name not in hidden}
    conversation(body)  # an empty one is refused before anything is read
    text = Filled((body,))
    if not options.raw:
        text = filled(body, own, limit_chars=settings.max_message_chars)
    # Files come first: what is the same from prompt to prompt can be cached.
    parts: list[Part] = [*(attachment(word, own) for word in options.attach), *text.parts]
    _require_taken((part for part in parts if isinstance(part, Attachment)), settings)
    cached_from_bytes = caching.LONG_BYTES if caching.is_asked(settings) else math.inf
    content = content_of(parts, cached_from_bytes=cached_from_bytes)
    window_tokens = settings.max_input_tokens or abilities_of(settings.model).window_tokens
    room_tokens = (window_tokens or math.inf) - tokens_of(content) - tokens_of(options.system or "")
    kept, left_out = trimmed(before, room_tokens)
    notes = list(text.notes)
    if left_out:
        turns = "turn" if left_out == 1 else "turns"
        notes.append(f"{left_out} older {turns} left out, to fit into {window_tokens:,} tokens")
    messages = [message for turn in kept for message in turn.messages]
    sent = conversation(content, system=options.system, before=messages)
    return Made(content, sent, tuple(notes))


def _require_taken(attachments: Iterable[Attachment], settings: Snapshot) -> None:
    """Refuse what the model, or the settings, do not take; nothing is sent then."""
    known = abilities_of(settings.model)
    for each in attachments:
        if each.is_image and settings.disable_vision:
            origin = settings.origin("disable_vision")
            raise UsageError(f"{each.name} is a picture, and disable_vision is on (from {origin}).")
        if each.is_image and known.sees is False:
            raise UsageError(f"{settings.model} takes no pictures, such as {each.name}.")
        if each.media_type == PDF and known.reads_pdf is False:
            raise UsageError(
                f"{settings.model} takes no PDFs, such as {each.name}: send its text, or pictures."
            )
