"""The body of a cell made into the messages that are sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.conversations import (
    Attachment,
    Part,
    content_of,
    tokens_of,
    trimmed,
    without_files,
)
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.prepare import conversation
from openhands_llm_magic.notebook.prompt.attachments import attachment
from openhands_llm_magic.notebook.prompt.variables import Filled, filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Content, Message, Turn
    from openhands_llm_magic.notebook.arguments import PromptOptions

HISTORY = ("In", "Out")
"""Names of IPython's that a prompt may use beside the person's own."""

KINDS = {"image_url": "picture", "file": "PDF"}
"""What a person calls a file, by the type of its part."""


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
    own: Mapping[str, object],
    settings: Snapshot,
    before: Sequence[Turn] = (),
) -> Made:
    """Put in variables and files, and go on from what was said before, as far as that fits.

    Args:
        body: The prompt as it was typed.
        options: What stands on its line.
        own: The person's variables.
        settings: What the prompt is sent with.
        before: What it goes on from.

    Raises:
        UsageError: The prompt is empty, a file cannot be sent, or the model does not take it.
    """
    text = _filled(body, options, own, settings)
    # Files come first: what is the same from prompt to prompt can be cached.
    parts: list[Part] = [*(attachment(word, own) for word in options.attach), *text.parts]
    not_taken = _not_taken(settings)
    _require_taken(parts, not_taken)
    cached_from_bytes = conversations.LONG_BYTES if conversations.caches(settings) else math.inf
    content = content_of(parts, cached_from_bytes=cached_from_bytes)
    window_tokens = settings.max_input_tokens or abilities_of(settings.model).window_tokens
    room_tokens = (window_tokens or math.inf) - tokens_of(content) - tokens_of(options.system or "")
    taken = [replace(turn, prompt=without_files(turn.prompt, not_taken)) for turn in before]
    kept, left_out = trimmed(taken, room_tokens)
    notes = list(text.notes)
    if left_out:
        turns = "turn" if left_out == 1 else "turns"
        notes.append(f"{left_out} older {turns} left out, to fit into {window_tokens:,} tokens")
    notes += _notes_of_files(before[left_out:], not_taken)
    messages = [message for turn in kept for message in turn.messages]
    sent = conversation(content, system=options.system, before=messages)
    return Made(content, sent, tuple(notes))


def _filled(
    body: str, options: PromptOptions, own: Mapping[str, object], settings: Snapshot
) -> Filled:
    conversation(body)  # an empty one is refused before anything is read
    if options.raw:
        return Filled((body,))
    text = filled(body, own, limit_chars=settings.max_message_chars)
    if not any(isinstance(part, Attachment) or part.strip() for part in text.parts):
        raise UsageError("the prompt is empty once its variables are put in.")
    return text


def own_variables(shell: Any, local: Mapping[str, object]) -> dict[str, object]:
    """Return the person's variables; one that a startup file defined counts once it is redefined.

    Args:
        shell: The session.
        local: The variables of the function that the prompt stands in.
    """
    hidden = shell.user_ns_hidden
    found = {
        name: value
        for name, value in shell.user_ns.items()
        if name in HISTORY or name not in hidden or hidden[name] is not value
    }
    return {**found, **local}


def _not_taken(settings: Snapshot) -> dict[str, str]:
    """Tell which types of parts are not sent, each with the reason."""
    known, vision_is_off = abilities_of(settings.model), settings.disable_vision
    anyway = "as far as is known: `--no-disable-vision` sends them all the same"
    reasons: dict[str, str] = {}
    if vision_is_off:
        reasons["image_url"] = f"disable_vision is on (from {settings.origin('disable_vision')})"
    elif known.sees is False and vision_is_off is None:
        reasons["image_url"] = f"{settings.model} takes none, {anyway}"
    if known.reads_pdf is False and vision_is_off is not False:
        reasons["file"] = f"{settings.model} takes none, {anyway}"
    return reasons


def _notes_of_files(turns: Iterable[Turn], not_taken: Mapping[str, str]) -> list[str]:
    """Tell which files of earlier turns are not sent again."""
    lost = {
        form["type"] for turn in turns if not isinstance(turn.prompt, str) for form in turn.prompt
    }
    return [
        f"the {KINDS[kind]}s of earlier turns are left out ({reason})"
        for kind, reason in not_taken.items()
        if kind in lost
    ]


def _require_taken(parts: Iterable[Part], not_taken: Mapping[str, str]) -> None:
    """Refuse a prompt with a file that is not sent; nothing is sent then."""
    for part in parts:
        if isinstance(part, Attachment):
            kind = part.type
            if kind in not_taken:
                raise UsageError(f"{part.name} is a {KINDS[kind]}, and {not_taken[kind]}.")
