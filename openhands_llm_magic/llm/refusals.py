"""What a server's refusal means, from its status, its codes, its words and its headers.

Providers word the same refusal each in its own way, and gateways wrap one refusal into another.
`read` finds the innermost reason and what else is told beside it; `meaning` returns the class of
error that it is. The server's own codes count first, then words that say more than a status can,
then the status. `docs/providers.md` lists how each provider words what, with sources.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from openhands_llm_magic import errors
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.limits import waits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Period = Literal["5 hours", "day", "week", "month"]

STATUSES = {
    **dict.fromkeys(range(300, 400), errors.AddressError),
    401: errors.AuthenticationError,
    402: errors.QuotaError,
    403: errors.AuthenticationError,
    404: errors.ModelNotFoundError,
    405: errors.AddressError,
    407: errors.ProxyError,
    408: errors.NoAnswerInTimeError,
    410: errors.ModelNotFoundError,
    413: errors.RequestTooLargeError,
    429: errors.RateLimitError,
    511: errors.ProxyError,
    **dict.fromkeys([424, 498, 499], errors.ServerError),
    **dict.fromkeys([500, 502, 503, 504, *range(520, 531)], errors.ServerError),
}
"""What an HTTP status means; any other is a `BadRequestError`. The class tells whether another
attempt is worth while. With 424 text-generation-inference says that the model failed, with 498 Groq
that it has no capacity, with 499 Gemini that it gave up by itself."""

CODES = {
    errors.DailyLimitError: "1304 1308 1310 1316 1317 1318 1319 1320 1321",
    errors.QuotaError: """
        insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance
        exceeded_current_quota_error budget_exceeded arrearage insufficient_credits 1113
        payment_required billing_error allocationquota.freetieronly openrouter_key_limit
        openrouter_workspace_budget openrouter_guardrail_budget
    """,
    errors.ContentFilterError: """
        content_filter content_policy_violation data_inspection_failed datainspectionfailed
        responsibleaipolicyviolation moderation content_moderation 1301 sensitive invalid_prompt
        cyber_policy bio_policy misalignment_policy_violation
    """,
    errors.ContextLengthError: """
        context_length_exceeded exceed_context_size_error string_above_max_length
        context_window_exceeded model_max_prompt_tokens_exceeded 1261
    """,
    errors.ModelNotFoundError: """
        model_not_found deploymentnotfound model_not_supported invalid_model model_decommissioned
        model_terms_required unknown_model modelnotfound 1211
    """,
    errors.AuthenticationError: """
        invalid_api_key api_key_invalid api_key_service_blocked consumer_suspended
        authentication_error auth_error unauthenticated token_not_found_in_db no_db_connection
        invalid_authentication_error unrecognizedclientexception invalidsignatureexception
        expiredtokenexception wrong_api_key
    """,
    errors.AddressError: "unknown_url",
    errors.RequestTooLargeError: "request_too_large",
    errors.BadRequestError: """
        unsupported_country_region_territory unsupported_parameter unsupported_value
        service_disabled consumer_invalid
    """,
    errors.BrokenAnswerError: "tool_use_failed json_validate_failed",
    errors.ServerError: "overloaded_error engine_overloaded_error 1305",
    errors.RateLimitError: """
        openrouter_in_flight_budget in_flight_budget_exhausted rate_limit_exceeded rate_limit_error
        resource_exhausted too_many_requests throttlingexception rate_limit_reached_error 1302
    """,
}
"""Codes that tell more than the status, in lower case, those that tell most first."""

STATUS_OF = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "validationexception": 400,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "accessdeniedexception": 403,
    "not_found_error": 404,
    "not_found": 404,
    "server_error": 500,
    "api_error": 500,
    "internal": 500,
    "unavailable": 503,
    "timeout_error": 504,
    "deadline_exceeded": 504,
}
"""The status that stands for a code, where an error in a stream has none."""

_KINDS = {code: kind for kind, codes in CODES.items() for code in codes.split()}

LOOKED_AT = 500
"""Characters of a refusal in which its meaning is looked for. What follows may be the prompt: vLLM
quotes all of a request that it finds wrong."""

_WORDS: tuple[tuple[type[errors.RequestError], str], ...] = (
    (errors.BadRequestError, r"^\d+ validation errors?:"),  # pydantic's, which quotes the request
    (
        errors.DailyLimitError,
        r"regain access on|specified API usage limits|daily (?:\w+ )?(?:limit|quota) exceeded",
    ),
    (
        errors.QuotaError,
        r"""
        balance is (?:too low|insufficient)|insufficient (?:\w+ )?(?:balance|credits?|funds|quota)
        can only afford|credits? (?:are |is )?(?:exhausted|depleted)|have any credits
        (?:out of|no|not enough|exhausted your|used all available) credits?\b
        free (?:tier|quota) .{0,20}exhausted|usage limit for this billing cycle
        (?:key|spend(?:ing)?|usage|credit) limit exceeded|key with a higher \w+ limit
        budget has been exceeded|exceeded ?budget|(?:over|crossed) budget
        billing hard limit|account is not active|in good standing|overdue|payment required
        (?:extra usage|usage credits) (?:is|are) required|余额不足|欠费
        """,
    ),
    (
        errors.ContentFilterError,
        r"""
        content[ -]?(?:filter|management polic|polic|moderation)|\bflagged\b|\bmoderation\b
        safety (?:system|filter|polic|guideline)|usage (?:polic|guideline)
        inappropriate content|content exists risk|data.?inspection|prohibited content
        sensitive (?:content|word|information)|violat\w{1,9} .{0,40}\bpolic(?:y|ies)\b|敏感|违规
        """,
    ),
    (
        errors.RequestTooLargeError,
        r"""
        value at 'body' failed|(?:request|payload)(?: body| entity)? (?:is )?too large
        request exceeds the maximum size
        """,
    ),
    (
        errors.ContextLengthError,
        r"""
        context.?(?:length|window|size|limit)|maximum context|reduce the length of the \w+
        (?:prompt|input|message|text)s?\b.{0,30}\b(?:too (?:long|large|big)\b|超长)
        too long for (?:the )?(?:requested )?model|exceeds? the maximum number of tokens
        input (?:token count|length|tokens?)\b.{0,60}\b(?:exceeds?|must be|should be|longer)
        range of input length|expected maxLength|n_keep .{0,20}n_ctx|physical batch size
        inputs` (?:tokens \+ `max_new_tokens`|must have less)|max_tokens must be at least 1, got -
        (?:prompt|input) (?:has|contains) \d+ tokens|tokens? in (?:the )?prompt.{0,40}exceed
        (?:maximum|longer than the) (?:sequence|prompt|input|maximum model) length
        prompt.tokens? .{0,20}must be less|prompt (?:token count of \d+ )?exceeds
        exceed\w{0,9} .{0,20}(?:token|length) limit|too many (?:input )?tokens|too large to process
        """,
    ),
    # what passes, under a status that does not
    (errors.ServerError, r"\boverloaded\b|has crashed|not loaded yet"),
    # what is about the account or a feature, in words that also name the model
    (
        errors.BadRequestError,
        r"""
        (?:country|region|location|territory)\b.{0,30}\b(?:not (?:supported|available)|unsupported)
        virtual network|firewall|must be verified|data policy|more system memory
        (?:could not|unable to|fail(?:ed)? to|error) load(?:ing)?\b.{0,20}model
        no endpoints found that support|no allowed providers|only supported in v\d
        does not support|input is not supported|requires --|jinja|failed to parse grammar
        returned the following errors
        """,
    ),
    (
        errors.ModelNotFoundError,
        r"""
        ^model: |not a valid model|pull(?:ing)? it first|inference profile|model identifier
        (?:models?|deployment|engine)\b.{0,80}?\b(?:no such|unknown|decommissioned|not loaded)
        (?:models?|deployment|engine)\b.{0,80}?\b(?:not |doesn.t )(?:found|exist)
        (?:models?|deployment|engine)\b.{0,80}?\b(?:not (?:a )?valid|(?:not|n.t) have access)
        (?:models?|deployment|engine)\b.{0,80}?\b(?:no longer |not |(?<!ly )un)available
        (?:models?|deployment|engine)\b.{0,80}?\bhas been (?:shut|removed|retired|deprecated)
        (?:no|unknown|unrecognized|invalid|unsupported) (?:such )?(?:model|deployment)s?\b
        (?:have|not allowed to) (?:access|use) (?:to )?(?:the |publisher )?model|'modelId' failed
        access to (?:the )?model denied|no endpoints found for
        """,
    ),
    (
        errors.AuthenticationError,
        r"""
        api.?key (?:is )?(?:not valid|expired|invalid|missing)|no connected db|unauthorized
        (?:invalid|incorrect|wrong|bad|missing|no) (?:api.?key|credentials)
        (?:invalid|wrong|bad) (?:access|auth\w*|server|proxy server) token
        access tokens are not supported
        auth(?:entication|orization)? (?:error|fail|credentials)
        """,
    ),
)
"""What the words of a refusal mean, as patterns, one or more in a line. The first that fits counts,
so that of two the narrower stands first. ("currently unavailable" is about the server.)"""

_BY_WORDS = [
    (kind, re.compile("|".join(map(str.strip, words.strip().splitlines())), re.IGNORECASE))
    for kind, words in _WORDS
]

_NOTHING_LOADED = re.compile(r"\bno models?(?: are)?(?: currently)? loaded", re.IGNORECASE)
"""A local server without a model: it is vain to ask again until somebody loads one."""

_NOTHING_HERE = re.compile(
    r"(?:http |error )?(?:404|405)?\W{0,3}(?:page|file|path|url|route|resource|endpoint)?\W{0,3}"
    r"(?:not found|method not allowed)?\W{0,3}",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"\b(?:invalid (?:url|path|endpoint)|unexpected endpoint|cannot (?:post|get) /"
    r"|no static resource|requested (?:url|path|resource)|no route|incorrect path"
    r"|unknown (?:path|route|url|endpoint)|no handler found|unrecognized request url"
    r"|no longer supported\W{1,3}please use http)"
    r"|\b(?:route|path|endpoint|url|page) \S{1,99} (?:was )?not found",
    re.IGNORECASE,
)
"""The words of a server that has nothing at an address: all of them, or a part."""

_PLAIN_HTTP = re.compile(r"http request (?:was sent )?to (?:an )?https", re.IGNORECASE)

_PERIODS: tuple[tuple[Period, re.Pattern[str]], ...] = (
    (
        "5 hours",
        re.compile(r"\b(?:for|per) 5[- ]?hours?\b|\b5[- ]?hours? \w*limit|5 ?小时", re.IGNORECASE),
    ),
    ("day", re.compile(r"per.?day|(?:\b|_)daily|\b[rt]pd\b|/ ?day\b|byday", re.IGNORECASE)),
    ("week", re.compile(r"per.?week|\bweekly\b|每周", re.IGNORECASE)),
    ("month", re.compile(r"per.?month|\bmonthly\b|每月|regain access on", re.IGNORECASE)),
)

_MINUTE = re.compile(r"per.?min|\b[rt]pm\b|/ ?min", re.IGNORECASE)
"""A refusal whose words name the limit of a minute, too, may be for that."""

_NOTHING_ALLOWED = re.compile(r"\blimit: 0\b", re.IGNORECASE)
"""How Gemini says that a model is not in the free tier: it still names a wait."""

_PASSING_QUOTA = re.compile(
    r"error-code#token-limit|(?<!free )allocated quota exceeded", re.IGNORECASE
)
"""How DashScope tells the tokens of a minute, with OpenAI's code for an account without credit."""

_LIMITED = re.compile(r"\brate.?limit|too many (?:requests|tokens, please wait)", re.IGNORECASE)
"""How an error in a stream that has neither a code nor a status tells of a limit."""

_ALLOWED_AND_ASKED = re.compile(
    r"\blimit(?: of)?:?\W{0,3}(?P<allowed>\d[\d,]{0,15})"
    r".{0,40}?\brequested:?\W{0,3}(?P<asked>\d[\d,]{0,15})"
    r"|\bactual/limit\):?\W{0,3}(?P<actual>\d[\d,]{0,15})/(?P<limit>\d[\d,]{0,15})",
    re.IGNORECASE,
)
"""A limit and what one request asks of it (OpenAI, Groq; xAI)."""

_NOTHING_USED = re.compile(r"\bcurrent limit: (\d{1,15}), remaining: \1\b", re.IGNORECASE)
"""How a LiteLLM Proxy refuses one request that alone asks more than a limit allows."""

_TOO_LARGE = re.compile(r"request too large|must be reduced", re.IGNORECASE)

PARAMETERS: Mapping[str, str] = {
    **{
        each.sent_as: each.name
        for each in SETTINGS.values()
        if each.topic == "answer" and each.sent_as
    },
    "max_tokens": "max_output_tokens",
    "max_output_tokens": "max_output_tokens",
    "maxOutputTokens": "max_output_tokens",
    "max_new_tokens": "max_output_tokens",
    "maximum tokens": "max_output_tokens",
    "num_predict": "max_output_tokens",
    "reasoning": "reasoning_effort",
    "reasoningEffort": "reasoning_effort",
    "thinking": "reasoning_effort",
    "thinking_budget": "reasoning_effort",
    "topP": "top_p",
    "topK": "top_k",
}
"""The setting that each parameter of a request comes from."""

_PARAMETER = re.compile(rf"\b(?:{'|'.join(sorted(PARAMETERS, key=len, reverse=True))})\b", re.ASCII)
_ADDRESS = re.compile(r"https?://\S+")

_MARKUP = re.compile(r"<(?:(?:script|style)\b[^<]*|[!/]?[a-z-][^<>]*>)", re.IGNORECASE)
"""The tags of a page, with the scripts and styles in it."""

_PAGE = re.compile(r"\s*(?:<!doctype html|<html|<head|<body|<h1|<center)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)

_OF_LITELLM = re.compile(
    r"litellm\.\w+Error: (?:(?:litellm\.)?\w+Error: )*"
    r"(?:(?P<giver>\w+)Exception(?: \w+Error)?(?: - |: ))?"
)
"""How a LiteLLM Proxy begins the words of a provider behind it."""

_OF_LITELLM_END = re.compile(
    r"[.\n]? ?(?:Received Model Group=|Available Model Group|No fallback model group found).*",
    re.DOTALL,
)

LONGEST_NAME = 60
"""Characters of the name of whoever refused behind a gateway."""

DEEPEST = 6
"""How many refusals within one another are looked through."""

LONGEST_LITERAL = 10_000
"""Characters of a text that is read as Python writes its dictionaries."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server said in place of an answer.

    Attributes:
        words: The innermost reason, on one line, without markup.
        status: The HTTP status, or the one that an error within a stream names, or None.
        codes: All codes that it names, in lower case.
        settings: The settings whose parameters it names.
        parameter: The one of them that it names in a field of its own, or "".
        given_by: Who refused, where a gateway in between says so, or "".
        is_page: Whether it is a page for people, as of a proxy or a firewall.
        is_told: Whether there is a refusal where one stands, and not just a body with words in it.
        retry_after_s: Seconds until it is worth asking again, or None where it does not say.
        period: How long the limit's period is, where it is longer than an hour.
    """

    words: str = ""
    status: int | None = None
    codes: frozenset[str] = frozenset()
    settings: tuple[str, ...] = ()
    parameter: str = ""
    given_by: str = ""
    is_page: bool = False
    is_told: bool = False
    retry_after_s: float | None = None
    period: Period | None = None

    @property
    def is_text(self) -> bool:
        """Whether it is a text of its own, and no JSON."""
        return not self.is_told and self.words[:1] not in ("", "{", "[")


def read(
    body: object, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Refusal:
    """Read a refusal.

    Args:
        body: The response's text, or what was read of its JSON.
        status: The HTTP status, or None for an error in place of a part of an answer.
        headers: The response's headers by lower-case name.
    """
    is_page = isinstance(body, str) and bool(_PAGE.match(body))
    layers = [] if is_page else list(_layers(body))
    given_by, words = _innermost(layers)
    is_told = bool(words) or any(layer.get("error") for layer in layers)
    codes = frozenset(code for layer in layers for code in _codes(layer)) - {""}
    if not words and isinstance(body, str):
        title = _TITLE.search(body) if is_page else None
        words = title[1] if title and title[1].strip() else _MARKUP.sub(" ", body)
    words = one_line(words or ", ".join(sorted(codes)))
    told = dict(headers or {})
    for layer in layers:
        told |= _headers_in(layer)
    of_aws = told.get("x-amzn-errortype", "").partition(":")[0].lower()
    heard = words[:LOOKED_AT]
    period = _period(heard, layers)
    wait_s = _wait_s(told, layers, heard, period)
    in_field = _settings_in(" ".join(_plain(layer.get("param")) for layer in layers))
    return Refusal(
        words,
        status or _status_in(layers),
        codes | {of_aws} - {""},
        tuple(dict.fromkeys([*in_field, *_settings_in(_ADDRESS.sub("", heard))])),
        next(iter(in_field), ""),
        given_by,
        is_page,
        is_told,
        wait_s,
        period,
    )


def _settings_in(text: str) -> list[str]:
    """Return the settings whose parameters a text names."""
    return [PARAMETERS[name] for name in _PARAMETER.findall(text)]


def meaning(refusal: Refusal) -> type[errors.RequestError]:
    """Return the class of error that a refusal is.

    One of an unknown status is a `BadRequestError`; an error in a stream that names neither a code
    nor a status is a `ServerError`.
    """
    status, heard = refusal.status, refusal.words[:LOOKED_AT]
    by_code = next((kind for code, kind in _KINDS.items() if code in refusal.codes), None)
    if by_code is errors.QuotaError and _PASSING_QUOTA.search(heard):
        by_code = errors.RateLimitError
    otherwise: type[errors.RequestError] = errors.BadRequestError
    if status is None:
        otherwise = errors.RateLimitError if _LIMITED.search(heard) else errors.ServerError
    kind = by_code or STATUSES.get(status or 0, otherwise)
    if _PLAIN_HTTP.search(heard):
        return errors.AddressError
    if refusal.is_page and kind in _NOT_FOR_PAGES:
        return _NOT_FOR_PAGES[kind]
    if by_code is None and _is_nowhere(status, heard):
        return errors.AddressError
    if _NOTHING_LOADED.search(heard):
        return errors.ModelNotFoundError
    said = _by_words(heard, _refined(refusal, kind, by_code))
    if said in (None, errors.BadRequestError) and _is_a_filters(refusal):
        return errors.ProxyError
    kind = said or kind
    return _limit(refusal, kind) if issubclass(kind, errors.RateLimitError) else kind


_NOT_FOR_PAGES = {
    errors.AuthenticationError: errors.ProxyError,
    errors.ModelNotFoundError: errors.AddressError,
}
"""No provider refuses a key or a model with a page for people: something in between does."""


def _is_a_filters(refusal: Refusal) -> bool:
    """Tell whether a refusal is that of a filter on the way, as providers refuse keys in JSON."""
    return refusal.status == HTTPStatus.FORBIDDEN and refusal.is_text


def _is_nowhere(status: int | None, heard: str) -> bool:
    """Tell whether a server has nothing at the address; LM Studio says so with status 200."""
    if status in (404, 405) or (status is None and heard):
        return bool(_NOTHING_HERE.fullmatch(heard) or _ELSEWHERE.search(heard))
    return status == HTTPStatus.GONE and bool(_ELSEWHERE.search(heard))


_ALL = tuple(kind for kind, _ in _WORDS)


def _refined(
    refusal: Refusal,
    kind: type[errors.RequestError],
    by_code: type[errors.RequestError] | None,
) -> tuple[type[errors.RequestError], ...]:
    """Return the classes that the words of a refusal may make of it.

    A LiteLLM Proxy uses its code for a wrong key for a budget, too.
    """
    if issubclass(kind, errors.RateLimitError):
        return (errors.DailyLimitError, errors.QuotaError)
    if by_code is errors.AuthenticationError or refusal.status == HTTPStatus.UNAUTHORIZED:
        return (errors.QuotaError,)
    if by_code or kind is errors.QuotaError:
        return ()
    if kind is errors.BadRequestError and refusal.parameter:
        return ()
    if kind is errors.ServerError and refusal.status not in (None, 500):
        return ()
    return _ALL


def _by_words(
    heard: str, kinds: tuple[type[errors.RequestError], ...]
) -> type[errors.RequestError] | None:
    return next((kind for kind, each in _BY_WORDS if kind in kinds and each.search(heard)), None)


def _limit(refusal: Refusal, kind: type[errors.RequestError]) -> type[errors.RequestError]:
    """Return what kind of rate limit it is: one that passes, or one that is vain to wait for."""
    heard = refusal.words[:LOOKED_AT]
    if _NOTHING_ALLOWED.search(heard):
        return errors.QuotaError
    if _is_above_limit(heard) or _NOTHING_USED.search(heard) or _TOO_LARGE.search(heard):
        return errors.RequestTooLargeError
    return errors.DailyLimitError if refusal.period else kind


def _is_above_limit(heard: str) -> bool:
    """Tell whether one request asks more of a limit than is ever free."""
    found = _ALLOWED_AND_ASKED.search(heard)
    if found is None:
        return False
    allowed, asked = found["allowed"] or found["limit"], found["asked"] or found["actual"]
    return int(asked.replace(",", "")) > int(allowed.replace(",", ""))


def _layers(value: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield the refusals within one another, the outermost first.

    They are `{"error": {...}}`, a list of one, an object beside a text, JSON within a message, or
    what a gateway keeps of the server behind it.
    """
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        value = _json_in(value)
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or not value or "loc" in value:
        return
    yield value
    for name in ("error", "errors", "detail", "message", "innererror", "response"):
        yield from _layers(value.get(name), depth + 1)
    metadata = _metadata(value)
    raw = metadata.get("raw")
    yield {"provider_name": metadata.get("provider_name")}
    yield from _layers({"message": raw} if _is_text(raw) else raw, depth + 1)
    if metadata.get("reasons"):  # what OpenRouter's moderation found
        yield {"code": "moderation"}


def _json_in(text: str) -> object:
    """Return the object that a text holds, as JSON or as Python writes it, or None."""
    inner = text[text.find("{") : text.rfind("}") + 1]
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    for each in (inner, inner.replace(r"\n", " ")):  # as Python writes bytes
        with contextlib.suppress(ValueError, RecursionError):
            return _DECODER.raw_decode(each)[0]
    if 0 < len(inner) <= LONGEST_LITERAL:
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return ast.literal_eval(inner)
    return None


_DECODER = json.JSONDecoder()


def _innermost(layers: list[Mapping[str, Any]]) -> tuple[str, str]:
    """Return who refused, behind a gateway, and the innermost words."""
    given_by, words = "", ""
    for layer in layers:
        if _is_text(name := layer.get("provider_name")):
            given_by = one_line(name)[:LONGEST_NAME]
        if said := next(filter(None, map(_text_of, map(layer.get, _TEXTS))), ""):
            match = _OF_LITELLM.match(said)
            given_by = (match and match["giver"]) or given_by
            words = _OF_LITELLM_END.sub("", said[match.end() :] if match else said)
    return given_by, words


_TEXTS = ("message", "Message", "msg", "detail", "error", "error_message", "title")
"""Where a refusal's words stand."""


def _text_of(value: object) -> str:
    """Return the words of a part of a refusal, or "" where it has none of its own.

    FastAPI lists each mistake with its place in the request.
    """
    if not isinstance(value, list):
        return value if _is_text(value) else ""
    found = [each for each in value if isinstance(each, dict) and _is_text(each.get("msg"))]
    return "; ".join(f"{_place(each.get('loc'))}: {each['msg']}" for each in found)


def _place(loc: object) -> str:
    return ".".join(map(_plain, loc)) if isinstance(loc, list) else ""


def _plain(value: object) -> str:
    """Return a number or a text as text, or "" for anything else."""
    return str(value) if isinstance(value, str | int | float) else ""


def _codes(layer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the codes of a refusal, in lower case."""
    for each in (layer, *_details(layer), _metadata(layer)):
        for name in ("code", "type", "status", "reason", "error_type", "limit_source", "__type"):
            yield _plain(each.get(name)).rpartition("#")[2].lower()


def _metadata(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what OpenRouter adds to a refusal."""
    metadata = layer.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _details(layer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the details that Google adds to a refusal."""
    return _dicts(layer.get("details"))


def _dicts(value: object) -> list[Mapping[str, Any]]:
    """Return the dictionaries in a list; of anything else an empty list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _status_in(layers: list[Mapping[str, Any]]) -> int | None:
    """Return the HTTP status that an error in a stream names, as a number or as text."""
    names = ("code", "status", "status_code", "statusCode", "http_status", "http_status_code")
    values = (_plain(layer.get(name)) for layer in layers for name in names)
    told = next((int(each) for each in values if re.fullmatch("[45][0-9]{2}", each)), None)
    codes = (code for layer in layers for code in _codes(layer))
    return told or next((STATUS_OF[code] for code in codes if code in STATUS_OF), None)


def _headers_in(layer: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that OpenRouter puts into the body."""
    headers = _metadata(layer).get("headers")
    if not isinstance(headers, dict):
        return {}
    return {_plain(name).lower(): _plain(value) for name, value in headers.items()}


def _period(heard: str, layers: list[Mapping[str, Any]]) -> Period | None:
    """Return the period of the limit that is used up, where it is longer than an hour."""
    details = [detail for layer in layers for detail in _details(layer)]
    quotas = [
        _plain(each.get(name))
        for detail in details
        for each in (detail.get("metadata"), *_dicts(detail.get("violations")))
        if isinstance(each, dict)
        for name in ("quotaId", "quota_limit")
    ]
    sources = [_plain(_metadata(layer).get("limit_source")) for layer in layers]
    told = "\n".join(["" if _MINUTE.search(heard) else heard, *quotas, *sources])
    return next((period for period, pattern in _PERIODS if pattern.search(told)), None)


def _wait_s(
    headers: Mapping[str, str],
    layers: list[Mapping[str, Any]],
    heard: str,
    period: Period | None,
) -> float | None:
    """Return the seconds until it is worth asking again, or None where that is not told.

    Gemini's `RetryInfo` is that of a minute's limit, also where a day's is used up; that one opens
    at midnight in California (its documentation of rate limits).
    """
    details = [detail for layer in layers for detail in _details(layer)]
    if period == "day" and any("google" in _plain(each.get("@type")) for each in details):
        return waits.until_midnight_s("America/Los_Angeles")
    asked = [*details, *layers, *map(_metadata, layers)]
    names = ("retryDelay", "retry_after_seconds", "retry_after")
    delays = [_plain(each.get(name)) for each in asked for name in names]
    return waits.asked_s(headers, heard, delays)


def one_line(text: str) -> str:
    """Return a text on one line, without characters that steer a terminal or turn the line."""
    shown = (each for each in text if each.isprintable() or each.isspace())
    return " ".join("".join(shown).split())


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())
