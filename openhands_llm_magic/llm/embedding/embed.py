"""Turning any number of texts into vectors: settings and texts in, `Embeddings` out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm import explain
from openhands_llm_magic.llm.embedding.place import Place, batches, limit_of, place_from
from openhands_llm_magic.llm.embedding.vectors import Vectors
from openhands_llm_magic.llm.events import AttemptEnded, Failed, Usage
from openhands_llm_magic.llm.explain import GIVE_EMBEDDING_KEY, TRY_PRACTICE_VECTORS, any_of
from openhands_llm_magic.llm.litellm.embed import embed as embed_once
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.litellm.send import missing_key_variables
from openhands_llm_magic.llm.meaning import is_outside_free_tier
from openhands_llm_magic.llm.practice import models as practice_models
from openhands_llm_magic.llm.prepare import EmbeddingRequest, Response, host_of, secrets_of
from openhands_llm_magic.llm.run import Requests
from openhands_llm_magic.llm.spending.attempt import is_free
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Cancelled, Clock, Control, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openhands_llm_magic.llm.events import Event


TEXTS = {
    **explain.TEXTS,
    errors.MissingKeyError: (
        "there is no API key for {model} {said}. Set it in the environment, {give_key}, or"
        " {try_practice}, which needs no account."
    ),
    errors.AuthenticationError: (
        "{server} refused the key {said}; {key_from}. Set another there, or {give_key}."
    ),
    errors.ModelNotFoundError: (
        "the embedding model {model} is not known {said}. Set embedding_model ({model_from}) to a"
        " name with its provider's prefix, such as openai/text-embedding-3-small, or"
        " {try_practice}."
    ),
    errors.RedirectError: (
        "nothing was sent on to another server {said}. If that is the right one, set"
        " embedding_base_url ({base_url_from}) to it."
    ),
    errors.OversizedError: (
        "{texts}: the answer was not read to its end {said}. Ask for the vectors of fewer texts, or"
        " check embedding_base_url ({base_url_from})."
    ),
    errors.CertificateError: (
        "the certificate of {server} is not trusted {said}. Name a file with the authority that"
        " signed it in the variable SSL_CERT_FILE, or check embedding_base_url"
        " ({base_url_from})."
    ),
    errors.QuotaError: (
        "the account has no credit left {said}; {key_from}. Add credit, or set another."
    ),
    errors.DailyLimitError: (
        "the limit of the {period} is used up {said}; {opens}. Ask then, or set another"
        " embedding_model ({model_from}); {key_from}."
    ),
    errors.ContextLengthError: (
        "{texts}: one is longer than {model} takes {said}. Cut it into shorter ones, or set another"
        " embedding_model ({model_from})."
    ),
    errors.RequestTooLargeError: (
        "{texts}: larger than may be sent at once {said}. Ask for the vectors of fewer or shorter"
        " texts."
    ),
    errors.BadRequestError: (
        "{texts}: the request was refused {said}. Check embedding_model ({model_from}) and"
        " embedding_base_url ({base_url_from})."
    ),
    errors.UnsendableError: (
        "no request can be made {said}. Check embedding_base_url ({base_url_from}); {key_from}."
    ),
    errors.ContentFilterError: (
        "{texts}: the provider's content filter refused them {said}. Leave out the text that it"
        " refuses, or set another embedding_model ({model_from})."
    ),
    errors.ConnectionFailedError: (
        "{server} could not be reached {said}; {gave_up}. Check that it runs, and"
        " embedding_base_url ({base_url_from})."
    ),
    errors.BrokenAnswerError: (
        "{texts}: no vectors came {said}; {gave_up}. Ask later, or raise {limit_name}"
        " ({limit_from})."
    ),
}
"""The lines that differ from those for prompts."""

NOT_IN_FREE_TIER = (
    "{model} is not in the free tier {said}. Set another embedding_model ({model_from}), or turn on"
    " billing for the project of the key: another key of it changes nothing."
)
ADDRESS_UNSENDABLE = (
    "no request can be made {said}. Set embedding_base_url ({base_url_from}) to an address that"
    " begins with http://, or with https:// where the server has a certificate."
)


def explained(
    error: errors.RequestError, retries: int, *, settings: Snapshot, place: Place, texts: str
) -> errors.RequestError:
    """Return the same failure with a line that names the setting to change and its origin.

    `texts` says in words which texts it is about.
    """
    address = place.request.options.get("base_url")
    base_url_from = explain.origin_of(settings, "embedding_base_url")
    check = Text("Check embedding_base_url ({base_url_from})", base_url_from=base_url_from)
    if address and not settings.embedding_base_url:
        taken_from = explain.origin_of(settings, "base_url")
        check = Text("Check base_url ({base_url_from})", base_url_from=taken_from)
    facts = explain.facts(error, settings, retries) | {
        "model": place.name,
        "model_from": explain.origin_of(settings, "embedding_model"),
        "base_url_from": base_url_from,
        "url": error.url or address or "",
        "check_address": check,
        "proxy_from": explain.proxy_from(address, "embedding_base_url"),
        "server": address or Text("the provider of {model}", model=place.name),
        "key_from": place.key_from,
        "texts": texts,
        "give_key": Text(GIVE_EMBEDDING_KEY),
        "try_practice": Text(TRY_PRACTICE_VECTORS),
    }
    if type(error) not in TEXTS:
        return error
    told = TEXTS[type(error)]
    if isinstance(error, errors.UnsendableError) and "base_url" in error.named:
        told = ADDRESS_UNSENDABLE
    if isinstance(error, errors.QuotaError) and is_outside_free_tier(error):
        told = NOT_IN_FREE_TIER
    return error.reworded(Text(told, **facts))


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of some texts.

    Attributes:
        vectors: One for each text, in the same order.
        usage: Tokens as LiteLLM reports them, or None for none. Where Gemini or Ollama count
            none, it counts them itself.
        cost_usd: What they cost, or None when the price is unknown.
        is_local: Whether they are from a server on this machine; a list's price is none of it.
    """

    vectors: Vectors
    usage: Usage | None = None
    cost_usd: float | None = None
    is_local: bool = False

    @classmethod
    def joined(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """Join those of several requests; what one does not tell is not known of all.

        Raises:
            ValueError: Their vectors are not equally long.
        """
        vectors = Vectors.joined(part.vectors for part in parts)
        tokens = [part.usage.prompt_tokens for part in parts if part.usage is not None]
        costs = [part.cost_usd for part in parts if part.cost_usd is not None]
        return cls(
            vectors,
            Usage(sum(tokens), 0) if len(tokens) == len(parts) else None,
            sum(costs) if len(costs) == len(parts) else None,
            bool(parts) and all(part.is_local for part in parts),
        )


def embed(
    texts: Sequence[str],
    settings: Snapshot | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    **overrides: Any,
) -> Embeddings:
    """Turn texts into vectors and wait for all of them.

    Args:
        texts: One or more, none of them empty.
        settings: What to ask with; by default what `load_settings` finds.
        clock: Measures and makes the waits between retries.
        overrides: Settings for these requests alone, by name.

    Raises:
        RequestError: A request failed; its `reply` is the `Embeddings` of the texts before it.
        SettingError: An override is bad, or no embedding model is set.
        UsageError: There are no texts, or one is empty.
    """
    prepared = prepare(texts, (settings or load_settings()).with_overrides(overrides))
    parts = []
    for event in run(prepared, clock):
        match event:
            case Embeddings():
                parts.append(event)
            case Failed(error):
                error.reply = Embeddings.joined(parts)
                raise error
            case _:
                pass
    return Embeddings.joined(parts)


@dataclass(frozen=True, slots=True)
class PreparedTexts:
    """Texts that are ready to be sent; nothing was sent yet.

    Attributes:
        texts: One or more.
        settings: What the requests are made from.
        place: Where they are sent.
    """

    texts: Sequence[str]
    settings: Snapshot
    place: Place


def prepare(texts: Sequence[str], settings: Snapshot) -> PreparedTexts:
    """Make texts ready to be sent, and send nothing.

    Raises:
        MissingKeyError: There is no key for the provider.
        NotStoredError: Nothing is to be sent (`LLM_MAGIC_CACHE=replay`).
        SettingError: There is no embedding model, or no address where it needs one.
        UsageError: There are no texts, or one is empty.
    """
    _require_texts(texts)
    place = place_from(settings)
    if settings.cache == "replay" and not place.name.startswith(practice_models.PREFIX):
        told = (
            "vectors are not stored, and nothing is sent with LLM_MAGIC_CACHE=replay. Keep them in"
            " a file of your own, or {try_practice}."
        )
        raise errors.NotStoredError(Text(told, try_practice=Text(TRY_PRACTICE_VECTORS)))
    return PreparedTexts(texts, settings, place)


def _require_texts(texts: Sequence[str]) -> None:
    if not texts:
        raise errors.UsageError("there are no texts to make vectors of.")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            which = Text("text {number} of {count}", number=f"{number:,}", count=f"{len(texts):,}")
            which = which if len(texts) > 1 else Text("the text")
            raise errors.UsageError(Text("{which} is empty: leave it out.", which=which))


def run(
    prepared: PreparedTexts, clock: Clock = SYSTEM_CLOCK, control: Control | None = None
) -> Run:
    """Return the run of the requests; nothing is sent before its events are taken.

    The events of each request come first, then its `Embeddings`; `Failed` ends it all. Each request
    has the retries and the deadline of a prompt.
    """
    control = control or Control()
    return Run(partial(_embed_all, prepared, clock, control), control)


def _embed_all(
    prepared: PreparedTexts, clock: Clock, control: Control, emit: Callable[[Any], None]
) -> None:
    """Make one request after the other, up to the first that fails."""
    place, settings, texts = prepared.place, prepared.settings, prepared.texts
    options = place.request.options
    secrets = secrets_of(settings, options)
    host = host_of(place.name, options.get("base_url"))
    to = AttemptEnded(0, "stopped", model=place.name, host=host, operation="embeddings")
    done = 0
    for batch in batches(texts, limit_of(place.name, options.get("base_url"))):
        request = EmbeddingRequest(place.request.model, batch, options)
        first, last = f"{done + 1:,}", f"{done + len(batch):,}"
        which = Text("texts {first} to {last}", first=first, last=last)
        which = which if len(texts) > 1 else Text("the text")
        explain = partial(explained, settings=settings, place=place, texts=which)
        requests = Requests(settings, secrets, clock, control)
        try:
            most = replace(to, most_usd=_most_usd(request))
            response = requests.make(request, _sent, explain, emit, most)
        except Cancelled:
            response = Failed(errors.Stopped("stopped."))
        if isinstance(response, Failed):
            emit(response)
            return
        assert response.vectors is not None  # noqa: S101 - there are where there is no error
        is_local = is_free(replace(to, cost=response.cost), settings)
        emit(Embeddings(response.vectors, response.usage, response.cost.usd, is_local))
        done += len(batch)


def _most_usd(request: EmbeddingRequest) -> float | None:
    """Return what vectors cost at most, or None where the price is unknown.

    No tokenizer makes more tokens of a text than it has bytes.
    """
    price_usd = abilities_of(request.model).prompt_usd
    if price_usd is None:
        return None
    return price_usd * sum(len(each.encode("utf-8", "replace")) for each in request.texts)


def _sent(request: EmbeddingRequest, emit: Callable[[Event], None]) -> Response:
    """Ask for the vectors of some texts once; without a key that it needs, nothing is sent."""
    if "api_key" not in request.options and provider_of(request.model) is None:
        # LiteLLM would try OPENAI_API_KEY at some providers.
        missing = missing_key_variables(request.model)
        if missing:
            text = Text("{variables} is not set", variables=any_of(missing))
            return Response(errors.MissingKeyError(text))
    return embed_once(request, emit)
