"""Which notebook a session is in, as Jupyter's server and VS Code tell it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from kernel import Kernel

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.spending.ledger import ledger_of
from openhands_llm_magic.notebook.which_notebook import notebook_of

if TYPE_CHECKING:
    from pathlib import Path

UUID = "0a1b2c3d-0a1b-4c5d-8e9f-0a1b2c3d4e5f"


@pytest.mark.parametrize(
    ("variables", "env", "notebook"),
    [
        ({}, {}, ""),
        ({}, {"JPY_SESSION_NAME": "/home/ann/trip.ipynb"}, "/home/ann/trip.ipynb"),
        ({}, {"JPY_SESSION_NAME": "/home/ann/trip.md"}, "/home/ann/trip.md"),  # with Jupytext
        ({}, {"JPY_SESSION_NAME": f"/home/ann/console-1-{UUID}"}, ""),
        (
            {},
            {"JPY_SESSION_NAME": f"/home/ann/trip.ipynb-console-2-{UUID}"},
            "/home/ann/trip.ipynb",
        ),
        ({}, {"JPY_SESSION_NAME": f"/home/ann/{UUID}"}, ""),
        ({}, {"JPY_SESSION_NAME": f"trip-jvsc-{UUID}.ipynb"}, "trip.ipynb"),
        ({"__vsc_ipynb_file__": "c:\\ann\\trip.ipynb"}, {}, "c:\\ann\\trip.ipynb"),
        (
            {"__vsc_ipynb_file__": "/home/ann/trip.ipynb"},
            {"JPY_SESSION_NAME": f"/home/ann/trip-jvsc-{UUID}.ipynb"},
            "/home/ann/trip.ipynb",
        ),
        ({"__vsc_ipynb_file__": 3}, {"JPY_SESSION_NAME": "a.ipynb"}, ""),  # somebody else's
    ],
)
def test_what_the_surroundings_tell(
    variables: dict[str, object], env: dict[str, str], notebook: str
) -> None:
    assert notebook_of(variables, env) == notebook


def test_a_row_names_the_notebook_of_its_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that of a later name, once the notebook was renamed."""
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    env |= {
        "LLM_MAGIC_LEDGER": str(tmp_path / "ledger.sqlite3"),
        "JPY_SESSION_NAME": "/a/one.ipynb",
    }
    with Kernel(env, str(tmp_path)) as kernel:
        kernel.run("%load_ext openhands_llm_magic")
        assert kernel.run("%llm -m practice/echo Hello").error is None
        kernel.run("__vsc_ipynb_file__ = '/a/two.ipynb'")
        assert kernel.run("%llm_embed 'Hello' -m practice/embed").error is None
    ledger = ledger_of(load_settings())
    assert ledger is not None
    query = "SELECT gen_ai_operation_name, notebook, server_address FROM attempts ORDER BY id"
    told = ledger.rows(query)
    assert [each[:2] for each in told] == [("chat", "/a/one.ipynb"), ("embeddings", "/a/two.ipynb")]


LOAD = """\
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
without = "sqlite3" in sys.modules and sys.modules.pop("sqlite3")
shell.run_line_magic("load_ext", "openhands_llm_magic")
print([each for each in sys.modules if "spending" in each or each == "sqlite3"])
"""


def test_nothing_of_the_ledger_is_imported_by_load_ext(tmp_path: Path) -> None:
    """Nor SQLite by us, which IPython itself imports for its history."""
    told = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", LOAD], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert told.stdout.strip().splitlines()[-1] == "[]"
