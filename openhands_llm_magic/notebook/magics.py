"""`%llm`, `%%llm` and `%llm_config`: read a line, call the floor below, show the events."""
# ruff: noqa: PLC0415 - `%load_ext` is instant, so what only a prompt needs is imported on use

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from openhands_llm_magic.errors import FormatError, Stopped, UsageError
from openhands_llm_magic.llm.conversations import Conversations, Turn
from openhands_llm_magic.notebook import arguments, chat_magic, config_magic
from openhands_llm_magic.notebook.interrupt import Interrupts
from openhands_llm_magic.notebook.wait import Clicks, Waits

if TYPE_CHECKING:
    from collections.abc import Generator

    from IPython.core.interactiveshell import InteractiveShell

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.errors import LLMMagicError
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.retry import Clock
    from openhands_llm_magic.notebook.panel.panel import Panel


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
        self._clicks = Clicks(shell)
        self._chats = Conversations()
        self._just_shown: Reply | None = None
        self._panel: Panel | None = None
        # Not post_run_cell and not the execution count: nbval runs cells that are in no history.
        shell.events.register("post_execute", self._forget_shown)
        shell.events.register("post_execute", self._refresh_panel)
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name("openhands_llm_magic.llm.reply", "Reply", self._display_reply)

    @no_var_expand
    @line_cell_magic
    def llm(self, line: str, cell: str | None = None) -> Reply:  # noqa: D102 - generated below
        with Interrupts(in_kernel=hasattr(self.shell, "kernel")) as interrupts:
            try:
                return self._ask(line, cell, interrupts)
            except KeyboardInterrupt:
                raise Stopped("stopped before the prompt was sent.") from None

    llm.__doc__ = arguments.help_text()

    def _ask(self, line: str, cell: str | None, interrupts: Interrupts) -> Reply:
        """Ask what a line and its cell say, show the answer, and keep it."""
        from openhands_llm_magic.llm import retry, session
        from openhands_llm_magic.llm.reply import ReplyBuilder
        from openhands_llm_magic.notebook import prompt

        options = arguments.parse(line, self.shell.user_ns)
        if cell is not None and options.prompt:
            raise UsageError(
                f"{options.prompt!r} stands on the `%%llm` line, which takes options alone: write"
                " the prompt below it."
            )
        settings = self._settings.snapshot(options.settings, options.group)
        body = options.prompt if cell is None else cell.removesuffix("\n")
        before = self._chats.before(name=options.chat, goes_on=options.goes_on)
        made = prompt.made(body, options, self.shell, settings, before)
        clock, retry_now = self._clock or retry.SYSTEM_CLOCK, retry.RetryNow()
        events = session.stream(made.messages, settings, clock=clock, retry_now=retry_now)
        builder = ReplyBuilder(settings.model, made.messages, made.notes, options.format)
        with contextlib.closing(Waits(self._clicks, retry_now, clock)) as waits:
            reply = self._show(events, builder, clock, waits, interrupts)
        failure: LLMMagicError | None = reply.error
        if failure is None:
            self._chats.add(before, Turn(made.content, reply.text), name=options.chat)
            reply, failure = self._read(reply)
        if options.out:
            stored = getattr(reply, options.part) if options.part else reply
            self.shell.user_ns[options.out] = stored
        if failure is not None:
            # A cell that raises has no value; this keeps what came in `_` and `Out[n]`.
            self.shell.displayhook.update_user_ns(reply)
            raise failure from None
        return reply

    def _read(self, reply: Reply) -> tuple[Reply, FormatError | None]:
        """Read the data out of an answer; code goes into a new cell below, and is not run."""
        from openhands_llm_magic.notebook import formats

        try:
            data = formats.data_of(reply.text, reply.format)
        except FormatError as error:
            error.reply = reply
            return reply, error
        if reply.format == "code":
            self.shell.set_next_input(data, replace=False)
        self._just_shown = reply = replace(reply, data=data)
        return reply, None

    @no_var_expand
    @line_magic
    def llm_chat(self, line: str) -> None:  # noqa: D102 - generated below
        chat_magic.run(line, self._chats, self.shell)

    llm_chat.__doc__ = chat_magic.HELP

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

    def _show(
        self,
        events: Generator[Event],
        builder: ReplyBuilder,
        clock: Clock,
        waits: Waits,
        interrupts: Interrupts,
    ) -> Reply:
        """Show a request to its end, whatever that is, and fold it into its reply."""
        from openhands_llm_magic.notebook import display
        from openhands_llm_magic.notebook.surface import surface

        view: display.View | None = None
        model = builder.model
        try:
            with interrupts.held():
                view = display.view_on(surface(self.shell), model, clock, waits)
            for event in interrupts.between(events):
                builder.add(event)
                view.update(event, builder)
            with interrupts.at_once():
                view.render(builder.reply)
            with interrupts.held():
                view.finish()
                view = None  # nothing more is to be shown
        except KeyboardInterrupt:
            interrupts.clean_up()
            _stop(events, builder)
        interrupts.clean_up()
        self._just_shown = reply = builder.reply
        if reply.error is not None:
            reply.error.reply = reply
        if view is not None:
            view.render(reply)
            view.finish()
        return reply

    def _forget_shown(self) -> None:
        self._just_shown = None

    def _display_reply(self, reply: Reply) -> None:
        """Show a reply as an output, unless this very cell has just shown it."""
        from openhands_llm_magic.notebook import display
        from openhands_llm_magic.notebook.surface import surface

        if self._just_shown is not reply:
            display.show(reply)
        elif surface(self.shell) == "terminal" and not hasattr(self.shell, "kernel"):
            print("(shown above)")  # noqa: T201 - terminal IPython has begun the line "Out[n]: "


def _stop(events: Generator[Event], builder: ReplyBuilder) -> None:
    """Stop a request; one that had failed before stays failed."""
    from openhands_llm_magic.llm import session
    from openhands_llm_magic.llm.events import Failed

    for event in session.stop(events):
        builder.add(event)
    if builder.reply.error is None:
        builder.add(Failed(Stopped(f"stopped; what {builder.model} had answered is in `_`.")))
