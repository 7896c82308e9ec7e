"""MCP servers in config files: what the check says of them, and what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checking import KEY, found, notes, problems, written
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config import mcp_servers
from openhands_llm_magic.config.document import parse
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import save
from openhands_llm_magic.config.trusted import trust
from openhands_llm_magic.errors import SettingError

HEAD = "[openhands_llm_magic.mcp.it]\n"
MORE = (
    'command holds more than the name of a program. Write command = "npx" and args ='
    " ['-y', 'a-server']."
)
NOT_SET = (
    "of the MCP server it names the variable MY_KEY, which is not set. Set it before Jupyter"
    " starts, or write the value itself."
)
LEFT_OUT = (
    "OpenHands 0.41 does not take shttp_servers from a file. Write the server under sse_servers, if"
    " it speaks SSE, too. OpenHands 0.41 would leave them out without a word."
)
KIND = "Write command, a program of this machine, or url, an http address."


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[openhands_llm_magic]\nmcp = 3", 2,
         "mcp is 3, not a table. Write [openhands_llm_magic.mcp.NAME]."),
        ("[openhands_llm_magic.mcp]\nit = 3", 2,
         "it is 3, not a table. Write [openhands_llm_magic.mcp.it]."),
        (HEAD, 1, f"it has neither command nor url. {KIND}"),
        (HEAD + 'command = "npx"\nurl = "https://a.example"', 1,
         f"it has both command and url. {KIND}"),
        (HEAD + 'comand = "npx"', 2, "unknown key 'comand'. Write command."),
        (HEAD + 'command = "npx"\nzebra = 1', 3, "unknown key 'zebra'. Remove it."),
        (HEAD + 'command = ["npx", "-y"]', 2, "command has another type. Write a text."),
        (HEAD + 'command = "npx"\nargs = "-y"', 3,
         'args has another type. Write a list of texts, as in ["-y", "a-server"].'),
        (HEAD + 'command = "npx"\nenv = ["A=1"]', 3,
         'env has another type. Write texts by their names, as in {NAME = "…"}.'),
        (HEAD + 'command = "npx"\n[openhands_llm_magic.mcp.it.env]\nA = 1', 3,
         'env has another type. Write texts by their names, as in {NAME = "…"}.'),
        (HEAD + 'command = "npx -y a-server"', 2,
         MORE),
        (HEAD + 'command = " "', 2, "command is empty. Write the name of a program."),
        (HEAD + 'command = "npx"\napi_key = "x"', 3, "api_key goes with url. Remove it."),
        (HEAD + 'url = "https://a.example"\nargs = []', 3, "args goes with command. Remove it."),
        (HEAD + 'url = "a.example/mcp"', 2,
         "url is no http address. Write a whole address, as in https://example.com/mcp."),
        (HEAD + 'url = "http://[::1"', 2,
         "url is no http address. Write a whole address, as in https://example.com/mcp."),
        (HEAD + 'url = "https://a.example"\ntransport = "stdio"', 3,
         "unknown transport. Write one of: http, sse."),
        ('[openhands_llm_magic.mcp."a b"]\ncommand = "npx"', 1,
         "'a b' is no name for an MCP server. Write letters, digits, - and _."),
        (HEAD + 'url = "https://a.example"\napi_key = "$MY_KEY"', 3,
         f"api_key {NOT_SET}"),
        (HEAD + 'command = "npx"\nenv = {A = "${MY_KEY}"}', 3,
         f"A {NOT_SET}"),
        (HEAD + f'url = "http://a.example/mcp"\napi_key = "{KEY}"', 2,
         "what the MCP server it is sent goes over plain http, with its key. Write https://."),
        ('[mcp]\nshttp_servers = ["https://a.example"]', 2,
         LEFT_OUT),
    ],
)  # fmt: skip
def test_a_mistake_is_found_with_its_line_and_cure(text: str, line: int, told: str) -> None:
    assert problems(text) == [f"config.toml line {line}: {told}"]


def test_what_is_right_is_no_problem() -> None:
    text = HEAD + 'command = "npx"\nargs = ["-y"]\nenv = {A = "1", B = "$HOME"}\ncwd = "~"\n'
    text += '[openhands_llm_magic.mcp.web]\nurl = "http://localhost:1/sse"\napi_key = "local"\n'
    assert problems(text, {"HOME": "/home/a"}) == []


def test_a_server_of_an_untrusted_file_is_noted() -> None:
    text = HEAD + 'command = "npx"\n'
    [note] = [each for each in notes(text) if "MCP" in each]
    told = "the MCP server it is not used, as it stands in a project's config file. If you trust"
    assert note.startswith(f"config.toml line 1: {told} that file, run")
    trust(Path("config.toml"))
    assert not [each for each in found(text) if "MCP" in each.message]


def test_no_key_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in what is wrong with a server, nor in one that is read."""
    text = HEAD + 'command = "npx"\n'
    text += f'env = {{TOKEN = "{KEY}", LEVEL = "warning"}}\nheaders = {{A = "{KEY}"}}'
    assert KEY not in str(problems(text))
    file = written(text.replace("headers", "#"))
    trust(file)
    entry = mcp_servers.configured(load_settings(), Path("nowhere"))["it"]
    assert KEY not in repr(entry)
    assert KEY not in repr(entry.server())
    assert entry.server().secrets == (KEY,)
    print(entry, entry.server())  # noqa: T201 - as a person may
    assert KEY not in capsys.readouterr().out


def test_saving_leaves_servers_alone() -> None:
    text = HEAD + '# mine\ncommand = "npx"\n'
    file = written(f'[llm]\nmodel = "openai/a"\n{text}')
    trust(file)
    save(load_settings().with_overrides({"model": "openai/b"}), file)
    assert text in file.read_text("utf-8")
    assert load_settings().model == "openai/b"
    assert load_settings().problems == ()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "a", "$A", "https://a.b", "/"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*mcp_servers.KEYS, "x"]), VALUES, max_size=5) | VALUES)
def test_any_table_is_a_server_or_an_error_of_one_line(table: Any) -> None:
    """Whatever `faults` lets through can be read."""
    document = parse(Path("config.toml"), "")
    entry = mcp_servers.Entry("it", document.origin(), table, expands=True)
    try:
        server = entry.server({"A": "value"})
    except SettingError as error:
        lines = str(error).splitlines()
    else:
        assert not [*mcp_servers.faults("it", table)]
        lines = [server.command or server.url]
    assert len(lines) == 1
