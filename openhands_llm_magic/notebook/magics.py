"""The magics: each hands its line to the file that does the work."""
# ruff: noqa: PLC0415 - `%load_ext` is instant, so what a magic needs is imported when it is called

from __future__ import annotations

import sys
from functools import cached_property, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from openhands_llm_magic.errors import LLMMagicError

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.llm.events import Reply
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.asking import Asking
    from openhands_llm_magic.notebook.last_error import LastError
    from openhands_llm_magic.notebook.panel.panel import Panel

P = ParamSpec("P")
R = TypeVar("R")


def _help(module: str) -> Callable[[], str]:
    """Make the method that IPython asks for the help of a magic, which is in a module."""
    return lambda: str(import_module(f"{__package__}.{module}").HELP)


def _prompt_help() -> str:
    from openhands_llm_magic.notebook.arguments import help_text

    return help_text()


def _told(magic: Callable[P, R]) -> Callable[P, R]:
    """Let the errors of a magic say what is to be done in a cell, in the person's language."""

    @wraps(magic)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return magic(*args, **kwargs)
        except LLMMagicError as error:
            from openhands_llm_magic.notebook.language import cell_words

            error.say_in(cell_words())
            raise

    return run


@magics_class
class LLMMagics(Magics):
    """The magics of one IPython session.

    Args:
        shell: The session.
        settings: Its settings.
        clock: Measures and makes waits; None means the system's.
    """

    def __init__(
        self, shell: InteractiveShell, settings: LLMSettings, clock: Clock | None = None
    ) -> None:
        super().__init__(shell)
        self._settings = settings
        self._clock = clock
        self._panel: Panel | None = None
        self._raw_cell = ""
        self._note_last_value("")  # what has failed before counts, too
        # Not post_run_cell and not the execution count: nbval runs cells that are in no history.
        shell.events.register("post_execute", self._forget_shown)
        shell.events.register("post_execute", self._refresh_panel)
        shell.events.register("pre_run_cell", self._note_cell)
        shell.events.register("post_run_cell", self._note_error)
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name("openhands_llm_magic.llm.events", "Reply", self._display_reply)

    @cached_property
    def asking(self) -> Asking:
        """What asks for the cells of the session, and knows its conversations."""
        from openhands_llm_magic.notebook.asking import Asking

        return Asking(self.shell, self._settings, self._clock)

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
    ) -> Reply | None:
        """Send a prompt to a language model and show the answer as it arrives."""
        # In a function these are its own; else they are the notebook's, some of them IPython's.
        own = None if local_ns is self.shell.user_ns else local_ns
        return self.asking.run(line, cell and self._as_typed(line, cell), own)

    llm.getdoc = _prompt_help

    @no_var_expand
    @line_magic
    @_told
    def llm_error(self, line: str) -> Reply | None:
        """Ask the model why the last cell that failed did so."""
        from openhands_llm_magic.notebook import error_magic

        asked = error_magic.asked(line, self._last_error, self.shell, self._settings)
        return None if asked is None else self.llm(*asked)

    llm_error.getdoc = _help("error_magic")

    @no_var_expand
    @line_magic
    @_told
    def llm_models(self, line: str) -> None:
        """Search models by name, price, context and vision."""
        from openhands_llm_magic.notebook import models_magic

        models_magic.run(line, self.shell)

    llm_models.getdoc = _help("models_magic")

    @no_var_expand
    @line_magic
    @_told
    def llm_chat(self, line: str) -> None:
        """List, show, forget and export the conversations of this session."""
        from openhands_llm_magic.notebook import chat_magic

        chat_magic.run(line, self.asking.chats, self.shell)

    llm_chat.getdoc = _help("chat_magic")

    @no_var_expand
    @line_magic
    @_told
    def llm_embed(self, line: str) -> Any:
        """Turn a text, or a list of texts, into vectors for NumPy."""
        from openhands_llm_magic.notebook import embed_magic

        return embed_magic.run(line, self.shell, self._settings, self.asking.clicks, self._clock)

    llm_embed.getdoc = _help("embed_magic")

    @no_var_expand
    @line_magic
    @_told
    def llm_config(self, line: str) -> None:
        """Show, change, check, save and export the settings."""
        from openhands_llm_magic.notebook import config_magic

        config_magic.run(line, self.shell, self._settings, self._open_panel)

    llm_config.getdoc = _help("config_magic")

    def _open_panel(self) -> None:
        """Show the session's one panel; what was edited in it is still there."""
        from IPython.display import publish_display_data

        from openhands_llm_magic.notebook import language
        from openhands_llm_magic.notebook.front_end import front_end
        from openhands_llm_magic.notebook.panel.panel import Panel

        self._refresh_panel()
        if self._panel is None or self._panel.closed:
            self.close()  # what is left of it
            say = language.Language(language.preferred())
            self._panel = Panel(self._settings, say, self._clock)
        publish_display_data(self._panel.bundle(watched=front_end(self.shell) == "live"))

    def _refresh_panel(self) -> None:
        """Show in the panel what a cell has changed."""
        if self._panel is not None and not self._panel.closed:
            self._panel.refresh()

    def close(self) -> None:
        """End the panel, and the test that may run in it."""
        if self._panel is not None:
            self._panel.close()

    def _forget_shown(self) -> None:
        """Show replies again from now on: the cell that showed one is over."""
        if "asking" in vars(self):
            self.asking.just_shown = None

    def _display_reply(self, reply: Reply) -> None:
        self.asking.display(reply)

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
        if (
            head.startswith("%%llm")
            and newline
            and self.shell.transform_cell(self._raw_cell) == runs
        ):
            return body if hasattr(self.shell, "kernel") else body.removesuffix("\n")
        return cell.removesuffix("\n")

    def _note_error(self, result: Any) -> None:
        """Note what a cell has failed with, for `%llm_error`."""
        self._note_last_value(result.info.raw_cell or "")

    def _note_last_value(self, cell: str) -> None:
        if getattr(sys, "last_value", None) is not None:
            self._last_error.note(cell)
