"""Rules about a provider that is known, and asked otherwise than it can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic.config.lint.case import maker_at_openrouter
from openhands_llm_magic.config.lint.finding import FAILS, quoted, write
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from openhands_llm_magic.config.lint.case import Case
    from openhands_llm_magic.config.lint.finding import Finding

OPENROUTER = PROVIDERS["openrouter"]


def no_maker(case: Case) -> Iterator[Finding]:
    """Find a model of OpenRouter without its maker; names such as openrouter/auto have none.

    A gateway of one's own may name its models as it likes.
    """
    name = case.model.removeprefix(OPENROUTER.prefix)
    maker = maker_at_openrouter(name)
    is_asked = case.host == OPENROUTER or not case.text("base_url")
    if case.provider == "openrouter" and is_asked and maker and "/" not in name:
        message = Text("the model {model} leaves its maker out", model=quoted(case.model))
        right = case.model.removesuffix(name) + f"{maker}/{name}"
        yield case.finding("model", message, write(quoted(right)), FAILS)


RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (no_maker,)
