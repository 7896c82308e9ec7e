"""What came of a prompt to several models: a list of replies that shows itself as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import on_one_line
from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook import language, wording
from openhands_llm_magic.notebook.view import table

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SAID = 60
"""Characters of an error in the table."""


class Replies(list[Reply]):
    """The reply of each model that was asked, in the order of the line.

    One that failed is there, too, with its `error`.
    """

    @property
    def text(self) -> list[str]:
        """The text of each."""
        return [reply.text for reply in self]

    @property
    def data(self) -> list[Any]:
        """What each is in its format."""
        return [reply.data for reply in self]

    def __repr__(self) -> str:
        """Return the table as text."""
        return table.as_text(*self._table(), "rlrrrl")

    def as_html(self) -> str:
        """Return the table as HTML."""
        return table.as_html(*self._table(), "rlrrrl")

    def _repr_html_(self) -> str:  # for an IPython without the magics
        return wording.without_math(self.as_html())

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        say = language.cell_words()
        told = (say("Model"), say("Time"), say("Tokens"), say("Cost"), say("Ended"))
        return ("", *told), [
            (
                str(number),
                on_one_line(reply.model),
                "" if reply.took_s is None else wording.seconds(reply.took_s, say),
                wording.tokens_words(reply, say) if reply.usage or reply.is_whole else "",
                wording.cost_words(reply, say) if _has_cost(reply) else "",
                _ended(reply, say),
            )
            for number, reply in enumerate(self)
        ]


def _has_cost(reply: Reply) -> bool:
    """Tell whether it may have cost something; a request that was refused has not."""
    return reply.is_whole or bool(reply.text) or reply.cost_usd is not None


def _ended(reply: Reply, say: language.Language) -> str:
    """Say how a reply ended: why the model stopped, or why there is no answer."""
    if reply.error is None:
        return reply.finish_reason or ""
    return shorten(reply.error.text.worded(say), MOST_SAID)
