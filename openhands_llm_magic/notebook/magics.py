"""The magics: each hands its line to the file that does the work."""
# ruff: noqa: PLC0415 - `%load_ext` is instant, so what only a panel needs is imported on use

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from openhands_llm_magic.llm.conversations import Conversations
from openhands_llm_magic.notebook import (
    arguments,
    chat_magic,
    config_magic,
    embed_magic,
    error_magic,
    models_magic,
)
from openhands_llm_magic.notebook.asking import Asking
from openhands_llm_magic.notebook.last_error import LastError
from openhands_llm_magic.notebook.wait import Clicks

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.llm.retry import Clock
    from openhands_llm_magic.notebook.panel.panel import Panel


@magics_class
class LLMMagics(Magics):
    """The magics of one IPython session.

    Args:
        shell: The session.
        settings: Its settings.
        clock: Measures and makes waits; None means the system's.

    Attributes:
        chats: Its conversations.
    """

    def __init__(
        self, shell: InteractiveShell, settings: LLMSettings, clock: Clock | None = None
    ) -> None:
        super().__init__(shell)
        self._settings = settings
        self._clock = clock
        self._clicks = Clicks(shell)
        self.chats = Conversations()
        self._asking = Asking(shell, settings, self.chats, self._clicks, clock)
        self._last_error = LastError(shell)
        self._panel: Panel | None = None
        # Not post_run_cell and not the execution count: nbval runs cells that are in no history.
        shell.events.register("post_execute", self._asking.forget_shown)
        shell.events.register("post_execute", self._refresh_panel)
        shell.events.register("post_run_cell", self._last_error.after_cell)
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name("openhands_llm_magic.llm.reply", "Reply", self._asking.display)

    @no_var_expand
    @line_cell_magic
    def llm(self, line: str, cell: str | None = None) -> Reply | None:  # noqa: D102 - generated below
        return self._asking.run(line, cell)

    llm.__doc__ = arguments.help_text()

    @no_var_expand
    @line_magic
    def llm_error(self, line: str) -> Reply | None:  # noqa: D102 - generated below
        asked = error_magic.asked(line, self._last_error, self.shell, self._settings)
        return None if asked is None else self.llm(*asked)

    llm_error.__doc__ = error_magic.HELP

    @no_var_expand
    @line_magic
    def llm_models(self, line: str) -> None:  # noqa: D102 - generated below
        models_magic.run(line, self.shell)

    llm_models.__doc__ = models_magic.HELP

    @no_var_expand
    @line_magic
    def llm_chat(self, line: str) -> None:  # noqa: D102 - generated below
        chat_magic.run(line, self.chats, self.shell)

    llm_chat.__doc__ = chat_magic.HELP

    @no_var_expand
    @line_magic
    def llm_embed(self, line: str) -> Any:  # noqa: D102 - generated below
        return embed_magic.run(line, self.shell, self._settings, self._clicks, self._clock)

    llm_embed.__doc__ = embed_magic.HELP

    @no_var_expand
    @line_magic
    def llm_config(self, line: str) -> None:  # noqa: D102 - generated below
        config_magic.run(line, self.shell, self._settings, self._open_panel)

    llm_config.__doc__ = config_magic.HELP

    def _open_panel(self) -> None:
        """Show the session's one panel; what was edited in it is still there."""
        from IPython.display import publish_display_data

        from openhands_llm_magic.notebook import language
        from openhands_llm_magic.notebook.panel.panel import Panel
        from openhands_llm_magic.notebook.surface import surface

        self._refresh_panel()
        if self._panel is None or self._panel.closed:
            self.close()  # what is left of it
            say = language.Language(language.preferred())
            self._panel = Panel(self._settings, say, self._clock)
        publish_display_data(self._panel.bundle(watched=surface(self.shell) == "live"))

    def _refresh_panel(self) -> None:
        """Show in the panel what a cell has changed."""
        if self._panel is not None and not self._panel.closed:
            self._panel.refresh()

    def close(self) -> None:
        """End the panel, and the test that may run in it."""
        if self._panel is not None:
            self._panel.close()
