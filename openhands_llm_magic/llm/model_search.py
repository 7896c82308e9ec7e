"""Finding a model by words of its name and of what it can do; LiteLLM is not imported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import litellm_files, verified, withdrawn
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.litellm import models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from openhands_llm_magic.config.providers import Provider

PREFIXES = frozenset(each.prefix for each in PROVIDERS.values())
"""Those of the catalogue."""

PRICE_CLASSES = ("fireworks-ai-", "together-ai-")
"""What names begin with that stand in LiteLLM's list for all models of a size."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be asked.

    Attributes:
        name: As the setting `model` takes it, or `embedding_model`.
        abilities: What is known of it.
        embeds: Whether it makes vectors of texts, and no answers.
    """

    name: str
    abilities: models.Abilities
    embeds: bool = False

    @property
    def traits(self) -> tuple[str, ...]:
        """What can be searched for beside the name."""
        known: dict[str, bool | None] = {
            Text("embedding"): self.embeds,
            **dict.fromkeys(verified.traits_of(self.name), True),
            "vision": self.abilities.sees,
            "PDF": self.abilities.reads_pdf,
            Text("schema"): self.abilities.takes_schema,
        }
        return tuple(trait for trait, has in known.items() if has)


def search(text: str) -> list[Model]:
    """List the models in whose name or traits each word of a text occurs.

    Those that embed are listed when a word asks for embeddings, or when no other is found.
    Verified models come first, then those of the catalogue's providers, then all others; by name.
    Those that their makers have ended are the last of each.
    """
    words = text.lower().split()
    found = [each for each in all_models() if all(word in _words(each) for word in words)]
    answering = [each for each in found if not each.embeds]
    return found if any("embed" in word for word in words) else answering or found


def _words(model: Model) -> str:
    return " ".join((model.name, *model.traits)).lower()


def catalogue() -> Sequence[Provider]:
    """List the providers of the catalogue that a model's name alone leads to."""
    return [each for each in PROVIDERS.values() if provider_of(each.prefix) == each]


def further_prefixes() -> Mapping[str, int]:
    """Count the answering models behind each prefix that is not in the catalogue."""
    names = (each.name for each in all_models() if not each.embeds)
    return Counter(sorted(_prefix(name) for name in names if not _in_catalogue(name)))


def _prefix(name: str) -> str:
    return name.partition("/")[0] + "/"


def _in_catalogue(name: str) -> bool:
    return _prefix(name) in PREFIXES


@cache
def all_models() -> tuple[Model, ...]:
    """List every model that is known, in the order of `search`."""
    embeds = {name: False for provider in catalogue() for name in models.models_of(provider)}
    for listed, facts in litellm_files.prices().items():
        name = _written(listed, facts)
        if _is_further(name, facts):
            embeds.setdefault(name, facts["mode"] == "embedding")
    day = withdrawn.today()
    ranked = sorted(embeds, key=lambda name: _rank(name, day))
    return tuple(Model(name, models.abilities_of(name), embeds[name]) for name in ranked)


def _rank(name: str, day: date) -> tuple[Any, ...]:
    listed, has_ended = verified.MODELS, withdrawn.has_ended(name, day)
    place = listed.index(name) if name in listed else len(listed)
    is_verified = name in listed
    return not is_verified, has_ended, place, not _in_catalogue(name), models.by_number(name)


def _written(listed: str, facts: Mapping[str, Any]) -> str:
    """Put the provider's prefix before a name in LiteLLM's list, which has some without."""
    if listed.startswith(f"{facts.get('litellm_provider')}/"):
        return listed
    prefix = models.maker_of(facts) + "/"
    return prefix + listed.removeprefix(prefix)


def _is_further(name: str, facts: Mapping[str, Any]) -> bool:
    """Tell whether it is one that answers or embeds, that LiteLLM reaches, and is not yet known."""
    provider, _, own = name.partition("/")
    if provider in litellm_files.NOT_REACHED or own.startswith(PRICE_CLASSES):
        return False
    if facts.get("mode") == "embedding":
        return not (provider in models.BY_REGION and "/" in own)
    return models.is_chat(facts) and not _in_catalogue(name)  # those are in `models_of`
