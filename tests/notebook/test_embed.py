"""`%llm_embed` in a real kernel: texts of the notebook into vectors, with what a person sees."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Hang, ModelServer, Refuse

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.notebook import embed_magic

if TYPE_CHECKING:
    from kernel import Front, Kernel, Ran

WITHIN_S = 2.0
PRACTICE = "-m practice/embed"


@pytest.fixture
def at(kernel: Kernel, model_server: ModelServer) -> str:
    """The options that send texts to the test server, 32 in a request."""
    kernel.run("key = 'sk-of-the-test'\ntexts = [f'text {n}' for n in range(70)]")
    return f"-m openai/test --embedding-base-url {model_server.openai_base} --api-key $key"


def printed(kernel: Kernel, expression: str) -> str:
    return kernel.run(f"print({expression})").stdout.removesuffix("\n")


@pytest.mark.parametrize("front", ["lab", "console", "nobody"])
def test_vectors_go_into_a_variable(kernel: Kernel, front: Front) -> None:
    """One line says what came; the cell has no value."""
    ran = kernel.run(f"%llm_embed ['one', 'two words'] -o vectors {PRACTICE}", front)
    assert ran.error is None
    shown = [each["text/plain"] for each in ran.outputs] if front != "console" else [ran.terminal]
    assert [each.strip("\n()") for each in shown] == ["2 vectors of 64 numbers, 3 tokens, local"]
    assert printed(kernel, "vectors.shape, len(vectors), len(vectors[1])") == "(2, 64) 2 64"


def test_a_ledger_that_cannot_be_written_is_told_once(kernel: Kernel) -> None:
    """The vectors come all the same."""
    kernel.run("import os; before = os.environ.get('LLM_MAGIC_LEDGER', '')")
    kernel.run("os.environ['LLM_MAGIC_LEDGER'] = os.devnull + '/ledger'")
    line = f"%llm_embed 'one' -o vector {PRACTICE}"
    first, second = (kernel.run(line).outputs[0]["text/plain"] for _ in range(2))
    kernel.run("os.environ['LLM_MAGIC_LEDGER'] = before")  # other tests use the same kernel
    assert "64 numbers" in first
    assert "the ledger /dev/null/ledger cannot be used" in first
    assert "ledger" not in second


def test_without_a_variable_they_are_the_value(kernel: Kernel) -> None:
    """In few words, also where NumPy is not installed; a single text has one vector."""
    value = kernel.run(f"%llm_embed 'one' {PRACTICE}").contents("execute_result")[0]["data"]
    assert "64" in value["text/plain"] or "array" in value["text/plain"]
    assert printed(kernel, "_.shape") == "(64,)"
    kernel.run(f"many = %llm_embed [each for each in 'abc' if each != 'b'] {PRACTICE}")
    assert printed(kernel, "many.shape") == "(2, 64)"


def test_a_price_list_is_no_price_of_this_machine(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """As in the line below an answer, and in `%llm_usage`."""
    line = "%llm_embed 'one' -o vector -m openai/text-embedding-3-small --embedding-base-url"
    shown = kernel.run(f"{line} {model_server.openai_base}").outputs[0]["text/plain"]
    assert shown.strip("\n()").endswith("tokens, local")


@pytest.mark.parametrize(
    ("line", "expression", "out"),
    [
        ("texts", "texts", None),
        ("texts -o v", "texts", "v"),
        ("-o v texts", "texts", "v"),
        ("-o v -m x [t for t in texts if t - 1]", "[t for t in texts if t - 1]", "v"),
        ("a - b -o v", "a - b", "v"),
        ("'a -o b' -o v", "'a -o b'", "v"),
        ("f('-m') --out=v", "f('-m')", "v"),
        ("x -y", "x -y", None),
        ("x --y", "x --y", None),
        ("-- -x", "-x", None),
    ],
)
def test_options_stand_before_or_after_python(line: str, expression: str, out: str | None) -> None:
    read = embed_magic.parse(line, {})
    assert (read.expression, read.out) == (expression, out)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "name the texts, as in `%llm_embed texts -o vectors`"),
        ("-o v", "name the texts"),
        ("texts --ouput v", "there is no option --ouput; did you mean --out?"),
        ("--ouput v texts", "there is no option --ouput; did you mean --out?"),
        ("texts -o 1v", "--out takes a variable's name, not '1v'"),
        ("texts --api-key sk-plain", "api_key is not taken as text"),
    ],
)
def test_a_line_that_cannot_be_read(line: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        embed_magic.parse(line, {})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Hello world", "'Hello world' is no Python expression; put a text in quotes"),
        ("nothing", "nothing: NameError: name 'nothing' is not defined"),
        ("[1/0]", "[1/0]: ZeroDivisionError: division by zero"),
        ("(1/0 for _ in 'a')", "in 'a'): ZeroDivisionError: division by zero"),
        ("5", "takes a text or a list of texts, not this int"),
        ("{'a': 'b'}", "takes a text or a list of texts, not this dict"),
        ("b'bytes'", "takes a text or a list of texts, not this bytes"),
        ("['a', None]", "item 2 of 2 is no text, but of type NoneType"),
        ("['a', '']", "text 2 of 2 is empty"),
        ("[]", "there are no texts"),
        ("'a' -m none", "embedding_model is not set: write"),
        ("'a' -m local", "embedding_model is local (from --embedding-model)"),
    ],
)
def test_what_gives_no_texts_is_one_line(kernel: Kernel, line: str, told: str) -> None:
    ran = kernel.run(f"%llm_embed {line}" + f" {PRACTICE}" * ("-m" not in line and " " not in line))
    assert ran.error is not None
    assert told in ran.error
    assert len(ran.error.splitlines()) == 1


def test_a_table_is_no_list_of_texts(kernel: Kernel) -> None:
    """Iterating a DataFrame gives the names of its columns, which nobody means."""
    kernel.run("class DataFrame(list):\n    ndim = 2")
    ran = kernel.run(f"%llm_embed DataFrame('ab') {PRACTICE}")
    assert "not this DataFrame" in str(ran.error)


def test_the_settings_are_those_of_the_session(kernel: Kernel, model_server: ModelServer) -> None:
    """The key of the prompts goes to their server alone."""
    kernel.run(f"%llm_config model=openai/x base_url={model_server.openai_base}")
    kernel.run("%config LLMSettings.api_key = 'sk-of-the-prompts'")
    kernel.run("%llm_config embedding_model=openai/vectors")
    assert kernel.run("%llm_embed 'a' -o v").error is None
    with ModelServer() as other:
        kernel.run(f"%llm_config embedding_base_url={other.openai_base}")
        assert kernel.run("%llm_embed 'a' -o v").error is None
        [elsewhere] = other.received
    [received] = model_server.received
    assert received.headers["authorization"] == "Bearer sk-of-the-prompts"
    assert received.body["model"] == "vectors"
    assert "sk-of-the-prompts" not in str(elsewhere)


def test_a_rate_limit_is_counted_down(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """In the one output, whose last state says what was waited for."""
    model_server.script(Answer(), Refuse(429, {"retry-after": "1"}), Answer())
    ran = kernel.run(f"%llm_embed texts -o v {at}")
    assert any("Rate limit (429): retry 1 of 4 in 1 s" in each for each in ran.updates)
    [shown] = ran.outputs
    assert shown["text/plain"] == (
        "70 vectors of 2 numbers, 21 tokens, local; waited 1 s for a rate limit, 1 retry"
    )
    assert printed(kernel, "v.shape") == "(70, 2)"
    assert model_server.count == 4


def test_how_far_it_is_stands_in_the_output(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """Now and then, not for each request, and it stays while the next request is under way."""

    def later(_received: object) -> Answer:
        time.sleep(0.7)
        return Answer()

    model_server.script(later, later, later)
    ran = kernel.run(f"%llm_embed texts -o v {at}")
    told = re.findall(r"<p[^>]*>(?:(\d+) of 70 vectors)?", "".join(ran.updates[:-1]))
    assert list(dict.fromkeys(told)) == ["", "32", "64"]
    assert told == sorted(told)  # so the count stands in front of each step that follows
    assert len(ran.outputs) == 1


def test_a_failure_keeps_what_came(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """In `_` and the error; the variable stays as it was, as half of it would be taken for all."""
    model_server.script(Answer(), Answer(), Refuse(400, message="Too odd"))
    kernel.run("v = 'before'")
    ran = kernel.run(f"%llm_embed texts -o v {at}")
    assert ran.error is not None
    assert "texts 65 to 70: the request was refused (400: Too odd)" in ran.error
    assert ran.error.endswith("The first 64 of 70 vectors are in `_`.")
    assert [each["text/plain"] for each in ran.outputs] == [
        "64 vectors of 2 numbers, 14 tokens, local"
    ]
    assert printed(kernel, "_.shape, v") == "(64, 2) before"
    model_server.script(Answer(), Refuse(400))
    line = f"get_ipython().run_line_magic('llm_embed', 'texts {at}')"
    kernel.run(f"try:\n    {line}\nexcept Exception as e:\n    error = e")
    assert printed(kernel, "error.reply.vectors.shape, error.reply.usage.total_tokens") == (
        "(32, 2) 7"
    )


def interrupted(kernel: Kernel, code: str, when: str) -> tuple[Ran, float]:
    at_s: list[float] = []

    def interrupt(message: dict[str, Any]) -> None:
        if when in str(message["content"].get("data", "")) and not at_s:
            at_s.append(time.monotonic())
            kernel.interrupt()

    ran = kernel.run(code, on_message=interrupt)
    assert at_s, ran.everything
    return ran, ran.times_s[-1] - at_s[0]


def test_a_wait_is_stopped(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """And what came before it is there."""
    model_server.script(Answer(), Refuse(429, {"retry-after": "60"}))
    ran, took_s = interrupted(kernel, f"%llm_embed texts {at}", "retry 1 of 4")
    assert took_s < WITHIN_S
    assert ran.error == "Stopped: stopped. The first 32 of 70 vectors are in `_`."
    assert printed(kernel, "_.shape") == "(32, 2)"
    assert kernel.run(f"%llm_embed 'again' {PRACTICE}").reply["status"] == "ok"


def test_a_silent_server_is_stopped(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    model_server.script(Hang())
    ran, took_s = interrupted(kernel, f"%llm_embed texts {at}", "asking openai/test")
    assert took_s < WITHIN_S
    assert ran.error is not None
    assert ran.error.startswith("Stopped: ")
    if model_server.received:
        assert model_server.received[-1].hung_up.wait(WITHIN_S)


def test_no_key_shows(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """Not even one that the server repeats."""
    model_server.script(Refuse(401, message="Bad key sk-of-the-test."))
    ran = kernel.run(f"%llm_embed texts {at}")
    assert "refused the key (401: Bad key **********)" in str(ran.error)
    assert "sk-of-the-test" not in ran.everything


def test_help_says_how(kernel: Kernel) -> None:
    ran = kernel.run("%llm_embed?")
    told = ran.everything
    assert "array of float64" in told
    assert "--embedding-base-url" in told
