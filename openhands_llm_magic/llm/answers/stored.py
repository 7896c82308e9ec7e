"""Answers kept as files, so that a notebook runs again without paying, and in CI without a key.

A file belongs to one exact request: the model, its address, the messages and the parameters, and
none of the secrets. It is readable JSON, to be committed and compared.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, astuple
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import files
from openhands_llm_magic.config.providers import addresses_in, provider_of
from openhands_llm_magic.config.secret import Redactor, Secrecy, masked, secrecy, throughout
from openhands_llm_magic.errors import NotStoredError, StoreError, Text
from openhands_llm_magic.llm.events import (
    CacheHit,
    Done,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)
from openhands_llm_magic.llm.explain import STORE_IT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.prepare import Request
    from openhands_llm_magic.llm.reply import Reply

FOLDER = Path("llm_answers")
"""Where the answers are, from the working folder, which is the notebook's."""

NOT_ASKED = frozenset(
    {"base_url", "client", "extra_headers", "headers", "timeout", "vertex_credentials"}
)
"""Options that say how a request is sent; like keys, they do not belong to what is asked."""

MOST_BYTES = 50_000_000
"""What a stored answer has at most: a prompt may have a file of 20 MB, which JSON writes longer."""

LONGEST_TEXT = 200
"""Characters of a data URL from which on its hash stands for it."""


TOLD_BY = frozenset({"provider", "price list", "by hand", "local", "unknown"})
"""Who can have told what an answer cost."""


def _events(answer: dict[str, Any], path: str) -> list[Event]:
    """Return the events of a stored answer.

    Raises:
        ValueError: It is not a stored answer; also TypeError and KeyError.
    """
    text, reason, cost_usd = answer["text"], answer["finish_reason"], answer["cost_usd"]
    thought = answer.get("reasoning") or ""
    told_by = answer.get("cost_told_by", "unknown")  # which older files have not
    usage = None if answer["usage"] is None else Usage(**answer["usage"])
    counts = () if usage is None else astuple(usage)
    known = cost_usd is None or (type(cost_usd) in (int, float) and 0 <= cost_usd < math.inf)
    known = known and told_by in TOLD_BY
    texts = all(isinstance(each, str) for each in (text, thought, reason))
    if not (texts and known and all(type(each) is int and each >= 0 for each in counts)):
        raise ValueError
    events: list[Event] = [CacheHit(path, told_by)]
    events += [ToolResult(ToolCall(**each)) for each in answer.get("tool_calls", ())]
    events += [ReasoningDelta(thought)] if thought else []
    events.append(TextDelta(text))
    events += [usage] if usage else []
    return [*events, Done(reason, cost_usd)]


def _asked(model: str, address: str, request: Request) -> dict[str, Any]:
    """Return what tells a request from another, in JSON's terms."""
    options = {
        name: value
        for name, value in request.options.items()
        if name not in NOT_ASKED and secrecy(name) < Secrecy.LIKELY
    }
    asked = {"model": model, "messages": request.messages, "options": options}
    if address:
        asked["address"] = address.partition("?")[0].rpartition("@")[2]
    return dict(throughout(json.loads(json.dumps(asked, default=str)), _hashed))


def _hashed(text: str) -> str:
    """Return a text in which a hash stands for a file's bytes; other texts stay as they are."""
    if not text.startswith("data:") or len(text) <= LONGEST_TEXT:
        return text
    return f"{text.partition(',')[0]},sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class Stored:
    """The file in which the answer to one request is, or will be.

    Args:
        request: What would be sent.
        settings: What it was made with.
        secrets: What must not be written, whatever a prompt or an answer holds.
        folder: Where answers are; made when the first is kept.

    Attributes:
        path: Its file.
        problem: Why the file that is there cannot be used, once it was looked for, or None.
    """

    def __init__(
        self, request: Request, settings: Snapshot, secrets: Iterable[str], folder: Path = FOLDER
    ) -> None:
        self._secrets = tuple(filter(None, secrets))
        self._asked = _asked(settings.model, _address(request, settings), request)
        digest = hashlib.sha256(json.dumps(self._asked, sort_keys=True).encode()).hexdigest()
        model = settings.model.rsplit("/", 1)[-1]
        name = "".join(each if each.isalnum() else "-" for each in model)
        self.problem: Text | None = None
        self.path = folder / f"{name[:40]}-{digest[:16]}.json"

    def find(self) -> list[Event] | None:
        """Return the events of the stored answer, or None where there is not one to be read."""
        self.problem = None
        try:
            answer = json.loads(files.read(self.path, MOST_BYTES))["answer"]
            return _events(answer, str(self.path))
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror or type(error).__name__
        except (ValueError, TypeError, KeyError, RecursionError):
            why = Text("it is no answer of ours")
        told = "the stored answer {path} cannot be read: {why}"
        self.problem = Text(told, path=str(self.path), why=why)
        return None

    def why_not(self) -> NotStoredError:
        """Return the error of a request that is not stored where nothing is to be sent."""
        none = Text("no answer to this prompt is stored in {folder}", folder=str(FOLDER))
        why = self.problem or none
        told = "{why}, and nothing is sent with LLM_MAGIC_CACHE=replay. {store_it}."
        return NotStoredError(Text(told, why=why, store_it=Text(STORE_IT)))

    def keep(self, reply: Reply) -> StoreError | None:
        """Store an answer; where that fails, return the error, as the answer has been paid for."""
        try:
            content = self._written(reply).encode()
            if len(content) > MOST_BYTES:
                told = "it would have more than {size} MB"
                raise OSError(0, Text(told, size=MOST_BYTES // 1_000_000))  # noqa: TRY301 - said as any other reason
            if self.path.parent.is_symlink():  # it may have come with somebody's repository
                raise OSError(0, Text("it is a link; put a folder in its place"))  # noqa: TRY301 - as above
            files.write(self.path, content)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer has been paid for
            why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            told = "the answer is not stored in {folder}: {why}."
            return StoreError(Text(told, folder=str(FOLDER), why=why))
        return None

    def _written(self, reply: Reply) -> str:
        """Write a complete answer as JSON.

        Of the answer the known keys are masked, as they were when it came; of what was asked also
        what only looks like a key.
        """
        answer = {
            "text": reply.text,
            "reasoning": reply.reasoning,
            "finish_reason": reply.finish_reason,
            "usage": asdict(reply.usage) if reply.usage else None,
            "cost_usd": reply.cost_usd,
            "cost_told_by": "local" if reply.is_local else reply.cost_told_by,
            "tool_calls": [asdict(each) for each in reply.tool_calls],
        }
        told = {
            "request": throughout(self._asked, partial(masked, secrets=self._secrets)),
            "answer": throughout(answer, Redactor(self._secrets).redact),
        }
        return json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _address(request: Request, settings: Snapshot) -> str:
    """Return the address of the server, or "" where it is the provider's own.

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
