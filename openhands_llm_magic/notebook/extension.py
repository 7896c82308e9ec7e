"""What `%load_ext openhands_llm_magic` does."""

from __future__ import annotations

import re
from tokenize import DEDENT, INDENT
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import EscapedCommand, TokenTransformBase, _find_assign_op

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.llm.litellm.loading import load_in_background
from openhands_llm_magic.notebook.magics import LLMMagics
from openhands_llm_magic.notebook.matcher import matcher

if TYPE_CHECKING:
    import threading
    from tokenize import TokenInfo

_WITH_PROMPT = re.compile(r"%llm(?:_error)? +[^\s?]")


def load(shell: Any) -> None:
    """Register the settings and the magics, and start to import LiteLLM in the background."""
    settings = LLMSettings(parent=shell)
    shell.configurables.append(settings)
    magics = LLMMagics(shell, settings)
    shell.register_magics(magics)
    shell.input_transformer_manager.token_transformers.append(_Prompt)
    complete = matcher(shell, settings, lambda: magics.asking.chats.named)
    shell.Completer.custom_matchers.append(complete)
    _let_imports_wait(shell, load_in_background(FOR_THE_FIRST_ANSWER))


def unload(shell: Any) -> None:
    """Take away all that `load` brought."""
    shell.configurables[:] = [
        each for each in shell.configurables if not isinstance(each, LLMSettings | LLMMagics)
    ]
    shell.input_transformer_manager.token_transformers.remove(_Prompt)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if not _is_ours(each)]
    formatter = shell.display_formatter.ipython_display_formatter
    formatter.pop("openhands_llm_magic.llm.events.Reply", None)
    for event, callbacks in shell.events.callbacks.items():
        for callback in [each for each in callbacks if _is_ours(each)]:
            shell.events.unregister(event, callback)
    magics = shell.magics_manager.registry.pop(LLMMagics.__name__, None)
    if magics is not None:
        magics.close()
    for kind, names in LLMMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)


def _is_ours(callback: Any) -> bool:
    return (callback.__module__ or "").startswith("openhands_llm_magic.")


class _Prompt(TokenTransformBase):  # type: ignore[misc]  # IPython has no types for it
    """Lets a prompt on a `%llm` line end in "?", which IPython takes for a call of its help.

    So may a question on a `%llm_error` line. It works on tokens, so that such a line within a
    string stays text, and comes before the help. `%llm?` has no prompt and stays help.
    """

    priority = 1

    def __init__(self, line_start: tuple[int, int], magic_start: tuple[int, int]) -> None:
        super().__init__(line_start)
        self._magic_start = magic_start

    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> _Prompt | None:
        """Find the first `%llm prompt` or `name = %llm prompt`."""
        for line in tokens_by_line:
            tokens = [each for each in line if each.type not in (INDENT, DEDENT)]
            assign = _find_assign_op(tokens)
            assigned = [] if assign is None else tokens[assign + 1 : assign + 2]
            for magic in [*tokens[:1], *assigned]:
                if _WITH_PROMPT.match(magic.line, magic.start[1]):
                    return cls(tokens[0].start, magic.start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Make it a call of the magic."""
        transformed: list[str] = EscapedCommand(self._magic_start).transform(lines)
        return transformed


FOR_THE_FIRST_ANSWER = (
    "openhands_llm_magic.notebook.asking",
    "openhands_llm_magic.notebook.dry_run",
    "openhands_llm_magic.notebook.prompt.messages",
    "openhands_llm_magic.notebook.view.display",
    "openhands_llm_magic.notebook.view.live",
    "openhands_llm_magic.notebook.view.sanitize",
    "markdown_it",
    "nh3",
)
"""What a prompt imports on use; all of it is there when the person has read for a while."""


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
