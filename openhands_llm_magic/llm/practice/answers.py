"""What the practice provider reads and says: requests, and the bodies of its answers.

Nothing here opens a socket; `server.py` sends what this module decides. The bodies follow OpenAI's
reference, errors included. Every value in them is derived from the request, so that the same
request gets the same answer, byte for byte. A token is counted as one word, that is, as text
between white space. Texts that share parts of words get vectors near each other, which know nothing
of meaning.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from itertools import cycle, islice, takewhile
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.practice.agent import Agent
from openhands_llm_magic.llm.practice.models import MODELS, Calls, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


MODEL = "embed"
"""The name of the one model that makes vectors."""

ABOUT = "makes vectors of texts"
"""What it does, as the rest of a sentence that starts with its name."""

WIDTH = 64
"""Numbers in a vector."""


def embedded(body: bytes) -> dict[str, Any] | Refusal:
    """Return the body of the answer to a request for vectors, or say what is wrong with that."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        request = None
    match request:
        case {"model": str(model), "input": str(text)}:
            texts = [text]
        case {"model": str(model), "input": [_, *_] as texts} if all(
            isinstance(text, str) for text in texts
        ):
            pass
        case _:
            needs = "A request needs `model`, a text, and `input`, a text or a list of texts"
            return _bad_request(f"{needs}, as JSON.")
    if model != MODEL:
        message = f"The model `{model}` makes no vectors; `{MODEL}` does."
        return Refusal(404, message, "invalid_request_error", "model_not_found")
    tokens = sum(len(text.split()) for text in texts)
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text)}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": MODEL, "usage": usage}


def vector(text: str) -> list[float]:
    """Make the vector of a text, of length 1: each part of a word goes up or down one number."""
    numbers = [0] * WIDTH
    for word in re.findall(r"\w+", text.casefold()) or [text]:
        marked = f"<{word}>"  # so that beginnings and ends of words count as such
        for start in range(len(marked) - 2):
            digest = hashlib.sha256(marked[start : start + 3].encode(errors="replace")).digest()
            numbers[digest[0] % WIDTH] += 1 if digest[1] % 2 else -1
    length = math.hypot(*numbers) or 1.0
    return [number / length for number in numbers]


CREATED_S = 1_735_689_600
"""The `created` of every answer: 2025-01-01 UTC, fixed so that answers stay the same."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat-completions request that could be read.

    Attributes:
        model: The name of the model asked for; there may be no such model.
        prompt: The text of the last message of the role "user".
        prompt_tokens: Words in all messages.
        digest: Tells conversations apart: a hash of the model and the messages.
        stream: Whether the answer is sent in pieces.
        include_usage: Whether a streamed answer ends with a usage chunk.
        limit: Tokens, here words, that the answer is cut off at, or None.
        has_tools: Whether functions are offered.
        results: What functions gave since that last message, in order.
        rounds: How often functions were asked for since then.
        request: The whole request, as it came.
        cached_tokens: Tokens of the prompt that are in a cache.
    """

    model: str
    prompt: str
    prompt_tokens: int
    digest: str
    stream: bool
    include_usage: bool
    limit: int | None = None
    has_tools: bool = False
    results: tuple[str, ...] = ()
    rounds: int = 0
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cached_tokens: int = 0

    def cut(self, answer: str) -> tuple[str, str]:
        """Return as much of an answer as the limit allows, and its finish reason."""
        words = re.findall(r"(?<!\s)\s*\S+", answer)
        if self.limit is None or len(words) <= self.limit:
            return answer, "stop"
        return "".join(words[: self.limit]), "length"


def read_chat(body: bytes) -> Chat | Refusal:
    """Read a request's body, or say with status 400 what is wrong with it."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return _bad_request("We could not parse the JSON body of your request.")
    match request:
        case {"model": str(model), "messages": [_, *_] as messages} if all(
            isinstance(message, dict) for message in messages
        ):
            texts = [(message.get("role"), _text(message.get("content"))) for message in messages]
        case _:
            return _bad_request("A request needs `model`, a text, and `messages`, a list.")
    options = request.get("stream_options")
    limits = (request.get(name) for name in ("max_completion_tokens", "max_tokens"))
    conversation = json.dumps([model, messages], sort_keys=True)
    return Chat(
        model=model,
        prompt=next((text for role, text in reversed(texts) if role == "user"), ""),
        prompt_tokens=sum(len(text.split()) for _, text in texts),
        digest=hashlib.sha256(conversation.encode()).hexdigest(),
        stream=request.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        limit=next((limit for limit in limits if isinstance(limit, int)), None),
        has_tools=bool(request.get("tools")),
        request=request,
        **_called(texts),
    )


def _called(texts: Sequence[tuple[object, str]]) -> dict[str, Any]:
    """Return what came of functions since the last prompt."""
    since = list(takewhile(lambda each: each[0] != "user", reversed(texts)))[::-1]
    results = tuple(text for role, text in since if role == "tool")
    return {"results": results, "rounds": sum(role == "assistant" for role, _ in since)}


WISH = re.compile(r"^call (\S+)(?: +(\S.*))?$", re.MULTILINE)
"""A line of a prompt that tells a model to call a function."""

MANY = 1000
"""Calls of the model that has lost its way."""


def calls(chat: Chat, how: Calls | Agent | None) -> list[dict[str, Any]]:
    """Return the functions that a model asks for, in OpenAI's form; none where it answers."""
    if isinstance(how, Agent):
        return how.calls(chat.request)
    wished = [(name, arguments or "{}") for name, arguments in WISH.findall(chat.prompt)]
    if how is None or not (chat.has_tools and wished):
        return []
    match how:
        case "a thousand times":
            wished = [wished[0]] * MANY
        case "cut off":
            wished = [(name, arguments[:-1]) for name, arguments in wished]
        case "malformed once" if not chat.rounds:
            wished = [(name, arguments[:-1]) for name, arguments in wished]
        case "unknown once" if not chat.rounds:
            wished = [("no_such_function", arguments) for _, arguments in wished]
        case "well" if chat.rounds:
            return []
        case "malformed once" | "unknown once" if chat.rounds > 1:
            return []
    return [
        {
            "id": f"call_{chat.rounds}_{number}",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        for number, (name, arguments) in enumerate(wished)
    ]


def _text(content: object) -> str:
    """Return the text of a message's content, which is a text or a list of parts."""
    match content:
        case str():
            return content
        case list():
            parts = (part.get("text") for part in content if isinstance(part, dict))
            return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def _bad_request(message: str) -> Refusal:
    return Refusal(400, message, "invalid_request_error")


def unknown_model(name: str) -> Refusal:
    """Refuse a model that does not exist, listing those that do."""
    message = f"The model `{name}` does not exist. The practice models are: {', '.join(MODELS)}."
    return Refusal(404, message, "invalid_request_error", "model_not_found")


def unknown_path(method: str, path: str) -> Refusal:
    """Refuse a path that does not exist, naming those that do."""
    message = (
        f"Invalid URL ({method} {path}). The practice provider has "
        "POST /v1/chat/completions, POST /v1/embeddings and GET /v1/models."
    )
    return Refusal(404, message, "invalid_request_error")


def model_list() -> dict[str, Any]:
    """Return the body of GET /v1/models."""
    entry = {"object": "model", "created": CREATED_S, "owned_by": "practice"}
    names = (*MODELS, MODEL)
    return {"object": "list", "data": [{"id": name, **entry} for name in names]}


def completion(chat: Chat, answer: str, how: Calls | Agent | None = None) -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    answer, reason = chat.cut(answer)
    message: dict[str, Any] = {"role": "assistant", "content": answer, "refusal": None}
    if wished := calls(chat, how):
        answer, reason = "", _reason(how)
        message |= {"content": None, "tool_calls": wished}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {**_head(chat, "chat.completion"), "choices": [choice], "usage": _usage(chat, answer)}


def _reason(how: Calls | Agent | None) -> str:
    return "length" if how == "cut off" else "tool_calls"


def chunks(
    chat: Chat, answer: str, *, word_by_word: bool, how: Calls | Agent | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a streamed answer: the role, the text in pieces, the end, the usage if asked for."""
    head = _head(chat, "chat.completion.chunk")
    if chat.include_usage:
        head["usage"] = None  # as in OpenAI's stream: null in all chunks but the last

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    answer, reason = chat.cut(answer)
    yield chunk({"role": "assistant", "content": ""})
    if wished := calls(chat, how):
        answer, reason = "", _reason(how)
    for index, call in enumerate(wished):
        yield chunk({"tool_calls": [{"index": index} | call]})
    for piece in pieces(answer, word_by_word=word_by_word):
        yield chunk({"content": piece})
    yield chunk({}, reason)
    if chat.include_usage:
        yield {**head, "choices": [], "usage": _usage(chat, answer)}


def pieces(text: str, *, word_by_word: bool = False) -> Iterator[str]:
    """Cut `text` into pieces of a few words, white space kept."""
    words = iter(re.findall(r"\S+\s*|\s+", text))
    # Sizes vary because LiteLLM takes 100 equal chunks, as from "a a a a ...", for a broken model.
    for size in cycle((1,) if word_by_word else (2, 3, 4)):
        piece = "".join(islice(words, size))
        if not piece:
            return
        yield piece


def _head(chat: Chat, kind: str) -> dict[str, Any]:
    told = {"id": f"chatcmpl-{chat.digest[:24]}", "object": kind}
    return {**told, "created": CREATED_S, "model": chat.model}


def _usage(chat: Chat, answer: str) -> dict[str, Any]:
    prompt, said = chat.prompt_tokens, len(answer.split())
    cached = {"prompt_tokens_details": {"cached_tokens": chat.cached_tokens}}
    counted = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
    return counted | (cached if chat.cached_tokens else {})
