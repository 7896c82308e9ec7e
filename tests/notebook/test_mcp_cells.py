"""`%%llm -t SERVER`: MCP servers in a real kernel."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kernel import Kernel
from model_server import Answer, Call, asks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server import ModelServer

PROGRAMS = Path(__file__).parents[1] / "mcp_programs"
FRIENDLY, HOSTILE = PROGRAMS / "friendly.py", PROGRAMS / "hostile.py"
CANARY = "sk-canary-0123456789abcdef"
ADD = Call("friend__add", '{"a": 1, "b": 2}')
DONE = Answer("Three.")


@pytest.fixture
def notebook(kernel: Kernel, tmp_path: Path) -> Iterator[Kernel]:
    """A notebook of somebody who has configured servers, none of which runs yet."""
    file = tmp_path / "config.toml"
    command = f"command = {json.dumps(sys.executable)}"
    file.write_text(
        f'[openhands_llm_magic.mcp.friend]\n{command}\nargs = ["{FRIENDLY}"]\n'
        f'env = {{TOKEN = "{CANARY}"}}\n'
        f'[openhands_llm_magic.mcp.silent]\n{command}\nargs = ["{HOSTILE}", "silent"]\n'
        f'[openhands_llm_magic.mcp.junk]\n{command}\nargs = ["{HOSTILE}", "junk too"]\n'
        f'[openhands_llm_magic.mcp.ending]\n{command}\nargs = ["{HOSTILE}", "ends at once"]\n'
        '[openhands_llm_magic.mcp.away]\nurl = "http://127.0.0.1:9/mcp"\n'
    )
    named = f"import os\nos.environ['LLM_MAGIC_CONFIG'] = {str(file)!r}\nkey = 'sk-of-the-test'"
    assert kernel.run(named).error is None
    yield kernel
    kernel.run(
        "from openhands_llm_magic.llm.tools import mcp\nmcp.close_all()\n"
        "del os.environ['LLM_MAGIC_CONFIG']"
    )


def at(server: ModelServer) -> str:
    return f"-m openai/test --base-url {server.openai_base} --api-key $key"


@pytest.mark.parametrize("front", ["lab", "console", "nobody"])
@pytest.mark.parametrize("allowed", ["friend", "friend.add"])
def test_a_server_allowed_by_name(
    notebook: Kernel, model_server: ModelServer, front: Any, allowed: str
) -> None:
    """The call is shown as that of a function is, also where standard error is no real file."""
    model_server.script(asks(ADD), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t friend.add --yes {allowed}\nHow much?", front)
    assert ran.error is None
    assert "friend__add(a=1, b=2)" in ran.everything
    assert model_server.received[1].body["messages"][-1]["content"] == "3"
    assert "sys.stderr" not in ran.everything


def test_the_person_is_asked_before_the_first_call_of_each_tool(
    notebook: Kernel, model_server: ModelServer
) -> None:
    """What is allowed for the session is that tool of that server."""
    table = Call("friend__table", "{}", id="call_2")
    line = f"%%llm {at(model_server)} -t friend"
    model_server.script(asks(ADD, table), asks(ADD), DONE)
    ran = notebook.run(f"{line}\nHow much?", typed=["always", "no"])
    assert ran.error is None
    assert ran.asked == [
        "Call friend__add(a=1, b=2)? (run / always / no) ",
        "Call friend__table()? (run / always / no) ",
    ]
    model_server.script(asks(ADD, table), DONE)
    assert len(notebook.run(f"{line}\nHow much?", typed=["no"]).asked) == 1


def test_nobody_to_ask(notebook: Kernel, model_server: ModelServer) -> None:
    """The line names what allows it: the server where all of it is meant."""
    ran = notebook.run(f"%%llm {at(model_server)} -t friend\nHow much?", "nobody")
    assert ran.error is not None
    assert "whether friend may be called: `--yes friend` allows it by name" in ran.error
    line = f"%%llm {at(model_server)} -t friend --yes friend.add"
    ran = notebook.run(f"{line}\nHow much?", "nobody")
    assert "`--yes friend.fail --yes friend.variable" in str(ran.error)
    assert model_server.count == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("-t fiend", "-t fiend: there is no variable fiend, and no such MCP server; there are:"),
        ("-t friend.ad", "friend.ad: the MCP server friend has no tool ad; did you mean add?"),
        ("-t friend --yes friend.nosuch", "--yes friend.nosuch goes with -t friend.nosuch"),
        ("-t friend.add --yes other", "--yes other goes with -t other"),
        ("-t silent --mcp-timeout 0.5", "did not answer within 0.5 s (mcp_timeout)"),
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


@pytest.mark.parametrize("name", ["ending", "away"])
def test_a_server_that_does_not_start(
    notebook: Kernel, model_server: ModelServer, name: str
) -> None:
    """One line, from a magic and from Python, and no traceback of the package's groups."""
    from_python = f"from openhands_llm_magic import mcp_tools\nmcp_tools('{name}')"
    for cell in (f"%%llm {at(model_server)} -t {name}\nHello", from_python):
        ran = notebook.run(cell)
        assert ran.error is not None
        assert ran.error.startswith(f"McpError: the MCP server {name} (")
        assert len(ran.error.splitlines()) == 1
        assert "Traceback" not in ran.everything
    assert model_server.count == 0


def test_a_question_is_what_it_seems_to_be(notebook: Kernel, model_server: ModelServer) -> None:
    """The name of an argument that a model makes up looks like no other question."""
    made_up = "a\n\nCall friend__add(b=2)? (run / always / no)"
    model_server.script(asks(Call("friend__add", json.dumps({made_up: 1, "b": 2}))), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t friend\nHow much?", typed=["no"])
    assert ran.asked == [
        f"Call friend__add({json.dumps(made_up)}=1, b=2)? (run / always / no) ",
    ]


def test_a_function_goes_first_and_no_other_variable(
    notebook: Kernel, model_server: ModelServer
) -> None:
    notebook.run("friend = [1, 2]")
    model_server.script(asks(ADD), DONE)
    line = f"%%llm {at(model_server)} -t friend --yes friend"
    assert notebook.run(f"{line}\nHow much?").error is None
    notebook.run("def friend(a: int):\n    return 'mine'")
    model_server.script(asks(Call("friend", '{"a": 1}')), DONE)
    assert notebook.run(f"{line}\nHow much?").error is None
    assert model_server.received[-1].body["messages"][-1]["content"] == "mine"


def test_tab_names_servers_and_the_tools_of_those_that_run(
    notebook: Kernel, model_server: ModelServer
) -> None:
    """Tab starts nothing."""
    assert notebook.complete("%%llm -t fri") == ["friend"]
    notebook.run(f"%%llm {at(model_server)} -t friend --dry-run\nHello")
    assert "friend.add" in notebook.complete("%%llm -t friend --yes fri")
    assert "SERVER.TOOL" in notebook.run("%llm --help all").stdout


def test_a_dry_run_shows_the_schemas_and_no_key(
    notebook: Kernel, model_server: ModelServer
) -> None:
    ran = notebook.run(f"%%llm {at(model_server)} -t friend.add --dry-run\nIs it {CANARY}?")
    shown = ran.outputs[-1]["text/plain"]
    assert '"name": "friend__add"' in shown
    assert '"description": "Add two numbers."' in shown
    assert CANARY not in shown
    assert model_server.count == 0


def test_what_a_server_writes_is_not_in_the_cell(
    notebook: Kernel, model_server: ModelServer
) -> None:
    model_server.script(asks(Call("junk__go")), DONE)
    ran = notebook.run(f"%%llm {at(model_server)} -t junk --yes junk\nGo")
    assert ran.error is None
    assert ran.stdout == ""
    assert "Traceback" not in ran.everything


def test_an_interrupt_while_a_server_starts(notebook: Kernel, model_server: ModelServer) -> None:
    """The cell says for what it waits, and ends at once; nothing was sent."""

    def stop(message: dict[str, Any]) -> None:
        if "starting the MCP server silent … 1 s" in str(message["content"]):
            notebook.interrupt()

    began_s = time.monotonic()
    ran = notebook.run(f"%%llm {at(model_server)} -t silent\nHello", on_message=stop)
    assert ran.error is not None
    assert "Stopped: stopped before the prompt was sent." in ran.error
    assert time.monotonic() - began_s < 30
    assert model_server.count == 0


def test_an_interrupt_of_a_call(notebook: Kernel, model_server: ModelServer) -> None:
    """It ends at once, in one line; the next cell starts the server anew."""
    model_server.script(asks(Call("friend__wait", '{"seconds": 60}'), text="Wait."), DONE)

    def stop(message: dict[str, Any]) -> None:
        if "calling friend__wait" in str(message["content"]):
            notebook.interrupt()

    line = f"%%llm {at(model_server)} -t friend --yes friend"
    ran = notebook.run(f"{line}\nHello", on_message=stop)
    assert ran.error is not None
    assert "Stopped: stopped; what openai/test had answered is in `_`." in ran.error
    assert notebook.run("print([each.problem for each in _.tool_calls])").stdout == (
        "['interrupted']\n"
    )
    model_server.script(asks(ADD), DONE)
    assert notebook.run(f"{line}\nHow much?").error is None


@pytest.mark.slow  # it starts a kernel of its own
def test_nothing_of_it_is_imported_without_a_server() -> None:
    """LiteLLM imports the package if it is there; a function needs nothing of ours."""
    home = Path.cwd() / "home"
    home.mkdir()
    with Kernel({"PATH": os.environ["PATH"], "HOME": str(home)}, cwd=str(Path.cwd())) as fresh:
        fresh.run("%load_ext openhands_llm_magic\ndef f():\n    return 1")
        ran = fresh.run("%%llm -m practice/tools -t f --yes f\ncall f {}")
        assert ran.error is None
        door = "'openhands_llm_magic.llm.tools.mcp' in sys.modules"
        assert fresh.run(f"import sys\nprint({door})").stdout == "False\n"
