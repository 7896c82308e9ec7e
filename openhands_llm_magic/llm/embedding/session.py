"""Turning any number of texts into vectors: settings and texts in, events or `Embeddings` out."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.config.secret import Redactor
from openhands_llm_magic.llm.attempts import Attempts, secrets_of
from openhands_llm_magic.llm.embedding.faults import explained
from openhands_llm_magic.llm.embedding.names import batches, limit_of
from openhands_llm_magic.llm.embedding.place import Place, place_from
from openhands_llm_magic.llm.events import Accepted, Event, Failed
from openhands_llm_magic.llm.litellm.embed import Embeddings
from openhands_llm_magic.llm.litellm.embed import embed as embed_once
from openhands_llm_magic.llm.litellm.send import missing_key_variables
from openhands_llm_magic.llm.practice import models as practice_models
from openhands_llm_magic.llm.request import EmbeddingRequest
from openhands_llm_magic.llm.retry import SYSTEM_CLOCK, Clock, RetryNow

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


def embed(
    texts: Sequence[str],
    settings: Snapshot | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    **overrides: Any,
) -> Embeddings:
    """Turn texts into vectors and wait for all of them.

    Args:
        texts: One or more, none of them empty.
        settings: What to ask with; by default what `load_settings` finds.
        clock: Measures and makes the waits between retries.
        overrides: Settings for these requests alone, by name.

    Raises:
        RequestError: A request failed; its `reply` is the `Embeddings` of the texts before it.
        SettingError: An override is bad, or no embedding model is set.
        UsageError: There are no texts, or one is empty.
    """
    parts = []
    for event in stream(
        texts, (settings or load_settings()).with_overrides(overrides), clock=clock
    ):
        match event:
            case Embeddings():
                parts.append(event)
            case Failed(error):
                error.reply = Embeddings.joined(parts)
                raise error
            case _:
                pass
    return Embeddings.joined(parts)


def stream(
    texts: Sequence[str],
    settings: Snapshot,
    *,
    clock: Clock = SYSTEM_CLOCK,
    retry_now: RetryNow | None = None,
) -> Generator[Event | Embeddings]:
    """Turn texts into vectors, and yield the `Embeddings` of each request as they come.

    The events of a request come before its `Embeddings`; `Failed` ends it all. Each request has the
    retries and the deadline of a prompt. Nothing is sent before the first event is asked for.
    What bad arguments raise is as for `embed`; `MissingKeyError` and `NotStoredError` come at once.
    """
    _require_texts(texts)
    place = place_from(settings)
    if settings.cache == "replay" and not place.name.startswith(practice_models.PREFIX):
        raise errors.NotStoredError(
            "vectors are not stored, and nothing is sent with LLM_MAGIC_CACHE=replay. Keep them in"
            " a file of your own, or try `-m practice/embed`."
        )
    return _events(texts, settings, place, clock, retry_now or RetryNow())


def _require_texts(texts: Sequence[str]) -> None:
    if not texts:
        raise errors.UsageError("there are no texts to make vectors of.")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            which = f"text {number:,} of {len(texts):,}" if len(texts) > 1 else "the text"
            raise errors.UsageError(f"{which} is empty: leave it out.")


def _events(
    texts: Sequence[str], settings: Snapshot, place: Place, clock: Clock, retry_now: RetryNow
) -> Generator[Event | Embeddings]:
    """Make one request after the other, up to the first that fails."""
    options = place.request.options
    redactor = Redactor(secrets_of(settings, options))
    attempts = Attempts(settings, redactor, clock, retry_now)
    done = 0
    for batch in batches(texts, limit_of(place.name, options.get("base_url"))):
        request = EmbeddingRequest(place.request.model, batch, options)
        which = f"texts {done + 1:,} to {done + len(batch):,}" if len(texts) > 1 else "the text"
        received: list[Embeddings] = []
        send = partial(_sent, received=received)
        explain = partial(explained, settings=settings, place=place, texts=which)
        with contextlib.closing(attempts.events(request, send, explain)) as events:
            for event in events:
                yield from received  # ahead of what comes with them: a stop now does not lose them
                received.clear()
                yield event
                if isinstance(event, Failed):
                    return
        done += len(batch)


def _sent(request: EmbeddingRequest, received: list[Embeddings]) -> Generator[Event]:
    """Make one attempt; put what comes of it into `received`."""
    if "api_key" not in request.options and provider_of(request.model) is None:
        # LiteLLM would try OPENAI_API_KEY at some providers.
        missing = missing_key_variables(request.model)
        if missing:
            variables = " or ".join(missing)
            raise errors.MissingKeyError(f"{variables} is not set")
    vectors = embed_once(request)
    received.append(vectors)
    yield Accepted(vectors.headers)
    if vectors.usage is not None:
        yield vectors.usage
