"""What a provider's counts of tokens tell: a prompt that it cut, a limit that it does not keep.

Some servers cut a prompt that is longer than their context, and answer as if nothing were amiss
(Ollama; vLLM and SGLang when told to). The count of its tokens is then far below what it must be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.conversations import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.events import Usage
    from openhands_llm_magic.llm.prepare import Request

FEWEST = 400
"""Tokens; of a shorter prompt nothing is said, as templates and tools change its count."""

CHARACTERS_PER_TOKEN = 3
"""At most, in scripts without spaces between the words; a tokenizer joins hardly more."""

SAME = 0.95
"""The part of a limit at which an answer counts as cut there; servers count in their own ways."""

_WORD = re.compile(r"[A-Za-z]{2,}")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def fewest_tokens(messages: Sequence[Message]) -> int:
    """Return the tokens that messages have at least, for whatever tokenizer.

    None of them joins two words that a space divides, so each word is a token or more.
    """
    texts = [text_of(message["content"]) for message in messages]
    words = sum(1 for text in texts for _ in _WORD.finditer(text))
    unspaced = sum(1 for text in texts for _ in _UNSPACED.finditer(text))
    return words + unspaced // CHARACTERS_PER_TOKEN


def is_cut(messages: Sequence[Message], usage: Usage | None) -> bool:
    """Tell whether the server has read less than the whole prompt, by its own count."""
    if usage is None or not usage.prompt_tokens:
        return False
    if usage.cached_tokens + usage.cache_write_tokens > usage.prompt_tokens:
        return False  # some gateways leave the cached ones out of the count
    fewest = fewest_tokens(messages)
    return fewest >= FEWEST and usage.prompt_tokens < SAME * fewest


def is_whole(messages: Sequence[Message], usage: Usage | None) -> bool:
    """Tell whether the server has counted as many tokens as the whole prompt has at least."""
    return bool(usage and usage.prompt_tokens) and not is_cut(messages, usage)


def is_limit_ignored(request: Request, usage: Usage | None) -> bool:
    """Tell whether an answer is longer than was allowed."""
    limit = request.most_answer_tokens
    return bool(limit and usage and usage.completion_tokens > limit / SAME + 1)


def is_short_of_limit(request: Request, usage: Usage | None) -> bool:
    """Tell whether an answer that ran out of tokens had fewer of them than it was allowed."""
    limit = request.most_answer_tokens
    return bool(limit and usage and 0 < usage.completion_tokens < SAME * limit - 1)


def notes_on(request: Request, usage: Usage | None) -> tuple[Text, ...]:
    """Return what a person should know of an answer, by the tokens that the provider counted."""
    notes = []
    if usage is not None and is_cut(request.messages, usage):
        told = "the server has read only {counted} tokens of a prompt of {fewest} or more. {cure}"
        fewest = fewest_tokens(request.messages)
        notes.append(
            Text(told, counted=usage.prompt_tokens, fewest=fewest, cure=_more_context(request))
        )
    by_older_name = "max_tokens" in request.options  # of which a server that ignores it is told
    if usage is not None and is_limit_ignored(request, usage) and not by_older_name:
        told = (
            "the answer has {tokens} tokens, though max_output_tokens is {limit}: this server does"
            " not know max_completion_tokens. Set max_tokens in completion_kwargs"
        )
        notes.append(Text(told, tokens=usage.completion_tokens, limit=request.most_answer_tokens))
    return tuple(notes)


def _more_context(request: Request) -> Text:
    """Say how a server is given more context."""
    if request.model.startswith(("ollama/", "ollama_chat/")):
        return Text(
            "Give Ollama more context: num_ctx in completion_kwargs, or OLLAMA_CONTEXT_LENGTH where"
            " it runs"
        )
    if ":11434" in str(request.options.get("base_url")):
        return Text(
            "Give Ollama more context with OLLAMA_CONTEXT_LENGTH where it runs; /v1 ignores num_ctx"
        )
    return Text("Give the server more context, or shorten the prompt")
