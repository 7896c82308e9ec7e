"""The command `openhands-llm-magic`: each sub-command is a function and its lines in `_parser`."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import shlex
import shutil
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from openhands_llm_magic.errors import Text, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.practice.server import PracticeServer
    from openhands_llm_magic.llm.worker import Runs
    from openhands_llm_magic.notebook.probe_magic import Gathered

PROGRAM = "openhands-llm-magic"
DEFAULT_PORT = 8765
HIGHEST_PORT = 65535
LONGEST_QUOTE = 60
"""Characters of what was typed that a mistake quotes."""

MOST_DAYS = 36_500
BY = ("model", "day", "notebook", "group", "outcome", "source")
"""What `usage` sums up by."""

WILL_DO = ("yes", "with a setting")
"""The verdicts of a model that will do."""

PORT_REFUSED = {
    errno.EADDRINUSE: Text("another program uses it"),
    errno.EACCES: Text("only an administrator may use it"),
}
"""Why a port cannot be listened on."""

KEY_VARIABLE = "PRACTICE_API_KEY"
"""Holds the key that the practice provider is to ask for."""


class _Parser(argparse.ArgumentParser):
    """A parser that speaks a person's language, which is looked up when there is a word to say."""

    def format_help(self) -> str:
        """Write the help."""
        self.formatter_class = _formatter()
        return super().format_help()

    def format_usage(self) -> str:
        """Write how the command is called."""
        self.formatter_class = _formatter()
        return super().format_usage()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read the arguments; one that its type refuses ends the process, as argparse has it."""
        try:
            return super().parse_known_args(args, namespace)
        except UsageError as error:
            self._refuse(error.text)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, as argparse calls this for, and end the process."""
        from openhands_llm_magic.notebook.arguments import mistake  # noqa: PLC0415 - for an error alone

        self._refuse(mistake(message))

    def _refuse(self, mistake: Text) -> NoReturn:
        from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

        self.print_usage(sys.stderr)
        self.exit(
            2, f"{self.prog}: {Text('error: {mistake}', mistake=mistake).worded(script_words())}\n"
        )


def _formatter() -> Any:
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook.option_help import Formatter  # noqa: PLC0415 - for help alone

    return partial(Formatter, script_words())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: The arguments after the program's name; None takes those of the process.

    Raises:
        SystemExit: The arguments are wrong (status 2), or help was asked for (status 0).
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # it may not have all letters of a name
    parser = _parser()
    args = parser.parse_args(argv)
    if args.version:
        from importlib.metadata import version  # noqa: PLC0415 - costs more than all else here

        print(f"{PROGRAM} {version(PROGRAM)}")
        return 0
    if "run" not in args:
        parser.print_help()
        return 0
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads it has read enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    """Make the parser of the command line, in which each command has the function that runs it."""
    parser = _Parser(prog=PROGRAM, description=Text("Helpers for the language model of OpenHands."))
    of_version = Text("print the version and exit")
    parser.add_argument("--version", action="store_true", help=of_version)
    commands = parser.add_subparsers(title=Text("commands"), metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], about: Text) -> argparse.ArgumentParser:
        made = commands.add_parser(run.__name__, help=about, description=about)
        made.set_defaults(run=run)
        return made

    path = Text("the config file (default: the one that applies in this folder)")
    about = Text(
        "Say what is wrong with config.toml and the LLM_* variables, and what to write instead."
        " What the settings page of OpenHands stores is not looked at."
    )
    command(check, about).add_argument("path", nargs="?", metavar="PATH", help=path)
    about = Text(
        "Find out with a few requests whether a model will do for OpenHands; they cost what"
        " prompts cost. The exit status is 0 if each model that is named will do for each version"
        " of OpenHands, if need be with a setting, and else 1."
    )
    _add_probe_options(command(probe, about))
    about = Text("Let a project's config file decide where prompts and keys go, as it is now.")
    command(trust, about).add_argument("path", nargs="?", metavar="PATH", help=path)
    about = Text("Trust a config file no longer.")
    command(untrust, about).add_argument("path", nargs="?", metavar="PATH", help=path)
    command(trusted, Text("List the config files that are trusted."))
    about = Text(
        "Load the magics at the start of every IPython and kernel of this environment, or no longer"
        " (on, off), or say whether that is so (status, whose exit status is 1 if it is not)."
    )
    _add_autoload_options(command(autoload, about))
    about = Text("Show what requests have cost: today and this month, or a period by model or day.")
    _add_usage_options(command(usage, about))
    about = Text(
        "Run the practice provider, a server for trying things out that is not a language model."
    )
    _add_practice_options(command(practice, about))
    return parser


def check(args: argparse.Namespace) -> int:
    """Print what is wrong with the config file and the environment; return 1 if anything is."""
    from openhands_llm_magic.config import check as checker  # noqa: PLC0415 - this command's alone
    from openhands_llm_magic.config.resolve import absolute  # noqa: PLC0415 - as above
    from openhands_llm_magic.errors import ConfigFileError  # noqa: PLC0415 - as above
    from openhands_llm_magic.llm.openhands import sent  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

    say = script_words()
    try:
        findings = sent.checked(args.path)
    except ConfigFileError as error:
        print(f"{PROGRAM} check: {error.text.worded(say)}", file=sys.stderr)
        return 1
    file = checker.file_in_use(os.environ) if args.path is None else absolute(args.path)
    print(checker.report(findings, file, say))
    return int(any(finding.is_problem for finding in findings))


def trust(args: argparse.Namespace) -> int:
    """Trust a config file, and print what it names; return 1 if it cannot be read or kept."""
    from openhands_llm_magic.config import trusted as files  # noqa: PLC0415 - this command's alone

    return _on_file(args, lambda file: files.told(files.trust(file)))


def untrust(args: argparse.Namespace) -> int:
    """Trust a config file no longer; return 1 if that cannot be kept."""
    from openhands_llm_magic.config import trusted as files  # noqa: PLC0415 - this command's alone

    return _on_file(args, files.untrusted)


def trusted(_args: argparse.Namespace) -> int:
    """Print the config files that are trusted."""
    from openhands_llm_magic.config import trusted as files  # noqa: PLC0415 - this command's alone
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

    say = script_words()
    lines = [*map(files.told, files.listed())] or [files.NOTHING]
    print("\n".join(line.worded(say) for line in lines))
    return 0


def _on_file(args: argparse.Namespace, change: Callable[[str], Text]) -> int:
    """Print what a change of trust in the file that is named, or in use, has come to."""
    from openhands_llm_magic.config import check as checker  # noqa: PLC0415 - as above
    from openhands_llm_magic.errors import SettingError, Text  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

    say = script_words()
    name, file = args.run.__name__, args.path or checker.file_in_use(os.environ)
    if file is None:
        here = Text("there is no config.toml here.")
        print(f"{PROGRAM} {name}: {here.worded(say)}", file=sys.stderr)
        return 1
    try:
        print(change(str(file)).worded(say))
    except SettingError as error:
        print(f"{PROGRAM} {name}: {error.text.worded(say)}", file=sys.stderr)
        return 1
    return 0


def autoload(args: argparse.Namespace) -> int:
    """Write or remove the startup file, or tell of it; return 1 if that fails, or none loads us."""
    from openhands_llm_magic.errors import SettingError  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook import autoload as startup  # noqa: PLC0415 - imports IPython
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

    say, loads = script_words(), True
    try:
        if args.action == "status":
            lines, loads = startup.status([args.scope] if args.scope else startup.SCOPES)
        else:
            switch = startup.switch_on if args.action == "on" else startup.switch_off
            lines = switch(args.scope or startup.SCOPES[0])
    except SettingError as error:
        print(f"{PROGRAM} autoload: {error.text.worded(say)}", file=sys.stderr)
        return 1
    print("\n".join(line.worded(say) for line in lines))
    return int(not loads)


def _add_autoload_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("action", choices=("on", "off", "status"))
    scope = made.add_mutually_exclusive_group()
    of = {
        "sys-prefix": Text("the file of this environment (default)"),
        "user": Text("the file of yours, in any environment"),
    }
    for name, about in of.items():
        scope.add_argument(f"--{name}", dest="scope", action="store_const", const=name, help=about)


def usage(args: argparse.Namespace) -> int:
    """Print what requests have cost; return 1 if that cannot be read, or the file not be written.

    A ledger that is off cannot be read, either.
    """
    from openhands_llm_magic.config.resolve import load_settings  # noqa: PLC0415 - as above
    from openhands_llm_magic.errors import LLMMagicError, UsageError  # noqa: PLC0415 - as above
    from openhands_llm_magic.llm.spending import export, summary  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook import usage_table  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

    say, now_s = script_words(), time.time()
    try:
        if args.force and args.csv is None:
            raise UsageError("--force goes with --csv: it writes over a file.")
        settings = load_settings()
        ledger = summary.ledger_in_use(settings)
        if not (args.by or args.days or args.all or args.csv):
            shown = usage_table.overview(settings, ledger, now_s, say, session=False)
            print("\n\n".join(each.text for each in shown))
            return 0
        period = summary.this_month(now_s)
        if args.days:
            period = summary.last_days(args.days, now_s)
        elif args.all:
            period = summary.everything()
        by = args.by or usage_table.DEFAULT_BY
        found = summary.rows(ledger, period, by)
        print(usage_table.summed(found, period, by, say).text)
        if args.csv is not None:
            print(export.write_csv(args.csv, found, by, over=args.force).worded(say))
    except LLMMagicError as error:
        print(f"{PROGRAM} usage: {error.text.worded(say)}", file=sys.stderr)
        return 1
    return 0


def _add_usage_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--by", choices=BY, help=Text("what to sum up by (default: model)"))
    period = made.add_mutually_exclusive_group()
    days = Text("the last N days, today included (default: this month)")
    period.add_argument("--days", type=_days, metavar="N", help=days)
    period.add_argument("--all", action="store_true", help=Text("all that is kept"))
    file = Text("write it to this file, too, which must not exist yet")
    made.add_argument("--csv", metavar="FILE", help=file)
    made.add_argument("--force", action="store_true", help=Text("write over the file of --csv"))


def probe(args: argparse.Namespace) -> int:
    """Print whether models will do for OpenHands; return 1 unless each will for each version."""
    from openhands_llm_magic.config.resolve import load_settings  # noqa: PLC0415 - as above
    from openhands_llm_magic.config.settings import BUDGETS  # noqa: PLC0415 - as above
    from openhands_llm_magic.errors import LLMMagicError  # noqa: PLC0415 - as above
    from openhands_llm_magic.llm.probe import page  # noqa: PLC0415 - as above
    from openhands_llm_magic.llm.probe.run import probe_each  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook import probe_magic, probe_table  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

    say = script_words()
    given = {name: value for name, value in vars(args).items() if value not in (None, False)}
    try:
        probe_magic.require_fitting(given)
        budgets = dict.fromkeys(BUDGETS) if args.over_budget else {}
        models = [{"model": each} for each in args.models or ()] or [{}]
        settings = [
            load_settings(group=args.group).with_overrides(each | budgets) for each in models
        ]
        extent = probe_magic.extent_of(given)
        for each in probe_magic.estimated(settings, extent):
            print(probe_table.estimated(each).worded(say), file=sys.stderr)
        gathered = probe_magic.Gathered(settings, extent)
        was_stopped = _watched(probe_each(settings, extent), gathered, say)
        reports = gathered.reports
        width = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
        shown = probe_magic.shown_as_table(reports, say, width).text
        print(probe_magic.as_json(reports) if args.json else shown)
        if args.report:
            told = page.write_page(args.report, page.page_of(reports), over=args.force)
            print(told.worded(say), file=sys.stderr)
        elif args.report is not None:
            print(page.page_of(reports), end="")
        if not args.json and args.report is None:
            for line in probe_magic.advice_below(settings):
                print(line.worded(say))
    except LLMMagicError as error:
        print(f"{PROGRAM} probe: {error.text.worded(say)}", file=sys.stderr)
        return 1
    if was_stopped:
        print(f"{PROGRAM} probe: {say('stopped')}", file=sys.stderr)
    answers = [verdict.answer for report in reports for verdict in report.verdicts]
    return int(was_stopped or any(each not in WILL_DO for each in answers))


def _watched(runs: Runs, gathered: Gathered, say: Say) -> bool:
    """Take what comes of probes, and tell a terminal how far they are.

    Returns:
        Whether Ctrl-C has stopped them; what had come by then is kept.
    """
    was_stopped = False
    while True:
        try:
            while not runs.ended:
                for event in runs.take():
                    if gathered.take(event) is None:
                        _tell(gathered.progress(say))
            break
        except KeyboardInterrupt:
            runs.control.cancel()
            if was_stopped:
                break
            was_stopped = True
    _tell("")
    return was_stopped


def _tell(words: str) -> None:
    """Write over the line of a terminal that tells how far the work is."""
    if sys.stderr.isatty():
        fitting = words[: shutil.get_terminal_size().columns - 1]  # one that wraps would stay
        print(f"\r\x1b[K{fitting}", end="", file=sys.stderr, flush=True)


def _add_probe_options(made: argparse.ArgumentParser) -> None:
    model = Text("the model (default: that of the settings); several -m are shown side by side")
    made.add_argument("-m", "--model", dest="models", action="append", metavar="MODEL", help=model)
    group = Text("use the settings of [llm.NAME]")
    made.add_argument("-g", "--group", metavar="NAME", help=group)
    full = Text("ask also what fills a context of 32,768 tokens: one request of 26,000 tokens more")
    made.add_argument("--full", action="store_true", help=full)
    repeat = Text(
        "ask N times what the model may do otherwise the next time, and tell how often it held"
    )
    made.add_argument("--repeat", type=_repeats, metavar="N", help=repeat)
    made.add_argument("--json", action="store_true", help=Text("print the result as JSON"))
    report = Text(
        "print a page of Markdown that shares the set-up without keys and private hosts, or write"
        " it to FILE, which must not exist yet"
    )
    made.add_argument("--report", nargs="?", const="", metavar="FILE", help=report)
    made.add_argument("--force", action="store_true", help=Text("write over the file of --report"))
    over = Text("send this even where a limit of what is spent would not let it pass")
    made.add_argument("--over-budget", action="store_true", help=over)


def practice(args: argparse.Namespace) -> int:
    """Run the practice provider until the person presses Ctrl-C."""
    from openhands_llm_magic.llm.practice.server import PracticeServer  # noqa: PLC0415 - imports asyncio
    from openhands_llm_magic.notebook.language import script_words  # noqa: PLC0415 - as above

    say, server = script_words(), PracticeServer(port=args.port, key=os.environ.get(KEY_VARIABLE))
    try:
        server.start()
    except OSError as error:
        told = Text(
            "cannot listen on port {port} ({reason}). Choose another one with --port, or let"
            " --port 0 choose.",
            port=args.port,
            reason=PORT_REFUSED.get(error.errno or 0) or os.strerror(error.errno or 0),
        )
        print(f"{PROGRAM} practice: {told.worded(say)}", file=sys.stderr)
        return 1
    with server:
        try:
            print(_how_to_use(server, say), flush=True)
            while server.alive:
                time.sleep(1)  # not a join, which Ctrl-C cannot end on Windows
        except KeyboardInterrupt:
            print(f"\n{say('The practice provider has stopped.')}")
    return 0


def _add_practice_options(made: argparse.ArgumentParser) -> None:
    port = Text("the port to listen on; 0 takes a free one (default: {port})", port=DEFAULT_PORT)
    made.add_argument("--port", type=_port, default=DEFAULT_PORT, metavar="N", help=port)
    told = (
        "The API key to ask for is a new random one, or what {variable} holds: other people on"
        " this machine can read a command line."
    )
    made.epilog = Text(told, variable=KEY_VARIABLE)
    made.add_argument("--key", type=_no_key, help=argparse.SUPPRESS)


def _how_to_use(server: PracticeServer, say: Say) -> str:
    from openhands_llm_magic.config.providers import PROVIDERS  # noqa: PLC0415 - as in `practice`
    from openhands_llm_magic.llm.practice import embeddings as practice_embeddings  # noqa: PLC0415 - as in `practice`
    from openhands_llm_magic.llm.practice.models import MODELS  # noqa: PLC0415 - as in `practice`
    from openhands_llm_magic.llm.practice.routes import can_stand_in  # noqa: PLC0415 - as above

    abouts = {name: model.about for name, model in MODELS.items()}
    abouts[practice_embeddings.MODEL] = practice_embeddings.ABOUT
    addresses = "\n".join(
        f"  {name:{max(map(len, PROVIDERS))}}  {server.base_url_for(name)}"
        for name in filter(can_stand_in, PROVIDERS)
    )
    width = max(map(len, abouts))
    models = "\n".join(f"  {name:{width}}  {say(about)}" for name, about in abouts.items())
    facts = {"base_url": server.base_url, "key": server.key, "shell_key": shlex.quote(server.key)}
    facts |= {"toml_url": json.dumps(server.base_url), "toml_key": json.dumps(server.key)}
    return say(HOW_TO_USE, models=models, addresses=addresses, **facts)


HOW_TO_USE = """\
The practice provider is running. It is not a language model: its answers are fixed.

  base URL  {base_url}
  API key   {key}

For OpenHands' CLI of today:

  export LLM_MODEL=openai/agent LLM_BASE_URL={base_url} LLM_API_KEY={shell_key}
  openhands --headless --override-with-envs -t 'Run the command `ls`.'

For OpenHands 0.41, put this into config.toml:

  [llm]
  model = "openai/echo"
  base_url = {toml_url}
  api_key = {toml_key}

In place of "agent" or "echo":

{models}

It speaks as a provider does at these addresses, where any name of a model will do; with
/as/rate-limited after the provider's name, each model there is rate limited:

{addresses}

Only programs on this machine reach it. Ctrl-C ends it."""


def _port(text: str) -> int:
    """Return the port number in a text.

    Raises:
        UsageError: There is none.
    """
    is_number = text.isdecimal() and len(text) <= len(str(HIGHEST_PORT))
    if not is_number or int(text) > HIGHEST_PORT:
        told = "--port takes a whole number from 0 to {highest}, not {given}."
        raise UsageError(Text(told, highest=HIGHEST_PORT, given=repr(text[:LONGEST_QUOTE])))
    return int(text)


def _days(text: str) -> int:
    """Return the number of days in a text."""
    from openhands_llm_magic.notebook.arguments import number  # noqa: PLC0415 - as above

    return number("--days", MOST_DAYS, text)


def _repeats(text: str) -> int:
    """Return the number of times in a text."""
    from openhands_llm_magic.notebook.arguments import number  # noqa: PLC0415 - as above
    from openhands_llm_magic.notebook.probe_magic import MOST_REPEATS  # noqa: PLC0415 - as above

    return number("--repeat", MOST_REPEATS, text)


def _no_key(_: str) -> str:
    """Refuse a key on the command line; the error does not quote it.

    Raises:
        UsageError: Always.
    """
    told = (
        "other people on this machine can read a command line: set {variable} to the key"
        " instead, or leave it out for a random one"
    )
    raise UsageError(Text(told, variable=KEY_VARIABLE))
