"""A key shows nowhere: not in a message of the kernel, a saved notebook or the history."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from kernel import Kernel
from model_server import Answer, Cut, ModelServer, Refuse, Step
from nbformat.v4 import new_code_cell, new_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "sk-canary-0123456789abcdef"

STEPS: dict[str, Step] = {
    "answered": Answer(f"Your key is {CANARY}, isn't it?"),
    "answered in pieces": Answer(chunks=("Your key is sk-can", "ary-0123456", "789abcdef!")),
    "echoed in a refusal": Refuse(401, message=f"Incorrect API key provided: {CANARY}."),
    "echoed in a bad request": Refuse(400, message=f"Bearer {CANARY}"),
    "echoed in a rate limit": Refuse(429, {"retry-after": "0"}, message=f"{CANARY} is too fast"),
    "echoed by a failing server": Refuse(500, message=CANARY),
    "cut": Cut(after_chunks=1, of=Answer(f"{CANARY} and so on and on")),
}


@pytest.fixture(scope="module")
def keyed_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose environment and ipython_config.py hold keys."""
    home = tmp_path_factory.mktemp("home")
    profile = home / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(f"c.LLMSettings.api_key = '{CANARY}'\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "GROQ_API_KEY": CANARY}
    with Kernel(env | {"LLM_API_KEY": CANARY}, cwd=str(home)) as kernel:
        assert CANARY not in kernel.run("%load_ext openhands_llm_magic").everything
        kernel.run("%xmode Verbose")
        yield kernel


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_no_message_holds_the_key(
    keyed_kernel: Kernel, model_server: ModelServer, step: Step
) -> None:
    """Success and every failure, with `%xmode Verbose`: no iopub message has the key."""
    model_server.script(step)
    options = f"-m openai/test --base-url {model_server.openai_base}"
    for front in ("lab", "console", "nobody"):
        cell = f"%%llm {options} --retry-min-wait 0 --num-retries 1\nHi"
        assert CANARY not in keyed_kernel.run(cell, front).everything
    for look in ("_", "_.error", "print(_)", "%tb", "_.messages", "raise _.error"):
        assert CANARY not in keyed_kernel.run(look).everything
    assert f"Bearer {CANARY}" in model_server.received[-1].headers["authorization"]


SIGHTS = [
    "%llm_config",
    "%llm_config --show",
    "%llm_config --show api_key",
    "%config LLMSettings",
    "%config LLMSettings.api_key",
    "%config LLMSettings.num_retries = 'x'",
    "get_ipython().config",
    "[vars(c) for c in get_ipython().configurables if type(c).__name__ == 'LLMSettings']",
    "from openhands_llm_magic import load_settings; s = load_settings(); s, s.api_key, vars(s)",
    "%llm_config base_url=http://127.0.0.1:9 temperature=hot",
]


@pytest.mark.parametrize("code", SIGHTS)
def test_no_look_at_the_settings_shows_the_key(keyed_kernel: Kernel, code: str) -> None:
    """Whoever looks at the settings sees that there is a key, and not the key."""
    ran = keyed_kernel.run(code)
    assert CANARY not in ran.everything


@pytest.mark.slow
def test_a_key_that_was_typed_on_a_line_does_not_show_in_what_is_said_of_it(
    keyed_kernel: Kernel,
) -> None:
    for line in (f"--{CANARY} x", f"--{CANARY}=x", f"-f 9{CANARY}9"):
        error = str(keyed_kernel.run(f"%%llm {line}\nHello").error)
        assert error.startswith("UsageError: ")
        assert CANARY not in error
        assert len(error.splitlines()) == 1


def test_no_saved_notebook_holds_the_key(model_server: ModelServer, tmp_path: Path) -> None:
    """A notebook that nbclient ran and saved, with failures in it, is free of the key."""
    model_server.script(*STEPS.values())
    options = f"--base-url {model_server.openai_base} --retry-min-wait 0 --num-retries 0"
    cells = ["import os", f"os.environ['LLM_API_KEY'] = bytes({list(CANARY.encode())}).decode()"]
    cells += ["%load_ext openhands_llm_magic", "%llm_config model=openai/test", "%llm_config"]
    cells += ["%llm_config --show"]
    cells += [f"%%llm {options}\nHi"] * len(STEPS)
    tags = {"tags": ["raises-exception"]}
    notebook = new_notebook(cells=[new_code_cell(source, metadata=tags) for source in cells])
    saved = tmp_path / "saved.ipynb"
    nbformat.write(notebook, saved)
    Path.home().mkdir()

    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, Path(__file__).parents[2] / "notebooks" / "show.py", "--save", saved],
        check=True,
        capture_output=True,
    )

    assert "AuthenticationError" in saved.read_text()
    assert CANARY not in saved.read_text()
    assert CANARY.encode() not in ran.stdout + ran.stderr
