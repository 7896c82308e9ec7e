"""What a check finds in the text, the keys and the mode of a config file."""

from __future__ import annotations

import os

import pytest
from checking import DROPS, KEY, LOGGED, NOTHING, SILENT, STOPS, problems, written

from openhands_llm_magic.config.check import check
from openhands_llm_magic.config.lint.finding import ADVICE, RENAMED
from openhands_llm_magic.config.settings import SETTINGS


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        (
            'provider = "x"',
            "Remove it: the provider stands before the model's name, as in openai/gpt-4o.",
        ),
        (
            'api_key_env = "X"',
            "Write the key in api_key, or set the variable LLM_API_KEY to it.",
        ),
        ("max_tokens = 5", "Write max_output_tokens."),
        ('api_base = "http://x/v1"', "Write base_url."),
        ('LLM_MODEL = "x/y"', "Write model."),
        ('Model = "x/y"', "Write model."),
        ("num_retry = 3", "Write num_retries."),
        ("zzz = 3", "Remove it."),
    ],
)
def test_an_unknown_key(line: str, fix: str) -> None:
    key = line.partition(" ")[0]
    assert problems(f"[llm]\n{line}\n") == [
        f"config.toml line 2: unknown key '{key}'. {fix} {DROPS}"
    ]
    assert problems(f"[llm.a]\n{line}\n") == [
        (
            f"config.toml line 2: unknown key '{key}'. {fix} "
            "OpenHands would skip the whole group [llm.a]."
        )
    ]


def test_what_people_mean_is_a_setting_and_what_they_write_is_none() -> None:
    assert set(RENAMED.values()) <= set(SETTINGS)
    assert set(SETTINGS).isdisjoint({*RENAMED, *ADVICE})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[llm]\nembedding_model = "x"',
            (
                "config.toml line 2: embedding_model does not belong under [llm]. "
                f"Write it under [openhands_llm_magic]. {DROPS}"
            ),
        ),
        (
            '[openhands_llm_magic]\nmodel = "x"',
            (
                "config.toml line 2: model does not belong under [openhands_llm_magic]. "
                "Write it under [llm]."
            ),
        ),
        (
            "[openhands_llm_magic]\nretry_limit = 3",
            "config.toml line 2: unknown key 'retry_limit'. Write retry_after_limit.",
        ),
        (
            "[openhands_llm_magic]\nretry_after_limit = -1",
            "config.toml line 2: retry_after_limit cannot be -1. Write a number, 0 or more.",
        ),
        ('[core]\nruntime = "docker"', None),
        (
            '[core]\nmax_budget_per_task = "all"',
            (
                "config.toml line 2: max_budget_per_task cannot be 'all'. "
                "Write a number, 0 or more, or remove the line. OpenHands would take it unchecked."
            ),
        ),
        (
            'model = "openai/x"\n[llm]',
            "config.toml line 1: model is outside of every table. Write [llm] above it. " + LOGGED,
        ),
        (
            'LLM_MODEL = "openai/x"\n[llm]',
            (
                "config.toml line 1: LLM_MODEL is outside of every table. Write [llm] above it, "
                f"and model. {LOGGED}"
            ),
        ),
        (
            '["llm.fast"]\nseed = 1',
            f'config.toml line 1: unknown table ["llm.fast"]. Write [llm.fast]. {LOGGED}',
        ),
        ("[LLM]\nseed = 1", "config.toml line 1: unknown table [LLM]. Write [llm]. " + SILENT),
        ("llm = 3", f"config.toml line 1: llm is 3, not a table. Write [llm]. {STOPS}"),
        (
            '[llm]\nnum_retries = "many"',
            "config.toml line 2: num_retries cannot be 'many'. Write a whole number, 0 or more. "
            + DROPS,
        ),
        (
            "[llm]\napi_key = 12345678",
            "config.toml line 2: api_key cannot be this value. Write text, or remove the line. "
            + DROPS,
        ),
        (
            "[llm]\ntop_p = 9",
            (
                "config.toml line 2: top_p cannot be 9. Write a number from 0 to 1. "
                "OpenHands would take it."
            ),
        ),
        (
            '[llm]\nbase_url = "None"',
            (
                'config.toml line 2: base_url is the text "None", which is not the same as none. '
                "Remove the line: what is not set is none. OpenHands would take it for text."
            ),
        ),
        (
            '[llm]\ntimeout = "None"',
            'config.toml line 2: timeout is the text "None", which is not the same as none. '
            "Remove the line: what is not set is none. " + DROPS,
        ),
        (
            '[llm]\n[llm.gpt-4.1]\nmodel = "x/y"',
            (
                "config.toml line 2: [llm.gpt-4.1] is no group of this name: each dot nests a "
                'table. Write [llm."gpt-4.1"]. OpenHands would skip the whole group [llm.gpt-4].'
            ),
        ),
        (
            '[llm.a.b.c]\nmodel = "x/y"',
            (
                "config.toml line 1: [llm.a.b.c] is no group of this name: each dot nests a table. "
                'Write [llm."a.b.c"]. OpenHands would skip the whole group [llm.a].'
            ),
        ),
        ('[llm."gpt-4.1"]\nmodel = "openai/gpt-4.1"', None),
        (
            '[llm.a]\nmodel = "openai/x"\nextra_headers = {X = "y"}',
            (
                "config.toml line 3: unknown key 'extra_headers'. Remove it. "
                "OpenHands would skip the whole group [llm.a]."
            ),
        ),
        (
            '[llm.a]\nmodel = "openai/x"\nextra.x = "y"',
            (
                "config.toml line 3: unknown key 'extra'. Remove it. "
                "OpenHands would skip the whole group [llm.a]."
            ),
        ),
        (
            '[extended]\nxs = ["a", {b = 1}]',
            (
                "config.toml line 2: the list 'xs' has elements of different types. Write all of "
                "them in one form. OpenHands could not read the file: it would take nothing from "
                "it, or not start."
            ),
        ),
        (
            "[llm]\ncompletion_kwargs = {seed = 1}",
            (
                "config.toml line 2: completion_kwargs is a table in [llm], and so a group. "
                "Write it inside a group, or set LLM_COMPLETION_KWARGS. "
                "OpenHands would take it for the group [llm.completion_kwargs]."
            ),
        ),
        ("[llm.a]\ncompletion_kwargs = {seed = 1, thinking = {y = 2}}", None),
        ('[llm]\nreasoning_effort = "none"\napi_key = ""\ntemperature = "0.3"', None),
    ],
)
def test_a_key_of_a_file(text: str, expected: str | None) -> None:
    assert problems(text) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeff[llm]\n", ["1: the file begins with a byte order mark (BOM). Save it as"]),
        ("[llm]\ntimeout = None", ["2: timeout is None, which TOML does not have. Remove the"]),
        ("[llm]\nseed = null # x", ["2: seed is null, which TOML does not have. Remove the line"]),
        ("[llm]\nseed = 1\n\nseed = 2", ["4: duplicate key seed: line 2 sets it, too. Keep one"]),
        ("[llm]\nseed = 1\nseed = true", ["3: duplicate key seed: line 2 sets it, too. Keep one"]),
        ("[llm]\n[core]\n[llm]", ["3: the table [llm] is there twice. Write all its keys under"]),
        (
            "[llm]\ndrop_params = True",
            ["2: drop_params is True, which TOML writes as true. Write drop_params = true"],
        ),
        (
            "[llm]\r\nmodel = openai/x\r\n",
            ["2: the value of model is neither a number nor true, false or text in quotes."],
        ),
        ("[llm]\nmodel = “x”", ["2: model is in typographic quotes. Write model = "]),
        ("[llm]\nmodel =", ["2: model has no value. Write one after the ="]),
        ('[llm]\nmodel = "x\nseed = 1', ["2: the text of model has a quote at one end only."]),
        ("[llm]\nmodel = 'x\nseed = 1", ["2: the text of model has a quote at one end only."]),
        ("[llm]\nmodel = [1,\n\n", ["2: what model is set to is not complete. Close it with ]"]),
        ("[llm\nmodel = 1", ["1: it is not valid TOML: Expected ']' at the end of a table"]),
        (
            "\ufeff[llm]\nseed = None\nseed = 1\ntop_k = Null\nseed = 2\nmax_tokens = 3",
            ["1: the file", "2: seed is", "4: top_k is", "5: duplicate", "6: unknown key"],
        ),
    ],
)
def test_a_text_that_does_not_parse(text: str, expected: list[str]) -> None:
    """Each mistake is told with the line that it begins in, and what else is wrong, too."""
    shown = problems(text)
    assert len(shown) == len(expected)
    for each, beginning in zip(shown, expected, strict=True):
        assert each.startswith(f"config.toml line {beginning}")
        assert each.endswith(DROPS if "unknown" in each else NOTHING)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file modes")
@pytest.mark.parametrize(
    ("text", "mode", "line"),
    [
        (f'[llm]\napi_key = "{KEY}"', 0o640, 2),
        (f'[llm]\n[llm.a]\naws_secret_access_key = "{KEY}"', 0o604, 3),
        (f'[core]\ne2b_api_key = "{KEY}"', 0o666, 2),
        (f'[llm]\napi_key = "{KEY}"', 0o600, None),
        ('[llm]\napi_key = ""\ncustom_tokenizer = "gpt2"', 0o644, None),
    ],
)
def test_a_key_that_others_may_read(text: str, mode: int, line: int | None) -> None:
    shown = [str(each) for each in check(written(text, mode), {}) if each.is_problem]
    assert shown == (
        [
            (
                f"config.toml line {line}: others on this machine may use this key "
                f"(the file's mode is {mode:o}). Run chmod 600 config.toml."
            )
        ]
        if line
        else []
    )
