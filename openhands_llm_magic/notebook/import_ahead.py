"""LiteLLM is imported in the background as soon as a prompt is near, and other imports wait."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading


OURS = "openhands_llm_magic"
"""The name of the extension."""

_LOADS_US = re.compile(rf"\bload_ext\W+{OURS}\b")

FOR_THE_FIRST_ANSWER = (
    "openhands_llm_magic.llm.run",
    "openhands_llm_magic.notebook.asking",
    "openhands_llm_magic.notebook.dry_run",
    "openhands_llm_magic.notebook.from_ai",
    "openhands_llm_magic.notebook.prompt",
    "openhands_llm_magic.notebook.scope",
    "openhands_llm_magic.notebook.settings_table",
    "openhands_llm_magic.notebook.several",
    "openhands_llm_magic.notebook.which_notebook",
    "openhands_llm_magic.notebook.view.display",
    "openhands_llm_magic.notebook.view.live",
    "openhands_llm_magic.notebook.view.sanitize",
    "markdown_it",
    "nh3",
)
"""What a prompt imports on use; all of it is there when the person has read for a while."""


def import_when_used(shell: Any) -> None:
    """Start to import LiteLLM in the background when a prompt is near: a cell names us.

    It is at the end of the cell of `%load_ext`, and where a first `%llm` begins. A kernel that
    loads the extension when it starts may never come to a prompt, and imports nothing by that.
    """

    def begin(_: Any) -> None:
        from openhands_llm_magic.llm.litellm.loading import load_in_background  # noqa: PLC0415 - a prompt is near now

        shell.events.unregister("pre_run_cell", begin_early)
        shell.events.unregister("post_run_cell", begin_late)
        _let_imports_wait(shell, load_in_background(FOR_THE_FIRST_ANSWER))

    def begin_early(info: Any) -> None:
        cell = info.raw_cell or ""
        if _LOADS_US.search(cell):  # else IPython would say in the cell that it is loaded already
            shell.extension_manager.loaded.discard(OURS)
        if "%llm" in cell:
            begin(info)

    def begin_late(result: Any) -> None:
        if OURS in (result.info.raw_cell or ""):
            begin(result)

    shell.events.register("pre_run_cell", begin_early)
    shell.events.register("post_run_cell", begin_late)


def _let_imports_wait(shell: Any, importing: threading.Thread) -> None:
    """Hold back a cell that imports until LiteLLM is there: two imports of it break each other.

    `loading.others_wait` holds back import statements that a cell reaches elsewhere; this covers
    `importlib`, and the packages that LiteLLM is about to import itself. A prompt may well hold the
    word, and is no Python: it says itself that it waits.
    """

    def wait(info: Any) -> None:
        cell = info.raw_cell or ""
        if "import" in cell and not cell.lstrip().startswith("%%llm"):
            importing.join()
        if not importing.is_alive():
            shell.events.unregister("pre_run_cell", wait)

    shell.events.register("pre_run_cell", wait)
