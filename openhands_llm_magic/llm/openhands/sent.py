"""The request that a version of OpenHands would send, and what the check says of it.

`make test-openhands` compares it with what the real ones send.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config import trust
from openhands_llm_magic.config.check import check
from openhands_llm_magic.config.lint.finding import Finding
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.openhands.differences import differences
from openhands_llm_magic.llm.openhands.sdk import SDK
from openhands_llm_magic.llm.openhands.v0_41 import V0_41
from openhands_llm_magic.llm.openhands.version import is_set
from openhands_llm_magic.llm.prepare import SAMPLING, Prepared, Request, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.litellm.preview import How
    from openhands_llm_magic.llm.openhands.version import Draft, Version

VERSIONS: Mapping[str, Version] = MappingProxyType({each.name: each for each in (V0_41, SDK)})
"""The versions that can be asked about, by their names after `--as`."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a version of OpenHands would send.

    Attributes:
        prepared: The request, and what must not show of it.
        how: How it is asked.
        notes: What else is to be said of it, each a sentence.
    """

    prepared: Prepared
    how: How
    notes: tuple[Text, ...]


def as_sent_by(version: Version, messages: Sequence[Message], settings: Snapshot) -> Sent:
    """Return what a version of OpenHands would send for the same settings and messages."""
    trust.require_harmless(settings)
    made = version.draft(settings, messages)
    modify = "modify_params" not in version.passes or made["modify_params"]
    request = Request(made.model, made.messages, made.options, modify_params=modify)
    secrets = tuple(secrets_of(settings, made.options))
    return Sent(Prepared(settings, request, None, secrets), made.how, tuple(_notes(made)))


def refusal(version: Version, settings: Snapshot) -> Text:
    """Say why a version of OpenHands would send nothing at all, or nothing."""
    if settings.model.startswith(PROVIDERS["practice"].prefix):
        told = "{version} would fail: it does not know the practice models of this package"
        return Text(told, version=version.title)
    return version.refuses(settings)


def _notes(made: Draft) -> Iterator[Text]:
    version = made.version
    native, written = version.tools_tokens
    told = (
        "{version} would send this, and with it instructions and tools of its own: about {native}"
        " tokens, or {written} where it writes the tools into the prompt."
    )
    yield Text(told, version=version.title, native=f"{native:,}", written=f"{written:,}")
    if ignored := version.ignored(made.settings):
        yield Text("It does not pass on: {names}.", names=", ".join(ignored))
    if remark := version.remark(made):
        yield remark


def checked(path: str | os.PathLike[str] | None = None) -> list[Finding]:
    """Return what `config.check` finds, and what OpenHands makes of the settings.

    The latter is left out where the file has an error, for which OpenHands drops a whole section.

    Args:
        path: The config file; by default the one that `load_settings` reads.

    Raises:
        ConfigFileError: A file that was named cannot be read.
    """
    found = check(path)
    if any(each.level == "error" for each in found):
        return [*found]
    return [*found, *findings(load_settings(path))]


def findings(settings: Snapshot, env: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield what OpenHands makes of settings: that 0.41 refuses a model, what it sends unasked, and
    what the current one does otherwise.

    What a rule of `config.lint.model` finds is left to that: a context that is too small for the
    SDK, and the prefix of OpenHands' own provider. LiteLLM is not imported for this, so of the SDK
    it tells what goes for every model.
    """
    is_chosen = settings.origin("model").kind != "default"
    if is_chosen and not settings.model.startswith(PROVIDERS["practice"].prefix):
        yield from _of_0_41(settings)
        yield from differences(settings, env)


def _of_0_41(settings: Snapshot) -> Iterator[Finding]:
    origin = settings.origin("model")
    if reason := refusal(V0_41, settings):
        if not settings.model.startswith(PROVIDERS["openhands"].prefix):
            fix = Text("Choose another model for it")
            yield Finding(origin, reason, fix, level="note", setting="model")
        return
    unset = [name for name in SAMPLING if not is_set(settings, name)]
    sent = V0_41.draft(settings).options
    limits = () if settings.max_output_tokens else ("max_completion_tokens", "max_tokens")
    told = [f"{name} = {sent[name]!r}" for name in (*unset, *limits) if name in sent]
    if told:
        template = "{version} sends {values}, which nobody set"
        if "reasoning_effort" in unset:
            template = (
                "{version} sends {values}, which nobody set; the SDK sends reasoning_effort ="
                " 'high' to models that take it"
            )
        message = Text(template, version=V0_41.title, values=", ".join(told))
        fix = Text("A dry run `--as openhands`, or `--as openhands-sdk`, shows the request")
        yield Finding(origin, message, fix, level="note", setting="model")
