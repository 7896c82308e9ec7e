"""A check of the config file and the environment: what is wrong, where, and what to do about it.

Each rule is a function in one of the tables `RULES` of `lint.file`, `lint.env` and `lint.model`.
`lint.text` explains the lines of a file that do not even parse.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from openhands_llm_magic.config import lint, resolve
from openhands_llm_magic.config.document import Document, read_file, shown_path
from openhands_llm_magic.config.layers import FILE_NAME, env_layer, file_layers
from openhands_llm_magic.config.lint.finding import LEVELS, Finding, Subject, groups_of
from openhands_llm_magic.config.lint.text import mended
from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, masked, secrets_in
from openhands_llm_magic.errors import Text, english

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Say

__all__ = ["Finding", "check", "check_route", "check_settings", "file_in_use", "report"]


def check(
    path: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    *,
    in_docker: bool | None = None,
) -> tuple[Finding, ...]:
    """Return what is wrong with a config file and the environment.

    Args:
        path: The file; by default the one that `load_settings` reads, if there is one.
        env: The environment; by default that of the process.
        in_docker: Whether the process runs in a container; by default this is found out.

    Returns:
        The findings in the file, by line, then those of variables.

    Raises:
        ConfigFileError: A file that was named cannot be read.
    """
    env = dict(os.environ if env is None else env)
    file = resolve.absolute(path) if path is not None else file_in_use(env)
    document = read_file(file) if file else Document(Path(FILE_NAME))
    if (
        document.problem
        and not document.text
        and (path is not None or env.get(resolve.FILE_VARIABLE))
    ):
        document.require_readable("" if path is not None else resolve.FILE_VARIABLE)
    document, findings = mended(document)
    if document.problem and not document.text:
        fix = Text("Make it a file of UTF-8 text that you may read")
        if document.problem.origin.line:
            fix = Text("Choose UTF-8 as the encoding where your editor saves it")
        findings.append(Finding(document.problem.origin, document.problem.message, fix))
    subject = _subject(document, env, _runs_in_docker() if in_docker is None else in_docker)
    findings += _found(subject)
    redacted = _redacted(findings, [*secrets_in({**document.data}), *secrets_in(env)])
    return tuple(sorted(redacted, key=_place))


def check_settings(settings: Snapshot, *, in_docker: bool | None = None) -> tuple[Finding, ...]:
    """Return why settings may not lead to the model that is meant, wherever they come from.

    Args:
        settings: The settings.
        in_docker: Whether the process runs in a container; by default this is found out.
    """
    nowhere = Document(Path(FILE_NAME))
    in_docker = _runs_in_docker() if in_docker is None else in_docker
    subject = Subject(nowhere, os.environ, in_docker, {None: settings})
    findings = [*lint.model.findings(subject, settings)]
    return tuple(_redacted(findings, settings.secrets()))


def check_route(settings: Snapshot, *, in_docker: bool) -> tuple[Finding, ...]:
    """Return why a request with these settings does not get to the model that is meant.

    Args:
        settings: The settings.
        in_docker: Whether this is to be judged as in a container.
    """
    subject = Subject(Document(Path(FILE_NAME)), os.environ, in_docker, {None: settings})
    found = _redacted([*lint.model.route_findings(subject, settings)], settings.secrets())
    return tuple(each for each in found if each.is_problem)


def file_in_use(env: Mapping[str, str]) -> Path | None:
    """Return the config file that `load_settings` reads, or None when there is no such file."""
    return resolve.find_config_file(Path.cwd(), resolve.absolute("~"), env)


def report(findings: Sequence[Finding], file: Path | None, say: Say = english) -> str:
    """Return findings as aligned text, with a last line that counts the problems.

    Args:
        findings: The findings of `check`.
        file: The file that was checked, or None when there was no file.
        say: The words of the reader's language.
    """
    levels = {level: say(level) for level in LEVELS}
    origins = [each.origin.text.worded(say) for each in findings]
    places, marks = _padded(origins), dict(zip(LEVELS, _padded(levels.values()), strict=True))
    lines = [
        f"{place}  {marks[each.level]}  {each.text.worded(say)}"
        for place, each in zip(places, findings, strict=True)
    ]
    return "\n".join([*lines, _summary(findings, file).worded(say)])


def _padded(texts: Iterable[str]) -> list[str]:
    """Return texts with blanks behind them, so that all take the same columns."""
    columns = {text: _columns(text) for text in texts}
    width = max(columns.values(), default=0)
    return [text + " " * (width - columns[text]) for text in texts]


def _columns(text: str) -> int:
    """Return the columns that a text takes in a terminal."""
    return sum(1 + (east_asian_width(character) in "WF") for character in text)


def _summary(findings: Sequence[Finding], file: Path | None) -> Text:
    count = sum(each.is_problem for each in findings)
    if count == 1:
        return Text("1 problem")
    if count:
        return Text("{count} problems", count=count)
    if file:
        return Text("no problems in {path}", path=shown_path(file))
    return Text("no problems in the environment; there is no {file}", file=FILE_NAME)


def _subject(document: Document, env: Mapping[str, str], in_docker: bool) -> Subject:
    settings: dict[str | None, Snapshot] = {}
    for name in (None, *groups_of(document)):
        if (group := resolve.group_named(name)) not in settings:
            outside = env_layer(env, group=group is not None)
            layers = [*file_layers(document, group), outside]
            settings[group] = resolve.resolve(layers, group=group)
    return Subject(document, env, in_docker, settings)


def _found(subject: Subject) -> Iterator[Finding]:
    for rule in (*lint.file.RULES, *lint.sections.RULES, *lint.mcp.RULES, *lint.env.RULES):
        yield from rule(subject)
    for settings in subject.settings.values():
        yield from lint.model.findings(subject, settings)
        yield from lint.trust.findings(subject, settings)


def _redacted(findings: Sequence[Finding], keys: Sequence[str]) -> Iterator[Finding]:
    """Yield findings with keys masked, without those that groups repeat of `[llm]`.

    A short one, such as "ollama", is a word that the advice may need.
    """
    keys = [key for key in keys if len(key) >= SHORTEST_REAL_KEY]
    for each in dict.fromkeys(findings):
        texts = (each.message, each.fix, each.openhands)
        message, fix, openhands = (text.masked(lambda told: masked(told, keys)) for text in texts)
        yield dataclasses.replace(each, message=message, fix=fix, openhands=openhands)


def _place(finding: Finding) -> tuple[bool, int]:
    return finding.origin.kind != "file", finding.origin.line or 0


def _runs_in_docker() -> bool:
    return any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))
