"""Texts into vectors: one HTTP request, through LiteLLM."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.llm.embedding.vectors import Vectors
from openhands_llm_magic.llm.events import Usage
from openhands_llm_magic.llm.litellm.faults import fault_from, is_unreadable, limits_in
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.litellm.models import cost_usd
from openhands_llm_magic.llm.litellm.quiet import quiet
from openhands_llm_magic.llm.litellm.send import asking_once, resolved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.llm.request import EmbeddingRequest

# fmt: off
NEED_A_CLIENT = frozenset({
    "azure_ai", "fireworks_ai", "mistral", "nebius", "wandb", "xinference",
})
# fmt: on
"""Providers for which LiteLLM drops `max_retries` on the way to the OpenAI client, which then
makes two retries of its own, unless it is a client that cannot."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of some texts.

    Attributes:
        vectors: One for each text, in the same order.
        usage: Tokens as LiteLLM reports them, or None for none. Where Gemini or Ollama count
            none, it counts them itself.
        cost_usd: What they cost, or None when the price is unknown.
        headers: Those of the response that tell of limits, by lower-case name.
    """

    vectors: Vectors
    usage: Usage | None = None
    cost_usd: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def joined(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """Put those of several requests together; what one does not tell is not known of all.

        Raises:
            ValueError: Their vectors are not equally long.
        """
        vectors = Vectors.joined(part.vectors for part in parts)
        tokens = [part.usage.prompt_tokens for part in parts if part.usage is not None]
        costs = [part.cost_usd for part in parts if part.cost_usd is not None]
        return cls(
            vectors,
            Usage(sum(tokens), 0) if len(tokens) == len(parts) else None,
            sum(costs) if len(costs) == len(parts) else None,
        )


def embed(request: EmbeddingRequest) -> Embeddings:
    """Turn texts into vectors, with one request.

    Bedrock's Titan models take one text at a time, so there LiteLLM makes a request for each.

    Raises:
        RequestError: Of the class that says what went wrong; a `TransientError` is worth another
            attempt.
    """
    litellm = load()
    fault: errors.RequestError | None = None
    with quiet(litellm), contextlib.ExitStack() as cleanup:
        try:
            response = _asked(litellm, request, cleanup)
            vectors, usage = _vectors(response), _usage(response)
            headers = limits_in(response._hidden_params.get("additional_headers") or {})  # noqa: SLF001 - where LiteLLM keeps them
            cost = cost_usd(litellm, request.model, response.usage if usage else None)
        except errors.RequestError:
            raise
        except Exception as exc:  # noqa: BLE001 - LiteLLM raises whatever its providers raise
            fault = fault_from(exc, "sending")
            if type(fault) is errors.BadRequestError and is_unreadable(exc):
                fault = errors.BrokenAnswerError("the vectors could not be read")
    if fault is not None:  # raised here, so that it does not hold on to an exception with the key
        raise fault
    if len(vectors) != len(request.texts) or 0 in vectors.shape:
        raise errors.BrokenAnswerError("there is not a vector for each text")
    return Embeddings(vectors, usage, cost, headers)


def _asked(litellm: Any, request: EmbeddingRequest, cleanup: contextlib.ExitStack) -> Any:
    """Make the HTTP request."""
    provider, key, address = resolved(litellm, request.model, request.options)
    options = asking_once(litellm, provider, request.options, cleanup)
    if provider in NEED_A_CLIENT:
        options["client"] = _client_that_asks_once(key, address, options.get("timeout"))
        cleanup.callback(options["client"].close)
    if "base_url" in options:
        options["api_base"] = options.pop("base_url")
    return litellm.embedding(model=request.model, input=list(request.texts), **options)


def _client_that_asks_once(key: str | None, address: str | None, timeout_s: float | None) -> Any:
    """Make an OpenAI client whose number of retries LiteLLM cannot raise."""
    import openai  # noqa: PLC0415 - LiteLLM has imported it by now

    class Once(openai.OpenAI):
        max_retries = property(lambda _: 0, lambda _, __: None)

    timeout = openai.NOT_GIVEN if timeout_s is None else timeout_s
    return Once(api_key=key or "", base_url=address, timeout=timeout)


def _vectors(response: Any) -> Vectors:
    """Return the vectors, in the order of their numbers."""
    rows = sorted(response.data or (), key=lambda row: row["index"])
    try:
        return Vectors.of(row["embedding"] or () for row in rows)
    except (TypeError, ValueError) as error:
        raise errors.BrokenAnswerError(f"the vectors could not be read: {error}") from None


def _usage(response: Any) -> Usage | None:
    """Return the tokens that were counted, if there are any."""
    tokens = getattr(getattr(response, "usage", None), "prompt_tokens", None)
    return Usage(tokens, 0) if tokens else None
