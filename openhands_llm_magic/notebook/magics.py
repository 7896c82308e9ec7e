"""What `%load_ext openhands_llm_magic` brings: the magics, each handing its line to its file.

Nothing is imported here that a session need not have before its first prompt or its first Tab.
"""
# ruff: noqa: PLC0415 - `%load_ext` is instant, so what a magic needs is imported when it is called

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from functools import cached_property, wraps
from importlib import import_module
from tokenize import DEDENT, INDENT
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.inputtransformer2 import EscapedCommand, TokenTransformBase, _find_assign_op
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.languages import of_cell
from openhands_llm_magic.errors import LLMMagicError, SettingError
from openhands_llm_magic.notebook.import_ahead import import_when_used
from openhands_llm_magic.notebook.line import narrow_magics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from tokenize import TokenInfo

    from IPython.core.interactiveshell import InteractiveShell

    from openhands_llm_magic.errors import Text
    from openhands_llm_magic.llm.conversations import Conversations
    from openhands_llm_magic.llm.probe.result import Report
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.asking import Asking
    from openhands_llm_magic.notebook.last_error import LastError
    from openhands_llm_magic.notebook.panel.panel import Panel
    from openhands_llm_magic.notebook.replies import Replies


def matcher(
    shell: InteractiveShell, settings: LLMSettings, chats: Callable[[], Iterable[str]]
) -> Callable[[Any], Any]:
    """Make the function that IPython asks for completions; `chats` names the conversations."""

    @context_matcher(identifier="openhands_llm_magic")
    def complete(context: Any) -> dict[str, object]:
        line, first_line = context.text_until_cursor, context.cursor_line == 0
        found = _found(line, first_line) if "%llm" in line else None
        if found is None:
            return {"completions": [], "suppress": False}
        fragment, words = found
        completions = [SimpleCompletion(text=word, type="param") for word in words]
        told = {"completions": completions, "matched_fragment": fragment}
        return {**told, "suppress": True, "ordered": True}

    def _found(line: str, first_line: bool) -> tuple[str, list[str]] | None:
        from openhands_llm_magic.notebook.completion import Known, candidates

        own = {name: it for name, it in shell.user_ns.items() if name not in shell.user_ns_hidden}
        aliases = lambda: settings.snapshot().aliases or ()  # noqa: E731 - it is read on use
        servers = lambda: _servers(settings)  # noqa: E731 - the same
        known = Known(own, lambda: settings.groups, chats(), aliases, servers)
        return candidates(line, known, first_line=first_line)

    return complete  # type: ignore[no-any-return]


def _servers(settings: LLMSettings) -> list[str]:
    """Name the MCP servers of the configuration, and the tools of those that run."""
    from openhands_llm_magic.llm.tools.mcp import known_names

    try:
        return known_names(settings.snapshot())
    except SettingError:  # a variable that names no folder
        return []


P = ParamSpec("P")
R = TypeVar("R")


def _help(module: str) -> Callable[[], str]:
    """Make the method that IPython asks for the help of a magic, which is in a module."""

    def help_text() -> str:
        from openhands_llm_magic.notebook.language import cell_words

        told: Text = import_module(f"{__package__}.{module}").HELP
        return told.worded(cell_words())

    return help_text


def _prompt_help() -> str:
    from openhands_llm_magic.notebook.language import cell_words
    from openhands_llm_magic.notebook.option_help import help_text

    return help_text(cell_words())


def _told(magic: Callable[P, R]) -> Callable[P, R | None]:
    """Let a magic print its help, and its errors say in their language what is to be done."""

    @wraps(magic)
    def run(*args: P.args, **kwargs: P.kwargs) -> R | None:
        line = str(args[1])
        if magic.__name__ != "llm" and _ASKS_FOR_HELP.fullmatch(line):
            print(run.getdoc())  # type: ignore[attr-defined]  # noqa: T201 - a magic's output
            return None
        cell = of_cell.set("")
        try:
            with _replacing():
                if isinstance(args[0], LLMMagics):
                    args[0].note_notebook()
                return magic(*args, **kwargs)
        except LLMMagicError as error:
            if isinstance(args[0], LLMMagics):
                args[0].word(error)
            raise
        finally:
            of_cell.reset(cell)

    return run


_ASKS_FOR_HELP = re.compile(r"\s*(?:[-\u2013]h|[-\u2013\u2014]+help)\s*")
"""All of a line that asks for help; a phone makes — of --."""


@contextmanager
def _replacing() -> Iterator[None]:
    """Let a terminal show "?" for a character that its encoding has not got, and not fail."""
    terminal: Any = sys.stdout
    if getattr(terminal, "errors", None) != "strict" or not hasattr(terminal, "reconfigure"):
        yield
        return
    terminal.reconfigure(errors="replace")
    try:
        yield
    finally:
        terminal.reconfigure(errors="strict")


@magics_class
class LLMMagics(Magics):
    """The magics of one IPython session.

    Args:
        shell: The session.
        settings: Its settings.
        clock: What waits go by; the system's clock by default.
        chats: The conversations that there are already.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        settings: LLMSettings,
        clock: Clock | None = None,
        chats: Conversations | None = None,
    ) -> None:
        super().__init__(shell)
        self._settings = settings
        self._clock = clock
        self._chats = chats
        self._panel: Panel | None = None
        self._raw_cell = ""
        self._note_last_value("")  # what has failed before counts, too
        # Not post_run_cell and not the execution count: nbval runs cells that are in no history.
        shell.events.register("post_execute", self._forget_shown)
        shell.events.register("post_execute", self._refresh_panel)
        shell.events.register("pre_run_cell", self._note_cell)
        shell.events.register("post_run_cell", self._note_error)
        formatter = shell.display_formatter.ipython_display_formatter
        for module, name in REPLIES:
            formatter.for_type_by_name(module, name, self._display)
        formatter.for_type_by_name(*REPORT, self._display_report)

    def _display(self, reply: Reply | Replies) -> None:
        with _replacing():
            self.asking.display(reply)

    def _display_report(self, report: Report) -> None:
        """Show again what probes have found."""
        from openhands_llm_magic.notebook import probe_magic

        with _replacing():
            probe_magic.show([report], self.shell)

    @cached_property
    def asking(self) -> Asking:
        """What asks for the cells of the session, and knows its conversations."""
        from openhands_llm_magic.notebook.asking import Asking

        return Asking(self.shell, self._settings, self._clock, self._chats)

    @property
    def session(self) -> tuple[LLMSettings, Conversations | None]:
        """What the session has set and said, for the magics of a reloaded extension."""
        return self._settings, self.asking.chats if "asking" in vars(self) else self._chats

    def _own(self, local_ns: dict[str, Any] | None) -> dict[str, Any]:
        """Return the variables of the function that a magic stands in.

        In a cell they are the notebook's, some of them IPython's.
        """
        return {} if local_ns is None or local_ns is self.shell.user_ns else local_ns

    @cached_property
    def _last_error(self) -> LastError:
        from openhands_llm_magic.notebook.last_error import LastError

        return LastError(self.shell)

    @no_var_expand
    @line_cell_magic
    @needs_local_scope
    @_told
    def llm(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> Reply | Replies | None:
        """Send a prompt to a language model and show the answer as it arrives."""
        return self.asking.run(line, cell and self._as_typed(line, cell), self._own(local_ns))

    llm.getdoc = _prompt_help

    @no_var_expand
    @line_magic
    @needs_local_scope
    @_told
    def llm_error(
        self, line: str, local_ns: dict[str, Any] | None = None
    ) -> Reply | Replies | None:
        """Ask the model why the last cell that failed did so."""
        from openhands_llm_magic.notebook import error_magic

        own = self._own(local_ns)
        asked = error_magic.asked(line, self._last_error, self.shell, self._settings, own)
        return None if asked is None else self.llm(*asked, local_ns=own)

    llm_error.getdoc = _help("error_magic")

    @no_var_expand
    @line_magic
    @_told
    def llm_models(self, line: str) -> None:
        """Search models by name, price, context and vision."""
        from openhands_llm_magic.notebook import models_magic

        models_magic.run(line, self.shell, self._settings)

    llm_models.getdoc = _help("models_magic")

    @no_var_expand
    @line_magic
    @needs_local_scope
    @_told
    def llm_usage(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Show what requests have cost, by model, day, notebook, group or outcome."""
        from openhands_llm_magic.notebook import usage_magic

        usage_magic.run(line, self.shell, self._settings, self._own(local_ns))

    llm_usage.getdoc = _help("usage_magic")

    @no_var_expand
    @line_magic
    @needs_local_scope
    @_told
    def llm_probe(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Find out whether a model will do for OpenHands."""
        from openhands_llm_magic.notebook import probe_magic

        own, clicks = self._own(local_ns), self.asking.clicks
        probe_magic.run(line, self.shell, self._settings, clicks, local=own, clock=self._clock)

    llm_probe.getdoc = _help("probe_magic")

    @no_var_expand
    @line_magic
    @needs_local_scope
    @_told
    def llm_chat(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """List, show, forget and export the conversations of this session."""
        from openhands_llm_magic.notebook import chat_magic

        chat_magic.run(line, self.asking.chats, self.shell, self._own(local_ns))

    llm_chat.getdoc = _help("chat_magic")

    @no_var_expand
    @line_magic
    @needs_local_scope
    @_told
    def llm_embed(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Turn a text, or a list of texts, into vectors for NumPy."""
        from openhands_llm_magic.notebook import embed_magic

        options = embed_magic.options_of(line, self.shell, self._own(local_ns))
        clicks = self.asking.clicks
        return embed_magic.run(options, self.shell, self._settings, clicks, self._clock)

    llm_embed.getdoc = _help("embed_magic")

    @no_var_expand
    @line_magic
    @needs_local_scope
    @_told
    def llm_config(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Show, change, check, save and export the settings."""
        from openhands_llm_magic.notebook import config_magic

        own = self._own(local_ns)
        config_magic.run(line, self.shell, self._settings, self._open_panel, own)

    llm_config.getdoc = _help("config_magic")

    def _open_panel(self) -> None:
        """Show the session's one panel; what was edited in it is still there."""
        from IPython.display import publish_display_data

        from openhands_llm_magic.notebook.panel.panel import Panel
        from openhands_llm_magic.notebook.view.display import front_end

        self._refresh_panel()
        if self._panel is None or self._panel.closed:
            self.close()  # what is left of it
            self._panel = Panel(self._settings, self._clock)
        for bundle in self._panel.bundles(watched=front_end(self.shell) == "live"):
            publish_display_data(bundle)

    def word(self, error: LLMMagicError) -> None:
        """Put an error's line into a cell's words, with what the panel has to do with it.

        A line that was not understood is quoted in it, also where a key was typed on it.
        """
        from openhands_llm_magic.notebook.language import cell_words

        error.args = (self._settings.masked(error.text),)
        say = cell_words()
        gave_up = error.text.facts.get("limit_name") == "num_retries"
        error.say_in(say)
        if gave_up:
            from openhands_llm_magic.notebook.config_magic import advice_on

            advised = [each.worded(say) for each in advice_on(self._settings.snapshot())[1:]]
            error.args = (" ".join([str(error), *advised]),)
        if self._panel is not None and not self._panel.closed:
            self._panel.add_pending(error, say)

    def _refresh_panel(self) -> None:
        """Show in the panel what a cell has changed."""
        if self._panel is not None and not self._panel.closed:
            self._panel.refresh()

    def close(self) -> None:
        """End the panel, and the test that may run in it."""
        if self._panel is not None:
            self._panel.close()

    def unload(self) -> None:
        """Leave nothing behind."""
        self.close()
        self._last_error.close()

    def _forget_shown(self) -> None:
        """Show replies again from now on: the cell that showed one is over."""
        if "asking" in vars(self):
            from openhands_llm_magic.notebook.view.display import drop_empty_captures

            drop_empty_captures(self.shell)
            self.asking.just_shown = None
            self.asking.code = []

    def note_notebook(self) -> None:
        """Let the ledger know which notebook the cell is in."""
        from openhands_llm_magic.notebook import which_notebook

        which_notebook.note(self.shell)

    def _note_cell(self, info: Any) -> None:
        self._raw_cell = info.raw_cell or ""

    def _as_typed(self, line: str, cell: str) -> str:
        """Return the body of a `%%llm` cell as it was typed.

        IPython takes prompts (">>> ", "In [1]: ") and blank lines at the end out of every cell, for
        which it adds a newline. The cell that was typed last need not be the one that runs: a
        silent one is told to nobody, and code can call the magic.
        """
        head, newline, body = self._raw_cell.partition("\n")
        runs = f"get_ipython().run_cell_magic('llm', {line!r}, {cell!r})\n"
        is_it = newline and head.startswith("%%llm")
        if is_it and self.shell.transform_cell(self._raw_cell) == runs:
            return body if hasattr(self.shell, "kernel") else body.removesuffix("\n")
        return cell.removesuffix("\n")

    def _note_error(self, result: Any) -> None:
        """Note what a cell has failed with, for `%llm_error`."""
        self._note_last_value(result.info.raw_cell or "")

    def _note_last_value(self, cell: str) -> None:
        self._last_error.note(cell)


REPLIES = (
    ("openhands_llm_magic.llm.reply", "Reply"),
    ("openhands_llm_magic.notebook.replies", "Replies"),
)
"""What a cell shows while it runs, so that IPython need not: the module and name of its class."""

REPORT = ("openhands_llm_magic.llm.probe.result", "Report")
"""What `%llm_probe -o NAME` stores."""

_WITH_PROMPT = re.compile(r"%llm(?:_error)? +[^\s?]")


_SESSIONS: WeakKeyDictionary[Any, tuple[LLMSettings, Conversations | None]] = WeakKeyDictionary()
"""What each IPython session has set and said, while the extension is not loaded in it.

`%reload_ext` unloads it first. If that forgot a model, an address or a key, the next prompt would
go to another provider.
"""


def load(shell: Any) -> None:
    """Register the settings and the magics; LiteLLM is imported when a cell names us.

    What IPython has loaded at its start, a cell's `%load_ext` finds loaded.
    """
    if LLMMagics.__name__ in shell.magics_manager.registry:
        return
    settings, chats = _SESSIONS.get(shell) or (LLMSettings(parent=shell), None)
    shell.configurables.append(settings)
    magics = LLMMagics(shell, settings, chats=chats)
    shell.register_magics(magics)
    shell.input_transformer_manager.token_transformers.append(_Prompt)
    names = {name for kind in LLMMagics.magics.values() for name in kind}
    shell.input_transformers_cleanup.append(narrow_magics(names))
    complete = matcher(shell, settings, lambda: magics.asking.chats.named)
    shell.Completer.custom_matchers.append(complete)
    import_when_used(shell)


def unload(shell: Any) -> None:
    """Take away all that `load` brought; what the session has set is kept for another `load`."""
    shell.configurables[:] = [
        each for each in shell.configurables if not isinstance(each, LLMSettings | LLMMagics)
    ]
    shell.input_transformer_manager.token_transformers.remove(_Prompt)
    cleanup = shell.input_transformers_cleanup
    cleanup[:] = [each for each in cleanup if not _is_ours(each)]
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if not _is_ours(each)]
    formatter = shell.display_formatter.ipython_display_formatter
    for module, name in (*REPLIES, REPORT):
        formatter.pop(f"{module}.{name}", None)
    for event, callbacks in shell.events.callbacks.items():
        for callback in [each for each in callbacks if _is_ours(each)]:
            shell.events.unregister(event, callback)
    magics = shell.magics_manager.registry.pop(LLMMagics.__name__, None)
    if magics is not None:
        magics.unload()
        _SESSIONS[shell] = magics.session
    for kind, names in LLMMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)


def _is_ours(callback: Any) -> bool:
    return (callback.__module__ or "").startswith("openhands_llm_magic.")


class _Prompt(TokenTransformBase):  # IPython has no types for it
    """Lets a prompt on a `%llm` line end in "?", which IPython takes for a call of its help.

    So may a question on a `%llm_error` line. It works on tokens, so that such a line within a
    string stays text, and comes before the help. `%llm?` has no prompt and stays help.
    """

    priority = 1

    def __init__(self, line_start: tuple[int, int], magic_start: tuple[int, int]) -> None:
        super().__init__(line_start)
        self._magic_start = magic_start

    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> _Prompt | None:
        """Find the first `%llm prompt` or `name = %llm prompt`."""
        for line in tokens_by_line:
            tokens = [each for each in line if each.type not in (INDENT, DEDENT)]
            assign = _find_assign_op(tokens)
            assigned = [] if assign is None else tokens[assign + 1 : assign + 2]
            for magic in [*tokens[:1], *assigned]:
                if _WITH_PROMPT.match(magic.line, magic.start[1]):
                    return cls(tokens[0].start, magic.start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Make the line a call of the magic, as IPython does with lines that end in no "?"."""
        transformed: list[str] = EscapedCommand(self._magic_start).transform(lines)
        return transformed
