"""What IPython asks on Tab; `completion` has the answers, and is loaded with the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from openhands_llm_magic.config.configurable import LLMSettings


def matcher(
    shell: InteractiveShell, settings: LLMSettings, chats: Callable[[], Iterable[str]]
) -> Callable[[Any], Any]:
    """Make the function that IPython asks for completions.

    Args:
        shell: Whose variables are offered.
        settings: Whose groups are offered.
        chats: Gives the names of the session's conversations.
    """

    @context_matcher(identifier="openhands_llm_magic")  # type: ignore[untyped-decorator]
    def complete(context: Any) -> dict[str, object]:
        line, first_line = context.text_until_cursor, context.cursor_line == 0
        found = _found(line, first_line) if "%llm" in line else None
        if found is None:
            return {"completions": [], "suppress": False}
        fragment, words = found
        completions = [SimpleCompletion(text=word, type="param") for word in words]
        return {
            "completions": completions,
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    def _found(line: str, first_line: bool) -> tuple[str, list[str]] | None:
        from openhands_llm_magic.notebook.completion import Known, candidates  # noqa: PLC0415 - not needed before a Tab

        own = {name: it for name, it in shell.user_ns.items() if name not in shell.user_ns_hidden}
        known = Known(own, lambda: settings.groups, chats())
        return candidates(line, known, first_line=first_line)

    return complete  # type: ignore[no-any-return]
