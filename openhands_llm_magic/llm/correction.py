"""An answer that does not fit its schema is sent back once, with what is wrong."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import FormatError
from openhands_llm_magic.llm.events import Correcting, Done, Event, Retrying, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.structured import Schema


def corrected(
    first: Generator[Event],
    ask: Callable[[Sequence[Message]], Generator[Event] | None],
    messages: Sequence[Message],
    schema: Schema,
    mask: Callable[[str], str],
) -> Generator[Event]:
    """Pass on the events of a request, and of a second one where its answer does not fit.

    The second answer is passed on as it is: whoever reads it finds out what it is. An answer that
    was cut off is not sent back, as it would be cut off again.

    Args:
        first: The events of the request.
        ask: Makes the second request, unless it is too late for one.
        messages: What the first asked.
        schema: What the answer is held to.
        mask: Masks keys, so that the second request is the same when the first answer was stored.
    """
    pieces: list[str] = []
    with contextlib.closing(first):
        for event in first:
            match event:
                case TextDelta(text):
                    pieces.append(text)
                case Retrying():
                    pieces.clear()
                case Done("stop"):
                    answer = mask("".join(pieces))
                    problem = _problem(schema, answer)
                    if problem and (second := ask([*messages, *_sent_back(answer, problem)])):
                        yield Correcting(problem, event.cost_usd)
                        yield from second
                        return
            yield event


def _problem(schema: Schema, answer: str) -> str:
    """Say where an answer does not fit, or ""."""
    try:
        schema.read(answer)
    except FormatError as error:
        return error.problem
    return ""


def _sent_back(answer: str, problem: str) -> list[Message]:
    told = f"That does not fit: {problem}. Answer again, with the corrected JSON alone."
    return [{"role": "assistant", "content": answer}, {"role": "user", "content": told}]
