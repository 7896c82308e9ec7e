"""Functions that a model asks for, from `ask(tools=...)` to the requests that a server gets."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from model_server import Answer, Call, Cut, Raw, Refuse, asks

from openhands_llm_magic import ask, ask_async, stream
from openhands_llm_magic.errors import (
    AuthenticationError,
    OverBudgetError,
    ToolCallError,
    ToolRoundsError,
    ToolsRefusedError,
    UsageError,
)
from openhands_llm_magic.llm.events import ToolCalled

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic import Reply

pytestmark = pytest.mark.usefixtures("litellm", "nothing_learned")


def weather(city: str, days: int = 1) -> str:
    """Tell the weather of a city.

    Args:
        city: Its name.
        days: How many days from now.
    """
    return f"Sunny in {city}, day {days}."


def asked(server: ModelServer, clock: FakeClock, *tools: Any, **more: Any) -> Reply:
    model = more.pop("model", "openai/gpt-4o")
    base = server.base_for(model.partition("/")[0])
    settings = {"model": model, "api_key": "sk-of-the-test", "base_url": base}
    return ask("How is it in Kyoto?", tools=tools or [weather], clock=clock, **settings | more)


KYOTO = Call("weather", '{"city": "Kyoto", "days": 2}')
DONE = Answer("It is sunny.", usage=(20, 5))
MODELS = [
    "openai/gpt-4o",
    "anthropic/claude-sonnet-4-20250514",
    "gemini/gemini-2.5-flash",
    "ollama_chat/qwen3",
    "groq/qwen-qwq-32b",
    "mistral/mistral-small-latest",
    "openrouter/maker/a-model",
    "deepseek/deepseek-chat",
    "hosted_vllm/a-model",
    "azure/gpt-4o",
    "bedrock/us.amazon.nova-pro-v1:0",
    "openai/gpt-5-codex",  # the Responses API, streamed
    "openai/o1-pro",  # which LiteLLM asks for a whole answer
    "openai/responses/a-model",
]


@pytest.mark.parametrize("model", MODELS)
def test_a_function_is_called_and_its_result_sent(
    model_server: ModelServer, clock: FakeClock, model: str
) -> None:
    model_server.script(asks(KYOTO, text="Let me look."), DONE)
    reply = asked(model_server, clock, model=model)
    assert reply.text == "It is sunny."
    [call] = reply.tool_calls
    assert (call.name, call.arguments) == ("weather", {"city": "Kyoto", "days": 2})
    assert (call.result, call.problem, call.said) == ("Sunny in Kyoto, day 2.", "", "Let me look.")
    assert reply.attempts == model_server.count == 2
    sent = str(model_server.received[1].body)
    assert "Sunny in Kyoto, day 2." in sent
    assert "Tell the weather of a city." in sent


def results(server: ModelServer, number: int = -1) -> list[dict[str, Any]]:
    """The results of functions that a request of OpenAI's dialect has sent."""
    messages = server.received[number].body["messages"]
    return [each for each in messages if each["role"] == "tool"]


def test_each_call_has_its_answer(model_server: ModelServer, clock: FakeClock) -> None:
    """In the order in which they were asked for, under the ids that the provider gave."""
    calls = [Call("weather", f'{{"city": "{city}"}}', id=city) for city in ("Ōtsu", "Nara", "Uji")]
    model_server.script(asks(*calls), DONE)
    reply = asked(model_server, clock)
    assert [call.arguments["city"] for call in reply.tool_calls] == ["Ōtsu", "Nara", "Uji"]
    sent = model_server.received[1].body["messages"]
    assert [each["role"] for each in sent] == ["user", "assistant", "tool", "tool", "tool"]
    assert [each["id"] for each in sent[1]["tool_calls"]] == ["Ōtsu", "Nara", "Uji"]
    assert [each["tool_call_id"] for each in sent[2:]] == ["Ōtsu", "Nara", "Uji"]
    assert sent[3]["content"] == "Sunny in Nara, day 1."


def test_what_the_model_is_told(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(DONE)
    asked(model_server, clock)
    [told] = model_server.received[0].body["tools"]
    assert told["function"]["name"] == "weather"
    assert told["function"]["description"] == "Tell the weather of a city."
    schema = told["function"]["parameters"]
    assert schema["required"] == ["city"]
    assert schema["properties"]["city"] == {"type": "string", "description": "Its name."}
    assert schema["properties"]["days"]["default"] == 1


def test_every_round_is_counted_and_paid_for(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(asks(KYOTO), asks(KYOTO), DONE)
    reply = asked(model_server, clock)
    assert reply.attempts == 3
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (34, 15)
    model_server.script(DONE)
    alone = asked(model_server, clock).cost_usd
    assert reply.cost_usd is not None
    assert alone is not None
    assert alone < reply.cost_usd < 3 * alone


def test_ids_that_are_missing_or_doubled_are_made(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """Mistral takes those of nine letters and digits alone."""
    model_server.script(asks(KYOTO, Call("weather", '{"city": "Uji"}', id=None)), asks(KYOTO), DONE)
    reply = asked(model_server, clock)
    ids = [call.id for call in reply.tool_calls]
    assert len(set(ids)) == 3
    assert ids[0] == "call_1"
    assert all(len(each) == 9 and each.isalnum() for each in ids[1:])


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ("", {}),
        ("null", {}),
        ('{}{"city": "Uji"}', {"city": "Uji"}),
        ('"{\\"city\\": \\"Uji\\"}"', {"city": "Uji"}),
        ('{"city": "Uji\nShiga"}', {"city": "Uji\nShiga"}),
    ],
)
def test_arguments_as_servers_write_them(
    model_server: ModelServer, clock: FakeClock, arguments: str, read: dict[str, Any]
) -> None:
    def anything(city: str = "") -> str:
        return city

    model_server.script(asks(Call("anything", arguments)), DONE)
    [call] = asked(model_server, clock, anything).tool_calls
    assert (call.arguments, call.problem) == (read, "")
    assert call.result == read.get("city", "")


@pytest.mark.parametrize(
    "name", ["functions.weather", "default_api:weather", "weather<|channel|>x"]
)
def test_a_name_with_something_around_it(
    model_server: ModelServer, clock: FakeClock, name: str
) -> None:
    """It is sent back without."""
    model_server.script(asks(Call(name, KYOTO.arguments)), DONE)
    [call] = asked(model_server, clock).tool_calls
    assert (call.name, call.problem) == ("weather", "")
    sent = model_server.received[1].body["messages"][1]["tool_calls"]
    assert sent[0]["function"]["name"] == "weather"


def test_an_exception_is_a_result(model_server: ModelServer, clock: FakeClock) -> None:
    def fails() -> None:
        raise ValueError("no such city")

    def leaves() -> None:
        raise SystemExit(3)

    def is_cancelled() -> None:
        raise asyncio.CancelledError

    calls = [Call("fails"), Call("leaves", id="call_2"), Call("is_cancelled", id="call_3")]
    model_server.script(asks(*calls), DONE)
    reply = asked(model_server, clock, fails, leaves, is_cancelled)
    assert reply.text == "It is sunny."
    told = [each["content"] for each in results(model_server)]
    assert told == [
        "error: ValueError: no such city",
        "error: SystemExit: 3",
        "error: CancelledError: ",
    ]


def test_values_become_json_or_text(model_server: ModelServer, clock: FakeClock) -> None:
    class Thing:
        def __str__(self) -> str:
            return "a thing"

    def table() -> list[Any]:
        return [{"a": 1}, "日本", None]

    model_server.script(asks(Call("table"), Call("Thing", id="call_2")), DONE)
    asked(model_server, clock, table, Thing)
    told = [each["content"] for each in results(model_server)]
    assert told == ['[{"a": 1}, "日本", null]', "a thing"]


def test_a_long_result_is_cut_and_says_so(model_server: ModelServer, clock: FakeClock) -> None:
    def long() -> str:
        return "x" * 100_000_000

    model_server.script(asks(Call("long")), DONE)
    [call] = asked(model_server, clock, long, max_message_chars=100).tool_calls
    assert call.result == "x" * 100 + "\n(cut: the first 100 of 100,000,000 characters)"
    assert results(model_server)[0]["content"] == call.result


def test_keys_do_not_pass(model_server: ModelServer, clock: FakeClock) -> None:
    """Neither in what the model writes nor in what a function gives it."""
    got: list[str] = []

    def tell(text: str) -> str:
        got.append(text)
        return "the key is sk-of-the-test, " + "x" * 5000

    model_server.script(asks(Call("tell", '{"text": "sk-of-the-test?"}')), DONE)
    reply = asked(model_server, clock, tell, max_message_chars=20)
    assert got == ["**********?"]
    assert "sk-of" not in str(reply.tool_calls)
    assert "sk-of" not in str([each.body for each in model_server.received])


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (asks(Call("weather", '{"city": "Kyo')), "the arguments are no JSON"),
        (
            asks(Call("weather", '{"city": "Kyo'), finish_reason="length"),
            "was cut off at the limit",
        ),
        (asks(Call("weather", '{"town": "Kyoto"}')), "city: Field required"),
        (asks(Call("weather", '["Kyoto"]')), "no JSON object"),
        (asks(Call("wether", "{}")), "there is no function 'wether'; there are: weather"),
    ],
)
def test_a_call_that_cannot_be_made_is_sent_back_once(
    model_server: ModelServer, clock: FakeClock, bad: Answer, told: str
) -> None:
    """With what is wrong, and never as it was written: some servers refuse all that follows it."""
    model_server.script(bad, asks(KYOTO), DONE)
    reply = asked(model_server, clock)
    assert reply.text == "It is sunny."
    first, second = reply.tool_calls
    assert told in first.problem
    assert second.problem == ""
    sent = model_server.received[1].body["messages"]
    assert told in sent[2]["content"]
    json.loads(sent[1]["tool_calls"][0]["function"]["arguments"])
    model_server.script(asks(KYOTO), bad)
    with pytest.raises(ToolCallError) as caught:
        asked(model_server, clock)
    assert len(str(caught.value).splitlines()) == 1
    good, *rest = caught.value.reply.tool_calls
    assert (good.problem, len(rest)) == ("", 2)
    assert model_server.count == 6


def test_a_good_call_beside_a_bad_one_goes_on(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(*[asks(KYOTO, Call("wether", id="call_2"))] * 3, DONE)
    assert asked(model_server, clock).text == "It is sunny."


def test_rounds_have_an_end(model_server: ModelServer, clock: FakeClock) -> None:
    """What was learned until then is kept."""
    model_server.script(asks(KYOTO))
    with pytest.raises(ToolRoundsError, match="once more after 10 rounds") as caught:
        asked(model_server, clock)
    assert model_server.count == 11
    assert len(caught.value.reply.tool_calls) == 10
    with pytest.raises(ToolRoundsError, match="after 2 rounds"):
        asked(model_server, clock, max_rounds=2)
    assert model_server.count == 14


def test_of_a_thousand_calls_eight_are_made(model_server: ModelServer, clock: FakeClock) -> None:
    calls = [Call("weather", f'{{"city": "{n}"}}', id=f"call_{n}") for n in range(1000)]
    model_server.script(asks(*calls), DONE)
    reply = asked(model_server, clock)
    assert len(reply.tool_calls) == 8
    sent = model_server.received[1].body["messages"]
    assert len(sent[1]["tool_calls"]) == len(sent[2:]) == 8
    assert "992 further calls were left out" in sent[-1]["content"]


def test_a_fault_between_rounds_is_retried(model_server: ModelServer, clock: FakeClock) -> None:
    """And no function is called twice for it."""
    got: list[str] = []

    def note(text: str) -> str:
        got.append(text)
        return "noted"

    cut = Cut(after_chunks=2, of=asks(Call("note", '{"text": "half of it"}')))
    model_server.script(cut, asks(Call("note", '{"text": "a"}')), Refuse(503), DONE)
    reply = asked(model_server, clock, note)
    assert got == ["a"]
    assert (reply.text, reply.attempts, len(reply.waits)) == ("It is sunny.", 4, 2)
    assert len(results(model_server)) == 1


def test_what_came_is_kept_when_a_later_round_fails(
    model_server: ModelServer, clock: FakeClock
) -> None:
    model_server.script(asks(KYOTO, text="Let me look."), Refuse(401))
    with pytest.raises(AuthenticationError) as caught:
        asked(model_server, clock)
    assert caught.value.reply.text == "Let me look."
    assert len(caught.value.reply.tool_calls) == 1


def test_the_budget_is_asked_before_each_round(model_server: ModelServer, clock: FakeClock) -> None:
    price: dict[str, Any] = {"input_cost_per_token": 0.01, "output_cost_per_token": 0.01}
    model_server.script(asks(KYOTO))
    with pytest.raises(OverBudgetError) as caught:
        asked(model_server, clock, max_output_tokens=10, max_budget_per_task=30, **price)
    assert caught.value.reply.attempts == model_server.count >= 1
    assert caught.value.reply.tool_calls


@pytest.mark.parametrize(
    "refusal",
    [
        Refuse(400, message="registry.ollama.ai/library/gemma does not support tools"),
        Refuse(400, message='"auto" tool choice requires --enable-auto-tool-choice to be set'),
        Refuse(404, message="No endpoints found that support tool use."),
    ],
)
def test_a_server_that_takes_no_functions(
    model_server: ModelServer, clock: FakeClock, refusal: Refuse
) -> None:
    model_server.script(refusal)
    with pytest.raises(ToolsRefusedError, match="takes no functions") as caught:
        asked(model_server, clock)
    assert refusal.message.rstrip(".") in str(caught.value)
    assert "ask without tools" in str(caught.value)
    assert model_server.count == 1


def test_a_schema_holds_the_answer_after_the_calls(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """What does not fit is sent back below the calls."""

    class City(pydantic.BaseModel):
        name: str

    model_server.script(asks(KYOTO), Answer("Kyoto!"), Answer('{"name": "Kyoto"}'))
    reply = asked(model_server, clock, schema=City)
    assert reply.data == City(name="Kyoto")
    roles = [each["role"] for each in model_server.received[2].body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_an_answer_that_came_at_once(model_server: ModelServer, clock: FakeClock) -> None:
    """As from a server that does not stream."""
    function = {"name": "weather", "arguments": {"city": "Kyoto"}}
    message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    model_server.script(Raw(json.dumps(body).encode(), "application/json"), DONE)
    [call] = asked(model_server, clock).tool_calls
    assert call.result == "Sunny in Kyoto, day 1."


def test_a_stored_answer_keeps_its_calls(model_server: ModelServer, clock: FakeClock) -> None:
    """And calls nothing again."""
    got: list[str] = []

    def note(text: str) -> str:
        got.append(text)
        return "noted"

    model_server.script(asks(Call("note", '{"text": "a"}'), text="Noting."), DONE)
    first = asked(model_server, clock, note, cache="on")
    again = asked(model_server, clock, note, cache="on")
    assert (got, model_server.count, again.attempts) == (["a"], 2, 0)
    assert again.tool_calls == first.tool_calls
    assert (again.text, again.usage, again.cost_usd) == (first.text, first.usage, first.cost_usd)


def test_a_function_interrupted_ends_the_prompt(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """Where nobody makes a flag of the interrupt, it goes on to whoever asked."""

    def stops() -> None:
        raise KeyboardInterrupt

    model_server.script(asks(Call("stops")), DONE)
    with pytest.raises(KeyboardInterrupt):
        asked(model_server, clock, stops)
    assert model_server.count == 1


def test_events_tell_of_each_call(model_server: ModelServer) -> None:
    """Whoever reads them may refuse one; it is called on the reader's thread."""
    threads: list[threading.Thread] = []

    def here() -> str:
        threads.append(threading.current_thread())
        return "ran"

    base: Any = {"model": "openai/gpt-4o", "base_url": model_server.openai_base, "api_key": "sk-of"}
    model_server.script(asks(Call("here")), asks(Call("here")), DONE)
    told: list[str] = []
    for event in stream("Hello", tools=[here], **base):
        told.append(type(event).__name__)
        if isinstance(event, ToolCalled) and told.count("ToolCalled") == 2:
            event.call.refuse("the person said no")
    assert threads == [threading.main_thread()]
    assert [each["content"] for each in results(model_server)] == [
        "ran",
        "error: the person said no",
    ]
    round_ = ["ToolCallBegun", "Usage", "AttemptEnded", "ToolRound", "ToolCalled", "ToolResult"]
    assert [each for each in told if each in round_] == [*round_ * 2, "Usage", "AttemptEnded"]


async def _waits() -> str:
    """Wait for nothing."""
    await asyncio.sleep(0)
    return "waited"


def test_async_functions_are_awaited(model_server: ModelServer, clock: FakeClock) -> None:
    """In an event loop alone; elsewhere they are refused before anything is sent."""
    base: Any = {"model": "openai/gpt-4o", "base_url": model_server.openai_base, "api_key": "sk-of"}
    model_server.script(asks(Call("_waits"), KYOTO), DONE)
    reply = asyncio.run(ask_async("Hello", tools=[_waits, weather], clock=clock, **base))
    assert [call.result for call in reply.tool_calls] == ["waited", "Sunny in Kyoto, day 2."]
    with pytest.raises(UsageError, match="_waits is an async function"):
        asked(model_server, clock, _waits)


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ([3], "int is no function"),
        ([weather, weather], "two functions are called weather"),
        ([dict], "cannot be told what dict takes"),
    ],
)
def test_what_is_no_function_is_refused(
    model_server: ModelServer, clock: FakeClock, tools: list[Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        asked(model_server, clock, *tools)
    assert model_server.count == 0


def test_tools_that_are_no_list(model_server: ModelServer, clock: FakeClock) -> None:
    """One function is a list of one; of the name of a server it is told what gives its tools."""
    model_server.script(Answer("Done."))
    settings: Any = {"model": "openai/test", "base_url": model_server.openai_base, "clock": clock}
    assert ask("Go.", tools=weather, api_key="sk-of-the-test", **settings).is_whole  # type: ignore[arg-type]
    assert model_server.received[0].body["tools"][0]["function"]["name"] == "weather"
    for tools in ("files", ["files"]):
        with pytest.raises(UsageError, match=r"^a text is no function.*mcp_tools\(NAME\) gives"):
            ask("Go.", tools=tools, **settings)


def test_practice_models(clock: FakeClock) -> None:
    """Each fails in its own way, as one line."""
    settings: Any = {"tools": [weather], "clock": clock}
    wish = 'Please:\ncall weather {"city": "Uji"}'
    for model, calls in (("tools", 1), ("tools-malformed", 2), ("tools-unknown", 2)):
        reply = ask(wish, model=f"practice/{model}", **settings)
        assert "> Sunny in Uji, day 1." in reply.text
        assert len(reply.tool_calls) == calls
    assert "call NAME" in ask("Hello", model="practice/tools", **settings).text
    for model, kind in (
        ("tools-cut", ToolCallError),
        ("tools-refused", ToolsRefusedError),
    ):
        with pytest.raises(kind) as caught:
            ask(wish, model=f"practice/{model}", **settings)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow  # it reads ten thousand calls
def test_a_practice_model_that_asks_a_thousand_times(clock: FakeClock) -> None:
    """The rounds have a limit, whatever it asks for."""
    wish = 'Please:\ncall weather {"city": "Uji"}'
    with pytest.raises(ToolRoundsError) as caught:
        ask(wish, model="practice/tools-thousand", tools=[weather], clock=clock)
    assert len(str(caught.value).splitlines()) == 1
