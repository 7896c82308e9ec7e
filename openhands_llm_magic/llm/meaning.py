"""What a server's refusal means: the class of error that it is.

The server's own codes count first, then words that say more than a status can, then the status.
`docs/providers.md` lists how each provider words what, with sources.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from openhands_llm_magic import errors

if TYPE_CHECKING:
    from openhands_llm_magic.llm.refusals import Refusal

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

_KINDS = {code: kind for kind, codes in CODES.items() for code in codes.split()}

_UNREAD_CALL = (
    r"failed to parse input at pos|not match the expected .{0,30}format|error parsing tool call"
    r"|failed to call a function"
)
"""How a server says that it cannot read a call that its model wrote: llama.cpp, Ollama, Groq."""

_WORDS: tuple[tuple[type[errors.RequestError], str], ...] = (
    # those that quote the request, or what the model wrote: pydantic, llama.cpp, Ollama
    (errors.BadRequestError, r"^\d+ validation errors?:|failed to parse tool call arguments"),
    (errors.BrokenAnswerError, _UNREAD_CALL),
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

_NOTHING_ALLOWED = re.compile(r"\blimit: 0\b|have a free (?:quota )?tier", re.IGNORECASE)
"""How Gemini says that an account has nothing of a model: it still names a wait."""

_NOT_IN_FREE_TIER = re.compile(
    r"free_tier\w*, limit: 0\b|have a free (?:quota )?tier", re.IGNORECASE
)
"""How it says that this is for want of billing."""

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


def meaning(refusal: Refusal) -> type[errors.RequestError]:
    """Return the class of error that a refusal is.

    One of an unknown status is a `BadRequestError`; an error in a stream that names neither a code
    nor a status is a `ServerError`.
    """
    status, heard = refusal.status, refusal.heard
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
    heard = refusal.heard
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


_OF_TOOLS = re.compile(
    r"\btools?\b|function[ _-]?call|tool[ _-]?(?:choice|use|call)", re.IGNORECASE
)
_NOT_TAKEN = re.compile(
    r"not? (?:support|allow|available|implement)|support (?:for )?tool|not permitted|unexpected"
    r"|(?<!-)un(?:supported|known|recogni)|requires? --|--enable",
    re.IGNORECASE,
)
"""A hyphen before a word makes it part of a name, such as that of a model."""

_OF_WHAT_IS_WITH_THEM = re.compile(
    r"unable to convert openai tool calls|tools with reasoning_effort", re.IGNORECASE
)
"""Words for which functions are taken, and something beside them is not: a call in the history that
is no JSON, which LiteLLM cannot pass on to Gemini, and a parameter."""


def refuses_tools(error: errors.RequestError) -> bool:
    """Tell whether a server refuses a request for the functions in it, by its words.

    Some servers do so with 500, and one that has no such model with 404.
    """
    kinds = (errors.BadRequestError, errors.ModelNotFoundError, errors.ServerError)
    words = str(error)
    return (
        isinstance(error, kinds)
        and _OF_TOOLS.search(words) is not None
        and _NOT_TAKEN.search(words) is not None
        and _OF_WHAT_IS_WITH_THEM.search(words) is None
    )


def is_outside_free_tier(error: errors.RequestError) -> bool:
    """Tell whether a server refuses a model as one that the free tier does not have."""
    return _NOT_IN_FREE_TIER.search(str(error)) is not None


def is_unread_call(error: errors.RequestError) -> bool:
    """Tell whether a server could not read a call that its model wrote, by its words."""
    is_broken = isinstance(error, errors.BrokenAnswerError)
    return is_broken and re.search(_UNREAD_CALL, str(error), re.IGNORECASE) is not None
