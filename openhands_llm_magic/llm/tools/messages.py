"""Calls of functions as messages, in OpenAI's form."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openhands_llm_magic.llm.events import ToolCall


def messages_of(calls: Iterable[ToolCall], *, is_past: bool = False) -> list[dict[str, Any]]:
    """Return what was said of calls: for each round what the model asked for, then each result.

    Arguments that cannot be read are left out, as some servers refuse all that follows them; what
    is said of the call quotes them.

    Args:
        calls: The calls, those of a round next to each other.
        is_past: Whether the model has answered since. What a provider wants back of its own is
            wanted until then, and another one may be asked next.
    """
    messages: list[dict[str, Any]] = []
    for _, each_round in groupby(calls, key=lambda call: call.round):
        round_ = list(each_round)
        first = round_[0]
        asked = {
            "role": "assistant",
            "content": first.said,
            "reasoning_content": first.thought,
            "tool_calls": [_form(call, is_past=is_past) for call in round_],
        }
        messages.append(asked if is_past else asked | dict(first.told_of_round))
        messages += (
            {"role": "tool", "tool_call_id": call.id, "content": call.answer} for call in round_
        )
    return messages


def _form(call: ToolCall, *, is_past: bool) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    form = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    told = {"provider_specific_fields": dict(call.told)} if call.told and not is_past else {}
    return form | told
