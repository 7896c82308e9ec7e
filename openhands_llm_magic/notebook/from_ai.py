"""What people who come from Jupyter AI's `%ai` write, and what it is called here.

The commands, options and names of providers are those of jupyter-ai-magics 2.31 and of
jupyter-ai-magic-commands 0.0.4 (`parsers.py` of both). docs/coming-from-ai.md has them side by
side.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.errors import SettingError, Text, UsageError
from openhands_llm_magic.llm.litellm import models

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot

COMMANDS: Mapping[str, str] = {
    "list": "`%llm_models` lists providers and models, `%llm_config --alias` your short names",
    "help": "`%llm --help` prints the help",
    "version": "`%pip show openhands-llm-magic` shows the version",
    "reset": "`%llm_chat --forget` forgets all conversations; without -c or --chat a cell has none",
    "error": "`%llm_error` asks about the last exception",
    "fix": "`%llm_error` asks about the last exception, and how to put it right",
    "alias": "`%llm_config --alias NAME MODEL` makes a short name for a model",
    "register": "`%llm_config --alias NAME MODEL` makes a short name for a model",
    "update": "`%llm_config --alias NAME MODEL` changes a short name for a model",
    "dealias": "`%llm_config --alias NAME none` takes a short name away",
    "delete": "`%llm_config --alias NAME none` takes a short name away",
}
"""What does here what each command of `%ai` does."""

FLAGS: Mapping[str, str] = {
    "--api-key-name": "the key is the provider's own variable's, or that of LLM_API_KEY.",
    "--model-parameters": "there are options for most, as `%llm --help answer` and"
    " `--completion-kwargs` for others.",
    "--region-name": "did you mean --aws-region-name?",
    "--interpolate": "variables are put in without it; --raw puts in none.",
    "--no-interpolate": "did you mean --raw?",
    "--reset": "a cell stands alone unless it has -c or --chat.",
    "-r": "a cell stands alone unless it has -c or --chat.",
    "-n": "did you mean --aws-region-name?",
}
"""What is said of each option of `%%ai` that has another name here, or none."""

PROVIDERS_THERE: Mapping[str, str] = {
    "amazon-bedrock": "bedrock",
    "amazon-bedrock-chat": "bedrock",
    "anthropic-chat": "anthropic",
    "azure-chat-openai": "azure",
    "bedrock-chat": "bedrock",
    "bedrock-custom": "bedrock",
    "huggingface_hub": "huggingface",
    "mistralai": "mistral",
    "nvidia-chat": "nvidia_nim",
    "openai-chat": "openai",
    "openai-chat-custom": "openai",
    "openai-chat-new": "openai",
    "sagemaker-endpoint": "sagemaker",
    "togetherai": "together_ai",
    "vertexai": "vertex_ai",
}
"""Jupyter AI's names of providers, where LiteLLM has others."""

EXAMPLE = "openai/gpt-4o"

_NAME = re.compile(r"[\w.-]+")


def require_prompt(prompt: str, aliases: Mapping[str, object]) -> None:
    """Refuse a line that is a command of `%ai`, or the name of a model, and no prompt.

    Such a line is nothing but the command, with the model, the provider or the short name that it
    takes: `list`, `list openai`, `fix anthropic:claude-v1.2`, `alias fast openai/gpt-4o`. So
    `help me with pandas` and `list the planets` are prompts. A word that something goes along
    with, such as a conversation, may be an answer, and is not to be asked about.

    Raises:
        UsageError: It is one; nothing is sent.
    """
    words = prompt.split()
    hint = _command_hint(words, aliases)
    if hint is None and len(words) == 1 and _model_named(words[0], aliases):
        hint = Text("-m names the model, as in `%llm -m {model} prompt`", model=words[0])
        if there := slashed(words[0]):
            hint = Text("-m names the model, as in `%llm -m {model} prompt`", model=there)
    if hint is not None:
        told = "{line} was not sent: {hint}. `%llm -- {line}` sends it as a prompt."
        raise UsageError(Text(told, line=" ".join(words), hint=hint))


def on_cell_line(prompt: str, aliases: Mapping[str, object]) -> Text | None:
    """Return what is meant on the line of a `%%llm` cell that takes options alone, or None."""
    word, *rest = prompt.split()
    hint = _command_hint([word, *rest], aliases)
    if hint is not None:
        return hint
    if rest and not rest[0].startswith("-"):
        return None
    model = slashed(word) or (word if _model_named(word, aliases) else EXAMPLE)
    provider = provider_of(model)
    if "/" not in model and model not in aliases and provider is not None:
        model = provider.prefix + model
    further = "".join(f" {each}" for each in rest)
    return Text(
        "-m names the model, as in `%%llm -m {model}{further}`", model=model, further=further
    )


def _command_hint(words: Sequence[str], aliases: Mapping[str, object]) -> Text | None:
    """Tell what does here what a command of `%ai` does, or return None for any other words."""
    command = words[0].lower() if words else ""
    if command not in COMMANDS:
        return None
    given = _without_options(words[1:])
    if not any(
        len(given) == len(kinds)
        and all(_IS[kind](word, aliases) for kind, word in zip(kinds, given, strict=True))
        for kinds in ARGUMENTS[command]
    ):
        return None
    return Text(COMMANDS[command])


ARGUMENTS: Mapping[str, Sequence[Sequence[str]]] = {
    "list": ((), ("provider",)),
    "help": ((),),
    "version": ((),),
    "reset": ((),),
    "error": ((), ("model",)),
    "fix": ((), ("model",)),
    # A model may follow it without its provider, as in `alias fast gpt-4o`.
    "alias": (("name", "name"), ("name", "model")),
    "dealias": (("name",),),
    "register": (("name", "model"),),
    "update": (("name", "model"),),
    "delete": (("alias",),),
}
"""What follows each command of `%ai`: the kinds of the words."""


def _without_options(words: Sequence[str]) -> list[str]:
    """Leave out options of `%ai`, each with the value that follows it."""
    found: list[str] = []
    before = ""
    for word in words:
        if not word.startswith("-") and (not before.startswith("-") or "=" in before):
            found.append(word)
        before = word
    return found


def _model_named(word: str, aliases: Mapping[str, object]) -> bool:
    """Tell whether a word names a model: with its provider, by a known name, or by an alias."""
    prefix, slash, name = word.partition("/")
    return bool(
        word in aliases
        or (slash and name and _provider(prefix))
        or slashed(word)
        or word in litellm_files.prices()
        or ("-" in word and provider_of(word))
    )


def _provider(name: str) -> str | None:
    """Return LiteLLM's name of a provider, which may be given by Jupyter AI's."""
    name = PROVIDERS_THERE.get(name, name)
    return name if name in _providers() else None


@functools.cache
def _providers() -> frozenset[str]:
    own = {each.prefix.removesuffix("/") for each in PROVIDERS.values()}
    return frozenset(own | {models.maker_of(facts) for facts in litellm_files.prices().values()})


_IS: Mapping[str, Callable[[str, Mapping[str, object]], bool]] = {
    "provider": lambda word, _: word == "all" or _provider(word) is not None,
    "model": _model_named,
    "name": lambda word, _: _NAME.fullmatch(word) is not None,
    "alias": lambda word, aliases: word in aliases,
}


def slashed(model: str) -> str:
    """Return a model that is written `provider:model` as LiteLLM has it, or ""."""
    before, colon, name = model.partition(":")
    provider = _provider(before)
    return f"{provider}/{name}" if colon and name and provider else ""


def require_written_as_here(settings: Snapshot) -> None:
    """Refuse a model that is written as `%ai` has it, which LiteLLM would not find.

    Raises:
        SettingError: The model is written so; nothing is sent.
    """
    model, origin = settings.model, settings.origin("model").text
    if settings.custom_llm_provider or model in litellm_files.prices():
        return
    if there := slashed(model):
        told = "the model {model} is written {there} here (from {origin})."
        raise SettingError(Text(told, model=model, there=there, origin=origin), setting="model")
    if model.lstrip().startswith("{"):
        told = (
            "-m names the model here; parameters of it have options of their own, and"
            " --completion-kwargs takes others (from {origin})."
        )
        raise SettingError(Text(told, origin=origin), setting="model")
