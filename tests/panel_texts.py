"""Finds every text that the settings panel can say, in its code and in the declarations."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import openhands_llm_magic
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.settings import SETTINGS, TOPICS
from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.explain import HELD_BY
from openhands_llm_magic.notebook.panel.words import _TAKES
from openhands_llm_magic.notebook.view.words import SET_BY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = Path(openhands_llm_magic.__file__).parent

SPEAKERS = {"say", "_say", "button", "heading"}
"""The functions whose first argument is a text that they translate."""


def origins() -> Iterator[str]:
    """Give the words for the origins that are told in words: a default and the session."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name("Origin"),
                    args=[ast.Constant("default" | "session"), name],
                ):
                    yield ast.literal_eval(name)


def labels(error: type[RequestError] = RequestError) -> Iterator[str]:
    """Give the label of a class of errors and of those under it."""
    yield error.label
    for under in error.__subclasses__():
        yield from labels(under)


def kinds() -> Iterator[str]:
    """Give the words for kinds of values, without their bounds."""
    for setting in SETTINGS.values():
        parts = _TAKES.fullmatch(setting.takes)
        assert parts is not None
        yield parts["kind"]


SETTING_TITLES = {each.title for each in SETTINGS.values()}
SETTING_HELPS = {each.help for each in SETTINGS.values()}

DYNAMIC: dict[str, Iterable[str]] = {
    "advanced: TOPICS[topic]": TOPICS.values(),
    "advanced: map(say, texts)": {*SETTING_TITLES, *SETTING_HELPS, *TOPICS.values()},
    "basic: each.title": {each.title for each in PROVIDERS.values()},
    "basic: before.title": {each.title for each in PROVIDERS.values()},
    "basic: provider.title": {each.title for each in PROVIDERS.values()},
    "basic: provider.guide": {each.guide for each in PROVIDERS.values()},
    "basic: provider.mistake": {each.mistake for each in PROVIDERS.values()},
    "field: setting.title": SETTING_TITLES,
    "field: self.setting.title": SETTING_TITLES,
    "handover: SETTINGS[name].title": SETTING_TITLES,
    "parts: SETTINGS[name].title": SETTING_TITLES,
    "parts: stranger.title": {each.title for each in PROVIDERS.values()},
    "parts: english": (),  # of `button` and `heading`: found where they are called
    "trial_log: HELD_BY[held.by]": HELD_BY.values(),
    "trial_log: SET_BY[retrying.set_by]": SET_BY.values(),
    "trial_log: fault.label": set(labels()),
    "trial_log: reply.error.label": set(labels()),
    "words: parts['kind']": set(kinds()),
    "words: setting.help": SETTING_HELPS,
    "words: setting.title": SETTING_TITLES,
    "words: str(origin)": set(origins()),
}
"""The texts that are no literals in the panel: "module: expression", and what it can be."""


class Module:
    """Finds what one module says."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._tree = ast.parse(source)

    def said(self) -> dict[str, set[str]]:
        """Give the texts that are said, by the module and the expression that gives them.

        Raises:
            LookupError: It cannot be told what an expression gives.
        """
        found: defaultdict[str, set[str]] = defaultdict(set)
        for text, scope in self._calls(self._tree, self._tree):
            found[self._place(text)] |= self._resolved(text, scope)
        return found

    def _place(self, text: ast.expr) -> str:
        return f"{self._name}: {ast.unparse(text)}"

    def _calls(self, node: ast.AST, scope: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
        """Find what is given to speakers, with the function around."""
        match node:
            case ast.FunctionDef():
                scope = node
            case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in SPEAKERS:
                yield (node.args or [node])[0], scope
            case ast.Call(ast.Name("map"), [ast.Name(name) | ast.Attribute(attr=name), *_]) if (
                name in SPEAKERS
            ):
                yield node, scope
        for child in ast.iter_child_nodes(node):
            yield from self._calls(child, scope)

    def _resolved(self, text: ast.expr, scope: ast.AST) -> set[str]:
        """Give what an expression can be."""
        place = self._place(text)
        if place in DYNAMIC:
            return set(DYNAMIC[place])
        match text:
            case ast.Constant(str(literal)):
                return {literal}
            case ast.IfExp(body=one, orelse=other):
                return self._resolved(one, scope) | self._resolved(other, scope)
            case ast.Subscript(ast.Name(name)):
                found = [self._dictionary(name, scope).values]
            case ast.Call(ast.Attribute(ast.Name(name), "get"), [_, default]):
                found = [[default], self._dictionary(name, scope).values]
            case ast.Name(name):
                found = [*self._assigned(name, scope), *self._iterated(name, scope)]
            case _:
                found = []
        if not found or not all(found):
            raise LookupError(f"{place} (line {text.lineno}) is neither literal nor in DYNAMIC")
        return {
            each for values in found for value in values for each in self._resolved(value, scope)
        }

    def _assigned(self, name: str, scope: ast.AST) -> Iterator[list[ast.expr]]:
        for node in ast.walk(scope):
            match node:
                case ast.Assign([ast.Name(target)], value) if target == name:
                    yield [value]

    def _iterated(self, name: str, scope: ast.AST) -> Iterator[list[ast.expr]]:
        """Give the keys or the values of a dictionary whose items the name goes through."""
        for node in ast.walk(scope):
            match node:
                case ast.comprehension(
                    ast.Tuple([ast.Name(key), ast.Name(value)]),
                    ast.Call(ast.Attribute(ast.Name(dictionary), "items")),
                ) if name in (key, value):
                    items = self._dictionary(dictionary, scope)
                    yield items.values if name == value else [key for key in items.keys if key]

    def _dictionary(self, name: str, scope: ast.AST) -> ast.Dict:
        for node in (*ast.walk(scope), *ast.walk(self._tree)):
            match node:
                case ast.Assign([ast.Name(target)], ast.Dict() as found) | ast.AnnAssign(
                    ast.Name(target), value=ast.Dict() as found
                ) if target == name:
                    return found
        return ast.Dict([], [])


@cache
def said() -> dict[str, set[str]]:
    """Give all that the notebook floor says."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in (PACKAGE / "notebook").rglob("*.py"):
        for place, what in Module(path.stem, path.read_text("utf-8")).said().items():
            found[place] |= what
    return found


def texts() -> set[str]:
    """Give the texts of all that; "" says nothing."""
    return set().union(*said().values()) - {""}
