"""`%llm_config` in a real kernel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from model_server import Refuse
from setting_values import chosen

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.document import Problem
from openhands_llm_magic.config.layers import SESSION, Layer
from openhands_llm_magic.config.resolve import resolve
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import KeychainError, Text, UsageError
from openhands_llm_magic.notebook import config_magic, prompt_options, settings_table
from openhands_llm_magic.notebook.language import Language

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernel import Kernel
    from model_server import ModelServer

ENGLISH = Language("en")

EXPORTS = ("profile", "shell", "docker", "toml")

CONFIG = """\
[llm]
model = "practice/echo"
temperature = 0.5
api_key = "sk-in-the-file-0123"

[llm.quick]
num_retries = 1
"""


@pytest.fixture
def folder(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """A folder with a config.toml that the kernel works in."""
    (tmp_path / "config.toml").write_text(CONFIG)
    before = kernel.run("import os; print(os.getcwd())").stdout.strip()
    kernel.run(f"os.chdir({str(tmp_path)!r})\n%llm_config --reset")
    yield tmp_path
    kernel.run(f"os.chdir({before!r})\n%llm_config --use llm")


def shown(kernel: Kernel, *names: str) -> list[list[str]]:
    """The table's rows below its headings, split at white space."""
    text = kernel.run(f"%llm_config --show {' '.join(names)}", "console").stdout
    return [line.split() for line in text.splitlines()[1:]]


PRACTISED = """\
import os
%llm_config --practice gemini
answer = %llm -m gemini/gemini-2.5-pro Hello
print("answered by", answer.model_answered)
%llm_config --practice gemini/rate-limited
%llm_config --show base_url
%llm_config --practice gemini busy
%llm_config --show base_url
os.environ["GEMINI_API_KEY"] = "sk-of-the-person-0123"
%llm_config --practice gemini
%llm_config --show base_url api_key
del os.environ["GEMINI_API_KEY"]
"""


def test_without_a_key_a_practice_server_answers(kernel: Kernel) -> None:
    """One line says so, and so does the answer; with a key it is as if the line were not there."""
    kernel.run("%llm_config --reset")
    told = kernel.run(PRACTISED, "console").stdout
    assert told.count("no key for Google AI Studio: the practice server on this machine") == 3
    assert "answered by practice/echo\n" in told
    assert re.search(r"base_url +http://127\.0\.0\.1:\d+/gemini/as/rate-limited/v1beta", told)
    assert re.search(r"base_url +http://127\.0\.0\.1:\d+/gemini/as/busy/v1beta", told)
    after = told.partition("Google AI Studio itself is asked: GEMINI_API_KEY is set.\n")[2]
    rows = [line.split() for line in after.splitlines()[1:]]
    assert rows == [["base_url", "not", "set", "default"], ["api_key", "not", "set", "default"]]


@pytest.mark.parametrize(
    "line",
    [
        "--export shell", "--export docker", "--export profile", "--export toml",
        "--to-openhands mine", "--to-openhands own --with-key", "--save", "--save --with-key",
    ],
)  # fmt: skip
def test_the_practice_servers_address_is_not_handed_over(
    kernel: Kernel, folder: Path, line: str
) -> None:
    """A line says so; that of an export is beside the text, which others read."""
    kernel.run("%llm_config --reset")
    kernel.run("%llm_config model=openai/my-model")
    kernel.run("%llm_config --practice sglang")
    assert "http://127.0.0.1:" in kernel.run("%llm_config --show base_url", "console").stdout
    ran = kernel.run(f"%llm_config {line}", "console")
    stream = "stderr" if line.startswith("--export") else "stdout"
    told = "".join(each["text"] for each in ran.contents("stream") if each["name"] == stream)
    assert "left out, as the practice server ends with this kernel: base" in told
    files = (each.read_text() for each in folder.rglob("*") if each.is_file())
    written = ran.stdout + "".join(files)
    assert "127.0.0.1" not in written
    assert "30000/v1" in written
    key_of = "from openhands_llm_magic.llm.practice.shared import running; print(running().key)"
    assert kernel.run(key_of).stdout.strip() not in written
    kernel.run("%llm_config --reset")


def test_another_providers_model_is_told(kernel: Kernel) -> None:
    """The practice server has the paths of one provider there, and those models alone."""
    kernel.run("%llm_config --reset")
    kernel.run("%llm_config model=anthropic/claude-sonnet-4-20250514")
    told = kernel.run("%llm_config --practice azure").stdout
    assert "The model now set, anthropic/claude-sonnet-4-20250514, is none of Azure" in told
    assert "name one, such as azure/my-deployment." in told
    kernel.run("%llm_config model=azure/my-deployment")
    assert "The model now set" not in kernel.run("%llm_config --practice azure").stdout
    kernel.run("%llm_config --reset")


def test_a_model_that_nobody_chose_is_one_of_the_provider(kernel: Kernel) -> None:
    """So the next prompt is answered; a capital letter names the same provider."""
    kernel.run("%llm_config --reset")
    told = kernel.run("%llm_config --practice OpenAI").stdout
    assert "As no model was chosen, openai/gpt-4o is asked for." in told
    assert "The model now set" not in told
    assert kernel.run("answer = %llm Hello\nprint(answer.model_answered)").error is None
    kernel.run("%llm_config --reset")


@pytest.mark.parametrize("words", ["", " azure busy now"])
def test_practice_takes_a_provider_and_a_model(kernel: Kernel, words: str) -> None:
    ran = kernel.run(f"%llm_config --practice{words}")
    assert "write `%llm_config --practice PROVIDER [MODEL]`" in str(ran.reply)


def test_a_notebook_gets_a_table_and_a_console_aligned_text(kernel: Kernel, folder: Path) -> None:
    """Each row tells value, origin and what is overridden; a key is masked everywhere."""
    assert folder.exists()
    kernel.run("%llm_config temperature=0.75")
    in_notebook = kernel.run("%llm_config --show temperature api_key").outputs[0]
    assert (
        "<td>0.75</td><td>this session</td><td>0.5 (config.toml line 3)</td>"
        in (in_notebook["text/html"])
    )
    assert shown(kernel, "temperature", "api_key") == [
        ["temperature", "0.75", "this", "session", "0.5", "(config.toml", "line", "3)"],
        ["api_key", "**********", "config.toml", "line", "4"],
    ]


def test_a_group_is_used_for_a_cell_or_from_now_on(kernel: Kernel, folder: Path) -> None:
    """`-g NAME` is for one cell, `--use NAME` for those that follow, `--use llm` ends it."""
    assert folder.exists()
    ran = kernel.run("%%llm -g nope\nHi")
    assert ran.error is not None
    assert "has: quick" in ran.error
    assert kernel.run("%%llm -g quick\nHi").reply["status"] == "ok"
    assert shown(kernel, "num_retries")[0][1] == "4"
    kernel.run("%llm_config --use quick")
    assert shown(kernel, "num_retries")[0][1:] == ["1", "config.toml", "line", "7"]
    kernel.run("%llm_config --use llm")
    assert shown(kernel, "num_retries")[0][1] == "4"


def test_check_names_the_mistake_its_line_and_the_fix(kernel: Kernel, folder: Path) -> None:
    """`--check` looks at the file in use, or at the one that is named."""
    (folder / "other.toml").write_text('[llm]\nmodel = "openai/gpt-4o"\nmax_tokens = 5\n')
    found = kernel.run("%llm_config --check other.toml").stdout
    assert "other.toml line 3" in found
    assert "max_output_tokens" in found
    (folder / "config.toml").chmod(0o600)
    assert "problem" in kernel.run("%llm_config --check").stdout


def test_a_test_tells_each_step(kernel: Kernel) -> None:
    """Of the practice provider, which needs no key and waits for no name."""
    lines = kernel.run("%llm_config --test", "console").stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["·", "Key"], ["·", "Address"]]
    assert [line.split()[0] for line in lines[3:6]] == ["✓", "✓", "✓"]
    assert lines[-1].startswith("It works. · Answer: You wrote:")


def test_a_test_that_fails_is_one_line(kernel: Kernel, model_server: ModelServer) -> None:
    """The cell fails, the waits are told, and the key does not show."""
    model_server.script(Refuse(429, headers={"retry-after": "0"}), Refuse(401))
    kernel.run(f"%llm_config model=openai/m base_url={model_server.openai_base}")
    kernel.run("key = 'sk-of-this-session-0123'\n%llm_config api_key=$key")
    ran = kernel.run("%llm_config --test --retries")
    assert "✓ Key" in ran.stdout
    assert "Rate limit (429): retry 1 of 4, asking again …" in ran.stdout
    assert ran.error is not None
    assert ran.error.startswith("AuthenticationError: the provider refused the key")
    assert "sk-of" not in ran.everything


def test_a_test_gives_its_verdict_at_once(kernel: Kernel, model_server: ModelServer) -> None:
    """A rate limit's names the wait, and how to wait it out."""
    model_server.script(Refuse(429, headers={"retry-after": "20"}, message="Slow down."))
    kernel.run(f"%llm_config model=openai/m base_url={model_server.openai_base}")
    kernel.run("key = 'sk-of-this-session-0123'\n%llm_config api_key=$key")
    ran = kernel.run("%llm_config --test")
    assert ran.error == (
        "RateLimitError: the server limits the rate (429: Slow down). It asks to wait 20 s: a"
        " prompt waits as long, and is sent again."
    )
    assert "\n`%llm_config --test --retries` waits and tries again.\n" in ran.stdout
    assert model_server.count == 1


def test_a_test_passes_a_limit_as_its_error_says(kernel: Kernel) -> None:
    """What the error names is what the test takes."""
    kernel.run("%llm_config max_output_tokens=9 max_budget_per_task=0.0001")
    kernel.run("%llm_config input_cost_per_token=0.001 output_cost_per_token=0.001")
    error = kernel.run("%llm_config --test").error
    assert error is not None
    assert error.startswith("OverBudgetError: not sent")
    assert "`--over-budget` lets this one pass" in error
    assert "It works." in kernel.run("%llm_config --test --over-budget").stdout


def test_a_test_that_is_held_back_says_so(kernel: Kernel, model_server: ModelServer) -> None:
    """Once, as what is printed stays."""
    kernel.run("key = 'sk-of-this-session-0123'\n%llm_config api_key=$key")
    kernel.run(f"%llm_config model=openai/m base_url={model_server.openai_base}")
    kernel.run("%llm_config --test")
    kernel.run("%llm_config requests_per_minute=30\n%llm_config --test")
    told = kernel.run("%llm_config --test").stdout
    assert len(re.findall(r"Held back for [23] s, to keep within requests_per_minute", told)) == 1
    assert "It works." in told


def test_save_shows_what_changed_and_leaves_the_key(kernel: Kernel, folder: Path) -> None:
    """Saving keeps the rest of the file, and prints a diff without the key."""
    kernel.run("%llm_config num_retries=6")
    ran = kernel.run("%llm_config --save")
    assert "+num_retries = 6" in ran.stdout
    assert "sk-in-the-file" not in ran.everything
    assert "[llm.quick]\nnum_retries = 1\n" in (folder / "config.toml").read_text()
    kernel.run("%llm_config --reset")
    assert shown(kernel, "num_retries")[0][1:3] == ["6", "config.toml"]


def test_a_key_is_saved_only_on_request(kernel: Kernel, folder: Path) -> None:
    """`--with-key` says so first, and the file is then its owner's alone."""
    kernel.run("key = 'sk-of-this-session-0123'\n%llm_config api_key=$key")
    assert "--with-key" in kernel.run("%llm_config --save new.toml").stdout
    assert "sk-of" not in (folder / "new.toml").read_text()
    ran = kernel.run("%llm_config --save new.toml --with-key")
    assert ran.stdout.startswith("the key goes into the file as plain text")
    assert "sk-of" not in ran.everything
    assert "sk-of-this-session-0123" in (folder / "new.toml").read_text()
    assert (folder / "new.toml").stat().st_mode & 0o777 == 0o600


def test_no_password_of_an_address_shows(kernel: Kernel, folder: Path) -> None:
    """Neither in the table nor in what saving or exporting prints."""
    kernel.run("%llm_config base_url=http://bob:hunter2secret@host/v1")
    assert shown(kernel, "base_url")[0][1] == "http://**********@host/v1"
    for line in ("", "--save", "--save --with-key", *map("--export {}".format, EXPORTS)):
        assert "hunter2" not in kernel.run(f"%llm_config {line}").everything
    assert "hunter2" in (folder / "config.toml").read_text()


def test_a_key_in_another_variable_does_not_show(kernel: Kernel) -> None:
    """A key of an unknown shape in LLM_TIMEOUT is not in the line about the mistake."""
    kernel.run("import os; os.environ['LLM_TIMEOUT'] = 'my-own-' + 'key-0123456789'")
    ran = kernel.run("%llm_config --show timeout\ndel os.environ['LLM_TIMEOUT']")
    assert "! LLM_TIMEOUT: timeout takes a whole number" in ran.everything
    assert "0123456789" not in ran.everything


def test_the_table_masks_keys_before_it_cuts() -> None:
    """Half a key at the end of a long value would not be known as one; "ollama" is a word."""
    key = "my-own-key-0123456789"
    row = settings_table.rows(chosen(api_key=key, base_url="http://x/" + "y" * 40 + key), ENGLISH)[
        2
    ]
    assert row.value == "http://x/" + "y" * 40 + "**********"
    local = chosen(api_key="ollama", model="ollama/x")
    assert settings_table.rows(local, ENGLISH, ["model"])[0].value == "ollama/x"
    layer = Layer("x", problems=(Problem(Text("no key {key}", key=key), SESSION),))
    snapshot = resolve([layer]).with_overrides({"api_key": key})
    assert settings_table.problems(snapshot) == ["this session: no key **********"]


def test_where_nobody_can_type_the_key_is_not_asked_for(kernel: Kernel) -> None:
    """One line, as under nbclient and nbval, that says how else to give it."""
    ran = kernel.run("%llm_config api_key", "nobody")
    assert ran.error is not None
    assert "\n" not in ran.error
    assert ran.error.startswith("UsageError: api_key cannot be asked for")
    assert "LLM_API_KEY" in ran.error
    assert "api_key=$NAME" in ran.error


@pytest.mark.parametrize(
    ("fault", "advice"),
    [(EOFError, "LLM_API_KEY"), (KeyboardInterrupt, "nothing was changed")],
)
def test_a_key_that_is_not_entered_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, fault: type[BaseException], advice: str
) -> None:
    """The end of the input and the interrupt button, too, are one line."""

    def no_input(prompt: str) -> str:
        raise fault(prompt)

    monkeypatch.setattr("getpass.getpass", no_input)
    settings = LLMSettings()
    with pytest.raises(UsageError, match=advice):
        config_magic.run("api_key", None, settings, open_panel=lambda: None)
    assert settings.snapshot().api_key is None


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("sk-typed-0123456789", "api_key is taken, with 19 characters; it counts from"),
        (" sk-typed-0123456789 ", "api_key is taken, with 19 characters; it counts from"),
        ("", "nothing was entered: api_key is not set"),
    ],
)
def test_a_key_that_was_entered_is_told_by_its_length_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, told: str
) -> None:
    """A key that was cut or pasted twice shows by it, and no character of the key does."""
    monkeypatch.setattr("getpass.getpass", lambda _: typed)
    settings = LLMSettings()
    config_magic.run("api_key", None, settings, open_panel=lambda: None)
    out = capsys.readouterr().out
    assert out.startswith(told)
    assert "typed" not in out
    assert settings.snapshot().api_key == (Secret(typed.strip()) or None)


def test_a_key_is_taken_from_the_keyring(passwords: dict[tuple[str, str], str]) -> None:
    """The one kept for the provider in use, or one line."""
    settings = LLMSettings()
    settings.set(model="mistral/x")
    with pytest.raises(KeychainError, match="has no key for mistral"):
        config_magic.run("--keyring", None, settings, open_panel=lambda: None)
    passwords["openhands-llm-magic", "mistral"] = "sk-kept-0123456789"
    config_magic.run("--keyring", None, settings, open_panel=lambda: None)
    assert settings.snapshot().api_key == Secret("sk-kept-0123456789")


@pytest.mark.parametrize("name", ["class", "2x", "a.b"])
def test_the_reply_goes_into_a_variable_only(name: str) -> None:
    """A Python keyword is none."""
    with pytest.raises(UsageError, match="--out takes a variable's name"):
        prompt_options.parse(f"-o {name} Hi", {})


@pytest.mark.parametrize("form", EXPORTS)
def test_export_hands_over_without_the_key(kernel: Kernel, folder: Path, form: str) -> None:
    """Every form has the model and none has the key."""
    assert folder.exists()
    ran = kernel.run(f"%llm_config --export {form}")
    assert "practice/echo" in ran.stdout
    assert "sk-in-the-file" not in ran.everything


MISTAKES = {
    "an unknown option": ("--frobnicate", "there is no option '--frobnicate'"),
    "an unknown setting": ("nope=1", "nope"),
    "a file that is not there": ("--file /nope/config.toml", "/nope/config.toml"),
    "a file to check that is not there": ("--check /nope/config.toml", "/nope/config.toml"),
    "a folder to save to": ("--save /", "folder"),
    "no form": ("--export", "profile|shell|docker|toml"),
    "an unknown form": ("--export yaml", "there are profile"),
    "an unknown group": ("--use nope", "there is no group"),
    "a keyring of what": ("--keyring me", "write `%llm_config --keyring`"),
    "advice on what": ("--advice me", "write `%llm_config --advice`"),
    "a test of what": ("--test me", "write `%llm_config --test`"),
    "open quotes": ("model='x", "check the quotes"),
}


@pytest.mark.parametrize(("line", "advice"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(kernel: Kernel, line: str, advice: str) -> None:
    before = shown(kernel)
    ran = kernel.run(f"%llm_config {line}")
    assert ran.error is not None
    assert "\n" not in ran.error
    assert advice in ran.error
    assert shown(kernel) == before


def test_a_group_reaches_the_server(
    kernel: Kernel, folder: Path, model_server: ModelServer
) -> None:
    """The group's settings, and what it inherits from `[llm]`, are what is sent."""
    group = f'[llm.here]\nmodel = "openai/m"\nbase_url = "{model_server.openai_base}"\n'
    (folder / "config.toml").write_text(CONFIG + group)
    kernel.run("%%llm -g here\nHi")
    body = model_server.received[-1].body
    assert (body["model"], body["temperature"]) == ("m", 0.5)
    sent = model_server.received[-1].headers["authorization"]
    assert sent == "Bearer sk-in-the-file-0123"


ADVISED = "num_retries=8 retry_min_wait=15 retry_max_wait=60"


def test_waits_that_a_server_asks_for_are_outlasted(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """A test that meets a limit says what to set; once that is set, it is enough."""
    base_url = model_server.base_for("anthropic")
    kernel.run(f"%llm_config model=anthropic/of-a-minute base_url={base_url}")
    kernel.run("key = 'sk-of-this-session-0123'\n%llm_config api_key=$key")
    assert "has refused no request for a limit" in kernel.run("%llm_config --advice").stdout
    model_server.script(Refuse(429, {"retry-after": "60"}))
    told = [
        (
            "The server asks for 60 s: this package gives up after 65 s, OpenHands 0.41 after 18 s,"
            " OpenHands SDK 1.58 after 120 s."
        ),
        (
            f"`%llm_config {ADVISED}` would outlast it: they give up after 405 s (this package),"
            " 213 s (OpenHands 0.41), 303 s (OpenHands SDK 1.58)."
        ),
    ]
    assert kernel.run("%llm_config --test").stdout.splitlines()[-2:] == told
    assert kernel.run("%llm_config --advice").stdout.splitlines() == told
    assert told[1] in kernel.run("%llm_config", "console").stdout
    kernel.run(f"%llm_config {ADVISED}")
    enough = kernel.run("%llm_config --advice").stdout.splitlines()
    assert enough[-1] == "That is enough: nothing is to be set."
    assert told[1] not in kernel.run("%llm_config", "console").stdout


def test_no_retry_helps_against_a_limit_of_a_day(kernel: Kernel, model_server: ModelServer) -> None:
    """So nothing is advised but to wait, or to take another model or key."""
    kernel.run(f"%llm_config model=hosted_vllm/of-a-day base_url={model_server.openai_base}")
    limit = "Rate limit reached on requests per day."
    model_server.script(Refuse(429, {"retry-after": "7200"}, message=limit))
    assert "would outlast" not in kernel.run("%llm_config --test").stdout
    told = kernel.run("%llm_config --advice").stdout
    assert told.startswith("The server also told of a limit that no retry outlasts")


@pytest.mark.usefixtures("folder")
def test_the_check_tells_what_is_wrong_in_the_session(kernel: Kernel) -> None:
    """Beside the file and the environment; a file that is named is checked alone."""
    kernel.run("%llm_config model=azure/x base_url=https://x.openai.azure.com/v1")
    told = kernel.run("%llm_config --check").stdout
    lines = [line for line in told.splitlines() if line.startswith("this session")]
    assert any("Azure asks for an api_version." in line for line in lines)
    assert "base_url has the path /v1, and azure/ adds its own." in told
    named = kernel.run("%llm_config --check config.toml").stdout
    assert "Azure" not in named


def test_the_check_finds_nothing_wrong_with_a_practice_server(kernel: Kernel) -> None:
    """Its address is right wherever this runs, and notes are about what OpenHands reads."""
    kernel.run("%llm_config --practice azure\n%llm_config model=azure/x num_retries=2")
    assert "this session" not in kernel.run("%llm_config --check").stdout
    kernel.run("%llm_config --reset")
