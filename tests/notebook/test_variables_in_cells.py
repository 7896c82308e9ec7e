"""Variables of the notebook in real cells: what is told of them, and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from model_server import Answer, ModelServer, Refuse

if TYPE_CHECKING:
    from kernel import Kernel


@pytest.fixture
def server(kernel: Kernel, model_server: ModelServer) -> ModelServer:
    """The test server, which the session's settings name."""
    kernel.run(f"%llm_config base_url={model_server.openai_base} model=openai/test")
    kernel.run("key = 'sk-of-the-test'\n%llm_config api_key=$key num_retries=0")
    return model_server


def content(server: ModelServer) -> str:
    return str(server.received[-1].body["messages"][-1]["content"])


def test_what_was_put_in_is_noted(kernel: Kernel, server: ModelServer) -> None:
    """Also within pasted code, where nobody may have meant it."""
    kernel.run("x, topic = 7, 'tea'")
    ran = kernel.run('%%llm\nWhy?\n```python\nprint(f"{x} {y} {x}")\n```\nIn {topic}')
    assert 'print(f"7 {y} 7")' in content(server)
    assert "put in: x, topic" in ran.outputs[0]["text/plain"]
    assert "put in" not in str(kernel.run("%llm Hi").outputs)


def test_a_dry_run_lists_what_was_put_in_and_what_was_left(
    kernel: Kernel, server: ModelServer
) -> None:
    kernel.run("name, other = 'Ada', 1")
    ran = kernel.run('%%llm --dry-run -s "Be {mood}."\n{name} {nmae} {unknown} {"json": 1}')
    lines = ran.outputs[0]["text/plain"].splitlines()
    assert "put in: name" in lines
    assert "left as they are: {mood}, {nmae}, {unknown}" in lines
    assert "{nmae} was left as it is; did you mean {name}?" in lines
    assert server.count == 0


def test_a_misspelt_name_is_noted(kernel: Kernel, server: ModelServer) -> None:
    kernel.run("name = 'Ada'")
    ran = kernel.run("%llm Greet {nmae}")
    assert content(server) == "Greet {nmae}"
    assert "{nmae} was left as it is; did you mean {name}?" in ran.outputs[0]["text/plain"]


def test_the_last_value_is_put_in(kernel: Kernel, server: ModelServer) -> None:
    server.script(Answer("Forty-two."))
    kernel.run("%llm What is it?")
    kernel.run("%llm Why {_}")
    assert content(server) == "Why Forty-two."
    kernel.run("6 * 7")
    kernel.run("%llm Why {_:.1f}")
    assert content(server) == "Why 42.0"


def test_the_last_value_of_a_prompt_that_failed_is_told(
    kernel: Kernel, server: ModelServer
) -> None:
    server.script(Refuse(400))
    kernel.run("%llm What is it?")
    ran = kernel.run("replies = [_]\n%llm Why {replies}")
    assert "(no whole answer: " in content(server)
    assert "{replies}[0] holds no whole answer" in ran.outputs[0]["text/plain"]


def test_replies_of_a_list_are_texts(kernel: Kernel, server: ModelServer) -> None:
    server.script(Answer("First."), Answer("Second."))
    kernel.run("both = []\nfor each in range(2):\n    reply = %llm Hi\n    both.append(reply)")
    kernel.run("%llm Combine {both}")
    assert content(server) == "Combine First.\n\n---\n\nSecond."


def test_no_cut_goes_without_a_note(kernel: Kernel, server: ModelServer) -> None:
    kernel.run(
        "import numpy, pandas\na, t = numpy.arange(2000), pandas.DataFrame({'n': range(100)})"
    )
    kernel.run("%llm Sum {a}")
    assert "1234" in content(server)
    assert "..." not in content(server)
    kernel.run("a = numpy.arange(100_000)")
    assert "{a} is not whole: its class ndarray" in str(kernel.run("%llm Sum {a}").outputs)
    told = "the first 20 rows and 1 column of 100 rows and 1 column"
    assert f"{{t}}: {told}" in str(kernel.run("%llm Sum {t}").outputs)
    assert f"t: {told}" in str(kernel.run("%llm -a t Sum it").outputs)


CLOSURE = """
def outer(topic):
    count = 3
    def inner(n):
        return get_ipython().run_line_magic("llm", "{topic} {count} {n} {whose}")
    return inner
"""

USED = CLOSURE.replace("    def inner(n):\n", "    def inner(n):\n        topic, count\n")


def test_variables_of_functions_around(kernel: Kernel, server: ModelServer) -> None:
    """They count while the function around runs; afterwards Python has kept what is used."""
    kernel.run("whose = 'mine'")
    running = CLOSURE.replace("return inner", "return inner(1)")
    assert kernel.run(f"{running}\nouter('tea')").error is None
    assert content(server) == "tea 3 1 mine"
    ran = kernel.run(f"{CLOSURE}\nouter('tea')(2)")
    assert content(server) == "{topic} {count} 2 mine"
    told = "{topic} was left as it is: topic is a variable of outer, and Python keeps it"
    assert told in str(ran.outputs)
    kernel.run(f"{USED}\nouter('tea')(2)")
    assert content(server) == "tea 3 2 mine"


BLOCKS = "```bash\npip install x\n```\nThen\n```python\na = 1\n```\nand\n```python\nb = 2\n```"


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("-f code", "a = 1\n\nb = 2", "code blocks left out of the new cell: 1 (bash)"),
        ("-f code --block 1", "pip install x", ""),
        ("-f code --block 3", "b = 2", ""),
    ],
)
def test_all_blocks_of_code_or_one(
    kernel: Kernel, server: ModelServer, options: str, code: str, told: str
) -> None:
    server.script(Answer(BLOCKS))
    ran = kernel.run(f"%llm {options} Write it")
    (made,) = [each for each in ran.reply["payload"] if each["source"] == "set_next_input"]
    assert made["text"] == code
    assert ("left out" in ran.outputs[0]["text/plain"]) == bool(told)
    assert told in ran.outputs[0]["text/plain"]


def test_a_block_that_there_is_not_is_one_line(kernel: Kernel, server: ModelServer) -> None:
    server.script(Answer(BLOCKS))
    error = str(kernel.run("%llm -f code --block 4 Write it").error)
    assert error.startswith("FormatError: the answer has 3 code blocks, and no block 4.")
    assert kernel.run("print(_.text[:7])").stdout == "```bash\n"
    assert "--block goes with -f code" in str(kernel.run("%llm --block 2 Hi").error)
    assert "a number from 1 on" in str(kernel.run("%llm -f code --block 0 Hi").error)
    assert "not '99" in str(kernel.run(f"%llm -f code --block {'9' * 5000} Hi").error)


def test_code_of_several_prompts_in_a_cell_is_one_cell(kernel: Kernel, server: ModelServer) -> None:
    """IPython keeps the last new cell alone."""
    server.script(*(Answer(f"```python\n{name} = 1\n```") for name in "abc"))
    ran = kernel.run("for each in range(3):\n    %llm -f code Write it")
    (made,) = [each for each in ran.reply["payload"] if each["source"] == "set_next_input"]
    assert made["text"] == "a = 1\n\nb = 1\n\nc = 1"
    server.script(Answer("```python\nd = 1\n```"))
    ran = kernel.run("%llm -f code Write it")
    assert [each["text"] for each in ran.reply["payload"]] == ["d = 1"]
