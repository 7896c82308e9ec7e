"""`%llm_probe`: whether a model will do for OpenHands, found out with a few requests."""
# ruff: noqa: PLC0415 - Tab reads this for its options, so what else it needs is imported on use

from __future__ import annotations

import contextlib
import functools
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import Stopped, Text
from openhands_llm_magic.notebook import arguments, scope
from openhands_llm_magic.notebook.asking import Interrupts
from openhands_llm_magic.notebook.line import words as split_words
from openhands_llm_magic.notebook.wording import Waits, cell_words, print_texts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.probe.result import Report, Result
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.view.display import View
    from openhands_llm_magic.notebook.wording import Clicks

HELP = Text("""Find out whether a model will do for OpenHands, before a task of hours does.

    %llm_probe                     the model in force
    %llm_probe -m MODEL            another one; practice/agent needs no account
    %llm_probe -g NAME             with the settings of [llm.NAME]
    %llm_probe -o NAME             store the result in this variable
    %llm_probe --json              print it as JSON
    %llm_probe --over-budget       also where a limit of what is spent would not let it pass

It asks the server for the size of its context, and then the model for what OpenHands asks of it,
with the names and parameters of its tools: a call of a function, the result and the end of the
task, an exact edit in a file with tabs, a file full of quotes and backslashes, a call that is
written into the text up to a stop word, a history with a broken call, what stands at the beginning
of 9,000 tokens, the same again from a cache, and the parameters that the SDK adds. In all that is
up to 11 requests and about 25,000 tokens. Each takes the way of a prompt: retries, limits, budgets
and the ledger count. An answer is limited to 4,096 tokens unless max_output_tokens is set.

A verdict for OpenHands 0.41 and one for its current SDK come first. The table says of each failure
what the model did, and the lines below it what OpenHands would make of it and what cures it.
""")


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser of the line's options."""
    made = arguments.Parser(prog="%llm_probe", add_help=False, allow_abbrev=False)
    arguments.add_flag(made, SETTINGS["model"], "-m")
    made.add_argument("-g", "--group", metavar="NAME")
    made.add_argument("-o", "--out", metavar="NAME")
    made.add_argument("--json", action="store_true", default=None)
    arguments.add_over_budget(made)
    return made


def run(  # noqa: PLR0913 - those of all magics that ask
    line: str,
    shell: Any,
    settings: LLMSettings,
    clicks: Clicks,
    *,
    local: Mapping[str, object] = MappingProxyType({}),
    clock: Clock | None = None,
) -> None:
    """Run one `%llm_probe` line.

    Args:
        line: The line.
        shell: IPython.
        settings: The settings in force.
        clicks: What hears the buttons of a wait.
        local: The variables of the function that the line stands in.
        clock: Measures and makes the waits.

    Raises:
        UsageError: The line cannot be read.
        SettingError: No request can be made of the settings.
        Stopped: The person has stopped it; what came is shown and stored.
    """
    from openhands_llm_magic.llm.limits import advice, seen
    from openhands_llm_magic.llm.probe.run import estimate
    from openhands_llm_magic.notebook import probe_table
    from openhands_llm_magic.notebook.view import display

    made = parser()
    given = arguments.read(split_words(line, arguments.flags_of(made)), made)
    arguments.lift_limits(given)
    variables = scope.variables_of(shell, local)
    out = arguments.put_in(given.pop("out", None), variables.own, "--out")
    if out is not None:
        arguments.require_name(out)
    group = arguments.put_in(given.pop("group", None), variables.own, "--group")
    as_json = given.pop("json", False)
    values = arguments.settings_in(given, {**shell.user_ns, **local}, variables.own)
    snapshot = settings.snapshot(values, group)
    if not as_json:
        print_texts(probe_table.estimated(estimate(snapshot), snapshot.model))
    with Interrupts(in_kernel=hasattr(shell, "kernel")) as interrupts:
        report, was_stopped = _Watched(snapshot, shell, clicks, clock).run(interrupts)
        if out is not None:
            shell.user_ns[out] = report
        if as_json:
            print(json.dumps(report.as_data(), indent=2, ensure_ascii=False))  # noqa: T201 - it is asked for
        else:
            shown = probe_table.shown(report, cell_words())
            display.show_both(shell, text=shown.text, html=shown.html)
            print_texts(*advice.told(advice.advice(snapshot, seen.seen(snapshot))))
        if was_stopped:
            raise Stopped("stopped before all probes were made.")


class _Watched:
    """The run of all probes, and what is shown while it goes on."""

    def __init__(self, settings: Snapshot, shell: Any, clicks: Clicks, clock: Clock | None) -> None:
        from openhands_llm_magic.llm.events import ReplyBuilder
        from openhands_llm_magic.llm.probe.run import probe
        from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Control

        self._settings = settings
        self._shell = shell
        self._clicks = clicks
        self._clock = clock or SYSTEM_CLOCK
        self._control = Control()
        self._running = probe(settings, self._clock, self._control)
        self._builder = ReplyBuilder(settings.model)
        self._results: list[Result] = []
        self._report: Report | None = None

    def run(self, interrupts: Interrupts) -> tuple[Report, bool]:
        """Make the probes; return what came, and whether the person has stopped them."""
        from openhands_llm_magic.llm.events import Reply
        from openhands_llm_magic.llm.probe.result import Report
        from openhands_llm_magic.llm.probe.verdict import verdicts
        from openhands_llm_magic.notebook.view import display

        where, model = display.front_end(self._shell), self._settings.model
        with contextlib.closing(Waits(self._clicks, self._control, self._clock)) as waits:
            view = display.view_on(where, model, self._clock, waits)
            interrupts.watch(self._running, functools.partial(self._take, view=view), view)
            view.breakable = contextlib.nullcontext  # there is no text that takes long
            view.render(Reply())
            view.finish()
        if self._report is None:  # the run was left behind
            results = tuple(self._results)
            self._report = Report(model, results, verdicts(results, self._settings))
        return self._report, self._control.cancelled

    def _take(self, event: Any, view: View) -> None:
        from openhands_llm_magic.llm.probe.result import Report
        from openhands_llm_magic.llm.probe.run import ProbeBegan, ProbeEnded
        from openhands_llm_magic.notebook import probe_table

        say = cell_words()
        match event:
            case Report():
                self._report = event
            case ProbeBegan(title=title):
                view.tell(probe_table.progress(self._results, title, say))
            case ProbeEnded(result):
                self._results.append(result)
                view.tell(probe_table.progress(self._results, None, say))
            case _:
                self._builder.add(event)
                view.update(event, self._builder)
