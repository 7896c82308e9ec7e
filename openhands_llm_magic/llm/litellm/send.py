"""One prompt, one HTTP request, through LiteLLM, whose own retries are all off."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.llm.conversations import Characters
from openhands_llm_magic.llm.counts import is_limit_ignored, is_short_of_limit
from openhands_llm_magic.llm.events import Accepted, ReasoningDelta, TextDelta, ToolCallBegun
from openhands_llm_magic.llm.litellm.cost import Told, cost_of
from openhands_llm_magic.llm.litellm.faults import LONGEST_BODY, Stage, fault_from, refused
from openhands_llm_magic.llm.litellm.loading import load, quiet
from openhands_llm_magic.llm.litellm.responses import in_pieces
from openhands_llm_magic.llm.litellm.stream import (
    Ending,
    FinishTap,
    drop_logging,
    limits_in,
    plain,
    short_form,
    takes_short_form,
)
from openhands_llm_magic.llm.litellm.tool_calls import Gathered, messages_for, thinking_of
from openhands_llm_magic.llm.meaning import refuses_tools
from openhands_llm_magic.llm.prepare import Response
from openhands_llm_magic.llm.worker import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.prepare import Request


# fmt: off
DROP_MAX_RETRIES = frozenset({
    "ai21", "ai21_chat", "baseten", "codestral", "deepinfra", "featherless_ai", "hyperbolic",
    "inception", "morph", "nscale", "nvidia_nim", "sambanova", "v0",
})
# fmt: on
"""Providers for which LiteLLM drops `max_retries` on the way to the OpenAI client, which then
makes two retries of its own, unless the parameter is allowed by name. (Naming it for the others
would send it to their servers.)"""

AZURE_SCOPE = "openhands-llm-magic"
"""LiteLLM keeps Azure clients, with their retries, under a key that this is a part of: with a name
of our own we neither get the user's client nor leave him ours. Nothing else reads it when there is
an API key."""


class _NoRetries(int):
    """Zero that counts as true: LiteLLM replaces a false `max_retries` by a default of 2."""

    def __bool__(self) -> bool:
        return True


NO_RETRIES = _NoRetries(0)


def send(request: Request, emit: Callable[[Event], None]) -> Response:
    """Send a prompt once and read the answer to its end, whatever that is.

    Args:
        request: The prompt.
        emit: Called with `Accepted` when the server takes it, then with each piece of the answer.

    Returns:
        How it ended; whatever goes wrong is its `error`, of the class that says what it was.
    """
    litellm = load()
    stage: Stage = "sending"
    tap, ending, gathered = FinishTap(), Ending(), Gathered()
    error: errors.RequestError | None = None
    with quiet(litellm, modify_params=request.modify_params), contextlib.ExitStack() as cleanup:
        try:
            chunks, headers = _open(litellm, request, tap, cleanup)
            stage = "accepted"
            emit(Accepted(limits_in(headers)))
            for piece in _pieces(chunks, ending, gathered):
                if isinstance(piece, TextDelta):
                    stage = "answering"
                emit(piece)
        except errors.RequestError as fault:
            error = fault
        except Exception as exc:  # noqa: BLE001 - LiteLLM raises whatever its providers raise
            # Newer versions raise one of their own, a lost connection, where no finish reason came,
            # on some paths; others end. `Ending.fault` tells in either case.
            error = None if tap.ended else fault_from(exc, stage, tap.error)
        if error is None and not tap.understood and (text := ending.whole(tap, gathered)):
            try:
                emit(TextDelta(text))
            except Cancelled:
                error = errors.Stopped("stopped.")
        if error is None and (tap.error or not tap.understood):
            error = refused(stage, tap.error or tap.body)
        # LiteLLM's own count, in its own terms, but of an answer that broke off it makes one up.
        whole = Ending() if tap.cut_short else ending
        usage = tap.usage(whole.usage)
        counted = tap.counted and (whole.counted or tap.counted)
        cost = cost_of(
            litellm,
            request.model,
            Told(counted, tap.told_usd, tap.model, tap.service_tier),
            price=request.price_usd_per_token,
            options=request.options,
        )
    short = is_short_of_limit(request, usage) or is_limit_ignored(request, usage)
    if error is not None and request.has_tools and refuses_tools(error):
        error = error.reworded(error.text, errors.ToolsRefusedError)
    calls = gathered.calls if request.has_tools else ()
    error = error or ending.fault(tap, usage, cost.usd, own_limit=short, calls=bool(calls))
    raw = ending.raw(tap)
    response = Response(error, ending.finish_reason, usage, cost, raw.get("model"), raw)
    thinking = thinking_of(gathered.thinking)
    told = {"thinking_blocks": thinking} if thinking else {}
    return replace(response, calls=calls, told_of_calls=told) if calls else response


def _pieces(
    chunks: Iterator[Any], ending: Ending, gathered: Gathered
) -> Iterator[TextDelta | ReasoningDelta | ToolCallBegun]:
    """Yield the pieces of text and of reasoning in chunks, of whole characters each."""
    thoughts, words = Characters(), Characters()
    for chunk in chunks:
        ending.note(chunk)
        for choice in chunk.choices:
            thought = getattr(choice.delta, "reasoning_content", None) or ""
            if thought := thoughts.feed(thought):
                yield ReasoningDelta(thought)
            if text := words.feed(choice.delta.content or ""):
                yield TextDelta(text)
            yield from gathered.note(choice.delta)
    if text := words.flush():
        yield TextDelta(text)


def _open(
    litellm: Any, request: Request, tap: FinishTap, cleanup: contextlib.ExitStack
) -> tuple[Iterator[Any], dict[str, str]]:
    """Make the HTTP request; return its chunks and headers. `cleanup` closes the connection."""
    provider, *_ = resolved(litellm, request.model, request.options)
    if request.has_tools:
        check_tools(litellm, provider, request.model)
    options = asking_once(litellm, provider, request.options, cleanup)
    if provider in DROP_MAX_RETRIES:
        options["allowed_openai_params"] = ["max_retries"]
    stream = litellm.completion(
        model=request.model,
        messages=messages_for(provider, request.messages),
        stream=True,
        stream_options={"include_usage": True},
        **options,
    )
    # A cache is a callback, too. LiteLLM names it even where there is not one, and logs for it:
    # then it asks Ollama about the model, for instance.
    no_cache = getattr(litellm, "cache", None) is None
    callbacks = [*getattr(litellm, "success_callback", ()), *getattr(litellm, "callbacks", ())]
    logged = any(not (each == "cache" and no_cache) for each in callbacks)
    drop_logging(stream, keep_answer=logged)
    source = _source_of(stream)
    cleanup.callback(_close, source)
    lines = getattr(source, "streaming_response", None)
    if lines is not None:
        cleanup.callback(_close, lines)
        source.streaming_response = source.response_iterator = tap.lines(in_pieces(lines))
    headers = _headers(stream, source)
    tap.note_headers(headers)
    response: Any = getattr(source, "response", None)
    if lines is None and not tap.is_stream and hasattr(response, "iter_bytes"):
        response.iter_bytes = partial(tap.pieces, response.iter_bytes)
    chunks = _in_few_words(tap.chunks(source))
    if source is stream:
        return chunks, headers
    stream.completion_stream = short_form(chunks) if takes_short_form(litellm) else chunks
    return iter(stream), headers


LOSES_CALLS = frozenset({"cohere", "cohere_chat"})
"""Providers in whose streams LiteLLM finds no calls: it looks for them where they are not."""


def check_tools(litellm: Any, provider: str, model: str) -> None:
    """Check that LiteLLM sends a model its functions, and gives back what it asks for.

    Raises:
        ToolsRefusedError: It would leave them out in silence, or lose the calls.
    """
    if provider in LOSES_CALLS:
        raise errors.ToolsRefusedError("LiteLLM loses the calls in its streams").unsent()
    known = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider)
    if known is None or "tools" in known:
        return
    if provider == "ollama":
        raise errors.ToolsRefusedError("LiteLLM passes them on with ollama_chat/ alone").unsent()
    raise errors.ToolsRefusedError("LiteLLM passes none on to it").unsent()


def _in_few_words(chunks: Iterator[Any]) -> Iterator[Any]:
    """Pass on chunks, and what they fail with; LiteLLM would take 20 µs for each character of it.

    Raises:
        RequestError: They fail with a long text, such as an event that cannot be read.
    """
    try:
        yield from chunks
    except Exception as exc:
        if len(str(exc)) <= LONGEST_BODY:
            raise
        raise fault_from(exc, "accepted") from None


def _source_of(stream: Any) -> Any:
    """Return the provider's own chunks, or LiteLLM's where it does not give those away."""
    source = getattr(stream, "completion_stream", None)
    if source is None and hasattr(stream, "completion_stream"):
        source = getattr(stream, "fetch_sync_stream", lambda: None)()
    return stream if source is None else source


def resolved(
    litellm: Any, model: str, options: Mapping[str, Any]
) -> tuple[str, str | None, str | None]:
    """Return LiteLLM's name of a model's provider, and the key and the address that it would use.

    Raises:
        ModelNotFoundError: LiteLLM knows no provider for it.
    """
    set_by_hand = (options.get(name) for name in ("custom_llm_provider", "base_url", "api_key"))
    try:
        _, provider, key, address = litellm.get_llm_provider(model, *set_by_hand)
    except litellm.BadRequestError:
        raise errors.ModelNotFoundError("LiteLLM knows no provider for it").unsent() from None
    return provider, key or options.get("api_key"), address or options.get("base_url")


def asking_once(
    litellm: Any, provider: str, options: Mapping[str, Any], cleanup: contextlib.ExitStack
) -> dict[str, Any]:
    """Return a request's options with LiteLLM's own retries off, and with a timeout that counts."""
    once = {**options, "num_retries": 0, "max_retries": NO_RETRIES}
    if hasattr(litellm, "RetryPolicy"):  # for a user who sets `litellm.num_retries` meanwhile
        once["retry_policy"] = litellm.RetryPolicy()
    if provider == "azure" and "api_key" in options:
        once["azure_scope"] = AZURE_SCOPE
    # LiteLLM forgets Gemini's timeout.
    if provider == "gemini" and "timeout" in options and hasattr(litellm, "HTTPHandler"):
        once["client"] = litellm.HTTPHandler(timeout=options["timeout"])
        cleanup.callback(once["client"].close)
    return once


def _close(source: Any) -> None:
    """Close the connection behind a stream, which each provider's code keeps in its own place."""
    names = ("response", "response_iterator", "streaming_response")
    for holder in (source, *(getattr(source, name, None) for name in names)):
        with contextlib.suppress(Exception):  # it is closed already, or was never open
            holder.close()


def _headers(stream: Any, source: Any) -> dict[str, str]:
    """Return the response's headers by their lower-case names, as far as LiteLLM kept them."""
    kept = getattr(stream, "_response_headers", None) or getattr(source, "response_headers", None)
    return plain(kept or {})


def missing_key_variables(model: str) -> tuple[str, ...]:
    """Name the environment variables that could hold the provider's key and are not set.

    LiteLLM knows those of most providers, and none of its own proxy's; of Azure it names the key
    that is set, too, where another variable is missing.
    """
    provider = provider_of(model)
    if provider and "api_key" in provider.asks_for and provider.stand_in("", os.environ):
        return ()
    litellm = load()
    with quiet(litellm):
        missing = litellm.validate_environment(model)["missing_keys"]
    own_proxy = PROVIDERS["litellm_proxy"]
    if not missing and provider is own_proxy:
        missing = own_proxy.key_variables
    return tuple(name for name in missing if secrecy(name) >= Secrecy.POSSIBLE)
