"""Tab on a `%llm`, `%%llm` or `%llm_config` line: flags, models, groups, variables and choices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.notebook import arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from openhands_llm_magic.config.configurable import LLMSettings

MOST = 200
"""Candidates that are offered at once; further letters make them fewer."""

_PROMPT_LINE = re.compile(r"\s*(?:[^\W\d]\w*\s*=\s*)?%%?llm(\s|$)")
_CONFIG_LINE = re.compile(r"\s*%llm_config(\s|$)")


def matcher(shell: InteractiveShell, settings: LLMSettings) -> Callable[[Any], Any]:
    """Make the function that IPython asks for completions.

    Args:
        shell: Whose variables are offered.
        settings: Whose groups are offered.
    """
    from IPython.core.completer import SimpleCompletion, context_matcher  # noqa: PLC0415 - IPython's completer is there when it asks

    @context_matcher(identifier="openhands_llm_magic")  # type: ignore[untyped-decorator]
    def complete(context: Any) -> dict[str, object]:
        found = candidates(
            context.text_until_cursor,
            first_line=context.cursor_line == 0,
            variables=shell.user_ns,
            groups=lambda: settings.groups,
        )
        if found is None:
            return {"completions": [], "suppress": False}
        fragment, words = found
        completions = [SimpleCompletion(text=word, type="param") for word in words]
        return {
            "completions": completions,
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    return complete  # type: ignore[no-any-return]


def candidates(
    line: str,
    *,
    first_line: bool,
    variables: Mapping[str, object],
    groups: Callable[[], Iterable[str]],
) -> tuple[str, list[str]] | None:
    """Give what is completed and with what, or None where this is no line of ours.

    Args:
        line: The line up to the cursor.
        first_line: Whether it is the cell's first, as that of a cell magic is.
        variables: The notebook's variables.
        groups: Gives the names of the groups of settings.
    """
    fragment = re.split(r"\s", line)[-1]
    if _CONFIG_LINE.match(line):
        return fragment, _starting(fragment, (f"{name}=" for name in SETTINGS))
    match = _PROMPT_LINE.match(line)
    if match is None or (line.lstrip().startswith("%%") and not first_line):
        return None
    before = line[match.start(1) : len(line) - len(fragment)].split()
    flag, typed = _flag(fragment, before)
    if flag:
        found = _values(flag, typed, variables, groups)
        return None if found is None else (typed, found)
    if "--" in before or fragment[:1] not in ("", "-"):
        return None
    return fragment, _starting(fragment, (name for name in _flags() if name.startswith("--")))


def _flags() -> Mapping[str, Any]:
    return arguments.parser()._option_string_actions  # noqa: SLF001 - argparse has no public list of its options


def _flag(fragment: str, before: Sequence[str]) -> tuple[str, str]:
    """Give the flag whose value is typed, or "", and what is typed of the value."""
    if "--" in before:
        return "", fragment
    if fragment.startswith("-") and "=" in fragment:
        flag, _, typed = fragment.partition("=")
        return flag, typed
    action = _flags().get(before[-1]) if before else None
    return (before[-1] if action is not None and action.nargs != 0 else ""), fragment


def _starting(fragment: str, words: Iterable[str]) -> list[str]:
    lowered = fragment.lower()
    return [word for word in dict.fromkeys(words) if word.lower().startswith(lowered)][:MOST]


def _values(
    flag: str,
    typed: str,
    variables: Mapping[str, object],
    groups: Callable[[], Iterable[str]],
) -> list[str] | None:
    """Give what can follow a flag, or None where that is free text."""
    name = _flags()[flag].dest if flag in _flags() else ""
    setting = SETTINGS.get(name)
    if typed.startswith("$") or (setting is not None and setting.kind == "secret"):
        return _starting(typed, (f"${variable}" for variable in _own(variables)))
    if name == "model":
        return _starting(typed, _models(typed))
    choices = groups() if name == "group" else setting.choices if setting is not None else ()
    choices = _own(variables) if name == "out" else choices
    return _starting(typed, choices) or None


def _own(variables: Mapping[str, object]) -> Iterator[str]:
    """Name the variables that a person made."""
    return (name for name in variables if not name.startswith("_"))


def _models(typed: str) -> Iterator[str]:
    """Name the prefixes of providers, and the models behind the one that is typed."""
    from openhands_llm_magic.config.providers import PROVIDERS  # noqa: PLC0415 - read on use
    from openhands_llm_magic.llm.models import models_of  # noqa: PLC0415 - reads LiteLLM's list

    for provider in PROVIDERS.values():
        if "/" in typed and typed.lower().startswith(provider.prefix):
            yield from models_of(provider)
        elif "/" not in typed:
            yield provider.prefix
