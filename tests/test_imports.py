"""What this package imports is never a file of the working folder; the person's own imports are."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from kernel import Kernel

from openhands_llm_magic import imports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "only_in_the_working_folder"

FORMS = {
    "empty": "",
    "dot": ".",
    "full": "{here}",
    "with a slash": "{here}/",
    "roundabout": "{here}/sub/..",
    "link": "{here}-linked",
}
"""How the working folder may be named on the path."""


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python as it is once this package is in use."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    imports.guard()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The working folder, with a module in it that is nowhere else."""
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    (here / f"{NAME}.py").write_text("")
    Path(f"{here}-linked").symlink_to(here)
    os.chdir(here)  # `clean_environment` goes back
    yield here
    for each in [each for each in sys.modules if each.startswith((NAME, "theirs", "spread"))]:
        del sys.modules[each]


def importer(owner: str, code: str = f"import {NAME}") -> Callable[[], None]:
    """Make a function of a module of that name, which runs the code."""
    names: dict[str, Any] = {"__name__": owner}
    exec(f"def run(*_):\n    {code}", names)  # noqa: S102 - a fixed text
    run: Callable[[], None] = names["run"]
    return run


def vars_of(function: Any) -> dict[str, Any]:
    """Return the variables of a function's module."""
    names: dict[str, Any] = function.__globals__
    return names


OURS = "openhands_llm_magic.llm.sample"


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_ours_do_not_find_what_the_persons_find(folder: Path, form: str) -> None:
    """In whatever form the folder is on the path."""
    sys.path.insert(0, form.format(here=folder))
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError):
        importer(OURS)()
    importer("__main__")()


@pytest.mark.usefixtures("guarded")
def test_both_at_once(folder: Path) -> None:
    """On one thread ours finds nothing, on another the person's cell imports in the meantime."""
    sys.path.insert(0, "")
    names = [f"theirs{number}" for number in range(40)]
    for name in names:
        (folder / f"{name}.py").write_text("")
    found: list[bool] = []

    def search() -> None:
        find = f"import importlib.util as u; FOUND.append(u.find_spec('{NAME}') is not None)"
        ours = importer(OURS, find)
        vars_of(ours)["FOUND"] = found
        for _ in names:
            ours()

    thread = threading.Thread(target=search)
    thread.start()
    for name in names:
        importer("__main__", f"import {name}")()
    thread.join()
    assert found == [False] * len(names)


CALLED = {
    "a cell's function that ours calls": ("__main__", OURS, True),
    "ours that a cell calls": (OURS, "__main__", False),
    "installed code that ours calls": ("httpx._client", OURS, False),
    "installed code that a cell calls": ("httpx._client", "__main__", True),
    "a module of the folder that ours calls": ("theirs", OURS, True),
}


@pytest.mark.usefixtures("guarded", "folder")
@pytest.mark.parametrize(("inner", "outer", "finds"), CALLED.values(), ids=CALLED)
def test_whose_code_is_nearer_counts(inner: str, outer: str, *, finds: bool) -> None:
    """A person's `__str__` or callback, which we call, imports what it always did."""
    sys.path.insert(0, "")
    Path("theirs.py").write_text("")
    importer("__main__", "import theirs")()
    call = importer(outer, "INNER()")
    vars_of(call)["INNER"] = importer(inner)
    if finds:
        call()
    else:
        with pytest.raises(ModuleNotFoundError):
            call()


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(("owner", "finds"), [("litellm.utils", False), ("theirs", True)])
def test_a_thread_of_litellm_is_ours(folder: Path, owner: str, *, finds: bool) -> None:
    """It logs on threads that nobody of the person's is on."""
    assert folder.is_dir()
    sys.path.insert(0, "")
    failed: list[Exception] = []

    def run() -> None:
        try:
            importer(owner)()
        except ModuleNotFoundError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == [] if finds else len(failed) == 1


@pytest.mark.usefixtures("guarded")
def test_a_part_of_a_package_that_is_spread_over_folders(folder: Path, tmp_path: Path) -> None:
    """`tiktoken_ext` is one, and tiktoken runs each module that it finds in it."""
    for root in (folder, tmp_path / "site"):
        (root / "spread").mkdir(parents=True)
        (root / "spread" / f"in_{root.name}.py").write_text("")
    sys.path[:0] = ["", str(tmp_path / "site")]
    importer("__main__", "import spread")()  # all of its folders are known
    importer(OURS, "import spread.in_site")()
    with pytest.raises(ModuleNotFoundError):
        importer(OURS, "import spread.in_here")()
    importer("__main__", "import spread.in_here")()


@pytest.mark.usefixtures("guarded")
def test_no_entry_point_of_the_folder_runs_for_ours(folder: Path) -> None:
    """Some packages, such as pydantic and keyring, import what distributions on the path name."""
    made = folder / "bait-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: bait\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(f"[pydantic]\nbait = {NAME}\n")
    sys.path.insert(0, "")
    load = "import importlib.metadata as m; [each.load() for each in m.entry_points(name='bait')]"
    with pytest.raises(ModuleNotFoundError):
        importer(OURS, load)()
    importer("__main__", load)()


def test_a_clone_of_this_package_may_be_the_working_folder() -> None:
    """Its parts are found where it was."""
    code = "from openhands_llm_magic import ask, load_settings; load_settings(env={})"
    done = subprocess.run(  # noqa: S603 - fixed text
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_another_finder_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has put theirs in the place of Python's."""
    theirs = [ModuleType("finder")]
    monkeypatch.setattr(sys, "meta_path", theirs)
    imports.guard()
    assert sys.meta_path == theirs


@pytest.mark.usefixtures("guarded")
def test_a_deleted_working_folder(tmp_path: Path) -> None:
    """There is nothing in it, and imports go on."""
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    sys.path.insert(0, "")
    importer(OURS, "import wave")()
    os.chdir(tmp_path)


LATE = ("colorama", "httpcore", "jiter", "mcp", "socksio", "tornado", "trio")
"""What is imported, or looked for, while a request is made, whether LiteLLM is there or not."""

ASKS = """\
from pathlib import Path
from openhands_llm_magic.llm.litellm.loading import load
load()
for name in {names}:
    Path(name + ".py").write_text(f"open('ran-{{name}}', 'w').close()")
from openhands_llm_magic import ask
assert ask("Is it?", model="practice/echo").text
"""


@pytest.mark.slow
def test_no_file_of_the_folder_runs_with_a_request(tmp_path: Path) -> None:
    """LiteLLM and its clients import more when they send, on threads of ours."""
    done = subprocess.run(  # noqa: S603 - fixed text
        [sys.executable, "-c", ASKS.format(names=LATE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [each.name for each in tmp_path.glob("ran-*")] == []


SEEN = """\
import sys, threading
print([each.name for each in threading.enumerate() if each.name == "import litellm"])
print(sorted({each.partition(".")[0] for each in sys.modules} & {
    "litellm", "openai", "httpx", "pydantic", "ipywidgets", "anywidget", "tomlkit", "nh3"}))
"""


@pytest.mark.slow  # it starts a kernel of its own
def test_a_kernel_that_loads_the_extension_imports_nothing_by_that(tmp_path: Path) -> None:
    """Nothing that lies in the folder runs, the package's own name included.

    The example configuration names the package before IPython has the folder on its path.
    """
    example = Path(__file__).parents[1] / "jupyter-config" / "ipython_config.py"
    profile = tmp_path / "home" / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(example.read_text())
    for name in ("openhands_llm_magic", "litellm", "tomlkit", "httpx", *LATE):
        (tmp_path / f"{name}.py").write_text(f"open('ran-{name}', 'w').close()")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    with Kernel(env, str(tmp_path)) as kernel:
        assert kernel.run(SEEN, silent=True).stdout.split("\n") == ["[]", "[]", ""]
        kernel.run("1 + 1")  # the person's, who may never come to a prompt
        assert kernel.run(SEEN).stdout.split("\n") == ["[]", "[]", ""]
        kernel.run("%llm_config num_retries=6")
        assert "'litellm'" in kernel.run(SEEN).stdout  # the cell waited, as it imports
        assert kernel.run("%llm -m practice/echo Is it?").error is None
    assert [each.name for each in tmp_path.glob("ran-*")] == []
