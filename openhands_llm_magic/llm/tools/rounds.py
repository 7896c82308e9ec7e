"""The rounds of a prompt: its model asks for functions, gets their results, and is asked again."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import Text, ToolCallError, ToolRoundsError
from openhands_llm_magic.llm.events import ToolCall, ToolCalled, ToolResult
from openhands_llm_magic.llm.explain import MORE_ROUNDS
from openhands_llm_magic.llm.tools.calls import (
    INTERRUPTED,
    Call,
    arguments_in,
    masked,
    shown_to_model,
    tool_named,
)
from openhands_llm_magic.llm.tools.declared import MisfitError
from openhands_llm_magic.llm.tools.messages import messages_of
from openhands_llm_magic.llm.worker import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openhands_llm_magic.errors import RequestError
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.prepare import Prepared, Response
    from openhands_llm_magic.llm.tools.calls import Asked
    from openhands_llm_magic.llm.worker import Clock, Control, Emit

MOST_CALLS = 8
"""Calls of one round that are run. A model that has lost its way asks for thousands."""


class Rounds:
    """The rounds of one prompt.

    Args:
        prepared: The prompt, with its functions.
        redact: Masks the keys in what the model wrote and in what the functions return.
        clock: Measures how long a function takes.
        control: The switches of the run.

    Attributes:
        count: How many there were.
        off_the_clock_s: Seconds that went by while the person and his functions were waited for.
    """

    def __init__(
        self, prepared: Prepared, redact: Callable[[str], str], clock: Clock, control: Control
    ) -> None:
        self._prepared = prepared
        self._redact = redact
        self._clock = clock
        self._control = control
        self._calls: list[ToolCall] = []
        self._was_in_vain = False
        self.count = 0
        self.off_the_clock_s = 0.0

    @property
    def messages(self) -> list[Message]:
        """What is said after the prompt: what the model asked for, and the results."""
        return messages_of(self._calls)

    def run(self, response: Response, said: str, thought: str, emit: Emit) -> RequestError | None:
        """Have the functions called that an answer asks for.

        Args:
            response: The answer.
            said: Its text.
            thought: What the model thought before it.
            emit: Called with each event.

        Returns:
            Why the model is not asked again, or None where it is.

        Raises:
            Cancelled: The run was cancelled, or a function interrupted.
        """
        self.count += 1
        asked = [masked(each, self._redact) for each in response.calls]
        if self.count > self._prepared.max_rounds:
            return self._endless(asked[0].name)
        round_ = [self._read(each, number, response) for number, each in enumerate(asked)]
        round_ = _with_ids(round_[:MOST_CALLS], self._ids_before())
        round_[0] = replace(
            round_[0], said=said, thought=thought, told_of_round=response.told_of_calls
        )
        left_out, in_vain = len(asked) - len(round_), True
        for number, call in enumerate(round_):
            done = call
            if not call.problem:
                done = self._called(call, emit)
                in_vain = False
            done = shown_to_model(done, self._redact, self._prepared.settings.max_message_chars)
            if left_out and number == len(round_) - 1:
                told = f"{left_out:,} further calls were left out: a round has {MOST_CALLS} at most"
                done = replace(done, left_out=told)
            self._calls.append(done)
            emit(ToolResult(done))
            if done.problem == INTERRUPTED:
                raise Cancelled
        was_in_vain, self._was_in_vain = self._was_in_vain, in_vain
        if in_vain and was_in_vain:
            return self._misfit(self._calls[-1], response.finish_reason)
        return None

    def _ids_before(self) -> set[str]:
        """Return the ids of earlier calls, also of earlier turns of the conversation."""
        messages = [*self._prepared.request.messages, *self.messages]
        return {call["id"] for message in messages for call in message.get("tool_calls") or ()}

    def _called(self, call: ToolCall, emit: Emit) -> ToolCall:
        """Have a function called by whoever reads the events."""
        tool = tool_named(call.name, self._prepared.tools)
        assert tool is not None  # noqa: S101 - `_read` has found it
        waiting = Call(call, tool, self._clock)
        began_s = self._clock.now()
        emit(ToolCalled(waiting))
        try:
            return waiting.wait(self._control)
        except Cancelled:
            return replace(call, problem=INTERRUPTED)
        finally:
            self.off_the_clock_s += self._clock.now() - began_s

    def _read(self, asked: Asked, number: int, response: Response) -> ToolCall:
        """Hold a call to the functions that there are; what is wrong with it is its problem."""
        call = ToolCall(asked.name, id=asked.id, round=self.count, told=asked.told)
        tool = tool_named(asked.name, self._prepared.tools)
        if tool is None:
            names = ", ".join(each.name for each in self._prepared.tools)
            told = f"there is no function {asked.name!r}; there are: {names}"
            return replace(call, problem=told, written=asked.arguments)
        try:
            call = replace(call, name=tool.name)
            call = replace(call, arguments=arguments_in(asked.arguments))
            tool.fitted(call.arguments)
        except MisfitError as misfit:
            problem = str(misfit)
            is_last = number == len(response.calls) - 1
            if is_last and response.finish_reason == "length":
                problem = f"the call was cut off at the limit of the answer's tokens; {problem}"
            written = "" if call.arguments else asked.arguments
            return replace(call, problem=problem, written=written)
        return call

    def _misfit(self, call: ToolCall, finish_reason: str) -> RequestError:
        told = "the call of {name} cannot be made, and no other came ({problem})"
        problem = call.problem.partition("\n")[0]
        text = Text(told, name=call.name, problem=problem)
        return ToolCallError(text, finish_reason=finish_reason)

    def _endless(self, name: str) -> RequestError:
        told = "the model asks for {name} once more after {count} rounds of calls; {more_rounds}"
        count, more = self._prepared.max_rounds, Text(MORE_ROUNDS)
        return ToolRoundsError(Text(told, name=name, count=count, more_rounds=more))


def _with_ids(calls: Sequence[ToolCall], taken: set[str]) -> list[ToolCall]:
    """Give an id to each call that has none, or that of another; Mistral takes nine characters."""
    own = (f"call{number:05}" for number in itertools.count())
    made = []
    for call in calls:
        is_usable = call.id and call.id not in taken
        call_id = call.id if is_usable else next(each for each in own if each not in taken)
        taken.add(call_id)
        made.append(replace(call, id=call_id))
    return made
