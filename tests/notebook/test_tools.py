"""`%%llm -t`: functions of a notebook that a model asks for, in a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Call, asks

if TYPE_CHECKING:
    from kernel import Kernel
    from model_server import ModelServer

WEATHER = """\
def weather(city: str, days: int = 1) -> str:
    'Tell the weather of a city.'
    called.append(city)
    return f"Sunny in {city}."
called = []
key = 'sk-of-the-test'
"""
KYOTO = Call("weather", '{"city": "Kyoto"}')
DONE = Answer("It is sunny.")


@pytest.fixture
def notebook(kernel: Kernel) -> Kernel:
    """A notebook with a function `weather` that notes its calls."""
    assert kernel.run(WEATHER).error is None
    return kernel


def at(server: ModelServer) -> str:
    """The options that send a cell's prompt to a test server."""
    return f"-m openai/test --base-url {server.openai_base} --api-key $key"


def called(kernel: Kernel) -> str:
    """What `weather` has noted."""
    return kernel.run("print(called)").stdout.strip()


@pytest.mark.parametrize("front", ["lab", "console", "nobody"])
def test_a_function_allowed_by_name_is_called(
    notebook: Kernel, model_server: ModelServer, front: Any
) -> None:
    """Without a question; its call is shown folded, the answer below it."""
    model_server.script(asks(KYOTO, text="Let me look."), DONE)
    cell = f"%%llm {at(model_server)} -t weather --yes weather\nHow is it in Kyoto?"
    ran = notebook.run(cell, front)
    assert ran.error is None
    assert called(notebook) == "['Kyoto']"
    assert model_server.received[0].body["tools"][0]["function"]["name"] == "weather"
    assert model_server.received[1].body["messages"][-1]["content"] == "Sunny in Kyoto."
    if front == "console":
        assert '(weather(city="Kyoto") · ' in ran.terminal
        assert "Sunny in Kyoto.)" in ran.terminal
        assert ran.terminal.index("Let me look.") < ran.terminal.index("It is sunny.")
    else:
        html = "".join(each.get("text/html", "") for each in ran.outputs)
        folded = html[html.index("<details>") : html.index("</details>")]
        assert "weather(city=&quot;Kyoto&quot;) · " in folded
        assert "Sunny in Kyoto." in folded
        assert html.index("Let me look.") < html.index("<details>") < html.index("It is sunny.")
        assert "".join(each["text/plain"] for each in ran.outputs) == "It is sunny."
    calls = notebook.run("print(Out[max(Out)].tool_calls)").stdout
    assert "name='weather', arguments={'city': 'Kyoto'}, result='Sunny in Kyoto.'" in calls


def test_nothing_is_sent_where_nobody_can_be_asked(
    notebook: Kernel, model_server: ModelServer
) -> None:
    """The cell fails in one line, so that nothing is paid for."""
    ran = notebook.run(f"%%llm {at(model_server)} -t weather\nHow is it?", "nobody")
    assert ran.error is not None
    assert len(ran.error.splitlines()) == 1
    assert "nobody can be asked here whether weather may be called" in ran.error
    assert "`--yes weather` allows it" in ran.error
    assert model_server.count == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("-t wether", "-t wether: there is no variable wether"),
        ("-t key", "key is no function that a model could ask for: it is of the type str"),
        ("-t weather -t weather", "two functions are called weather"),
        ("--yes weather", "--yes weather goes with -t weather"),
        ("--max-rounds 3", "--max-rounds goes with -t"),
        ("-t weather --max-rounds none", "--max-rounds takes a number from 1 on, not 'none'"),
    ],
)
def test_a_line_that_makes_no_sense(
    notebook: Kernel, model_server: ModelServer, options: str, told: str
) -> None:
    ran = notebook.run(f"%%llm {at(model_server)} {options}\nHello")
    assert ran.error is not None
    assert told in ran.error
    assert len(ran.error.splitlines()) == 1
    assert model_server.count == 0


def test_rounds_and_results_have_limits(notebook: Kernel, model_server: ModelServer) -> None:
    model_server.script(asks(KYOTO))
    line = f"%%llm {at(model_server)} -t weather --yes weather --max-rounds 2"
    ran = notebook.run(f"{line} --max-message-chars 5\nHow is it?")
    assert ran.error is not None
    assert "asks for weather once more after 2 rounds of calls" in ran.error
    assert "`--max-rounds` allows more" in ran.error
    assert model_server.count == 3
    result = notebook.run("print(_.tool_calls[-1].result)").stdout
    assert result == "Sunny\n(cut: the first 5 of 15 characters)\n"


def test_tables_are_written_as_in_a_prompt(notebook: Kernel, model_server: ModelServer) -> None:
    notebook.run(
        "import pandas\ndef table():\n    return pandas.DataFrame({'a': range(3_000_000)})"
    )
    model_server.script(asks(Call("table")), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t table --yes table\nHello")
    assert ran.error is None
    sent = model_server.received[1].body["messages"][-1]["content"]
    assert sent.startswith("(3,000,000 rows and 1 column, of which the first 20 rows")
    assert "| a |" in sent


def test_what_fails_is_a_result_and_what_is_printed_stays(
    notebook: Kernel, model_server: ModelServer
) -> None:
    notebook.run("def fails():\n    print('here')\n    return 1 / 0")
    model_server.script(asks(Call("fails")), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t fails --yes fails\nHello")
    assert ran.error is None
    assert ran.stdout == "here\n"
    sent = model_server.received[1].body["messages"][-1]["content"]
    assert sent == "error: ZeroDivisionError: division by zero"
    assert "fails() · failed · " in str(ran.outputs)


def test_what_is_asked_and_printed_begins_a_line_of_a_terminal(
    notebook: Kernel, model_server: ModelServer
) -> None:
    """What says that a function is called stands on the line above, and overwrites nothing."""
    notebook.run("def tells(a: int):\n    print('here', end='')\n    return a")
    for allowed in ("--yes tells", ""):
        model_server.script(asks(Call("tells", '{"a": 1}'), text="Let me look."), DONE)
        line = f"%%llm {at(model_server)} -t tells {allowed}"
        ran = notebook.run(f"{line}\nHello", "console", typed=["run"])
        assert ran.error is None
        lines = ran.terminal.splitlines()
        assert lines[lines.index("calling tells …") + 1].startswith("here")
    model_server.script(asks(Call("tells", '{"a": 1}')), DONE)
    two = f"%%llm {at(model_server)} -m openai/b -t tells --yes tells\nHello"
    lines = notebook.run(two, "console").terminal.splitlines()
    assert lines[0].startswith("## openai/")


def test_an_interrupt_reaches_a_function_that_never_returns(
    notebook: Kernel, model_server: ModelServer
) -> None:
    """It gets KeyboardInterrupt; the cell ends in one line, and what came is kept."""
    notebook.run(
        "import time\n"
        "def sleeps():\n"
        "    print('asleep')\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        print('woken')\n"
        "        raise"
    )
    model_server.script(asks(KYOTO, Call("sleeps", id="call_2"), text="One moment."), DONE)
    line = f"%%llm {at(model_server)} -t weather -t sleeps --yes weather --yes sleeps"

    def stop(message: dict[str, Any]) -> None:
        if message["content"].get("text", "").startswith("asleep"):
            notebook.interrupt()

    ran = notebook.run(f"{line}\nHello", on_message=stop)
    assert ran.stdout == "asleep\nwoken\n"
    assert ran.error is not None
    assert "Stopped: stopped; what openai/test had answered is in `_`." in ran.error
    assert model_server.count == 1
    kept = notebook.run("print(_, [call.problem for call in _.tool_calls])").stdout
    assert kept == "One moment. ['', 'interrupted']\n"
    assert notebook.run("%llm Hello").error is None


def test_a_function_may_ask_a_model_itself(notebook: Kernel, model_server: ModelServer) -> None:
    notebook.run(
        "def asks(question: str):\n"
        "    reply = get_ipython().run_line_magic('llm', question)\n"
        "    return reply.text[:16]"
    )
    model_server.script(asks(Call("asks", '{"question": "Why?"}')), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t asks --yes asks\nHello")
    assert ran.error is None
    assert "You wrote" in model_server.received[1].body["messages"][-1]["content"]
    assert notebook.run("print(_)").stdout == "It is sunny.\n"


def test_tab_names_functions(notebook: Kernel) -> None:
    assert "weather" in notebook.complete("%%llm -t wea")
    assert "--max-rounds" in notebook.complete("%%llm --max-r")


QUESTION = 'Call weather(city="Kyoto")? (run / always / no) '


@pytest.mark.parametrize("front", ["lab", "console"])
def test_the_person_is_asked_before_the_first_call(
    notebook: Kernel, model_server: ModelServer, front: Any
) -> None:
    """Of each function in a cell, and once; the next cell asks again."""
    model_server.script(asks(KYOTO), asks(KYOTO), DONE)
    for count in (2, 4):
        ran = notebook.run(
            f"%%llm {at(model_server)} -t weather\nHow is it?", front, typed=["what?", "run"]
        )
        assert ran.error is None
        assert ran.asked == [QUESTION, QUESTION]
        assert called(notebook) == str(["Kyoto"] * count)
        model_server.script(asks(KYOTO), asks(KYOTO), DONE)


def test_always_holds_for_the_session_and_for_that_function(
    notebook: Kernel, model_server: ModelServer
) -> None:
    """One of the same name that does another thing is asked about; one that is run again is not."""
    cell = f"%%llm {at(model_server)} -t weather\nHow is it?"
    for asked in ([QUESTION], []):
        model_server.script(asks(KYOTO), DONE)
        assert notebook.run(cell, typed=["a"]).asked == asked
    notebook.run(WEATHER)
    model_server.script(asks(KYOTO), DONE)
    assert notebook.run(cell, "nobody").error is None
    notebook.run("def weather(city: str):\n    return 'wet'")
    model_server.script(asks(KYOTO), DONE)
    assert notebook.run(cell, typed=["no"]).asked == [QUESTION]


def test_what_the_person_refuses_is_not_called(notebook: Kernel, model_server: ModelServer) -> None:
    """The model is told, and answers all the same; it is not asked about again in that cell."""
    notebook.run("def weather(city):\n    called.append(city)\n    return 'no'")
    model_server.script(asks(KYOTO), asks(KYOTO), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t weather\nHow is it?", typed=["no"])
    assert ran.error is None
    assert len(ran.asked) == 1
    assert called(notebook) == "[]"
    told = "error: the person did not allow this call"
    assert model_server.received[2].body["messages"][-1]["content"] == told
    assert "weather(city=&quot;Kyoto&quot;) · not called" in str(ran.outputs)


def test_an_interrupt_while_the_person_is_asked(
    notebook: Kernel, model_server: ModelServer
) -> None:
    notebook.run("def weather(city):\n    called.append(city)\n    return 'never'")
    model_server.script(asks(KYOTO, text="May I?"), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t weather\nHow is it?")
    assert ran.error is not None
    assert "Stopped: stopped; what openai/test had answered is in `_`." in ran.error
    assert len(ran.error.splitlines()) == 1
    assert (called(notebook), model_server.count) == ("[]", 1)


def test_a_dry_run_shows_what_the_model_is_told(
    notebook: Kernel, model_server: ModelServer
) -> None:
    ran = notebook.run(f"%%llm {at(model_server)} -t weather --dry-run\nHow is it?", "nobody")
    assert ran.error is None
    shown = ran.outputs[0]["text/plain"]
    assert '"description": "Tell the weather of a city."' in shown
    assert '"additionalProperties": false' in shown
    assert "Nothing was sent." in shown
    assert model_server.count == 0


@pytest.mark.parametrize(
    "model", ["openai/test", "anthropic/claude-sonnet-4-20250514", "gemini/gemini-2.5-flash"]
)
def test_a_conversation_keeps_the_calls(
    notebook: Kernel, model_server: ModelServer, model: str
) -> None:
    """The next turn sends what was asked for and what came of it, with or without functions."""
    base = model_server.base_for(model.partition("/")[0])
    line = f"-m {model} --base-url {base} --api-key $key"
    model_server.script(asks(KYOTO, text="I look."), DONE, Answer("As I said."))
    first = notebook.run(f"%%llm {line} --chat trip -t weather --yes weather\nHow is it?")
    assert first.error is None
    assert notebook.run(f"%%llm {line} --chat trip\nAre you sure?").error is None
    sent = str(model_server.received[2].body)
    assert sent.index("I look.") < sent.index("Sunny in Kyoto.") < sent.index("It is sunny.")
    model_server.script(asks(KYOTO), DONE)
    again = notebook.run(f"%%llm {line} --chat trip -t weather --yes weather\nAnd now?")
    assert again.error is None
    assert str(model_server.received[-1].body).count("Sunny in Kyoto.") == 2
    shown = notebook.run("%llm_chat trip")
    assert 'weather(city="Kyoto")\nSunny in Kyoto.' in shown.outputs[0]["text/plain"]


def test_ids_differ_from_those_of_earlier_turns(
    notebook: Kernel, model_server: ModelServer
) -> None:
    line = f"%%llm {at(model_server)} --chat ids -t weather --yes weather"
    for _ in range(3):
        model_server.script(asks(KYOTO, Call("weather", KYOTO.arguments, id=None)), DONE)
        notebook.run(f"{line}\nHow is it?")
    messages = model_server.received[-1].body["messages"]
    ids = [call["id"] for each in messages for call in each.get("tool_calls", ())]
    assert len(ids) == len(set(ids)) == 6


def test_a_stored_answer_needs_nobody(notebook: Kernel, model_server: ModelServer) -> None:
    """Its calls are shown as they were, and nothing is called again."""
    cell = f"%%llm {at(model_server)} -t weather --cache\nHow is it, as stored?"
    model_server.script(asks(KYOTO), DONE)
    assert notebook.run(cell, typed=["run"]).error is None
    again = notebook.run(cell, "nobody")
    assert again.error is None
    assert "Sunny in Kyoto." in str(again.outputs)
    assert (called(notebook), model_server.count) == ("['Kyoto']", 2)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("tools-cut", "raise max_output_tokens (now not set, from default)"),
        ("tools-thousand", "ToolRoundsError: no answer came"),
        ("tools-refused", "or leave out `-t`."),
    ],
)
def test_practice_models_that_fail(notebook: Kernel, model: str, told: str) -> None:
    """Each in one line, and what came is kept."""
    line = f"%%llm -m practice/{model} -t weather --yes weather"
    ran = notebook.run(f'{line}\ncall weather {{"city": "Uji"}}')
    assert ran.error is not None
    assert told in ran.error
    assert len(ran.error.splitlines()) == 1
    made = {"tools-cut": 2, "tools-thousand": 80, "tools-refused": 0}[model]
    assert notebook.run("print(len(_.tool_calls))").stdout == f"{made}\n"
    assert len(ran.outputs) < 20


def test_a_practice_model_says_what_it_can_be_told(notebook: Kernel) -> None:
    ran = notebook.run("%%llm -m practice/tools -t weather --yes weather\nHello")
    assert ran.error is None
    assert "call NAME" in ran.outputs[-1]["text/plain"]
