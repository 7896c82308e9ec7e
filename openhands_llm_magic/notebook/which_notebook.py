"""Which notebook the cells of a session are in, for the ledger; a kernel knows none by itself."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.spending.attempt import here

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_VS_CODE = "__vsc_ipynb_file__"
"""The variable of the session that VS Code sets."""

_OF_JUPYTER = "JPY_SESSION_NAME"
"""The variable of the environment that Jupyter's server sets, for consoles, too."""

_COPY = re.compile(r"-jvsc-[0-9a-f-]+(?=\.ipynb)")
"""What VS Code adds to the name of a notebook for a server elsewhere."""

_CONSOLE = re.compile(
    r"(?:^|[\\/-])console-\d+-[0-9a-f-]+$|(?:^|[\\/])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}"
)


def note(shell: Any) -> None:
    """Let the rows of the ledger name the notebook of a session, where that is known."""
    here.notebook = notebook_of(shell.user_ns, os.environ)


def notebook_of(variables: Mapping[str, object], env: Mapping[str, str]) -> str:
    """Return the path of the notebook, or "" in a console, a terminal or an unknown place."""
    named = variables.get(_OF_VS_CODE) or env.get(_OF_JUPYTER)
    if not isinstance(named, str):
        return ""
    path = _COPY.sub("", named)
    if ".ipynb" in path:  # the name of a console beside it may follow
        return path[: path.rindex(".ipynb") + len(".ipynb")]
    return "" if _CONSOLE.search(path) else path
