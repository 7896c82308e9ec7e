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
