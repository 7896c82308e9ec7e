"""How an answer really ended, and what its provider says that it took.

LiteLLM reports an answer that was cut short as finished, with "stop" and a usage of its own
making. So its provider's chunks are watched on their way in: what they say is what counts.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm import refusals
from openhands_llm_magic.llm.litellm.cost import (
    detail,
    tier_in,
    told_beside,
    told_in,
    usage_from,
    with_cached,
)
from openhands_llm_magic.llm.refusals import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from openhands_llm_magic.llm.events import Usage
    from openhands_llm_magic.llm.litellm.tool_calls import Gathered


_TOLD = ("id", "model", "created", "system_fingerprint", "service_tier")


_STREAM = re.compile("event-stream|ndjson|eventstream")

_ENDINGS = {
    "stop": "stop end_turn stop_sequence eos eos_token complete completed",
    "length": "length max_tokens model_length max_output_tokens",
    "tool_calls": "tool_calls tool_use function_call",
    "content_filter": """
        content_filter content_filtered safety recitation blocklist prohibited_content spii refusal
        image_safety language guardrail_intervened sensitive model_armor
    """,
    "context": "model_context_window_exceeded context_window_exceeded",
}
FINISH_REASONS = {word: reason for reason, words in _ENDINGS.items() for word in words.split()}
"""The reasons, in OpenAI's words, for which an answer is complete as far as it goes, by those of
all providers. "context" is ours: the model's context is full."""

CALLING = frozenset({"stop", "tool_calls", "length"})
"""Those of them with which an answer may end that asks for functions; some servers say "stop"."""

BROKEN_OFF = frozenset({
    "insufficient_system_resource", "error", "abort", "aborted", "cancelled", "network_error",
    "timeout", "overloaded", "malformed_function_call", "malformed_response",
    "unexpected_tool_call", "load", "unload", "repetition",
})  # fmt: skip
"""The reasons that tell of a fault, which may pass."""

LONGEST_BODY = 1_000_000
"""Characters of a body that is no stream that are kept."""


MODEL_HEADER = "x-practice-model"
"""Where the practice server says that it has answered, in whatever dialect."""


class FinishTap:
    """Watches a provider's chunks for what only the provider can know.

    Attributes:
        finish_reason: The finish reason that the provider sent, or None when it sent none.
        counted: The provider's own latest count of the tokens, or None when it sent none.
        told_usd: The provider's own figure of what the request cost, or None when it told none.
        service_tier: The tier that it names, by which prices differ, or None when it names none.
        reasoning_tokens: Those that it counted for reasoning, where LiteLLM would estimate them.
        model: The model's exact name, where the provider's chunks have it.
        understood: Whether any chunk was of a kind that could tell.
        error: The body of an error that the server sent in place of a chunk, or None.
        body: What came in place of a stream, such as a page for people.
        blocked: Whether Gemini refused the prompt, which LiteLLM takes for an empty answer.
        content_type: What the response calls itself, or "" if that is not known.
        ended: Whether the provider's chunks ran out, without a fault of the connection.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.counted: Any = None
        self.told_usd: float | None = None
        self.service_tier: str | None = None
        self.reasoning_tokens = 0
        self.model: str | None = None
        self.understood = False
        self.error: Mapping[str, Any] | None = None
        self.body = ""
        self.blocked = False
        self.content_type = ""
        self.ended = False
        self._reads_lines = False
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """The finish reason as the provider words it, where LiteLLM has not put it otherwise."""
        return self._reason or self.finish_reason

    @property
    def cut_short(self) -> bool:
        """Whether the provider would have told the end of the answer, and did not."""
        return self.understood and self.reason is None

    @property
    def is_stream(self) -> bool:
        """Whether the response calls itself a stream, or does not say."""
        return not self.content_type or bool(_STREAM.search(self.content_type))

    def chunks(self, chunks: Iterable[Any]) -> Iterator[Any]:
        """Yield chunks unchanged, and note what they say."""
        for chunk in chunks:
            if isinstance(chunk, dict):
                self._note_dict(chunk)
            elif hasattr(chunk, "choices"):
                self._note_choices(chunk)
            yield chunk
        self.ended = True

    def lines(self, lines: Iterable[Any]) -> Iterator[Any]:
        """Pass on the lines of a body, of which LiteLLM drops the unreadable ones in silence.

        Raises:
            ValueError: The JSON of one cannot be read.
        """
        for line, data in whole_lines(lines):
            if data.get("error") or data.get("type") == "error" or self._is_refusal(data):
                self.error = data
            if "candidates" in data or "promptFeedback" in data:
                self._note_gemini(data)
            elif reason := _reason_in(data):
                self._reason, self.understood = reason, True
            elif not (data or self.is_stream) and len(self.body) < LONGEST_BODY:
                self.body += str(line)
            if not _says_nothing(line):  # LiteLLM takes 30 µs for each
                yield line

    def _is_refusal(self, data: Mapping[str, Any]) -> bool:
        """Return whether a body that does not call itself a stream is an error of any form."""
        return bool(data) and not self.is_stream and refusals.read(data).is_told

    def pieces(self, read: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
        """Pass on the pieces of a body that does not call itself a stream, and keep its text."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode  # a piece may end midway
        for piece in read():
            if len(self.body) < LONGEST_BODY:
                self.body += decode(piece)
            yield piece

    def _note_gemini(self, data: Mapping[str, Any]) -> None:
        # LiteLLM makes a finish out of the end of the lines.
        self.understood = self._reads_lines = True
        self.service_tier = tier_in(data.get("usageMetadata")) or self.service_tier
        if (data.get("promptFeedback") or {}).get("blockReason"):
            self.blocked = True
            self.finish_reason = "content_filter"
        for candidate in data.get("candidates") or ():
            self.finish_reason = candidate.get("finishReason") or self.finish_reason

    def _note_dict(self, chunk: dict[str, Any]) -> None:
        # A chunk with nothing but a finish reason is one that LiteLLM made of a bare [DONE].
        if chunk.get("usage") or chunk.get("text"):
            self.understood = True
            self._note_usage(chunk.get("usage"))
            self.finish_reason = chunk.get("finish_reason") or self.finish_reason

    def _note_choices(self, chunk: Any) -> None:
        self.understood = True
        self.service_tier = tier_in(chunk) or self.service_tier
        if getattr(chunk, "usage", None):
            chunk.usage = with_cached(chunk.usage)
            self._note_usage(chunk.usage)
        self.model = getattr(chunk, "model", None) or self.model
        for choice in () if self._reads_lines else chunk.choices or ():
            self.finish_reason = getattr(choice, "finish_reason", None) or self.finish_reason

    def take(self, reason: str, model: str | None, counted: Any) -> None:
        """Take in how an answer ended that came at once."""
        self.understood, self.finish_reason, self.model = True, reason, model
        self._note_usage(counted)

    def note_headers(self, headers: Mapping[str, str]) -> None:
        """Take in the headers of the response, by lower-case name."""
        self.content_type = headers.get("content-type", "")
        self.told_usd = told_in(headers)
        self.model = headers.get(MODEL_HEADER)  # where the dialect itself has no place for it

    def _note_usage(self, counted: Any) -> None:
        if counted:
            self.counted = counted
            self.service_tier = tier_in(counted) or self.service_tier
            told = detail(counted, "completion_tokens", "reasoning_tokens")
            self.reasoning_tokens = max(self.reasoning_tokens, told)
            usd = told_beside(counted)
            self.told_usd = self.told_usd if usd is None else usd
            if isinstance(getattr(counted, "cost", None), dict):
                counted.cost = usd  # LiteLLM warns, into the cell, of what is no number

    def usage(self, counted: Usage | None) -> Usage | None:
        """Return LiteLLM's count of the tokens as far as the provider made it itself.

        Args:
            counted: LiteLLM's count, or None where there is none, as for an answer that broke off:
                then what the provider had counted until then is returned.
        """
        if self.counted is None:
            return None
        return replace(counted or usage_from(self.counted), reasoning_tokens=self.reasoning_tokens)


def _reason_in(data: Mapping[str, Any]) -> str | None:
    """Return the finish reason in a line of Anthropic's, Ollama's or OpenAI's dialect, or None."""
    delta, choices = data.get("delta"), data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    found = (
        delta.get("stop_reason") if isinstance(delta, dict) else None,
        data.get("done_reason"),
        choice.get("finish_reason") if isinstance(choice, dict) else None,
    )
    return next((each for each in found if isinstance(each, str) and each), None)


@dataclass(slots=True)
class Ending:
    """What an answer held, by the chunks that LiteLLM passed on.

    Attributes:
        finish_reason: In OpenAI's words; "stop" where LiteLLM gave none.
        spoke: Whether there was text in it.
        reasoned: Whether there was reasoning in it, seen or only counted.
        asked_for_tool: Whether there was a tool call in it.
        usage: The tokens that LiteLLM reports; it makes them up where the provider counts none.
        counted: The same in LiteLLM's own terms.
    """

    finish_reason: str = "stop"
    spoke: bool = False
    reasoned: bool = False
    asked_for_tool: bool = False
    usage: Usage | None = None
    counted: Any = None
    _last: Any = None

    def raw(self, tap: FinishTap) -> dict[str, Any]:
        """Return what the provider told beside the text, in OpenAI's terms."""
        told = {name: getattr(self._last, name, None) for name in _TOLD}
        model = tap.model or told["model"]
        told["model"] = model if isinstance(model, str) else None
        if self.counted is not None:
            # Not LiteLLM's own figure, which stands where the provider's would.
            cost = {} if tap.told_usd is None else {"cost": tap.told_usd}
            with contextlib.suppress(Exception):  # of another class, which has no such method
                counted = self.counted.model_dump(exclude_none=True, exclude={"cost"})
                told["usage"] = counted | cost
        return {name: value for name, value in told.items() if value is not None}

    def note(self, chunk: Any) -> None:
        """Take in the next chunk."""
        self._last = chunk
        for choice in chunk.choices:
            delta = choice.delta
            self.finish_reason = choice.finish_reason or self.finish_reason
            self.spoke = self.spoke or bool((delta.content or "").strip())
            self.reasoned |= bool(getattr(delta, "reasoning_content", None))
            self.asked_for_tool |= bool(getattr(delta, "tool_calls", None))
        counted = getattr(chunk, "usage", None)
        if counted:
            self.counted, self.usage = counted, usage_from(counted)
            self.reasoned |= bool(self.usage.reasoning_tokens)

    def whole(self, tap: FinishTap, gathered: Gathered) -> str:
        """Return the text of an answer that came at once, as from a server that does not stream.

        It is read where the body is one of OpenAI's dialect; "" is returned for any other.
        """
        try:
            answer = json.loads(tap.body)
            choice = answer["choices"][0]
            message, reason = choice["message"], choice.get("finish_reason") or "stop"
            text = message.get("content")
            calls = message.get("tool_calls") or []
            for number, call in enumerate(calls):
                gathered.note_whole(number, call)
            self.asked_for_tool = bool(calls)
            text = "" if text is None and calls else text
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return ""
        if not isinstance(text, str) or not isinstance(reason, str):
            return ""
        tap.take(reason, answer.get("model"), answer.get("usage"))
        tap.service_tier = tier_in(answer) or tap.service_tier
        self.spoke = bool(text.strip())
        return text

    def fault(
        self,
        tap: FinishTap,
        usage: Usage | None,
        cost_usd: float | None,
        *,
        own_limit: bool = False,
        calls: bool = False,
    ) -> errors.RequestError | None:
        """Return why an answer that LiteLLM takes for a complete one is not complete, or None.

        One that would come out the same is a permanent fault, so that it is not paid for twice.

        Args:
            tap: What the provider said.
            usage: Its count of the tokens.
            cost_usd: What they cost.
            own_limit: Whether an answer that ran out of tokens met another limit than was set.
            calls: Whether it asks for functions that were offered.
        """
        if tap.cut_short:
            return errors.BrokenAnswerError("the answer ended before the model had finished it")
        reason = self._reason(tap)
        if reason == "length" and own_limit and not self.reasoned:  # some count no reasoning
            reason = "context"
        self.finish_reason = reason
        if (self.spoke or (calls and reason in CALLING)) and reason in _ENDINGS:
            return None
        if said := self._unwhole(reason, usage, blocked=tap.blocked):
            kind, words = said
            return kind(words, finish_reason=reason, cost_usd=cost_usd)
        if not (tap.understood or tap.is_stream):
            came = "{content_type} came in place of a stream: is base_url right?"
            return errors.BrokenAnswerError(Text(came, content_type=one_line(tap.content_type)))
        return errors.BrokenAnswerError("the model sent an empty answer")

    def _reason(self, tap: FinishTap) -> str:
        """Return the finish reason in OpenAI's words, or the provider's where it is not known."""
        if tap.blocked:
            return "content_filter"
        told = one_line(tap.reason or self.finish_reason)
        known = FINISH_REASONS.get(told.lower())
        if known == "stop" and self.finish_reason in _ENDINGS:  # LiteLLM knows of tool calls
            return self.finish_reason
        return known or told

    def _unwhole(
        self, reason: str, usage: Usage | None, *, blocked: bool
    ) -> tuple[type[errors.RequestError], Text] | None:
        """Say why a finished answer has no text, or may not be whole; None when nothing tells."""
        ended = Text("it ended with {reason}", reason=reason)
        if reason not in _ENDINGS:
            passing = reason.lower() in BROKEN_OFF
            kind = errors.BrokenAnswerError if passing else errors.FinishReasonError
            return kind, ended
        if reason == "content_filter":
            return errors.ContentFilterError, Text("the prompt was blocked") if blocked else ended
        if reason == "context":
            return errors.ContextLengthError, Text("there was no room left for an answer")
        if reason == "length":
            tokens = Text("tokens")
            if usage:
                tokens = Text("{count} tokens", count=usage.completion_tokens)
            told = "all of its {tokens} were used up before it"
            if self.reasoned:
                told = "all of its {tokens} went into reasoning"
            return errors.OutputLimitError, Text(told, tokens=tokens)
        if self.asked_for_tool:
            return errors.NoTextError, Text("the model asked for a tool, and there is none here")
        thought = errors.NoTextError, Text("the model stopped after its reasoning")
        return thought if self.reasoned else None


def _says_nothing(line: object) -> bool:
    """Tell whether a line is empty, or a comment, with which servers tell that they are alive."""
    return isinstance(line, str) and (not line or line.startswith(":"))


SEPARATOR = r"\u2028"
"""What stands for the separator that httpx took away: U+2028 in JSON."""


MOST_JOINED = 1000
"""Lines that are taken for one. It is read anew with each of them, and no answer has as many."""

NO_DATA: Mapping[str, Any] = {}


def whole_lines(lines: Iterable[Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield each line with its data, after putting lines together that belong together.

    Args:
        lines: Of server-sent events or of one JSON object each; what is no single line of text
            passes as it is.

    Raises:
        ValueError: The JSON of a line cannot be read.
    """
    held, joined = "", 0
    for line in lines:
        if not isinstance(line, str) or "\n" in line:
            yield line, NO_DATA
            continue
        whole = held + SEPARATOR + line if held else line
        try:
            data = _data_in(whole)
        except ValueError:
            joined += 1
            if held and (joined > MOST_JOINED or _is_another(line, held)):
                raise
            held = whole
        else:
            held, joined = "", 0
            yield whole, data
    if held:
        _data_in(held)


def _data_in(line: str) -> Mapping[str, Any]:
    """Return the JSON object that a line holds.

    The bare brace of a body that is laid out over several lines is not one.
    """
    is_event = line.startswith("data:")
    text = line.removeprefix("data:").lstrip() if is_event else line
    begins = text.startswith("{" if is_event else '{"')
    data: Mapping[str, Any] = json.loads(text) if begins else NO_DATA
    return data


def _is_another(line: str, held: str) -> bool:
    """Tell whether a line begins the next object, so that no more of the one held comes."""
    if held.startswith("data:"):
        return line.startswith("data:")
    with contextlib.suppress(ValueError):
        return _data_in(line) is not NO_DATA
    return False


def drop_logging(stream: Any, *, keep_answer: bool) -> None:
    """Take the logging out of a stream.

    Args:
        stream: LiteLLM's `CustomStreamWrapper`.
        keep_answer: Whether to log and cache the whole answer at its end, for a user who has
            callbacks or a cache of his own.
    """
    stream.run_success_logging_and_cache_storage = nothing
    if not keep_answer:
        stream.chunks = _UsageChunks()
        if hasattr(stream, "logging_obj"):
            stream.logging_obj.success_handler = nothing


def nothing(*_: object, **__: object) -> None:
    """Take the place of logging."""


class _UsageChunks(list[Any]):
    """The chunks of which LiteLLM sums up the answer at its end: those alone that count tokens."""

    def append(self, chunk: Any) -> None:
        """Keep a chunk if it counts tokens."""
        if getattr(chunk, "usage", None) is not None:
            super().append(chunk)


def takes_short_form(litellm: Any) -> bool:
    """Tell whether LiteLLM takes the form of its own providers from any provider."""
    utils = getattr(litellm, "litellm_core_utils", None)
    handler = getattr(utils, "streaming_handler", None)
    knows = getattr(handler, "generic_chunk_has_all_required_fields", None)
    return knows is not None and bool(knows(_generic("text")))


def short_form(chunks: Iterable[Any]) -> Iterator[Any]:
    """Pass on chunks, those with nothing but text in the form of LiteLLM's own providers.

    LiteLLM takes both forms from any provider, and does not copy this one (its
    `GenericStreamingChunk`).
    """
    for chunk in chunks:
        text = _plain_text(chunk)
        yield chunk if text is None else _generic(text)


def _plain_text(chunk: Any) -> str | None:
    """Return the text of a chunk that says nothing about the answer's end or its tokens."""
    choices = getattr(chunk, "choices", None)
    if not choices or len(choices) > 1 or getattr(chunk, "usage", None) is not None:
        return None
    text = choices[0].delta.content
    plain = isinstance(text, str) and text and choices[0].finish_reason is None
    plain = plain and not getattr(choices[0].delta, "tool_calls", None)
    return text if plain else None


def _generic(text: str) -> dict[str, Any]:
    rest = {"is_finished": False, "finish_reason": "", "usage": None, "index": 0, "tool_use": None}
    return {"text": text, **rest}


_LIMITS = re.compile("ratelimit|^date$")
"""The headers that the rate limiter reads. No other is passed on: a gateway may echo a key in
one."""


def plain(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return headers by the names that the provider gave them, in lower case."""
    return {
        name.lower().removeprefix("llm_provider-"): str(value)
        for name, value in dict(headers).items()
    }


def limits_in(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return those of a response's headers that tell of rate limits, and no others."""
    return {name: value for name, value in plain(headers).items() if _LIMITS.search(name)}
