"""What a failed request for vectors means to the person who asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic import errors
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm import explain
from openhands_llm_magic.llm.explain import GIVE_EMBEDDING_KEY, TRY_PRACTICE_VECTORS

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.embedding.place import Place

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
    errors.QuotaError: (
        "the account has no credit left {said}; {key_from}. Add credit, or set another."
    ),
    errors.ContextLengthError: (
        "{texts}: one is longer than {model} takes {said}. Cut it into shorter ones, or set another"
        " embedding_model ({model_from})."
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


def explained(
    error: errors.RequestError, retries: int, *, settings: Snapshot, place: Place, texts: str
) -> errors.RequestError:
    """Return the same failure with a line that names the setting to change and its origin.

    Args:
        error: A failure in the server's words.
        retries: How many retries were made.
        settings: What the request was made with.
        place: Where it was sent.
        texts: The texts that it was about, in words.
    """
    address = place.request.options.get("base_url")
    facts = explain.facts(error, settings, retries) | {
        "model": place.name,
        "model_from": explain.origin_of(settings, "embedding_model"),
        "base_url_from": explain.origin_of(settings, "embedding_base_url"),
        "server": address or Text("the provider of {model}", model=place.name),
        "key_from": place.key_from,
        "texts": texts,
        "give_key": Text(GIVE_EMBEDDING_KEY),
        "try_practice": Text(TRY_PRACTICE_VECTORS),
    }
    if type(error) not in TEXTS:
        return error
    return error.reworded(Text(TEXTS[type(error)], **facts))
