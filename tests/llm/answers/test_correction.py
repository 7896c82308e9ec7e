"""Answers that are held to a schema, through real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from model_server import Answer, Cut, Refuse

from openhands_llm_magic.errors import BadRequestError, FormatError, RateLimitError, UsageError
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.events import Usage

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic.llm.reply import Reply

pytestmark = pytest.mark.usefixtures("litellm", "nothing_learned")


class City(pydantic.BaseModel):
    name: str
    people: int


GOOD = Answer('{"name": "Kyoto", "people": 1463723}', usage=(30, 7))
BAD = Answer('{"name": "Kyoto"}', usage=(10, 5))


def city(server: ModelServer, clock: FakeClock, model: str = "openai/gpt-4o", **more: Any) -> Reply:
    settings = {"model": model, "api_key": "sk-of-the-test", "base_url": server.openai_base}
    return ask("A city.", schema=City, clock=clock, **settings | more)


def test_models_that_can_are_held_to_it(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(GOOD)
    reply = city(model_server, clock)
    assert reply.data == City(name="Kyoto", people=1463723)
    body = model_server.received[0].body
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["name", "people"]
    assert [each["role"] for each in body["messages"]] == ["user"]


def test_others_are_asked_in_words(model_server: ModelServer, clock: FakeClock) -> None:
    """Those of which nothing is known, too: a server may refuse the keyword."""
    model_server.script(GOOD)
    reply = city(model_server, clock, model="openai/unheard-of")
    assert reply.data == City(name="Kyoto", people=1463723)
    body = model_server.received[0].body
    assert "response_format" not in body
    assert body["messages"][0]["role"] == "system"
    assert '"people"' in body["messages"][0]["content"]


def test_what_does_not_fit_is_sent_back_once(model_server: ModelServer, clock: FakeClock) -> None:
    """With what is wrong; both requests are counted."""
    model_server.script(BAD, GOOD)
    reply = city(model_server, clock)
    assert reply.data == City(name="Kyoto", people=1463723)
    assert reply.text == GOOD.text
    sent = model_server.received[1].body["messages"]
    assert [each["role"] for each in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"] == BAD.text
    assert "people: Field required" in sent[2]["content"]
    assert (reply.attempts, reply.usage) == (2, Usage(40, 12))
    assert reply.notes == ("asked once more, as the answer did not fit (people: Field required)",)
    alone = [ask_cost(model_server, clock, answer) for answer in (BAD, GOOD)]
    assert reply.cost_usd == pytest.approx(sum(alone))


def ask_cost(server: ModelServer, clock: FakeClock, answer: Answer) -> float:
    server.script(answer)
    settings: Any = {"api_key": "sk-of-the-test", "base_url": server.openai_base}
    cost_usd = ask("A city.", model="openai/gpt-4o", clock=clock, **settings).cost_usd
    assert cost_usd is not None
    return cost_usd


def test_a_second_misfit_keeps_the_answer(model_server: ModelServer, clock: FakeClock) -> None:
    """There is no third request."""
    model_server.script(Answer("I would rather not."), BAD, GOOD)
    with pytest.raises(FormatError, match="does not fit City: people: Field required") as caught:
        city(model_server, clock)
    assert caught.value.reply.text == BAD.text
    assert model_server.count == 2


def test_passing_faults_are_retried_before_and_after(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """What an attempt said that was cut short is no part of the answer that is checked."""
    model_server.script(Cut(1, of=Answer("not JSON")), BAD, Refuse(429), GOOD)
    reply = city(model_server, clock)
    assert reply.data == City(name="Kyoto", people=1463723)
    assert reply.attempts == 4
    assert reply.usage == Usage(40, 12)
    assert len(reply.waits) == 2


def test_one_deadline_is_for_both_requests(model_server: ModelServer, clock: FakeClock) -> None:
    """The wait before the second retry would end after it."""
    model_server.script(Refuse(429), BAD, Refuse(429), GOOD)
    with pytest.raises(RateLimitError) as caught:
        city(model_server, clock, deadline=9)
    assert caught.value.reply.text == BAD.text
    assert len(caught.value.reply.waits) == 1
    assert model_server.count == 3


def test_nothing_is_sent_back_after_the_deadline(
    model_server: ModelServer, clock: FakeClock
) -> None:
    late = Answer(chunks=('{"name": ', '"Kyoto"}'), between_chunks=lambda _: clock.sleep(9))
    model_server.script(late, GOOD)
    with pytest.raises(FormatError, match="does not fit City") as caught:
        city(model_server, clock, deadline=9)
    assert caught.value.reply.text == BAD.text
    assert model_server.count == 1


def test_a_refused_correction_keeps_the_first_answer(
    model_server: ModelServer, clock: FakeClock
) -> None:
    model_server.script(BAD, Refuse(400))
    with pytest.raises(BadRequestError) as caught:
        city(model_server, clock)
    assert caught.value.reply.text == BAD.text
    assert caught.value.reply.usage == Usage(10, 5)


@pytest.mark.parametrize(
    ("finish_reason", "told"),
    [
        ("length", "at the limit of its tokens{}; raise max_output_tokens (now 16, from"),
        ("content_filter", "by the provider's content filter{}; ask in other words"),
        ("tool_calls", "with 'tool_calls'{}."),
    ],
)
def test_a_cut_answer_is_not_sent_back(
    model_server: ModelServer, clock: FakeClock, finish_reason: str, told: str
) -> None:
    """It would be cut off again; the line says that it was, and not that it is no JSON."""
    model_server.script(Answer('{"name": "Ky', finish_reason=finish_reason, usage=(7, 16)), GOOD)
    with pytest.raises(FormatError) as caught:
        city(model_server, clock, max_output_tokens=16)
    assert str(caught.value).startswith("the answer was cut off ")
    where = " (it is no JSON). Its text is in the error's reply"
    assert told.replace("{}", where) in str(caught.value)
    assert caught.value.reply.text == '{"name": "Ky'
    assert model_server.count == 1


def test_a_schema_that_is_at_fault_is_not_asked_for_again(
    model_server: ModelServer, clock: FakeClock
) -> None:
    model_server.script(BAD)
    settings: Any = {"model": "openai/test", "api_key": "-", "base_url": model_server.openai_base}
    with pytest.raises(FormatError, match="no answer can be held to the schema") as caught:
        ask("A city.", schema={"$ref": "#"}, clock=clock, **settings)
    assert caught.value.reply.text == BAD.text
    assert model_server.count == 1


def test_a_key_in_a_misfit_is_masked(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Answer('{"people": "sk-of-the-test"}'), GOOD)
    schema = {"type": "object", "properties": {"people": {"type": "integer"}}}
    settings: Any = {"api_key": "sk-of-the-test", "base_url": model_server.openai_base}
    reply = ask("A city.", schema=schema, clock=clock, model="openai/test", **settings)
    assert "**********" in reply.notes[0]
    assert "sk-of-the-test" not in repr(reply)


def test_what_is_no_schema_is_refused_before_anything_is_sent(
    model_server: ModelServer, clock: FakeClock
) -> None:
    with pytest.raises(UsageError, match="argument schema: it takes"):
        ask("A city.", schema=7, clock=clock, base_url=model_server.openai_base)
    assert model_server.count == 0
