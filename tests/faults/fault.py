"""What a row of the table of faults says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from model_server import Answer, Step

from openhands_llm_magic.errors import DailyLimitError, TransientError

if TYPE_CHECKING:
    from openhands_llm_magic.errors import RequestError

Dialect = Literal["openai", "anthropic", "gemini", "ollama"]

DIALECTS: tuple[Dialect, ...] = ("openai", "anthropic", "gemini", "ollama")

ANSWER = Answer("The answer after all.")
"""What the server answers once a fault has passed."""

POLICY_S = (5.0, 10.0, 20.0, 30.0)
"""The waits of the default policy, in seconds."""

RETRY_AFTER_LIMIT_S = 300
"""The longest wait that a server may ask for, by default."""

UNREACHABLE: Final = "unreachable"
"""In place of a step: nothing listens at the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: What goes wrong, in a few words.
        steps: What the server does, in each dialect or the same in all of them.
        dialects: Those that can have it.
        error: The class of the failure, or None when it is none in the end.
        shown: What its line begins with, after the name of the class; {model} and {base_url} stand
            for the settings.
        names: What else its line has, such as the setting to change.
        server_wait_s: The wait that the server names, in seconds, or None for the policy's. Where
            none is named, the limit of a day is not waited for.
        text: What the reply holds of the answer.
        finish_reason: Why the model stopped, as the reply has it.
        decisive: Whether every path through LiteLLM is tried, and not one for each dialect.
        takes_seconds: It is played only until it passes, because each attempt takes a real second.
        settings: Settings to play it with.
    """

    name: str
    steps: Step | Mapping[Dialect, Step] | Literal["unreachable"]
    dialects: tuple[Dialect, ...] = DIALECTS
    error: type[RequestError] | None
    shown: str = ""
    names: str = ""
    server_wait_s: float | None = None
    text: str = ""
    finish_reason: str | None = None
    decisive: bool = False
    takes_seconds: bool = False
    settings: Mapping[str, int] = field(default_factory=dict)

    def step(self, dialect: Dialect) -> Step | None:
        """What the server does in a dialect, or None when there is no server."""
        if isinstance(self.steps, str):
            return None
        return self.steps[dialect] if isinstance(self.steps, Mapping) else self.steps

    @property
    def transient(self) -> bool:
        """Whether it is worth another attempt."""
        return self.error is not None and issubclass(self.error, TransientError)

    @property
    def waits_s(self) -> tuple[float, ...]:
        """The waits between the attempts when it goes on for ever, in seconds."""
        named = self.server_wait_s
        if self.error is None or not self.transient:
            return ()
        if named is None and issubclass(self.error, DailyLimitError):
            return ()
        if named is not None and named > RETRY_AFTER_LIMIT_S:
            return ()
        return POLICY_S if named is None else (named,) * len(POLICY_S)

    @property
    def requests(self) -> int:
        """How many HTTP requests are made when it goes on for ever."""
        return 1 + len(self.waits_s)

    @property
    def passes(self) -> bool:
        """Whether a second attempt is made, which can succeed."""
        return bool(self.waits_s) and self.steps != UNREACHABLE
