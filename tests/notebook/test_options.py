"""How the line of a magic is read: variables in it, a phone's quotes, help, what is misspelt."""

# ruff: noqa: RUF001 - the quotes and dashes of a phone
from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError, UsageError
from openhands_llm_magic.notebook import embed_magic, prompt_options
from openhands_llm_magic.notebook.arguments import flags_of, meant_flag
from openhands_llm_magic.notebook.language import Language
from openhands_llm_magic.notebook.line import words
from openhands_llm_magic.notebook.option_help import help_text
from openhands_llm_magic.notebook.prompt_options import FIRST, TITLES, parse, parser

if TYPE_CHECKING:
    from kernel import Kernel
    from model_server import ModelServer


ENGLISH = Language("en")


def said(server: ModelServer) -> list[tuple[str, str]]:
    """Return the role and text of each message that was sent last."""
    return [(each["role"], each["content"]) for each in server.received[-1].body["messages"]]


@pytest.fixture
def server(kernel: Kernel, model_server: ModelServer) -> ModelServer:
    """The test server, which the session's settings name."""
    kernel.run(f"%llm_config base_url={model_server.openai_base} model=openai/test")
    kernel.run("key = 'sk-of-the-test'\n%llm_config api_key=$key")
    return model_server


NAMES = {"m": "openai/gpt-4o", "t": 0.5, "n": 3, "kw": {"user": "me"}, "evil": "x --dry-run -m y"}


def test_the_help_fits_in_a_terminal_in_a_language_of_wide_letters() -> None:
    """Japanese has no spaces to break at, and no line begins with its comma or full stop."""

    def say(english: str, **facts: object) -> str:
        return "設定、" * 80 if english == SETTINGS["model"].help else ENGLISH(english, **facts)

    lines = help_text(say, "basic").splitlines()
    wide = [line for line in lines if "設定" in line]
    columns = [sum(2 if letter > "\u3000" else 1 for letter in line) for line in wide]
    assert len(wide) > 5
    assert 90 < max(columns) <= 100
    assert [line for line in wide if line.lstrip().startswith("、")] == []


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("-m {m} Hi", {"model": "openai/gpt-4o"}),
        ("--model={m} Hi", {"model": "openai/gpt-4o"}),
        ("-m 'openai/{n}' Hi", {"model": "openai/3"}),
        ("--temperature {t} --num-retries {n} Hi", {"temperature": 0.5, "num_retries": 3}),
        ("--completion-kwargs {kw} Hi", {"completion_kwargs": {"user": "me"}}),
        ("-m {evil} Hi", {"model": "x --dry-run -m y"}),
        ("-m {{m}} Hi", {"model": "{m}"}),
    ],
)
def test_variables_are_put_into_options(line: str, settings: dict[str, object]) -> None:
    """A value stays one value, whatever is in it."""
    options = parse(line, NAMES)
    assert dict(options.settings) == settings
    assert options.prompt == "Hi"
    assert not options.dry_run


def test_they_are_put_into_the_options_of_a_cell_itself() -> None:
    names = {"name": "reply_3", "topic": "trip", "path": "notes.txt"}
    options = parse("-o {name} --chat {topic} -a {path} -a b.txt Hi", names)
    assert (options.out, options.chat, options.attach) == (
        "reply_3",
        "trip",
        ("notes.txt", "b.txt"),
    )
    assert parse("-s 'Be {mood}.' Hi", {"mood": "kind"}).system == "Be {mood}."  # as in a body


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("-m {mm} Hi", "--model: there is no variable for {mm}."),
        ("-m {model_nmae} Hi", "did you mean {model_name}?"),
        ("-m {n.upper()} Hi", "names, items, attributes and formats are put in"),
        ("--chat {topic} Hi", "--chat: there is no variable for {topic}."),
        ("--api-key {m} Hi", "write $NAME for a variable that holds it"),
        ("-o {m} Hi", "--out takes a variable's name, not 'openai/gpt-4o'"),
    ],
)
def test_an_option_without_its_variable_is_one_line(line: str, told: str) -> None:
    """It would be sent as a model's name, or begin a conversation of that name."""
    with pytest.raises(UsageError, match=re.escape(told)):
        parse(line, NAMES | {"model_name": "x"})


def test_variables_in_options_of_a_loop(kernel: Kernel, server: ModelServer) -> None:
    """The instructions are filled as a body is, and the variables of a function count."""
    kernel.run(
        "sysp = 'kind'\nfor m in ('openai/a', 'openai/b'):\n    %llm -m {m} -s 'Be {sysp}' Hi"
    )
    assert [each.body["model"] for each in server.received] == ["a", "b"]
    assert said(server) == [("system", "Be kind"), ("user", "Hi")]
    kernel.run("def ask(model, how):\n    %llm -m {model} --system {how} Hi")
    assert kernel.run("ask('openai/c', '--dry-run')").error is None
    assert server.received[-1].body["model"] == "c"
    assert said(server)[0] == ("system", "--dry-run")
    kernel.run("%llm --raw -m {m} --system 'Be {sysp}' {sysp}")
    assert server.received[-1].body["model"] == "b"
    assert said(server) == [("system", "Be {sysp}"), ("user", "{sysp}")]


def test_variables_in_the_settings_of_the_session(kernel: Kernel) -> None:
    kernel.run("m, n, name, option = 'practice/busy', 2, 'num_retries', '--reset'")
    kernel.run("%llm_config model={m} num_retries={n}")
    assert "practice/busy" in kernel.run("%llm_config --show model", "console").stdout
    assert " 2 " in kernel.run("%llm_config --show {name}", "console").stdout
    kernel.run("def use(model):\n    %llm_config model={model}\nuse('practice/echo')")
    assert "practice/echo" in kernel.run("%llm_config --show model", "console").stdout
    for line in ("%llm_config model={mm}", "%llm_config --show {option}", "%llm_config {option}"):
        assert str(kernel.run(line).error).startswith(("UsageError: ", "SettingError: "))
    assert "practice/echo" in kernel.run("%llm_config --show model", "console").stdout


def test_variables_in_the_options_of_vectors() -> None:
    read = embed_magic.parse("texts -m openai/{m} -o {name}", {"m": "e", "name": "vectors"})
    assert (read.settings, read.out) == ({"embedding_model": "openai/e"}, "vectors")


@pytest.mark.parametrize(
    "line",
    [
        "—dry-run -s “be brief” hello",
        "––dry-run --system=“be brief” hello",
        "–—dry-run —system ‘be brief’ hello",
        "--dry-run –s „be brief“ hello",
        "―dry-run -s «be brief» hello",
    ],
)
def test_the_quotes_and_dashes_of_a_phone_are_understood(line: str) -> None:
    options = parse(line, {})
    assert (options.dry_run, options.system, options.prompt) == (True, "be brief", "hello")


def test_they_are_understood_on_other_lines(kernel: Kernel) -> None:
    shown = kernel.run("%llm_config —show num_retries", "console").stdout
    assert shown.splitlines()[1].split()[:2] == ["num_retries", "4"]
    kernel.run("%llm_config log_completions_folder=“a folder”")
    shown = kernel.run("%llm_config --show log_completions_folder", "console").stdout
    assert "a folder" in shown
    assert kernel.run("%llm_chat —forget").error is None
    assert words("a “b c” 'd “e”' f’s") == ["a", "b c", "d “e”", "f’s"]


@pytest.mark.parametrize(
    "prompt",
    ["— Bonjour, dit-il.", "–5 degrees", "“Quoted” text", "—Hola, dijo.", "it’s “so” --- fine"],
)
def test_a_prompt_keeps_its_own(prompt: str) -> None:
    """A dash that begins no option begins a line of dialogue."""
    assert parse(f"-m practice/echo {prompt}", {}).prompt == prompt


@pytest.mark.parametrize("line", ["—dry-rum hello", "––modle x hello", "hello —dry-run"])
def test_a_misspelt_flag_of_a_phone_is_not_sent(line: str) -> None:
    with pytest.raises(UsageError, match=r"there is no option|stands within the prompt"):
        parse(line, {})


@given(st.text("ab \"'“”‘’—-\\={}", max_size=20))
def test_any_line_is_read_or_is_one_line(line: str) -> None:
    try:
        parse(line, {})
        words(line)
    except (UsageError, SettingError) as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--api-base", "--base-url"),
        ("--api_base", "--base-url"),
        ("--base_url", "--base-url"),
        ("--url", "--base-url"),
        ("--max-tokens", "--max-output-tokens"),
        ("--temprature", "--temperature"),
        ("--modle", "--model"),
        ("--model-id", "--model"),
        ("--apikey", "--api-key"),
        ("--key", "--api-key"),
        ("--retries", "--num-retries"),
        ("--formt", "--format"),
        ("--dryrun", "--dry-run"),
        ("--xyzzy", ""),
    ],
)
def test_what_a_misspelt_flag_means(typed: str, meant: str) -> None:
    assert meant_flag(typed, parser()) == meant


SECRETS = {each.flag for each in SETTINGS.values() if each.kind == "secret"}


@given(
    st.from_regex(
        r"--(api|aws|base|openai|llm)-?[a-z]{0,4}(-(base|id|url|name|kind|ke))?", fullmatch=True
    )
)
def test_a_guess_never_leads_to_a_secret(typed: str) -> None:
    """What follows `--api-base` is an address; as a key it would be sent somewhere."""
    if not re.search("key|token|secret|_id$", typed) and typed not in flags_of(parser()):
        assert meant_flag(typed, parser()) not in SECRETS


def test_settings_of_the_session_are_guessed_in_the_same_way(kernel: Kernel) -> None:
    error = str(kernel.run("%llm_config api_base=http://127.0.0.1:1/v1").error)
    assert "there is no setting 'api_base'; did you mean base_url?" in error


def test_the_help_explains_what_people_use_first() -> None:
    """And names the rest by topic; each topic has a help of its own."""
    text = help_text(ENGLISH)
    explained = [line for line in text.splitlines() if re.match(r"  -", line)]
    assert len(explained) <= len(FIRST) + 1  # --no-cache has a line
    assert len(text.splitlines()) < 75
    named = set(re.findall(r"--[a-z][\w-]+", text))
    used = {each.flag for each in SETTINGS.values() if each.topic != "embedding" and not each.kept}
    assert used <= named
    assert not {each.flag for each in SETTINGS.values() if each.kept} & named
    assert "Number of retries" not in text
    assert "--num-retries" in help_text(ENGLISH, "retries")
    assert "--model" not in help_text(ENGLISH, "retries")
    assert all(flag in help_text(ENGLISH, "all") for flag in flags_of(parser()))
    assert all(
        f"\n  {topic}" in text
        for topic in TITLES
        if prompt_options.by_topic().get(topic) and topic != "kept"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%llm --help", "Options that people use first"),
        ("%llm -h", "Options that people use first"),
        ("%%llm --help\nHi", "Options that people use first"),
        ("%llm -m practice/echo —help retries", "--retry-max-wait"),
        ("%llm_config --help", "%llm_config --alias"),
        ("%llm_models --help", "%llm_models claude sonnet"),
        ("%llm_usage --help", "%llm_usage --by day"),
        ("%llm_chat -h", "%llm_chat --forget"),
        ("%llm_embed --help", "%llm_embed texts -o vectors"),
        ("%llm_error --help", "why the last cell that failed"),
    ],
)
def test_every_magic_prints_its_help(kernel: Kernel, line: str, told: str) -> None:
    ran = kernel.run(line)
    assert ran.error is None
    assert told in ran.stdout
    assert "put in" not in str(ran.outputs)
    assert not ran.contents("execute_result")


def test_a_name_of_pythons_own_is_not_hidden_in_silence(
    kernel: Kernel, server: ModelServer
) -> None:
    ran = kernel.run("%llm -o print Hi")
    told = "print now hides Python's or IPython's own: `del print` brings it back"
    assert told in ran.outputs[0]["text/plain"]
    kernel.run("del print")
    assert told not in kernel.run("%llm -o printed Hi").outputs[0]["text/plain"]
    assert server.count == 2


def test_a_flag_takes_a_setting_away_for_one_cell(kernel: Kernel) -> None:
    """The word none counts, whatever the session has set."""
    kernel.run("%llm_config deadline=7 max_output_tokens=9 seed=3")
    shown = kernel.run("%llm --dry-run --max-output-tokens none --seed none Hello")
    kernel.run("%llm_config deadline=none max_output_tokens=none seed=none")
    assert "seed" not in shown.outputs[0]["text/plain"]
    assert "max_completion_tokens" not in shown.outputs[0]["text/plain"]


def test_over_budget_lifts_a_limit_of_the_session_for_one_cell(kernel: Kernel) -> None:
    """Wherever the limit is set; the next prompt has it again."""
    kernel.run("%llm_config input_cost_per_token=1 output_cost_per_token=1 max_output_tokens=9")
    kernel.run("%llm_config max_budget_per_task=0.5")
    assert str(kernel.run("%llm Hello").error).startswith("OverBudgetError: not sent")
    assert kernel.run("%llm --over-budget Hello").error is None
    assert str(kernel.run("%llm Hello").error).startswith("OverBudgetError: not sent")


@pytest.mark.parametrize(
    ("prompt", "is_noted"),
    [
        ("two -m practice/agent", True),
        ("what does -m openai/gpt-4o do", True),
        ("what does -m do", False),
        ("git commit -m message", False),
        ("pip -m a/b", False),
    ],
)
def test_a_model_within_the_prompt_is_noted(prompt: str, is_noted: bool) -> None:
    """It is sent all the same; other programs have such a flag, too."""
    notes = prompt_options.late_model(prompt)
    assert len(notes) == is_noted
    assert all("options come before it" in note for note in notes)
