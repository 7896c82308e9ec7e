"""A request whose answer is taken from a file, or put into one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.providers import addresses_in, provider_of
from openhands_llm_magic.errors import NotStoredError, StoreError, Text
from openhands_llm_magic.llm.explain import STORE_IT
from openhands_llm_magic.llm.store import FOLDER, Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.llm.request import Request


class Stored:
    """The place of one request's answer.

    Args:
        request: What would be sent.
        settings: What it was made with.
        secrets: What must not be written.

    Attributes:
        path: Its file.
    """

    def __init__(self, request: Request, settings: Snapshot, secrets: Iterable[str]) -> None:
        self._store = Store(Path(FOLDER), tuple(filter(None, secrets)))
        self._request = request
        self._model, self._address = settings.model, _address(request, settings)
        self.path = self._store.path(self._model, self._address, request)

    def find(self) -> list[Event] | None:
        """Return the events of the stored answer, or None where there is not one to be read."""
        return self._store.find(self.path)

    def why_not(self) -> NotStoredError:
        """Return the error of a request that is not stored where nothing is to be sent."""
        why = Text("no answer to this prompt is stored in {folder}", folder=FOLDER)
        if self.path.exists():
            why = Text("the stored answer {path} cannot be read", path=str(self.path))
        told = "{why}, and nothing is sent with LLM_MAGIC_CACHE=replay. {store_it}."
        return NotStoredError(Text(told, why=why, store_it=Text(STORE_IT)))

    def keep(self, reply: Reply) -> StoreError | None:
        """Store an answer; where that fails, return the error, as the answer has been paid for."""
        try:
            self._store.keep(self.path, self._model, self._address, self._request, reply)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer has been paid for
            why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            told = "the answer is not stored in {folder}: {why}."
            return StoreError(Text(told, folder=FOLDER, why=why))
        return None


def _address(request: Request, settings: Snapshot) -> str:
    """Give the address of the server, or "" where it is the provider's own.

    LiteLLM takes some from variables; of several they all count, as it depends on the provider
    which it takes. The port of the practice provider changes.
    """
    if settings.base_url or "base_url" in request.options:
        return settings.base_url or ""
    named = settings.custom_llm_provider
    provider = provider_of(settings.model, None, named)
    prefix = provider.prefix if provider else named or settings.model.partition("/")[0]
    found = addresses_in(os.environ, prefix)
    if provider and [each.rstrip("/") for each in found] == [provider.base_url_form.rstrip("/")]:
        return ""
    return ", ".join(found)
