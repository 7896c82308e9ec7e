"""Whatever the variables hold: the settings are read, checked and handed over without a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.mutating import KEY, mutated, only_our_errors, told
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.check import check
from openhands_llm_magic.config.export import FORMS, export
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import as_toml
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN = json.loads((Path(__file__).parents[1] / "config/openhands_golden.json").read_text())
VARIABLES = [each.variable for each in SETTINGS.values()]
MAY_HOLD_A_KEY = {
    each.variable for each in SETTINGS.values() if each.kind in ("secret", "dict", "list")
}
VALUES = sorted(
    {value for case in GOLDEN["cases"].values() for value in case["env"].values()}
    | {"openai/gpt-4o", "http://u:p@127.0.0.1:9/v1", "azure/x", "True", "0.5", "60"}
    | {
        "{'user': 'me'}",
        f"{{'api_key': '{KEY}'}}",
        f"[{{'headers': '{KEY}'}}]",
        f"https://x:{KEY}@h",
    }
)
PIECES = ("'", '"', "{", "}", "[", "]", ":", ",", "//", "@", "?", "#", "%00", "()", "**{}", " ")
NAMES = st.sampled_from(VARIABLES) | mutated(["OPENAI_API_KEY", *VARIABLES], most=1)


def can_be_set(name: str, value: str) -> bool:
    """Tell whether a system takes it as a variable."""
    odd = "\0" in name + value or "=" in name or KEY in name or not name
    return not odd and "LLM_MAGIC_CONFIG" not in name


@given(st.dictionaries(NAMES, mutated(VALUES, PIECES), max_size=4))
def test_any_variables(env: Mapping[str, str]) -> None:
    # A key in the place of a model's name is a key to nobody.
    env = {
        name: value if name in MAY_HOLD_A_KEY else value.replace(KEY, "key")
        for name, value in env.items()
        if can_be_set(name, value)
    }
    env = {"LLM_API_KEY": KEY, **env}
    for finding in check(env=env, in_docker=False):
        told(finding)
    settings = load_settings(env=env)
    for problem in settings.problems:
        told(problem)
    assert KEY not in repr(settings) + as_toml(settings)
    for form in FORMS:
        with only_our_errors():
            assert KEY not in export(settings, form)
    with only_our_errors():
        prepare([{"role": "user", "content": "Hello"}], settings)
