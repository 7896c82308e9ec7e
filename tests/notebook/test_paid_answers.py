"""An answer that came is not lost, whatever happens to it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Hang, ModelServer, Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Kernel


@pytest.fixture
def cell(kernel: Kernel, model_server: ModelServer) -> str:
    """The line of a cell whose prompt goes to the test server."""
    kernel.run("key = 'sk-of-the-test'")
    return f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key"


@pytest.fixture
def no_folder(kernel: Kernel) -> Iterator[None]:
    """The folder of stored answers cannot be written."""
    kernel.run("import pathlib, shutil\nplace = pathlib.Path('llm_answers')")
    kernel.run("shutil.rmtree(place, ignore_errors=True)\nplace.write_text('a file')")
    yield
    kernel.run("import pathlib\npathlib.Path('llm_answers').unlink()")


@pytest.mark.usefixtures("no_folder")
def test_an_answer_that_is_not_stored_is_read_and_gone_on_from(
    kernel: Kernel, model_server: ModelServer, cell: str
) -> None:
    """The cell fails all the same, with one line."""
    model_server.script(Answer('{"n": 7}'), Answer("Eight."))
    ran = kernel.run(f"{cell} --cache -f json --chat c -o reply\nHow many?")
    assert ran.error is not None
    assert ran.error.startswith("StoreError: the answer is not stored in llm_answers: ")
    assert len(ran.error.splitlines()) == 1
    assert kernel.run("print(reply is _, _.data, _.text)").stdout == "True {'n': 7} {\"n\": 7}\n"
    kernel.run(f"{cell} --chat c\nAnd one more?")
    sent = [each["content"] for each in model_server.received[-1].body["messages"]]
    assert sent == ["How many?", '{"n": 7}', "And one more?"]


@pytest.fixture
def broken(kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[None]:
    """Something in the notebook floor breaks."""
    place = request.param
    kernel.run(
        "from openhands_llm_magic.notebook.view import display\n"
        f"before = {place}\n"
        "def broken(*given, **_):\n"
        "    if not any(type(each).__name__ in ('Sending', 'Loading') for each in given):\n"
        f"        raise RuntimeError('broken')\n{place} = broken"
    )
    yield
    kernel.run(f"{place} = before")


@pytest.mark.parametrize("broken", ["display.bundle", "display.data_of"], indirect=True)
@pytest.mark.usefixtures("broken")
def test_what_nobody_expected_leaves_the_answer(
    kernel: Kernel, model_server: ModelServer, cell: str
) -> None:
    """In `_` and in its variable."""
    model_server.script(Answer("Forty-two."))
    ran = kernel.run(f"{cell} -o reply\nHow many?", "nobody")
    assert ran.reply["ename"] == "RuntimeError"
    assert kernel.run("print(_.text, reply is _)").stdout == "Forty-two. True\n"


@pytest.mark.parametrize("broken", ["display.FinalView.update"], indirect=True)
@pytest.mark.usefixtures("broken")
def test_what_nobody_expected_leaves_no_connection_open(
    kernel: Kernel, model_server: ModelServer, cell: str
) -> None:
    """Though IPython keeps the traceback, and with it all that was at work."""
    model_server.script(Hang(after_chunks=2))
    ran = kernel.run(f"{cell}\nHow many?", "nobody")
    assert ran.reply["ename"] == "RuntimeError"
    assert model_server.received[0].hung_up.wait(timeout=5)


def test_a_part_of_a_reply_is_stored_on_success_alone(
    kernel: Kernel, model_server: ModelServer, cell: str
) -> None:
    """So that what it is used for fails, too, or goes on with what was there; a reply is whole."""
    model_server.script(Answer("I would rather not."), Refuse(400), Answer("No."), Refuse(400))
    kernel.run("before = 'before'")
    for _ in range(2):
        kernel.run(f"{cell} -f json -o before:text\nHow many?")
        kernel.run(f"{cell} -f json -o missing:data\nHow many?")
    assert kernel.run("print(before, 'missing' in globals())").stdout == "before False\n"
    model_server.script(Answer("I would rather not."), Refuse(400))
    kernel.run(f"{cell} -f json -o reply\nHow many?")
    assert kernel.run("print(reply.text)").stdout == "I would rather not.\n"
    kernel.run(f"{cell} -f json -o reply\nHow many?")
    assert kernel.run("print(reply.error.status)").stdout == "400\n"


SLOW = """import pydantic, time
class Slow(pydantic.BaseModel):
    n: int
    @pydantic.field_validator("n")
    @classmethod
    def look_up(cls, n):
        read.append(n)
        if len(read) == {nth}:
            print("looking up", flush=True)
            time.sleep(60)
        return n
read = []"""


@pytest.mark.parametrize("nth", [1, 2])
def test_a_slow_validator_is_interrupted(
    kernel: Kernel, model_server: ModelServer, cell: str, nth: int
) -> None:
    """An answer is read twice: to see if it fits, and for its data."""
    model_server.script(Answer('{"n": 7}'))
    kernel.run(SLOW.format(nth=nth))

    def interrupt(message: dict[str, Any]) -> None:
        if "looking up" in str(message["content"].get("text")):
            kernel.interrupt()

    ran = kernel.run(f"{cell} --schema Slow\nHow many?", on_message=interrupt)
    assert ran.error is not None
    assert ran.error.startswith("Stopped: stopped; what openai/test had answered is in `_`.")
    assert kernel.run("print(_.text, len(read))").stdout == f'{{"n": 7}} {nth}\n'


def test_a_cut_answer_names_the_limit(kernel: Kernel, model_server: ModelServer, cell: str) -> None:
    model_server.script(Answer('{"n": ', finish_reason="length", usage=(7, 16)))
    ran = kernel.run(f"{cell} -f json --max-output-tokens 16\nHow many?")
    assert ran.error is not None
    assert ran.error.startswith("FormatError: the answer was cut off at the limit of its tokens")
    assert "raise max_output_tokens (now 16, from " in ran.error
