"""`%%llm -t NAME`: what a model may ask for, and who allows each call.

NAME is a function of the notebook, or an MCP server of the configuration. A function goes first: it
is what the person has written himself. A variable that is no function hides no server.

A function is called without a question where the line names it after `--yes`, or where the person
has said "always" of it in this session. Else the person is asked before its first call in a cell;
where nobody can be asked, it is not called.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text, UsageError, on_one_line
from openhands_llm_magic.llm.tools.calls import as_json
from openhands_llm_magic.llm.tools.declared import Tool, tools_of
from openhands_llm_magic.notebook import language, values, wording
from openhands_llm_magic.notebook.prompt_options import YES_WITHOUT
from openhands_llm_magic.notebook.view import display, sanitize

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.tools.calls import Call

MOST_ASKED = 2_000
"""Characters of a call that the question shows; nobody reads more before he answers."""

RUN = frozenset({"r", "run", "y", "yes"})
ALWAYS = frozenset({"a", "always"})
NO = frozenset({"n", "no"})
"""What the person may answer."""

REFUSED = "the person did not allow this call"
NOBODY = "nobody could be asked to allow this call"
"""What a model is told of a call that was not made."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a line names for a model to ask for.

    Attributes:
        tools: All of it.
        words: What the person may call each by, by the name that the model is told.
    """

    tools: tuple[Tool, ...] = ()
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def called(self, names: Sequence[str]) -> set[str]:
        """Return the names of those that the person calls by these words.

        Raises:
            UsageError: A word stands for none of them.
        """
        for word in names:
            if not any(word in words for words in self.words.values()):
                raise UsageError(Text(YES_WITHOUT, name=word))
        return {name for name, words in self.words.items() if not words.isdisjoint(names)}

    def shortest(self, names: Collection[str]) -> list[str]:
        """Return what the person may call these by, and nothing else: a server, where it is all."""
        words: list[str] = []
        for name in names:
            fitting = (each for each in self.words[name] if self.called([each]) <= {*names})
            words.append(min(fitting, key=len))
        return [*dict.fromkeys(words)]


def named(
    names: Sequence[str], variables: Mapping[str, object], settings: Snapshot, shell: Any
) -> Named:
    """Return what a line names; a server is started, or connected to, where it was not before.

    Raises:
        UsageError: There is no such variable or server, or it is no function that a model can be
            told of.
        SettingError: A server is not written as it must be, or its file is not trusted.
        McpError: A server does not start or answer.
    """
    made: list[Tool] = []
    words: dict[str, frozenset[str]] = {}
    for name in names:
        first, *rest = name.split(".")
        value: Any = variables.get(first)
        for each in rest:
            value = getattr(value, each, None)
        if not callable(value) and (found := _of_server(name, settings, shell)):
            made += (each for each in found if each not in made)
            words |= {each.name: mcp_words(each) for each in found}
            continue
        if first not in variables:
            raise _nothing_of(first, settings)
        tool = Tool.of(value, rest[-1] if rest else name)
        made.append(tool)
        words[tool.name] = frozenset([name])
    return Named(tools_of(made), words)


def _nothing_of(name: str, settings: Snapshot) -> UsageError:
    from openhands_llm_magic.llm.tools import mcp  # noqa: PLC0415 - as in `_of_server`

    servers = ", ".join(mcp.servers(settings))
    told = "-t {name}: there is no variable {name}."
    if servers:
        told = (
            "-t {name}: there is no variable {name}, and no such MCP server; there are: {servers}."
        )
    return UsageError(Text(told, name=name, servers=shorten(servers, MOST_ASKED)))


def mcp_words(tool: Tool) -> frozenset[str]:
    """Return what a person may call the tool of a server by."""
    remote: Any = tool.function
    return frozenset([remote.server.name, f"{remote.server.name}.{remote.tool}"])


def _of_server(name: str, settings: Snapshot, shell: Any) -> list[Tool]:
    """Return the tools of an MCP server, or none where there is no server of this name."""
    from openhands_llm_magic.llm.tools import mcp  # noqa: PLC0415 - a cell without it imports less

    server, _ = mcp.split(name, entries := mcp.servers(settings))
    if server not in entries:
        return []
    say = language.cell_words()
    with display.StatusLine(shell) as status:

        def watch(took_s: float) -> None:
            if took_s >= 1:
                told = "starting the MCP server {name} … {seconds} s"
                status.show(say(told, name=server, seconds=int(took_s)))

        found = mcp.tools_named(name, settings, watch)
        status.end(say("the MCP server {name} has started", name=server))
    return found


def _kind(tool: Tool) -> tuple[str, object]:
    """Return what tells a function from others; one that is defined anew is the same code."""
    return tool.name, getattr(tool.function, "__code__", tool.function)


class Answering:
    """Answers the calls of one cell: runs them, or refuses them.

    Args:
        tools: The functions of the cell.
        by_name: The names of those that are called without a question.
        always: What the person allows for the session, to which "always" adds.
        can_ask: Whether there is a person who can be asked.
        limit_chars: Characters of a result that can be used.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        by_name: Collection[str],
        always: list[object],
        *,
        can_ask: bool,
        limit_chars: int,
    ) -> None:
        self._always = always
        self._can_ask = can_ask
        self._limit_chars = limit_chars
        self._allowed = {
            each.name: True for each in tools if each.name in by_name or _kind(each) in always
        }

    def require_allowed(self, named: Named) -> None:
        """Refuse functions of which nobody can be asked, before anything is sent and paid for.

        Raises:
            UsageError: There is one.
        """
        left = [each.name for each in named.tools if each.name not in self._allowed]
        names = named.shortest(left)
        if names and not self._can_ask:
            told = (
                "nobody can be asked here whether {names} may be called: {options} allows it by"
                " name. Nothing was sent."
            )
            options = " ".join(f"--yes {name}" for name in names)
            raise UsageError(Text(told, names=", ".join(names), options=f"`{options}`"))

    def __call__(self, call: Call) -> None:
        """Call a function, or refuse it.

        Raises:
            KeyboardInterrupt: The person has interrupted the question or the function.
        """
        name = call.tool.name
        if name not in self._allowed and self._can_ask:
            self._allowed[name] = self._asked(call)
        if self._allowed.get(name):
            call.run(partial(_written, name, self._limit_chars))
        else:
            call.refuse(REFUSED if self._can_ask else NOBODY)

    def _asked(self, call: Call) -> bool:
        """Ask the person whether a function may be called in this cell."""
        say = language.cell_words()
        asked = call.asked
        words = wording.call_words(asked.name, asked.arguments, MOST_ASKED)
        shown = sanitize.to_plain(on_one_line(words))
        question = say("Call {call}? (run / always / no)", call=shown) + " "
        while True:
            try:
                answer = input(question).strip().lower()
            except (EOFError, NotImplementedError):  # it is over, or was never there
                return False
            if answer in ALWAYS:
                self._always.append(_kind(call.tool))
            if answer in RUN | ALWAYS | NO:
                return answer not in NO


def can_ask(shell: Any) -> bool:
    """Tell whether somebody watches the cell who can type an answer."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return sys.stdin is not None and sys.stdin.isatty()
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def _written(name: str, limit_chars: int, value: object) -> str:
    """Write what a function has returned: JSON where it can be, else as a prompt has it."""
    text = as_json(value)
    return values.written(name, value, limit_chars=limit_chars).text if text is None else text
