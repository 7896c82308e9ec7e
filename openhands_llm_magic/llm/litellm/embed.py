"""Texts into vectors: one HTTP request, through LiteLLM."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.llm.embedding.vectors import Vectors
from openhands_llm_magic.llm.events import Accepted, Cost, Usage
from openhands_llm_magic.llm.litellm.clients import HTTPX
from openhands_llm_magic.llm.litellm.cost import Told, cost_of, told_beside, told_in
from openhands_llm_magic.llm.litellm.faults import body_of, fault_from, has_cause, refused
from openhands_llm_magic.llm.litellm.loading import load, quiet
from openhands_llm_magic.llm.litellm.send import asking_once, resolved
from openhands_llm_magic.llm.litellm.stream import limits_in, plain
from openhands_llm_magic.llm.prepare import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.prepare import EmbeddingRequest

NEED_A_CLIENT = {"azure_ai", "fireworks_ai", "mistral", "nebius", "wandb", "xinference"}
"""Providers for which LiteLLM drops `max_retries` on the way to the OpenAI client, which then
makes two retries of its own, unless it is a client that cannot."""


def embed(request: EmbeddingRequest, emit: Callable[[Event], None]) -> Response:
    """Turn texts into vectors, with one request.

    Bedrock's Titan models take one text at a time, so there LiteLLM makes a request for each.

    Args:
        request: The texts.
        emit: Called with `Accepted` when the vectors have come.

    Returns:
        The vectors; whatever goes wrong is its `error`, of the class that says what it was.
    """
    litellm = load()
    usage, cost = None, Cost()
    with quiet(litellm), _noting() as noted, contextlib.ExitStack() as cleanup:
        cleanup.callback(lambda: _close_unless_kept(litellm, noted.client))
        try:
            response = _asked(litellm, request, cleanup)
            usage = _usage(response)
            hidden = getattr(response, "_hidden_params", None) or {}  # where LiteLLM keeps them
            headers = plain(hidden.get("additional_headers") or {})
            usd = noted.told_usd or told_in(headers)
            model = getattr(response, "model", None)
            told = Told(response.usage if usage else None, usd, model)
            cost = cost_of(litellm, request.model, told, options=request.options)
            vectors = _vectors(response)
        except errors.RequestError as error:
            return Response(noted.told() or error, usage=usage, cost=cost)
        except Exception as exc:  # noqa: BLE001 - LiteLLM raises whatever its providers raise
            if not noted.is_answer:
                return Response(_without_vectors(exc) or fault_from(exc, "sending"))
            unread = errors.BrokenAnswerError("the vectors could not be read")
            told = Told(noted.counted, noted.told_usd)
            cost = cost_of(litellm, request.model, told, options=request.options)
            return Response(noted.told() or unread, cost=cost)
        emit(Accepted(limits_in(headers)))
        if len(vectors) != len(request.texts) or 0 in vectors.shape:
            missing = errors.BrokenAnswerError("there is not a vector for each text")
            return Response(noted.told() or missing, usage=usage, cost=cost, model=model)
        return Response(usage=usage, cost=cost, model=model, vectors=vectors)


def _without_vectors(exc: Exception) -> errors.RequestError | None:
    """Return the error of a provider that LiteLLM asks for answers alone, or None for others."""
    if not has_cause(exc, "LiteLLMUnknownProvider"):
        return None
    told = errors.Text("LiteLLM has no vectors for this provider")
    return errors.ModelNotFoundError(told).unsent()


class _Noted(threading.local):
    """The last response to a request for vectors of this thread, while one is made."""

    is_wanted = False
    client: Any = None
    response: Any = None

    @property
    def is_answer(self) -> bool:
        """Whether the server has accepted the request, by its status."""
        return self.response is not None and self.response.is_success

    @property
    def counted(self) -> Any:
        """What the server itself counts, or None where it does not, or it cannot be read."""
        with contextlib.suppress(Exception):  # no JSON, or not of this form
            return json.loads(self.response.content)["usage"] if self.is_answer else None
        return None

    @property
    def told_usd(self) -> float | None:
        """What the server tells that the vectors cost, which LiteLLM drops, or None.

        Of a long body with many vectors only one that tells a cost is read once more.
        """
        content = getattr(self.response, "content", b"")
        return told_beside(self.counted) if b'"cost"' in content else None

    def told(self) -> errors.RequestError | None:
        """Return the error that came in place of vectors, or None where the body tells none."""
        if not self.is_answer:
            return None
        body = body_of(self.response)
        if not body.strip():
            return errors.BrokenAnswerError("the model sent an empty answer")
        return refused("accepted", body)


_noted = _Noted()


@contextlib.contextmanager
def _noting() -> Iterator[_Noted]:
    """Note what the server answers to this thread's requests."""
    for name in filter(sys.modules.__contains__, HTTPX):
        _note_responses_of(name)
    _noted.is_wanted, _noted.response = True, None
    try:
        yield _noted
    finally:
        _noted.is_wanted, _noted.client, _noted.response = False, None, None


@functools.cache
def _note_responses_of(module: str) -> None:
    """Let httpx, or what has its place, note its responses on the threads that ask for vectors.

    LiteLLM passes on nothing of an answer that it cannot read, or words of its own for it. Nearly
    all of its ways to a server end in this method; what goes another way is told in those words.
    """
    client_class: Any = importlib.import_module(module).Client
    send = client_class.send

    @functools.wraps(send)
    def noted(client: Any, *args: Any, **options: Any) -> Any:
        _noted.response = None
        response = send(client, *args, **options)
        if _noted.is_wanted:
            _noted.client, _noted.response = client, response
        return response

    client_class.send = noted


def _close_unless_kept(litellm: Any, client: Any) -> None:
    """Close a client that LiteLLM has made for one request and forgotten.

    For vectors of some providers it makes one for each, which would keep its connection.
    """
    cache = getattr(litellm, "in_memory_llm_clients_cache", None)
    kept = [*getattr(cache, "cache_dict", {}).values(), vars(litellm).get("module_level_client")]
    clients = [getattr(each, name, None) for each in kept for name in ("client", "_client")]
    clients.append(getattr(litellm, "client_session", None))  # the person's own
    if client is not None and not any(each is client for each in clients):
        client.close()


def _asked(litellm: Any, request: EmbeddingRequest, cleanup: contextlib.ExitStack) -> Any:
    """Make the HTTP request for the vectors, and return LiteLLM's response."""
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

    limits: dict[str, Any] = {} if timeout_s is None else {"timeout": timeout_s}
    return Once(api_key=key or "", base_url=address, **limits)


def _vectors(response: Any) -> Vectors:
    """Return the vectors of a response, in the order of their texts."""
    rows = sorted(response.data or (), key=lambda row: row["index"])
    try:
        return Vectors.of(row["embedding"] or () for row in rows)
    except (TypeError, ValueError) as error:
        text = errors.Text("the vectors could not be read: {why}", why=error)
        raise errors.BrokenAnswerError(text) from None


def _usage(response: Any) -> Usage | None:
    """Return the tokens that a response tells, or None where it tells none."""
    tokens = getattr(getattr(response, "usage", None), "prompt_tokens", None)
    return Usage(tokens, 0) if tokens else None
