"""`%llm` in terminal IPython, in a real terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = r"In \[\d+\]: "
COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """IPython in a terminal of 120 columns."""

    def __init__(self, home: Path, **env: str) -> None:
        home.mkdir()
        env |= {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "NO_COLOR": "1"}
        options = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor"]
        self._child: pexpect.spawn[str] = pexpect.spawn(
            sys.executable,
            options,
            env=env,
            encoding=env.get("PYTHONIOENCODING", "utf-8"),
            timeout=60,
            dimensions=(40, 120),
        )
        self._child.expect(PROMPT)

    def run(self, line: str) -> str:
        """Run a line and return what it wrote, carriage returns and all."""
        self.type(line)
        return self.until(PROMPT)

    def type(self, line: str) -> None:
        """Type a line."""
        self._child.sendline(line)

    def until(self, pattern: str) -> str:
        """Read until a pattern appears, and return what came before."""
        self._child.expect(pattern)
        return COLOURS.sub("", str(self._child.before))

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._child.sendintr()

    def close(self) -> None:
        """End it; pexpect alone gives it a tenth of a second to go."""
        self._child.kill(signal.SIGKILL)
        self._child.wait()
        self._child.close()


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Terminal IPython with the extension."""
    opened = Terminal(tmp_path_factory.mktemp("terminal") / "home")
    opened.run("%load_ext openhands_llm_magic")
    yield opened
    opened.close()


def test_a_wait_is_counted_down_in_one_line(terminal: Terminal) -> None:
    """The countdown rewrites its line, is erased, and a note stays under the answer."""
    shown = terminal.run("%llm -m practice/busy --retry-min-wait 3 Hello")
    waits = re.findall(r"\rServer error \(503\): retry 1 of 4 in (\d) s", shown)
    assert waits == ["3", "2", "1"]
    assert "\n" not in shown[shown.index("\rServer error") : shown.index("You wrote")]
    assert shown.count("> Hello") == 1
    assert "(waited 3 s for a server error, 1 retry)" in shown
    assert terminal.run("_").count("> Hello") == 1


def test_ctrl_c_ends_a_wait_with_one_line(terminal: Terminal) -> None:
    """Ctrl-C stops the wait, says so in one line, and the next prompt works."""
    terminal.type("%llm -m practice/rate-limited Hello")
    terminal.until(r"retry 1 of 4 in 3 s")
    terminal.interrupt()
    assert "Traceback" not in terminal.until(r"Stopped: stopped")
    terminal.until(PROMPT)
    assert "> Again" in terminal.run("%llm -m practice/echo Again")


def test_a_model_cannot_steer_the_terminal(terminal: Terminal) -> None:
    """Control characters in an answer are not written to the terminal."""
    shown = terminal.run(r"get_ipython().run_line_magic('llm', '-m practice/echo a\x1b[2J\x07b')")
    assert "\x07" not in shown
    assert "a[2Jb" in shown


def test_the_last_exception_is_explained(terminal: Terminal) -> None:
    """And a question may end in a question mark, which IPython takes for its help elsewhere."""
    terminal.run("1 / 0")
    shown = terminal.run("%llm_error -m practice/echo why is that?")
    assert "> 1 / 0" in shown
    assert "> ZeroDivisionError: division by zero" in shown
    assert "> why is that?" in shown


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.slow)])
def test_a_terminal_without_a_character_shows_another(tmp_path: Path, encoding: str) -> None:
    """Answers, waits, later looks and errors are shown, and what is kept is whole."""
    opened = Terminal(tmp_path / "its home", PYTHONIOENCODING=encoding)
    opened.run("%load_ext openhands_llm_magic")
    ask = "get_ipython().run_line_magic('llm', '-m practice/{} --retry-min-wait 2 {}')"
    shown = opened.run(ask.format("busy", r"a\u65e5b"))
    assert "> a?b" in shown
    assert "retry 1 of 4" in shown
    assert "Error" not in shown
    assert opened.run("_.is_whole, '\\u65e5' in _.text").strip().endswith("(True, True)")
    assert "> a" in opened.run("Out[2]")
    shown = opened.run(ask.format("echo", r"--no-such\u65e5 x"))
    assert "UsageError" in shown
    assert "Traceback" not in shown
    opened.close()


def test_the_person_is_asked_whether_a_function_may_be_called(tmp_path: Path) -> None:
    """Below the line of the wait, and what came of it stands above the answer."""
    path = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    terminal = Terminal(tmp_path / "home", **path)
    terminal.run("%load_ext openhands_llm_magic")
    terminal.run("double = lambda n: 2 * n")
    terminal.type('%llm -m practice/tools -t double call double {"n": 21}')
    terminal.until(r"Call double\(n=21\)\? \(run / always / no\) ")
    terminal.type("run")
    shown = terminal.until(PROMPT)
    assert re.search(r"\(double\(n=21\) · 0 s: 42\)\r\n", shown)
    assert "> 42" in shown[shown.index("The functions gave:") :]
    terminal.type('%llm -m practice/tools -t double call double {"n": 21}')
    terminal.until(r"\(run / always / no\) ")
    terminal.interrupt()
    assert "Stopped: stopped before practice/tools had answered." in terminal.until(PROMPT)
    terminal.close()
