"""The command line, in its own process where that matters."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import httpx
import pytest
from model_server import Call, Refuse, asks

from openhands_llm_magic import cli
from openhands_llm_magic.cli import main
from openhands_llm_magic.llm.practice.models import MODELS
from openhands_llm_magic.llm.spending import summary
from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server import ModelServer

COMMAND = [sys.executable, "-c", "import sys, openhands_llm_magic.cli as c; sys.exit(c.main())"]


@pytest.fixture
def practice() -> Iterator[subprocess.Popen[str]]:
    """The practice provider as a person starts it."""
    command = [*COMMAND, "practice", "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        env={**os.environ, "PRACTICE_API_KEY": 'with "quotes"'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def read_until(process: subprocess.Popen[str], end: str) -> str:
    assert process.stdout is not None
    text = ""
    while end not in text:
        line = process.stdout.readline()
        assert line, f"the process ended after: {text}"
        text += line
    return text


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is not sent this way on Windows")
def test_practice_tells_how_to_use_it_and_ends_with_ctrl_c(
    practice: subprocess.Popen[str],
) -> None:
    """The example is TOML as OpenHands reads it, and a prompt sent with it is answered."""
    text = read_until(practice, "Ctrl-C")
    assert "not a language model" in text
    assert all(f"{name} " in text for name in MODELS)
    example = re.search(r"  \[llm\]\n(?:  .+\n)+", text)
    assert example is not None
    llm = tomllib.loads(dedent(example[0]))["llm"]
    assert llm["api_key"] == 'with "quotes"'
    response = httpx.post(
        f"{llm['base_url']}/chat/completions",
        headers={"Authorization": f"Bearer {llm['api_key']}"},
        json={
            "model": llm["model"].removeprefix("openai/"),
            "messages": [{"role": "user", "content": "Hello"}],
        },
        trust_env=False,
    )
    assert "> Hello" in response.json()["choices"][0]["message"]["content"]
    exported = re.search(r"  export (.+)", text)
    assert exported is not None
    variables = dict(each.split("=", 1) for each in shlex.split(exported[1]))
    assert variables == {
        "LLM_MODEL": "openai/agent", "LLM_BASE_URL": llm["base_url"], "LLM_API_KEY": llm["api_key"],
    }  # fmt: skip
    practice.send_signal(signal.SIGINT)
    stdout, stderr = practice.communicate(timeout=10)
    assert practice.returncode == 0
    assert stdout.split("\n") == ["", "The practice provider has stopped.", ""]
    assert stderr == ""


def test_a_taken_port_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert main(["practice", "--port", f"{port}"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf".* cannot listen on port {port} \(.+\)\. .*--port.*\n", err)


@pytest.mark.parametrize("arguments", [["--key", "sk-canary"], ["--key=sk-canary"]])
def test_a_key_on_the_command_line_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Everybody on the machine could read it; the line says what to do, and not the key."""
    with pytest.raises(SystemExit) as caught:
        main(["practice", *arguments])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "set PRACTICE_API_KEY" in said
    assert "canary" not in said


@pytest.mark.parametrize("port", ["-1", "65536", "http", "1.5", ""])
def test_a_bad_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["practice", "--port", port])
    assert caught.value.code == 2
    assert "a whole number from 0 to 65535" in capsys.readouterr().err


def test_check_tells_what_is_wrong_and_its_status_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.toml").write_text("[llm]\nmax_tokens = 5\n", "utf-8")
    monkeypatch.setenv("LLM_API_BASE", "http://localhost:8000")
    assert main(["check"]) == 1
    out, err = capsys.readouterr()
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        "config.toml line 1",  # a note
        "config.toml line 2",
        "LLM_API_BASE",
        "2 problems",
    ]
    assert err == ""


@pytest.mark.parametrize("arguments", [["check"], ["check", "config.toml"]])
def test_check_of_what_is_right(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A note, such as that on retries or on what OpenHands sends, is no problem."""
    Path("config.toml").write_text('[llm]\nmodel = "openai/gpt-4o"\n', "utf-8")
    assert main(arguments) == 0
    of_retries, of_openhands, *others, last = capsys.readouterr().out.splitlines()
    assert of_retries.startswith("config.toml line 1  note ")
    sent = "OpenHands 0.41 sends temperature = 0.0, top_p = 1.0, max_completion_tokens = "
    assert re.match(rf"config\.toml line 2 +note +{sent}\d+, which nobody set; ", of_openhands)
    assert len(others) == 2, "on the file that the current OpenHands does not read, on its retries"
    assert all(" note " in each for each in others)
    assert last == "no problems in config.toml"


@pytest.mark.translations
def test_check_speaks_the_language_of_the_person(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings, the summary and a file that cannot be read."""
    monkeypatch.setenv("LLM_MAGIC_LANG", "ja")
    Path("config.toml").write_text('[llm]\nmodel = "gpt"\nmax_tokens = 5\n', "utf-8")
    assert main(["check"]) == main(["check", "missing.toml"]) == 1
    out, err = capsys.readouterr()
    assert re.search("[a-z]+ [a-z]+ [a-z]+", out + err.removeprefix("openhands-llm-magic")) is None
    assert out.count("。") > 0 < err.count("見つかりません")


def test_check_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert out == "no problems in the environment; there is no config.toml\n"


def test_check_of_a_missing_file_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "missing.toml"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"openhands-llm-magic check: config file: missing\.toml: .+\n", err)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger in use, with a request of 40 days ago."""
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    made = Ledger(tmp_path / "ledger.sqlite3")
    at_s = time.time() - 40 * 86_400
    known = {"cost_usd": 0.5, "cost_told_by": "provider", "input_tokens": 7, "output_tokens": 8}
    made.add(Attempt(ended_at_s=at_s, day=day_of(at_s), model="日本/\x1b[31mx", **known))  # type: ignore[arg-type]  # of two types
    yield made
    made.close()


@pytest.mark.usefixtures("kept")
def test_usage_prints_what_requests_have_cost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of today and this month, with their limits; or of a period; no name steers the terminal."""
    monkeypatch.setenv("LLM_MAGIC_BUDGET_PER_DAY", "2")
    assert main(["usage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:4]] == [
        "What requests have cost",
        "period",
        "today",
        "this month",
    ]
    assert lines[2].endswith("$0.00 of $2.00 (0 %)")
    assert "budget_per_day: now 2, from LLM_MAGIC_BUDGET_PER_DAY" in lines
    assert main(["usage", "--days", "60", "--csv", "usage.csv"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^日本/ \[31mx +1 +7 +8 +\$0\.50$", out, re.MULTILINE)
    assert out.endswith("usage.csv is written; its rows: 1.\n")
    assert Path("usage.csv").read_text("utf-8").startswith("model,attempts,")


@pytest.mark.usefixtures("kept")
def test_usage_sums_up_by_what_the_magic_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert [*summary.BY] == [*cli.BY]
    assert summary.MOST_DAYS == cli.MOST_DAYS
    for by in cli.BY:
        assert main(["usage", "--all", "--by", by]) == 0
        assert capsys.readouterr().out.startswith("all that is in the ledger, by ")


@pytest.mark.usefixtures("kept")
def test_usage_that_cannot_be_shown_or_written_is_one_line_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the status says so."""
    Path("usage.csv").write_text("mine", "utf-8")
    assert main(["usage", "--csv", "usage.csv"]) == 1
    assert Path("usage.csv").read_text("utf-8") == "mine"
    assert re.fullmatch(r"openhands-llm-magic usage: usage\.csv: .+\n", capsys.readouterr().err)
    assert main(["usage", "--force"]) == 1
    assert "--force goes with --csv" in capsys.readouterr().err
    for ledger in ("off", "usage.csv"):
        monkeypatch.setenv("LLM_MAGIC_LEDGER", ledger)
        assert main(["usage"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"openhands-llm-magic usage: .+\n", err)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--days", "0"], "--days takes a number from 1 to 36,500, not '0'"),
        (["--days", "x"], "--days takes a number from 1 to 36,500, not 'x'"),
        (["--days", "9" * 5000], "--days takes a number from 1 to 36,500, not '99"),
        (["--days"], "--days takes a value"),
        (["--by", "x"], "--by takes one of model, day, notebook, group, outcome, source, not 'x'"),
        (["--all", "--days=1"], "--days does not go with --all"),
        (["--all=1"], "--all takes no value such as '1'"),
        (["x"], "x has no meaning there"),
    ],
)
def test_a_bad_option_of_usage_is_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["usage", *arguments])
    assert caught.value.code == 2
    assert re.search(
        rf"^openhands-llm-magic( usage)?: error: {re.escape(told)}",
        capsys.readouterr().err,
        re.MULTILINE,
    )


@pytest.mark.usefixtures("kept")
def test_a_terminal_without_the_letters_shows_question_marks() -> None:
    """It is no reason to fail."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "usage", "--days", "60"], env=env, capture_output=True, check=True
    )
    assert b"\n??/ [31mx" in ran.stdout


@pytest.mark.usefixtures("kept")
def test_a_reader_that_has_read_enough_is_no_traceback() -> None:
    """Such as `head`."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "usage"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"openhands-llm-magic {version('openhands-llm-magic')}\n"


def test_no_arguments_show_the_help_with_every_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: openhands-llm-magic")
    assert all(f"\n    {name} " in out for name in ("check", "practice", "usage"))


@pytest.mark.parametrize(
    ("model", "status"), [("agent", 0), ("agent-writes", 0), ("agent-talks", 1)]
)
def test_probe_tells_the_verdict_by_its_status(
    model: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdicts and the table are on stdout, what it may take on stderr."""
    assert main(["probe", "-m", f"practice/{model}"]) == status
    out, err = capsys.readouterr()
    assert out.startswith("OpenHands 0.41: it will")
    told = "up to 11 requests and about 30,000 tokens without retries, local"
    assert err == f"probing practice/{model}: {told}\n"
    assert main(["probe", "-m", f"practice/{model}", "--json"]) == status
    assert json.loads(capsys.readouterr().out)["model"] == f"practice/{model}"


def test_probe_of_several_models_takes_the_worst(capsys: pytest.CaptureFixture[str]) -> None:
    """The status is that of the worst; each is a column, or one of a list in JSON."""
    good, weak = ["-m", "practice/agent"], ["-m", "practice/agent-repeats"]
    assert main(["probe", *good, *weak, "--repeat", "2"]) == 1
    out, err = capsys.readouterr()
    assert out.split("\n")[0].split() == ["practice/agent", "practice/agent-repeats"]
    assert "✗ 0 of 2" in out
    assert err.count("up to 18 requests") == 2
    assert main(["probe", *good, *good, "--json"]) == 0
    assert [each["model"] for each in json.loads(capsys.readouterr().out)] == ["practice/agent"] * 2


def test_probe_writes_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It is printed below the table, or written to a new file."""
    assert main(["probe", "-m", "practice/agent", "--full", "--report"]) == 0
    out, err = capsys.readouterr()
    assert "\n# practice/agent with OpenHands\n" in out
    assert "| reads 26,000 tokens | yes |  |" in out
    assert "up to 12 requests" in err
    page = tmp_path / "page.md"
    assert main(["probe", "-m", "practice/agent", "--json", "--report", str(page)]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "practice/agent"
    assert page.read_text().startswith("# practice/agent with OpenHands\n")
    assert main(["probe", "-m", "practice/agent", "--report", str(page)]) == 1
    out, err = capsys.readouterr()
    assert re.fullmatch(r"openhands-llm-magic probe: .+ such a file already\. .+--force\.\n", err)
    assert out == ""


def test_probe_keeps_within_a_limit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before the first request, and the option lifts the limit."""
    for name, value in (
        ("MAX_BUDGET_PER_TASK", "0.0001"),
        ("LLM_INPUT_COST_PER_TOKEN", "0.000001"),
        ("LLM_OUTPUT_COST_PER_TOKEN", "0.000002"),
    ):
        monkeypatch.setenv(name, value)
    assert main(["probe", "-m", "practice/agent"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"openhands-llm-magic probe: nothing was sent: .+--over-budget.+\n", err)
    assert main(["probe", "-m", "practice/agent", "--over-budget"]) == 0


def test_probe_keeps_what_came_when_it_is_stopped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model_server: ModelServer
) -> None:
    """Ctrl-C in a request or a wait ends all models, and the table is printed."""
    call = Call("terminal", '{"command": "echo ready", "security_risk": "LOW"}')

    def interrupted(_received: object) -> Refuse:
        os.kill(os.getpid(), signal.SIGINT)
        return Refuse(429, {"retry-after": "60"})

    model_server.script(asks(call), interrupted)
    monkeypatch.setenv("LLM_BASE_URL", model_server.openai_base)
    monkeypatch.setenv("LLM_API_KEY", "sk-canary-0123456789abcdef")
    assert main(["probe", "-m", "openai/a", "-m", "openai/b"]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"^calls a function +✓ held +· not asked$", out, re.MULTILINE)
    assert re.search(r"^edits a file exactly +· not asked +· not asked$", out, re.MULTILINE)
    assert err.endswith("openhands-llm-magic probe: stopped\n")
    assert model_server.count <= 2


def test_probe_gives_advice_on_retries(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model_server: ModelServer
) -> None:
    """Below the table, as in a notebook, and not in what programs read or is shared."""
    model_server.script(Refuse(429, {"retry-after": "1"}))
    monkeypatch.setenv("LLM_BASE_URL", model_server.openai_base)
    monkeypatch.setenv("LLM_NUM_RETRIES", "0")
    model = ["-m", "hosted_vllm/of-a-second"]
    main(["probe", *model])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("The server asks for 1 s: this package gives up after 0 s")
    assert lines[-1].startswith("num_retries=2 would outlast it")
    for option in ("--json", "--report"):
        main(["probe", *model, option])
        assert "would outlast" not in capsys.readouterr().out


def test_probe_refuses_a_bad_number(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with the range."""
    with pytest.raises(SystemExit) as end:
        main(["probe", "--repeat", "0"])
    assert end.value.code == 2
    assert "--repeat takes a number from 1 to 20, not '0'" in capsys.readouterr().err


def test_probe_without_a_model_that_can_be_asked_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_COMPLETION_KWARGS", '{"n": 2}')
    assert main(["probe", "-m", "practice/agent"]) == 1
    assert re.fullmatch(r"openhands-llm-magic probe: .+\n", capsys.readouterr().err)
