"""What a server says where it refuses a request: its status, codes, words and headers.

Providers put the same refusal each in its own form, and gateways wrap one into another. `read`
finds the innermost reason and what else is told beside it; what it means is in `meaning.py`.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from openhands_llm_magic.config.setting import python_literal
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.limits import waits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Period = Literal["5 hours", "day", "week", "month"]

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

LOOKED_AT = 500
"""Characters of a refusal in which its meaning is looked for. What follows may be the prompt: vLLM
quotes all of a request that it finds wrong."""

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
    "api-version": "api_version",
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
    def heard(self) -> str:
        """The part of the words in which their meaning is looked for."""
        return self.words[:LOOKED_AT]

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
        with contextlib.suppress(ValueError):
            return python_literal(inner)
    return dict(_TOLD_FIRST.findall(text)) if text.lstrip()[:1] == "{" else None


_DECODER = json.JSONDecoder()

_TOLD_FIRST = re.compile(r'"(code|message|status|type)": ?"((?:[^"\\]|\\.){1,2000})')
"""What is told in a body of which the end is missing, as it was too long."""


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
