"""`%llm_probe`: whether a model will do for OpenHands, found out with a few requests."""
# ruff: noqa: PLC0415 - Tab reads this for its options, so what else it needs is imported on use

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.settings import BUDGETS
from openhands_llm_magic.errors import Stopped, Text, UsageError
from openhands_llm_magic.llm.worker import OfRun
from openhands_llm_magic.notebook import arguments, scope
from openhands_llm_magic.notebook.asking import Interrupts
from openhands_llm_magic.notebook.buttons import Waits
from openhands_llm_magic.notebook.config_magic import advice_on
from openhands_llm_magic.notebook.language import cell_words, print_texts
from openhands_llm_magic.notebook.line import words as split_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.probe.result import Report, Result
    from openhands_llm_magic.llm.probe.run import Estimate, Extent
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.buttons import Clicks
    from openhands_llm_magic.notebook.probe_table import Shown
    from openhands_llm_magic.notebook.view.display import View

HELP = Text("""Find out whether a model will do for OpenHands, before a task of hours does.

    %llm_probe                     the model in force
    %llm_probe -m MODEL            another one; practice/agent needs no account
    %llm_probe -m MODEL -m MODEL   several, side by side
    %llm_probe -g NAME             with the settings of [llm.NAME]
    %llm_probe --full              also what fills a context of 32,768 tokens
    %llm_probe --repeat N          ask N times what the model may do otherwise the next time
    %llm_probe -o NAME             store the result in this variable, of several models a list
    %llm_probe --json              print it as JSON, of several models a list
    %llm_probe --report [FILE]     print a page to share the set-up, or write it to a new file;
                                   --force writes over one
    %llm_probe --over-budget       also where a limit of what is spent would not let it pass

It asks the server for the size of the context, whether the model is loaded, and whether it is said
to call functions, and then the model for what OpenHands asks of it, with the names and parameters
of its tools: a call of a function, the result and the end of the task, an exact edit in a file with
tabs, a file full of quotes and backslashes, a call that is written into the text up to a stop word,
a history with a broken call, what stands at the beginning of 9,000 tokens, the same again from a
cache, and the parameters that the SDK adds. In all that is up to 11 requests and fewer than 30,000
tokens, without what a model thinks; --full adds one request of 26,000 tokens. What all of it can
cost is held against the limits before the first request. Each takes the way of a prompt: retries,
limits, budgets and the ledger count. An answer is limited to 4,096 tokens unless max_output_tokens
is set.

A verdict for OpenHands 0.41 and one for its current SDK come first. The table says of each failure
what the model did, and the lines below it what OpenHands would make of it and what cures it. The
seconds to the first token and the tokens a second are medians; the latter is measured after the
first token, in answers of 20 tokens or more.

With --repeat a probe has a rate, such as 2 of 3. A model's way of calling functions has to hold
each time, or else the model will hardly do; an edit, a file and the end of a task half of the
times. Models at one host are asked one after the other, those of several at the same time.

The page of --report is what OpenHands' documentation asks for: settings, verdicts and the table in
Markdown, in English, without keys, paths and private hosts.
""")


MOST_REPEATS = 20


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser of the line's options."""
    made = arguments.Parser(prog="%llm_probe", add_help=False, allow_abbrev=False)
    made.add_argument("-m", "--model", action="append", metavar="MODEL")
    made.add_argument("-g", "--group", metavar="NAME")
    made.add_argument("--full", action="store_true", default=None)
    number = functools.partial(arguments.number, "--repeat", MOST_REPEATS)
    made.add_argument("--repeat", type=number, metavar="N")
    made.add_argument("-o", "--out", metavar="NAME")
    made.add_argument("--json", action="store_true", default=None)
    made.add_argument("--report", nargs="?", const="", metavar="FILE")
    made.add_argument("--force", action="store_true", default=None)
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
    from openhands_llm_magic.notebook import probe_table

    variables = scope.variables_of(shell, local)
    given = _options_of(line, variables.own)
    snapshots = _settings_of(given, settings, {**shell.user_ns, **local}, variables.own)
    extent = extent_of(given)
    estimates = estimated(snapshots, extent)
    if "json" not in given:
        print_texts(*map(probe_table.estimated, estimates))
    with Interrupts(in_kernel=hasattr(shell, "kernel")) as interrupts:
        watched = _Watched(snapshots, extent, shell, clicks, clock)
        reports, was_stopped = watched.run(interrupts)
        if "out" in given:
            shell.user_ns[given["out"]] = reports if len(reports) > 1 else reports[0]
        _show(reports, given, shell)
        if "json" not in given and "report" not in given:
            print_texts(*advice_below(snapshots))
        if was_stopped:
            raise Stopped("stopped before all probes were made.")


def _options_of(line: str, own: Mapping[str, object]) -> dict[str, Any]:
    """Read a line; those options that are there, by name.

    Raises:
        UsageError: The line cannot be read.
    """
    made = parser()
    given = arguments.read(split_words(line, arguments.flags_of(made)), made)
    arguments.lift_limits(given)
    for name in {"out", "group", "report"} & given.keys():
        given[name] = arguments.put_in(given[name], own, f"--{name}")
    if "out" in given:
        arguments.require_name(given["out"])
    require_fitting(given)
    return given


def _settings_of(
    given: Mapping[str, Any],
    settings: LLMSettings,
    known: Mapping[str, object],
    own: Mapping[str, object],
) -> list[Snapshot]:
    """Return the settings of each model that the options name, or of the one in force.

    Raises:
        SettingError: A value is not one that its setting takes.
    """
    budgets = {name: given[name] for name in BUDGETS if name in given}
    models = [{"model": each} for each in given.get("model", ())] or [{}]
    return [
        settings.snapshot(arguments.settings_in(budgets | model, known, own), given.get("group"))
        for model in models
    ]


def require_fitting(given: Mapping[str, Any]) -> None:
    """Refuse options that do not go together, and a file that could not be written.

    Raises:
        UsageError: One of these.
    """
    from openhands_llm_magic.llm.probe import page

    if "force" in given and not given.get("report"):
        raise UsageError("--force goes with --report FILE: it writes over a file.")
    if "json" in given and given.get("report") == "":
        raise UsageError("--report and --json both print: name a file for the page.")
    if given.get("report"):
        page.require_free(given["report"], over="force" in given)


def extent_of(given: Mapping[str, Any]) -> Extent:
    """Return how much is probed."""
    from openhands_llm_magic.llm.probe.run import Extent

    return Extent(given.get("full", False), given.get("repeat", 1))


def estimated(snapshots: Sequence[Snapshot], extent: Extent) -> list[Estimate]:
    """Reckon what the probes of each model take at most, which has to keep within the limits.

    Raises:
        OverBudgetError: It could pass one.
        SettingError: No request can be made of the settings.
    """
    from openhands_llm_magic.llm.probe.run import estimate, require_room

    found = [estimate(each, extent) for each in snapshots]
    require_room(snapshots[0], found)
    return found


def shown_as_table(reports: Sequence[Report], say: Say, width: int = 0) -> Shown:
    """Show reports: one with its verdicts above the table, several side by side in `width`."""
    from openhands_llm_magic.notebook import probe_table

    if len(reports) > 1:
        return probe_table.side_by_side(reports, say, width)
    return probe_table.shown(reports[0], say)


def advice_below(settings: Sequence[Snapshot]) -> list[Text]:
    """Say what to set where retries do not outlast what was seen, of which of several models."""
    lines = {each.model: advice_on(each) for each in settings}
    if len(lines) == 1:
        return next(iter(lines.values()))
    return [
        Text("{title}: {what}", title=model, what=line)
        for model, told in lines.items()
        for line in told
    ]


def as_json(reports: Sequence[Report]) -> str:
    """Write reports as JSON: one by itself, several as a list."""
    data = [each.as_data() for each in reports]
    return json.dumps(data if len(data) > 1 else data[0], indent=2, ensure_ascii=False)


def show(reports: Sequence[Report], shell: Any) -> None:
    """Show what came as a table, in the person's language."""
    from openhands_llm_magic.notebook.view import display

    is_narrow = display.front_end(shell) == "terminal"
    width = shutil.get_terminal_size((0, 0)).columns if is_narrow else 0
    shown = shown_as_table(reports, cell_words(), width)
    display.show_both(shell, text=shown.text, html=shown.html)


def _show(reports: Sequence[Report], given: Mapping[str, Any], shell: Any) -> None:
    """Show what came, as a line asks for it.

    Raises:
        UsageError: The page cannot be written.
    """
    from openhands_llm_magic.llm.probe import page

    if "json" in given:
        print(as_json(reports))  # noqa: T201 - it is asked for
    else:
        show(reports, shell)
    if "report" not in given:
        return
    if given["report"]:
        told = page.write_page(given["report"], page.page_of(reports), over="force" in given)
        if "json" not in given:
            print_texts(told)
    else:
        print(page.page_of(reports), end="")  # noqa: T201 - to be copied


class _Watched:
    """The runs of all probes, and what is shown while they go on."""

    def __init__(
        self,
        settings: Sequence[Snapshot],
        extent: Extent,
        shell: Any,
        clicks: Clicks,
        clock: Clock | None,
    ) -> None:
        from openhands_llm_magic.llm.probe.run import probe_each
        from openhands_llm_magic.llm.reply import ReplyBuilder
        from openhands_llm_magic.llm.worker import SYSTEM_CLOCK

        self._settings = settings
        self._shell = shell
        self._clicks = clicks
        self._clock = clock or SYSTEM_CLOCK
        self._running = probe_each(settings, extent, self._clock)
        several = Text("{count} models", count=len(settings)).worded(cell_words())
        self._names = settings[0].model if len(settings) == 1 else several
        self._builder = ReplyBuilder(self._names)
        self._gathered = Gathered(settings, extent)

    def run(self, interrupts: Interrupts) -> tuple[list[Report], bool]:
        """Make the probes; return what came, and whether the person has stopped them."""
        from openhands_llm_magic.llm.reply import Reply
        from openhands_llm_magic.notebook.view import display

        where, control = display.front_end(self._shell), self._running.control
        with contextlib.closing(Waits(self._clicks, control, self._clock)) as waits:
            view = display.view_on(where, self._names, self._clock, waits)
            interrupts.watch(self._running, functools.partial(self._take, view=view), view)
            view.breakable = contextlib.nullcontext  # there is no text that takes long
            view.render(Reply())
            view.finish()
        return self._gathered.reports, control.cancelled

    def _take(self, event: Any, view: View) -> None:
        if (of_request := self._gathered.take(event)) is None:
            view.tell(self._gathered.progress(cell_words()))
            return
        self._builder.add(of_request)
        view.update(of_request, self._builder)


class Gathered:
    """What has come of the probes of several models so far.

    Args:
        settings: Those of each model.
        extent: How much is probed.
    """

    def __init__(self, settings: Sequence[Snapshot], extent: Extent) -> None:
        self._settings = settings
        self._extent = extent
        self._reports: dict[int, Report] = {}
        self._results: list[list[Result]] = [[] for _ in settings]
        self._now: list[Text | None] = [None for _ in settings]

    def take(self, event: Any) -> Any:
        """Take in an event of the runs; return it if it is one of a request, else None."""
        from openhands_llm_magic.llm.probe.result import Report
        from openhands_llm_magic.llm.probe.run import OfModel, ProbeBegan, ProbeEnded

        told = event.event if isinstance(event, OfRun) else None
        if not isinstance(told, OfModel):  # a run is over, or was left behind
            return None
        match told.event:
            case Report() as report:
                self._reports[told.number] = report
            case ProbeBegan(title=title):
                self._now[told.number] = title
            case ProbeEnded(result):
                self._results[told.number].append(result)
                self._now[told.number] = None
            case _:
                return told.event
        return None

    @property
    def reports(self) -> list[Report]:
        """The report of each model, also of one whose run was left behind."""
        return [self._reports.get(number) or self._cut_short(number) for number in self._numbers]

    @property
    def _numbers(self) -> range:
        return range(len(self._settings))

    def _cut_short(self, number: int) -> Report:
        from openhands_llm_magic.llm.probe.run import cut_short

        return cut_short(self._settings[number], self._extent, self._results[number])

    def progress(self, say: Say) -> str:
        """Say how far each model is, with its name where there are several."""
        from openhands_llm_magic.notebook import probe_table

        told = [
            probe_table.progress(self._results[number], self._now[number], say)
            for number in self._numbers
        ]
        if len(told) == 1:
            return told[0]
        return " · ".join(
            f"{settings.model} {words}"
            for settings, words in zip(self._settings, told, strict=True)
            if words
        )
