"""`%llm_usage`: what requests have cost, by model, day, notebook, group or outcome."""
# ruff: noqa: PLC0415 - Tab reads this for its options, so what else it needs is imported on use

from __future__ import annotations

import functools
import time
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm.spending import summary
from openhands_llm_magic.notebook import arguments, scope
from openhands_llm_magic.notebook.language import cell_words, print_texts
from openhands_llm_magic.notebook.line import words as split_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.spending.summary import Period, Row
    from openhands_llm_magic.notebook.usage_table import Shown

HELP = Text("""Show what requests have cost, and how many tokens they have taken.

    %llm_usage                     this session, today and this month, with the limits that are set
    %llm_usage --by day            this month by day; also model, notebook, group, outcome, source
    %llm_usage --days 7 --by day   the last seven days; also --session, --today, --month, --all
    %llm_usage --by day --plot     a picture of it, too; needs matplotlib
    %llm_usage --by day -o NAME    store it as a DataFrame in this variable; needs pandas
    %llm_usage --csv FILE          write it to a new file; --force writes over one
    %llm_usage --import [FOLDER]   read in what OpenHands has logged; see --by source
    %llm_usage --estimate [STEPS]  what a task would cost OpenHands with the model in force

Each row is about HTTP requests, of which a prompt that is retried makes several. Each ends as
answered, failed or stopped. Tokens are as the providers count them, the cached ones among those of
the prompts and the reasoning among those of the answers. A day is one where you are.

A cost is the provider's own figure, or by a price that you set; "about" is by LiteLLM's price list.
Where neither is known the number of such requests is told: that is not the same as nothing. A
server on this machine is "local". Limits count the most that an unknown cost can be. Bills of
providers may differ.
""")


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser of the line's options."""
    from openhands_llm_magic.llm.openhands.estimate import DEFAULT_STEPS, MOST_STEPS

    made = arguments.Parser(prog="%llm_usage", add_help=False, allow_abbrev=False)
    for name in ("session", "today", "month", "all"):
        made.add_argument(f"--{name}", dest="periods", action="append_const", const=name)
    made.add_argument(
        "--days", type=partial(arguments.number, "--days", summary.MOST_DAYS), metavar="N"
    )
    by = partial(arguments.one_of, tuple(summary.BY), "--by")
    made.add_argument("--by", type=by, metavar="|".join(summary.BY))
    made.add_argument("--plot", action="store_true", default=None)
    made.add_argument("--csv", metavar="FILE")
    made.add_argument("--force", action="store_true", default=None)
    made.add_argument("-o", "--out", metavar="NAME")
    made.add_argument("--import", dest="folder", nargs="?", const="", metavar="FOLDER")
    steps = partial(arguments.number, "--estimate", MOST_STEPS)
    made.add_argument("--estimate", nargs="?", type=steps, const=DEFAULT_STEPS, metavar="STEPS")
    return made


def run(
    line: str,
    shell: Any,
    settings: LLMSettings,
    local: Mapping[str, object] = MappingProxyType({}),
    now_s: float | None = None,
) -> None:
    """Run one `%llm_usage` line.

    Args:
        line: The line.
        shell: IPython.
        settings: They name the ledger and the limits.
        local: The variables of the function that the line stands in.
        now_s: The moment, in seconds since 1970; by default it is now.

    Raises:
        UsageError: The line cannot be read, or what it asks for cannot be made.
        SettingError: The ledger is off.
        LedgerError: It cannot be read.
    """
    made = parser()
    words = split_words(line, arguments.flags_of(made))
    if "--estimate" in words and not {"-m", "--model"}.isdisjoint(words):
        told = (
            "--estimate takes the model in force: set another with `%llm_config model=NAME` first."
        )
        raise UsageError(told)
    given = arguments.read(words, made)
    own = scope.variables_of(shell, local).own
    for name in {"out", "csv", "folder"} & given.keys():
        given[name] = arguments.put_in(given[name], own, f"--{name}")
    snapshot = settings.snapshot()
    match given:
        case {"folder": folder}:
            from openhands_llm_magic.llm.spending import openhands_log

            _require_alone("--import", given)
            print_texts(openhands_log.import_from(snapshot, folder))
        case {"estimate": steps}:
            from openhands_llm_magic.notebook import estimate

            _require_alone("--estimate", given)
            estimate.show_estimate(shell, snapshot, steps)
        case _:
            _sum_up(given, shell, snapshot, time.time() if now_s is None else now_s)


def _require_alone(option: str, given: Mapping[str, Any]) -> None:
    if len(given) > 1:
        raise UsageError(Text("{option} takes no other option beside it.", option=option))


def _sum_up(given: Mapping[str, Any], shell: Any, settings: Snapshot, now_s: float) -> None:
    """Show, store, draw and write what the ledger has, as a line says."""
    from openhands_llm_magic.llm.spending import export
    from openhands_llm_magic.notebook import usage_plot, usage_table

    if "out" in given:
        arguments.require_name(given["out"])
    if "force" in given and "csv" not in given:
        raise UsageError("--force goes with --csv: it writes over a file.")
    say, ledger = cell_words(), summary.ledger_in_use(settings)
    if not given:
        _show(shell, *usage_table.overview(settings, ledger, now_s, say))
        return
    by, period = given.get("by", usage_table.DEFAULT_BY), _period(given, now_s)
    found = summary.rows(ledger, period, by)
    frame = _frame(found, by) if "out" in given else None
    picture = usage_plot.drawn(found, period, by, say) if "plot" in given and found else None
    _show(shell, usage_table.summed(found, period, by, say))
    if picture is not None:
        usage_plot.publish(*picture)
    if "csv" in given:
        print_texts(export.write_csv(given["csv"], found, by, over="force" in given))
    if "out" in given:
        shell.user_ns[given["out"]] = frame


def _period(given: Mapping[str, Any], now_s: float) -> Period:
    """Return the period that is named, which is this month by default.

    Raises:
        UsageError: Several are named.
    """
    named = [*given.get("periods", ()), *(["days"] if "days" in given else [])]
    if len(set(named)) > 1:
        raise UsageError("name one period: --session, --today, --month, --days N or --all.")
    match named[:1]:
        case ["session"]:
            return summary.this_session()
        case ["today"]:
            return summary.today(now_s)
        case ["days"]:
            return summary.last_days(given["days"], now_s)
        case ["all"]:
            return summary.everything()
        case _:
            return summary.this_month(now_s)


def _show(shell: Any, *shown: Shown) -> None:
    from openhands_llm_magic.notebook.view import display

    text = "\n\n".join(each.text for each in shown)
    display.show_both(shell, text=text, html="".join(each.html for each in shown))


def _frame(found: Sequence[Row], by: str) -> Any:
    """Return rows as a DataFrame; a cost of which nothing is known is NaN.

    Raises:
        UsageError: There is no pandas.
    """
    from openhands_llm_magic.llm.spending import export

    try:
        import pandas as pd
    except ImportError:
        raise UsageError("-o needs pandas: run `%pip install pandas`.") from None
    frame = pd.DataFrame(export.records(found, by), columns=[by, *export.COLUMNS])
    return frame.astype({"cost_usd": float})
