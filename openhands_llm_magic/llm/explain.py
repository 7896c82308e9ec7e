"""What a failed request means to the person who asked: what happened, and what to change where.

The words are those for a script. What is a name of its own in capitals here, a place such as a
notebook says in words of its own.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.request import getproxies

from openhands_llm_magic import errors
from openhands_llm_magic.config.layers import DEFAULT
from openhands_llm_magic.config.providers import is_own_network, provider_of, server_of
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.config.width import narrow, wide_mark
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm import astray
from openhands_llm_magic.llm.meaning import is_outside_free_tier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import ThrottledBy

WORDS_LIMIT = 300
"""Characters of the server's own words that are quoted."""

THROTTLED_BY: dict[ThrottledBy, str] = {
    "requests_per_minute": "to keep within requests_per_minute",
    "tokens_per_minute": "to keep within tokens_per_minute",
    "headroom": "as the server says that its limit is used up",
    "pause": "as the server told another request to wait",
    "pace": "at the pace that the server has been seen to take",
}
"""Why a request is held back."""

GIVE_KEY = "give api_key"
OR_GIVE_KEY = "or as an argument"
LIST_MODELS = "its list of models tells them all"
TRY_PRACTICE = "try the model practice/echo"
GIVE_EMBEDDING_KEY = "give it as api_key"
TRY_PRACTICE_VECTORS = "try the embedding_model practice/embed"
KEPT_IN = "the error's reply"
STORE_IT = 'Ask once with cache="on"'
THE_SCHEMA = "argument {name}"
LIFT = "give None for the limit, which lets this one pass"
MORE_ROUNDS = "max_rounds allows more"
WITHOUT_TOOLS = "ask without tools"
OUTLASTS = "{command} would outlast it: they give up after {waits}."
NO_SERVER = "no server seems to run at {place}: {reason}"
NO_SUCH_NAME = "no address is known for {host}: {reason}"
EMPTY_PROMPT = "the prompt is empty."
NO_EMBEDDING_MODEL = (
    "embedding_model is not set: set it to openai/text-embedding-3-small, or to practice/embed,"
    " which needs no account."
)
REQUEST_REFUSED = (
    "the request was refused {said}. Check the settings it was made with, such as model"
    " ({model_from})."
)

TEXTS: Mapping[type[errors.RequestError], str] = {
    errors.MissingKeyError: (
        "there is no API key for {model}. Set {variables} in the environment, {give_key}, or"
        " {try_practice}, which needs no account."
    ),
    errors.AuthenticationError: (
        "the provider refused the key {said}. Set another api_key ({api_key_from}), there"
        " {or_give_key}."
    ),
    errors.ModelNotFoundError: (
        "the model {model} is not known {said}. Set model ({model_from}) to a name with its"
        " provider's prefix, such as openai/gpt-4o, or {try_practice}."
    ),
    errors.AddressError: "no model answers at {url} {said}. {check_address}.",
    errors.RedirectError: (
        "nothing was sent on to another server {said}. If that is the right one, set base_url"
        " ({base_url_from}) to it."
    ),
    errors.ProxyError: (
        "a proxy or a firewall on the way refused the request {said}. Check {proxy_from}."
    ),
    errors.CertificateError: (
        "the certificate of {server} is not trusted {said}. {check_certificate}."
    ),
    errors.QuotaError: (
        "the account has no credit left {said}. Add credit, or set another api_key"
        " ({api_key_from})."
    ),
    errors.ContextLengthError: (
        "the prompt is longer than {model} takes {said}. Shorten it, or set another model"
        " ({model_from})."
    ),
    errors.RequestTooLargeError: (
        "the request is larger than may be sent at once {said}. Shorten the prompt, lower"
        " max_output_tokens ({max_output_tokens_from}), or set another model ({model_from})."
    ),
    errors.BadRequestError: REQUEST_REFUSED,
    errors.UnsendableError: (
        "no request can be made {said}. Check api_key ({api_key_from}) and base_url"
        " ({base_url_from})."
    ),
    errors.ContentFilterError: (
        "the provider's content filter withheld the answer {said}. Ask in other words, or set"
        " another model ({model_from})."
    ),
    errors.ToolCallError: (
        "the model asked twice for what cannot be called {said}. What came is in {kept_in}; set"
        " another model ({model_from})."
    ),
    errors.ToolRoundsError: "no answer came {said}. What came is in {kept_in}.",
    errors.ToolsRefusedError: (
        "{model}, or its server, takes no functions {said}. Set another model ({model_from}), or"
        " {without_tools}."
    ),
    errors.OutputLimitError: (
        "the answer has no text {said}. Raise max_output_tokens ({max_output_tokens_from})."
    ),
    errors.NoTextError: (
        "the answer has no text {said}. Ask in other words, or set another model ({model_from})."
    ),
    errors.OversizedError: (
        "the answer was not read to its end {said}. What came of it is in {kept_in}; ask again, or"
        " set another base_url ({base_url_from})."
    ),
    errors.FinishReasonError: (
        "the answer may not be whole {said}. What came of it is in {kept_in}; ask again, or set"
        " another model ({model_from})."
    ),
    errors.ThrottledError: (
        "not sent within the deadline {said}. Ask later, or raise deadline ({deadline_from})."
    ),
    errors.RateLimitError: (
        "still rate limited {said}; {gave_up}. Ask later, or raise {limit_name} ({limit_from})."
    ),
    errors.DailyLimitError: (
        "the limit of the {period} is used up {said}; {opens}. Ask then, or set another model"
        " ({model_from}) or api_key ({api_key_from})."
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

NOT_SENT = (
    "nothing was sent, as LiteLLM makes no request of this {said}. Check the settings it is made"
    " of, such as model ({model_from})."
)
NO_ADDRESS = (
    "nothing was sent: {model} needs the address of a server {said}. Set base_url"
    " ({base_url_from}){such_as}."
)
UNKNOWN_AT_SERVER = (
    "the model {model} is not known {said}. Set model ({model_from}) to one that the server has:"
    " {names}; {list_models}."
)
UNKNOWN_AND_NEAR = (
    "the model {model} is not known {said}. Did you mean {near}? Set model ({model_from}) to one"
    " that the server has: {names}; {list_models}."
)
UNLISTED = (
    "the model {model} is not known {said}. Set model ({model_from}) to one that the server has;"
    " {list_models}."
)
UNLISTED_AND_NEAR = (
    "the model {model} is not known {said}. Did you mean {near}? Set model ({model_from}) to one"
    " that the server has; {list_models}."
)
WITHOUT_LIST = (
    "the model {model} is not known {said}. Set model ({model_from}) to another name, or"
    " {try_practice}."
)
WITHOUT_LIST_BUT_NEAR = (
    "the model {model} is not known {said}. Did you mean {near}? Set model ({model_from}) to it, or"
    " to another name."
)
"""What is said of a model whose prefix is right."""

REASON_FOUND: Mapping[type[errors.RequestError], str] = {
    errors.ModelNotFoundError: "the model {model} is not known {said}: {found}",
    errors.AuthenticationError: (
        "the provider refused the key {said}. Set another api_key ({api_key_from}), unless this is"
        " why: {found}"
    ),
    errors.AddressError: "no model answers at {url} {said}: {found}",
    errors.ConnectionFailedError: "{server} could not be reached {said}: {found}",
}
"""Their lines where the check finds the reason in the settings, which counts more than advice in
general."""

NOT_INSTALLED = "{said} The reason: {found}"

WITHOUT_PREFIX = (
    "{said} Without a prefix the model is one of Vertex AI: for Google AI Studio set model to"
    " {meant}."
)
GATEWAYS_KEY = (
    "{given_by} refused the key of the gateway in between {said}. It took yours ({api_key_from});"
    " whoever runs {server} can give it another."
)
TOO_EXPENSIVE = (
    "the account's credit does not cover the request {said}. Lower max_output_tokens"
    " ({max_output_tokens_from}), add credit, or set another api_key ({api_key_from})."
)
ADDRESS_UNSENDABLE = (
    "no request can be made {said}. Set base_url ({base_url_from}) to an address that begins with"
    " http://, or with https:// where the server has a certificate."
)
HEADER_UNSENDABLE = (
    "no request can be made, as a character in a header does not fit into HTTP. Check extra_headers"
    " in completion_kwargs ({kwargs_from}), and api_key ({api_key_from})."
)
FULL_WIDTH = "the request failed {said}: {full_width}."
WHERE_FULL_WIDTH_FAILS = (
    errors.UnsendableError,
    errors.ModelNotFoundError,
    errors.AddressError,
    errors.BadRequestError,
    errors.AuthenticationError,
)
TYPED_FOR_SERVER = ("base_url", "model", "custom_llm_provider", "api_version", "api_key")
"""The settings that lead to the model, in which a full-width character is a slip."""
NOT_IN_FREE_TIER = (
    "{model} is not in the free tier {said}. Set another model ({model_from}), or turn on billing"
    " for the project of the key: another key of it changes nothing."
)
SETTING_REFUSED = (
    "the request was refused {said}. Set {named} to another value, or to none, which leaves it out."
)
TOO_LONG_WITH_ANSWER = (
    "the prompt and its answer are longer than {model} takes {said}. Shorten the prompt, lower"
    " max_output_tokens ({max_output_tokens_from}), or set another model ({model_from})."
)
TOO_LONG_FOR_OWN_SERVER = (
    "the prompt is longer than {model} takes {said}. Shorten it, give the server more context"
    " (llama.cpp: -c; vLLM: --max-model-len; Ollama: OLLAMA_CONTEXT_LENGTH; LM Studio: context"
    " length), or set another model ({model_from})."
)
CALL_CUT_OFF = (
    "the model's call of a function was cut off twice {said}. What came is in {kept_in}; raise"
    " max_output_tokens ({max_output_tokens_from})."
)
ANY_KEY_WILL_DO = (
    "there is no API key for {model}. Set {variables} in the environment (a server of your own that"
    " asks for no key takes any text for one), {give_key}, or {try_practice}."
)


def _text_for(
    error: errors.RequestError, kind: type[errors.RequestError], settings: Snapshot
) -> str:
    """Return the line of a fault, by its class and what the server says beside its words."""
    text = TEXTS[kind]
    match kind:
        case errors.MissingKeyError if _is_own_server(settings):
            text = ANY_KEY_WILL_DO
        case errors.AuthenticationError if error.given_by:
            text = GATEWAYS_KEY
        case errors.ToolCallError if error.finish_reason == "length":
            text = CALL_CUT_OFF
        case errors.UnsendableError if "base_url" in error.named:
            text = ADDRESS_UNSENDABLE
        case errors.UnsendableError if (settings.completion_kwargs or {}).get("extra_headers"):
            text = HEADER_UNSENDABLE
        case errors.QuotaError:
            text = _quota_text(error)
        case errors.ContextLengthError if "max_output_tokens" in _set(error.named, settings):
            text = TOO_LONG_WITH_ANSWER
        case errors.ContextLengthError if _is_own_server(settings):
            text = TOO_LONG_FOR_OWN_SERVER
        case errors.BadRequestError:
            text = _of_bad_request(error, settings)
    return text


def _of_bad_request(error: errors.RequestError, settings: Snapshot) -> str:
    """Return the line of a request that the server refused, or that LiteLLM did not send."""
    if _set(error.named, settings):
        return SETTING_REFUSED
    if error.was_sent:
        return REQUEST_REFUSED
    lacks_address = not settings.base_url and _ADDRESS_MEANT.search(str(error))
    return NO_ADDRESS if lacks_address else NOT_SENT


_ADDRESS_MEANT = re.compile(r"\b(?:api_base|base_url)\b")
"""How LiteLLM and its clients name what they lack where no address is set."""


def _unknown(known: Mapping[str, object], settings: Snapshot, listed: astray.Listed) -> Text:
    """Return the line of a model that the provider does not know: what can be asked for there."""
    model = settings.model
    near = astray.nearest(model, listed)
    known = {**known, "near": near}
    if listed.are_all:
        names = astray.shown(astray.nearest_first(model, listed.names))
        return Text(UNKNOWN_AND_NEAR if near else UNKNOWN_AT_SERVER, **known, names=names)
    if listed.can_be_asked:
        return Text(UNLISTED_AND_NEAR if near else UNLISTED, **known)
    return Text(WITHOUT_LIST_BUT_NEAR if near else WITHOUT_LIST, **known)


def _full_width_in(settings: Snapshot) -> str:
    """Return the setting of the model's server that has a full-width character, or ""."""
    return next((name for name in TYPED_FOR_SERVER if wide_mark(_plain(settings, name))), "")


def _plain(settings: Snapshot, name: str) -> str:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, Secret) else value or ""


def _about_full_width(settings: Snapshot) -> Text:
    name = _full_width_in(settings)
    text = _plain(settings, name) if name else ""
    facts = {
        "name": name,
        "from": origin_of(settings, name) if name else "",
        "mark": wide_mark(text),
    }
    if name == "api_key":
        told = "{name} ({from}) has a full-width {mark}. Set it again, with the input method off"
        return Text(told, **facts)
    told = "{name} ({from}) has a full-width {mark}. Set it to {meant}"
    return Text(told, **facts, meant=repr(narrow(text)))


def _quota_text(error: errors.RequestError) -> str:
    """Return the line of an account that does not cover a request."""
    if is_outside_free_tier(error):
        return NOT_IN_FREE_TIER
    return TOO_EXPENSIVE if "max_output_tokens" in error.named else TEXTS[errors.QuotaError]


def _set(names: Sequence[str], settings: Snapshot) -> list[str]:
    """Return those of the settings that somebody has set, so that the server can refuse them."""
    known = (name for name in names if name in SETTINGS)
    return [
        name
        for name in known
        if getattr(settings, name) is not None and settings.origin(name) != DEFAULT
    ]


def _is_own_server(settings: Snapshot) -> bool:
    """Tell whether the server is on this machine, or in its network."""
    server = server_of(settings.base_url)
    return server is not None and is_own_network(server.host)


CUT_OFF = {
    "length": (
        "the answer was cut off at the limit of its tokens ({problem}). Its text is in {kept_in};"
        " raise max_output_tokens ({max_output_tokens_from})."
    ),
    "content_filter": (
        "the answer was cut off by the provider's content filter ({problem}). Its text is in"
        " {kept_in}; ask in other words, or set another model ({model_from})."
    ),
    "context": (
        "the answer was cut off where the model's context was full ({problem}). Its text is in"
        " {kept_in}; shorten the prompt, or set another model ({model_from})."
    ),
}
CUT_OFF_OTHERWISE = (
    "the answer was cut off with {finish_reason} ({problem}). Its text is in {kept_in}."
)
"""What is said of an answer that does not fit, by its finish_reason."""


def explained(
    error: errors.RequestError,
    settings: Snapshot,
    *,
    retries: int = 0,
    missing_variables: Sequence[str] = (),
    listed: astray.Listed | None = None,
) -> errors.RequestError:
    """Return the same failure with a line that names the setting to change and its origin.

    Args:
        error: A failure in the server's words.
        settings: What the request was made with.
        retries: How many retries were made.
        missing_variables: Environment variables that could hold the provider's key and are not
            set. With any, and no `api_key`, a refusal is for want of a key.
        listed: The models to name in place of one that is not known.
    """
    kind = type(error)
    refused = kind in (errors.AuthenticationError, errors.BadRequestError)
    if refused and missing_variables:
        kind = errors.MissingKeyError
    known = facts(error, settings, retries) | {"variables": any_of(missing_variables)}
    if kind not in TEXTS:  # LibraryError, which says all by itself but what may be meant
        is_geminis = settings.model.startswith("gemini-") and not settings.custom_llm_provider
        if "model" in error.named and is_geminis:
            meant = f"gemini/{settings.model}"
            return error.reworded(Text(WITHOUT_PREFIX, said=error.text, meant=meant))
        found = astray.found_by_check(error, settings)
        return error.reworded(Text(NOT_INSTALLED, said=error.text, found=found)) if found else error
    if kind in WHERE_FULL_WIDTH_FAILS and _full_width_in(settings):
        return error.reworded(Text(FULL_WIDTH, **known), kind)
    may_be_settings = kind in REASON_FOUND and not error.given_by
    if may_be_settings and (found := astray.found_by_check(error, settings)):
        return error.reworded(Text(REASON_FOUND[kind], **known, found=found))
    if kind is errors.ModelNotFoundError and astray.has_provider(settings):
        return error.reworded(_unknown(known, settings, listed or astray.Listed()))
    return error.reworded(Text(_text_for(error, kind, settings), **known), kind)


def misfit_explained(
    error: errors.FormatError, finish_reason: str | None, settings: Snapshot
) -> errors.FormatError:
    """Return a misfit in other words where the answer was cut off, which is why it does not fit."""
    if finish_reason == "stop" or not error.problem:
        return error
    text = Text(
        CUT_OFF.get(finish_reason or "", CUT_OFF_OTHERWISE),
        finish_reason=repr(finish_reason),
        problem=error.problem,
        kept_in=Text(KEPT_IN),
        max_output_tokens_from=origin_of(settings, "max_output_tokens"),
        model_from=origin_of(settings, "model"),
    )
    return errors.FormatError(text, problem=error.problem)


def _limit(error: errors.RequestError, settings: Snapshot, retries: int) -> tuple[str, Text]:
    """Return the name of the setting that ended the retries, and what happened in words."""
    limit_s, asked_s = settings.retry_after_limit, error.retry_after_s
    if asked_s is not None and asked_s > limit_s:
        told = "the server asks to wait {asked} s, longer than {limit} s"
        if asked_s >= LONG_WAIT_S:
            told = "the server asks to wait until {when}, longer than {limit} s"
        facts = {"asked": f"{asked_s:.0f}", "when": _clock_time(asked_s), "limit": f"{limit_s:g}"}
        return "retry_after_limit", Text(told, **facts)
    gave_up = Text("gave up after {retries} retries", retries=retries)
    if retries == 1:
        gave_up = Text("gave up after 1 retry")
    if settings.deadline is not None and retries < settings.num_retries:
        told = "{gave_up}, as the next would come after {seconds} s"
        return "deadline", Text(told, gave_up=gave_up, seconds=f"{settings.deadline:g}")
    return "num_retries", gave_up


def facts(error: errors.RequestError, settings: Snapshot, retries: int) -> dict[str, object]:
    """Collect what the texts may mention."""
    limit_name, gave_up = _limit(error, settings, retries)
    said = shorten(str(error), WORDS_LIMIT).rstrip(".")
    told = "({words})" if error.status is None else "({status}: {words})"
    if error.given_by:
        told = (
            "({given_by}: {words})" if error.status is None else "({status}, {given_by}: {words})"
        )
    key_from = None if settings.api_key else _key_from_elsewhere(settings)
    return {
        # The server's own words are in no table, and stay as they are.
        "said": Text(
            told,
            status=error.status,
            given_by=error.given_by,
            words=error.text if said == error.text else said,
        ),
        "gave_up": gave_up,
        "limit_name": limit_name,
        "limit_from": origin_of(settings, limit_name),
        "server": settings.base_url or Text("the provider of {model}", model=settings.model),
        "model": settings.model,
        "model_from": origin_of(settings, "model"),
        "api_key_from": key_from or origin_of(settings, "api_key"),
        "base_url_from": origin_of(settings, "base_url"),
        "timeout_from": origin_of(settings, "timeout"),
        "deadline_from": origin_of(settings, "deadline"),
        "kwargs_from": settings.origin("completion_kwargs").text,
        "max_output_tokens_from": origin_of(settings, "max_output_tokens"),
        "given_by": error.given_by,
        "named": _named(error, settings),
        "url": error.url or settings.base_url or "",
        "check_address": Text(
            "Check base_url ({base_url_from})", base_url_from=origin_of(settings, "base_url")
        ),
        "full_width": _about_full_width(settings),
        "check_certificate": _check_certificate(error, settings),
        "proxy_from": proxy_from(settings.base_url),
        "period": Text(getattr(error, "period", "day")),
        "opens": _opens(error),
        "kept_in": Text(KEPT_IN),
        "give_key": Text(GIVE_KEY),
        "or_give_key": Text(OR_GIVE_KEY),
        "try_practice": Text(TRY_PRACTICE),
        "list_models": Text(LIST_MODELS),
        "without_tools": Text(WITHOUT_TOOLS),
        "such_as": _form_of_address(settings),
    }


def any_of(names: Sequence[str]) -> str:
    """Return names joined by "or", which is said in a person's language as the rest of a text."""
    told = names[0] if names else ""
    for name in names[1:]:
        told = Text("{one} or {other}", one=told, other=name)
    return told


def _key_from_elsewhere(settings: Snapshot) -> Text:
    """Name the variable that holds the provider's key, where api_key is not set."""
    named = settings.custom_llm_provider
    provider = provider_of(settings.model, settings.base_url, named)
    variable = provider.stand_in("api_key", os.environ) if provider else ""
    if variable:
        return Text("now from {variable}", variable=variable)
    if provider is None:
        return Text("now from the provider's own variable, if there is one")
    return Text("now not set")


LONG_WAIT_S = 600
"""Seconds; the end of a longer wait is told as a time of day."""


def _clock_time(wait_s: float) -> str:
    """Return the time at which a wait is over, in the person's own time zone, to the minute.

    The clocks may change until then. Windows has no short names of time zones, but words.
    """
    then = (datetime.now(UTC) + timedelta(seconds=wait_s + 59)).astimezone()
    zone = f"{then:%Z}"
    if " " in zone:
        zone = str(timezone(then.utcoffset() or timedelta()))
    return f"{then:%Y-%m-%d %H:%M} {zone}".strip()


def _opens(error: errors.RequestError) -> Text:
    """Say when a limit opens again."""
    if error.retry_after_s is None:
        return Text("the server does not say when it opens again")
    return Text("it opens again at {when}", when=_clock_time(error.retry_after_s))


def _named(error: errors.RequestError, settings: Snapshot) -> Text:
    """Name the settings that a server names, with their values and origins."""
    parts = [(name, origin_of(settings, name)) for name in _set(error.named, settings)]
    facts = {f"from_{name}": origin for name, origin in parts}
    return Text(", ".join(f"{name} ({{from_{name}}})" for name, _ in parts), **facts)


def _form_of_address(settings: Snapshot) -> Text | str:
    """Say what an address of the provider looks like, where that is known."""
    provider = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    return Text(", such as {form}", form=provider.base_url_form) if provider else ""


def _check_certificate(error: errors.RequestError, settings: Snapshot) -> Text:
    """Say what makes a certificate one to trust."""
    base_url_from = origin_of(settings, "base_url")
    if "expired" in str(error) or "not yet valid" in str(error):
        return Text("Check this machine's date; whoever runs the server can renew it")
    if "mismatch" in str(error):
        told = "Set base_url ({base_url_from}) to the name that the certificate is for"
        return Text(told, base_url_from=base_url_from)
    told = (
        "Name a file with the authority that signed it in the variable SSL_CERT_FILE, or set"
        " another base_url ({base_url_from})"
    )
    return Text(told, base_url_from=base_url_from)


def proxy_from(address: str | None, setting: str = "base_url") -> Text:
    """Name the variable of the proxy on the way to an address, or what else may stand in between.

    `setting` is the name of the setting that holds the address.
    """
    server = server_of(address)
    schemes = (server.scheme if server else "https", "all")
    names = [f"{scheme}_proxy" for scheme in schemes if scheme in getproxies()]
    found = [each for name in names for each in (name, name.upper()) if os.environ.get(each)]
    if found:
        return Text("the variable {name}", name=found[0])
    return Text(
        "the network that this machine is in, such as a company's, and {setting}", setting=setting
    )


def usd(amount_usd: float) -> str:
    """Write an amount of US dollars to the cent, and a small one to the two digits that count."""
    cents = f"{amount_usd:.2f}"
    digits = f"{Decimal(f'{amount_usd:.2g}'):f}"
    return f"${digits if len(digits) > len(cents) and amount_usd < 1 else cents}"


def origin_of(settings: Snapshot, name: str) -> Text:
    """Name a setting's value and origin: "now 4, from config.toml line 3"."""
    value, origin = getattr(settings, name), settings.origin(name).text
    if value is None:
        return Text("now not set, from {origin}", origin=origin)
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return Text("now {value}, from {origin}", value=shown, origin=origin)
