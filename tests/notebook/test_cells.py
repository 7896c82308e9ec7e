"""`%llm` and `%%llm` in a real kernel, as JupyterLab, a console and nbclient see them."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Cut, Hang, ModelServer, Refuse

if TYPE_CHECKING:
    from kernel import Front, Kernel

FRONTS: list[Front] = ["lab", "console", "nobody"]


def at(server: ModelServer) -> str:
    """The options that send a cell's prompt to a test server."""
    return f"-m openai/test --base-url {server.openai_base} --api-key $key"


@pytest.fixture
def key(kernel: Kernel) -> None:
    """A variable `key` in the notebook."""
    kernel.run("key = 'sk-of-the-test'")


@pytest.mark.parametrize("front", FRONTS)
def test_an_answer_is_shown_once(kernel: Kernel, front: Front) -> None:
    """The answer stands below the cell once, wherever it runs, and is its value."""
    ran = kernel.run("%%llm\nSay hello.", front)
    shown = [each["text/plain"] for each in ran.outputs] if front != "console" else [ran.terminal]
    assert len(shown) == 1
    assert shown[0].count("> Say hello.") == 1
    assert ran.reply["status"] == "ok"
    assert not ran.contents("execute_result")
    assert "'Reply'" in kernel.run("type(_).__name__, type(Out[max(Out)])").everything


def test_the_prompt_arrives_as_it_was_typed(kernel: Kernel, model_server: ModelServer) -> None:
    """Braces around no variable, dollars, quotes and any script reach the model unchanged."""
    kernel.run("key = 'sk-of-the-test'")
    body = 'a {y} {{y}} {"json": [1]} $x \\frac{1}{2} don\'t "q" 日本語 🎌\n\n  indented'
    kernel.run(f"%%llm {at(model_server)}\n{body}")
    assert model_server.received[-1].body["messages"] == [{"role": "user", "content": body}]
    for typed in (">>> x = 1\n>>> y", "In [1]: x\nOut[1]: 2", "\ta\r\nb\n\n\n", "!ls\nx?\n%time"):
        kernel.run(f"%%llm {at(model_server)}\n{typed}")
        assert model_server.received[-1].body["messages"][0]["content"] == typed
    kernel.run(f"%llm {at(model_server)} {body.splitlines()[0]}")
    assert model_server.received[-1].body["messages"][0]["content"] == body.splitlines()[0]


@pytest.mark.usefixtures("key")
def test_a_silent_cell_sends_its_own_prompt(kernel: Kernel, model_server: ModelServer) -> None:
    """IPython tells nobody of a cell that leaves no trace in the history."""
    kernel.run(f"%%llm {at(model_server)}\nThe first")
    kernel.run(f"%%llm {at(model_server)}\nThe second", silent=True)
    kernel.run(f"%%llm {at(model_server)}\nThe first")
    kernel.run(f"get_ipython().run_cell_magic('llm', '{at(model_server)}', 'The third')")
    sent = [each.body["messages"][0]["content"] for each in model_server.received]
    assert sent == ["The first", "The second", "The first", "The third"]


@pytest.mark.usefixtures("key")
def test_options_reach_the_model(kernel: Kernel, model_server: ModelServer) -> None:
    """System text and settings on the line are sent, for this cell alone."""
    line = f"{at(model_server)} -s 'Be brief, please.' --temperature 0.25 --max-output-tokens=9"
    kernel.run(f"%%llm {line}\nHello")
    body = model_server.received[-1].body
    assert body["messages"][0] == {"role": "system", "content": "Be brief, please."}
    assert body["temperature"] == 0.25
    assert 9 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert "default" in str(kernel.run("%llm_config --show temperature").outputs)


def test_a_reply_in_a_variable_is_shown_again_later(kernel: Kernel) -> None:
    """`x = %llm …` streams once; `x` in a later cell shows the reply again."""
    first = kernel.run("x = %llm Hello there")
    assert [each["text/plain"].count("> Hello there") for each in first.outputs] == [1]
    again = kernel.run("x")
    assert again.outputs == first.outputs
    same = kernel.run("y = %llm Hello there\ny")
    assert len(same.outputs) == 1


def test_other_output_of_the_cell_is_left_alone(kernel: Kernel) -> None:
    """Only one output of ours is updated in place; nothing is ever cleared."""
    code = "print('before')\nx = %llm -m practice/busy --retry-min-wait 0 Hello\nprint('after')"
    ran = kernel.run(code)
    assert ran.stdout == "before\nafter\n"
    assert len(ran.outputs) == 1
    assert not ran.contents("clear_output")


@pytest.mark.parametrize(
    "code", ["%llm What is a token?", "x = %llm What is a token??", "%llm a\n"]
)
def test_a_prompt_may_end_in_a_question_mark(kernel: Kernel, code: str) -> None:
    """IPython would take the question mark for a call of its help; `%llm?` stays one."""
    ran = kernel.run(code)
    assert code.strip().split("%llm ")[1] in ran.outputs[0]["text/plain"]
    assert kernel.run("%llm?").reply["payload"]


@pytest.mark.parametrize("lines", ["%llm is it?", "x = %llm is it?"])
def test_a_prompt_within_a_string_is_text(kernel: Kernel, lines: str) -> None:
    """A line of a string that looks like a prompt stays as it was typed."""
    assert kernel.run(f"s = '''\n{lines}\n'''; print(s)").stdout == f"\n{lines}\n\n"


@pytest.mark.parametrize("code", ["%llm?", "%llm??", "%%llm?"])
def test_a_question_mark_alone_asks_for_help(kernel: Kernel, code: str) -> None:
    """IPython's help on the magics, and their source, are still there."""
    sign = "@line_cell_magic" if code.endswith("??") else "--model"
    assert sign in str(kernel.run(code).reply["payload"])


@pytest.mark.parametrize(
    "code",
    [
        "%llm don't you (see \"it?",
        "if 1:\n    %llm don't you (see \"it?",
        "%llm don't you \\\n  (see \"it?",
        "x = %llm a'''b?",
        "%llm can a = b?",
    ],
)
def test_a_question_need_not_be_python(kernel: Kernel, code: str) -> None:
    """Quotes and brackets of a question may be unbalanced; it may go on on the next line."""
    text = kernel.run(code).outputs[0]["text/plain"]
    assert code.rsplit(maxsplit=1)[-1] in text


def test_out_stores_the_reply(kernel: Kernel) -> None:
    """`-o NAME` stores the reply, of a failure too."""
    kernel.run("%%llm -o good\nHello")
    assert "Hello" in kernel.run("print(good)").stdout
    kernel.run("%%llm -o bad -m practice/out-of-quota\nHello")
    assert "QuotaError" in kernel.run("print(type(bad.error).__name__)").stdout


COUNTDOWN = re.compile(r"Rate limit \(429\): retry (\d) of 4 in (\d) s, as the server asks")


@pytest.mark.parametrize("front", ["lab", "console"])
def test_a_rate_limit_is_counted_down(kernel: Kernel, front: Front) -> None:
    """While it waits, the cell shows the fault, status, retry and seconds, at least each second."""
    ran = kernel.run("%%llm -m practice/rate-limited\nHello", front)
    ticks: dict[tuple[str, str], float] = {}
    for message, at_s in zip(ran.messages, ran.times_s, strict=True):
        for retry, left in COUNTDOWN.findall(str(message["content"])):
            ticks.setdefault((retry, left), at_s)
    assert list(ticks) == [(retry, left) for retry in "12" for left in "321"]
    seen = list(ticks.values())
    assert all(b - a < 1.5 for a, b in itertools.pairwise(seen))
    final = ran.outputs[0]["text/plain"] if front == "lab" else ran.stdout
    assert "waited 6 s for a rate limit, 2 retries" in final
    if front == "lab":
        assert len(ran.outputs) == 1
        assert "retry 1 of 4" not in str(ran.outputs)
        during = "".join(ran.updates)
        assert "▰▰▰▰▱" in during
        assert "Rate limit reached for requests" in during
        assert "Stop it with the interrupt button." in during


def test_nobody_watching_gets_one_final_output(kernel: Kernel) -> None:
    """Where nobody watches there are no updates, so nbval sees what was saved."""
    ran = kernel.run("%%llm -m practice/busy --retry-min-wait 1\nHello", "nobody")
    assert len(ran.contents("display_data")) == 1
    assert not ran.contents("update_display_data", "stream")
    assert "waited 1 s for a server error, 1 retry" in ran.outputs[0]["text/plain"]


@pytest.mark.usefixtures("key")
def test_a_cut_stream_is_asked_again(kernel: Kernel, model_server: ModelServer) -> None:
    """The answer starts again after a cut, and its text is shown once."""
    model_server.script(Cut(after_chunks=2), Answer("One two three four."))
    ran = kernel.run(f"%%llm {at(model_server)} --retry-min-wait 0\nHello")
    assert ran.outputs[0]["text/plain"].startswith("One two three four.")
    assert "1 retry" in ran.outputs[0]["text/plain"]
    assert model_server.count == 2


@pytest.mark.usefixtures("key")
def test_a_console_says_that_the_answer_starts_again(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """Between the partial text and the whole answer stands a line; a refusal needs none."""
    model_server.script(Refuse(503), Cut(after_chunks=2), Answer("One two three four."))
    options = f"{at(model_server)} --retry-min-wait 0"
    written = kernel.run(f"%%llm {options}\nHello", "console").terminal
    assert written.count("(the answer broke off; asking again)") == 1
    assert re.search(r"Hello from ?\n\(the answer broke off; asking again\)\n", written)
    assert written.index("broke off") < written.index("One two three four.")


@pytest.mark.usefixtures("key")
def test_all_text_is_shown_when_the_model_falls_silent(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """Text that came too soon after an update is shown although no more comes; no thread stays."""
    model_server.script(Hang(after_chunks=3, of=Answer(chunks=("one ", "two ", "three ", "x"))))
    before = kernel.run("import threading; print(threading.active_count())").stdout

    def stop(message: dict[str, Any]) -> None:
        if "three" in str(message["content"].get("data", "")) and not shown:
            shown.append(message)
            kernel.interrupt()

    shown: list[dict[str, Any]] = []
    ran = kernel.run(f"%%llm {at(model_server)}\nHello", on_message=stop)
    assert shown[0]["header"]["msg_type"] == "update_display_data"
    assert len(ran.outputs) == 1
    settled = f"while threading.active_count() > {before.strip()} and time.time() < until_s: pass"
    kernel.run(f"import time\nuntil_s = time.time() + 5\n{settled}")
    assert kernel.run("print(threading.active_count())").stdout == before


@pytest.mark.usefixtures("key")
def test_a_failure_keeps_the_longest_partial_answer(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """When every attempt breaks off, the cell fails and `_` and `Out` hold the partial text."""
    model_server.script(Cut(after_chunks=2))
    ran = kernel.run(f"%%llm {at(model_server)} --retry-min-wait 0 --num-retries 1\nHello")
    assert ran.reply["status"] == "error"
    assert ran.error is not None
    assert ran.error.startswith("BrokenAnswerError: ")
    partial = ran.outputs[0]["text/plain"].splitlines()[0]
    assert partial
    assert kernel.run("print(_.text)").stdout.strip() == partial
    assert kernel.run("print(Out[max(Out)].attempts)").stdout.strip() == "2"


MISTAKES = {
    "an unknown flag": ("%%llm --modle x\nHi", "did you mean --model"),
    "a flag without value": (
        "%%llm --temperature\nHi",
        "--temperature takes a value. `%%llm?` lists the options.",
    ),
    "a bad value": ("%%llm --temperature hot\nHi", "temperature takes a number"),
    "an unknown model": ("%%llm -m nonsense\nHi", "Write the provider before it"),
    "no key": ("%%llm -m openai/gpt-4o\nHi", "OPENAI_API_KEY"),
    "no quota": ("%%llm -m practice/out-of-quota\nHi", "Add credit"),
    "an unknown practice model": ("%%llm -m practice/nope\nHi", "echo, rate-limited"),
    "an empty prompt": ("%llm", "the prompt is empty"),
    "a prompt on the cell's line": ("%%llm hello\nHi", "write the prompt below it"),
    "a key as text": ("%%llm --api-key sk-typed-in-a-cell\nHi", "saved with the notebook"),
    "an unknown display": ("%env LLM_MAGIC_DISPLAY=x\n%llm hi", "live, final or terminal"),
}


@pytest.mark.parametrize(("code", "advice"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(kernel: Kernel, code: str, advice: str) -> None:
    """No traceback: one line that says what to do, and the cell fails, so that Run All stops."""
    ran = kernel.run(code)
    kernel.run("%env LLM_MAGIC_DISPLAY=")
    assert ran.reply["status"] == "error"
    assert ran.error is not None
    assert "\n" not in ran.error
    assert advice in ran.error
    assert "sk-typed" not in ran.error


def test_help_lists_the_options(kernel: Kernel) -> None:
    """`%%llm?` explains the magic and every option."""
    payload: list[dict[str, Any]] = kernel.run("%%llm?").reply["payload"]
    text = payload[0]["data"]["text/plain"]
    for part in ("--model", "--system", "--out", "--num-retries", "practice/echo", "%%llm -m"):
        assert part in text
    assert "tokens" in kernel.run("%%llm?").reply["payload"][0]["data"]["text/plain"]


@pytest.mark.usefixtures("key")
def test_a_setting_that_is_left_out_is_told_with_the_first_answer(kernel: Kernel) -> None:
    """Once: a mistake in a file is no reason to say it with each."""
    kernel.run("import os; os.environ['LLM_TIMEOUT'] = 'soon'")
    try:
        first = kernel.run("%llm -m practice/echo Hi").everything
        again = kernel.run("%llm -m practice/echo Hi again").everything
    finally:
        kernel.run("del os.environ['LLM_TIMEOUT']")
    assert "LLM_TIMEOUT: timeout takes" in first
    assert "LLM_TIMEOUT" not in again


def test_a_models_answer_never_runs(kernel: Kernel, model_server: ModelServer) -> None:
    """No live or final state of the output has Markdown, a script or an event handler."""
    text = "Hi <script>alert(1)</script> <img src=x onerror=alert(1)>\n\n[a](javascript:alert(1))"
    model_server.script(Answer(text))
    ran = kernel.run(f"%%llm {at(model_server)}\nHello")
    assert "text/markdown" not in ran.everything
    for content in ran.contents("display_data", "update_display_data"):
        rendered = content["data"].get("text/html", "")
        assert not re.search(r"<script|<img|href=.javascript", rendered, re.IGNORECASE)


def test_the_display_can_be_chosen(kernel: Kernel) -> None:
    """`LLM_MAGIC_DISPLAY` overrides what the front end tells."""
    kernel.run("%env LLM_MAGIC_DISPLAY=terminal")
    written = kernel.run("%llm Hello", "lab").stdout
    kernel.run("%env LLM_MAGIC_DISPLAY=final")
    final = kernel.run("%llm Hello", "lab")
    kernel.run("%env LLM_MAGIC_DISPLAY=")
    assert "> Hello" in written
    assert len(final.contents("display_data")) == 1
    assert not final.contents("update_display_data")


@pytest.mark.usefixtures("key")
def test_one_request_for_each_attempt(kernel: Kernel, model_server: ModelServer) -> None:
    """The server sees the first attempt and the retries of the policy, and no others."""
    model_server.script(Refuse(503))
    ran = kernel.run(f"%%llm {at(model_server)} --retry-min-wait 0 --num-retries 3\nHello")
    assert model_server.count == 4
    assert ran.error is not None
    assert "gave up after 3 retries" in ran.error


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("front", FRONTS)
def test_a_hold_is_counted_down_and_noted(
    kernel: Kernel, model_server: ModelServer, front: Front
) -> None:
    """A cell that keeps within a limit says so; the note stays."""
    cell = f"%%llm {at(model_server)} --requests-per-minute 20\nHello"
    kernel.run("%%llm\nLoad LiteLLM.", front)
    kernel.run(cell, front)

    ran = kernel.run(cell, front)

    counted = re.findall(
        r"Held back for (\d) s, to keep within requests_per_minute", ran.everything
    )
    assert ("2" in counted) is (front != "nobody")
    assert re.search(r"held back [23](\.\d)? s", ran.everything)
    assert len(ran.outputs) == (front != "console")


def test_a_prompt_that_gave_up_on_a_limit_says_which_retries_would_not_have(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """Behind the line that names the setting, in one line with it."""
    kernel.run(f"%llm_config model=hosted_vllm/gave-up base_url={model_server.openai_base}")
    kernel.run("%llm_config num_retries=0")
    model_server.script(Refuse(429, {"retry-after": "60"}))
    error = kernel.run("%llm Hello").error
    assert error is not None
    assert "raise num_retries (now 0, from this session)." in error
    command = "num_retries=8 retry_min_wait=15 retry_max_wait=60"
    assert f" `%llm_config {command}` would outlast it: they give up after 405 s" in error
    assert "\n" not in error
