"""Write what follows from the code: `make docs` runs this.

The page and the types of the settings come from their declarations, the pages of faults and of
providers from the tables that the tests play and read, the page of the ledger from its columns, the
table of OpenHands' page from docs/page.toml. Pages in another language come from the same code:
what the package says has its translation in notebook/locale/, the rest in docs/ja.po.
"""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openhands_llm_magic import config
from openhands_llm_magic.config import verified
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import OTHER_VARIABLES
from openhands_llm_magic.config.settings import BUDGETS, SETTINGS, TOPICS
from openhands_llm_magic.errors import DailyLimitError, Text, TransientError, quoted
from openhands_llm_magic.llm import refusals
from openhands_llm_magic.llm.events import AttemptEnded
from openhands_llm_magic.llm.openhands.sent import VERSIONS
from openhands_llm_magic.llm.prepare import SAMPLING
from openhands_llm_magic.llm.spending import budget, ledger
from openhands_llm_magic.llm.spending.attempt import COLUMNS as LEDGER_COLUMNS
from openhands_llm_magic.llm.spending.attempt import LONGEST_TEXT, OTEL_NAMES, Attempt
from openhands_llm_magic.notebook.language import Language, texts_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from faults import Fault
    from faults.wordings import Wording

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.setting import Setting
    from openhands_llm_magic.llm.openhands.version import Version

DOCS = Path(__file__).parent
OPENHANDS_ROWS = DOCS / "page.toml"
SETTINGS_TYPES = Path(config.__file__).with_name("setting_attributes.pyi")
TESTS = Path(__file__).parents[1] / "tests"


class PageLanguage(Language):
    """Says what stands on a page in one language: the texts of the package, and the pages' own.

    Args:
        name: A name in `LANGUAGES`.

    Attributes:
        asked: The texts that it was asked to say.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._texts = {**self._texts, **texts_in(name, DOCS)}
        self.asked: set[str] = set()

    def __call__(self, english: str, /, **values: object) -> str:
        """Say a text, as `Language` does."""
        self.asked.add(english)
        return super().__call__(english, **values)

    def markdown(self, english: str, /, **values: object) -> str:
        """Say a part of a page, each paragraph and each line of a table by itself.

        So a change of one leaves the others translated, and new line breaks leave all.
        """
        if self.name == "en":
            return self(english, **values)
        text = english.rstrip()
        told = [self._paragraph(each, values) for each in text.split("\n\n")]
        return "\n\n".join(told) + english.removeprefix(text)

    def _paragraph(self, english: str, values: Mapping[str, object]) -> str:
        if english.startswith("|"):
            return "\n".join(self(line, **values) for line in english.splitlines())
        return self(" ".join(english.split()), **values)


ENGLISH = PageLanguage("en")

INTRODUCTION = """\
# Settings

[日本語](ja/settings.md)

Written by `make docs` from the declarations in `openhands_llm_magic/config/`.

A setting comes, from the lowest to the highest, from its default, the table of config.toml that is
named below it, a group `[llm.NAME]`, its environment variable, ipython_config.py
(`c.LLMSettings.NAME`), this session (`%llm_config NAME=VALUE`), and its flag on the line of a
`%%llm` cell. As in OpenHands, the variables of `[llm]` do not count in a group.

OpenHands drops the whole `[llm]` section for one key that it does not know. So what it does not
know is in `[openhands_llm_magic]`, and a setting marked * makes OpenHands 0.41 drop the section,
while later versions know it. In a file a dictionary can only be set inside a group, because
OpenHands takes every table in `[llm]` for a group; in a variable it is a Python literal.
"""

COLUMNS = ("Setting", "Table", "Variable", "Flag", "Takes", "Default", "Meaning", "Here it is")

OPENHANDS_INTRODUCTION = """\
## What OpenHands sends

OpenHands 0.41 reads `config.toml` and `LLM_*`. The current OpenHands, on its SDK, reads neither by
itself: `%llm_config --to-openhands NAME` writes a profile for it, and its `LLM.load_from_env` takes
the variables of `--export shell`. What each sends where nobody set anything:
"""

OPENHANDS_RULES = """\
`num_retries` is the number of retries here, and of attempts in OpenHands.
`--dry-run --as openhands` and `--as openhands-sdk` show a whole request. Each version makes it by
these rules, which `make test-openhands` compares with what the real one sends:
"""

FAULTS_INTRODUCTION = """\
# Faults

Written by `make docs` from `tests/faults/`; `tests/llm/test_fault_matrix.py` plays each row against
a server and counts its requests. [How each provider words a refusal](providers.md), and what is
made of the words, is a page of its own.

What is made of each fault with the default policy of four retries. *Requests* and *waits* are those
of a fault that goes on for ever. One that passes after the first attempt takes two requests and the
first wait, and nothing of the first attempt is left in the answer. A row marked * is played on
every path that LiteLLM treats differently, the others once in each dialect of the providers' APIs;
those that wait for a timeout are played only until they pass.

"""

VECTORS_INTRODUCTION = """\
## Vectors

`tests/llm/embedding/test_embeddings.py` plays each row on every path that LiteLLM has for vectors.
An error that comes with status 200 in place of vectors is told as one in place of an answer is.
"""

FAULT_COLUMNS = ("Fault", "Dialects", "Requests", "Waits", "What comes of it")


PROVIDERS_INTRODUCTION = """\
# Refusals by provider

Written by `make docs` from `tests/faults/wordings.toml`; `tests/llm/test_wordings.py` reads each
row as it is sent.

How each provider, gateway and local server words its refusals, as public reports and their own
source show it, and what is made of it. Keys, accounts and identifiers are left out or made up.
Where the source shows the words and the status alone (†), the JSON around them is the usual one of
that server. *In the answer* is an error in place of an answer, or of its rest, under status 200.
*Asked again* means by the policy of the settings; where a server asks for a longer wait than
`retry_after_limit` (300 s), the prompt fails at once, and says when to ask again.

"""

PROVIDER_COLUMNS = ("Fault", "Status", "How it is worded", "What comes of it", "Source")

MONEY_INTRODUCTION = """\
# What requests cost

[日本語](ja/money.md)

Written by `make docs`; its tables come from `openhands_llm_magic/llm/spending/` and the settings.

## The ledger

Each HTTP request is one row: of a prompt, a correction, vectors or a connection test, also one that
failed, was cut or was stopped. A stored answer is none. No prompt, no answer and no key is in it;
of what a server tells, a text is cut after {longest} characters, and a key in it is masked.

It is the file `{file}` in the folder `openhands-llm-magic` of the user's data, which only
its owner can read: in `~/.local/share` on Linux (or `XDG_DATA_HOME`), in
`~/Library/Application Support` on macOS, in `%LOCALAPPDATA%` on Windows. It is SQLite, so that any
tool that reads SQLite reads it. `LLM_MAGIC_LEDGER` names another file, or `off`; it is best on a
disk of this machine.

Several kernels write to it at once. A row that was written is there, also after `kill -9`. Where
the file cannot be written, a prompt works all the same: one note says why, and the rows are written
when it can be, if the session lasts that long. What is not a ledger is left as it is. Days that are
longer ago than `ledger_days` are deleted.

## Limits

{limits}

0 is no limit. What an attempt can cost at most is reserved before it is sent, beside what others
that run can cost, in all kernels; where that passes a limit, nothing is sent, and the line names
the setting. So prompts at once do not pass a limit together. `--over-budget` lets one cell pass. A
day and a month are those of the calendar where you are. From {near:.0%} of a limit on, a note says
so.

What counts:

| An attempt | counts as |
| --- | --- |
| whose cost the provider tells | that |
| whose tokens the provider counts, of a model whose price is set or listed | their price |
| that the server refused, or that never reached it | 0 |
| at a server on this machine that has told this session no cost, without a price that you set | 0 |
| that was stopped, cut or lost, or whose tokens nobody counted | the most that it can have cost |
| whose process was killed, with a limit of a day or a month (`lost`) | the same, on its day |

Without a price, or anything that limits the answer's tokens, it is not known what a prompt can cost
at most. With a limit such a prompt is not sent. Without one it counts as 0 where its cost is
unknown. A limit of a day or a month cannot hold without the ledger, so with `LLM_MAGIC_LEDGER=off`
or a file that cannot be used nothing is sent under it. What costs nothing is always sent.

## The columns of `attempts`

Where OpenTelemetry's conventions for generative AI have a name, the column has it, with underscores
for the dots. `sums` has the number of `attempts`, and the sums of {summed},
by {keys}. `PRAGMA user_version` is the version of the tables, now {version}; an
older file is brought to it.

"""

LEDGER_HEAD = ("Column", "OpenTelemetry", "What it is")

LIMIT = "- `{name}`, or `{variable}`: {help}"


def money_page(say: PageLanguage = ENGLISH) -> str:
    """Return the text of docs/money.md, or of that page in another language."""
    limits = [SETTINGS[name] for name in BUDGETS]
    told = say.markdown(
        MONEY_INTRODUCTION,
        longest=LONGEST_TEXT,
        file=ledger.FILE_NAME,
        near=budget.NOTED_FROM,
        limits="\n".join(
            say(LIMIT, name=each.name, variable=each.variable, help=say(each.help))
            for each in limits
        ),
        summed=_listed(ledger.SUMMED, say),
        keys=_listed(ledger.KEYS, say),
        version=len(ledger.MIGRATIONS),
    )
    meanings = _attributes(AttemptEnded) | _attributes(Attempt)
    rows = [
        _line([f"`{LEDGER_COLUMNS[name]}`", _otel(name), say(meanings[name])])
        for name in (each.name for each in fields(Attempt))
    ]
    return told + "\n".join([*_head(map(say, LEDGER_HEAD)), *rows, ""])


def _listed(names: Iterable[str], say: PageLanguage) -> str:
    return Text.listed(quoted(f"`{name}`") for name in names).worded(say)


def _otel(field: str) -> str:
    return f"`{OTEL_NAMES[field]}`" if field in OTEL_NAMES else ""


def _attributes(described: type) -> dict[str, str]:
    """Return what a class's docstring says of each attribute."""
    _, _, part = (inspect.getdoc(described) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", part, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


OPENHANDS_PAGE_INTRODUCTION = """\
# OpenHands' page on LLMs, line by line

Written by `make docs` from `docs/page.toml` and the code; `tests/test_page.py` asks for each file,
heading, test, line and default that is named here.

What [that page]({source}), as it was on {date}, promises or asks for, in its order, and where it is
done here.

"""

OPENHANDS_PAGE_HEAD = ("The page", "Here", "Lines", "Read on", "Tests")

VERIFIED_INTRODUCTION = """\
## Verified models

Those of the page first, as of {page}, then those of [{title}]({source}), as of {current}. The lists
are in `openhands_llm_magic/config/verified.py`, and `%llm_models`, the panel and Tab have them from
there. What is missing in a list was never in it, or is there no longer: a newer list keeps the
newest versions alone. Its prefixes that are not LiteLLM's (`glm`, `qwen` and the like) are left
out; most of those models are behind `openhands/` and `openrouter/`.

"""


def openhands_page() -> str:
    """Return the text of docs/page.md."""
    page, current = verified.LISTS
    parts = [OPENHANDS_PAGE_INTRODUCTION.format(source=page.source, date=page.as_of)]
    for section in tomllib.loads(OPENHANDS_ROWS.read_text("utf-8"))["section"]:
        rows = [_page_row(row) for row in section["row"]]
        head = _head(OPENHANDS_PAGE_HEAD)
        parts.append("\n".join([f"## {section['title']}\n", *head, *rows, "\n"]))
    told = VERIFIED_INTRODUCTION.format(
        page=page.as_of, title=current.title, source=current.source, current=current.as_of
    )
    columns = ("Provider", f"The page, {page.as_of}", f"{current.title}, {current.as_of}")
    rows = [
        _line([provider.title, *(_verified(provider, each) for each in verified.LISTS)])
        for provider in PROVIDERS.values()
        if provider.verified_models
    ]
    parts.append(told + "\n".join([*_head(columns), *rows, ""]))
    return "".join(parts)


def _page_row(row: dict[str, Any]) -> str:
    return _line(
        [
            row["about"] + (f" (default {row['page_default']})" if "page_default" in row else ""),
            " ".join([*_here(row)]),
            ", ".join(f"`{line}`" for line in row.get("lines", ())),
            ", ".join([*_read_on(row)]),
            ", ".join(_test_link(test) for test in row["tests"]),
        ]
    )


def _here(row: dict[str, Any]) -> Iterator[str]:
    """Yield what there is for a row, in sentences."""
    if "setting" in row:
        setting = SETTINGS[row["setting"]]
        default = "none" if setting.default is None else f"`{setting.default}`"
        yield f"`{setting.name}`, `{setting.variable}`; its default is {default}."
        named = [
            f"`{version.defaults[setting.name]}` in {version.title}"
            for version in VERSIONS.values()
            if version.defaults.get(setting.name) not in (None, setting.default)
        ]
        if named:
            yield f"It is {', '.join(named)}."
    for name in row.get("providers", ()):
        provider = PROVIDERS[name]
        yield f"{provider.title}, as `{provider.example}`: {provider.guide}"
    if "here" in row:
        yield row["here"]


def _read_on(row: dict[str, Any]) -> Iterator[str]:
    for page in row.get("docs", ()):
        yield f"[{page}]({page})"
    for notebook in row.get("notebooks", ()):
        yield f"[{notebook}](../notebooks/{notebook})"


def _test_link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name or file.removeprefix('tests/')}](../{file})"


def _verified(provider: Provider, listed: verified.Verified) -> str:
    """Return the models of a provider in a list."""
    return ", ".join(f"`{name}`" for name in provider.verified_models if name in listed.models)


LONGEST_WORDS = 160
"""Characters of a wording that the page shows."""


def settings_page(say: PageLanguage = ENGLISH) -> str:
    """Return the text of docs/settings.md, or of that page in another language."""
    parts = [say.markdown(INTRODUCTION)]
    for topic, title in TOPICS.items():
        rows = [_row(setting, say) for setting in SETTINGS.values() if setting.topic == topic]
        parts.append("\n".join([f"## {say(title)}", *_head(map(say, COLUMNS)), *rows, ""]))
    others = [f"- `{name}`: {say(f'{use}.')}" for name, use in OTHER_VARIABLES.items()]
    return "\n".join([*parts, _openhands(say), f"## {say('Other variables')}", *others, ""])


def _openhands(say: PageLanguage) -> str:
    """Return the section about what OpenHands makes of the settings."""
    versions = [*VERSIONS.values()]
    columns = (say("Setting"), say("Here"), *(version.title for version in versions))
    names = [name for name in SETTINGS if any(name in each.defaults for each in versions)]
    rows = _head(columns)
    for name in names:
        here = None if name in SAMPLING else SETTINGS[name].default
        values = [here, *(version.defaults[name] for version in versions)]
        sent = [say("not sent") if value is None else f"`{value}`" for value in values]
        rows.append(_line([f"{say(SETTINGS[name].title)}: `{name}`", *sent]))
    rules = [
        line for version in versions for line in ("", f"### {version.title}", *_rules(version, say))
    ]
    introduction, told = map(say.markdown, (OPENHANDS_INTRODUCTION, OPENHANDS_RULES))
    return "\n".join([introduction, *rows, "", told.rstrip(), *rules, ""])


def _rules(version: Version, say: PageLanguage) -> list[str]:
    """Return the rules of a version in words, which are their docstrings."""
    return [f"- {say(' '.join((rule.__doc__ or '').split()))}" for rule in version.rules]


TYPES = {"secret": "Secret", "list": "list[dict[str, str]]", "dict": "dict[str, Any]"}

TYPES_INTRODUCTION = '''\
"""The type of each setting's value: `make docs` writes this file from the declarations."""

from typing import Any

from openhands_llm_magic.config.secret import Secret

class SettingAttributes:
    """The settings as attributes, for editors and type checkers."""

    __slots__ = ()

'''


def settings_types() -> str:
    """Return the text of config/setting_attributes.pyi."""
    lines: list[str] = []
    for name, setting in SETTINGS.items():
        kind = TYPES.get(setting.kind, setting.kind) + " | None" * setting.optional
        lines += [f"    {name}: {kind}", f'    """{setting.help}"""']
    return TYPES_INTRODUCTION + "\n".join([*lines, ""])


def _row(setting: Setting, say: PageLanguage) -> str:
    flag = setting.flag if setting.short is None else f"{setting.short}, {setting.flag}"
    default = say("none") if setting.default is None else f"`{setting.default}`"
    return _line(
        [
            f"`{setting.name}`" + "*" * setting.newer,
            f"`[{setting.section}]`",
            f"`{setting.variable}`",
            f"`{flag}`",
            setting.takes.worded(say),
            default,
            say(setting.help),
            say(setting.use),
        ]
    )


def faults_page() -> str:
    """Return the text of docs/faults.md."""
    _find_tests()
    from faults import FAULTS, VECTOR_FAULTS  # noqa: PLC0415 - they are found only now

    head = _head(FAULT_COLUMNS)
    lines = [*head, *map(_fault_row, FAULTS), ""]
    lines += [VECTORS_INTRODUCTION, *head, *map(_fault_row, VECTOR_FAULTS), ""]
    dialects = sum(len(fault.dialects) for fault in FAULTS)
    count = f"{len(FAULTS)} faults, {dialects} with each dialect counted.\n\n"
    return FAULTS_INTRODUCTION + count + "\n".join(lines)


def _fault_row(fault: Fault) -> str:
    from faults import DIALECTS  # noqa: PLC0415 - see above

    dialects = "all" if fault.dialects == DIALECTS else ", ".join(fault.dialects)
    waits = " + ".join(f"{wait_s:g}" for wait_s in fault.waits_s)
    named = ", as the server asks" if fault.server_wait_s is not None and waits else ""
    return _line(
        [
            fault.name + " *" * fault.decisive,
            dialects,
            str(fault.requests),
            f"{waits} s{named}" if waits else "none",
            _outcome(fault),
        ]
    )


def _outcome(fault: Fault) -> str:
    """Return what the person and the reply get, in a few words."""
    if fault.error is None:
        whole = fault.finish_reason == "stop"
        return "the answer" if whole else f"the text, with finish_reason {fault.finish_reason}"
    parts = [f"`{fault.error.__name__}`: {fault.shown.rstrip(' (:')} …"]
    if fault.text:
        parts.append("the reply keeps the longest part that came")
    if fault.finish_reason:
        parts.append(f"the reply has finish_reason {fault.finish_reason}")
    return "; ".join(parts)


def providers_page() -> str:
    """Return the text of docs/providers.md."""
    _find_tests()
    from faults.wordings import WORDINGS  # noqa: PLC0415 - it is found only now

    providers = list(dict.fromkeys(wording.provider for wording in WORDINGS))
    count = f"{len(WORDINGS)} wordings of {len(providers)} providers and servers.\n"
    parts = [PROVIDERS_INTRODUCTION + count]
    for provider in providers:
        rows = [_wording_row(wording) for wording in WORDINGS if wording.provider == provider]
        parts.append("\n".join([f"## {provider}", *_head(PROVIDER_COLUMNS), *rows, ""]))
    return "\n".join(parts)


def _wording_row(wording: Wording) -> str:
    words = refusals.read(wording.body, status=wording.status).words
    if len(words) > LONGEST_WORDS:
        words = words[:LONGEST_WORDS].rpartition(" ")[0] + " …"
    escaped = words.replace("|", "\\|")
    return _line(
        [
            wording.about + " †" * wording.words_only,
            str(wording.status or "in the answer"),
            f"`` {escaped} ``" if words else "without a word",
            f"`{wording.expected}`, {_asked_again(wording)}",
            _link(wording.source),
        ]
    )


def _asked_again(wording: Wording) -> str:
    """Say whether a prompt is sent again, and when."""
    from faults.fault import RETRY_AFTER_LIMIT_S  # noqa: PLC0415 - see above

    wait_s = wording.wait_s
    if not issubclass(wording.error, TransientError):
        return "not asked again"
    if wait_s is None:
        return "not asked again" if wording.error is DailyLimitError else "asked again"
    if wait_s > RETRY_AFTER_LIMIT_S:
        return f"not asked again before {wait_s:,.0f} s are over"
    return f"asked again after {wait_s:g} s"


def _link(source: str) -> str:
    """Return a link to a source: an issue or a pull request of GitHub, or an address."""
    if source.startswith("https://"):
        parts = urlsplit(source)
        _, owner, name, *rest = parts.path.split("/") + [""] * 2
        is_file = parts.netloc == "github.com" and rest[:1] == ["blob"]
        return f"[{f'{owner}/{name}' if is_file else parts.netloc}]({source})"
    repository, _, number = source.partition("#")
    return f"[{source}](https://github.com/{repository}/issues/{number})" if number else source


def _find_tests() -> None:
    """Let the tables of the tests be imported."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))


def _head(columns: Iterable[str]) -> list[str]:
    """Return the first two lines of a table."""
    names = [*columns]
    return [_line(names), _line(["---"] * len(names))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


TRANSLATED = {"settings.md": settings_page, "money.md": money_page}
"""The pages that are written in each language."""


def written() -> dict[Path, str]:
    """Return the text of each file that is written."""
    texts = {
        SETTINGS_TYPES: settings_types(),
        DOCS / "faults.md": faults_page(),
        DOCS / "providers.md": providers_page(),
        DOCS / "page.md": openhands_page(),
    }
    for name, page in TRANSLATED.items():
        texts[DOCS / name] = page()
        for catalogue in DOCS.glob("*.po"):
            texts[DOCS / catalogue.stem / name] = page(PageLanguage(catalogue.stem))
    return texts


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, "utf-8")
