"""What a probe is: what it sends, what comes back, and what it finds.

A probe is a generator: it yields what is to be sent, is sent what came, and returns what it found.
It sends nothing itself, so that a test can play the model with a few literals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import (
    BadRequestError,
    RequestError,
    Text,
    ToolsRefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from openhands_llm_magic.config.setting import Value
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.events import Usage
    from openhands_llm_magic.llm.tools.calls import Asked

    Course = Generator["Ask", "Turn", "Finding"]


NOTHING = Text("")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a probe wants sent.

    Attributes:
        messages: The conversation, in OpenAI's form.
        tools: The functions that are offered, as tools.
        options: Further keyword arguments of LiteLLM's function.
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model answered.

    Attributes:
        text: Its text.
        calls: The functions that it asks for.
        finish_reason: Why it stopped, in OpenAI's words.
        usage: Tokens as the provider counted them, or None.
    """

    text: str = ""
    calls: tuple[Asked, ...] = ()
    finish_reason: str = "stop"
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found: all is well unless `did` says otherwise.

    Attributes:
        did: What the model or its server did wrong.
        effect: What OpenHands would make of it.
        cure: Which setting or option of the server cures it.
        note: What else is to be known, also where all is well.
        settings: The settings that cure it, with their values; none where the cure is another.
    """

    did: Text = NOTHING
    effect: Text = NOTHING
    cure: Text = NOTHING
    note: Text = NOTHING
    settings: Mapping[str, Value] = field(default_factory=dict, hash=False)


WELL = Finding()


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe.

    Attributes:
        name: What it is called in results.
        title: What it asks, for people.
        course: Makes its generator.
        most_requests: Requests that it makes at most, retries apart.
        needs: The name of the probe that has to hold before, or "".
        if_refused: What it means where the server refuses the request.
        refusals: The errors that count as such.
        takes_any_answer: Whether it holds with whatever answer, also without text.
        is_sampled: Whether another answer may come of the same request, so that it can be repeated;
            what the server alone decides, and a long prompt, is asked once.
        is_long: Whether it is left out unless all is to be asked.
    """

    name: str
    title: Text
    course: Callable[[], Course]
    most_requests: int = 1
    needs: str = ""
    if_refused: Finding = WELL
    refusals: tuple[type[RequestError], ...] = (BadRequestError, ToolsRefusedError)
    takes_any_answer: bool = False
    is_sampled: bool = False
    is_long: bool = False


READ_CALLS = Text(
    "Have the server read calls: vLLM with --enable-auto-tool-choice and --tool-call-parser,"
    " llama.cpp with --jinja"
)

NATIVE_CURE = Text(
    "Set native_tool_calling = false, or have the server read calls: vLLM with"
    " --enable-auto-tool-choice and --tool-call-parser, llama.cpp with --jinja"
)

AS_TEXT: Mapping[str, Value] = {"native_tool_calling": False}

AS_TOOLS: Mapping[str, Value] = {"native_tool_calling": True}

STOPS = Text("OpenHands stops at this request")

ASKS_AGAIN = Text("OpenHands tells it so and asks again: each time costs a step")

NO_ACTION = Text("OpenHands sees no action: it stops and waits for you")

WEAK = Text("Take a stronger model")

LOSES_STEPS = Text("OpenHands does what it asked for, and a step is lost")

CONTEXT_CURE = Text(
    "Give the server 32,768 or more: OLLAMA_CONTEXT_LENGTH, vLLM's --max-model-len, llama.cpp's -c,"
    " LM Studio's context length"
)
