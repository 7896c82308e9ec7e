"""`%llm` and `%%llm`: from a line and a body to an answer that is shown and kept.

A run's events are read on the main thread, where the kernel's interrupt (SIGINT) is a flag. Nothing
is raised in our own code, so nothing of an answer, an output or a connection is lost half way: the
main thread reads events, sees the flag, cancels the run and ends the cell. Only the person's own
code (what `str` of a variable does, a validator) is interrupted as Python does it.
"""
# ruff: noqa: PLC0415 - `%load_ext` is instant, so what only a prompt needs is imported on use

from __future__ import annotations

import builtins
import contextlib
import gc
import signal
import sys
import threading
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self

from IPython import get_ipython

from openhands_llm_magic.config.languages import in_force, of_cell
from openhands_llm_magic.errors import (
    FormatError,
    LLMMagicError,
    RequestError,
    Stopped,
    Text,
    UsageError,
)
from openhands_llm_magic.llm.conversations import Conversations
from openhands_llm_magic.llm.events import Event, Failed, ToolCalled
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, TIDY_S
from openhands_llm_magic.notebook import option_help, prompt_options
from openhands_llm_magic.notebook.buttons import Clicks, Waits
from openhands_llm_magic.notebook.language import cell_words, print_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.prepare import Prepared
    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.tools.calls import Call
    from openhands_llm_magic.llm.worker import Clock, Control, Controls, Run, Runs
    from openhands_llm_magic.notebook.asked import Asked
    from openhands_llm_magic.notebook.prompt import Draft
    from openhands_llm_magic.notebook.prompt_options import PromptOptions
    from openhands_llm_magic.notebook.replies import Replies
    from openhands_llm_magic.notebook.several import Cell
    from openhands_llm_magic.notebook.tools import Answering, Named
    from openhands_llm_magic.notebook.view.display import Ticking


HURRIED_S = 0.1
"""Seconds that a second interrupt leaves the run for its tidy end, which gives back the text that
it holds: a person who presses twice at once means no more than once."""

LEAVING_S = 0.2
"""How long after a stop the cell's own code may take to notice it before an interrupt is heard."""


FULL_COLLECTIONS = 1_000_000
"""So rare are the garbage collector's looks at all objects while a cell of ours runs. With LiteLLM
loaded one takes 0.25 s, in which nothing is shown and no interrupt heard."""


class Interrupts:
    """Counts interrupts in place of raising them. Signals arrive on the main thread only.

    Full collections of garbage wait meanwhile, so that it can answer an interrupt at once. They are
    held off by their threshold, so that a person's `gc.disable()` and `gc.enable()` count.

    Args:
        in_kernel: Whether ipykernel runs the cell. It loses its reply to the front end when an
            interrupt arrives between the cell's end and that reply, so after a stop a second
            one is heard only while code of the cell runs, which has caught the `Stopped`;
            ipykernel itself resets the signal afterwards.

    Attributes:
        count: How many have come.
        answer: Runs or refuses a call of one of the person's functions.
    """

    def __init__(self, *, in_kernel: bool) -> None:
        self.count = 0
        self.answer: Callable[[Call], None] = _refuse
        self._in_kernel = in_kernel
        self._left_at_s: float | None = None
        self._raises = False
        self._wake: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._on_main_thread = threading.current_thread() is threading.main_thread()
        if self._on_main_thread:
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*self._thresholds[:2], FULL_COLLECTIONS)
        return self

    def __exit__(self, *_: object) -> None:
        if gc.get_threshold()[2] == FULL_COLLECTIONS:
            gc.set_threshold(*self._thresholds)
        self._raises = False
        self._left_at_s = time.monotonic()
        if self._on_main_thread and not (self.count and self._in_kernel):
            signal.signal(signal.SIGINT, self._previous)

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Raise `KeyboardInterrupt` in a block, which runs code of the person's.

        Raises:
            KeyboardInterrupt: An interrupt came in the block, or before it.
        """
        self._raises = True
        try:
            if self.count:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def watch(
        self,
        run: Run | Runs,
        show: Callable[[Any], None],
        view: Ticking,
    ) -> None:
        """Show the events of a run to its end; the first interrupt cancels it.

        A second one hardly waits for its tidy end. What is shown last is `Failed`, where the run
        was left behind.

        Args:
            run: The run.
            show: Takes each event.
            view: Told that time passes.
        """
        from openhands_llm_magic.notebook.view import sanitize

        cancelled_at_s: float | None = None
        self._wake = run.wake
        view.breakable = partial(sanitize.breakable, lambda: self.count > 0)
        try:
            while not run.ended:
                if self.count or run.control.cancelled:  # the latter by a button
                    if cancelled_at_s is None:
                        cancelled_at_s = time.monotonic()
                        run.control.cancel()
                    patience_s = HURRIED_S if self.count > 1 else TIDY_S
                    if time.monotonic() - cancelled_at_s > patience_s:
                        break
                for event in run.take():
                    with contextlib.suppress(KeyboardInterrupt):  # of rendering; it is counted
                        show(event)
                    if isinstance(event, ToolCalled):
                        self.answer_call(event.call)
                with contextlib.suppress(KeyboardInterrupt):
                    view.tick()
        finally:
            self._wake = None
            if not run.ended:  # it is left behind, or a view has failed
                run.control.cancel()
        if not run.ended:
            show(Failed(Stopped("stopped.")))

    def answer_call(self, call: Call) -> None:
        """Answer a call; one that is interrupted ends the prompt, whoever has raised that."""
        gc.set_threshold(*self._thresholds)  # it may run for long
        try:
            with self.raised():  # a function is the person's own code
                self.answer(call)
        except KeyboardInterrupt:
            self.count = max(1, self.count)
        finally:
            self._thresholds = gc.get_threshold()
            gc.set_threshold(*self._thresholds[:2], FULL_COLLECTIONS)

    def stop(self, control: Control | Controls) -> None:
        """Stop a run from another thread, and the person's own code that it may wait for."""
        control.cancel()
        main_thread_id = threading.main_thread().ident
        if sys.platform == "win32" or main_thread_id is None:  # there it is heard when that returns
            return
        if self._raises and self._on_main_thread:
            signal.pthread_kill(main_thread_id, signal.SIGINT)  # which ends a `time.sleep`, too

    def _interrupt(self, _signal: int, frame: FrameType | None) -> None:
        if self._left_at_s is not None:
            if time.monotonic() - self._left_at_s >= LEAVING_S and _in_cell(frame):
                raise KeyboardInterrupt
            return
        self.count += 1
        if self._raises:
            raise KeyboardInterrupt
        if self._wake is not None:
            self._wake()


def _refuse(call: Call) -> None:
    call.refuse("nothing may be called here")


def _in_cell(frame: FrameType | None) -> bool:
    """Tell whether a frame belongs to code of a cell, or was called by it."""
    cell_globals = get_ipython().user_global_ns
    while frame is not None:
        if frame.f_globals is cell_globals:
            return True
        frame = frame.f_back
    return False


class Asking:
    """Runs the `%llm` and `%%llm` cells of one session.

    Attributes:
        chats: The session's conversations.
        clicks: Whether clicks on the buttons of its waits get through.
        just_shown: The reply that the cell which runs has shown already.
        code: What the cell which runs has asked for as code.
    """

    def __init__(
        self,
        shell: Any,
        settings: LLMSettings,
        clock: Clock | None,
        chats: Conversations | None = None,
    ) -> None:
        self._shell = shell
        self._settings = settings
        self._clock = clock or SYSTEM_CLOCK
        self.chats = chats or Conversations()
        self.clicks = Clicks(shell)
        self.just_shown: Reply | Replies | None = None
        self.code: list[str] = []
        self._told: set[str] = set()

    def run(
        self, line: str, cell: str | None, own: Mapping[str, object] | None = None
    ) -> Reply | Replies | None:
        """Run a line and its cell; a dry run gives no reply, and several models give a list.

        Args:
            line: What stands after the magic's name.
            cell: What stands below it, or None for `%llm`.
            own: The variables of the function that the line stands in.

        Raises:
            LLMMagicError: One line about what went wrong; what came of the answer is in `_`.
        """
        with Interrupts(in_kernel=hasattr(self._shell, "kernel")) as interrupts:
            return self._ask(line, cell, own or {}, interrupts)

    def _ask(
        self, line: str, cell: str | None, own: Mapping[str, object], interrupts: Interrupts
    ) -> Reply | Replies | None:
        """Ask what a line and its cell say, show the answer, and keep it."""
        from openhands_llm_magic.llm.reply import Reply
        from openhands_llm_magic.notebook import prompt, scope, several
        from openhands_llm_magic.notebook.asked import Asked

        try:
            with interrupts.raised():  # variables and schemas are the person's own code
                known = {**self._shell.user_ns, **own}
                variables = scope.variables_of(self._shell, own)
                options = prompt_options.parse(line, known, variables.own, in_cell=cell is not None)
                with contextlib.suppress(LLMMagicError):  # of a group: it is told below
                    of_cell.set(in_force(self._snapshot(options.each[0])))
                if options.help:
                    print_texts(option_help.help_text(cell_words(), options.prompt))
                    return None
                draft_of = cache(partial(prompt.Draft, options=options, variables=variables))
                named = self._named(options, known)
                prepare = partial(
                    self._prepared, cell=cell, known=known, named=named, draft_of=draft_of
                )
                if options.is_several:
                    each = several.prepared(options, prepare, self._settings.masked)
                else:
                    each = [prepare(options)]
        except KeyboardInterrupt:
            stopped = Stopped("stopped before the prompt was sent.")
            stopped.reply = Reply(error=stopped)
            self._shell.displayhook.update_user_ns(stopped.reply)
            raise stopped from None
        if options.dry_run:
            print_texts(*(one.line for one in each if isinstance(one, several.Refused)))
            return None
        asked = [one for one in each if one is not None]
        answering = [one.answering for one in asked if isinstance(one, Asked) and one.answering]
        interrupts.answer = answering[0] if answering else interrupts.answer
        if isinstance(asked[0], Asked) and not options.is_several:
            self._ask_one(asked[0], interrupts)
        else:
            self._ask_several(several.Cell(asked, options.format), options, interrupts)
        return self.just_shown  # as `_keeping` has left it

    def _named(self, options: PromptOptions, known: Mapping[str, object]) -> Named | None:
        """Return what a line names for models to ask for, or None; it is read once for them all."""
        if not options.tools:
            return None
        from openhands_llm_magic.notebook import tools

        return tools.named(options.tools, known, self._snapshot(options), self._shell)

    def _prepared(
        self,
        options: PromptOptions,
        cell: str | None,
        known: Mapping[str, object],
        named: Named | None,
        draft_of: Callable[[str], Draft],
    ) -> Asked | None:
        """Prepare the prompt to one model; a dry run is shown, and gives None.

        Args:
            options: What stands on the line.
            cell: What stands below it, or None.
            known: The variables of the notebook.
            named: What the line names for a model to ask for, or None.
            draft_of: Reads what a body names.
        """
        from openhands_llm_magic.llm.prepare import prepare
        from openhands_llm_magic.notebook import dry_run, from_ai, prompt
        from openhands_llm_magic.notebook.asked import Asked
        from openhands_llm_magic.notebook.view import display

        settings = self._snapshot(options)
        from_ai.require_written_as_here(settings)
        draft = draft_of(_body(options, cell, settings.aliases or {}))
        place = self.chats.begin(name=options.chat, goes_on=options.goes_on, model=settings.model)
        made = prompt.made(draft, settings, place.before)
        schema = display.schema_named(options.schema, known)
        tools = named.tools if named else ()
        if options.dry_run:
            sent_by = options.sent_by
            dry_run.show(self._shell, made.with_left, settings, schema, tools, sent_by)
            return None
        rounds = options.max_rounds
        prepared = prepare(made.messages, settings, schema=schema, tools=tools, max_rounds=rounds)
        answering = self._answering(prepared, named, options) if named else None
        left_out = self._untold_problems(settings)
        late = prompt_options.late_model(options.prompt) if cell is None else []
        notes = (*left_out, *late, *made.notes, *_notes_of_name(options.out, self._shell))
        return Asked(options, place, made, prepared, answering, notes)

    def _ask_one(self, asked: Asked, interrupts: Interrupts) -> None:
        """Ask one model, show its answer, and keep it."""
        from openhands_llm_magic.llm import explain
        from openhands_llm_magic.llm.run import run
        from openhands_llm_magic.llm.worker import Control

        control = Control()
        running = run(asked.prepared, self._clock, control)
        builder = asked.builder()
        with self._keeping(lambda: builder.reply, asked.options):
            stop = partial(interrupts.stop, control)
            with contextlib.closing(Waits(self.clicks, control, self._clock, stop)) as waits:
                misfit = self._show(running, builder, asked, waits, interrupts)
            reply = builder.reply
            if reply.is_whole:
                content = asked.made.content
                self.chats.add(asked.place, content, reply.text, reply.tool_calls)
            if misfit is not None:
                told = explain.misfit_explained(misfit, reply.finish_reason, asked.settings)
                raise told from None
            if reply.error is not None:
                raise reply.error from None

    def _ask_several(self, cell: Cell, options: PromptOptions, interrupts: Interrupts) -> None:
        """Ask several models at once, show their answers side by side, and keep them."""
        with self._keeping(lambda: cell.replies, options):
            cell.run(self._shell, self._clock, self.clicks, interrupts)
            self.chats.add_several(cell.answered)
            if failure := cell.failure:
                raise failure

    def _answering(self, prepared: Prepared, named: Named, options: PromptOptions) -> Answering:
        """Return what answers the calls of a cell's functions.

        Raises:
            UsageError: Nobody can be asked whether one may be called.
        """
        from openhands_llm_magic.notebook import tools

        answering = tools.Answering(
            named.tools,
            named.called(options.yes),
            self._settings.allowed,
            can_ask=tools.can_ask(self._shell),
            limit_chars=prepared.settings.max_message_chars,
        )
        if not _is_stored(prepared):
            answering.require_allowed(named)
        return answering

    def _untold_problems(self, settings: Snapshot) -> list[Text]:
        """Return what the settings went on without, of which no cell has told yet."""
        from openhands_llm_magic.notebook import settings_table

        found = [each for each in settings_table.problems(settings) if each not in self._told]
        self._told.update(found)
        return found

    def _snapshot(self, options: PromptOptions) -> Snapshot:
        """Return the settings of a cell; no flag of its own lifts a replay."""
        settings = self._settings.snapshot(options.settings, options.group)
        if "cache" not in options.settings:
            return settings
        others = {name: value for name, value in options.settings.items() if name != "cache"}
        without = self._settings.snapshot(others, options.group)
        return without if without.cache == "replay" else settings

    @contextlib.contextmanager
    def _keeping(
        self, came: Callable[[], Reply | Replies], options: PromptOptions
    ) -> Iterator[None]:
        """Keep what has come of a prompt, also when that fails; code goes into a cell below."""
        variables = self._shell.user_ns
        try:
            yield
        except BaseException as error:
            self.just_shown = reply = came()
            if isinstance(error, RequestError | FormatError):
                error.reply = reply
            if options.out and not options.part:
                variables[options.out] = reply
            # A cell that raises has no value; this keeps what came in `_` and `Out[n]`.
            self._shell.displayhook.update_user_ns(reply)
            raise
        self.just_shown = reply = came()
        if options.format == "code" and not options.is_several:
            # IPython makes one new cell, of what it was told last.
            self.code.append(str(reply.data))
            self._shell.set_next_input("\n\n".join(self.code), replace=False)
        if options.out:
            variables[options.out] = getattr(reply, options.part) if options.part else reply

    def _show(
        self,
        running: Run,
        builder: ReplyBuilder,
        asked: Asked,
        waits: Waits,
        interrupts: Interrupts,
    ) -> FormatError | None:
        """Show a request to its end, whatever that is, and read the data out of its answer."""
        from openhands_llm_magic.notebook.asked import stopped_words
        from openhands_llm_magic.notebook.view import display

        where = display.front_end(self._shell)
        view = display.view_on(where, builder.model, self._clock, waits, builder.format)

        def show(event: Event) -> None:
            builder.add(event)
            view.update(event, builder)

        misfit: FormatError | None = None
        interrupts.watch(running, show, view)
        try:
            if builder.reply.is_whole:
                with interrupts.raised():  # a validator is the person's own code
                    builder.data = asked.read(builder)
        except FormatError as error:
            misfit = error
        except KeyboardInterrupt:
            builder.add(Failed(Stopped("stopped.")))
        try:
            if not isinstance(builder.reply.error, Stopped):
                view.render(builder.reply)
        except KeyboardInterrupt:
            builder.add(Failed(Stopped("stopped.")))
        if isinstance(builder.reply.error, Stopped):
            builder.add(Failed(Stopped(stopped_words(builder))))
            view.render(builder.reply)
        view.finish()
        return misfit

    def display(self, reply: Reply | Replies) -> None:
        """Show a reply as an output, or several as a table, unless this very cell has shown it."""
        from openhands_llm_magic.notebook.replies import Replies
        from openhands_llm_magic.notebook.view import display

        if self.just_shown is not reply:
            if isinstance(reply, Replies):
                # Terminal IPython has begun the line "Out[n]: ".
                above = "\n" * (display.front_end(self._shell) == "terminal")
                display.show_both(self._shell, text=f"{above}{reply!r}", html=reply.as_html())
            else:
                display.show(reply)
        elif display.front_end(self._shell) == "terminal" and not hasattr(self._shell, "kernel"):
            print_texts(Text("(shown above)"))  # terminal IPython has begun the line "Out[n]: "


def _is_stored(prepared: Prepared) -> bool:
    """Tell whether nothing will be called, as the answer is stored, or nothing sent without it."""
    from openhands_llm_magic.llm.answers.stored import Stored

    if prepared.settings.cache != "on":
        return prepared.settings.cache == "replay"
    place = Stored(prepared.request, prepared.settings, prepared.answer_secrets)
    return place.find() is not None


def _body(options: PromptOptions, cell: str | None, aliases: Mapping[str, object]) -> str:
    """Return the prompt, of which nothing stands on the line of a cell."""
    from openhands_llm_magic.notebook import from_ai

    if cell is None:
        if options.alone:
            from_ai.require_prompt(options.prompt, aliases)
        return options.prompt
    if options.prompt:
        told = (
            "{prompt} stands on the `%%llm` line, which takes options alone: write the prompt below"
            " it."
        )
        text = Text(told, prompt=repr(options.prompt))
        if hint := from_ai.on_cell_line(options.prompt, aliases):
            told = (
                "{prompt} stands on the `%%llm` line, which takes options alone: {hint}; write the"
                " prompt below it."
            )
            text = Text(told, prompt=repr(options.prompt), hint=hint)
        raise UsageError(text)
    return cell


def _notes_of_name(name: str | None, shell: Any) -> list[Text]:
    """Tell that the variable of an answer hides a name of Python's or IPython's."""
    if name is None or not (hasattr(builtins, name) or name in shell.user_ns_hidden):
        return []
    return [
        Text("{name} now hides Python's or IPython's own: `del {name}` brings it back", name=name)
    ]
