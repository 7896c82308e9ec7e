"""What a failed request means to the person who asked: what happened, and what to change where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.resolve import Snapshot

WORDS_LIMIT = 300
"""Characters of the server's own words that are quoted."""

TEXTS = {
    errors.MissingKeyError: (
        "there is no API key for {model}. Set {variables} in the environment, give one with"
        " `%llm_config api_key`, or try `-m practice/echo`, which needs no account."
    ),
    errors.AuthenticationError: (
        "the provider refused the key {said}. Set another api_key ({api_key_from}), there or with"
        " `%llm_config api_key`."
    ),
    errors.ModelNotFoundError: (
        "the model {model} is not known {said}. Set model ({model_from}) to a name with its"
        " provider's prefix, such as openai/gpt-4o, or try `-m practice/echo`."
    ),
    errors.QuotaError: (
        "the account has no credit left {said}. Add credit, or set another api_key"
        " ({api_key_from})."
    ),
    errors.ContextLengthError: (
        "the prompt is longer than {model} takes {said}. Shorten it, or set another model"
        " ({model_from})."
    ),
    errors.BadRequestError: (
        "the request was refused {said}. `%llm_config` shows the settings it was made with, such as"
        " model ({model_from})."
    ),
    errors.UnsendableError: (
        "no request can be made {said}. Check api_key ({api_key_from}) and base_url"
        " ({base_url_from})."
    ),
    errors.RateLimitError: (
        "still rate limited {said}; {gave_up}. Ask later, or raise {limit_name} ({limit_from})."
    ),
    errors.ServerError: (
        "the server failed {said}; {gave_up}. Ask later, or raise {limit_name} ({limit_from})."
    ),
    errors.NoAnswerInTimeError: (
        "no answer came in time {said}; {gave_up}. Raise timeout ({timeout_from}), or ask later."
    ),
    errors.ConnectionFailedError: (
        "{server} could not be reached {said}; {gave_up}. Check that it runs, and base_url"
        " ({base_url_from})."
    ),
    errors.BrokenAnswerError: (
        "no complete answer came {said}; {gave_up}. Ask later, or raise {limit_name}"
        " ({limit_from})."
    ),
}
"""One line for each fault. The names in braces are those of `_facts`."""


def explained(
    error: errors.RequestError,
    settings: Snapshot,
    *,
    retries: int = 0,
    missing_variables: Sequence[str] = (),
) -> errors.RequestError:
    """Return the same failure with a line that names the setting to change and its origin.

    Args:
        error: A failure in the server's words.
        settings: What the request was made with.
        retries: How many retries were made.
        missing_variables: Environment variables that could hold the provider's key and are not
            set. With any, and no `api_key`, a refusal is for want of a key.
    """
    kind = type(error)
    refused = kind in (errors.AuthenticationError, errors.BadRequestError)
    if refused and missing_variables:
        kind = errors.MissingKeyError
    facts = _facts(error, settings, retries) | {"variables": " or ".join(missing_variables)}
    return kind(
        TEXTS[kind].format_map(facts), status=error.status, retry_after_s=error.retry_after_s
    )


def _facts(error: errors.RequestError, settings: Snapshot, retries: int) -> dict[str, object]:
    """Collect what the texts may mention."""
    limit_s = settings.retry_after_limit
    too_long = error.retry_after_s is not None and error.retry_after_s > limit_s
    limit_name = "retry_after_limit" if too_long else "num_retries"
    gave_up = (
        f"the server asks to wait {error.retry_after_s:.0f} s, longer than {limit_s:g} s"
        if too_long
        else f"gave up after {retries} {'retry' if retries == 1 else 'retries'}"
    )
    status = "" if error.status is None else f"{error.status}: "
    key_from = None if settings.api_key else "now from the provider's own variable"
    return {
        "said": f"({status}{_shortened(str(error)).rstrip('.')})",
        "gave_up": gave_up,
        "limit_name": limit_name,
        "limit_from": _origin(settings, limit_name),
        "server": settings.base_url or f"the provider of {settings.model}",
        "model": settings.model,
        "model_from": _origin(settings, "model"),
        "api_key_from": key_from or _origin(settings, "api_key"),
        "base_url_from": _origin(settings, "base_url"),
        "timeout_from": _origin(settings, "timeout"),
    }


def _shortened(words: str) -> str:
    """Cut long words of the server; only here, where no key is in them any more."""
    return words if len(words) <= WORDS_LIMIT else words[: WORDS_LIMIT - 1] + "…"


def _origin(settings: Snapshot, name: str) -> str:
    """Name a setting's value and origin: "4, from config.toml line 3"."""
    value, origin = getattr(settings, name), settings.origin(name)
    shown = "not set" if value is None else f"{value:g}" if isinstance(value, float) else value
    return f"now {shown}, from {origin}"
