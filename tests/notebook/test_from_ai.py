"""People who come from Jupyter AI's `%ai`: no command of it is sent, and each has its hint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openhands_llm_magic.config.check import check
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import as_toml, save
from openhands_llm_magic.errors import SettingError, UsageError
from openhands_llm_magic.notebook import completion, config_magic, from_ai
from openhands_llm_magic.notebook.prompt_options import PromptOptions, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Kernel
    from model_server import ModelServer

ALIASES = {"fast": "openai/gpt-4o-mini"}

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("coming-from-ai.md"))


@pytest.fixture
def server(kernel: Kernel, model_server: ModelServer) -> ModelServer:
    """The test server, which the session's settings name."""
    kernel.run(f"%llm_config base_url={model_server.openai_base} model=openai/test")
    kernel.run("key = 'sk-of-the-test'\n%llm_config api_key=$key")
    return model_server


def refused(prompt: str, options: PromptOptions | None = None) -> str:
    """Return what is said of a line, or "" where it is sent."""
    if not (options or PromptOptions(prompt)).alone:
        return ""
    try:
        from_ai.require_prompt(prompt, ALIASES)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("list", "%llm_models"),
        ("list openai", "%llm_models"),
        ("list openai-chat", "%llm_models"),
        ("list all", "%llm_models"),
        ("help", "%llm --help"),
        ("Help", "%llm --help"),
        ("list --help", "%llm_models"),
        ("version", "%pip show openhands-llm-magic"),
        ("reset", "%llm_chat --forget"),
        ("error", "%llm_error"),
        ("error anthropic:claude-v1.2", "%llm_error"),
        ("fix", "%llm_error"),
        ("fix openai/gpt-4o --format code", "%llm_error"),
        ("fix fast", "%llm_error"),
        ("alias x y", "%llm_config --alias NAME MODEL"),
        ("alias claude anthropic:claude-v1.2", "%llm_config --alias NAME MODEL"),
        (
            "alias gemma ollama/gemma4:12b --api-base http://localhost:11000 --api-key-name KEY",
            "%llm_config --alias NAME MODEL",
        ),
        ("register claude anthropic:claude-v1.2", "%llm_config --alias NAME MODEL"),
        ("update claude anthropic/claude-sonnet-4", "%llm_config --alias NAME MODEL"),
        ("dealias claude", "%llm_config --alias NAME none"),
        ("delete fast", "%llm_config --alias NAME none"),
        ("openai/gpt-4o", "-m names the model, as in `%llm -m openai/gpt-4o prompt`"),
        ("openai-chat:gpt-4o", "-m names the model, as in `%llm -m openai/gpt-4o prompt`"),
        ("fast", "-m names the model, as in `%llm -m fast prompt`"),
    ],
)
def test_a_command_is_not_sent(line: str, ours: str) -> None:
    """One line names ours, and how to send the words all the same."""
    told = refused(line)
    assert ours in told
    assert told.startswith(f"{line} was not sent: ")
    assert f"`%llm -- {line}` sends it as a prompt." in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    "prompt",
    [
        "help me with pandas",
        "help, please",
        "list the planets",
        "list primes",
        "list python keywords",
        "list all planets",
        "version control explained",
        "reset my router",
        "error 404",
        "error in line 3: x",
        "fix this: x = = 1",
        "fix typos",
        "alias x y means what?",
        "alias",
        "update my website",
        "register a domain",
        "delete duplicates",
        "openai/gpt-4o or anthropic/claude-sonnet-4?",
        "and/or",
        "12:30",
        "re: lunch",
        "list:",
        "listing",
        "What is `list`?",
        "",
    ],
)
def test_a_prompt_is_sent(prompt: str) -> None:
    assert refused(prompt) == ""


@pytest.mark.parametrize(
    "options",
    ["-s 'Translate to German.'", "-c", "--chat trip", "-a notes.txt", "--schema form"],
)
def test_a_word_that_something_goes_along_with_is_a_prompt(options: str) -> None:
    assert refused("help")
    assert refused("help", parse(f"{options} help", {})) == ""


@pytest.mark.parametrize("line", ["help", "list", "version", "reset", "error", "fix", "alias x y"])
def test_nothing_is_paid_for(kernel: Kernel, server: ModelServer, line: str) -> None:
    for magic in (
        f"%llm {line}",
        f"%llm -m openai/x {line}",
        f"x = %llm {line}",
        f"%%llm {line}\nHi",
    ):
        error = str(kernel.run(magic).error)
        assert error.startswith("UsageError: ")
        assert "`%" in error
        assert len(error.splitlines()) == 1
    assert server.count == 0
    assert kernel.run(f"%llm -- {line}").error is None
    assert kernel.run(f"%%llm\n{line}").error is None
    assert server.count == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("chatgpt", "-m names the model, as in `%%llm -m openai/gpt-4o`"),
        ("chatgpt -f code", "-m names the model, as in `%%llm -m openai/gpt-4o -f code`"),
        (
            "chatgpt --format code",
            "-m names the model, as in `%%llm -m openai/gpt-4o --format code`",
        ),
        ("openai/gpt-4o-mini", "`%%llm -m openai/gpt-4o-mini`"),
        ("openai:gpt-4o-mini", "`%%llm -m openai/gpt-4o-mini`"),
        ("anthropic-chat:claude-3-opus", "`%%llm -m anthropic/claude-3-opus`"),
        ("gpt-4o", "`%%llm -m openai/gpt-4o`"),
        ("fast", "`%%llm -m fast`"),
        ("-f code openai:gpt-4o", "`%%llm -m openai/gpt-4o`"),
        ("What is it?", "write the prompt below it"),
    ],
)
def test_the_line_of_a_cell_names_the_option(
    kernel: Kernel, server: ModelServer, line: str, told: str
) -> None:
    kernel.run("%llm_config --alias fast openai/gpt-4o-mini")
    error = str(kernel.run(f"%%llm {line}\nHi").error)
    assert error.startswith("UsageError: ")
    assert told in error
    assert server.count == 0


@pytest.mark.parametrize(
    ("model", "there"),
    [
        ("openai:gpt-4o", "openai/gpt-4o"),
        ("openai-chat:gpt-4o", "openai/gpt-4o"),
        ("anthropic:claude-v1.2", "anthropic/claude-v1.2"),
        ("bedrock-chat:anthropic.claude-v2:1", "bedrock/anthropic.claude-v2:1"),
        ("ollama:llama3:8b", "ollama/llama3:8b"),
        ("ollama/llama3:8b", ""),
        ("llama3:8b", ""),
        ("anthropic.claude-v2:1", ""),
        ("openai/ft:gpt-4o:me", ""),
        ("ft:gpt-3.5-turbo:me", ""),
    ],
)
def test_a_colon_after_a_provider_is_a_slash_here(model: str, there: str) -> None:
    assert from_ai.slashed(model) == there


def test_a_model_with_a_colon_is_told_before_anything_is_sent(
    kernel: Kernel, server: ModelServer
) -> None:
    """Wherever it comes from; not where the provider is named by itself."""
    for line in ("%llm -m openai:gpt-4o Hi", "%llm --dry-run -m openai:gpt-4o Hi"):
        error = str(kernel.run(line).error)
        assert (
            error
            == "SettingError: the model openai:gpt-4o is written openai/gpt-4o here (from --model)."
        )
    kernel.run("%llm_config model=openai-chat:gpt-4o")
    assert "is written openai/gpt-4o here (from this session)" in str(kernel.run("%llm Hi").error)
    error = str(kernel.run("""%llm -m '{"temperature": 1}' Hi""").error)
    assert "-m names the model here" in error
    assert server.count == 0
    assert kernel.run("%llm -m mistral:7b --custom-llm-provider openai Hi").error is None
    assert server.received[-1].body["model"] == "mistral:7b"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--api-base http://x/v1 Hi", "did you mean --base-url?"),
        ("--api-key-name MY_KEY Hi", "the key is the provider's own variable's"),
        ("--model-parameters {} Hi", "--completion-kwargs"),
        ("--region-name eu Hi", "did you mean --aws-region-name?"),
        ("--no-interpolate Hi", "did you mean --raw?"),
        ("--reset Hi", "a cell stands alone"),
        ("-r Hi", "a cell stands alone"),
        ("-f image Hi", "not 'image'"),
    ],
)
def test_options_of_ai_have_their_hint(line: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        parse(line, {})


def test_md_is_markdown() -> None:
    assert parse("-f md Hi", {}).format == parse("--format=MD Hi", {}).format == "markdown"


def test_short_names_of_the_session(kernel: Kernel, server: ModelServer) -> None:
    kernel.run("%llm_config --alias fast openai/small\n%llm_config --alias best openai:large")
    assert kernel.run("%llm_config --alias").stdout == "fast  openai/small\nbest  openai/large\n"
    kernel.run("%llm -m fast Hi")
    assert server.received[-1].body["model"] == "small"
    kernel.run("%llm_config model=best\n%llm Hi")
    assert server.received[-1].body["model"] == "large"
    shown = kernel.run("%llm_config --show model", "console").stdout
    assert "openai/large" in shown
    assert "this session, as best" in shown
    assert kernel.complete("%llm -m fa") == ["fast"]
    kernel.run("from openhands_llm_magic import ask, load_settings")
    kernel.run("%llm_config --alias fast none")
    assert kernel.run("%llm_config --alias").stdout == "best  openai/large\n"
    assert "there is no short name 'fast'; there are: best" in str(
        kernel.run("%llm_config --alias fast none").error
    )
    assert "a short name has letters" in str(kernel.run("%llm_config --alias a/b openai/x").error)


def rows(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the rows of a page's tables: what is typed there and what is typed here."""
    for line in page.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 2:
            yield cells[0], cells[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_page_has_each_command_and_each_option(page: Path) -> None:
    there = " ".join(left for left, _ in rows(page))
    assert all(f"`%ai {command}" in there for command in from_ai.COMMANDS)
    assert all(f"{flag}" in there for flag in from_ai.FLAGS if flag.startswith("--"))


@pytest.mark.parametrize(("there", "here"), [row for page in PAGES for row in rows(page)])
def test_what_the_page_says_to_type_is_understood(there: str, here: str) -> None:
    """Each line of ours is read by its magic; each command of theirs is refused with a hint."""
    assert there != here
    for code in re.findall(r"`(%[^`]*)`", here):
        magic, _, line = code.lstrip("%").partition(" ")
        if magic == "llm":
            parse(
                line.partition("⏎")[0],
                {"MY_KEY": "sk-x", "form": {}},
                in_cell=code.startswith("%%"),
            )
        elif magic == "llm_config" and line.startswith("--"):
            assert line.split()[0] in config_magic.ACTIONS
        elif magic.startswith("llm_"):
            assert magic in completion.LINES
    for line in re.findall(r"`%ai (.*?)`", there):
        assert refused(line), line


def test_aliases_do_not_count_where_openhands_reads(tmp_path: Path) -> None:
    """It knows none; what is in our own table it leaves alone."""
    file = tmp_path / "config.toml"
    table = '[openhands_llm_magic.aliases]\nfast = "openai/small"\nloop = "pool"\npool = "loop"\n'
    file.write_text('[llm]\nmodel = "fast"\n\n' + table)
    settings = load_settings(file, env={})
    assert settings.model == "fast"
    assert (settings.aliases or {})["fast"] == "openai/small"
    named = settings.with_overrides({"model": "fast"})
    assert named.model == "openai/small"
    assert str(named.origin("model")) == "the argument model, as fast"
    assert named.with_overrides({"num_retries": 1}).model == "openai/small"
    assert settings.with_overrides({"model": "loop"}).model in ("loop", "pool")
    assert 'model = "openai/small"' in as_toml(named)
    assert not [each for each in check(file, {}, in_docker=False) if "aliases" in str(each)]
    with pytest.raises(SettingError):
        settings.with_overrides({"aliases": ["fast"]})


@pytest.mark.parametrize(
    "table",
    [
        '[openhands_llm_magic.aliases]\n# mine\nfast = "a/b"\nold = "c/d"\n',
        '[openhands_llm_magic]\ncache = "on"\naliases = {fast = "a/b", old = "c/d"}\n',
        "",
    ],
)
def test_short_names_are_saved_as_the_file_has_them(tmp_path: Path, table: str) -> None:
    """And never in `[llm]`, of which OpenHands would drop all for a key that it does not know."""
    file = tmp_path / "config.toml"
    file.write_text(f'[llm]\nmodel = "openai/x"\n\n{table}')
    aliases = {"fast": "a/b", "new": "e/f"}
    settings = load_settings(file, env={}).with_overrides({"aliases": aliases, "model": "new"})
    assert save(settings, file).notes == ()
    read = load_settings(file, env={})
    assert (read.aliases, read.model) == (aliases, "e/f")
    assert file.read_text().count("# mine") == table.count("# mine")
    assert "aliases" not in file.read_text().partition("[openhands_llm_magic")[0]
