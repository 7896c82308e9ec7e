"""What LiteLLM's package tells of providers and models in its files, without importing it.

Importing LiteLLM takes seconds; reading these files takes 30 ms, once. Where a file is missing or
has another form, nothing is known, and whoever asks goes without.
"""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PRICE_FILE = "model_prices_and_context_window_backup.json"
"""LiteLLM's list of models, beside its `__init__.py`."""

PROVIDER_FILES = ("types/utils.py", "llms/openai_like/providers.json")
"""The files that name its providers: the members of a class, and the keys of a table."""

NOT_REACHED = frozenset({"anyscale", "coralbricks", "inferenceapis", "openinfer", "scaledown"})
"""Providers in LiteLLM's list to which it sends no requests: `litellm.get_llm_provider` raises."""

_PROVIDER_CLASS = re.compile(r"^class LlmProviders\(.*\n((?:(?:[ \t].*)?\n)*)", re.MULTILINE)
_MEMBER = re.compile(r'^[ \t]+\w+ = "([^"\n]+)"', re.MULTILINE)


@cache
def prices() -> Mapping[str, Mapping[str, Any]]:
    """Return what LiteLLM knows of each model; nothing, where its file cannot be read."""
    models = _table(PRICE_FILE)
    return {name: facts for name, facts in models.items() if isinstance(facts, dict)}


@cache
def providers() -> frozenset[str]:
    """Return the prefixes of models that LiteLLM knows; none, where its files cannot be read."""
    source, table = PROVIDER_FILES
    found = _PROVIDER_CLASS.search(_text(source))
    members = _MEMBER.findall(found[1]) if found else []
    return frozenset([*members, *_table(table)]) if members else frozenset()


@cache
def version() -> str:
    """Name LiteLLM's package with its version, as in "litellm 1.106.2": which list of prices."""
    import importlib.metadata  # noqa: PLC0415 - it takes 11 ms

    try:
        return f"litellm {importlib.metadata.version('litellm')}"
    except importlib.metadata.PackageNotFoundError:
        return "litellm"


@cache
def makers() -> frozenset[str]:
    """Return the names that stand for the maker of a model, as in "openrouter/qwen/qwen3"."""
    parts = (name.split("/") for name in prices())
    return frozenset(each[-2].lower() for each in parts if len(each) > 2)  # noqa: PLR2004 - a maker between two


def listed_as(bare: str) -> list[str]:
    """Return the names by which LiteLLM reaches a model of its list, each with a prefix."""
    return sorted(
        name
        for name, facts in prices().items()
        if name == f"{facts.get('litellm_provider')}/{bare}" and facts.get("mode") == "chat"
        if facts["litellm_provider"] not in NOT_REACHED
    )


def facts_of(model: str) -> Mapping[str, Any]:
    """Return what the list says of a model, under the names by which OpenHands looks it up."""
    listed = prices()
    bare = model.partition(":")[0]
    names = (model, bare, bare.partition("/")[2], model.rpartition("/")[2])
    return next((listed[name] for name in names if name in listed), {})


def _table(file: str) -> dict[str, Any]:
    try:
        table = json.loads(_text(file))
    except ValueError:  # no JSON
        return {}
    return table if isinstance(table, dict) else {}


def _text(file: str) -> str:
    """Return the text of a file of LiteLLM's package, or "" where it cannot be read."""
    try:
        found = importlib.util.find_spec("litellm")
        if found is None or found.origin is None:
            return ""
        return (Path(found.origin).parent / file).read_text("utf-8")
    except (OSError, ValueError):  # no such file, no UTF-8
        return ""
