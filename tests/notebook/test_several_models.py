"""`%%llm -m A -m B` in a real kernel: answers side by side, and what comes of failures."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Call, Cut, Hang, ModelServer, Refuse, asks

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernel import Front, Kernel, Ran
    from model_server import Received, Step

PATIENCE_S = 20

REFUSED = Refuse(401, message="No such key.")


@pytest.fixture
def server(kernel: Kernel, model_server: ModelServer) -> ModelServer:
    """A server that the session's settings lead to; each model answers with its name."""
    model_server.script(by_model({"bad": REFUSED, "worse": REFUSED}))
    kernel.run("key = 'sk-of-the-test'")
    kernel.run(f"%llm_config base_url={model_server.openai_base} api_key=$key")
    return model_server


def by_model(steps: dict[str, Step]) -> Callable[[Received], Step]:
    """Make a script in which some models do what is said, and others answer with their names."""
    return lambda received: steps.get(received.model) or Answer(f"I am {received.model}.")


def told(kernel: Kernel, expression: str) -> Any:
    """Give a value that can be written as JSON."""
    return json.loads(kernel.run(f"import json; print(json.dumps({expression}))").stdout)


def shown(ran: Ran, front: Front) -> str:
    """Return all that stands below a cell, of which a notebook has one output."""
    if front == "console":
        return ran.terminal
    (output,) = ran.outputs
    return output["text/plain"]


@pytest.mark.parametrize("front", ["lab", "console", "nobody"])
@pytest.mark.usefixtures("server")
def test_each_answer_stands_below_its_model(kernel: Kernel, front: Front) -> None:
    """One that fails is told with its reason, and the cell goes on: the others have answered."""
    ran = kernel.run("%%llm -m openai/a -m openai/bad -m openai/c\nWho are you?", front)
    assert ran.error is None
    text = shown(ran, front)
    for title in ("## openai/a\n\nI am a.", "## openai/c\n\nI am c.", "## openai/bad\n\n"):
        assert text.count(title) == 1
    assert "No answer: the provider refused the key (401: No such key)" in text
    assert told(kernel, "[*_]") == ["I am a.", "", "I am c."]
    assert told(kernel, "[type(each.error).__name__ for each in _]") == [
        "NoneType",
        "AuthenticationError",
        "NoneType",
    ]


@pytest.mark.usefixtures("server")
def test_the_value_is_a_list_that_shows_itself_as_a_table(kernel: Kernel) -> None:
    ran = kernel.run("answers = %llm -m openai/a -m openai/bad Who?")
    assert len(ran.outputs) == 1
    table = kernel.run("answers").outputs[0]["text/plain"].splitlines()
    assert table[0].split() == ["Model", "Time", "Tokens", "Cost", "Ended"]
    assert table[1].split()[:2] == ["0", "openai/a"]
    assert table[1].split()[-2:] == ["local", "stop"]
    assert re.match(r"1  openai/bad +the provider refused the key .*…", table[2])
    assert told(kernel, "[isinstance(answers, list), answers.text]") == [True, ["I am a.", ""]]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("part", ["", ":text"])
def test_out_stores_the_list(kernel: Kernel, part: str) -> None:
    kernel.run(f"%%llm -o both{part} -m openai/a -m openai/b\nWho?")
    assert told(kernel, "[*both]") == ["I am a.", "I am b."]
    assert told(kernel, "type(both[0]).__name__") == ("str" if part else "Reply")


def test_all_are_asked_at_once(kernel: Kernel, server: ModelServer) -> None:
    """None waits for the answer of another."""
    meet = threading.Barrier(3, timeout=PATIENCE_S)

    def step(received: Received) -> Step:
        return Answer(f"I am {received.model}.", between_chunks=lambda n: n == 1 and meet.wait())

    server.script(step)
    ran = kernel.run("%%llm -m openai/a -m openai/b -m openai/c --temperature 0.5\nWho?")
    assert ran.error is None
    assert [each.body["temperature"] for each in server.received] == [0.5] * 3


def test_where_none_answers_the_cell_fails_with_one_line(
    kernel: Kernel, server: ModelServer
) -> None:
    ran = kernel.run("%%llm -o both -m openai/bad -m openai/worse\nWho?")
    assert ran.error is not None
    said = (
        "RequestError: none of the 2 models has given an answer: openai/bad: the provider refused"
    )
    assert ran.error.startswith(said)
    assert "\n" not in ran.error
    assert told(kernel, "[len(both), len(_)]") == [2, 2]
    assert server.count == 2


@pytest.mark.usefixtures("server")
def test_what_is_known_before_stops_no_other(kernel: Kernel) -> None:
    """A model without a provider, one that `%ai` writes so, and one without a key."""
    line = "-m nowhere -m openai:gpt-4o -m openai/a"
    ran = kernel.run(f"%%llm {line}\nWho?")
    assert ran.error is None
    (output,) = ran.outputs
    assert "the model nowhere is not known" in output["text/plain"]
    assert "is written openai/gpt-4o here" in output["text/plain"]
    assert "I am a." in output["text/plain"]


def test_an_address_that_is_not_trusted_stops_its_model_alone(
    kernel: Kernel, server: ModelServer
) -> None:
    """Each model has its own key and address, those of its group."""
    kernel.run(
        "from pathlib import Path\nPath('config.toml').write_text('''[llm.theirs]\n"
        'model = "openai/theirs"\nbase_url = "https://elsewhere.example/v1"\n'
        "[llm.mine]\\nmodel = \"practice/echo\"\\n''')"
    )
    try:
        kernel.run("%llm_config --reset")
        kernel.run("%env OPENAI_API_KEY=sk-canary-0123456789abcdef")
        ran = kernel.run("%%llm -g theirs -g mine\nWho?")
        text = shown(ran, "lab")
        assert "## openai/theirs [theirs]\n\nNo answer: " in text
        assert "elsewhere.example" in text
        assert "> Who?" in text
    finally:
        kernel.run("Path('config.toml').unlink()\nimport os\ndel os.environ['OPENAI_API_KEY']")
    assert server.count == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-m openai/a -m openai/b -m openai/c " * 3, "9 models are too many"),
        ("-m openai/a -m openai/b -g one -g two", "exclude each other"),
        ("-m openai/a -m openai/b --chat talk", "--chat goes with one model"),
        ("-m {empty}", "--model: {empty} is an empty list."),
        ("-m openai/a -m openai/b -t nothing", "there is no variable nothing"),
        ("-m openai/a -m openai/b --schema nothing", "there is no variable nothing"),
        ("-m openai/a -m openai/b -a nothing.txt", "-a nothing.txt"),
    ],
)
def test_a_mistake_of_the_line_stops_all(
    kernel: Kernel, server: ModelServer, line: str, said: str
) -> None:
    """One line, before anything is sent."""
    kernel.run("empty = []")
    ran = kernel.run(f"%%llm {line}\nWho?")
    assert ran.error is not None
    assert ran.error.startswith("UsageError: ")
    assert said in ran.error
    assert ran.error.count(said) == 1
    assert server.count == 0


def test_what_the_prompt_names_is_read_once(kernel: Kernel, server: ModelServer) -> None:
    kernel.run(
        "class Counted:\n    times = 0\n    def __str__(self):\n"
        "        Counted.times += 1\n        return 'me'\nwho = Counted()"
    )
    kernel.run("%%llm -m openai/a -m openai/b\nThis is {who}.")
    assert [each.body["messages"][0]["content"] for each in server.received] == ["This is me."] * 2
    assert told(kernel, "Counted.times") == 1


@pytest.mark.usefixtures("server")
def test_a_list_of_models_may_be_in_a_variable(kernel: Kernel) -> None:
    kernel.run("models = ['openai/a', 'openai/b']\none = 'c'")
    kernel.run("%%llm -m {models} -m openai/{one}\nWho?")
    assert told(kernel, "[*_]") == ["I am a.", "I am b.", "I am c."]
    kernel.run("models = ['openai/a']")
    kernel.run("%%llm -m {models}\nWho?")
    assert told(kernel, "[*_]") == ["I am a."]  # and no text, whose letters a loop would get


def test_a_key_that_a_server_echoes_is_shown_nowhere(kernel: Kernel, server: ModelServer) -> None:
    """Neither in a column nor in the table, the error or the reply."""
    key = "sk-canary-0123456789abcdef"
    kernel.run(f"import getpass; other = {key!r}")
    server.script(Refuse(401, message=f"No such key: {key}."), Answer(f"Is it {key}?"))
    for line in ("-m openai/a -m openai/b --max-output-tokens {other}", "-m openai/a -m openai/b"):
        ran = kernel.run(f"%%llm {line} --api-key $other\nWho?")
        assert key not in ran.everything
    assert key not in kernel.run("_, [str(each.error) for each in _], [*_]").everything


def test_requests_to_one_model_keep_to_its_limit(kernel: Kernel, server: ModelServer) -> None:
    """That of requests a minute holds over all columns."""
    kernel.run("%%llm -m openai/a -m openai/a --requests-per-minute 60\nWho?")
    assert sorted(told(kernel, "[each.throttled_s > 0.5 for each in _]")) == [False, True]
    assert server.count == 2


def test_one_model_twice_gives_two_answers(kernel: Kernel, server: ModelServer) -> None:
    """They tell how much its answers vary."""
    server.script(Answer("One."), Answer("Other."))
    text = shown(kernel.run("%%llm -m openai/a -m openai/a\nWho?"), "lab")
    assert "## openai/a (1)" in text
    assert "## openai/a (2)" in text
    assert sorted(told(kernel, "[*_]")) == ["One.", "Other."]


@pytest.mark.parametrize("front", ["lab", "console"])
def test_an_interrupt_stops_all_and_keeps_what_came(
    kernel: Kernel, server: ModelServer, front: Front
) -> None:
    begun = threading.Event()

    def wait(sent: int) -> None:
        if sent == 2:
            begun.set()
            hung.wait(PATIENCE_S)

    hung = threading.Event()
    steps: dict[str, Step] = {"slow": Answer("So far so good.", between_chunks=wait), "off": Hang()}
    server.script(by_model(steps))

    def press() -> None:
        begun.wait(PATIENCE_S)
        time.sleep(0.5)
        kernel.interrupt()

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        began_s = time.monotonic()
        ran = kernel.run("%%llm -m openai/a -m openai/slow -m openai/off\nWho?", front)
        assert time.monotonic() - began_s < PATIENCE_S / 2
    finally:
        hung.set()
        pressing.join()
    assert ran.error == "Stopped: stopped; what the models had answered is in `_`."
    whole, begun_text, none = told(kernel, "[*_]")
    assert (whole, begun_text.strip(), none) == ("I am a.", "So far", "")
    assert told(kernel, "[each.error is None for each in _]") == [True, False, False]
    assert "So far" in shown(ran, front)
    assert "No answer: stopped before openai/off had answered." in shown(ran, front)


def test_a_broken_answer_is_asked_for_again_beside_one_that_is_whole(
    kernel: Kernel, server: ModelServer
) -> None:
    two: list[Step] = [Cut(2, of=Answer("It broke off here.")), Answer("It is whole.")]
    broken = iter(two)
    server.script(lambda got: next(broken) if got.model == "b" else Answer("I am a."))
    ran = kernel.run("%%llm -m openai/a -m openai/b --retry-min-wait 0 --retry-max-wait 0\nWho?")
    text = shown(ran, "lab")
    assert text.index("I am a.") < text.index("It is whole.")
    assert "1 retry" in text
    assert "the answer broke off; asking again" in ran.outputs[0]["text/html"]


def test_a_limit_of_money_holds_over_all_of_them(kernel: Kernel, server: ModelServer) -> None:
    """Two of four pass, and the others say why they were not sent."""
    meet = threading.Barrier(2, timeout=PATIENCE_S)
    server.script(
        lambda _: Answer("Hi.", usage=(10, 10), between_chunks=lambda n: n == 1 and meet.wait())
    )
    money = "--input-cost-per-token 0.0001 --output-cost-per-token 0.001 --max-output-tokens 100"
    models = " ".join(f"-m openai/{name}" for name in "abcd")
    # Each can cost $0.22.
    ran = kernel.run(f"%%llm {models} {money} --max-budget-per-task 0.5\nWho?")
    assert ran.error is None
    assert server.count == 2
    assert told(kernel, "[type(each.error).__name__ for each in _]").count("OverBudgetError") == 2
    why = told(kernel, "[str(each.error) for each in _]")
    held = "of $0.50 was spent in this session, or may be by requests on their way"
    assert sum(held in each for each in why) == 2


def test_a_schema_holds_each(kernel: Kernel, server: ModelServer) -> None:
    """What does not fit is sent back once, and is an error of that model alone."""
    kernel.run("shape = {'type': 'object', 'properties': {'n': {'type': 'integer'}}}")
    server.script(by_model({"a": Answer('{"n": 1}'), "b": Answer('{"n": "x"}')}))
    ran = kernel.run("%%llm -o made:data --schema shape -m openai/a -m openai/b\nWho?")
    assert ran.error is None
    assert told(kernel, "made") == [{"n": 1}, None]
    assert told(kernel, "[each.error is None for each in _]") == [True, False]
    assert server.count == 3


def test_code_makes_no_new_cell(kernel: Kernel, server: ModelServer) -> None:
    """Which of them is to be run only the person knows."""
    server.script(lambda got: Answer(f"```python\n{got.model} = 1\n```"))
    ran = kernel.run("%%llm -f code -m openai/a -m openai/b\nWrite.")
    assert ran.reply["payload"] == []
    assert told(kernel, "_.data") == ["a = 1", "b = 1"]


def test_each_may_call_functions(kernel: Kernel, server: ModelServer) -> None:
    kernel.run("def weather(city: str) -> str:\n    'Tell.'\n    return f'rain in {city}'")

    def step(received: Received) -> Step:
        if received.body["messages"][-1]["role"] == "tool":
            return Answer(f"{received.model} has read it.")
        return asks(Call("weather", json.dumps({"city": received.model})))

    server.script(step)
    ran = kernel.run("%%llm -t weather --yes weather -m openai/a -m openai/b\nWeather?")
    assert ran.error is None
    calls = told(kernel, "[[call.result for call in each.tool_calls] for each in _]")
    assert calls == [["rain in a"], ["rain in b"]]
    assert told(kernel, "[*_]") == ["a has read it.", "b has read it."]


def test_a_dry_run_shows_each_request(kernel: Kernel, server: ModelServer) -> None:
    ran = kernel.run("%%llm --dry-run -m openai/a -m openai/b -m openai:gpt-4o\nWho?")
    texts = [each["text/plain"] for each in ran.outputs]
    assert ['"model": "a"' in texts[0], '"model": "b"' in texts[1], len(texts)] == [True, True, 2]
    assert "is written openai/gpt-4o here" in ran.stdout
    assert server.count == 0


def test_stored_answers_are_not_asked_for_again(kernel: Kernel, server: ModelServer) -> None:
    for _ in range(2):
        ran = kernel.run("%%llm --cache --footer on -m openai/a -m openai/b\nStored?")
    assert server.count == 2
    assert shown(ran, "lab").count("stored answer") == 2


def test_a_conversation_goes_on_from_the_answer_of_a_model(
    kernel: Kernel, server: ModelServer
) -> None:
    """With `-c`, each from its own; without one of its own it is refused with one line."""
    kernel.run("%%llm -m openai/a -m openai/b\nWho?")
    kernel.run("%%llm -c -m openai/a -m openai/b\nReally?")
    sent = {each.model: each.body["messages"] for each in server.received[2:]}
    assert [each["content"] for each in sent["a"]] == ["Who?", "I am a.", "Really?"]
    assert [each["content"] for each in sent["b"]] == ["Who?", "I am b.", "Really?"]
    ran = kernel.run("%%llm -c -m openai/c\nAnd?")
    assert ran.error == (
        "UsageError: -c goes on from one answer, and the last cell had several: `-c -m MODEL`"
        " names that of openai/a or openai/b."
    )
    kernel.run("%%llm -c -m openai/b\nSure?")
    kernel.run("%%llm -c -m openai/c\nNow?")
    contents = [each["content"] for each in server.received[-1].body["messages"]]
    assert contents[-5:] == ["Really?", "I am b.", "Sure?", "I am b.", "Now?"]


@pytest.mark.usefixtures("server")
def test_no_cell_is_silent_meanwhile(kernel: Kernel, server: ModelServer) -> None:
    """A wait is counted down in its column while another has answered, footer and all."""
    slow: list[Step] = [Refuse(429, {"retry-after": "2"}, message="Slow down."), Answer("At last.")]
    waits = iter(slow)
    server.script(lambda got: next(waits) if got.model == "slow" else Answer("At once."))
    ran = kernel.run("%%llm --footer on -m openai/slow -m openai/fast\nWho?")
    counted = [each for each in ran.updates if "retry 1 of 4 in" in each]
    assert counted
    assert any("At once." in each and "tokens in" in each for each in counted)
    assert len(ran.outputs) == 1
