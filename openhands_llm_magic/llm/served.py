"""What a server says it serves: its own list of models, asked for once and for a short time.

The address is the one that prompts would go to, and it alone gets the key that they would be sent
with. Servers word their lists in a dozen ways, which differ in names alone, so one reader takes
them all; only where a list is found, and how a key is told, depends on the provider.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from openhands_llm_magic import errors
from openhands_llm_magic.config import trust
from openhands_llm_magic.config.providers import (
    PROVIDERS,
    THIS_MACHINE,
    addresses_in,
    is_loopback,
    provider_of,
    server_of,
)
from openhands_llm_magic.config.secret import logins_in, masked
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm import refusals
from openhands_llm_magic.llm.litellm.clients import client_to
from openhands_llm_magic.llm.litellm.faults import fault_from
from openhands_llm_magic.llm.litellm.models import mode_of
from openhands_llm_magic.llm.meaning import meaning
from openhands_llm_magic.llm.prepare import REGIONAL
from openhands_llm_magic.llm.worker import Cancelled, Control, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot

T = TypeVar("T")

TIMEOUT_S = 5.0
"""Seconds in which a server has to tell its whole list."""

MOST_BYTES = 10_000_000
"""Bytes of a list that are read; the longest that was seen, OpenRouter's, has a tenth of it."""

MOST_MODELS = 5_000
LONGEST_NAME = 200
"""Characters of a model's name; longer ones are left out."""

WORDS_LIMIT = 160
"""Characters of the server's own words that are quoted."""


class Dialect(NamedTuple):
    """How a kind of server tells its models.

    Attributes:
        paths: Where its list may be, below the address without a "/v1" at its end where they begin
            with a version of their own; each is tried until one is a list.
        key_header: The header that the key goes into.
        key_form: The value of that header.
        headers: Others that it asks for.
    """

    paths: tuple[str, ...]
    key_header: str = "Authorization"
    key_form: str = "Bearer {key}"
    headers: Mapping[str, str] = {}


OPENAI = Dialect(("/models", "/v1/models"))

DIALECTS: Mapping[str, Dialect] = {
    "anthropic": Dialect(
        ("/v1/models?limit=1000",), "x-api-key", "{key}", {"anthropic-version": "2023-06-01"}
    ),
    "gemini": Dialect(
        ("/models?pageSize=1000", "/v1beta/models?pageSize=1000"), "x-goog-api-key", "{key}"
    ),
    # A virtual key may be refused the first, which also tells what each model is for.
    "litellm_proxy": Dialect(("/v1/model/info", "/v1/models")),
    "openhands": Dialect(("/v1/model/info", "/v1/models")),
    "lm_studio": Dialect(("/api/v0/models", "/v1/models")),
    "ollama": Dialect(("/api/tags", "/v1/models")),
}
"""The providers of the catalogue that are not asked as OpenAI is."""

UNLISTED = REGIONAL | {"azure", "practice"}
"""Providers whose lists no API key opens, or are not those of the person's own deployments."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that a server offers.

    Attributes:
        name: As the setting `model` takes it.
        window_tokens: Tokens that a prompt may have, or None where the server does not say.
    """

    name: str
    window_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A server that can be asked for its models.

    Attributes:
        address: Its base address.
        dialect: How it tells them.
        prefix: What stands before a model's name in the setting `model`.
        headers: Those of the requests, the key's among them.
        secrets: What must not show of them.
        refused: Why it must not be asked with the key, or None.
    """

    address: str
    dialect: Dialect
    prefix: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    refused: Text | None = None

    @property
    def shown(self) -> str:
        """The address without user, password and query."""
        return masked(self.address.partition("?")[0], self.secrets)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the server is this machine's own: no key leaves it, and no proxy is asked."""
        server = server_of(self.address)
        return server is not None and (server.host in THIS_MACHINE or is_loopback(server.host))

    @property
    def urls(self) -> list[str]:
        """The addresses at which its list may be."""
        base = self.address.partition("?")[0].rstrip("/")
        root = base.removesuffix("/v1")
        urls = [
            (root if path.startswith(("/v1", "/api")) else base) + path
            for path in self.dialect.paths
        ]
        return [*dict.fromkeys(urls)]


def place_of(settings: Snapshot, address: str | None = None) -> Place:
    """Return the server that prompts go to, or one at another address, which gets no key.

    Args:
        settings: The settings.
        address: The other address.

    Raises:
        UsageError: The address is not known, or the provider has no list for a key.
    """
    provider = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    own = _address(settings, provider)
    asked = address or own
    server = server_of(asked)
    is_own = server == server_of(own)
    if not is_own:
        here = (each for each in PROVIDERS.values() if each.is_at(asked))
        provider = next(here, PROVIDERS["openai_compatible"])
    if provider is not None and provider.name in UNLISTED:
        told = "{provider} has no list of models to ask for."
        raise UsageError(Text(told, provider=Text(provider.called)))
    if server is None or server.scheme not in ("http", "https"):
        told = (
            "the address of the server is not known: set base_url, or name one that begins with"
            " http:// or https://."
        )
        raise UsageError(Text(told))
    dialect = DIALECTS.get(provider.name, OPENAI) if provider else OPENAI
    headers = {**dialect.headers, "Accept": "application/json", "Accept-Encoding": "identity"}
    credentials = _credentials(settings, provider, dialect) if is_own else {}
    refusal = trust.refused(settings)
    keys = [value.removeprefix("Bearer ") for value in credentials.values()]
    return Place(
        asked,
        dialect,
        _prefix(settings, provider) if is_own or provider is None else provider.prefix,
        {**headers, **credentials},
        (*settings.secrets(), *keys, *logins_in(asked)),
        refusal.text if credentials and refusal else None,
    )


def _address(settings: Snapshot, provider: Provider | None) -> str:
    """Return the address that LiteLLM sends prompts to, or "" where it is not known."""
    if settings.base_url or provider is None:
        return settings.base_url or ""
    set_by_variable = addresses_in(os.environ, provider.prefix)
    return next(iter(set_by_variable), provider.base_url_form if provider.has_address else "")


def _prefix(settings: Snapshot, provider: Provider | None) -> str:
    """Return what stands before the names: the prefix that is written now, if it leads there."""
    if settings.custom_llm_provider:
        return ""
    known = (provider.prefix, *provider.other_prefixes) if provider else ()
    first, slash, _ = settings.model.partition("/")
    written = first + slash if slash else ""
    return written if provider is None or written in known else provider.prefix


def _credentials(settings: Snapshot, provider: Provider | None, dialect: Dialect) -> dict[str, str]:
    """Return the headers with the key that prompts are sent with, and with a gateway's own."""
    further = (settings.completion_kwargs or {}).get("extra_headers")
    headers = {str(name): str(value) for name, value in dict(further or {}).items()}
    variable = provider.stand_in("api_key", os.environ) if provider else ""
    key = (
        settings.api_key.get_secret_value().strip()
        if settings.api_key
        else os.environ.get(variable, "")
    )
    if key := key.strip():
        headers[dialect.key_header] = dialect.key_form.format(key=key)
    return headers


def served(place: Place, timeout_s: float = TIMEOUT_S) -> tuple[Served, ...]:
    """Ask a server for the models that answer prompts, in the order in which it names them.

    Args:
        place: The server.
        timeout_s: Seconds in which all of the list has to come.

    Raises:
        RequestError: It could not be reached, refused the key, or told no list.
        UntrustedAddressError: The key must not go there; nothing was sent.
    """
    return asked(place, Asking.models, timeout_s)


def asked(place: Place, work: Callable[[Asking], T], timeout_s: float = TIMEOUT_S) -> T:
    """Ask a server some things, and return what was made of them.

    Args:
        place: The server.
        work: Asks them, on a thread of its own.
        timeout_s: Seconds in which all of it has to come.

    Raises:
        RequestError: It could not be reached, or what `work` raises.
        UntrustedAddressError: The key must not go there; nothing was sent.
    """
    if place.refused is not None:
        raise errors.UntrustedAddressError(
            place.refused.masked(partial(masked, secrets=place.secrets))
        )
    control, until_s = Control(), time.monotonic() + timeout_s

    def ask(emit: Any) -> None:
        try:
            emit(control.on_socket(lambda: _reached(place, work, timeout_s)))
        except errors.RequestError as error:
            emit(error.alone())
        except Cancelled:
            pass  # whoever waits has given up, and says why

    with Run(ask, control) as asking:  # closing it hangs up
        while not asking.ended:
            for found in asking.take():
                if isinstance(found, errors.RequestError):
                    raise found
                made: T = found
                return made
            if time.monotonic() > until_s:
                break
    why = Text("it did not answer within {seconds} s", seconds=f"{timeout_s:g}")
    raise errors.NoAnswerInTimeError(_untold(place, why))


def _untold(place: Place, why: Text) -> Text:
    told = Text("{address} does not tell its models: {why}.", address=place.shown, why=why)
    return told.masked(lambda text: masked(text, place.secrets))


def _reached(place: Place, work: Callable[[Asking], T], timeout_s: float) -> T:
    """Do what asks a server; a fault of the way is told in our words.

    Raises:
        RequestError: It could not be reached, or what `work` raises.
    """
    import httpx  # noqa: PLC0415 - it takes 60 ms, and is rarely needed

    server = server_of(place.address)
    try:
        with client_to(server.host if server else "", timeout_s) as client:
            return work(Asking(place, client))
    except httpx.TimeoutException:
        why = Text("it did not answer within {seconds} s", seconds=f"{timeout_s:g}")
        raise errors.NoAnswerInTimeError(_untold(place, why)) from None
    except (httpx.LocalProtocolError, UnicodeEncodeError):  # its words hold the key
        why = Text("a character in the key does not fit into HTTP headers")
        raise errors.UnsendableError(_untold(place, why)) from None
    # Beside a refused connection, an address or a proxy that cannot be.
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError, OSError) as error:
        fault = fault_from(error, "sending")
        words = _quoted(place, str(fault) or type(error).__name__)
        why = Text("it could not be reached ({words})", words=words)
        known = type(fault) is not errors.BadRequestError
        kind = type(fault) if known else errors.ConnectionFailedError
        raise kind(_untold(place, why)) from None


def _quoted(place: Place, words: str) -> str:
    """Return a server's words in short; keys are masked first, as half a key is not known."""
    return shorten(masked(words, place.secrets), WORDS_LIMIT)


class Asking:
    """Asks one server, over one client.

    Args:
        place: The server.
        client: The HTTP client.
    """

    def __init__(self, place: Place, client: Any) -> None:
        self._place = place
        self._client = client

    def models(self) -> tuple[Served, ...]:
        """Return the models of the first list.

        Raises:
            RequestError: There was none; a refusal of the key is told before all else.
        """
        refused: list[errors.RequestError] = []
        for url in self._place.urls:
            try:
                return self._models_at(url)
            except (errors.AuthenticationError, errors.BadRequestError) as error:
                refused.append(error)
        keys = [error for error in refused if isinstance(error, errors.AuthenticationError)]
        raise (keys or refused)[-1]

    def told(self, path: str, question: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at a path below the server's root, or None where there is none.

        Args:
            path: The path, with its query.
            question: What is posted to it as JSON; without it nothing is.
        """
        base = self._place.address.partition("?")[0].rstrip("/").removesuffix("/v1")
        response, body = self._answer("POST" if question else "GET", base + path, question)
        if response.is_success and len(body) <= MOST_BYTES:
            with contextlib.suppress(ValueError, RecursionError):
                return json.loads(body)
        return None

    def _answer(
        self, method: str, url: str, question: Mapping[str, Any] | None = None
    ) -> tuple[Any, bytes]:
        """Return an answer and its body, of which too long a one is only begun."""
        headers = dict(self._place.headers)
        with self._client.stream(method, url, headers=headers, json=question) as response:
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                if len(body) > MOST_BYTES:
                    break
        return response, bytes(body)

    def _models_at(self, url: str) -> tuple[Served, ...]:
        response, body = self._answer("GET", url)
        status = response.status_code
        if len(body) > MOST_BYTES:
            raise self._refusal(Text("its answer is too long"), status)
        if response.is_redirect:  # the key is for this server alone
            from openhands_llm_magic.llm.litellm import bounds  # noqa: PLC0415 - it imports httpx

            address = bounds.shown(bounds.target_of(response, response.request.url))
            why = Text("it leads on to {address} ({status})", address=address, status=status)
            raise self._refusal(why, status)
        items = None
        with contextlib.suppress(ValueError, RecursionError):  # no JSON, or one without end
            items = _items(json.loads(body)) if response.is_success else None
        if items is None:
            raise self._refused(body.decode("utf-8", "replace"), status)
        return tuple(self._answering(items))[:MOST_MODELS]

    def _refused(self, body: str, status: int) -> errors.RequestError:
        """Return the error of an answer that is no list, from what `refusals` reads in it."""
        is_success = status < HTTPStatus.MULTIPLE_CHOICES
        refusal = refusals.read(body, status=None if is_success else status)
        if meaning(refusal) is errors.AuthenticationError:
            sends_key = self._place.dialect.key_header in self._place.headers
            why = Text("it refuses the key ({status})", status=status)
            if not sends_key:
                why = Text("it asks for a key ({status}), and none is sent there", status=status)
            return errors.AuthenticationError(_untold(self._place, why), status=status)
        if is_success and not refusal.is_told:
            return self._refusal(Text("its answer is not a list of models"), status)
        words = _quoted(self._place, refusal.words.rstrip("."))
        told = f"{status}: {words}" if words else str(status)
        return self._refusal(Text("it refuses ({words})", words=told), status)

    def _refusal(self, why: Text, status: int) -> errors.BadRequestError:
        return errors.BadRequestError(_untold(self._place, why), status=status)

    def _answering(self, items: list[Any]) -> Iterator[Served]:
        """Yield the models of a list that answer prompts, each once."""
        seen = set()
        for item in items:
            name = _name(item)
            if name in seen or not self._is_name(name):
                continue
            seen.add(name)
            written = self._place.prefix + name
            if (mode_of(written) or "chat") in ANSWERING and _answers(item):
                yield Served(written, _window_tokens(item))

    def _is_name(self, name: str) -> bool:
        """Return whether a name can be shown and asked for: it is no pattern, and holds no key."""
        can_be_shown = name.isprintable() and masked(name, self._place.secrets) == name
        return 0 < len(name) <= LONGEST_NAME and "*" not in name and can_be_shown


# How lists differ.

ANSWERING = frozenset({"chat", "completion", "responses"})
"""The modes in LiteLLM's list, and in a LiteLLM Proxy's, of models that answer prompts."""

LISTS = ("data", "models")
NAMES = ("model_name", "key", "id", "name", "model")
"""A LiteLLM Proxy's, LM Studio's newer one, OpenAI's, Gemini's and Ollama's."""

OTHER_TYPES = frozenset({
    "audio", "embedding", "embeddings", "image", "moderation", "rerank", "reranker",
    "transcribe", "tts", "video",
})  # fmt: skip
"""What LM Studio and Together call the type of models that answer no prompts."""

WINDOWS = (
    "loaded_context_length", "max_model_len", "context_length", "context_window",
    "max_context_length", "max_input_tokens", "inputTokenLimit",
)  # fmt: skip
"""LM Studio, vLLM, OpenRouter and Together, Groq, LM Studio and Mistral, Anthropic and a LiteLLM
Proxy, Gemini."""


def _items(body: Any) -> list[Any] | None:
    """Return the list in an answer, which is bare at Together and GitHub, or None."""
    if isinstance(body, dict):
        body = next((body[name] for name in LISTS if isinstance(body.get(name), list)), None)
    return body if isinstance(body, list) else None


def _name(item: Any) -> str:
    """Return a model's name, or ""."""
    names = [item.get(name) for name in NAMES] if isinstance(item, dict) else [item]
    name = next((name for name in names if isinstance(name, str) and name), "")
    return name.removeprefix("models/")  # Gemini's


def _answers(item: Any) -> bool:
    """Return whether the server says of a model that it answers prompts, or says nothing."""
    if not isinstance(item, dict):
        return True
    if _embeds(item):
        return False
    methods = item.get("supportedGenerationMethods")
    writes = _part(item, "architecture").get("output_modalities")
    return not (
        item.get("type") in OTHER_TYPES
        or _part(item, "model_info").get("mode") not in (None, *ANSWERING)
        or _part(item, "capabilities").get("completion_chat") is False
        or (isinstance(methods, list) and "generateContent" not in methods)
        or (isinstance(writes, list) and "text" not in writes)
        or item.get("active") is False
    )


def _embeds(item: dict[str, Any]) -> bool:
    """Return whether a model makes vectors, which Ollama's list tells by the family at best."""
    can = item.get("capabilities")
    if isinstance(can, list):  # of llama.cpp, and of Ollama where it tells them
        return "embedding" in can and "completion" not in can
    family = _part(item, "details").get("family")
    return "embed" in _name(item).lower() or (isinstance(family, str) and "bert" in family)


def _window_tokens(item: Any) -> int | None:
    if not isinstance(item, dict):
        return None
    facts = {**_part(item, "meta"), **_part(item, "model_info"), **item}
    found = (facts.get(name) for name in (*WINDOWS, "n_ctx"))  # the last is llama.cpp's
    return next((count for count in found if isinstance(count, int) and count > 0), None)


def _part(item: dict[str, Any], name: str) -> dict[str, Any]:
    part = item.get(name)
    return part if isinstance(part, dict) else {}
