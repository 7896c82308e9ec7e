"""A picture of what requests have cost, drawn by matplotlib where it is installed."""
# ruff: noqa: PLC0415 - matplotlib need not be there, and takes a second

from __future__ import annotations

import base64
import io
import warnings
from datetime import date, timedelta
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm.spending import summary
from openhands_llm_magic.notebook import usage_table
from openhands_llm_magic.notebook.language import Language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from openhands_llm_magic.llm.spending.summary import Period, Row

MOST_BARS = 20
"""Bars of models and the like that are drawn; the others become one."""

MOST_TOLD = 10
"""Bars of which the text in the picture's place tells."""

FONTS = (
    "Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", "TakaoPGothic", "VL Gothic",
    "Hiragino Sans", "Yu Gothic", "Meiryo", "MS Gothic",
)  # fmt: skip
"""Fonts with Japanese letters, which matplotlib's own has not."""

STYLE = {"text.usetex": False, "text.parse_math": False}
"""What keeps a dollar in a name from being taken for mathematics."""


def publish(png: bytes, told: str) -> None:
    """Show a picture, with words for whoever cannot see it."""
    from IPython.display import publish_display_data

    content = {"image/png": base64.b64encode(png).decode(), "text/plain": told}
    publish_display_data(content, {"image/png": {"alt": told}})


def drawn(rows: Sequence[Row], period: Period, by: str, say: Language) -> tuple[bytes, str]:
    """Return a picture of rows as PNG, and what it shows in words.

    Raises:
        UsageError: There is no matplotlib.
    """
    try:
        from matplotlib import font_manager, rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("--plot needs matplotlib: run `%pip install matplotlib`.") from None
    title = Text("{period}, {by}", period=period.title, by=usage_table.BY[by])
    told = _told(rows, title, by, say)
    fonts = [name for name in FONTS if name in font_manager.get_font_names()]
    if not fonts:
        say = Language("en")  # there would be boxes in the place of letters
    png = io.BytesIO()
    with warnings.catch_warnings(), rc_context({**STYLE, "font.family": ["DejaVu Sans", *fonts]}):
        warnings.simplefilter("ignore")  # of letters in a name that no font has
        figure = Figure(layout="constrained")
        if by == "day":
            _draw_days(figure, rows, say)
        else:
            _draw_bars(figure, rows, by, say)
        figure.suptitle(title.worded(say))
        figure.savefig(png, format="png", dpi=100)
    return png.getvalue(), told


def _told(rows: Sequence[Row], title: Text, by: str, say: Language) -> str:
    costs = [
        f"{usage_table.key_words(row.key, by, say)}: {usage_table.cost_words(row, say)}"
        for row in rows[:MOST_TOLD]
    ]
    costs += ["…"] if len(rows) > MOST_TOLD else []
    told = "A picture of the cost and the tokens, {title}: {costs}"
    return say(told, title=title.worded(say), costs="; ".join(costs))


def _draw_days(figure: Figure, rows: Sequence[Row], say: Language) -> None:
    """Draw a bar for each day; a question mark stands where more was spent than is known."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    figure.set_size_inches(9, 3.6)
    of_cost, of_tokens = figure.subplots(1, 2)
    days = [date.fromisoformat(row.key) for row in rows]
    labels = ["?" if row.unknown else "" for row in rows]
    of_cost.bar_label(of_cost.bar(days, [row.cost_usd or 0 for row in rows]), labels)
    input_tokens = [row.input_tokens for row in rows]
    of_tokens.bar(days, input_tokens, label=say("tokens in"))
    output_tokens = [row.output_tokens for row in rows]
    of_tokens.bar(days, output_tokens, bottom=input_tokens, label=say("tokens out"))
    for axes in (of_cost, of_tokens):
        axes.set_xlim(days[0] - timedelta(days=1), days[-1] + timedelta(days=1))
        locator = AutoDateLocator(minticks=1, maxticks=7)  # a day is the least between two
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    _title(of_cost, of_tokens, say)


def _draw_bars(figure: Figure, rows: Sequence[Row], by: str, say: Language) -> None:
    """Draw a bar for each row, the first on top, with its cost in words."""
    bars = [(usage_table.key_words(row.key, by, say), row) for row in rows[:MOST_BARS]]
    if rest := rows[MOST_BARS:]:
        bars.append((say("{count} more", count=f"{len(rest):,}"), summary.added(rest)))
    names, shown = zip(*bars, strict=True)
    costs = [usage_table.cost_words(row, say) for row in shown]
    figure.set_size_inches(9, 1.2 + 0.45 * len(bars))
    of_cost, of_tokens = figure.subplots(1, 2, sharey=True)
    places = range(len(bars))
    of_cost.barh(places, [row.cost_usd or 0 for row in shown])
    of_cost.set_yticks(places, [*map("{}\n{}".format, names, costs)])
    of_cost.invert_yaxis()
    input_tokens = [row.input_tokens for row in shown]
    of_tokens.barh(places, input_tokens, label=say("tokens in"))
    output_tokens = [row.output_tokens for row in shown]
    of_tokens.barh(places, output_tokens, left=input_tokens, label=say("tokens out"))
    _title(of_cost, of_tokens, say)


def _title(of_cost: Axes, of_tokens: Axes, say: Language) -> None:
    of_cost.set_title(say("US dollars"))
    of_tokens.set_title(say("tokens"))
    of_tokens.legend()
