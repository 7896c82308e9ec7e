"""A key never shows, whatever a server does with it."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest
from model_server import Answer, Cut, ModelServer, Refuse
from sending import ask_in_vain

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.reply import Reply, fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_clock import FakeClock
    from model_server import Step

    from openhands_llm_magic.llm.events import Event

pytestmark = pytest.mark.usefixtures("litellm", "set_up")

CANARY = "sk-canary-0123456789abcdef"


def facts_in(text: Text) -> Iterator[object]:
    """Yield the facts of a text, and those of the texts among them."""
    for fact in text.facts.values():
        yield fact
        if isinstance(fact, Text):
            yield from facts_in(fact)


def everything_said(events: list[Event], reply: Reply) -> str:
    """Return every text that a person might get to see of a request."""
    found: list[object] = [*events, reply, reply.text]
    for error in [reply.error, *(wait.caused_by for wait in reply.waits)]:
        if error is not None:
            found += [error, *error.args, *facts_in(error.text), *traceback.format_exception(error)]
    return "\n".join(f"{thing!s} {thing!r}" for thing in found)


ECHOES: dict[str, Step] = {
    "refusal": Refuse(401, message=f"Incorrect API key provided: {CANARY}."),
    "limit": Refuse(429, message=f"Key {CANARY} is limited."),
    "raw": Refuse(500, body=f'{{"error": "{CANARY}"}} at {CANARY}'.encode()),
    "whole": Answer(chunks=(f"Your key is {CANARY}.", " Keep it.")),
    "split": Answer(chunks=("It is ", CANARY[:5], CANARY[5:9], CANARY[9:] + CANARY, " - right?")),
    "letters": Answer(chunks=tuple(f"a {CANARY} z")),
    "cut": Cut(after_chunks=40, of=Answer(chunks=tuple(f"a {CANARY} zzzzzzzzzzzzzzzzzzz"))),
    "thoughts": Answer("Hm.", reasoning=CANARY),
}


@pytest.mark.parametrize("variable", ["LLM_API_KEY", "OPENAI_API_KEY", "HF_TOKEN"])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_key_never_shows(
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
    variable: str,
    echo: str,
) -> None:
    """Also when the server echoes it, and when it is another program's."""
    if variable != "LLM_API_KEY":
        monkeypatch.setenv("LLM_API_KEY", "sk-another-key")
        monkeypatch.setenv(variable, CANARY)
    model_server.script(ECHOES[echo], ECHOES[echo], Answer("At last."))
    events = list(stream("Hello", clock=clock))
    said = everything_said(events, fold(events))
    assert "canary" not in said
    assert CANARY[-8:] not in said
    assert "**********" in said


def test_masking_changes_nothing_else(model_server: ModelServer) -> None:
    """What only begins like a key comes in full, at the end too."""
    pieces = ("sk-can", "non ", "sk-", CANARY[:-1], " x ", CANARY, CANARY[:-1])
    model_server.script(Answer(chunks=pieces))
    masked = "".join((*pieces[:-2], "**********", pieces[-1]))
    assert ask("Hello").text == masked


@pytest.mark.parametrize("cache", ["off", "on"])
def test_a_common_word_is_no_secret(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    """Whatever variable holds it, and when it is the key: an answer comes as it was sent."""
    monkeypatch.setenv("POSTGRES_PASSWORD", "postgres")
    monkeypatch.setenv("SORT_KEY", "length")
    monkeypatch.setenv("PARTITION_KEY", "organization_id")
    monkeypatch.setenv("LLM_API_KEY", "ollama")
    answer = "postgresql://postgres@db\nsorted(rows, key=length)\nollama run x\norganization_id"
    model_server.script(Answer(answer), Answer("not asked for"))
    assert [ask("Hello", cache=cache).text for _ in range(1 + (cache == "on"))][-1] == answer


def test_an_error_masks_more_than_an_answer(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """Servers echo the key that they refuse; the model's name is told whatever the key is."""
    monkeypatch.setenv("LLM_API_KEY", "my-weak-password")
    model_server.script(Refuse(401, message="Wrong key: my-weak-password."))
    assert "my-weak-password" not in str(ask_in_vain(clock))
    model_server.script(Refuse(404, message="There is no model gpt-4o."))
    assert "gpt-4o" in str(ask_in_vain(clock, api_key="gpt-4o"))


def test_a_traceback_with_local_variables_does_not_show_a_key(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """As `%xmode Verbose` and many loggers print it."""
    model_server.script(Refuse(401, message=f"Incorrect API key provided: {CANARY}."))
    error = ask_in_vain(clock)
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    text = "".join(lines)
    assert "prompt = 'Hello'" in text
    assert "canary" not in text


def test_a_reply_holds_on_to_nothing_that_has_the_key(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """LiteLLM's exceptions, their requests' headers and the frames around them are let go."""
    model_server.script(Refuse(429), Refuse(401))
    error = ask_in_vain(clock)
    for kept in (error.reply.waits[0].caused_by, error.reply.error):
        assert kept.__context__ is None
        assert kept.__cause__ is None
    assert error.reply.waits[0].caused_by.__traceback__ is None


def test_a_key_is_masked_before_words_are_cut(model_server: ModelServer, clock: FakeClock) -> None:
    """Words are quoted up to a limit, which may fall into the middle of a key."""
    for length in range(270, 300):
        model_server.script(Refuse(401, message=f"{'x' * length} {CANARY} {'y' * 99}"))
        text = str(ask_in_vain(clock))
        assert CANARY[:4] not in text
        assert "…" in text


def test_a_key_in_an_address_is_masked(model_server: ModelServer, clock: FakeClock) -> None:
    """The explanation names base_url, which somebody may have put the key into."""
    address = f"http://127.0.0.1:9/{CANARY}"
    assert model_server.count == 0
    assert CANARY not in str(ask_in_vain(clock, base_url=address, num_retries=0))


def test_a_password_in_an_address_is_masked(clock: FakeClock) -> None:
    """The explanation quotes base_url without the login in it."""
    error = ask_in_vain(clock, base_url="http://bob:hunter2secret@127.0.0.1:9/v1", num_retries=0)
    assert "127.0.0.1:9" in str(error)
    assert "hunter2secret" not in str(error)
