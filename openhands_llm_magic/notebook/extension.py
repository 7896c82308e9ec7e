"""What `%load_ext openhands_llm_magic` does."""

from __future__ import annotations

import re
import threading
from typing import Any

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.notebook.magics import LLMMagics

_QUESTION = re.compile(r"(?P<before>\s*(?:[^%=]+=\s*)?)%llm[ \t]+(?P<prompt>\S.*\?)\s*")


def load(shell: Any) -> None:
    """Register the settings and the magics, and start to import LiteLLM in the background."""
    settings = LLMSettings(parent=shell)
    shell.configurables.append(settings)
    shell.register_magics(LLMMagics(shell, settings))
    shell.input_transformer_manager.line_transforms.append(_keep_question_marks)
    importing = threading.Thread(target=_import_the_rest, name="import litellm", daemon=True)
    importing.start()
    _let_imports_wait(shell, importing)


def unload(shell: Any) -> None:
    """Take the settings and the magics away."""
    shell.configurables[:] = [
        each for each in shell.configurables if not isinstance(each, LLMSettings)
    ]
    shell.input_transformer_manager.line_transforms.remove(_keep_question_marks)
    for kind, names in LLMMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)


def _keep_question_marks(lines: list[str]) -> list[str]:
    """Let a prompt on a `%llm` line end in "?", which IPython takes for a call of its help."""
    return [
        f"{match['before']}get_ipython().run_line_magic('llm', {match['prompt']!r})\n"
        if (match := _QUESTION.fullmatch(line))
        else line
        for line in lines
    ]


def _import_the_rest() -> None:
    """Import what a prompt needs; LiteLLM takes seconds."""
    from openhands_llm_magic.llm import client  # noqa: PLC0415 - in the background

    client.load()


def _let_imports_wait(shell: Any, importing: threading.Thread) -> None:
    """Hold back a cell that imports until LiteLLM is there: two imports of it break each other."""

    def wait(info: Any) -> None:
        if "import" in (info.raw_cell or ""):
            importing.join()
        if not importing.is_alive():
            shell.events.unregister("pre_run_cell", wait)

    shell.events.register("pre_run_cell", wait)
