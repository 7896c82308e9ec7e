"""The import of LiteLLM: in silence, apart from others, and never from the working folder."""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from openhands_llm_magic.errors import LibraryError
from openhands_llm_magic.llm.litellm import loading
from openhands_llm_magic.llm.litellm.loading import load

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(code: str | Path, folder: Path, *, path: str = "") -> str:
    """Run a script, or code with its working folder at the head of its path, in its own Python."""
    script = [str(code)] if isinstance(code, Path) else ["-c", code]
    done = subprocess.run(  # noqa: S603 - fixed text
        [sys.executable, *script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def no_litellm() -> Iterator[None]:
    """LiteLLM as if it had not been imported; it is put back afterwards."""
    kept = {name: each for name, each in sys.modules.items() if _is_litellm(name)}
    _forget()
    yield
    _forget()
    sys.modules.update(kept)


def _forget() -> None:
    for name in filter(_is_litellm, list(sys.modules)):
        del sys.modules[name]


def _is_litellm(name: str) -> bool:
    return name.partition(".")[0] == "litellm"


AT_ONCE = """
import builtins, os, sys, threading
from openhands_llm_magic import imports
from openhands_llm_magic.llm.litellm.loading import is_loaded, load, load_in_background
imports.guard()  # which stays
os.environ.pop("TIKTOKEN_CACHE_DIR", None)  # of a LiteLLM in the parent process
before = dict(os.environ), builtins.__import__, list(sys.meta_path)
assert not is_loaded()
found = []
threads = [threading.Thread(target=lambda: found.append(load().completion)) for _ in range(3)]
threads += [load_in_background() for _ in range(3)]
for thread in threads: thread.start() if not thread.ident else None
assert not is_loaded()
for thread in threads: thread.join(60)
assert not any(thread.is_alive() for thread in threads)
assert is_loaded()
after = dict(os.environ), builtins.__import__, sys.meta_path[:len(before[2])]
after[0].pop("TIKTOKEN_CACHE_DIR", None)  # LiteLLM sets it with its first answer, and needs it
assert after == before, (set(after[0].items()) ^ set(before[0].items()), after[1:], before[1:])
import litellm
assert found == [litellm.completion] * 3
"""


@pytest.mark.slow
def test_threads_can_load_it_at_once(tmp_path: Path) -> None:
    """They all get the whole of it, nothing is printed, and all is as before.

    As when `%load_ext`, `%reload_ext` and a prompt follow each other.
    """
    assert run(AT_ONCE, tmp_path) == ""


INDIRECT = """\
import builtins, os, pathlib, sys
pathlib.Path("theirs.py").write_text("from litellm.exceptions import RateLimitError")
pathlib.Path(".env").write_text("LLM_MODEL=from-dotenv")
from openhands_llm_magic.llm.litellm.loading import load_in_background
thread = load_in_background()
while "litellm" not in sys.modules: pass  # until it is in the middle of it
import theirs
thread.join()
assert "LLM_MODEL" not in os.environ
"""


@pytest.mark.slow
def test_an_import_elsewhere_waits_for_the_one_in_the_background(tmp_path: Path) -> None:
    """A module of the person's that imports a part of LiteLLM works; no .env is loaded meanwhile.

    It is found in the working folder, as ever: that is left out for the background's thread alone.
    """
    assert run(INDIRECT, tmp_path) == ""


EXITS = """\
import pathlib, sys, time
from types import ModuleType
from openhands_llm_magic.llm.litellm.loading import load_in_background
folder = pathlib.Path("elsewhere").absolute()
folder.mkdir()
sys.path.append(str(folder))
(folder / "first.py").write_text("import time; print('begun'); time.sleep(1); print('over')")
(folder / "second.py").write_text("print('begun, too')")
sys.modules["litellm"] = ModuleType("litellm")
sys.modules["litellm"].completion = None
load_in_background(["first", "second"])
while "first" not in sys.modules: pass
"""


def test_python_exits_between_two_imports(tmp_path: Path) -> None:
    """Within one, the lock of all imports would be left taken, and finalizers that import hang."""
    assert run(EXITS, tmp_path).split("\n") == ["begun", "over", ""]


SHADOWS = ("litellm", "openai", "httpx", "brotli", "tiktoken_ext", "random_of_theirs", "zstandard")
"""Files that may lie in a working folder; some of the names are not installed anywhere else."""

SHADOWED = """\
import importlib.util, json, sys, threading
from openhands_llm_magic.llm.litellm.loading import load_in_background
load_in_background().join()
print(json.dumps([sys.modules["litellm"].__file__, importlib.util.find_spec("brotli").origin]))
"""


def shadow(folder: Path) -> None:
    """Put files into a folder that tell when they run."""
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"open('ran-{name}', 'w').close()\n")
    (folder / "litellm-tools").mkdir()  # not a module, and no trouble
    (folder / "aiohttp").mkdir()
    (folder / "aiohttp" / "__init__.py").write_text("open('ran-aiohttp', 'w').close()\n")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", ".", "{folder}", "{folder}/sub/.."])
def test_no_file_of_the_working_folder_runs(tmp_path: Path, path: str) -> None:
    """In whatever form the folder is on the path; afterwards it is searched as before."""
    (tmp_path / "sub").mkdir()
    shadow(tmp_path)
    found, optional = json.loads(run(SHADOWED, tmp_path, path=path.format(folder=tmp_path)))
    assert [each.name for each in tmp_path.glob("ran-*")] == []
    assert not found.startswith(str(tmp_path))
    assert optional == str(tmp_path / "brotli.py") or "site-packages" in optional


@pytest.mark.slow
def test_no_file_beside_a_script_runs(tmp_path: Path) -> None:
    """A script's folder is at the head of its path, wherever it is started from."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shadow(scripts)
    script = scripts / "ask.py"
    script.write_text(SHADOWED)
    run(script, tmp_path)
    assert [each.name for each in tmp_path.rglob("ran-*")] == []


@pytest.mark.usefixtures("no_litellm")
def test_what_lies_in_the_working_folder_is_not_litellm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A clone of LiteLLM that is the working folder counts as not installed."""
    (tmp_path / "litellm.py").write_text("completion = 'theirs'")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])
    with pytest.raises(
        LibraryError, match=r"^LiteLLM cannot be imported \(ModuleNotFound.*again\.$"
    ):
        load()
    assert "litellm" not in sys.modules


@pytest.mark.usefixtures("no_litellm")
def test_a_module_of_the_same_name_is_told() -> None:
    """The person's own cell has imported it before; it is named, and left alone."""
    theirs = ModuleType("litellm")
    theirs.__file__ = "/home/me/litellm.py"
    sys.modules["litellm"] = theirs  # `no_litellm` puts the real one back
    with pytest.raises(LibraryError, match=r"is not LiteLLM \(/home/me/litellm\.py\): rename"):
        load()
    assert sys.modules["litellm"] is theirs


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Put a module in LiteLLM's place, as if it were installed."""
    site = folder / "site"
    site.mkdir()
    package = site / "litellm"
    package.mkdir()
    (package / "part.py").write_text("")
    init = package / "__init__.py"
    init.write_text(text)
    monkeypatch.syspath_prepend(site)
    return init


@pytest.mark.usefixtures("no_litellm")
@pytest.mark.parametrize(
    "broken", ["import nothing_of_the_kind", "1 / 0", "def (", "raise ImportError('a\\nb\\nc')"]
)
def test_a_broken_one_is_told_in_a_line_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str
) -> None:
    """Once it is mended, the next prompt finds it, and no part of the broken one is left."""
    init = installed(tmp_path, monkeypatch, f"import litellm.part\n{broken}\n")
    with pytest.raises(LibraryError, match="LiteLLM cannot be imported") as caught:
        load()
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert not list(filter(_is_litellm, sys.modules))
    init.write_text("completion = 'mended, and longer than before'")
    assert load().completion.startswith("mended")


@pytest.mark.usefixtures("no_litellm")
def test_the_background_keeps_a_failure_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A thread that fails would print a traceback into some cell."""
    installed(tmp_path, monkeypatch, "1 / 0")
    failed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    loading.load_in_background().join()
    assert failed == []
    assert not loading.is_loaded()


@pytest.mark.usefixtures("no_litellm")
@pytest.mark.parametrize("before", [None, "", "False"])
def test_the_download_of_prices_is_off_during_the_import_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str | None
) -> None:
    """Shown with a module in LiteLLM's place that notes the variable."""
    name = "LITELLM_LOCAL_MODEL_COST_MAP"
    if before is not None:
        monkeypatch.setenv(name, before)
    text = f"import os\ncompletion = os.environ[{name!r}]\n"
    installed(tmp_path, monkeypatch, text)
    assert load().completion == "True"
    assert os.environ.get(name) == before


COUNTS = "import gc\ncompletion = gc.get_threshold()\n"


@pytest.mark.usefixtures("no_litellm")
@pytest.mark.parametrize("theirs", ["", "gc.disable()", "gc.set_threshold(7, 7, 7)"])
def test_the_garbage_collector_is_held_off_meanwhile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, theirs: str
) -> None:
    """What the person sets meanwhile stays; else all is as before."""
    before, was_on = gc.get_threshold(), gc.isenabled()
    installed(tmp_path, monkeypatch, COUNTS + theirs)
    try:
        assert load().completion[0] == loading.YOUNG_OBJECTS
        assert gc.get_threshold() == ((7, 7, 7) if "threshold" in theirs else before)
        assert gc.isenabled() == (was_on and "disable" not in theirs)
        assert gc.get_freeze_count() < loading.PYTHONS_FROZEN
    finally:
        gc.set_threshold(*before)
        if was_on:
            gc.enable()


NO_PAUSE = """\
import gc
from openhands_llm_magic.llm.litellm.loading import load
load()
looked_through = []
gc.callbacks.append(lambda phase, info: looked_through.append(len(gc.get_objects(0))))
some = [[] for _ in range(2000)]
assert max(looked_through) < 10_000, looked_through
"""


@pytest.mark.slow
def test_the_new_modules_are_not_looked_through_at_once(tmp_path: Path) -> None:
    """The collector takes them for old when it is let go, so the first answer has no pause."""
    assert run(NO_PAUSE, tmp_path) == ""


NOTHING_SENT = """\
import sys
from openhands_llm_magic.llm.litellm.loading import load_in_background
SENDS = {"connect", "getaddrinfo", "gethostbyname", "sendto", "sendmsg"}
sent = []
sys.addaudithook(lambda event, _: sent.append(event) if event[7:] in SENDS else None)
load_in_background().join()
assert not sent, sent
assert "openai.resources.chat.completions" in sys.modules  # it got as far as its client
assert "tiktoken_ext.openai_public" in sys.modules  # and counted the tokens of its answer
"""


@pytest.mark.slow
def test_the_rehearsal_sends_nothing(tmp_path: Path) -> None:
    """No name is looked up, no address connected to, nothing listened on; no server hears of it."""
    assert run(NOTHING_SENT, tmp_path) == ""


GATHERED = """\
import importlib, json, random, sys
from openhands_llm_magic.llm.litellm import loading
if sys.argv[-1] == "on use":
    loading.load_in_background().join()
packages = json.loads(sys.argv[1])
found = {}
for package in random.Random(int(sys.argv[2])).sample(packages, len(packages)):
    module = importlib.import_module(package)
    names = [each for each in dir(module) if each[0] != "_" and each != "annotations"]
    for name in random.Random(int(sys.argv[2])).sample(names, len(names)):
        value = getattr(module, name)
        found[f"{package}:{name}"] = getattr(value, "__module__", "") + repr(value)
print(json.dumps([found, [each for each in packages if isinstance(
    importlib.import_module(each).__loader__, loading._OnUse)]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
def test_what_is_imported_on_use_is_all_there(tmp_path: Path, order: int) -> None:
    """The contract with OpenAI's client: in any order, each name is what it is without us."""
    openai = importlib.import_module("openai")
    root = Path(str(openai.__file__)).parent
    packages = [
        ".".join(("openai", *init.parent.relative_to(root).parts))
        for folder in ("types", "resources")
        for init in sorted((root / folder).rglob("__init__.py"))
    ]

    def names(how: str) -> tuple[dict[str, str], list[str]]:
        done = subprocess.run(  # noqa: S603 - fixed text
            [sys.executable, "-c", GATHERED, json.dumps(packages), str(order), how],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        found, on_use = json.loads(done.stdout)
        return found, on_use

    ours, on_use = names("on use")
    theirs, _ = names("at once")
    assert "openai.types" in on_use
    # A module is an attribute of its package once something has imported it.
    for names_of in (ours, theirs):
        for name in [each for each, value in names_of.items() if value.startswith("<module ")]:
            del names_of[name]
    assert len(ours) > 1000
    assert ours == theirs


def package_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> ModuleType:
    """Make a package, and import it as those of OpenAI's client are."""
    package = folder / "gathering"
    package.mkdir()
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(loading, "GATHERING", ("gathering",))
    for name in ("gathering", "gathering.one", "gathering.two", "gathering.three"):
        monkeypatch.setitem(sys.modules, name, sys)  # so that it is taken away afterwards
        del sys.modules[name]
    monkeypatch.chdir("/")
    with loading._gathering_on_use():
        return importlib.import_module("gathering")


def test_a_package_that_only_gathers_imports_on_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module: Any = package_of(
        tmp_path,
        monkeypatch,
        __init__='"""Names."""\nfrom .one import One as One\nfrom .two import (Two, More as Most)',
        one="One = 1",
        two="Two = 2\nMore = 3",
        three="",
    )
    assert "gathering.one" not in sys.modules
    assert module.One == 1
    assert "gathering.two" not in sys.modules
    assert {"One", "Two", "Most"} <= set(dir(module))
    everything: dict[str, Any] = {}
    exec("from gathering import *", everything)  # noqa: S102 - a fixed text
    assert (everything["Two"], everything["Most"]) == (2, 3)
    assert module.three.__name__ == "gathering.three"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = module.Nothing


def test_what_cannot_be_imported_alone_is_imported_as_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A module that counts on another to have been imported before it."""
    module: Any = package_of(
        tmp_path,
        monkeypatch,
        __init__="from .one import One\nfrom .two import Two\n",
        one="import sys\nsys.modules['gathering'].ready = 1\nOne = 1",
        two="from gathering import ready\nTwo = ready + 1",
    )
    assert module.Two == 2


@pytest.mark.parametrize(
    "text",
    ["from .one import One\nprint", "from .one import *", "import os", "from .one import one", "("],
)
def test_any_other_package_is_imported_as_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """One that does anything else, whose names are not in its file, or are those of its modules."""
    if text == "(":
        with pytest.raises(SyntaxError):
            package_of(tmp_path, monkeypatch, __init__=text)
        return
    module = package_of(tmp_path, monkeypatch, __init__=text, one="One = one = 1")
    assert "__getattr__" not in vars(module)
