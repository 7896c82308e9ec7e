"""What a check says of the sections beside `[llm]`, and that OpenHands 0.41 itself did so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checking import LOGGED, STOPS, found, notes, problems

from openhands_llm_magic.config.openhands_file import NOT_STARTED, SECTIONS

FILES = json.loads((Path(__file__).parent / "openhands_sections.json").read_text("utf-8"))["files"]

SAID = {
    "Unknown config key": "would ignore it, and say so in its log",
    "Unknown section": "would ignore it, and say so in its log",
    "Invalid base agent configuration": "would drop the whole [agent] section",
    "Invalid agent configuration": "would skip [agent.",
    "llm config group": "would use the model of [llm], and say so",
    "LLM config": "would use the model of [llm], and say so",
    "Invalid condenser": "would use no condenser",
    "Cannot parse config": "could not read the file",
    "Cannot parse MCP config": "would use no MCP servers",
}
"""What a finding says OpenHands does, by the beginning of the line that it logged."""


@pytest.mark.parametrize("name", FILES)
def test_whether_openhands_starts_is_told(name: str) -> None:
    case = FILES[name]
    told = [each for each in found(case["config_toml"]) if NOT_STARTED[10:] in each.openhands]
    stops = [each for each in told if each.level == "error" and "not start" in each.openhands]
    assert bool(stops) != case["starts"]


@pytest.mark.parametrize("name", [name for name, case in FILES.items() if case["starts"]])
def test_what_openhands_logs_is_found(name: str) -> None:
    """Each line of its log has a finding, and without one there is no problem but the model's."""
    case = FILES[name]
    findings = found(case["config_toml"])
    for line in case["log"]:
        consequence = next(words for start, words in SAID.items() if line.startswith(start))
        assert any(consequence in each.openhands for each in findings), line
    if not case["log"]:
        assert [each for each in findings if any(w in each.openhands for w in SAID.values())] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[sandbox]\nsandbox_container_image = "x"',
            f"unknown key 'sandbox_container_image'. Write base_container_image. {STOPS}",
        ),
        ('[sandbox]\nbox_type = "ssh"', f"unknown key 'box_type'. Remove it. {STOPS}"),
        (
            '[sandbox]\nmodel = "x"',
            f"model does not belong under [sandbox]. Write it under [llm]. {STOPS}",
        ),
        (
            '[sandbox]\nvolumes = "/only/one"',
            (
                "volumes is not a list of mounts. Write '/on/this/machine:/in/the/sandbox:rw', and "
                f"commas between several. {STOPS}"
            ),
        ),
        (
            "[agent]\nmax_iterations = 5",
            (
                "max_iterations does not belong under [agent]. Write it under [core]. "
                "OpenHands would drop the whole [agent] section."
            ),
        ),
        (
            '[core]\nllm_model = "openai/x"',
            f"llm_model does not belong under [core]. Write it under [llm], as model. {LOGGED}",
        ),
        (
            '[core]\nworkspace_dir = "x"',
            f"unknown key 'workspace_dir'. Write workspace_base. {LOGGED}",
        ),
        ("[core]\nzzz = 1", f"unknown key 'zzz'. Remove it. {LOGGED}"),
        (
            '[core]\nmax_iterations = "many"',
            (
                "max_iterations cannot be 'many'. Write a whole number. "
                "OpenHands would take it unchecked."
            ),
        ),
    ],
)
def test_a_key_of_another_section(text: str, expected: str) -> None:
    assert problems(text) == [f"config.toml line 2: {expected}"]


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ('LLM_MODEL = "openai/x"', "Write [llm] above it, and model"),
        ('LLM_BASE_URL = "http://x/v1"', "Write [llm] above it, and base_url"),
        ('LLM_API_KEY = "sk-0123456789abcdef"', "Write [llm] above it, and api_key"),
        ('base_url = "http://x/v1"', "Write [llm] above it"),
        ('WORKSPACE_DIR = "x"', "Write [core] above it, and workspace_base"),
        ("MAX_ITERATIONS = 5", "Write [core] above it, and max_iterations"),
        ('AGENT = "CodeActAgent"', "Write [core] above it, and default_agent"),
        ('SANDBOX_CONTAINER_IMAGE = "x"', "Write [sandbox] above it, and base_container_image"),
        ('SANDBOX_TIMEOUT = "5"', "Write [sandbox] above it, and timeout"),
        ("confirmation_mode = true", "Write [security] above it"),
        ('LLM_EMBEDDING_MODEL = ""', "Write [openhands_llm_magic] above it, and embedding_model"),
        ('SANDBOX_TYPE = "exec"', "Remove it, or write the [table] that it belongs to above it"),
    ],
)
def test_a_line_above_every_table(line: str, fix: str) -> None:
    """Old versions read such files as environment variables."""
    name = line.partition(" ")[0]
    assert problems(line) == [
        f"config.toml line 1: {name} is outside of every table. {fix}. {LOGGED}"
    ]


@pytest.mark.parametrize(
    ("table", "fix"),
    [
        ("llms", "Write [llm]"),
        ("llm_gpt4", "Write [llm.gpt4]"),
        ('"llm.gpt4"', "Write [llm.gpt4]"),
        ("agents", "Write [agent]"),
        ("gpt", "Write [llm], or [llm.NAME] for a group"),
    ],
)
def test_a_table_that_is_none(table: str, fix: str) -> None:
    [told] = problems(f'[{table}]\nmodel = "openai/x"\n')
    assert told == f"config.toml line 1: unknown table [{table}]. {fix}. {LOGGED}"


GROUPS = '[llm]\n[llm.eval_Agent2]\nmodel = "openai/x"\n'


@pytest.mark.parametrize(
    ("place", "name", "fix"),
    [
        ("[agent]", "llm.eval_Agent2", "Write 'eval_Agent2'"),
        ("[agent.BrowsingAgent]", "[llm.eval_Agent2]", "Write 'eval_Agent2'"),
        ("[agent.CodeActAgent]", "eval_agent2", "Write 'eval_Agent2'"),
        ('[condenser]\ntype = "llm"', "eval_Agnet2", "Write 'eval_Agent2'"),
        ('[condenser]\ntype = "llm_attention"', "zzz", "Write one that there is, of: eval_Agent2"),
    ],
)
def test_a_name_of_no_group(place: str, name: str, fix: str) -> None:
    [told] = problems(f'{GROUPS}{place}\nllm_config = "{name}"\n')
    line = 5 + place.count("\n")
    assert told == (
        f"config.toml line {line}: llm_config names no group of the file. {fix}. "
        "OpenHands would use the model of [llm], and say so in its log."
    )


@pytest.mark.parametrize("name", ["eval_Agent2", "llm", ""])
def test_a_name_of_a_group(name: str) -> None:
    text = f'{GROUPS}[agent.CodeActAgent]\nllm_config = "{name}"\n'
    assert problems(text, {"AGENT_LLM_CONFIG": name}) == []


def test_the_variable_that_names_a_group() -> None:
    [told] = problems(GROUPS, {"AGENT_LLM_CONFIG": "llm.eval_Agent2"})
    assert told.startswith("AGENT_LLM_CONFIG: llm_config names no group of the file.")


@pytest.mark.parametrize(
    ("group", "fix"),
    [("x", "Write [llm.draft_editor]."), ("draft-editor", "in place of [llm.draft-editor].")],
)
def test_a_draft_editor_without_its_group(group: str, fix: str) -> None:
    [told] = problems(f'[llm.{group}]\nmodel = "openai/x"\n[agent]\nenable_llm_editor = true\n')
    assert told.startswith("config.toml line 4: enable_llm_editor asks for the group [llm.draft_ed")
    assert fix in told
    with_group = '[llm.draft_editor]\nmodel = "openai/x"\n[agent]\nenable_llm_editor = true\n'
    assert problems(with_group) == []


def test_an_agent_that_there_is_not() -> None:
    assert problems('[agent.BrowserAgent]\nllm_config = "llm"\n') == [
        (
            "config.toml line 1: OpenHands 0.41 has no agent 'BrowserAgent'. Write "
            "[agent.BrowsingAgent]. OpenHands would ignore it without a word."
        )
    ]
    assert problems('[agent.Mine]\nclasspath = "mine.Agent"\n') == []


@pytest.mark.parametrize("table", ["llm", "agent"])
def test_a_table_that_takes_the_place_of_its_parent(table: str) -> None:
    [told] = problems(f"[{table}]\n[{table}.{table}]\n")
    assert told == (
        f"config.toml line 2: [{table}.{table}] takes the place of [{table}] itself. "
        f"Write its keys under [{table}]. OpenHands would use its values, too."
    )


@pytest.mark.parametrize(
    ("env", "variable"),
    [
        ({"SANDBOX_VOLUMES": "/only/one"}, "SANDBOX_VOLUMES"),
        ({"SANDBOX_RUNTIME_STARTUP_ENV_VARS": "{A: "}, "SANDBOX_RUNTIME_STARTUP_ENV_VARS"),
        ({"AGENT_DISABLED_MICROAGENTS": "[a"}, "AGENT_DISABLED_MICROAGENTS"),
    ],
)
def test_a_variable_that_stops_openhands(env: dict[str, str], variable: str) -> None:
    [told] = problems("", env)
    assert told.startswith(f"{variable}: ")
    assert told.endswith(STOPS)


def test_a_key_for_searches_in_core() -> None:
    """OpenHands 0.41 takes the text for a secret, which it is not, when it starts an agent."""
    [told] = problems('[core]\nsearch_api_key = "tvly-0123456789"\n')
    assert "Set the variable SEARCH_API_KEY." in told
    assert "tvly" not in told


def test_what_is_not_looked_at_is_said() -> None:
    [told] = notes('[core]\nruntime = "docker"\n[mcp]\n[extended]\nx = 1\n')
    assert told.startswith(
        "config.toml line 1: of [core] and [extended] the check looks at no more"
    )
    assert notes("[openhands_llm_magic]\n") == []


def test_each_section_says_what_a_bad_key_does() -> None:
    for section in SECTIONS.values():
        assert section.consequence.startswith("OpenHands would ")
        assert section.on_bad_value.startswith("OpenHands would ")


def test_an_address_with_an_open_bracket_is_no_whole_address() -> None:
    """Python's own reader of addresses raises for it."""
    [told] = problems('[mcp]\nsse_servers = ["http://[::1"]')
    assert "an address in sse_servers is not a whole address" in told
