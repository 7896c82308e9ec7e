"""The calls of functions in a streamed answer, put together from their pieces.

OpenAI numbers the calls, and gives each its id and its name in its first piece. Not all servers
that speak its dialect do: some number all of them 0, some repeat the name in each piece, some give
no id, and some send the arguments as an object. LiteLLM itself, where it makes up the stream of a
model's Responses API, sends the arguments whole and then once more in pieces.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.events import ToolCallBegun
from openhands_llm_magic.llm.tools.calls import Asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(slots=True)
class _Growing:
    """A call in the making."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are a whole JSON object, so that no piece of them is to come."""
        return _is_object("".join(self.arguments))

    @property
    def written(self) -> str:
        """Its arguments; those that came whole, and then in pieces, count once."""
        first, rest = "".join(self.arguments[:1]), "".join(self.arguments[1:])
        return rest if _is_object(first) and _is_object(rest) else first + rest


class Gathered:
    """Gathers the calls of one answer.

    Attributes:
        thinking: What Anthropic's models want back of what they thought before the calls.
    """

    def __init__(self) -> None:
        self._calls: list[_Growing] = []
        self._at: dict[object, _Growing] = {}
        self.thinking: list[dict[str, Any]] = []

    @property
    def calls(self) -> tuple[Asked, ...]:
        """The calls as far as they have come."""
        return tuple(
            Asked(each.name, each.written, each.id, each.told)
            for each in self._calls
            if each.name or each.arguments
        )

    def note(self, delta: Any) -> Iterator[ToolCallBegun]:
        """Take in a delta of LiteLLM's; yield an event where a call begins."""
        self.thinking += (_plain(each) for each in getattr(delta, "thinking_blocks", None) or ())
        for piece in getattr(delta, "tool_calls", None) or ():
            function = getattr(piece, "function", None)
            name = getattr(function, "name", None) or ""
            call = self._call_of(piece, name)
            if name and not call.name:
                yield ToolCallBegun(name)
            if not name.startswith(call.name) or not call.name:
                call.name += name
            arguments = getattr(function, "arguments", None)
            if arguments not in (None, ""):
                is_text = isinstance(arguments, str)
                call.arguments.append(arguments if is_text else json.dumps(arguments))
            call.told |= _plain(getattr(piece, "provider_specific_fields", None) or {})

    def note_whole(self, number: int, call: Mapping[str, Any]) -> None:
        """Take in a call of an answer that came at once."""
        function = call["function"]
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        made = _Growing(str(call.get("id") or ""), str(function["name"]), [arguments])
        self._at[number] = made
        self._calls.append(made)

    def _call_of(self, piece: Any, name: str) -> _Growing:
        """Return the call that a piece belongs to."""
        place = getattr(piece, "index", None)
        known, call_id = self._at.get(place), getattr(piece, "id", None) or ""
        is_other = known is not None and (
            (call_id and known.id and call_id != known.id)
            or (name and not call_id and known.name and known.is_whole)
        )
        if known is None or is_other:
            known = self._at[place] = _Growing()
            self._calls.append(known)
        known.id = known.id or call_id
        return known


def _is_object(text: str) -> bool:
    """Tell whether a text is a whole JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _plain(value: Any) -> dict[str, Any]:
    """Return what LiteLLM may have as a class of its own as a dictionary."""
    dump = getattr(value, "model_dump", None)
    plain: dict[str, Any] = dump(exclude_none=True) if callable(dump) else dict(value)
    return plain


def thinking_of(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the pieces of what Anthropic's models thought, each up to its signature."""
    joined: list[dict[str, Any]] = []
    is_open = False
    for block in blocks:
        if block.get("type") == "redacted_thinking":
            joined.append(block)
            is_open = False
            continue
        if not is_open:
            joined.append({"type": "thinking", "thinking": "", "signature": ""})
        last = joined[-1]
        last["thinking"] += block.get("thinking") or ""
        last["signature"] = block.get("signature") or last["signature"]
        is_open = not block.get("signature")
    return [each for each in joined if each.get("signature") or "data" in each]


TAKE_BLOCKS = frozenset({"anthropic", "bedrock", "vertex_ai"})
"""Providers for which LiteLLM makes blocks of a message, none of which may be an empty text."""


def messages_for(provider: str, messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages as LiteLLM is to have them for a provider.

    Of an empty text LiteLLM makes a remark of its own for Claude, as if the model had said it.
    Without the text, a message has its calls alone. Some servers of OpenAI's dialect want a text.
    """
    made = [dict(message) for message in messages]
    for message in made:
        if provider in TAKE_BLOCKS and message.get("tool_calls") and message["content"] == "":
            message["content"] = None
    return made
