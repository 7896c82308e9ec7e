"""The models of the practice provider, as data: each shows what happens with real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openhands_llm_magic.llm.practice.agent import Agent
from openhands_llm_magic.llm.practice.wire import Refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.llm.practice.wordings import Fault

PREFIX = "practice/"
"""What stands before a practice model's name in the setting `model`."""

Calls = Literal["well", "malformed once", "unknown once", "cut off", "a thousand times"]
"""How a model asks for functions."""

HOW_TO_CALL = 'call NAME {"argument": "value"}'
"""The line of a prompt that such a model takes for a wish."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the practice provider, and what it does to a prompt.

    Attributes:
        name: As a request's `model` gives it.
        about: What it does, as the rest of a sentence that starts with its name.
        reply: The answer before the closing sentence; `{quote}` stands for the quoted prompt.
        fault: What happens to a prompt in place of an answer, or None.
        fault_count: How often that happens before the prompt is answered.
        word_by_word: Whether it sends single words with a pause after each.
        every_s: Seconds after a request in which it refuses all others.
        verbatim: Whether the prompt itself is the whole answer.
        calls: How it asks for the functions that the prompt names or a task needs, or None where
            it does not.
    """

    name: str
    about: str
    reply: str = "You wrote:\n\n{quote}"
    fault: Fault | None = None
    fault_count: float = 0
    word_by_word: bool = False
    every_s: float = 0
    verbatim: bool = False
    calls: Calls | Agent | None = None

    def answer(self, prompt: str, results: Sequence[str] = ()) -> str:
        """Return the whole answer to `prompt`, as Markdown.

        Args:
            prompt: The prompt.
            results: What the functions gave that it has asked for.
        """
        if self.verbatim:
            return prompt
        reply = CALLED if results and self.calls == "well" else self.reply
        if results:
            prompt = "\n".join(results)
        elif self.reply == CALLED or self.calls in ("cut off", "a thousand times"):
            prompt = HOW_TO_CALL
        quote = "\n".join(f"> {line}" for line in prompt.split("\n"))
        return (
            f"{reply.replace('{quote}', quote)}\n\nThis comes from the practice provider, "
            f"which is not a language model. Its model `{self.name}` {self.about}."
        )


BAD_KEY = Refuse(
    401,
    code="invalid_api_key",
    message="Incorrect API key: the practice provider takes only the key that it was started with.",
)
BAD_HOST = Refuse(
    403,
    code="invalid_host",
    message="The practice provider answers requests to localhost or 127.0.0.1 alone, so that no"
    " page of another site can reach it: `Host` names another one.",
)
TOO_LARGE = Refuse(
    413,
    code="request_too_large",
    message="The request is too large for the practice provider.",
)

CALLED = "The functions gave:\n\n{quote}"

MARKDOWN = """\
## A sample of Markdown

1. a list with **bold**, *slanted* and `code`
2. a formula in a line: $e^{i\\pi} + 1 = 0$

| wait | seconds |
|------|--------:|
| 1st  |       5 |
| 2nd  |      10 |

```python
def wait(retry: int) -> int:
    return min(30, 5 * 2 ** (retry - 1))
```

$$\\sum_{n=1}^{4} \\min(30,\\, 5 \\cdot 2^{n-1}) = 65$$"""

# fmt: off
_MODELS = (
    Model("echo", "repeats your prompt", calls="well"),
    Model("rate-limited",
          "refuses a prompt twice with status 429 and `Retry-After: 3`, then answers it",
          fault="rate limit", fault_count=2),
    Model("busy", "refuses a prompt once with status 503, naming no wait, then answers it",
          fault="overload", fault_count=1),
    Model("metered",
          "takes one request every 2 s from all who ask, says so in `x-ratelimit-*` headers, and "
          "refuses the others with status 429",
          every_s=2),
    Model("out-of-quota", "refuses every prompt with status 429, as for an account without credit",
          fault="no credit", fault_count=math.inf),
    Model("drops", "closes the connection once in the middle of its answer, then answers in full",
          fault="cut", fault_count=1),
    Model("fails-midway",
          "says once in the middle of its answer that it is overloaded, then answers in full",
          fault="overload midway", fault_count=1),
    Model("slow", "answers one word at a time, so that you can try the interrupt button",
          reply="One, two, three, four, five, six, seven, eight, nine, ten.", word_by_word=True),
    Model("verbatim", "gives back your prompt and nothing else", verbatim=True),
    Model("tools", "calls what a line of the prompt such as `call NAME {}` tells it to",
          reply=CALLED, calls="well"),
    Model("tools-malformed", "calls with arguments that are no JSON until it is told so",
          reply=CALLED, calls="malformed once"),
    Model("tools-unknown", "calls a function that does not exist until it is told so",
          reply=CALLED, calls="unknown once"),
    Model("tools-cut", "has no tokens left in the middle of each call", calls="cut off"),
    Model("tools-thousand", "calls a function a thousand times, and then again",
          calls="a thousand times"),
    Model("tools-refused", "refuses a prompt with functions with status 400", fault="no tools"),
    Model("small-context", "refuses a prompt of more than 4,096 tokens with status 400",
          fault="too long"),
    Model("agent", "calls the functions that a task of an agent needs", calls=Agent()),
    Model("agent-talks", "says what it would call and calls nothing", calls=Agent("talks")),
    Model("agent-writes", "writes calls as text, as behind a server that does not read them",
          calls=Agent("writes")),
    Model("agent-repeats", "repeats a call in place of finishing", calls=Agent("repeats")),
    Model("agent-retypes", "edits with blanks where the file has tabs", calls=Agent("retypes")),
    Model("agent-unescapes", "loses backslashes in what it writes", calls=Agent("unescapes")),
    Model("agent-runs-on", "writes on after the stop word", calls=Agent("runs on")),
    Model("agent-is-strict", "refuses a prompt after a call that was no JSON",
          calls=Agent("is strict")),
    Model("agent-is-plain", "refuses reasoning_effort and prompt_cache_key",
          calls=Agent("is plain")),
    Model("agent-forgets", "reads the last 4,096 tokens of a prompt", calls=Agent("forgets")),
    Model("agent-keeps-nothing", "has no cache", calls=Agent("keeps nothing")),
    Model("markdown", "shows how answers are rendered", reply=MARKDOWN),
)
# fmt: on

MODELS = {model.name: model for model in _MODELS}
"""Every practice model by its name."""


def metered(model: Model) -> dict[str, str]:
    """Tell, in OpenAI's headers, what is left of a metered model's limit after a request."""
    if not model.every_s:
        return {}
    left = {"limit": "1", "remaining": "0", "reset": f"{model.every_s:g}s"}
    return {f"x-ratelimit-{what}-requests": value for what, value in left.items()}
