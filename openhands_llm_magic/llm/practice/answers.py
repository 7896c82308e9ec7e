"""What the practice provider reads and says: requests, answers, and what is wrong with a request.

Nothing here opens a socket; `server.py` sends what this module decides, in the dialect that the
request came in. Every value is derived from the request, so that the same request gets the same
answer, byte for byte. A token is counted as one word, that is, as text between white space.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from itertools import cycle, islice, takewhile
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.practice import embeddings, schemas
from openhands_llm_magic.llm.practice.agent import Agent
from openhands_llm_magic.llm.practice.models import MODELS, Calls
from openhands_llm_magic.llm.practice.requests import in_openai_form
from openhands_llm_magic.llm.practice.routes import OWN, Route
from openhands_llm_magic.llm.practice.wire import Answer, Call, Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What comes of a request that is of another form than its dialect's."""

OTHER_FORM = "The request is not of the form that this path takes."

COUNT_UNASKED = frozenset({"deepseek", "mistral", "openrouter"})
"""Those of OpenAI's dialect that count tokens in each stream; others do where they are asked to."""

HERE = Route(asks="answer")
"""Where requests in the practice provider's own dialect go."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A request that could be read.

    Attributes:
        model: The name of the model asked for; there may be no such model.
        prompt: The text of the last message of the role "user".
        prompt_tokens: Words in all messages.
        digest: Tells conversations apart: a hash of the model and the messages.
        stream: Whether the answer is sent in pieces.
        include_usage: Whether a streamed answer tells the count of its tokens.
        limit: Tokens, here words, that the answer is cut off at, or None.
        has_tools: Whether functions are offered.
        results: What functions gave since that last message, in order.
        rounds: How often functions were asked for since then.
        request: The whole request, in OpenAI's form.
        schema: What the answer is held to, or None.
        forced: The one function that has to be called, or "".
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
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    forced: str = ""

    def cut(self, answer: str) -> tuple[str, str]:
        """Return as much of an answer as the limit allows, and its finish reason."""
        words = re.findall(r"(?<!\s)\s*\S+", answer)
        if self.limit is None or len(words) <= self.limit:
            return answer, "stop"
        return "".join(words[: self.limit]), "length"


def read_chat(body: bytes, route: Route = HERE) -> Chat | Refuse:
    """Read a request's body, or say with status 400 what is wrong with it."""
    try:
        request = json.loads(body)
        return _chat(request, in_openai_form(route.dialect, request), route)
    except UNREADABLE:
        return bad_request(OTHER_FORM)


def _chat(asked: Mapping[str, Any], request: dict[str, Any], route: Route) -> Chat | Refuse:
    request |= {"model": route.model or asked.get("model")}
    match request:
        case {"model": str(model), "messages": [_, *_] as messages} if all(
            isinstance(message, dict) for message in messages
        ):
            texts = [(message.get("role"), _text(message.get("content"))) for message in messages]
        case _:
            return bad_request("A request needs `model`, a text, and `messages`, a list.")
    options = asked.get("stream_options")
    is_told_to_count = isinstance(options, dict) and options.get("include_usage") is True
    limits = (request.get(name) for name in ("max_completion_tokens", "max_tokens"))
    conversation = json.dumps([route.provider, route.acts_as, model, messages], sort_keys=True)
    streams = asked.get("stream", route.dialect.startswith("ollama")) is True
    return Chat(
        model=model,
        prompt=next((text for role, text in reversed(texts) if role == "user"), ""),
        prompt_tokens=sum(len(text.split()) for _, text in texts),
        digest=hashlib.sha256(conversation.encode()).hexdigest(),
        stream=streams if route.streams is None else route.streams,
        include_usage=(
            route.dialect != "openai" or route.provider in COUNT_UNASKED or is_told_to_count
        ),
        limit=next((each for each in limits if isinstance(each, int) and each > 0), None),
        has_tools=bool(request.get("tools")),
        request=request,
        schema=schemas.schema_in(asked, next((said for by, said in texts if by == "system"), "")),
        forced=schemas.forced_in(asked),
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


def calls(chat: Chat, how: Calls | Agent | None) -> list[Call]:
    """Return the functions that a model asks for; none where it answers."""
    if isinstance(how, Agent):
        return [
            Call(each["function"]["name"], each["function"]["arguments"], each["id"])
            for each in how.calls(chat.request)
        ]
    if chat.forced:
        return [_forced(chat)]
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
        Call(name, arguments, f"call_{chat.rounds}_{number}", at_once=how == "a thousand times")
        for number, (name, arguments) in enumerate(wished)
    ]


def _forced(chat: Chat) -> Call:
    """Call the function that has to be called, with arguments that fit."""
    functions = [each["function"] for each in chat.request.get("tools") or ()]
    found = (each.get("parameters", {}) for each in functions if each["name"] == chat.forced)
    arguments = json.dumps(schemas.fitting(next(found, {})))
    return Call(chat.forced, arguments, f"call_{chat.rounds}_0")


def _text(content: object) -> str:
    """Return the text of a message's content, which is a text or a list of parts."""
    match content:
        case str():
            return content
        case list():
            parts = (part.get("text") for part in content if isinstance(part, dict))
            return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def bad_request(message: str) -> Refuse:
    """Refuse a request that cannot be read."""
    return Refuse(400, message=message)


def unknown_model(name: str) -> Refuse:
    """Refuse a model that does not exist, listing those that do."""
    message = f"The model `{name}` does not exist. The practice models are: {', '.join(MODELS)}."
    return Refuse(404, message=message)


def unknown_path(method: str, path: str, provider: str = OWN) -> Refuse:
    """Refuse a path that does not exist, naming those that do."""
    told = "The practice provider has POST /v1/chat/completions, POST /v1/embeddings and GET"
    told += " /v1/models."
    if provider != OWN:
        told = f"The practice provider has the paths of {provider} alone below /{provider}."
    return Refuse(404, code="not_found", message=f"Invalid URL ({method} {path}). {told}")


def embedded(body: bytes, route: Route = HERE) -> dict[str, Any] | Refuse:
    """Return the body of the answer to a request for vectors, or say what is wrong with that."""
    try:
        request = json.loads(body)
        model = route.model or request["model"]
        texts = embeddings.texts_in(route.dialect, request)
    except UNREADABLE:
        model, texts = None, None
    if texts is None or not isinstance(model, str):
        needs = "A request needs `model`, a text, and `input`, a text or a list of texts"
        return bad_request(f"{needs}, as JSON.")
    if route.provider == OWN and model != embeddings.MODEL:
        message = f"The model `{model}` makes no vectors; `{embeddings.MODEL}` does."
        return Refuse(404, message=message)
    tokens = sum(len(text.split()) for text in texts)
    name = embeddings.MODEL if route.provider == OWN else f"practice/{embeddings.MODEL}"
    vectors: list[Any] = [*map(embeddings.vector, texts)]
    if request.get("encoding_format") == "base64":
        vectors = [*map(embeddings.encoded, vectors)]
    return embeddings.written(route.dialect, name, vectors, tokens)


def answer_to(chat: Chat, text: str, *, word_by_word: bool, how: Calls | Agent | None) -> Answer:
    """Return the answer to a request: the functions that it asks for, or else a text."""
    wished = tuple(calls(chat, how))
    text, reason = ("", _reason(how)) if wished else chat.cut(text)
    written = " ".join([text, *(f"{each.name} {each.arguments}" for each in wished)])
    usage = (chat.prompt_tokens, len(written.split()))
    return Answer(
        chunks=tuple(pieces(text, word_by_word=word_by_word)),
        finish_reason=reason,
        usage=usage if chat.include_usage or not chat.stream else None,
        calls=wished,
        id=chat.digest[:24],
        cached_tokens=chat.cached_tokens,
    )


def _reason(how: Calls | Agent | None) -> str:
    return "length" if how == "cut off" else "tool_calls"


def pieces(text: str, *, word_by_word: bool = False) -> Iterator[str]:
    """Cut `text` into pieces of a few words, white space kept."""
    words = iter(re.findall(r"\S+\s*|\s+", text))
    # Sizes vary because LiteLLM takes 100 equal chunks, as from "a a a a ...", for a broken model.
    for size in cycle((1,) if word_by_word else (2, 3, 4)):
        piece = "".join(islice(words, size))
        if not piece:
            return
        yield piece
