"""`%%llm -m A -m B`: one prompt to several models at once, each on a thread of its own.

What goes wrong with one stands in its column and stops no other. The cell fails where none has
answered, or where the person has stopped it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import (
    FormatError,
    LLMMagicError,
    RequestError,
    Stopped,
    Text,
    UsageError,
)
from openhands_llm_magic.llm.events import Failed, ToolCalled
from openhands_llm_magic.llm.explain import misfit_explained
from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.llm.run import run
from openhands_llm_magic.llm.worker import Over, Runs
from openhands_llm_magic.notebook.asked import Asked, stopped_words
from openhands_llm_magic.notebook.buttons import Clicks, Waits
from openhands_llm_magic.notebook.replies import Replies
from openhands_llm_magic.notebook.view import columns, display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from openhands_llm_magic.llm.conversations import Place, Turn
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.reply import ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock, OfRun
    from openhands_llm_magic.notebook.asking import Interrupts
    from openhands_llm_magic.notebook.prompt_options import PromptOptions
    from openhands_llm_magic.notebook.view.columns import ColumnsView


@dataclass(frozen=True, slots=True)
class Refused:
    """A model that is not asked, as what is known before says that it cannot be.

    Attributes:
        options: What stands on its line.
        why: The error's line.
    """

    options: PromptOptions
    why: Text

    @property
    def model(self) -> str:
        """What the line calls it."""
        return str(self.options.settings.get("model") or self.options.group)

    @property
    def line(self) -> Text:
        """Which model it is, and why it is not asked."""
        return Text("{model}: {why}", model=self.model, why=self.why)

    @property
    def reply(self) -> Reply:
        """What came of it."""
        return Reply(model=self.model, error=RequestError(self.why))


def prepared(
    options: PromptOptions,
    prepare: Callable[[PromptOptions], Asked | None],
    mask: Callable[[Text], Text],
) -> list[Asked | Refused | None]:
    """Prepare the prompt for each model, so that a mistake of one stops no other.

    Args:
        options: What stands on the line.
        prepare: Prepares it for one; None is a dry run, which it has shown.
        mask: Hides keys in what is said.

    Raises:
        LLMMagicError: None of them can be asked; nothing is sent.
    """
    each: list[Asked | Refused | None] = []
    errors: list[LLMMagicError] = []
    for one in options.each:
        try:
            each.append(prepare(one))
        except LLMMagicError as error:
            errors.append(error)
            each.append(Refused(one, mask(error.text)))
    if len(errors) == len(each):
        if len(set(map(str, errors))) == 1:  # a mistake of the line itself
            raise errors[0]
        raise UsageError(_none_of([one for one in each if isinstance(one, Refused)]))
    return each


def _none_of(each: Sequence[Refused]) -> Text:
    told = "none of the {count} models can be asked: {why}"
    return Text(told, count=len(each), why=Text.joined((one.line for one in each), " "))


class Cell:
    """The requests of one cell to several models, and what comes of them.

    Args:
        each: Each model's prompt, or why it is not asked.
        form: The format of the answers.
    """

    def __init__(self, each: Sequence[Asked | Refused], form: str) -> None:
        self._each = each
        self._form = form
        self._asked = {n: one for n, one in enumerate(each) if isinstance(one, Asked)}
        self._builders = {number: one.builder() for number, one in self._asked.items()}
        self._misfits: dict[int, RequestError] = {}
        self._running = [*self._asked]

    @property
    def replies(self) -> Replies:
        """What has come of each so far."""
        return Replies(map(self._reply, range(len(self._each))))

    @property
    def answered(self) -> Iterator[tuple[str, Place, Turn]]:
        """What a conversation can go on from: each model that has answered."""
        for number, asked in self._asked.items():
            reply = self._builders[number].reply
            if reply.is_whole:
                yield reply.model, asked.place, asked.turn(reply)

    @property
    def failure(self) -> RequestError | None:
        """Why the cell fails, or None where a model has answered and nobody has stopped it."""
        replies = self.replies
        if any(isinstance(reply.error, Stopped) for reply in replies):
            if any(reply.text.strip() for reply in replies):
                return Stopped(Text("stopped; what the models had answered is in `_`."))
            return Stopped(Text("stopped before a model had answered."))
        if any(reply.is_whole for reply in replies):
            return None
        why = (
            Text("{model}: {why}", model=reply.model, why=reply.error.text)
            for reply in replies
            if reply.error is not None
        )
        told = "none of the {count} models has given an answer: {why}"
        return RequestError(Text(told, count=len(replies), why=Text.joined(why, " ")))

    def run(self, shell: Any, clock: Clock, clicks: Clicks, interrupts: Interrupts) -> None:
        """Ask all models at once, and show what comes until the last has ended."""
        runs = Runs([run(asked.prepared, clock) for asked in self._asked.values()])
        where = display.front_end(shell)
        stop = partial(interrupts.stop, runs.control)
        with contextlib.closing(Waits(clicks, runs.control, clock, stop)) as waits:
            view = columns.view_on(where, self._titles, clock, waits, self._form)
            for number in range(len(self._each)):
                if number not in self._asked:
                    view.end(number, self._reply(number))
            numbers = [*self._asked]

            def show(event: OfRun | Failed) -> None:
                if isinstance(event, Failed):  # those that go on were left behind
                    for number in [*self._running]:
                        self._builders[number].add(event)
                        self._end(number, view, interrupts)
                elif isinstance(event.event, Over):
                    self._end(numbers[event.number], view, interrupts)
                else:
                    self._take(numbers[event.number], event.event, view, interrupts)

            interrupts.watch(runs, show, view)
            view.finish()

    def _take(self, number: int, event: Event, view: ColumnsView, interrupts: Interrupts) -> None:
        builder = self._builders[number]
        builder.add(event)
        with contextlib.suppress(KeyboardInterrupt):  # of rendering; it is counted
            view.update(number, event, builder)
        if isinstance(event, ToolCalled):
            interrupts.answer_call(event.call)

    def _end(self, number: int, view: ColumnsView, interrupts: Interrupts) -> None:
        """Read what has come of one model, and show it."""
        self._running.remove(number)
        builder = self._builders[number]
        self._read(number, builder, interrupts)
        try:
            if not isinstance(builder.reply.error, Stopped):
                view.end(number, self._reply(number))
        except KeyboardInterrupt:
            builder.add(Failed(Stopped("stopped.")))
        if isinstance(builder.reply.error, Stopped):
            builder.add(Failed(Stopped(stopped_words(builder))))
            view.end(number, self._reply(number))

    def _read(self, number: int, builder: ReplyBuilder, interrupts: Interrupts) -> None:
        if not builder.reply.is_whole:
            return
        asked = self._asked[number]
        try:
            with interrupts.raised():  # a validator is the person's own code
                builder.data = asked.read(builder)
        except FormatError as error:
            told = misfit_explained(error, builder.reply.finish_reason, asked.settings)
            self._misfits[number] = RequestError(told.text)
        except KeyboardInterrupt:
            builder.add(Failed(Stopped("stopped.")))

    def _reply(self, number: int) -> Reply:
        one = self._each[number]
        if isinstance(one, Refused):
            return one.reply
        reply = self._builders[number].reply
        misfit = self._misfits.get(number)
        return replace(reply, error=misfit) if misfit and reply.error is None else reply

    @property
    def _titles(self) -> list[str]:
        """What stands above each column: the model, its group and, asked twice, its number."""
        titles: list[str] = []
        for one in self._each:
            model = one.settings.model if isinstance(one, Asked) else one.model
            group = one.options.group
            titles.append(f"{model} [{group}]" if group and group != model else model)
        return [
            f"{title} ({titles[: number + 1].count(title)})" if titles.count(title) > 1 else title
            for number, title in enumerate(titles)
        ]
