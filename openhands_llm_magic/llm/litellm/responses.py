"""The events of a streamed answer of the Responses API, as LiteLLM can read them.

LiteLLM reads the arguments of a call from their pieces alone. Some servers send them whole, where
the call ends: then a function would be called without arguments. And an empty piece, which OpenAI
sends, is an error to it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = "response.function_call_arguments.delta"
BEGINS = "response.output_item.added"
ENDS = "response.output_item.done"


def in_pieces(events: Iterable[Any]) -> Iterator[Any]:
    """Pass on events, or the lines of another dialect; give each call its arguments as a piece."""
    told: set[object] = set()
    for event in events:
        kind = None if isinstance(event, (str, bytes)) else getattr(event, "type", None)
        place, item = getattr(event, "output_index", None), getattr(event, "item", None)
        arguments = getattr(item, "arguments", None)
        if kind == PIECE:
            if not event.delta:
                continue
            told.add(place)
        elif kind == BEGINS and arguments:
            told.add(place)
        elif kind == ENDS and arguments and place not in told:
            piece = {"type": PIECE, "output_index": place, "delta": arguments}
            yield f"data: {json.dumps(piece)}"
        yield event
