"""A call of a function as a person sees it: one line, and folded up what was given and got."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import on_one_line
from openhands_llm_magic.notebook.language import cell_words
from openhands_llm_magic.notebook.view import sanitize
from openhands_llm_magic.notebook.wording import NO_MATH, call_words, seconds

if TYPE_CHECKING:
    from openhands_llm_magic.llm.events import ToolCall
    from openhands_llm_magic.llm.reply import Reply

MOST_SHOWN = 80
"""Characters of a call in its one line."""

MOST_RESULT = 200
"""Characters of a result that stand in a terminal."""


def summary(call: ToolCall) -> str:
    """Write the one line of a call, as in `weather(city="Kyoto") · 0.2 s`."""
    say = cell_words()
    parts = [call_words(call.name, call.arguments, MOST_SHOWN)]
    if call.took_s is None:
        parts.append(say("not called"))
    else:
        parts += [say("failed")] * bool(call.problem)
        parts.append(seconds(call.took_s, say))
    return sanitize.to_plain(on_one_line(" · ".join(parts)))  # a model may write any name


def terminal_words(call: ToolCall) -> str:
    """Write a call in a terminal, with the beginning of its result."""
    result = " ".join(call.answer[: 2 * MOST_RESULT].split())
    if len(result) > MOST_RESULT:
        result = f"{result[:MOST_RESULT]}…"
    return f"{summary(call)}: {sanitize.to_plain(result)}"


def folded(call: ToolCall) -> str:
    """Render a call that is folded up: its arguments and its result below its one line."""
    arguments = call.written or json.dumps(dict(call.arguments), indent=1, ensure_ascii=False)
    shown = sanitize.plain_to_html(arguments) + sanitize.plain_to_html(call.answer)
    return f"<details><summary {NO_MATH}>{html.escape(summary(call))}</summary>{shown}</details>"


def all_folded(reply: Reply) -> str:
    """Render all calls of a reply, each round below what the model said before it."""
    title = cell_words()("Reasoning")
    return "".join(
        sanitize.folded_html(title, call.thought)
        + (sanitize.to_html(call.said) if call.said.strip() else "")
        + folded(call)
        for call in reply.tool_calls
    )
