"""`openhands-llm-magic autoload`: every IPython of an environment loads the magics at its start."""

from __future__ import annotations

import ast
import os
import re
import shutil
import site
import subprocess
import sys
import venv
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from full_disk import full_disk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel import Kernel

import openhands_llm_magic
from openhands_llm_magic.cli import main
from openhands_llm_magic.notebook import autoload

PACKAGE = Path(openhands_llm_magic.__file__).parent
COMMAND = "import sys, openhands_llm_magic.cli as c; sys.exit(c.main(sys.argv[1:]))"
STARTS = "from IPython import start_ipython; start_ipython()"


@dataclass
class Environment:
    """An environment of its own that has the package, with a home folder.

    Attributes:
        prefix: Its folder.
        paths: The file that names where its packages are.
        cwd: The working folder.
    """

    prefix: Path
    paths: Path
    cwd: Path

    @property
    def env(self) -> dict[str, str]:
        """The variables of its processes: nothing that leads to other packages."""
        home = str(self.prefix.parent / "home")
        known = {"PATH": os.environ["PATH"], "HOME": home, "PYTHONPATH": "", "LC_ALL": "C.UTF-8"}
        return known | {n: os.environ[n] for n in ("IPYTHONDIR",) if n in os.environ}

    @property
    def python(self) -> str:
        """Its Python."""
        return str(self.prefix / "bin" / "python")

    @property
    def file(self) -> Path:
        """Its startup file."""
        return self.prefix / "etc" / "ipython" / "startup" / autoload.FILE_NAME

    @property
    def users_file(self) -> Path:
        """The person's startup file."""
        folder = self.prefix.parent / "home" / ".ipython" / "profile_default" / "startup"
        return folder / autoload.FILE_NAME

    def run(self, code: str, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run its Python."""
        return subprocess.run(  # noqa: S603 - a fixed text
            [self.python, "-c", code, *arguments],
            env=self.env,
            cwd=self.cwd,
            input=typed,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def switch(self, *arguments: str) -> str:
        """Run `openhands-llm-magic autoload`, which must do it; give what it prints."""
        done = self.run(COMMAND, "autoload", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def terminal(self, *lines: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
        """Type lines into a terminal IPython; give what it prints, and what it warns of."""
        plain = ("--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=NoColor")
        done = self.run(STARTS, *plain, *options, typed="".join(f"{line}\n" for line in lines))
        assert done.returncode == 0
        return done.stdout, done.stderr

    def kernel(self) -> Kernel:
        """Start a kernel."""
        return Kernel(self.env, str(self.cwd), python=self.python)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with what this one has, without its startup files."""
    prefix, cwd = tmp_path / "environment", tmp_path / "work"
    venv.create(prefix, symlinks=True)
    cwd.mkdir()
    (tmp_path / "home").mkdir()
    (packages,) = prefix.glob("lib/python*/site-packages")
    paths = packages / "others.pth"
    paths.write_text("\n".join([*site.getsitepackages(), str(PACKAGE.parent)]))
    return Environment(prefix, paths, cwd)


HEAVY = {"anywidget", "httpx", "ipywidgets", "litellm", "nh3", "openai", "pydantic", "tomlkit"}

SEEN = f"""\
import sys, threading
print("import litellm" in [each.name for each in threading.enumerate()])
print(sorted({{each.partition(".")[0] for each in sys.modules}} & {HEAVY}))
"""


@pytest.mark.parametrize(
    "scope", ["sys-prefix", pytest.param("user", marks=pytest.mark.slow)]
)  # the file has the same text in both
def test_a_kernel_and_a_terminal_have_the_magics(environment: Environment, scope: str) -> None:
    """From their first cell on, with Tab and help; nothing heavy is imported, no name is left."""
    said = environment.switch("on", f"--{scope}")
    file = environment.file if scope == "sys-prefix" else environment.users_file
    assert said.startswith(f"{file} is written, for ")
    with environment.kernel() as kernel:
        assert kernel.run(SEEN, silent=True).stdout == "False\n[]\n"
        assert "openhands" not in kernel.run("print([*globals()])", silent=True).stdout
        assert "--model" in kernel.complete("%llm --mo")
        assert "llm_usage" in str(kernel.run("%lsmagic").outputs)
        assert kernel.run("%llm_config num_retries=6").error is None
    printed, warned = environment.terminal("%llm_config num_retries=6", "%llm_config --show model")
    assert re.search(r"setting +value +from", printed)
    assert warned == ""


def test_litellm_is_imported_when_a_cell_names_us(environment: Environment) -> None:
    """Not by the person's own cells, also such as import or hold the word."""
    environment.switch("on")
    with environment.kernel() as kernel:
        kernel.run("import json\nllm = 'a name of theirs'")
        assert kernel.run(SEEN, silent=True).stdout == "False\n[]\n"
        kernel.run("%llm_config --show model")
        assert "'litellm'" in kernel.run(SEEN).stdout


@pytest.mark.slow
def test_a_first_prompt_may_be_the_first_cell(environment: Environment) -> None:
    """A question mark at its end is its own, and its lines are as they were typed."""
    environment.switch("on")
    with environment.kernel() as kernel:
        ran = kernel.run("%llm -m practice/echo Is it?")
        assert ran.error is None
        assert "Is it?" in str(ran.outputs)


def test_loading_it_in_a_cell_is_silent(environment: Environment) -> None:
    """A notebook that is shared has the line; it can be loaded anew and taken away, too."""
    environment.switch("on")
    there = "'llm' in get_ipython().magics_manager.magics['line']"
    with environment.kernel() as kernel:
        for line in ("%load_ext", "%reload_ext", "%unload_ext"):
            ran = kernel.run(f"{line} openhands_llm_magic\n{there}")
            assert (ran.stdout, ran.error) == ("", None)
            assert ran.outputs[0]["text/plain"] == str(line != "%unload_ext")


LOADS = ["%load_ext  ", "load_ext"]
"""Further ways to write it; each is typed into an IPython of its own, so not always."""


@pytest.mark.parametrize(
    "line",
    [
        "get_ipython().run_line_magic('load_ext', 'openhands_llm_magic')",
        *(pytest.param(f"{each} openhands_llm_magic", marks=pytest.mark.slow) for each in LOADS),
    ],
)
def test_in_whatever_form_it_is_loaded(environment: Environment, line: str) -> None:
    """As people write it, with automagic, and as nbconvert makes a script of it."""
    environment.switch("on")
    printed, warned = environment.terminal(line, "%llm_config -h")
    assert "already loaded" not in printed
    assert "%llm_config" in printed
    assert warned == ""


@pytest.mark.slow  # it starts some IPythons
def test_no_file_of_the_working_folder_runs(environment: Environment) -> None:
    """In a kernel and in a terminal, whatever it is called, once we are loaded as before."""
    environment.switch("on")
    for name in ("openhands_llm_magic", "litellm", "IPython", "tomllib", "httpx", "theirs"):
        (environment.cwd / f"{name}.py").write_text(f"open('ran-{name}', 'w').close()")
    with environment.kernel() as kernel:
        assert kernel.run("%llm_config num_retries=6").error is None
        assert kernel.run("import theirs").error is None
    assert [each.name for each in environment.cwd.glob("ran-*")] == ["ran-theirs"]
    (environment.cwd / "IPython.py").unlink()  # Python itself imports that here, as with `-m`
    printed, _ = environment.terminal("%llm_config num_retries=6", "print(6 * 7)")
    assert "42" in printed
    assert [each.name for each in environment.cwd.glob("ran-*")] == ["ran-theirs"]


THEIRS = "theirs = 6 * 7"


def after(environment: Environment) -> str:
    """Start an IPython in which a later startup file must run, too; give its warnings."""
    for file in (environment.file, environment.users_file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name("99-theirs.py").write_text(THEIRS)
    printed, warned = environment.terminal("print(theirs)")
    assert "42" in printed
    return warned


def others(environment: Environment) -> str:
    """Make a folder of all packages but ours, which may be installed beside them."""
    folder = environment.prefix / "others"
    folder.mkdir()
    for packages in filter(Path.is_dir, map(Path, site.getsitepackages())):  # Debian names more
        for each in packages.iterdir():
            if each.name.startswith("openhands_llm_magic"):
                continue
            with suppress(FileExistsError):  # as on the path, the first of a name counts
                (folder / each.name).symlink_to(each)
    return str(folder)


def test_an_uninstalled_package_is_one_warning(environment: Environment) -> None:
    """It names the file; that of the person may be meant for other environments, and is silent."""
    environment.switch("on")
    environment.switch("on", "--user")
    environment.paths.write_text(others(environment))
    warned = after(environment)
    assert warned.count("\n") == 1
    assert warned.rstrip().endswith(
        f"or only in the working folder; {environment.file} can be deleted"
    )
    with environment.kernel() as kernel:
        assert kernel.run("theirs").outputs[0]["text/plain"] == "42"
    environment.file.unlink()
    assert after(environment) == ""


BROKEN = [
    "raise RuntimeError('two\\nlines')",
    "syntax error",
    "import gone_for_good",
    "def load_ipython_extension(_): import gone_for_good",
]
"""Further ways to be broken; each is tried with an IPython of its own, so not always."""


@pytest.mark.parametrize(
    "code",
    [
        "def load_ipython_extension(_): raise ValueError('two\\nlines')",
        "",
        *(pytest.param(code, marks=pytest.mark.slow) for code in BROKEN),
    ],
)
def test_a_broken_package_is_one_warning_at_most(environment: Environment, code: str) -> None:
    """Kernels start, and other startup files run."""
    environment.switch("on")
    other = environment.prefix / "other"
    other.mkdir()
    (other / "openhands_llm_magic.py").write_text(code)
    environment.paths.write_text(f"{others(environment)}\n{other}")
    warned = after(environment)
    assert warned.count("\n") == bool(code)
    assert "Traceback" not in warned
    assert ("the magics of openhands-llm-magic are not loaded: " in warned) == bool(code)


@pytest.mark.slow  # it starts some IPythons
def test_another_magic_of_the_same_name_is_left_alone(environment: Environment) -> None:
    """Somebody has registered it before us; a line says how to have ours."""
    environment.switch("on")
    first = "get_ipython().register_magic_function(lambda line: 'theirs', magic_name='llm')"
    environment.file.with_name("00-first.py").write_text(first)
    printed, warned = environment.terminal(
        "%llm", "%load_ext openhands_llm_magic", "%llm_config -h"
    )
    assert "'theirs'" in printed
    assert warned.count("\n") == 1
    assert "there is another %llm" in warned
    assert "%llm_config" in printed


@pytest.mark.parametrize("config", ["extensions", pytest.param("lazy", marks=pytest.mark.slow)])
def test_a_configuration_that_loads_it_too(environment: Environment, config: str) -> None:
    """By the profile's configuration, at once or as lazy magics: each way it is there once."""
    environment.switch("on")
    lines = {
        "extensions": "c.InteractiveShellApp.extensions = ['openhands_llm_magic']",
        "lazy": "c.MagicsManager.lazy_magics = {'llm': 'openhands_llm_magic'}",
    }
    profile = environment.users_file.parents[1]
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(f"c = get_config()\n{lines[config]}\n")
    count = "sum('LLMSettings' == type(e).__name__ for e in get_ipython().configurables)"
    printed, warned = environment.terminal(f"print('there:', {count})", "%llm -h")
    assert "there: 1" in printed
    assert warned == ""


@pytest.mark.slow  # it starts some IPythons
def test_another_profile_reads_that_of_the_environment_alone(environment: Environment) -> None:
    environment.switch("on", "--user")
    shows = "print('loaded:', 'openhands_llm_magic' in get_ipython().extension_manager.loaded)"
    other = ("--profile=other", "--ProfileDir.location=" + str(environment.cwd / "profile"))
    assert "loaded: False" in environment.terminal(shows, options=other)[0]
    environment.switch("on")
    assert "loaded: True" in environment.terminal(shows, options=other)[0]


def test_status_tells_what_an_ipython_does(environment: Environment) -> None:
    """It starts one; what the files are does not decide alone."""
    done = environment.run(COMMAND, "autoload", "status")
    none, users, started = done.stdout.splitlines()
    assert (done.returncode, none) == (1, f"{environment.file}: there is none.")
    assert users == f"{environment.users_file}: there is none."
    assert started.endswith(": it does not load the magics.")
    environment.switch("on")
    told = environment.switch("status", "--sys-prefix").splitlines()
    whose = f"the environment {environment.prefix}"
    assert told == [
        f"{environment.file}: it is there, for {whose}.",
        f"An IPython of {environment.prefix} was started to see: it loads the magics.",
    ]
    first = "get_ipython().register_magic_function(lambda line: 'theirs', magic_name='llm')"
    environment.file.with_name("00-first.py").write_text(first)
    done = environment.run(COMMAND, "autoload", "status")
    assert done.returncode == 1
    assert "there is another %llm" in done.stdout.splitlines()[-1]


# What follows needs no environment of its own.


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> autoload.Place:
    """Where the file of an environment would be."""
    (tmp_path / "environment").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    return autoload.place_of("sys-prefix")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Give the one line in which it is refused."""
    assert main(["autoload", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"openhands-llm-magic autoload: .+\n", err)
    return err


def test_it_is_written_and_removed(
    place: autoload.Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others who use the environment can read it; nothing else is left."""
    assert main(["autoload", "off"]) == 0
    assert main(["autoload", "on"]) == main(["autoload", "on"]) == 0
    assert place.file.stat().st_mode & 0o777 == 0o666 & ~(os.umask(0o022) or os.umask(0o022))
    assert [each.name for each in place.file.parent.iterdir()] == [autoload.FILE_NAME]
    assert main(["autoload", "off"]) == 0
    assert [*place.file.parent.iterdir()] == []
    assert [
        line.removeprefix(f"{place.file}") for line in capsys.readouterr().out.splitlines()
    ] == [
        ": there is none.",
        f" is written, for the environment {place.root}.",
        "Kernels and IPython load the magics when they start anew.",
        f": it is there, for the environment {place.root}.",
        " is removed.",
    ]


@pytest.mark.parametrize("scope", autoload.SCOPES)
def test_old_pythons_can_read_it(scope: autoload.Scope) -> None:
    """The person's environments share it, and a warning of Python is one, too."""
    text = autoload.Place(scope, Path(), Path(autoload.FILE_NAME)).text()
    ast.parse(text, feature_version=(3, 4))
    assert compile(text, "startup", "exec")
    assert "f'" not in text
    assert 'f"' not in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_edited_is_the_persons(place: autoload.Place, data: st.DataObject) -> None:
    """Whatever was changed below the line that marks it; neither command touches it."""
    text = place.text()
    begins = text.index("\n", text.index(autoload.MARK)) + 1
    at = data.draw(st.integers(begins, len(text)))
    cut = data.draw(st.integers(0, 5))
    added = data.draw(st.text(st.characters(codec="utf-8"), max_size=5))
    edited = text[:at] + added + text[at + cut :]
    place.file.parent.mkdir(parents=True, exist_ok=True)
    place.file.write_bytes(edited.encode())
    expected = "current" if edited == text else "edited"
    assert place.state()[0] == expected
    for arguments in (["on"], ["off"]) if expected == "edited" else ():
        assert main(["autoload", *arguments]) == 1
        assert place.file.read_bytes() == edited.encode()


def of_another_version() -> str:
    """What an older version has written."""
    body = "\n\nprint('as it was once')\n"
    return f"{autoload.HEAD}{autoload.MARK}{autoload._digest(body)}\n{body}"


def test_one_of_another_version_is_renewed_and_removed(
    place: autoload.Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.file.parent.mkdir(parents=True)
    place.file.write_text(of_another_version())
    assert place.state()[0] == "stale"
    assert main(["autoload", "on"]) == 0
    assert place.file.read_text() == place.text()
    place.file.write_text(of_another_version())
    assert main(["autoload", "off"]) == 0
    assert not place.file.exists()
    assert "is written" in capsys.readouterr().out


def test_a_file_of_somebody_elses_is_left_alone(
    place: autoload.Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.file.parent.mkdir(parents=True)
    for content in (b"", b"print('mine')\n", b"\xff\x00", autoload.HEAD.encode()):
        place.file.write_bytes(content)
        for action in ("on", "off"):
            assert "it is not ours, and stays as it is" in refused(capsys, action)
        assert place.file.read_bytes() == content


def test_what_is_no_file_or_elsewhere_is_one_line(
    place: autoload.Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in its place, a link in its place or on the way to it, a file on the way."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "target.py").write_text("print('mine')")
    place.file.mkdir(parents=True)
    assert "it is a folder" in refused(capsys, "on")
    assert "it is a folder" in refused(capsys, "off")
    place.file.rmdir()
    place.file.symlink_to(elsewhere / "target.py")
    assert "it is a link" in refused(capsys, "on")
    assert "it is a link" in refused(capsys, "off")
    place.file.unlink()
    place.file.symlink_to(elsewhere / "missing.py")
    assert "it is a link" in refused(capsys, "on")
    place.file.unlink()
    place.file.parent.rmdir()
    place.file.parent.symlink_to(elsewhere)
    assert f"its folder is a link to another place ({elsewhere})" in refused(capsys, "on")
    place.file.parent.unlink()
    place.file.parent.write_text("a file")
    refused(capsys, "on")
    assert [each.name for each in elsewhere.iterdir()] == ["target.py"]
    assert (elsewhere / "target.py").read_text() == "print('mine')"


def test_a_folder_of_ipython_that_is_a_link_is_the_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those have it who keep their settings elsewhere: IPython reads it there, too."""
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "ipython").symlink_to(tmp_path / "dotfiles")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert main(["autoload", "on", "--user"]) == 0
    assert (tmp_path / "dotfiles" / "profile_default" / "startup" / autoload.FILE_NAME).is_file()


def test_a_folder_of_ipython_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """IPython takes a temporary one for each start, where nothing would be read again."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "file" / "ipython"))
    assert "IPython can write to no folder of yours" in refused(capsys, "on", "--user")
    assert "IPython can write to no folder of yours" in refused(capsys, "off", "--user")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to any folder")
def test_a_read_only_environment_is_one_line(
    place: autoload.Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the way that is left."""
    place.root.chmod(0o555)
    assert "With --user it is written for you alone." in refused(capsys, "on")


def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    place: autoload.Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.file.parent.mkdir(parents=True)
    with full_disk():
        refused(capsys, "on")
    assert [*place.file.parent.iterdir()] == []


@pytest.mark.parametrize("arguments", [["on", "--user", "--sys-prefix"], ["maybe"], []])
def test_a_bad_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["autoload", *arguments])
    assert caught.value.code == 2
    assert "openhands-llm-magic autoload: error: " in capsys.readouterr().err


def test_off_tells_of_the_other_file(
    place: autoload.Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert main(["autoload", "on", "--user"]) == 0
    assert main(["autoload", "off"]) == 0
    file = autoload.place_of("user").file
    told = f"{file} still loads them: `autoload off --user`."
    assert capsys.readouterr().out.splitlines()[-2:] == [f"{place.file}: there is none.", told]
    shutil.rmtree(tmp_path / "ipython")
