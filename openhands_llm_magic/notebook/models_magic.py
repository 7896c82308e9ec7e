"""`%llm_models`: find a model, with what it costs and what it can do."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import litellm_files, verified, withdrawn
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.notebook.language import cell_words, print_texts, worded
from openhands_llm_magic.notebook.view import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.model_search import Model

HELP = Text("""Find models by words, with their prices, context windows and abilities.

    %llm_models                    the providers, and how many models each has
    %llm_models claude sonnet      the models in whose name both words occur
    %llm_models openai/ vision     those of a provider that see pictures; also PDF, schema, verified
    %llm_models embedding          those that make vectors of texts, for %llm_embed
    %llm_models --server           what the server of the settings says it serves
    %llm_models --server ADDRESS   what another one does, as http://localhost:11434; it gets no key

The names are written as `-m` and the setting `model` take them. Without `--server` it reads the
list that comes with LiteLLM: a provider may have newer models, and those that you run yourself are
not in it. Prices are US dollars for a million tokens of the prompt and of the answer; long prompts,
cached ones and batches may cost another price. What the list does not say is "unknown".
""")

UNKNOWN = "unknown"
"""Stands for what is not known, which is not the same as nothing."""

NO_ANSWERS = "none"
"""Stands for the price of answers of a model that gives none."""

MOST_ROWS = 50
"""Models that are listed at once."""

ALIGNED = "lrrrll"

HOW_TO = "Search with words: `%llm_models claude sonnet`, `%llm_models vision`; see its help."


SERVER = "--server"


def run(line: str, shell: Any, settings: LLMSettings) -> None:
    """Run one `%llm_models` line.

    Raises:
        UsageError: There is an option on it that there is not.
        RequestError: The server tells no list of models.
    """
    from openhands_llm_magic.llm.model_search import search  # noqa: PLC0415 - reads LiteLLM's list

    match line.split():
        case [option, *address] if option == SERVER and len(address) < 2:  # noqa: PLR2004 - one
            _server(shell, settings.snapshot(), *address)
            return
    flags = [word for word in line.split() if word.startswith("-")]
    if flags:
        told = "%llm_models takes words, and no option {option}. {how_to}"
        raise UsageError(Text(told, option=flags[0], how_to=Text(HOW_TO)))
    if not line.split():
        _overview(shell)
        return
    found = search(line)
    if not found:
        told = "No model has all of: {words}. {how_to}"
        print_texts(Text(told, words=" ".join(line.split()), how_to=Text(HOW_TO)))
        return
    left, shown = len(found) - MOST_ROWS, found[:MOST_ROWS]
    notes = [Text("… {count} more; add a word.", count=f"{left:,}")] if left > 0 else []
    notes += _verified_by(shown)
    if any(withdrawn.ends_on(model.name) for model in shown):
        told = "The days on which makers end models are those of LiteLLM's list ({version})."
        notes.append(Text(told, version=litellm_files.version()))
    _show(shell, headings(), [row(model) for model in shown], ALIGNED, notes)


def _verified_by(shown: Sequence[Model]) -> list[Text]:
    """Say whose word `verified` is, and of which day, where a model has it."""
    traits = {trait for model in shown for trait in model.traits}
    told = "{trait}: {title} lists it, as of {date}."
    return [
        Text(told, trait=each.trait, title=each.title, date=each.as_of)
        for each in verified.LISTS
        if each.trait in traits
    ]


def _server(shell: Any, settings: Snapshot, address: str | None = None) -> None:
    """Show what a server says it serves."""
    from openhands_llm_magic.errors import Stopped  # noqa: PLC0415 - of this option alone
    from openhands_llm_magic.llm.served import place_of, served  # noqa: PLC0415 - as above

    place = place_of(settings, address)
    try:
        found = served(place)
    except KeyboardInterrupt:
        raise Stopped("stopped before the server had answered.") from None
    if not found:
        print_texts(Text("{server} names no model that answers prompts.", server=place.shown))
        return
    say = cell_words()
    rows = [(each.name, _tokens(each.window_tokens, say)) for each in found]
    told = Text("{count} of {server}", count=f"{len(found):,}", server=place.shown)
    _show(shell, (say("model"), say("context")), rows, "lr", [told])


def _show(
    shell: Any,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    aligned: str,
    notes: Sequence[str],
) -> None:
    """Show a table, and lines below it."""
    from openhands_llm_magic.notebook.view import display  # noqa: PLC0415 - rendering is rare here

    notes = worded(notes, cell_words())
    below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    display.show_both(
        shell,
        text="\n".join([table.as_text(headings, rows, aligned), *notes]),
        html=table.as_html(headings, rows, aligned) + below,
    )


def headings() -> tuple[str, ...]:
    """Return what stands above the cells of `row`."""
    say = cell_words()
    titles = say("model"), say("$/M in"), say("$/M out"), say("context"), say("vision")
    return (*titles, say("also"))


def row(model: Model) -> tuple[str, ...]:
    """Return the cells of a model's row in the table: name, prices, context window, abilities."""
    known, say = model.abilities, cell_words()
    also = [trait for trait in model.traits if trait != "vision"]
    if remark := withdrawn.remark(model.name, withdrawn.today()):
        also.append(remark)
    sees = {True: say("yes"), False: say("no"), None: say(UNKNOWN)}[known.sees]
    return (
        model.name,
        _price(known.prompt_usd, say),
        say(NO_ANSWERS) if model.embeds else _price(known.answer_usd, say),
        _tokens(known.window_tokens, say),
        sees,
        ", ".join(worded(also, say)),
    )


def _tokens(count: int | None, say: Say) -> str:
    """Write the size of a context window."""
    return f"{count:,}" if count else say(UNKNOWN)


def _price(token_usd: float | None, say: Say) -> str:
    """Write the price of a million tokens, in US dollars."""
    return say(UNKNOWN) if token_usd is None else f"{token_usd * 1e6:.4g}"


def _overview(shell: Any) -> None:
    """Show the providers, with how many models of each are known."""
    from openhands_llm_magic.llm.litellm.models import models_of  # noqa: PLC0415 - see above
    from openhands_llm_magic.llm.model_search import catalogue, further_prefixes  # noqa: PLC0415 - see above

    counts = [(each, len(models_of(each))) for each in catalogue()]
    say = cell_words()
    rows = [
        (say(each.title), each.prefix, f"{count:,}" if count else say("your own"))
        for each, count in counts
    ]
    further = ", ".join(f"{prefix} {count}" for prefix, count in further_prefixes().items())
    notes = [Text("LiteLLM reaches more: {providers}", providers=further)] if further else []
    headings = (say("provider"), say("prefix"), say("models"))
    _show(shell, headings, rows, "llr", [*notes, Text(HOW_TO)])
