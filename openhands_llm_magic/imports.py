"""Imports that this package begins take nothing from the working folder.

A kernel looks for modules in its working folder first, and the folder may be a repository that
somebody else wrote. LiteLLM, the clients below it and their optional parts, many of which are
installed nowhere, are imported when the package is loaded and long afterwards, whenever a request
needs one: a file `brotli.py` would run in their place.

The person's own imports find what they always found, on every thread, also while ours go on. So
`sys.path` stays as it is, and who began an import is read from the stack.
"""

from __future__ import annotations

import functools
import os
import site
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, FrameType, ModuleType

_PACKAGE = __name__.partition(".")[0]
_LITELLM = "litellm"

PASS_ON: set[CodeType] = set()
"""The functions of ours that pass on an import which somebody else has begun."""


def guard() -> None:
    """Take nothing from the working folder from now on; a second call changes nothing.

    Where somebody has put another finder in the place of Python's, it is left there.
    """
    if PathFinder in sys.meta_path:
        finder: Any = _Installed()
        sys.meta_path[sys.meta_path.index(PathFinder)] = finder


class _Installed:
    """Python's search along `sys.path`, with one difference for what this package imports.

    A module is looked for as ever. Only where it lies in the working folder is it asked who
    imports it, so that all other imports cost what they did.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module; one that lies in the working folder is none for us.

        Parts of this package are, as in a clone of it: somebody chose to import it from there.
        """
        spec = PathFinder.find_spec(name, path, target)
        if name.startswith(f"{_PACKAGE}."):
            return spec
        folders = _left_out()
        if spec is None or not folders or folders.isdisjoint(_roots(spec)):
            return spec
        if not _is_ours(sys._getframe(1), folders):  # noqa: SLF001 - documented
            return spec
        kept = _kept(sys.path if path is None else path, folders, name.count("."))
        return PathFinder.find_spec(name, kept, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(PathFinder, name)


def _kept(path: Sequence[str], folders: frozenset[str], deep: int) -> list[str]:
    """Return what is left of a path without what is below the folders, so many levels deep."""
    return [each for each in path if isinstance(each, str) and _root(each, deep) not in folders]


def _left_out() -> frozenset[str]:
    """Return the entries of `sys.path`, as full paths, that lead to the working folder.

    So does one that is no full path, and the folder of the script that runs counts, too.
    """
    try:
        here = os.getcwd()  # noqa: PTH109 - a text, asked for with each import
    except OSError:  # the working folder has been deleted: nothing lies in it
        return frozenset()
    path = tuple(each for each in sys.path if isinstance(each, str))
    return _leading_to(here, path, getattr(sys.modules.get("__main__"), "__file__", None))


@functools.lru_cache(maxsize=16)
def _leading_to(here: str, path: tuple[str, ...], script: str | None) -> frozenset[str]:
    real = os.path.realpath
    installed = set(map(real, _installed()))
    full = [_full(each, here) for each in path]
    scripts = full[:1] if script and real(full[0]) == os.path.dirname(real(script)) else []  # noqa: PTH120 - texts
    led = [
        at
        for at, each in zip(full, path, strict=True)
        if at in scripts or not os.path.isabs(each) or real(at) == real(here)  # noqa: PTH117 - texts
    ]
    return frozenset(each for each in led if real(each) not in installed)


def _installed() -> list[str]:
    """Return the folders of Python's own modules and of installed packages.

    `sysconfig.get_paths` fails in some sessions of Python 3.13.0 (it has no `abi_thread`).
    """
    return [*site.getsitepackages(), site.getusersitepackages(), os.path.dirname(os.__file__)]  # noqa: PTH120 - texts


def _full(entry: str, here: str) -> str:
    """Return the text that stands in the places of modules found by an entry of `sys.path`."""
    return os.path.join(here, "" if entry == "." else entry).rstrip(os.sep) or os.sep  # noqa: PTH118


def _root(folder: str, deep: int) -> str:
    """Return the entry of `sys.path` that a package's folder, so many levels deep, is below."""
    full = folder if os.path.isabs(folder) else _full(folder, os.getcwd())  # noqa: PTH109, PTH117 - texts
    for _ in range(deep):
        full = os.path.dirname(full)  # noqa: PTH120 - as above
    return full.rstrip(os.sep) or os.sep


def _roots(spec: ModuleSpec) -> set[str]:
    """Return the entries of `sys.path` that a module was found in: several for a namespace."""
    places = spec.submodule_search_locations or [spec.origin or os.sep]
    return {_root(each, spec.name.count(".") + 1) for each in places}


def _is_ours(frame: FrameType | None, folders: frozenset[str]) -> bool:
    """Return whether an import was begun by this package, or by LiteLLM on a thread of its own.

    Code of the person that we call, such as a `__str__` or a callback, imports for itself: whose
    code is nearer counts. The person's is what a cell or a script holds, or lies in the folders.
    """
    seen: set[str] = set()
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        passes_on = frame.f_code in PASS_ON
        frame = frame.f_back
        if passes_on:
            continue
        if name == _PACKAGE:
            return True
        if name not in seen:
            spec = getattr(sys.modules.get(name), "__spec__", None)
            if name == "__main__" or (spec and not folders.isdisjoint(_roots(spec))):
                return False
        seen.add(name)
    return _LITELLM in seen
