"""A request whose answer is taken from a file, or put into one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.provider import addresses_in
from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.errors import NotStoredError, StoreError
from openhands_llm_magic.llm.events import Done, Failed, Recalled
from openhands_llm_magic.llm.reply import ReplyBuilder
from openhands_llm_magic.llm.store import FOLDER, Store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.llm.request import Request


def stored(
    sent: Generator[Event], request: Request, settings: Snapshot, secrets: Iterable[str]
) -> Generator[Event]:
    """Take an answer from its file, or keep it in one, as the setting `cache` says.

    Args:
        sent: The events of the request; nothing is sent before the first is asked for.
        request: What would be sent.
        settings: What it was made with.
        secrets: What must not be written.
    """
    if settings.cache == "off":
        return sent
    place = Stored(request, settings, secrets)
    return place.events(sent, replay=settings.cache == "replay")


class Stored:
    """The place of one request's answer.

    Args:
        request: What would be sent.
        settings: What it was made with.
        secrets: What must not be written.
    """

    def __init__(self, request: Request, settings: Snapshot, secrets: Iterable[str]) -> None:
        self._store = Store(Path(FOLDER), tuple(filter(None, secrets)))
        self._request = request
        self._model, self._address = settings.model, _address(request, settings)
        self._path = self._store.path(self._model, self._address, request)

    def events(self, sent: Generator[Event], *, replay: bool) -> Generator[Event]:
        """Give the events of the stored answer, or else those of the request, and store its answer.

        Args:
            sent: The request; nothing is sent before its first event is asked for.
            replay: Whether nothing is to be sent; a request that is not stored fails.
        """
        found = self._store.find(self._path)
        if found is not None:
            yield Recalled(str(self._path))
            yield from found
        elif replay:
            yield Failed(NotStoredError(self._why_not()))
        else:
            yield from self._kept(sent)

    @property
    def is_there(self) -> bool:
        """Whether the answer is stored, and can be read."""
        return self._store.find(self._path) is not None

    def _why_not(self) -> str:
        """Say why there is no stored answer, and what to do."""
        why = f"no answer to this prompt is stored in {FOLDER}"
        if self._path.exists():
            why = f"the stored answer {self._path} cannot be read"
        return (
            f"{why}, and nothing is sent with LLM_MAGIC_CACHE=replay. Run the cell once with"
            " `--cache`."
        )

    def _kept(self, sent: Generator[Event]) -> Generator[Event]:
        builder = ReplyBuilder(self._model)
        failed: StoreError | None = None
        with contextlib.closing(sent):
            for event in sent:
                builder.add(event)
                if isinstance(event, Done):  # whoever reads may stop there
                    failed = self._keep(builder.reply)
                yield event
        if failed is not None:
            yield Failed(failed)

    def _keep(self, reply: Reply) -> StoreError | None:
        try:
            self._store.keep(self._path, self._model, self._address, self._request, reply)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer has been paid for
            why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            return StoreError(f"the answer is not stored in {FOLDER}: {why}.")
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
