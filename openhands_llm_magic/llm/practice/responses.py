"""What each request to the practice server gets, in the dialect that it came in.

No socket is opened here; `server.py` sends it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.practice import answers, lists, models, schemas, wordings
from openhands_llm_magic.llm.practice.agent import CONTEXT_TOKENS, Agent
from openhands_llm_magic.llm.practice.rare_dialects import ALL
from openhands_llm_magic.llm.practice.routes import DIALECT, OWN, Route, route_of
from openhands_llm_magic.llm.practice.wire import Refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openhands_llm_magic.llm.practice.dialects import Stream


@dataclass(frozen=True, slots=True)
class Page:
    """A whole response of JSON; with `cut`, half of it is sent."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_s: float = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Pieces:
    """A streamed response, in pieces; with `cut`, half of those in the middle are sent.

    With `error`, that comes then, and the stream ends well.
    """

    stream: Stream
    headers: Mapping[str, str]
    pause_s: float = 0
    cut: bool = False
    error: bytes = b""


def page(body: Mapping[str, Any], **more: Any) -> Page:
    """Return a response of JSON."""
    return Page(json.dumps(body).encode(), **more)


def refused(route: Route, refuse: Refuse) -> Page:
    """Return a refusal as the provider of a route writes it."""
    dialect = ALL.get(route.dialect, ALL["openai"])
    if route.dialect in DIALECT.values():  # the codes of the others are OpenAI's
        refuse = replace(refuse, code=None)
    body = json.dumps(dialect.error(refuse)).encode() if refuse.body is None else refuse.body
    return Page(body, refuse.status, refuse.headers)


def error_event(route: Route, refuse: Refuse) -> bytes:
    """Write a refusal as an event of a stream."""
    if refuse.body is not None:  # those of a form of their own are all in OpenAI's dialect
        return b"data: " + refuse.body + b"\n\n"
    return ALL[route.dialect].error_event(refuse)


def _named(body: bytes) -> str:
    """Return the model that a question about one names.

    Raises:
        AttributeError, KeyError, ValueError: It names none.
    """
    asked = json.loads(body)
    return str(asked.get("model") or asked["name"])


def _is_at_openrouter(model: str) -> bool:
    """Return whether a model has its maker before its name, or is one of those that have none."""
    return "/" in model or model == "auto" or model in models.MODELS


class Responder:
    """Answers requests, and remembers what befell each conversation before.

    Args:
        pause_s: Seconds between two words of the model `slow`.
        now: Gives the seconds by which `metered` goes.
    """

    def __init__(self, pause_s: float, now: Callable[[], float]) -> None:
        self._pause_s = pause_s
        self._now = now
        self._failures: dict[str, int] = {}
        self._prompt_before = ""
        self._takes_at_s: dict[str, float] = {}
        self._loaded: dict[str, None] = {}  # in their order

    def respond(self, method: str, target: str, got: bytes | Refuse) -> Page | Pieces:
        """Return what a request gets.

        Args:
            method: The request's method.
            target: Its path, with the query.
            got: Its body, or what is wrong with it by its headers.
        """
        route = route_of(method, target)
        if isinstance(got, Refuse):
            return refused(route, got)
        if route.asks == "nothing":
            path = target.partition("?")[0]
            own = wordings.UNKNOWN_PATH.get(route.provider)
            return refused(route, own or answers.unknown_path(method, path, route.provider))
        try:
            return self._decide(route, got)
        except answers.UNREADABLE:  # a tool, a call or a part of another form
            return refused(route, answers.bad_request(answers.OTHER_FORM))

    def _decide(self, route: Route, body: bytes) -> Page | Pieces:
        match route.asks:
            case "vectors":
                told = answers.embedded(body, route)
                return refused(route, told) if isinstance(told, Refuse) else page(told)
            case "answer":
                chat = answers.read_chat(body, route)
                return (
                    refused(route, chat) if isinstance(chat, Refuse) else self._reply(chat, route)
                )
            case "loaded models":
                return page(lists.loaded(self._loaded, route))
            case "model":
                return page(lists.shown(_named(body), route))
        return page(lists.TELLS[route.asks](route))

    def _reply(self, chat: answers.Chat, route: Route) -> Page | Pieces:
        """Return what the model does with a request: it answers, refuses, or breaks off."""
        if route.provider == "openrouter" and not _is_at_openrouter(chat.model):
            return refused(route, wordings.no_such_model(chat.model))
        name = route.acts_as or chat.model
        may_be_any = route.provider != OWN and not route.acts_as
        model = models.MODELS.get(name, models.MODELS["echo"] if may_be_any else None)
        if model is None:
            return refused(route, answers.unknown_model(name))
        fault, wait_s = self._fault(chat, model)
        refuse = None
        if fault is not None and fault != "cut":
            refuse = wordings.refusal(route.provider, fault, chat.model, wait_s, chat.prompt_tokens)
            if fault != "overload midway" or not chat.stream:
                return refused(route, refuse)
        if isinstance(model.calls, Agent):
            if why := model.calls.refusal(chat.request):
                return refused(route, answers.bad_request(why))
            chat = self._remembered(chat, model.calls)
        response = self._response(chat, model, route)
        if refuse is not None and isinstance(response, Pieces):
            response = replace(response, error=error_event(route, refuse))
        return replace(response, cut=fault is not None)

    def _response(self, chat: answers.Chat, model: models.Model, route: Route) -> Page | Pieces:
        text = model.calls.text(chat.request) if isinstance(model.calls, Agent) else None
        if chat.schema is not None and model.name == "echo" and route.provider != OWN:
            text = json.dumps(schemas.fitting(chat.schema))
        text = model.answer(chat.prompt, chat.results) if text is None else text
        answer = answers.answer_to(chat, text, word_by_word=model.word_by_word, how=model.calls)
        if route.provider == "openrouter":
            answer = replace(answer, cost_usd=0.0)
        # Whoever looks at the name of the model that has answered sees that it is none.
        name = chat.model if route.provider == OWN else f"practice/{model.name}"
        if route.provider == "ollama":  # which loads a model as it is asked
            self._loaded.setdefault(chat.model)
        dialect, pause_s = ALL[route.dialect], self._pause_s if model.word_by_word else 0
        headers = {"X-Practice-Model": name}
        headers |= models.metered(model) if dialect is ALL["openai"] else {}
        if chat.stream:
            headers = {"Content-Type": dialect.stream_type, **headers}
            return Pieces(dialect.stream(answer, name), headers, pause_s)
        pause_s *= len(text.split())
        return page(dialect.whole(answer, name), headers=headers, pause_s=pause_s)

    def _remembered(self, chat: answers.Chat, agent: Agent) -> answers.Chat:
        """Return a request as an agent reads it; the prompt before it is in its cache."""
        read = replace(chat, prompt_tokens=agent.read(chat.prompt_tokens))
        before, self._prompt_before = self._prompt_before, chat.digest
        if before == chat.digest and agent.caches(chat.prompt_tokens):
            return replace(read, cached_tokens=read.prompt_tokens)
        return read

    def _fault(
        self, chat: answers.Chat, model: models.Model
    ) -> tuple[wordings.Fault | None, float]:
        """Return what befalls a conversation this time in place of an answer, and count it.

        Beside it are the seconds that a refusal asks to wait.
        """
        if model.every_s:
            early_s = self._early_s(model)
            return ("rate limit" if early_s > 0 else None), early_s
        if model.fault == "no tools":
            return (model.fault if chat.has_tools else None), 0
        if model.fault == "too long":
            return (model.fault if chat.prompt_tokens > CONTEXT_TOKENS else None), 0
        failures = self._failures.pop(chat.digest, 0)
        if failures >= model.fault_count:
            return None, 0
        self._failures[chat.digest] = failures + 1
        return model.fault, wordings.WAIT_S

    def _early_s(self, model: models.Model) -> float:
        """Return by how many seconds a request comes too early; one that does not, counts."""
        now_s = self._now()
        early_s = self._takes_at_s.get(model.name, 0) - now_s
        if early_s <= 0:
            self._takes_at_s[model.name] = now_s + model.every_s
        return early_s
