"""No regular expression of the package takes more time than a text is long.

Each is read as a tree. Whatever it can repeat is repeated thousands of times, behind what may come
before it and with and without an end, so that one which looks at the same characters again and
again shows: it then takes seconds, where all others take a thousandth.
"""

from __future__ import annotations

import ast
import re
import re._compiler  # type: ignore[import-not-found]  # CPython's own, which typeshed leaves out
import re._constants as op  # type: ignore[import-not-found]
import re._parser  # type: ignore[import-not-found]
import signal
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from setting_values import chosen

import openhands_llm_magic
from openhands_llm_magic.config import document, save
from openhands_llm_magic.config.secret import can_be_secret, logins_in, masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LENGTH = 30_000
LONGEST_CPU_S = 0.2
"""A hundred times what the slowest takes whose time grows with the text alone."""

MANY = 64
"""A repetition up to which an expression takes the same time, however long a text is."""

CHARACTERS = "aA1 \n\t-._'\"\\/<>=:#[](){}$*+?@!%&,;|~^`é日\0skhtp"

ROOT = Path(openhands_llm_magic.__file__).parent
METHODS = {"search", "match", "fullmatch", "sub", "finditer", "findall", "split"}
ANCHORED = {"match", "fullmatch"}

Pattern = re.Pattern[Any]


def within(value: object) -> Iterator[Pattern]:
    """Yield a pattern, or those in lists and dictionaries."""
    match value:
        case re.Pattern():
            yield value
        case dict():
            yield from within([*value.values()])
        case list() | tuple():
            for each in value:
                yield from within(each)


def patterns(path: Path) -> Iterator[tuple[str, Pattern, set[str]]]:
    """Yield the patterns of a module: their names, they themselves, and how they are used."""
    source = path.read_text("utf-8")
    name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for variable, value in vars(import_module(name.removesuffix(".__init__"))).items():
        used = set(re.findall(rf"\b{re.escape(variable)}\b(?:\[[^\]]*\])?\.(\w+)\(", source))
        for number, pattern in enumerate(within(value)):
            yield f"{variable}[{number}]", pattern, used & METHODS or {"search"}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                ast.Attribute(ast.Name("re"), method), [ast.Constant(str(literal)), *_]
            ) if method in METHODS:
                yield f"line {node.lineno}", re.compile(literal), {method}


class Examples:
    """Texts that an expression matches in part, and what it can repeat in them.

    Attributes:
        repeated: What comes before, and what is repeated.
        whole: Texts that match as a whole, or nearly.
    """

    def __init__(self, pattern: Pattern) -> None:
        source = pattern.pattern
        text = source.decode() if isinstance(source, bytes) else source
        self._flags = pattern.flags
        self._tree = re._parser.parse(text, pattern.flags)
        self._groups: dict[int | None, list[str]] = {}
        self.repeated: list[tuple[str, str]] = []
        self.whole = self._of(self._tree, [""])

    def texts(self) -> Iterator[str]:
        """Yield long texts that are hard to the expression."""
        seen = set()
        for before, unit in [*self.repeated, *(("", each) for each in self.whole if each)]:
            for start, again in ((before, unit), ("", before + unit), ("", unit)):
                if (start, again) not in seen:
                    seen.add((start, again))
                    for end in ("", "\0"):
                        yield start + again * (LENGTH // len(again)) + end

    def _of(self, items: Iterable[tuple[Any, Any]], before: list[str]) -> list[str]:
        """Return texts that a sequence matches, where `before` may come before it."""
        texts = [""]
        for kind, value in items:
            starts = [start + text for start in before[:2] for text in texts[:2]]
            ends = self._of_item(kind, value, starts)
            texts = [text + end for text in texts[:3] for end in ends[:8]][:12]
        return texts

    def _of_item(  # noqa: PLR0911 - one for each kind
        self, kind: Any, value: Any, before: list[str]
    ) -> list[str]:
        match kind:
            case op.LITERAL:
                return [chr(value)]
            case op.NOT_LITERAL | op.ANY | op.IN | op.CATEGORY:
                one = re._parser.SubPattern(self._tree.state, [(kind, value)])
                is_one = re._compiler.compile(one, self._flags).fullmatch
                return [each for each in CHARACTERS if is_one(each)][:6] or ["a"]
            case op.BRANCH:
                return [text for each in value[1] for text in self._of(each, before)[:1]]
            case op.SUBPATTERN:
                self._groups[value[0]] = self._of(value[3], before)
                return self._groups[value[0]]
            case op.ATOMIC_GROUP:
                return self._of(value, before)
            case op.MAX_REPEAT | op.MIN_REPEAT | op.POSSESSIVE_REPEAT:
                fewest, most, body = value
                bodies = self._of(body, before)
                if most > MANY:
                    self.repeated += [(start, each) for start in before for each in bodies if each]
                least = [each * fewest for each in bodies[:3]] + bodies[:1] * (not fewest)
                return list(dict.fromkeys(least))
            case op.GROUPREF:
                return self._groups.get(value, [""])[:1]
            case op.ASSERT:
                inside = self._of(value[1], before)
                return inside[:1] if value[0] < 0 else [""]
            case _:
                return [""]


class TooSlowError(Exception):
    """More time was taken than is allowed."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """End what takes more time of the processor, also within a regular expression."""

    def end(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def is_slow(pattern: Pattern, text: str, method: str) -> bool:
    given: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
    try:
        with cpu_limit(LONGEST_CPU_S):
            if method in ANCHORED:
                getattr(pattern, method)(given)
            else:
                for _ in pattern.finditer(given):
                    pass
    except TooSlowError:
        return True
    return False


def slow_texts(pattern: Pattern, methods: set[str]) -> Iterator[str]:
    for text in Examples(pattern).texts():
        yield from (text for method in sorted(methods) if is_slow(pattern, text, method))


MODULES = {
    str(path.relative_to(ROOT)): path
    for path in sorted(ROOT.rglob("*.py"))
    if re.search(r"\bre\.\w+\(", path.read_text("utf-8"))
}


@pytest.mark.slow  # it tries all of the package's
@pytest.mark.parametrize("module", MODULES)
def test_no_regular_expression_reads_the_same_again_and_again(module: str) -> None:
    found = {
        name: f"{text[:60]!r}..."
        for name, pattern, methods in patterns(MODULES[module])
        if (text := next(slow_texts(pattern, methods), None))
    }
    assert found == {}


@pytest.mark.parametrize(
    "slow",
    [r"\s+$", r"[\w-]*key[\w-]*=", r"(?:a|a)+b", r"<.*?>x", r"(?:\w+,?)+;"],
)
def test_one_that_does_is_found(slow: str) -> None:
    assert next(slow_texts(re.compile(slow), {"search"}), None)


def _previewed(text: str) -> None:
    Path("config.toml").write_text("[llm]\n# " + text.replace("\n", "\n# ")[:400_000])
    save.preview(chosen(model=text[:5000]), "config.toml")


@pytest.mark.parametrize(
    "unit",
    ["key", "key = [", "key = [\n", "key = '''", 'key = """\n', "-key_", "://a@", "sk-", "A"],
)
@pytest.mark.parametrize(
    "function",
    [_previewed, masked, can_be_secret, logins_in, lambda text: document.parse(Path("x"), text)],
)
def test_nor_does_what_uses_them(function: Callable[[str], object], unit: str) -> None:
    """Saving 1,500 characters of "key" took 35 seconds."""
    with cpu_limit(5):
        function(unit * (LENGTH // len(unit)))
