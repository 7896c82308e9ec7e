"""What a provider's counts of tokens tell of a prompt that it cut, and of a limit it ignores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import Answer

from openhands_llm_magic import errors
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.counts import FEWEST, fewest_tokens, is_cut
from openhands_llm_magic.llm.events import Usage

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic.llm.reply import Reply

LONG = "The brook runs on past the old stone mill. " * 1000
"""9,000 words, of which Ollama counts 2,050 tokens with its context of 2,048."""

pytestmark = pytest.mark.usefixtures("litellm")


def asked(server: ModelServer, clock: FakeClock, provider: str = "openai", **given: Any) -> Reply:
    prompt = given.pop("prompt", "Hello")
    settings: dict[str, Any] = {
        "model": f"{provider}/qwen3",
        "base_url": server.base_for(provider),
        "api_key": "sk-0123456789",
    }
    return ask(prompt, clock=clock, **settings, **given)


@pytest.mark.parametrize(
    ("provider", "cure"),
    [
        ("openai", "Give the server more context"),
        ("ollama_chat", "num_ctx in completion_kwargs"),
        ("anthropic", "Give the server more context"),
        ("gemini", "Give the server more context"),
    ],
)
def test_a_prompt_that_the_server_has_cut_is_told(
    model_server: ModelServer, clock: FakeClock, provider: str, cure: str
) -> None:
    model_server.script(Answer("Fine.", usage=(2050, 5)))
    reply = asked(model_server, clock, provider, prompt=LONG)
    assert (reply.text, reply.error, reply.truncated_input) == ("Fine.", None, True)
    [note] = reply.notes
    assert "only 2050 tokens of a prompt of 9000 or more" in note
    assert cure in note


def test_a_count_without_the_cached_tokens_is_no_cut() -> None:
    """Some gateways pass on Anthropic's way of counting in OpenAI's dialect."""
    usage = Usage(50, 5, cached_tokens=9000)
    assert not is_cut([{"content": LONG}], usage)
    assert is_cut([{"content": LONG}], Usage(5000, 5, cached_tokens=4000))


def test_such_an_answer_is_not_stored(
    model_server: ModelServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """With more context the next one will be another."""
    monkeypatch.chdir(tmp_path)
    model_server.script(Answer("Fine.", usage=(2050, 5)))
    for _ in range(2):
        asked(model_server, clock, prompt=LONG, cache="on")
    assert model_server.count == 2


@pytest.mark.parametrize("usage", [(9001, 5), (12_000, 5), None, (0, 5)])
def test_of_a_prompt_that_was_read_whole_nothing_is_said(
    model_server: ModelServer, clock: FakeClock, usage: tuple[int, int] | None
) -> None:
    """Nor where the server does not count."""
    model_server.script(Answer("Fine.", usage=usage))
    reply = asked(model_server, clock, prompt=LONG)
    assert (reply.notes, reply.truncated_input) == ((), False)


@given(
    words=st.integers(0, 3000),
    marks=st.text(alphabet=" \n\t.,;:{}()[]<>=+-*/\"'0123456789", max_size=200),
)
def test_each_word_is_a_token_at_least(words: int, marks: str) -> None:
    """So a count that is right is never called too low, whatever stands between the words."""
    text = f"{marks} ".join(["word"] * words)
    assert fewest_tokens([{"content": text}]) == words
    assert not is_cut([{"content": text}], Usage(max(1, words), 1))
    assert is_cut([{"content": text}], Usage(words // 2 or 1, 1)) == (words >= FEWEST)


def test_a_limit_that_the_server_ignores_is_told(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """`transformers serve` does not know max_completion_tokens."""
    model_server.script(Answer("A long tale.", usage=(7, 314)))
    [note] = asked(model_server, clock, max_output_tokens=12).notes
    assert "the answer has 314 tokens, though max_output_tokens is 12" in note
    assert "max_tokens in completion_kwargs" in note


def test_a_limit_under_its_older_name_is_not_advised_once_more(
    model_server: ModelServer, clock: FakeClock
) -> None:
    model_server.script(Answer("A long tale.", usage=(7, 314)))
    older = {"max_tokens": 12}
    assert asked(model_server, clock, completion_kwargs=older).notes == ()


@pytest.mark.parametrize("tokens", [9, 12, 13])
def test_a_limit_that_is_kept_is_not(
    model_server: ModelServer, clock: FakeClock, tokens: int
) -> None:
    """Servers count the end of an answer, or do not."""
    model_server.script(Answer("A tale.", usage=(7, tokens), finish_reason="length"))
    assert asked(model_server, clock, max_output_tokens=12).notes == ()


@pytest.mark.parametrize(
    ("tokens", "reason"), [(5000, "length"), (4990, "length"), (700, "context"), (9000, "context")]
)
def test_an_answer_that_ran_out_of_tokens_at_another_limit_tells_so(
    model_server: ModelServer, clock: FakeClock, tokens: int, reason: str
) -> None:
    """The context is full, or the server has a limit of its own: more max_output_tokens is vain."""
    model_server.script(Answer("A tale", usage=(7, tokens), finish_reason="length"))
    assert asked(model_server, clock, max_output_tokens=5000).finish_reason == reason
    model_server.script(Answer("", usage=(7, tokens), finish_reason="length"))
    kind = errors.OutputLimitError if reason == "length" else errors.ContextLengthError
    with pytest.raises(kind) as caught:
        asked(model_server, clock, max_output_tokens=5000)
    assert ("Raise max_output_tokens" in str(caught.value)) == (reason == "length")
