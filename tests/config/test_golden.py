"""What OpenHands 0.41 makes of a config file and an environment, we make of them, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.settings import SETTINGS

GOLDEN = json.loads((Path(__file__).parent / "openhands_golden.json").read_text("utf-8"))["cases"]
FIELDS = GOLDEN["defaults"]["groups"]["llm"]
CASES = [
    (name, group)
    for name, case in GOLDEN.items()
    if case["warnings"] == 0
    for group in case["groups"]
]


def loaded(name: str, group: str = "llm") -> Snapshot:
    case = GOLDEN[name]
    Path("config.toml").write_text(case["config_toml"], "utf-8")
    return load_settings(env=case["env"], group=group)


def plain(value: object) -> Any:
    return value.get_secret_value() if isinstance(value, Secret) else value


def different(settings: Snapshot, fields: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return ours and theirs of each field that is not equal, or not of the same type."""
    pairs = {name: (plain(getattr(settings, name)), theirs) for name, theirs in fields.items()}
    return {
        name: (ours, theirs)
        for name, (ours, theirs) in pairs.items()
        if ours != theirs or type(ours) is not type(theirs)
    }


def test_every_field_of_openhands_is_a_setting() -> None:
    """Log_completions_folder is a field too; its default names a folder of OpenHands' own."""
    old = {name for name, each in SETTINGS.items() if each.section == "llm" and not each.newer}
    assert old == {*FIELDS, "log_completions_folder"}
    newer = {name for name, each in SETTINGS.items() if each.newer}
    assert newer == {
        "disable_stop_word",
        "safety_settings",
        "for_routing",
        "correct_num",
        "completion_kwargs",
    }


@pytest.mark.parametrize(("name", "group"), CASES)
def test_it_is_the_same(name: str, group: str) -> None:
    """Every field of every group, types included, where OpenHands does not warn."""
    settings = loaded(name, group)
    budget = {"max_budget_per_task": GOLDEN[name]["max_budget_per_task"]}
    assert different(settings, GOLDEN[name]["groups"][group] | budget) == {}
    assert settings.problems == ()


DROPS = "; OpenHands would drop the whole [llm] section"
NUMBER = "a whole number, 0 or more"


@pytest.mark.parametrize(
    ("name", "group", "kept", "problems"),
    [
        (
            "env-bad-numbers",
            "llm",
            {"model": "openai/gpt-4o", "api_key": "sk-base", "retry_multiplier": 3.0},
            [
                f"LLM_NUM_RETRIES: num_retries takes {NUMBER}, not '4.5'",
                "LLM_TIMEOUT: timeout takes a whole number, 1 or more, or none, not '30s'",
                "LLM_TEMPERATURE: temperature takes a number from 0 to 2, not 'hot'",
            ],
        ),
        (
            "group-unknown-key",
            "bad",
            {"model": "x", "api_key": "sk-base"},
            [
                (
                    "config.toml line 6: unknown key 'presence_penalty'; take it out"
                    "; OpenHands would skip the whole group [llm.bad]"
                )
            ],
        ),
        ("group-unknown-key", "good", GOLDEN["group-unknown-key"]["groups"]["good"], []),
        (
            "base-unknown-key",
            "llm",
            {"model": "openai/gpt-4o", "api_key": "sk-base"},
            ["config.toml line 4: unknown key 'presence_penalty'; take it out" + DROPS],
        ),
        (
            "base-unknown-key",
            "a",
            {"model": "openai/gpt-4o", "api_key": "sk-base", "temperature": 0.5},
            ["config.toml line 4: unknown key 'presence_penalty'; take it out" + DROPS],
        ),
        (
            "base-bad-type",
            "llm",
            {"model": "openai/gpt-4o", "api_key": "sk-base"},
            [f"config.toml line 4: num_retries takes {NUMBER}, not 'many'" + DROPS],
        ),
        ("flat-file-of-old-versions", "llm", {}, []),
        ("broken-toml", "llm", FIELDS, ["config.toml line 1: it is not valid TOML: "]),
    ],
)
def test_what_is_valid_is_kept_where_openhands_warns(
    name: str, group: str, kept: dict[str, Any], problems: list[str]
) -> None:
    """OpenHands drops a whole section for one mistake in it; here the mistake alone is dropped."""
    settings = loaded(name, group)
    base = GOLDEN[name]["groups"].get(group) or GOLDEN["env-over-toml"]["groups"]["a"] | {
        "temperature": 0.0
    }
    assert different(settings, base | kept) == {}
    assert len(settings.problems) == len(problems)
    for ours, expected in zip(settings.problems, problems, strict=True):
        assert str(ours).startswith(expected)


def test_every_case_is_tested() -> None:
    warned = {name for name, case in GOLDEN.items() if case["warnings"]}
    (marks,) = test_what_is_valid_is_kept_where_openhands_warns.pytestmark
    assert warned == {parameters[0] for parameters in marks.args[1]}
