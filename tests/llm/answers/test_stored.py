"""Answers that are stored, and taken from their files, through real HTTP."""

from __future__ import annotations

from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Cut, Hang, ModelServer, Refuse

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.answers.stored import FOLDER, Stored
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.events import Done, TextDelta
from openhands_llm_magic.llm.prepare import Request
from openhands_llm_magic.llm.reply import fold

if TYPE_CHECKING:
    from fake_clock import FakeClock

pytestmark = pytest.mark.usefixtures("litellm", "set_up")

KEY = "sk-canary-0123456789abcdef"


def files() -> list[Path]:
    return sorted(Path(FOLDER).glob("*"))


def test_the_same_prompt_is_paid_for_once(model_server: ModelServer) -> None:
    model_server.script(Answer(f"Hi {KEY}", usage=(3, 2)), Answer("Another."))

    first, second = (ask("Hello", cache="on") for _ in range(2))

    assert (first.text, first.usage) == (second.text, second.usage)
    assert (model_server.count, len(files())) == (1, 1)
    assert "canary" not in files()[0].read_text()
    assert ask("Hello again", cache="on").text == "Another."
    assert len(files()) == 2


@pytest.mark.parametrize(
    ("price", "told_by", "cost_usd"), [(None, "local", None), (0.01, "by hand", 0.05)]
)
def test_who_told_the_cost_is_stored(
    model_server: ModelServer, price: float | None, told_by: str, cost_usd: float | None
) -> None:
    """A stored answer of this machine is as local as the first, and a list's figure is "about"."""
    model_server.script(Answer("Hi", usage=(3, 2)))
    prices = {"input_cost_per_token": price, "output_cost_per_token": price}
    asked: dict[str, Any] = {"cache": "on", "model": "openai/of-my-own", **prices}
    first, second = (ask("Hello", **asked) for _ in range(2))
    assert second.attempts == 0
    assert [each.cost_told_by for each in (first, second)] == [told_by] * 2
    assert second.cost_usd == cost_usd


def test_replay_needs_no_key_and_no_server(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.script(Answer("Hi"))
    ask("Hello", cache="on")
    monkeypatch.delenv("LLM_API_KEY")
    monkeypatch.setenv("LLM_MAGIC_CACHE", "replay")

    assert ask("Hello").text == "Hi"
    with pytest.raises(errors.NotStoredError, match='Ask once with cache="on"'):
        ask("Something else")
    assert model_server.count == 1


@pytest.mark.parametrize("step", [Refuse(400), Refuse(500), Cut(after_chunks=2)])
def test_only_whole_answers_are_stored(
    model_server: ModelServer, clock: FakeClock, step: Any
) -> None:
    model_server.script(step)
    with pytest.raises(errors.RequestError):
        ask("Hello", cache="on", clock=clock)
    assert files() == []


def test_a_request_that_is_stopped_is_not_stored(model_server: ModelServer) -> None:
    model_server.script(Hang(after_chunks=2))
    with closing(stream("Hello", cache="on")) as events:
        while not isinstance(next(events), TextDelta):
            pass
    assert files() == []
    assert model_server.received[0].hung_up.wait(timeout=5)


def test_a_folder_that_cannot_be_written_does_not_lose_the_answer(
    model_server: ModelServer,
) -> None:
    """It has been shown by then; one line says so."""
    model_server.script(Answer("Hi"))
    Path(FOLDER).write_text("a file")
    with pytest.raises(errors.StoreError, match="not stored in llm_answers: ") as caught:
        ask("Hello", cache="on")
    assert caught.value.reply.text == "Hi"


def test_a_bad_value_is_refused(model_server: ModelServer) -> None:
    """Where it is set, and so before anything is asked."""
    with pytest.raises(errors.SettingError, match="cache takes off, on or replay, not 'maybe'"):
        ask("Hello", cache="maybe")
    assert model_server.count == 0


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def test_a_corrected_answer_is_paid_for_once(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both its requests are stored, also when the answer that did not fit has a key in it."""
    model_server.script(Answer(f'{{"n": "{KEY}"}}'), Answer('{"n": 7}'))
    first = ask("How many?", schema=SCHEMA, cache="on")
    assert (first.data, model_server.count, len(files())) == ({"n": 7}, 2, 2)

    monkeypatch.setenv("LLM_API_KEY", "sk-another-key")
    again = ask("How many?", schema=SCHEMA, cache="replay")
    assert (again.data, again.notes, again.usage) == (first.data, first.notes, first.usage)
    assert (again.attempts, model_server.count) == (0, 2)


def test_an_answer_is_stored_though_its_reader_stops_at_its_end(model_server: ModelServer) -> None:
    """As the test of the settings does."""
    with closing(stream("Hello", cache="on")) as events:
        list(takewhile(lambda event: not isinstance(event, Done), events))
    assert len(files()) == 1
    assert ask("Hello", cache="replay").text
    assert model_server.count == 1


def test_an_address_of_the_environment_is_part_of_what_is_asked(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.script(Answer("One."), Answer("Two."))
    monkeypatch.delenv("LLM_BASE_URL")
    texts = []
    for place in ("a", "b", "a"):
        monkeypatch.setenv("OPENAI_API_BASE", f"{model_server.base_url}/{place}/v1")
        texts.append(ask("Hello", cache="on").text)
    assert texts == ["One.", "Two.", "One."]
    assert model_server.count == 2


@pytest.mark.parametrize(
    ("model", "variable", "address"),
    [
        ("openai/gpt-4o", "OPENAI_BASE_URL", "https://api.openai.com/v1/"),
        ("gpt-4o", "ANTHROPIC_API_BASE", "http://a/v1"),
        ("practice/echo", "OPENAI_API_BASE", "http://a/v1"),
    ],
)
def test_other_addresses_are_none(
    monkeypatch: pytest.MonkeyPatch, model: str, variable: str, address: str
) -> None:
    """The provider's own, that of another provider, and one that is not used."""
    monkeypatch.delenv("LLM_BASE_URL")
    missed = [missing(model)]
    monkeypatch.setenv(variable, address)
    missed.append(missing(model))
    assert missed[0] == missed[1]


def missing(model: str) -> list[Path]:
    """Return the files of an answer that is stored now."""
    options = {"base_url": "http://127.0.0.1:1/v1"} if model.startswith("practice") else {}
    request = Request(model, [{"role": "user", "content": "Hello"}], options)
    settings = load_settings().with_overrides({"model": model, "cache": "on"})
    for path in files():
        path.unlink()
    Stored(request, settings, ()).keep(fold([TextDelta("Hi"), Done("stop")]))
    return files()


def test_the_answers_beside_the_notebooks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the practice provider listens."""
    monkeypatch.delenv("LLM_BASE_URL")
    monkeypatch.chdir(Path(__file__).parents[3] / "notebooks")
    prompt = "This answer is stored beside the notebook."
    assert "stored beside" in ask(prompt, model="practice/echo", cache="replay").text


def test_an_answer_comes_back_as_it_came(model_server: ModelServer) -> None:
    """What only looks like a key stays: it was shown, too."""
    model_server.script(Answer("Such as sk-abcdefghijklmnopqrst or https://me:word@host/."))
    first = ask("What does a key look like?", cache="on")
    assert "sk-abcdef" in first.text
    assert ask("What does a key look like?", cache="replay").text == first.text


def test_a_file_that_cannot_be_read_says_so(model_server: ModelServer) -> None:
    """With nothing sent; `--cache` writes it anew."""
    ask("Hello", cache="on")
    [path] = files()
    path.write_text("<<<<<<< ours")
    with pytest.raises(errors.NotStoredError, match=f"{path.name} cannot be read"):
        ask("Hello", cache="replay")
    assert model_server.count == 1
    first = ask("Hello", cache="on")
    assert [str(note) for note in first.notes] == [
        f"the stored answer {path} cannot be read: it is no answer of ours"
    ]
    assert first.text == ask("Hello", cache="replay").text
    assert model_server.count == 2


def test_an_answer_that_cannot_be_stored_is_read_all_the_same(model_server: ModelServer) -> None:
    model_server.script(Answer('{"n": 7}'))
    Path(FOLDER).write_text("a file")
    with pytest.raises(errors.StoreError) as caught:
        ask("How many?", schema=SCHEMA, cache="on")
    assert caught.value.reply.data == {"n": 7}


def test_whatever_hinders_the_storing_the_answer_is_there() -> None:
    """Such as a text that no UTF-8 can be made of."""
    request = Request("openai/gpt-4o", [{"role": "user", "content": "\ud83d"}])
    settings = load_settings().with_overrides({"cache": "on"})
    error = Stored(request, settings, ()).keep(fold([TextDelta("Hi"), Done("stop")]))
    assert isinstance(error, errors.StoreError)
    assert "UnicodeEncodeError" in str(error)
    assert files() == []
