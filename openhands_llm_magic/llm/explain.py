"""What a failed request means to the person who asked: what happened, and what to change where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic import errors
from openhands_llm_magic.config.setting import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import HeldBy

WORDS_LIMIT = 300
"""Characters of the server's own words that are quoted."""

HELD_BY: dict[HeldBy, str] = {
    "requests_per_minute": "to keep within requests_per_minute",
    "tokens_per_minute": "to keep within tokens_per_minute",
    "headroom": "as the server says that its limit is used up",
    "pause": "as the server told another request to wait",
    "pace": "at the pace that the server has been seen to take",
}
"""Why a request is held back."""

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
    errors.ContentFilterError: (
        "the provider's content filter withheld the answer {said}. Ask in other words, or set"
        " another model ({model_from})."
    ),
    errors.OutputLimitError: (
        "the answer has no text {said}. Raise max_output_tokens ({max_output_tokens_from})."
    ),
    errors.NoTextError: (
        "the answer has no text {said}. Ask in other words, or set another model ({model_from})."
    ),
    errors.HeldBackError: (
        "not sent within the deadline {said}. Ask later, or raise deadline ({deadline_from})."
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
"""One line for each fault. The names in braces are those of `facts`."""


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
    known = facts(error, settings, retries) | {"variables": " or ".join(missing_variables)}
    return error.reworded(TEXTS[kind].format_map(known), kind)


def misfit_explained(
    error: errors.FormatError, finish_reason: str | None, settings: Snapshot
) -> errors.FormatError:
    """Return a misfit in other words where the answer was cut off, which is why it does not fit."""
    if finish_reason == "stop" or not error.problem:
        return error
    cut, cure = f"with {finish_reason!r}", ""
    match finish_reason:
        case "length":
            cut = "at the limit of its tokens"
            cure = f"; raise max_output_tokens ({origin_of(settings, 'max_output_tokens')})"
        case "content_filter":
            cut = "by the provider's content filter"
            cure = f"; ask in other words, or set another model ({origin_of(settings, 'model')})"
    return errors.FormatError(
        f"the answer was cut off {cut} ({error.problem}). Its text is in `_`{cure}.",
        problem=error.problem,
    )


def _limit(error: errors.RequestError, settings: Snapshot, retries: int) -> tuple[str, str]:
    """Name the setting that ended the retries, and say what happened."""
    limit_s, asked_s = settings.retry_after_limit, error.retry_after_s
    if asked_s is not None and asked_s > limit_s:
        return (
            "retry_after_limit",
            f"the server asks to wait {asked_s:.0f} s, longer than {limit_s:g} s",
        )
    gave_up = f"gave up after {retries} {'retry' if retries == 1 else 'retries'}"
    if settings.deadline is not None and retries < settings.num_retries:
        return "deadline", f"{gave_up}, as the next would come after {settings.deadline:g} s"
    return "num_retries", gave_up


def facts(error: errors.RequestError, settings: Snapshot, retries: int) -> dict[str, object]:
    """Collect what the texts may mention."""
    limit_name, gave_up = _limit(error, settings, retries)
    status = "" if error.status is None else f"{error.status}: "
    key_from = None if settings.api_key else "now from the provider's own variable"
    return {
        "said": f"({status}{shorten(str(error), WORDS_LIMIT).rstrip('.')})",
        "gave_up": gave_up,
        "limit_name": limit_name,
        "limit_from": origin_of(settings, limit_name),
        "server": settings.base_url or f"the provider of {settings.model}",
        "model": settings.model,
        "model_from": origin_of(settings, "model"),
        "api_key_from": key_from or origin_of(settings, "api_key"),
        "base_url_from": origin_of(settings, "base_url"),
        "timeout_from": origin_of(settings, "timeout"),
        "deadline_from": origin_of(settings, "deadline"),
        "max_output_tokens_from": origin_of(settings, "max_output_tokens"),
    }


def origin_of(settings: Snapshot, name: str) -> str:
    """Name a setting's value and origin: "4, from config.toml line 3"."""
    value, origin = getattr(settings, name), settings.origin(name)
    shown = "not set" if value is None else f"{value:g}" if isinstance(value, float) else value
    return f"now {shown}, from {origin}"
