"""Rules about trust: what a prompt would not be sent for, told before one is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from openhands_llm_magic.config import trust
from openhands_llm_magic.config.lint.finding import Finding
from openhands_llm_magic.config.lint.value import placeholder_in
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import Text, UntrustedAddressError, UntrustedSettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openhands_llm_magic.config.lint.finding import Subject
    from openhands_llm_magic.config.resolve import Snapshot


def findings(subject: Subject, settings: Snapshot) -> Iterator[Finding]:
    """Yield what a project's config file must not set, and where it would send a key."""
    for refusal in trust.refusals(settings, subject.env):
        match refusal:
            case UntrustedSettingError() as error if not _is_placeholder(settings, error.setting):
                told = error.text.facts
                message = Text("{name} is not taken from a project's config file: {why}", **told)
                fix = Text("Take it out. {trust_it}", **told)
                origin = settings.origin(error.setting)
                yield Finding(origin, message, fix, level="warning", setting=error.setting)
            case UntrustedAddressError() as error:
                yield _of_address(error, settings, "base_url")
    if settings.embedding_base_url and settings.embedding_model:
        sent = {"base_url": settings.embedding_base_url}
        try:
            trust.require_trusted(
                settings, settings.embedding_model, sent, subject.env, for_vectors=True
            )
        except UntrustedAddressError as error:
            yield _of_address(error, settings, "embedding_base_url")


def _of_address(error: UntrustedAddressError, settings: Snapshot, name: str) -> Finding:
    told = error.text.facts
    message = Text("nothing is sent to {host}, as {key} would go there", **told)
    fix = Text("Write https://, or give the key where the address is given")
    if "trust_it" in told:
        fix = Text("{trust_it}", **told)
    level: Literal["warning", "note"] = "warning" if error.is_known else "note"
    return Finding(settings.origin(name), message, fix, level=level, setting=name)


def _is_placeholder(settings: Snapshot, name: str) -> bool:
    """Return whether a value is none, which another rule tells."""
    value = getattr(settings, name)
    text = value.get_secret_value() if isinstance(value, Secret) else value
    return isinstance(text, str) and bool(placeholder_in(text))
