"""Finds every text that is said in a person's language, in the code and in the declarations."""

from __future__ import annotations

import ast
import re
import runpy
from collections import defaultdict
from functools import cache
from importlib import import_module
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, TypeVar

import polib

import openhands_llm_magic
from openhands_llm_magic.config import trust
from openhands_llm_magic.config.languages import LOCALE
from openhands_llm_magic.config.lint.finding import LEVELS
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.settings import SETTINGS, TOPICS
from openhands_llm_magic.errors import LISTED, LLMMagicError, RequestError
from openhands_llm_magic.llm import connection, explain
from openhands_llm_magic.llm.explain import TEXTS
from openhands_llm_magic.llm.litellm.faults import NO_HTTPS, NOT_HTTP
from openhands_llm_magic.llm.practice import embeddings
from openhands_llm_magic.llm.practice.models import MODELS
from openhands_llm_magic.notebook import arguments, from_ai, option_help
from openhands_llm_magic.notebook.buttons import ENDS_IT
from openhands_llm_magic.notebook.language import CELLS, PANELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PACKAGE = Path(openhands_llm_magic.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"

SPEAKERS = {"say", "_say", "button", "heading", "_caption", "Text", "_unfit_schema"}
"""The functions whose first argument is a text that is said in a person's language."""

TELL_A_PERSON = ("notebook",)
"""The folders in which an error has our own words; in others a server's may be all of it."""


def origins() -> Iterator[str]:
    """Yield the words for the origins that are told in words, such as a default."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name("Origin"),
                    args=[ast.Constant("default" | "session" | "edit"), name],
                ):
                    yield ast.literal_eval(name)


E = TypeVar("E", bound=LLMMagicError)


def classes(error: type[E]) -> Iterator[type[E]]:
    """Yield a class of errors and those under it."""
    yield error
    for under in error.__subclasses__():
        yield from classes(under)


ERRORS = {each.__name__ for each in classes(LLMMagicError)}

LABELS = {each.label for each in classes(RequestError)}


SETTING_TITLES = {each.title for each in SETTINGS.values()}
SETTING_HELPS = {each.help for each in SETTINGS.values()}

MAKES_TEXTS = {*SPEAKERS, "joined", "reason_of", "stopped_words", "_problem", "told", "untrusted"}
MAKES_TEXTS |= {"base_url_words", "_unlisted_guide", "help_text", "write_csv", "import_from"}
MAKES_TEXTS |= {"estimated", "write_page", "_none_of"}
"""The functions whose value can be an error's words: those are found where the value is made."""

DYNAMIC: dict[str, Iterable[str]] = {
    "sections: TOPICS[topic]": TOPICS.values(),
    "sections: map(say, texts)": {*SETTING_TITLES, *SETTING_HELPS, *TOPICS.values()},
    "address: host.called": {each.called for each in PROVIDERS.values()},
    "finding: owner.called": {each.called for each in PROVIDERS.values()},
    "model: provider.called": {each.called for each in PROVIDERS.values()},
    "sections: each.title": {each.title for each in PROVIDERS.values()},
    "sections: before.called": {each.called for each in PROVIDERS.values()},
    "sections: provider.called": {each.called for each in PROVIDERS.values()},
    "models_magic: each.title": {each.title for each in PROVIDERS.values()},
    "secret_field: error.text.masked(lambda text: masked(text, [secret.get_secret_value()]))": (),
    "trust: why": (trust.REACHES, trust.HIDES, trust.REFERS, trust.LEADS, trust.NO_NAME),
    "trust: each.finds": {each.finds for each in PROVIDERS.values() if each.finds},
    "run: refused.template": (),  # of what is said of it elsewhere
    "stand_in: provider.called": {each.called for each in PROVIDERS.values()},
    "trust: name": (),  # of a variable
    "config_magic: provider.called": {each.called for each in PROVIDERS.values()},
    "served: provider.called": {each.called for each in PROVIDERS.values()},
    "sections: replaced.called": {each.called for each in PROVIDERS.values()},
    "sections: provider.guide": {each.guide for each in PROVIDERS.values()},
    "sections: provider.mistake": {each.mistake for each in PROVIDERS.values()},
    "field: setting.title": SETTING_TITLES,
    "field: self.setting.title": SETTING_TITLES,
    "handover: SETTINGS[name].title": SETTING_TITLES,
    "probe: SETTINGS[name].title": SETTING_TITLES,
    "advice: SETTINGS[name].title": SETTING_TITLES,
    "panel: SETTINGS[name].title": SETTING_TITLES,
    "panel: LANGUAGE.title": {SETTINGS["language"].title},
    "panel: LANGUAGE.help": {SETTINGS["language"].help},
    "parts: SETTINGS[name].title": SETTING_TITLES,
    "parts: stranger.called": {each.called for each in PROVIDERS.values()},
    "handover: english": (),  # of `_caption`: found where it is called
    "parts: english": (),  # of `button` and `heading`: found where they are called
    "explain: _text_for(error, kind, settings)": {
        *TEXTS.values(),
        *(explain.ANY_KEY_WILL_DO, explain.GATEWAYS_KEY, explain.SETTING_REFUSED),
        *(explain.TOO_EXPENSIVE, explain.TOO_LONG_WITH_ANSWER, explain.ADDRESS_UNSENDABLE),
        *(explain.HEADER_UNSENDABLE, explain.TOO_LONG_FOR_OWN_SERVER, explain.CALL_CUT_OFF),
        *(explain.NOT_SENT, explain.NO_ADDRESS),
        explain.NOT_IN_FREE_TIER,
    },
    "explain: getattr(error, 'period', 'day')": {"5 hours", "day", "week", "month"},
    "explain: ', '.join((f'{name} ({{from_{name}}})' for name, _ in parts))": (),  # names
    "document: path": (),
    "check: level": LEVELS,
    "document: self.name": set(origins()),
    "field: error.template": (),  # as above
    "faults: words": {*NOT_HTTP.values(), NO_HTTPS},
    "extract: template": (),  # of `_unfit_schema`, as above
    "connection: str(error)": (),  # the operating system's
    "connection_log: step.detail": {connection.SET_UP},  # else a name
    "from_ai: COMMANDS[command]": from_ai.COMMANDS.values(),
    "arguments: from_ai.FLAGS[name]": from_ai.FLAGS.values(),
    "arguments: setting.help": SETTING_HELPS,
    "prompt_options: title": TOPICS.values(),
    "arguments: words": arguments.MISTAKES.values(),
    "arguments: message": (),  # of argparse, which has no other for our options
    "wording: fault.label": LABELS,
    "buttons: ends_it": ENDS_IT.values(),
    "wording: label": LABELS,
    "field: setting.help": SETTING_HELPS,
    "option_help: text": option_help.OF_ARGPARSE,
    "cli: about": {*(each.about for each in MODELS.values()), embeddings.ABOUT},
    "several: self.why": (),  # of an error, whose words are found where it is made
    "several: told.text": (),  # the same
}
"""The texts that are no literals where they are said: "module: expression", what it can be."""


class Module:
    """Finds what one module says.

    Args:
        name: Its name.
        source: Its source.
        names: What it defines and imports.
        tells: Whether no error of it may have other words than those that can be translated.
    """

    def __init__(
        self,
        name: str,
        source: str,
        names: Mapping[str, object] | None = None,
        *,
        tells: bool = True,
    ) -> None:
        self._name = name
        self._tells = tells
        self._tree = ast.parse(source)
        self._names = names or {}

    def said(self) -> dict[str, set[str]]:
        """Return the texts that are said, by the module and the expression that gives them.

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
            case ast.Call(
                func=ast.Call(ast.Name("cell_words") | ast.Attribute(attr="cell_words"))
                | ast.BoolOp()
            ):
                yield node.args[0], scope  # the words of a cell, said at once
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name), [text, *_]) if (
                name in ERRORS and (self._tells or isinstance(text, ast.Constant))
            ):
                yield from self._of_error(text, scope)
            case ast.Call(ast.Name("print_texts"), lines):
                for line in lines:
                    yield from self._of_error(line, scope)
            case ast.Call(ast.Name("map"), [ast.Name(name) | ast.Attribute(attr=name), *_]) if (
                name in SPEAKERS
            ):
                yield node, scope
        for child in ast.iter_child_nodes(node):
            yield from self._calls(child, scope)

    def _of_error(self, text: ast.expr, scope: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
        """Find the words of an error, or of a line that is told: none but those of a speaker."""
        match text:
            case ast.IfExp(body=one, orelse=other):
                yield from self._of_error(one, scope)
                yield from self._of_error(other, scope)
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name)) if name in MAKES_TEXTS:
                pass  # its own words are found by themselves
            case ast.Name(name) if (assigned := [*self._assigned(name, scope)]) and all(
                isinstance(each, ast.Call) for [each] in assigned
            ):
                for [each] in assigned:
                    yield from self._of_error(each, scope)
            case ast.Starred():
                pass  # lines of a table or a file
            case _:
                yield text, scope

    def _resolved(self, text: ast.expr, scope: ast.AST) -> set[str]:
        """Return what an expression can be."""
        place = self._place(text)
        if place in DYNAMIC:
            return set(DYNAMIC[place])
        match text:
            case ast.Constant(str(literal)):
                return {literal}
            case ast.IfExp(body=one, orelse=other):
                return self._resolved(one, scope) | self._resolved(other, scope)
            case ast.Subscript(ast.Name(name)):
                found = [self._dictionary(name, scope)]
            case ast.Call(ast.Attribute(ast.Name(name), "get"), [_, default]):
                found = [[default], self._dictionary(name, scope)]
            case ast.Name(name) if isinstance(constant := self._names.get(name), str):
                return {constant}
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
        """Yield the keys or the values of a dictionary whose items the name goes through."""
        for node in ast.walk(scope):
            match node:
                case ast.comprehension(
                    ast.Tuple([ast.Name(key), ast.Name(value)]),
                    ast.Call(ast.Attribute(ast.Name(dictionary), "items")),
                ) if name in (key, value):
                    items = self._literal(dictionary, scope)
                    yield items.values if name == value else [key for key in items.keys if key]

    def _dictionary(self, name: str, scope: ast.AST) -> list[ast.expr]:
        """Return the values of a dictionary that the module imports, or else has."""
        imported = self._names.get(name)
        if isinstance(imported, dict):
            return [ast.Constant(value) for value in imported.values()]
        return self._literal(name, scope).values

    def _literal(self, name: str, scope: ast.AST) -> ast.Dict:
        for node in (*ast.walk(scope), *ast.walk(self._tree)):
            match node:
                case ast.Assign([ast.Name(target)], ast.Dict() as found) | ast.AnnAssign(
                    ast.Name(target), value=ast.Dict() as found
                ) if target == name:
                    return found
        return ast.Dict([], [])


@cache
def said() -> dict[str, set[str]]:
    """Return all that the package says."""
    found: defaultdict[str, set[str]] = defaultdict(set, {"errors: LISTED": {LISTED}})
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        if path.stem in ("__init__", "errors"):  # what `Text` is, and what says nothing
            continue
        tells = path.relative_to(PACKAGE).parts[0] in TELL_A_PERSON
        module = Module(path.stem, path.read_text("utf-8"), vars(import_module(name)), tells=tells)
        for place, what in module.said().items():
            found[place] |= what
    return found


def texts() -> set[str]:
    """Return the texts of all that, and those for a cell or the panel; "" says nothing."""
    return set().union(CELLS.values(), PANELS.values(), *said().values()) - {""}


def page_texts() -> dict[str, set[str]]:
    """Return what pages of docs/ say beside that, each with the pages; see docs/generate.py."""
    generate = runpy.run_path(str(DOCS / "generate.py"))
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, page in generate["TRANSLATED"].items():
        say = generate["PageLanguage"]("ja")
        page(say)
        for text in say.asked - texts():
            if re.search("[A-Za-z]", re.sub(r"\{[^}]*\}", "", text)):
                found[text].add(name)
    return found


def placeholders(text: str) -> list[str]:
    """Return the names in the braces of a text."""
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


HEAD = {
    "Project-Id-Version": "openhands-llm-magic",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
}
"""What translators' tools ask for in a file; a new one may be empty."""


def places() -> dict[str, set[str]]:
    """Return each text of the package, with the modules that say it."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for place, found in {**said(), "language: places": {*CELLS.values(), *PANELS.values()}}.items():
        for text in found - {""}:
            named[text].add(place.partition(":")[0])
    return named


def update() -> None:
    """Put every new text into the files of each language, and mark those that are said no more."""
    renew(LOCALE, places())
    renew(DOCS, page_texts())


def renew(folder: Path, places: Mapping[str, set[str]]) -> None:
    """Put new texts into the files of a folder, by the places that say them."""
    template = polib.POFile()
    for text in sorted(places, key=lambda text: (sorted(places[text]), text)):
        flags = ["python-brace-format"] if "{" in text else []
        comment = ", ".join(sorted(places[text]))
        template.append(polib.POEntry(msgid=text, comment=comment, flags=flags))
    for path in folder.glob("*.po"):
        file = polib.pofile(str(path), encoding="utf-8", wrapwidth=100)
        file.metadata = {**HEAD, "Language": path.stem, **file.metadata}
        file.merge(template)
        file.sort(key=lambda entry: (entry.obsolete, entry.comment, entry.msgid))
        file.save()


if __name__ == "__main__":
    update()
