"""`%llm_usage --estimate`: what a task would cost OpenHands with the model in force."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.explain import usd
from openhands_llm_magic.llm.openhands.estimate import DEFAULT_STEPS, estimates, notes
from openhands_llm_magic.notebook.language import cell_words, worded
from openhands_llm_magic.notebook.view import display, table

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.openhands.estimate import Estimate

ALIGNED = "lrrr"

CONVERTED = "{tokens}, tools in the prompt"
"""Said of a first request where the model is not given the tools as tools."""


def show_estimate(shell: Any, settings: Snapshot, steps: int = DEFAULT_STEPS) -> None:
    """Show what a task of so many steps would cost each version of OpenHands, and why."""
    say, found = cell_words(), estimates(settings, steps)
    headings = (
        say("version"),
        say("first request, tokens"),
        say("{steps} steps, no cache", steps=f"{steps:,}"),
        say("{steps} steps, cached", steps=f"{steps:,}"),
    )
    rows = [row(each, say) for each in found]
    said = worded([*notes(found, settings)], say)
    below = "".join(f"<p>{html.escape(note)}</p>" for note in said)
    display.show_both(
        shell,
        text="\n".join([table.as_text(headings, rows, ALIGNED), *said]),
        html=table.as_html(headings, rows, ALIGNED) + below,
    )


def row(task: Estimate, say: Say) -> tuple[str, ...]:
    """Return the cells of an estimate: version, first request, cost without and with a cache."""
    if task.refused or not task.fits:
        return (task.version.title, "-", "-", "-")
    first = f"{task.first_tokens:,}"
    shown = first if task.gives_tools else say(CONVERTED, tokens=first)
    if task.is_local:
        return (task.version.title, shown, say("local"), say("local"))
    cached = _range(task.cached_usd, say) if task.asks_for_cache else say("no cache")
    return (task.version.title, shown, _range(task.plain_usd, say), cached)


def _range(cost_usd: tuple[float, float] | None, say: Say) -> str:
    if cost_usd is None:
        return say("unknown")
    least, most = map(usd, cost_usd)
    return least if least == most else say("{least} to {most}", least=least, most=most)
