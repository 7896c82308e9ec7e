"""What a check finds in environment variables."""

from __future__ import annotations

import pytest
from checking import FAILS, KEY, SILENT, notes, problems


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"LLM_API_BASE": "x"}, f"LLM_API_BASE: unknown variable. Set LLM_BASE_URL. {SILENT}"),
        (
            {"LLM_PROVIDER": "x"},
            (
                "LLM_PROVIDER: unknown variable. "
                "Remove it: the provider stands before the model's name, as in openai/gpt-4o. "
                f"{SILENT}"
            ),
        ),
        (
            {"LLM_MAX_TOKENS": "5"},
            f"LLM_MAX_TOKENS: unknown variable. Set LLM_MAX_OUTPUT_TOKENS. {SILENT}",
        ),
        (
            {"LLM_NUM_RETRYS": "5"},
            f"LLM_NUM_RETRYS: unknown variable. Set LLM_NUM_RETRIES. {SILENT}",
        ),
        (
            {"LLM_MAX_BUDGET_PER_TASK": "5"},
            f"LLM_MAX_BUDGET_PER_TASK: unknown variable. Set MAX_BUDGET_PER_TASK. {SILENT}",
        ),
        ({"LLM_MAGIC_ZZZ": "5"}, "LLM_MAGIC_ZZZ: unknown variable. Unset it."),
        ({"LLM_MAGIC_\r\x1bZZZ": "5"}, "LLM_MAGIC_ ZZZ: unknown variable. Unset it."),
        ({"LLM_ZZZ": "", "OTHER": "x", "LLM_MAGIC_RETRY_AFTER_LIMIT": "3"}, None),
        (
            {"LLM_TIMEOUT": "30s"},
            (
                "LLM_TIMEOUT: timeout cannot be '30s'. Set it to a whole number, 1 or more, "
                "or unset it. OpenHands would ignore it, too."
            ),
        ),
        (
            {"LLM_TOP_P": "2"},
            (
                "LLM_TOP_P: top_p cannot be '2'. Set it to a number from 0 to 1, or unset it. "
                "OpenHands would take it."
            ),
        ),
        (
            {"LLM_BASE_URL": "None"},
            (
                'LLM_BASE_URL: it is the text "None", which is not the same as none. Unset it. '
                "OpenHands would take it."
            ),
        ),
        (
            {"LLM_DROP_PARAMS": "yes"},
            (
                "LLM_DROP_PARAMS: 'yes' counts as false: only true and 1 are true. "
                "Set it to true or false, or unset it."
            ),
        ),
        ({"LLM_DROP_PARAMS": "no", "LLM_MODIFY_PARAMS": "TRUE"}, None),
        (
            {"LLM_API_KEY": f"'{KEY}'"},
            (
                "LLM_API_KEY: the quotes around api_key count as part of it. Write it without "
                "quotes. OpenHands would take them, too."
            ),
        ),
        (
            {"LLM_API_KEY": f"{KEY}\n"},
            (
                "LLM_API_KEY: the blanks or line breaks around api_key count as part of it. Write "
                "it without blanks or line breaks. OpenHands would take them, too."
            ),
        ),
        (
            {"\ufeffLLM_API_KEY": KEY},
            (
                "LLM_API_KEY: a byte order mark (BOM) stands before its name, so that nothing finds"
                ' it. Save the file that it comes from as "UTF-8", not as "UTF-8 with BOM".'
                f" {SILENT}"
            ),
        ),
    ],
)
def test_a_variable(env: dict[str, str], expected: str | None) -> None:
    assert problems("", env) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("LLM_CONFIG_MODEL", "Set LLM_MODEL"),
        ("LLM_CONFIG_API_KEY", "Set LLM_API_KEY"),
        ("LLM_FAST_AND_CHEAP_API_KEY", "Write api_key under [llm.fast-and-cheap]"),
        ("LLM_FAST_AND_CHEAP_BASE_URL", "Write base_url under [llm.fast-and-cheap]"),
        ("SANDBOX_CONTAINER_IMAGE", "Set SANDBOX_BASE_CONTAINER_IMAGE"),
        ("SANDBOX_TIMEOUTS", "Set SANDBOX_TIMEOUT"),
        ("AGENT_CODEACT_ENABLE_BROWSING", "Set AGENT_ENABLE_BROWSING"),
        ("SANDBOX_API_KEYS", None),  # no guess about a key
        ("SANDBOX_TIMEOUT", None),
        ("AGENT_TOOLSDIRECTORY", None),  # of other programs
        ("MCP_SERVERS", None),
    ],
)
def test_a_variable_that_openhands_041_does_not_read(name: str, fix: str | None) -> None:
    """It has variables for `[llm]` itself and for some other sections, and none for groups."""
    found = problems('[llm.fast-and-cheap]\nmodel = "openai/x"\n', {name: "12"})
    assert found == ([f"{name}: unknown variable. {fix}. {SILENT}"] if fix else [])


def test_what_is_only_good_to_know_is_a_note() -> None:
    assert notes(
        "[llm]\nnum_retries = 0\nfor_routing = true\n",
        {"LLM_USER_PATH": "x", "LLM_EMBEDDING_MODEL": "x", "LLM_MODEL": "practice/echo"},
    ) == [
        (
            "config.toml line 3: for_routing is newer than OpenHands 0.41. Keep it only for a "
            "later OpenHands. OpenHands 0.41 would drop the whole [llm] section."
        ),
        (
            "LLM_USER_PATH: unknown variable, perhaps of another program. "
            f"Unset it if it was meant for OpenHands. {SILENT}"
        ),
        (
            "LLM_EMBEDDING_MODEL: OpenHands' documentation names it, and OpenHands 0.41 does not "
            "read it. Unset it, or keep it."
        ),
        (
            "LLM_MODEL: practice models are answered by a practice server on this machine. Write a "
            f"provider's model for OpenHands. {FAILS}"
        ),
    ]


def test_a_variable_that_does_not_reach_a_group() -> None:
    """It is one only where the group lacks the setting, and would have another value."""
    text = '[llm]\nseed = 1\n[llm.a]\ntop_p = 1\n[llm."b.c"]\napi_key = "x"\n'
    assert problems(text, {"LLM_API_KEY": KEY, "LLM_SEED": "1", "LLM_MAGIC_CONFIG": "x"}) == [
        (
            "LLM_API_KEY: it does not reach [llm.a]: groups take nothing from LLM_* variables. "
            "Write api_key under [llm], which groups inherit, or in the group. "
            "OpenHands would leave it out there, too."
        )
    ]
    assert problems('[llm]\nmodel = "openai/x"\n', {"LLM_API_KEY": KEY}) == []
