"""`%llm_error` in a real kernel: what it sends of the last exception, and what it does not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kernel import Kernel
from model_server import Answer, ModelServer, Refuse

from openhands_llm_magic.notebook.error_magic import INSTRUCTION, prompt
from openhands_llm_magic.notebook.last_error import NONE_YET, Failure, short_path

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-of-the-test-0123456789"


@pytest.fixture
def at(kernel: Kernel, model_server: ModelServer) -> str:
    """The options that send a prompt to the test server."""
    kernel.run(f"key = {KEY!r}")
    return f"-m openai/test --base-url {model_server.openai_base} --api-key $key"


@pytest.fixture
def fresh_kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel in which nothing has failed."""
    home = tmp_path / "home"
    home.mkdir()
    with Kernel({"PATH": os.environ["PATH"], "HOME": str(home)}, cwd=str(home)) as kernel:
        yield kernel


def sent(server: ModelServer) -> Any:
    return server.received[-1].body["messages"][-1]["content"]


def cell_number(ran: Any) -> int:
    return int(ran.contents("execute_input")[0]["execution_count"])


def test_the_traceback_and_its_cells_are_sent(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """With a question; the answer is a reply as `%%llm` gives it.

    Python's versions differ in the marks below a line.
    """
    model_server.script(Answer("There is no such **column**."))
    helper = "def find(row):\n    hidden = 'value-' * 2 + 'of-a-local'\n    return row['name']"
    first = cell_number(kernel.run(helper))
    second = cell_number(kernel.run("%precision 3\nfind({})"))
    kernel.run("%precision")  # as it was: other tests use the same kernel
    ran = kernel.run(f"said = %llm_error {at} -o kept:text why {{key}} only on Windows?\nsaid.text")
    assert ran.error is None
    assert re.sub(r"\n +[~^]+\n", "\n", sent(model_server)) == (
        f"{INSTRUCTION}\n\n"
        f"Cell In[{second}]:\n\n```\n%precision 3\nfind({{}})\n```\n\n"
        f"Cell In[{first}]:\n\n```\n{helper}\n```\n\n"
        "The traceback:\n\n```\nTraceback (most recent call last):\n"
        f'  File "Cell In[{second}]", line 2, in <module>\n    find({{}})\n'
        f"  File \"Cell In[{first}]\", line 3, in find\n    return row['name']\n"
        "KeyError: 'name'\n```\n\n"
        "why {key} only on Windows?"
    )
    assert "<strong>column</strong>" in ran.outputs[0]["text/html"]
    assert kernel.run("print(kept == said.text)").stdout == "True\n"


def test_what_is_cut_of_it_is_told(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    kernel.run("1 / 0")
    told = "What is sent of it was cut to 60 characters (max_message_chars)."
    assert kernel.run(f"%llm_error {at} --max-message-chars 60").stdout == told + "\n"
    assert "characters before)" in sent(model_server)
    assert "cut to" not in kernel.run(f"%llm_error {at}").stdout


def test_keys_are_masked(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """Those of the settings, of the environment, of variables, and what looks like one."""
    kernel.run(
        "import os; os.environ['OTHER_API_KEY'] = 'from-the-environment'\n"
        "db_password = 'correct horse battery'\nlooks = 'sk-' + 'looks-like-a-key'"
    )
    kernel.run("raise ValueError(key, 'correct horse battery', 'from-the-environment', looks)")
    kernel.run(f"%llm_error {at}")
    kernel.run("del os.environ['OTHER_API_KEY']")
    assert f"ValueError: ('{'*' * 10}', '{'*' * 10}', '{'*' * 10}', '{'*' * 10}')" in (
        sent(model_server)
    )
    for secret in (KEY, "correct horse battery", "from-the-environment", "looks-like-a-key"):
        assert secret not in sent(model_server)


def test_our_errors_do_not_hide_the_persons_own(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """Neither does a magic that was mistyped."""
    model_server.script(Refuse(401), Refuse(401), Answer("So."))
    kernel.run("{}['mine']")
    assert "AuthenticationError" in str(kernel.run(f"%llm {at} Hello").error)
    assert "AuthenticationError" in str(kernel.run(f"%llm_error {at}").error)
    kernel.run("%llm_eror")
    ran = kernel.run(f"%llm_error {at}")
    assert ran.stdout == "Explaining KeyError: 'mine'\n"
    assert "KeyError: 'mine'" in sent(model_server)
    assert kernel.run("1 / 0").error
    assert kernel.run(f"%llm_error {at}").stdout == ""
    assert "ZeroDivisionError" in sent(model_server)
    assert "mine" not in sent(model_server)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("x = = 2", "The cell:\n\n```\nx = = 2\n```\n\nThe traceback:\n\n```\nFile "),
        ("%run script.py", 'File "~/script.py", line 1, in <module>\n    {}[1]\n'),
        ("%%time\n{}[1]", ":\n\n```\n%%time\n{}[1]\n```"),
        ("try:\n    {}[1]\nexcept KeyError:\n    raise ValueError from None", "ValueError\n```"),
    ],
)
def test_whatever_way_a_cell_fails(
    kernel: Kernel, model_server: ModelServer, at: str, cell: str, told: str
) -> None:
    kernel.run(
        "import os; before = os.getcwd(); os.makedirs(os.path.expanduser('~'), exist_ok=True)"
    )
    kernel.run("os.chdir(os.path.expanduser('~')); open('script.py', 'w').write('{}[1]')")
    kernel.run(cell)
    kernel.run("os.chdir(before)")
    kernel.run(f"%llm_error {at}")
    assert told in sent(model_server)
    assert 'interactiveshell.py", line' not in sent(model_server).partition("Cell In")[0]


def test_the_exception_that_is_handled_is_explained(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    kernel.run("{}['shown']")
    kernel.run(f"try:\n    {{}}['caught']\nexcept KeyError:\n    %llm_error {at}")
    assert "KeyError: 'caught'" in sent(model_server)
    assert "shown" not in sent(model_server)


CAUGHT = "import {0}\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    {0}.{1}"


@pytest.mark.parametrize(
    ("cell", "explained"),
    [
        ("import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()", 0),
        (CAUGHT.format("traceback", "print_exc()"), 1),
        (CAUGHT.format("logging", "exception('caught')"), 1),
    ],
)
def test_what_no_cell_has_failed_with(
    kernel: Kernel, model_server: ModelServer, at: str, cell: str, explained: int
) -> None:
    """A thread's exception is the newest; what was caught is not known, so it says which it is."""
    kernel.run("{}['older']")
    assert "ZeroDivisionError" in kernel.run(cell).stdout
    title = ("ZeroDivisionError: division by zero", "KeyError: 'older'")[explained]
    assert kernel.run(f"%llm_error {at}").stdout == f"Explaining {title}\n"
    assert title in sent(model_server)


def test_where_there_is_nothing_to_explain(fresh_kernel: Kernel, model_server: ModelServer) -> None:
    """One line says so, however often; an error of ours is told again, and not sent."""
    fresh_kernel.run("%load_ext openhands_llm_magic")
    fresh_kernel.run(f"%llm_config base_url={model_server.openai_base} model=openai/x")
    for _ in range(2):
        assert fresh_kernel.run("%llm_error").error == f"UsageError: {NONE_YET}"
    failed = fresh_kernel.run("%llm_config num_retries=many")
    ran = fresh_kernel.run("%llm_error")
    assert ran.stdout.startswith(f"{failed.error}\nThat line says all")
    assert ran.error is None
    assert model_server.count == 0


def test_nothing_to_explain_is_no_error_to_explain_in_any_language(fresh_kernel: Kernel) -> None:
    fresh_kernel.run("%load_ext openhands_llm_magic\n%env LLM_MAGIC_LANG=ja")
    first, second = (fresh_kernel.run("%llm_error").error for _ in range(2))
    assert first is not None
    assert first == second


@pytest.mark.slow  # it starts a kernel of its own
def test_what_failed_before_the_extension_was_loaded_counts(
    fresh_kernel: Kernel, model_server: ModelServer
) -> None:
    """Not with the cell that loads it, of course."""
    fresh_kernel.run("{}['early']")
    fresh_kernel.run("%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'")
    options = f"-m openai/x --base-url {model_server.openai_base} --api-key $key"
    assert fresh_kernel.run(f"%llm_error {options}").error is None
    assert "KeyError: 'early'" in sent(model_server)
    assert "%load_ext" not in sent(model_server)


def test_a_long_traceback_loses_its_beginning() -> None:
    """Then the cells get what is left; a cell loses its end."""
    found = Failure("E: end", "T" * 100 + "E: end", (("Cell In[1]", "C" * 50), ("Cell In[2]", "D")))
    assert prompt(found, "", [], limit_chars=40) == (
        f"{INSTRUCTION}\n\nCell In[1]:\n\n```\n{'C' * 10}\n… (40 characters more)\n```\n\n"
        f"The traceback:\n\n```\n… (76 characters before)\n{'T' * 24}E: end\n```"
    )


def test_a_key_is_masked_before_the_text_is_cut() -> None:
    found = Failure("", f"before {KEY} after", ())
    assert KEY[-9:] not in prompt(found, "", [KEY], limit_chars=14)


def test_paths_tell_the_library_and_not_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "somebody"
    monkeypatch.setenv("HOME", str(home))
    packages = home / "v/lib/python3.11/site-packages"
    assert short_path(f"{packages}/pandas/core/frame.py") == "pandas/core/frame.py"
    assert short_path(Path(os.__file__).as_posix()) == "os.py"
    assert short_path(f"{home}/work/script.py") == "~/work/script.py"
    elsewhere = f"{tmp_path}/script.py"
    assert short_path(elsewhere) == elsewhere
