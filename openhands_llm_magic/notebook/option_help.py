"""The help of `%llm` and `%%llm`, in the person's language: what people use first, and by topic."""

from __future__ import annotations

import argparse
import re
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import Text
from openhands_llm_magic.notebook.arguments import PROMPTS
from openhands_llm_magic.notebook.prompt_options import FIRST, KEPT, TITLES, by_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openhands_llm_magic.errors import Say

HELP = """Send a prompt to a language model and show the answer as it arrives.

    %%llm -m openai/gpt-4o -s "Answer in French."
    The prompt, as many lines as you like.

    answer = %llm What is a token?

`{{name}}` puts in a variable of the notebook, also as `{{rows[0]}}`, `{{obj.attr}}` or
`{{price:.2f}}`; a table goes in as Markdown, an image as an attachment. In the value of an option
it works, too. Other braces stay, and `{{{{name}}}}` gives `{{name}}`. Dollars stay, too.

The value is a `Reply`: `print(_)` shows its text, `_.usage` the tokens, `_.waits` the retries.
Rate limits and other passing faults are waited out under the retry settings, with a countdown;
the interrupt button ends a wait or an answer at once. `-m practice/echo` needs no account.
`%llm_config` shows the settings in force, `%llm_models` finds models.

{first}
More by topic: `%llm --help retries` explains those of a topic, `%llm --help all` all of them.
{further}
"""


SEVERAL = """Several `-m` ask several models at once, and show their answers side by side; several
`-g` do so with groups of settings. The value is then a list of replies. One that has failed has
an `error` and stops no other; the cell fails where none has answered. Code goes into no new cell
then, and `-c -m MODEL` goes on from the answer of one of them.
"""


def help_text(say: Say, topic: str = "") -> str:
    """Write the help of `%llm?` and `%%llm?`, or that of a topic's options, or of "all"."""
    topics = by_topic()
    if topic == "all" or topic in topics:
        shown = topics if topic == "all" else {topic: topics[topic]}
        titled = ((TITLES[each], actions) for each, actions in shown.items())
        return "\n".join(_section(title, actions, say) for title, actions in titled)
    every = [action for actions in topics.values() for action in actions]
    by_name = {action.dest: action for action in reversed(every)}
    first = [by_name[name] for name in FIRST]
    rest = {
        each: [action for action in actions if action not in first]
        for each, actions in topics.items()
        if each != KEPT
    }
    further = "\n".join(_listed(each, actions) for each, actions in rest.items() if actions)
    title = Text("Options that people use first")
    first_of_all = f"{say(SEVERAL)}\n{_section(title, first, say)}"
    return say(HELP, first=first_of_all, further=further)


OF_ARGPARSE = ("usage: ", "positional arguments", "options", "show this help message and exit")
"""What argparse writes itself."""


class Formatter(argparse.HelpFormatter):
    """Writes what options do in a language, whose letters may be wide and without spaces."""

    def __init__(self, say: Say, prog: str, **how: Any) -> None:
        super().__init__(prog, **how)
        self._say = say

    def add_usage(
        self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None
    ) -> None:
        """Add the line that shows how a command is called."""
        prefix = self._worded("usage: ") if prefix is None else prefix
        super().add_usage(usage, actions, groups, prefix)

    def add_text(self, text: str | None) -> None:
        """Add a paragraph."""
        super().add_text(text and self._worded(text))

    def start_section(self, heading: str | None) -> None:
        """Begin a list of options."""
        super().start_section(heading and self._worded(heading))

    def _worded(self, text: str) -> str:
        return text.worded(self._say) if isinstance(text, Text) else self._say(text)

    def _expand_help(self, action: argparse.Action) -> str:
        return self._worded(action.help or "")

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in self._split_lines(text, width))

    def _split_lines(self, text: str, width: int) -> list[str]:
        lines = [""]
        for piece in _PIECE.findall(text):
            if _columns(lines[-1] + piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
        return [line.rstrip() for line in lines]


_OPENING, _CLOSING = "（「『【", "）」』】、。，．：；！？"  # noqa: RUF001 - Japanese ones

_PIECE = re.compile(rf"[{_OPENING}]*(?:[!-~]+|[^\s{_OPENING}])[{_CLOSING}]*\s*|[{_OPENING}]+|\s+")
"""What no line is broken in: a Japanese letter or a Latin word, with the signs around it."""


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _section(title: Text, actions: Sequence[argparse.Action], say: Say) -> str:
    """Write what options do, one below the other."""
    formatter = Formatter(say, PROMPTS, max_help_position=28, width=100)
    formatter.start_section(title)
    formatter.add_arguments(actions)
    formatter.end_section()
    return formatter.format_help()


def _listed(topic: str, actions: Iterable[argparse.Action]) -> str:
    """Write the names of a topic's options."""
    long = (next(each for each in it.option_strings if each[:2] == "--") for it in actions)
    names = " ".join(long)
    return textwrap.fill(
        names, 100, initial_indent=f"  {topic:<10}", subsequent_indent=" " * 12,
        break_on_hyphens=False,
    )  # fmt: skip
