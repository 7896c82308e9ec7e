"""Full-width characters of input methods: what is meant, and how the check tells of them."""

# ruff: noqa: RUF001 - these characters look like others, which is why they are typed
from __future__ import annotations

import pytest
from checking import DROPS, NOTHING, found, problems, written
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.check import check
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.config.width import narrow, wide_mark
from openhands_llm_magic.errors import ConfigFileError

TOO = "OpenHands would take it as it stands, too."
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E))


@given(PRINTABLE)
def test_ascii_is_what_its_full_width_form_stands_for(text: str) -> None:
    wide = "".join(chr(ord(each) + 0xFEE0) for each in text)
    assert narrow(wide) == narrow(text) == text
    assert wide_mark(wide) == wide[:1]
    assert wide_mark(text) == ""


@pytest.mark.parametrize("name", ["サーバー", "モデル（改）", "グラフ・α", "naïve！"])
def test_a_name_in_another_script_stays_as_it_is(name: str) -> None:
    assert narrow(name) == name
    assert wide_mark(name) == ""


@pytest.mark.parametrize(
    ("line", "mark", "right"),
    [
        ("［llm］", "［", "["),
        ("[ｌｌｍ.local]", "ｌ", "l"),
        ("「llm」", "「", "["),
        ("model＝'gpt-4o'", "＝", "="),
        ("num_retries = ８", "８", "8"),
        ("model = ＂gpt-4o＂", "＂", '"'),
        ("seed = −1", "−", "-"),
        ("stop = [1、2]", "、", ","),
    ],
)
def test_a_line_that_looks_right_to_the_eye(line: str, mark: str, right: str) -> None:
    """The mark is named, and so it is where a prompt cannot read the file."""
    told = problems(f"# 設定：［これ］\n{line}")
    what = f"config.toml line 2: there is a full-width {mark} in the line"
    assert f"{what}. Write {right} instead, with the input method off. {NOTHING}" in told
    with pytest.raises(ConfigFileError, match=f"there is a full-width {mark} in the line$"):
        load_settings(written(line), env={})


def test_every_such_line_is_found_at_once() -> None:
    """What is below a header is read as if it were written right."""
    text = "［llm］\nmodel\u3000= 'openai/gpt-4o'\nnum_retries＝３\nmax_tokens = 1\n"
    told = [each.partition(": ")[2].partition(".")[0] for each in problems(text)]
    assert told == [
        "there is a full-width ［ in the line",
        "there is a full-width blank (U+3000) in the line",
        "there is a full-width ＝ in the line",
        "unknown key 'max_tokens'",
    ]


def test_full_width_characters_may_stand_in_texts_and_comments() -> None:
    text = (
        '[llm]\nopenrouter_app_name = "アプリ（１）"\nlog_completions_folder = "／記録＝"  # ＝\n'
    )
    assert problems(text) == []


def test_a_number_in_quotes() -> None:
    assert problems('[llm]\nnum_retries = "８"\n') == [
        f"config.toml line 2: num_retries has a full-width ８. Write 8. {DROPS}"
    ]


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("azure／my-deployment", "azure/my-deployment"),
        ("ｇｅｍｉｎｉ／gemini-3.8-flash", "gemini/gemini-3.8-flash"),
        ("openai/gpt−4o", "openai/gpt-4o"),
    ],
)
def test_a_model_typed_with_the_input_method_on(model: str, meant: str) -> None:
    """The other rules see the model that is meant: nothing is put before it."""
    env = {"LLM_MODEL": model, "AZURE_API_VERSION": "2024-10-21"}
    if meant.startswith("azure"):
        env["LLM_BASE_URL"] = "https://x.openai.azure.com"
    [told] = problems("", env)
    assert told.startswith("LLM_MODEL: model has a full-width ")
    assert told.endswith(f". Write '{meant}'. {TOO}")


def test_an_address_is_told_once_with_the_whole_cure() -> None:
    text = '[llm]\nmodel = "hosted_vllm/x"\nbase_url = "http：//localhost：8000"\n'
    assert problems(text) == [
        (
            "config.toml line 3: base_url has a full-width ：, and has no path, and most servers "
            f"answer at /v1. Write 'http://localhost:8000/v1'. {TOO}"
        )
    ]


def test_a_key_is_told_without_it() -> None:
    [told] = problems("", {"LLM_API_KEY": "ｓk-canary-0123456789", "LLM_MODEL": "openai/gpt-4o"})
    assert told == (
        "LLM_API_KEY: api_key has a full-width ｓ. Write it again, with the input method off. "
        f"{TOO}"
    )


@pytest.mark.parametrize("name", ["AZURE_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"])
def test_a_provider_s_own_variable_of_a_key(name: str) -> None:
    """What is wrong with it is told, as of LLM_API_KEY, and never the key."""
    about = f"{name}: the blanks or line breaks around {name} count as part of it."
    cure = "Write it without blanks or line breaks. OpenHands would take them, too."
    assert problems("", {name: "abc123 "}) == [f"{about} {cure}"]
    [wide] = problems("", {name: "ａbc123"})
    assert wide.startswith(f"{name}: {name} has a full-width ａ.")
    assert problems("", {name: "abc123"}) == []


def test_what_is_typed_on_a_line_is_taken_as_it_is_meant() -> None:
    typed = {"model": "azure／x", "base_url": "https：//x.example", "api_version": "２０２４-10-21"}
    meant = {"model": "azure/x", "base_url": "https://x.example", "api_version": "2024-10-21"}
    assert {name: SETTINGS[name].from_text(text) for name, text in typed.items()} == meant
    assert SETTINGS["num_retries"].from_text("８") == 8
    assert SETTINGS["log_completions_folder"].from_text("記録（１）") == "記録（１）"
    assert SETTINGS["openrouter_app_name"].from_text("ＡＢＣ") == "ＡＢＣ"


def test_a_file_in_another_encoding_has_a_line_and_a_way_out() -> None:
    text = '[llm]\nmodel = "openai/gpt-4o"  # モデル\n'.encode("cp932")
    told = "config.toml line 2: it is not UTF-8 text; save it as UTF-8"
    with pytest.raises(ConfigFileError, match=told):
        load_settings(written(text), env={})
    [finding] = check(env={})
    cure = "Choose UTF-8 as the encoding where your editor saves it"
    assert (finding.origin.line, str(finding.fix)) == (2, cure)


@given(st.text("[]＝［］「」ａ１\u3000\"'#\n=a1 ", max_size=30))
def test_any_line_with_such_marks_is_checked(text: str) -> None:
    for each in found(text):
        assert str(each).isprintable() or "\u3000" in str(each)
