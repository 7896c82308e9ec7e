"""One prompt, one HTTP request, through LiteLLM. The only file that imports LiteLLM.

LiteLLM takes seconds to import, so it is imported on first use, or ahead of it (`background.py`).
All of its own retries are off: one `send` makes exactly one request.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.llm.characters import Characters
from openhands_llm_magic.llm.events import Accepted, Done, Event, ReasoningDelta, TextDelta
from openhands_llm_magic.llm.litellm.faults import Stage, fault_from, limits_in, plain
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.litellm.models import cost_usd
from openhands_llm_magic.llm.litellm.quiet import quiet
from openhands_llm_magic.llm.litellm.stream import Ending, FinishTap, drop_logging, short_form

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from openhands_llm_magic.llm.request import Request


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


def send(request: Request) -> Generator[Event]:
    """Send a prompt once and yield the answer as it arrives.

    Closing the generator closes the connection. `Accepted` comes first, then the text; `Usage` if
    the provider counted; then `Done`.

    Raises:
        RequestError: Of the class that says what went wrong; a `TransientError` is worth another
            attempt.
    """
    litellm = load()
    stage: Stage = "sending"
    tap, ending = FinishTap(), Ending()
    fault: errors.RequestError | None = None
    with quiet(litellm, modify_params=request.modify_params), contextlib.ExitStack() as cleanup:
        try:
            chunks, headers = _open(litellm, request, tap, cleanup)
            stage = "accepted"
            yield Accepted(limits_in(headers))
            for piece in _pieces(chunks, ending):
                stage = "answering" if isinstance(piece, TextDelta) else stage
                yield piece
        except errors.RequestError:
            raise
        except Exception as exc:  # noqa: BLE001 - LiteLLM raises whatever its providers raise
            fault = fault_from(exc, stage, tap.error)
        usage = tap.usage(ending.usage)
        counted = ending.counted if usage else None
        cost = cost_usd(litellm, request.model, counted, request.price_usd_per_token)
    if fault is not None:  # raised here, so that it does not hold on to an exception with the key
        raise fault
    if usage is not None:
        yield usage
    fault = ending.fault(tap, usage, cost)
    if fault is not None:
        raise fault
    yield Done(ending.finish_reason, cost, ending.raw(tap))


def _pieces(chunks: Iterator[Any], ending: Ending) -> Iterator[ReasoningDelta | TextDelta]:
    """Give what the model thinks and says, and note how it ends."""
    thoughts, words = Characters(), Characters()
    for chunk in chunks:
        ending.note(chunk)
        for choice in chunk.choices:
            if thought := thoughts.feed(getattr(choice.delta, "reasoning_content", None) or ""):
                yield ReasoningDelta(thought)
            if text := words.feed(choice.delta.content or ""):
                yield TextDelta(text)
    if text := words.flush():
        yield TextDelta(text)


def _open(
    litellm: Any, request: Request, tap: FinishTap, cleanup: contextlib.ExitStack
) -> tuple[Iterator[Any], dict[str, str]]:
    """Make the HTTP request; give its chunks and its headers. `cleanup` closes the connection."""
    provider, *_ = resolved(litellm, request.model, request.options)
    options = asking_once(litellm, provider, request.options, cleanup)
    if provider in DROP_MAX_RETRIES:
        options["allowed_openai_params"] = ["max_retries"]
    stream = litellm.completion(
        model=request.model,
        messages=[dict(message) for message in request.messages],
        stream=True,
        stream_options={"include_usage": True},
        **options,
    )
    # A cache is a callback, too.
    drop_logging(stream, keep_answer=bool(litellm.success_callback or litellm.callbacks))
    source = stream.completion_stream or stream.fetch_sync_stream()
    cleanup.callback(_close, source)
    lines = getattr(source, "streaming_response", None)
    if lines is not None:
        cleanup.callback(_close, lines)
        source.streaming_response = source.response_iterator = tap.lines(lines)
    headers = _headers(stream, source)
    tap.content_type = headers.get("content-type", "")
    stream.completion_stream = short_form(tap.chunks(source))
    return iter(stream), headers


def resolved(
    litellm: Any, model: str, options: Mapping[str, Any]
) -> tuple[str, str | None, str | None]:
    """Return LiteLLM's name of a model's provider, and the key and the address that it would use.

    Raises:
        ModelNotFoundError: LiteLLM knows no provider for it.
    """
    try:
        _, provider, key, address = litellm.get_llm_provider(
            model,
            options.get("custom_llm_provider"),
            options.get("base_url"),
            options.get("api_key"),
        )
    except litellm.BadRequestError:
        raise errors.ModelNotFoundError("LiteLLM knows no provider for it") from None
    return provider, key or options.get("api_key"), address or options.get("base_url")


def asking_once(
    litellm: Any, provider: str, options: Mapping[str, Any], cleanup: contextlib.ExitStack
) -> dict[str, Any]:
    """Return a request's options with LiteLLM's own retries off, and with a timeout that counts."""
    once = dict(options)
    once |= {"num_retries": NO_RETRIES, "max_retries": NO_RETRIES}
    once["retry_policy"] = litellm.RetryPolicy()
    if provider == "azure" and "api_key" in options:
        once["azure_scope"] = AZURE_SCOPE
    if provider == "gemini" and "timeout" in options:  # LiteLLM forgets it
        once["client"] = litellm.HTTPHandler(timeout=options["timeout"])
        cleanup.callback(once["client"].close)
    return once


def _close(source: Any) -> None:
    """Close the connection behind a stream, which each provider's code keeps in its own place."""
    for holder in (
        source,
        getattr(source, "response", None),
        getattr(source, "response_iterator", None),
        getattr(source, "streaming_response", None),
    ):
        with contextlib.suppress(Exception):  # it is closed already, or was never open
            holder.close()  # type: ignore[union-attr]


def _headers(stream: Any, source: Any) -> dict[str, str]:
    """Return the response's headers by their lower-case names, as far as LiteLLM kept them."""
    kept = getattr(stream, "_response_headers", None) or getattr(source, "response_headers", None)
    return plain(kept or {})


def missing_key_variables(model: str) -> tuple[str, ...]:
    """Name the environment variables that could hold the provider's key and are not set."""
    litellm = load()
    with quiet(litellm):
        missing = litellm.validate_environment(model)["missing_keys"]
    return tuple(name for name in missing if "KEY" in name or "TOKEN" in name)
