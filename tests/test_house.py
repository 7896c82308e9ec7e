"""The house of docs/design.md: imports go down only, and heavy packages have one home each."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = "openhands_llm_magic"

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
}

MAY_IMPORT = {
    "cli": {"cli", "notebook", "llm", "config", "errors"},  # it speaks the person's language
    "notebook": {"notebook", "llm", "config", "errors"},
    "llm": {"llm", "config", "errors", "imports"},
    "config": {"config", "errors"},
    "errors": set[str](),
    "imports": set[str](),
}
"""What each floor of the package may import of the package, at run time or for types."""

HOME_OF = {
    "IPython": f"{PACKAGE}.notebook",
    "ipywidgets": f"{PACKAGE}.notebook",
    "anywidget": f"{PACKAGE}.notebook",
    "keyring": f"{PACKAGE}.config.keychain",
    "litellm": f"{PACKAGE}.llm.litellm",
    **dict.fromkeys(("mcp", "mcp_types", "httpx2"), f"{PACKAGE}.llm.tools.mcp_connection"),
}
"""The one place that may import each of these packages."""


@dataclass(frozen=True)
class Import:
    """One imported name: `target` is "package.module.name", as far as the statement says."""

    target: str
    line: int
    in_function: bool
    for_types: bool

    def __str__(self) -> str:
        return f"line {self.line}: {self.target}"


def find_imports(
    node: ast.AST, *, in_function: bool = False, for_types: bool = False
) -> Iterator[Import]:
    """Find every import in a piece of code, also `import_module("...")`."""
    match node:
        case ast.Import(names=names, lineno=line):
            for alias in names:
                yield Import(alias.name, line, in_function, for_types)
        case ast.ImportFrom(module=module, names=names, lineno=line):
            for alias in names:
                yield Import(f"{module}.{alias.name}", line, in_function, for_types)
        case ast.Call(
            func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(str(target)), *_],
            lineno=line,
        ):
            yield Import(target, line, in_function, for_types)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            in_function = True
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            for_types = True
    for child in ast.iter_child_nodes(node):
        yield from find_imports(child, in_function=in_function, for_types=for_types)


@cache
def imports_of(module: str) -> list[Import]:
    """List the imports of one module of the package."""
    return list(find_imports(ast.parse(MODULES[module].read_text("utf-8"))))


def within(name: str, package: str) -> bool:
    """Tell whether a dotted name is a package or something in it."""
    return name == package or name.startswith(package + ".")


def test_imports_go_down_only() -> None:
    """This counts imports inside functions and for types alone, too."""
    upward = [
        f"{module}, {one}"
        for module in MODULES
        if module != PACKAGE
        for one in imports_of(module)
        if within(one.target, PACKAGE)
        and one.target.split(".")[1] not in MAY_IMPORT[module.split(".")[1]]
    ]

    assert upward == [], f"each floor may import these of this package: {MAY_IMPORT}"


def test_the_package_itself_imports_only_on_use() -> None:
    at_import = [
        str(one)
        for one in imports_of(PACKAGE)
        if within(one.target, PACKAGE) and not (one.in_function or one.for_types)
    ]

    assert at_import == [], "import it inside the entry point or the attribute that needs it"


def test_heavy_packages_have_one_home() -> None:
    """The package's own entry points may import IPython as well, when IPython calls them."""
    strays = [
        f"{module}, {one}"
        for module in MODULES
        for one in imports_of(module)
        for package, home in HOME_OF.items()
        if within(one.target, package) and not within(module, home)
        if not (module == PACKAGE and (one.in_function or one.for_types))
    ]

    assert strays == [], f"each has one home: {HOME_OF}"


def test_the_config_floor_and_the_command_line_do_not_speak_of_magics() -> None:
    """What they say is read in scripts and terminals, too, where no magic can be typed."""
    speaking = [
        f"{module}, {found}"
        for module, path in MODULES.items()
        if module.split(".")[1:2] in (["config"], ["cli"])
        for found in re.findall(r"%%?llm\w*", path.read_text("utf-8"))
    ]

    assert speaking == []


def test_litellm_is_imported_inside_functions_only() -> None:
    """Importing it takes seconds, so `%load_ext` must not."""
    eager = [
        f"{module}, {one}"
        for module in MODULES
        for one in imports_of(module)
        if within(one.target, "litellm") and not one.in_function
    ]

    assert eager == []


@pytest.mark.parametrize(
    ("floor", "heavy"),
    [
        (f"{PACKAGE}.config", {"IPython", "ipywidgets", "keyring", "litellm", "tomlkit"}),
        (f"{PACKAGE}.llm", {"IPython", "ipywidgets", "litellm", "mcp", "tomlkit"}),
        (f"{PACKAGE}.notebook", {"litellm"}),
    ],
)
def test_importing_is_light(floor: str, heavy: set[str]) -> None:
    """Importing every module of a floor, and so the package itself, in a fresh interpreter."""
    modules = [name for name in MODULES if within(name, floor)]
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()

    assert heavy.isdisjoint(loaded)
