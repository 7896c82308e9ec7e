"""A prompt that is ready to be sent to a model, and what is made of its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.answers import extract
from openhands_llm_magic.llm.conversations import Turn
from openhands_llm_magic.llm.reply import ReplyBuilder
from openhands_llm_magic.notebook.view import display

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Place
    from openhands_llm_magic.llm.prepare import Prepared
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.notebook.prompt import Made
    from openhands_llm_magic.notebook.prompt_options import PromptOptions
    from openhands_llm_magic.notebook.tools import Answering


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt to one model.

    Attributes:
        options: What stands on its line.
        place: Where it stands in a conversation.
        made: Its messages.
        prepared: What is sent.
        answering: What answers the calls of functions, or None without any.
        notes: What a person should know of it.
    """

    options: PromptOptions
    place: Place
    made: Made
    prepared: Prepared
    answering: Answering | None
    notes: tuple[str, ...]

    @property
    def settings(self) -> Snapshot:
        """What it is sent with."""
        return self.prepared.settings

    def builder(self) -> ReplyBuilder:
        """Return what folds its events into a reply."""
        return ReplyBuilder(
            self.settings.model,
            self.made.messages,
            self.notes,
            self.options.format,
            has_footer=self.settings.footer == "on",
        )

    def turn(self, reply: Reply) -> Turn:
        """Return the prompt and its answer, as a conversation has them."""
        return Turn(self.made.content, reply.text, self.place.number, reply.tool_calls)

    def read(self, builder: ReplyBuilder) -> Any:
        """Return what the answer is in its format, and note what of it is left out.

        Raises:
            FormatError: It is not in its format.
        """
        text = builder.text
        if self.options.format != "code":
            return display.data_of(text, self.options.format, self.prepared.schema)
        code = extract.code_in(text, self.options.block)
        if self.options.block is None and (left_out := extract.blocks_left_out(text)):
            told = "code blocks left out of the new cell: {blocks} (--block N takes one)"
            builder.note(Text(told, blocks=", ".join(left_out)))
        return code


def stopped_words(builder: ReplyBuilder) -> Text:
    """Say where to find what had come of an answer that was stopped."""
    if not builder.reply.text.strip():
        return Text("stopped before {model} had answered.", model=builder.model)
    return Text("stopped; what {model} had answered is in `_`.", model=builder.model)
