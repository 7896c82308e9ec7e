"""`--dry-run`: what a cell, or OpenHands, would send, and what it would cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import trust
from openhands_llm_magic.errors import ModelNotFoundError, Text
from openhands_llm_magic.llm.answers.stored import Stored
from openhands_llm_magic.llm.explain import explained, usd
from openhands_llm_magic.llm.litellm.preview import preview
from openhands_llm_magic.llm.openhands.sent import VERSIONS, as_sent_by, refusal
from openhands_llm_magic.llm.prepare import prepare
from openhands_llm_magic.notebook import language
from openhands_llm_magic.notebook.view import display, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.answers.extract import Schema
    from openhands_llm_magic.llm.litellm.preview import How, Preview
    from openhands_llm_magic.llm.prepare import Prepared
    from openhands_llm_magic.llm.tools.declared import Tool
    from openhands_llm_magic.notebook.prompt import Made


def show(  # noqa: PLR0913, PLR0917 - what a prompt is made of
    shell: Any,
    made: Made,
    settings: Snapshot,
    schema: Schema | None,
    tools: Sequence[Tool] = (),
    sent_by: str | None = None,
) -> None:
    """Show the request of a prompt, and its cost.

    Args:
        shell: IPython.
        made: The prompt.
        settings: What it would be sent with.
        schema: What the answer would be held to; OpenHands asks for none.
        tools: The functions that the model could ask for; OpenHands has its own.
        sent_by: The version of OpenHands whose request is shown, or None for our own.

    Raises:
        ModelNotFoundError: LiteLLM knows no provider for the model.
        SettingError: completion_kwargs holds what it cannot.
    """
    how: How = "streamed"
    if sent_by is None:
        prepared = prepare(made.messages, settings, schema=schema, tools=tools)
        notes = [*made.notes, *_of_store(prepared), *_of_trust(settings)]
    elif reason := refusal(VERSIONS[sent_by], settings):
        told = language.cell_words()("{reason}.", reason=reason)
        display.show_both(shell, text=told, html=sanitize.plain_to_html(told))
        return
    else:
        sent = as_sent_by(VERSIONS[sent_by], made.messages, settings)
        prepared, how, notes = sent.prepared, sent.how, [*made.notes, *sent.notes]
    try:
        shown = preview(prepared, how)
    except ModelNotFoundError as error:
        raise explained(error, settings).alone() from None
    text = words(shown, notes)
    display.show_both(shell, text=sanitize.to_plain(text), html=sanitize.plain_to_html(text))


def _of_store(prepared: Prepared) -> Iterator[Text]:
    """Tell what `--cache` or replay would do."""
    cache = prepared.settings.cache
    if cache == "off":
        return
    if Stored(prepared.request, prepared.settings, ()).find() is not None:
        yield Text("Its answer is stored: the cell would show that, at no cost.")
    elif cache == "replay":
        yield Text("Its answer is not stored: with cache=replay the cell would fail.")


def _of_trust(settings: Snapshot) -> Iterator[Text]:
    """Tell why the cell would send nothing."""
    if error := trust.refused(settings):
        yield Text("It would be stopped: {why}", why=error.text)


def words(found: Preview, notes: Sequence[str] = ()) -> str:
    """Write it as a server would get it, with the cost below."""
    say = language.cell_words()
    head = say("To {address}", address=found.address)
    if not found.address:
        head = say("To LiteLLM, which knows the address")
    headers = [f"{name}: {value}" for name, value in sorted(found.headers.items())]
    body = json.dumps(found.body, indent=2, ensure_ascii=False, default=str)
    told = [*language.worded(notes, say), _cost(found, say)]
    if found.missing_keys:
        keys = say(" or ").join(found.missing_keys)
        told.append(say("It would be refused: there is no key, as in {keys}.", keys=keys))
    return "\n".join([head, *headers, "", body, "", *told, say("Nothing was sent.")])


def _cost(found: Preview, say: Say) -> str:
    known: dict[str, object] = {"prompt_tokens": f"{found.prompt_tokens:,}"}
    if found.prompt_usd is None or found.answer_usd is None:
        return say("The prompt has about {prompt_tokens} tokens; the price is not known.", **known)
    known["answer_tokens"] = f"{found.answer_tokens or 1000:,}"
    known |= {"prompt_usd": usd(found.prompt_usd), "answer_usd": usd(found.answer_usd)}
    told = (
        "The prompt has about {prompt_tokens} tokens and costs {prompt_usd}; {answer_tokens} tokens"
        " of the answer cost {answer_usd}."
    )
    if found.answer_tokens:
        told = (
            "The prompt has about {prompt_tokens} tokens and costs {prompt_usd}; {answer_tokens}"
            " tokens of the answer cost {answer_usd}, and there are no more."
        )
    return say(told, **known)
