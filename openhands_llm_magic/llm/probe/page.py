"""A page of Markdown that shares a set-up with others, as OpenHands' documentation asks for.

It is in English, as that documentation is, and in the form of its pages about providers: what to
set in OpenHands, then what came of it. There is no key in it, no host but a provider's own and this
machine, no path, and nothing that a server has said in words of its own.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from openhands_llm_magic.config import files
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text, UsageError, reason_of
from openhands_llm_magic.llm.explain import usd
from openhands_llm_magic.llm.probe.setup import OWN_SERVER, PRACTICE_SERVER, shown_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openhands_llm_magic.llm.probe.result import Report, Result, Spent

OUTCOMES = {
    "held": "yes", "partly": "sometimes", "failed": "no", "fault": "no answer",
    "not asked": "not asked",
}  # fmt: skip
ANSWERS = {
    "yes": "it will do", "with a setting": "it will do with a setting",
    "hardly": "it will hardly do", "no": "it will not do", "unknown": "not known",
}  # fmt: skip


def page_of(reports: Sequence[Report]) -> str:
    """Write what came of probes as Markdown, a section for each model."""
    return "\n\n".join("\n".join(_section(each)) for each in reports) + "\n"


def write_page(name: str, page: str, *, over: bool = False) -> Text:
    """Write a page to a file, whole or not at all, and return what was done.

    Args:
        name: The file, in a folder that exists.
        page: What is written.
        over: Whether it may take the place of a file.

    Raises:
        UsageError: It cannot be written, or there is such a file and `over` is false.
    """
    try:
        files.write_new(absolute(name), page, over=over)
    except (OSError, ValueError) as error:  # a NUL in it
        raise _unwritten(name, error) from None
    return Text("{path} is written: a page to share. Read it before you do.", path=shorten(name))


def require_free(name: str, *, over: bool = False) -> None:
    """Refuse a file that a page could not be written to, before anything is spent on it.

    Raises:
        UsageError: There is such a file and `over` is false, or no such folder.
    """
    try:
        path = absolute(name)
        path.parent.stat()
        files.require_free(files.target_of(path), over=over)
    except (OSError, ValueError) as error:
        raise _unwritten(name, error) from None


def _unwritten(name: str, error: Exception) -> UsageError:
    path = shorten(name)
    if isinstance(error, FileExistsError):
        told = "{path}: there is such a file already. Name a new one, or add --force."
        return UsageError(Text(told, path=path))
    told = "{path}: {why}. Name a new file, in a folder that exists."
    return UsageError(Text(told, path=path, why=reason_of(error)))


def _section(report: Report) -> Iterator[str]:
    setup, model = report.setup, shown_model(report.model)
    yield f"# {_plain(model)} with OpenHands"
    yield ""
    yield from _settings(report, model)
    yield ""
    yield "## Will it work?"
    yield ""
    for verdict in report.verdicts:
        yield f"- **{verdict.version}: {ANSWERS[verdict.answer]}** ({_plain(verdict.why)})"
    yield ""
    yield "| what OpenHands needs | result | |"
    yield "|---|---|---|"
    for each in report.results:
        yield f"| {_plain(each.title)} | {_outcome(each)} | {_plain(_why(each))} |"
    yield ""
    for each in report.results:
        found = each.finding
        if parts := [str(part) for part in (found.effect, found.cure) if part]:
            yield f"- {_plain(each.title)}: {_plain('. '.join(parts))}."
    if any(each.finding.effect or each.finding.cure for each in report.results):
        yield ""
    yield _measured(report.spent)
    yield ""
    versions = ", ".join(f"{name} {number}" for name, number in setup.versions.items())
    yield f"Probed on {setup.probed_on} with {versions}."


def _settings(report: Report, model: str) -> Iterator[str]:
    """Say what to set, by the names of the fields in OpenHands' settings."""
    setup = report.setup
    is_advanced = bool(setup.address)
    yield (
        "In the OpenHands UI, through the Settings under the `LLM` tab"
        + (", with `Advanced` on:" if is_advanced else ":")
    )
    yield ""
    if is_advanced:
        is_told = setup.address in (OWN_SERVER, PRACTICE_SERVER)
        address = setup.address if is_told else _code(setup.address)
        yield f"- `Custom Model` to {_code(model)}"
        yield f"- `Base URL` to {address}{_server(report)}"
    else:
        yield f"- `LLM Provider` to {_plain(setup.provider)}"
        yield f"- `LLM Model` to {_code(model)}"
    yield f"- `API Key` to {'a key of your own' if setup.has_key else 'any text: none was set'}"
    if setup.settings:
        yield ""
        yield "Further settings, by their names in `config.toml`:"
        yield ""
        for name, value in setup.settings.items():
            yield f"- {_code(name)} to {_code(json.dumps(value, default=str))}"


def _server(report: Report) -> str:
    return f" ({report.metadata.server})" if report.metadata.server else ""


def _outcome(result: Result) -> str:
    if result.answered > 1:
        return f"{result.held} of {result.answered}"
    return OUTCOMES[result.outcome]


def _why(result: Result) -> str:
    """Return what a model did; what a server has said of a fault is left out."""
    found = result.finding
    if result.outcome in {"failed", "partly"}:
        return str(found.did)
    return str(found.note) if result.outcome == "held" else ""


def _measured(spent: Spent) -> str:
    parts = [f"{spent.requests:,} requests", f"{spent.usage.total_tokens:,} tokens"]
    if spent.is_local:
        parts.append("a server on the same machine")
    elif spent.unknown:
        parts.append("cost unknown")
    else:
        parts.append(("about " if spent.is_about else "") + usd(spent.cost_usd))
    if spent.first_token_s is not None:
        parts.append(f"first token after {spent.first_token_s:.2f} s")
    if spent.tokens_per_s is not None:
        parts.append(f"{spent.tokens_per_s:,.1f} tokens a second")
    return ", ".join(parts) + "."


_SPECIAL = re.compile(r"([\\`*{}\[\]<>|#]|(?<!\w)_|_(?!\w))")


def _plain(text: str) -> str:
    """Write a text so that Markdown and HTML show it letter by letter, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    """Write a text as code, whatever is in it."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    inner = f" {text} " if text.startswith("`") or text.endswith("`") else text
    return fence + inner.replace("\n", " ") + fence
