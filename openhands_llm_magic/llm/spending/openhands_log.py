"""What OpenHands has logged of its own requests, for the ledger.

With `log_completions`, OpenHands 0.41 and the SDK write a JSON file for each completion: the whole
request and the answer, when it came (`timestamp`), and what OpenHands makes of its cost (`cost`, 0
where it does not know). The SDK adds the seconds (`latency_sec`), and writes one for a failure, too
(`error`). Both name it after the model and the time, so that the name tells one from all others.

A row takes names, numbers and times from a file, and no other text. Budgets do not count it: what
OpenHands spends is no affair of a limit here.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import files
from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.errors import Text, UsageError, reason_of
from openhands_llm_magic.llm.explain import origin_of
from openhands_llm_magic.llm.prepare import secrets_of
from openhands_llm_magic.llm.refusals import one_line
from openhands_llm_magic.llm.spending.attempt import PROVIDER_NAMES, Attempt, day_of
from openhands_llm_magic.llm.spending.summary import ledger_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openhands_llm_magic.config.resolve import Snapshot

SOURCE = "openhands"
"""What the ledger has for `source`, `session` and `cost_told_by`: it was OpenHands."""

MOST_BYTES = 100_000_000
"""The size from which on a file is not read; it holds all that was said before, with pictures."""

MOST_CHARACTERS = 200
"""Characters that are taken of a name."""

MOST_TOKENS = 10**12
"""More than any request has; SQLite takes no whole number without a bound."""

_NAME = re.compile(r"(?P<model>.+?)-(?P<at_s>\d{9,11}(\.\d+)?)(-[0-9a-f]{4}(?P<error>-error)?)?")
"""How OpenHands names a file, without `.json`; a slash in the model's name is two underscores."""

NO_LOG = "it is no log of a completion of OpenHands"


def import_from(settings: Snapshot, folder: str | None) -> Text:
    """Read what OpenHands has logged into the ledger, and say in a line what came of it.

    Args:
        settings: They name the ledger, and the folder where none is given.
        folder: Where the files are, also in folders below it.

    Raises:
        UsageError: There is no such folder, or no folder is named.
        SettingError: The ledger is off.
        LedgerError: It cannot be used.
    """
    top = _folder(settings, folder)
    ledger = ledger_in_use(settings)
    query = "SELECT source_id FROM attempts WHERE source = ?"
    known = {name for (name,) in ledger.rows(query, (SOURCE,))}
    secrets = tuple(secrets_of(settings, {}))
    found = [*_files_in(top)]
    attempts: list[Attempt] = []
    unread: list[tuple[Path, Text]] = []
    for path in found:
        if path.name in known:
            continue
        try:
            attempts.append(attempt_in(path, secrets))
        except OSError as error:
            unread.append((path, reason_of(error)))
    added = ledger.add_all(attempts)
    return _told(top, added, len(found) - len(unread) - added, unread)


def _folder(settings: Snapshot, given: str | None) -> Path:
    named = given or settings.log_completions_folder
    if not named:
        raise UsageError(
            Text(
                "--import needs the folder that OpenHands logs its completions to: name it, or set"
                " log_completions_folder ({place}).",
                place=origin_of(settings, "log_completions_folder"),
            )
        )
    folder = absolute(named)
    if not folder.is_dir():
        raise UsageError(Text("--import: {folder} is no folder.", folder=shown_path(folder)))
    return folder


def _files_in(top: Path) -> Iterator[Path]:
    """Yield the JSON files of a folder and of those below it, through no link to another one."""
    for folder, below, names in os.walk(top):
        below.sort()
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".json"))


def _told(top: Path, added: int, known: int, unread: Sequence[tuple[Path, Text]]) -> Text:
    counts = {"folder": shown_path(top), "added": f"{added:,}", "known": f"{known:,}"}
    if not unread:
        return Text("From {folder}: read in {added}, there already {known}.", **counts)
    path, why = unread[0]
    told = (
        "From {folder}: read in {added}, there already {known}, not readable {unread}: the first is"
        " {name}: {why}."
    )
    name = masked(one_line(path.relative_to(top).as_posix()))
    return Text(told, **counts, unread=f"{len(unread):,}", name=name, why=why)


def attempt_in(path: Path, secrets: Sequence[str] = ()) -> Attempt:
    """Return the row of what a file tells.

    Args:
        path: The file.
        secrets: Keys that must not be copied, wherever they stand.

    Raises:
        OSError: It cannot be read, belongs to another person, or is no such file; the reason is
            a `Text`.
    """
    told = _content(path)
    named = _NAME.fullmatch(path.stem)
    response, error = told.get("response"), told.get("error")
    at_s = _number(told.get("timestamp")) or float(named["at_s"] if named else 0)
    if named is None or not at_s or not (isinstance(response, dict) or isinstance(error, dict)):
        raise OSError(0, Text(NO_LOG))

    def name_in(value: object, name: str) -> str:
        text = value.get(name) if isinstance(value, dict) else None
        text = text.encode(errors="replace").decode() if isinstance(text, str) else ""
        return masked(one_line(text[: 2 * MOST_CHARACTERS]), secrets)[:MOST_CHARACTERS]

    model = name_in({"name": named["model"].replace("__", "/")}, "name")
    provider = provider_of(model, None, None)
    catalogued = provider.name if provider else ""
    cost_usd = _number(told.get("cost")) or None
    has_failed = not isinstance(response, dict)
    return Attempt(
        ended_at_s=at_s,
        day=day_of(at_s),
        session=SOURCE,
        source=SOURCE,
        source_id=os.fsencode(path.name).decode(errors="replace"),
        provider=PROVIDER_NAMES.get(catalogued, catalogued),
        model=model,
        model_answered=name_in(response, "model") or None,
        response_id=name_in(response, "id") or None,
        error_type=name_in(error, "type") if has_failed else "",
        outcome="failed" if has_failed else "answered",
        cost_usd=cost_usd,
        cost_told_by=SOURCE if cost_usd else "unknown",
        took_s=_number(told.get("latency_sec")),
        **_tokens(response.get("usage") if isinstance(response, dict) else None),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(files.read(path, MOST_BYTES))
    except (ValueError, RecursionError):  # a file that was cut, or is not UTF-8, or goes too deep
        raise OSError(0, Text("it is no JSON, or only a part of it")) from None
    if not isinstance(told, dict):
        raise OSError(0, Text(NO_LOG))
    return told


def _tokens(usage: object) -> dict[str, Any]:
    """Return the tokens of a count, in the words of either of OpenAI's APIs; none without one."""
    if not isinstance(usage, dict):
        return {}
    prompt = _part(usage, "prompt_tokens_details", "input_tokens_details")
    answer = _part(usage, "completion_tokens_details", "output_tokens_details")
    return {
        "input_tokens": _count(usage, "prompt_tokens", "input_tokens"),
        "output_tokens": _count(usage, "completion_tokens", "output_tokens"),
        "cached_tokens": _count(prompt, "cached_tokens") or 0,
        "cache_write_tokens": _count(prompt, "cache_creation_tokens", "cache_write_tokens")
        or _count(usage, "cache_creation_input_tokens")
        or 0,
        "reasoning_tokens": _count(answer, "reasoning_tokens") or 0,
    }


def _part(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((part for name in names if isinstance(part := usage.get(name), dict)), {})


def _count(counted: dict[str, Any], *names: str) -> int | None:
    """Return the first number of tokens under these names, or None."""
    found = (counted.get(name) for name in names)
    return next(
        (int(each) for each in found if type(each) is int and 0 <= each < MOST_TOKENS), None
    )


def _number(value: object) -> float:
    """Return a number of seconds or dollars that can be one; 0 for all else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 10**10 and math.isfinite(value) else 0.0  # type: ignore[arg-type, operator]
