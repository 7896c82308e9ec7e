"""What one HTTP request asks, a prompt or vectors of some texts, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.conversations import tokens_of
from openhands_llm_magic.llm.events import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.errors import RequestError
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.embedding.vectors import Vectors
    from openhands_llm_magic.llm.events import Usage


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to a model.

    Attributes:
        model: The model with its provider prefix, as LiteLLM takes it.
        messages: The conversation in OpenAI's form.
        options: Further keyword arguments of `litellm.completion`.
        modify_params: Whether LiteLLM may mend messages that a provider would refuse; it reads
            this from a global of its own.
        price_usd_per_token: What a token of the prompt and one of the answer cost, or None for
            LiteLLM's own price list.
    """

    model: str
    messages: Sequence[Message]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    modify_params: bool = True
    price_usd_per_token: tuple[float, float] | None = None

    @property
    def tokens(self) -> float:
        """About the tokens of the prompt, with those that the answer may take at most, if set."""
        prompt = sum(tokens_of(message["content"]) for message in self.messages)
        limits = (self.options.get(name) for name in ("max_completion_tokens", "max_tokens"))
        answer = next((limit for limit in limits if isinstance(limit, int)), 0)
        return prompt + answer

    def within(self, limit_s: float) -> Request:
        """Return the request with a timeout of at most some seconds, or as it is for infinity."""
        return replace(self, options=timed(self.options, limit_s))


def timed(options: Mapping[str, Any], limit_s: float) -> Mapping[str, Any]:
    """Return options with a timeout of at most some seconds; infinity changes nothing."""
    if math.isinf(limit_s):
        return options
    timeout_s = min(limit_s, options.get("timeout") or limit_s)
    return {**options, "timeout": max(timeout_s, 0.001)}  # 0 would be none


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to turn into vectors.

    Attributes:
        model: The model with its provider prefix, as LiteLLM takes it.
        texts: One or more.
        options: Further keyword arguments of `litellm.embedding`.
    """

    model: str
    texts: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def tokens(self) -> float:
        """About the tokens of the texts."""
        return sum(map(tokens_of, self.texts))

    def within(self, limit_s: float) -> EmbeddingRequest:
        """Return the request with a timeout of at most some seconds, or as it is for infinity."""
        return replace(self, options=timed(self.options, limit_s))


@dataclass(frozen=True, slots=True)
class Response:
    """What came of one HTTP request beside its text.

    Attributes:
        error: Why there is no whole answer, or None when there is one.
        finish_reason: Why the model stopped, in OpenAI's words.
        usage: Tokens as the provider counted them, or None where it counted none.
        cost: What it cost.
        model: The model that answered, as the provider names it, or None.
        raw: What else the provider told: the answer's id, the model's exact name, its own count.
        vectors: Those of the texts, where vectors were asked for.
    """

    error: RequestError | None = None
    finish_reason: str = "stop"
    usage: Usage | None = None
    cost: Cost = field(default_factory=Cost)
    model: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    vectors: Vectors | None = None
