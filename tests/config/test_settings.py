"""Each setting: what it takes, and how text, TOML, variables and objects become its values."""

import datetime as dt
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.layers import flag, layer_of
from openhands_llm_magic.config.secret import MaskingDict, Secret
from openhands_llm_magic.config.setting import python_literal, shorten
from openhands_llm_magic.config.settings import (
    _DECLARATIONS,
    SETTINGS,
    TOPICS,
    Setting,
    setting_named,
)
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from openhands_llm_magic.config.setting import Value

KEY = "sk-canary-0123456789"
BAD = object()


def read(convert: Callable[[Any], object], value: object) -> object:
    """Convert a value; a refusal is `BAD`."""
    try:
        return convert(value)
    except SettingError:
        return BAD


def refused(*values: object) -> list[tuple[object, object]]:
    return [(value, BAD) for value in values]


def same(one: object, other: object) -> bool:
    return one == other and type(one) is type(other)


each_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))


@each_setting
def test_it_takes_its_own_default(setting: Setting) -> None:
    assert setting.validate(setting.default) == setting.default


@each_setting
def test_its_help_is_one_sentence(setting: Setting) -> None:
    assert setting.help[0].isupper()
    assert setting.help.endswith(".")
    assert ". " not in setting.help
    assert "\n" not in setting.help


@each_setting
def test_its_value_can_be_typed(setting: Setting) -> None:
    typed = "none" if setting.default is None else str(setting.default)
    assert setting.from_text(typed) == setting.default


@each_setting
@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()))
def test_whatever_it_is_given_it_takes_or_refuses_in_one_line(
    setting: Setting, value: object
) -> None:
    converts: list[Callable[[Any], Value]] = [setting.validate, setting.from_toml]
    if isinstance(value, str):
        converts += [setting.from_text, setting.from_env]
    for convert in converts:
        try:
            setting.check(convert(value))
        except SettingError as error:
            message = str(error)
            assert message.startswith(f"{setting.name} takes {setting.takes}")
            assert len(message.splitlines()) == 1


def test_names_variables_and_flags_are_derived() -> None:
    retries, limit = SETTINGS["num_retries"], SETTINGS["retry_after_limit"]
    assert (retries.variable, retries.flag) == ("LLM_NUM_RETRIES", "--num-retries")
    assert (retries.section, limit.section) == ("llm", "openhands_llm_magic")
    assert limit.variable == "LLM_MAGIC_RETRY_AFTER_LIMIT"
    assert SETTINGS["model"].short == "-m"


def test_those_of_other_tables_have_other_variables() -> None:
    budget, embedding = SETTINGS["max_budget_per_task"], SETTINGS["embedding_model"]
    assert (budget.section, budget.variable, budget.ours) == ("core", "MAX_BUDGET_PER_TASK", False)
    assert embedding.section == "openhands_llm_magic"
    assert embedding.variable == "LLM_EMBEDDING_MODEL"


def test_what_litellm_is_sent() -> None:
    sent = {name: each.sent_as for name, each in SETTINGS.items() if each.sent_as}
    assert sent.pop("max_output_tokens") == "max_completion_tokens"
    assert all(name == keyword for name, keyword in sent.items())
    assert not {"num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier"} & set(sent)


@each_setting
def test_it_says_what_it_does_here(setting: Setting) -> None:
    """It is sent, used or kept; nothing is accepted and ignored in silence."""
    says = [bool(setting.sent_as), bool(setting.used_for), setting.kept]
    assert says.count(True) == 1
    assert setting.sent_as or not setting.sent_to


def test_the_words_for_what_it_does() -> None:
    words = {
        "seed": "sent to LiteLLM",
        "max_output_tokens": "sent to LiteLLM as max_completion_tokens",
        "reasoning_effort": "sent to LiteLLM, for models that reason",
        "num_retries": "used for the retries after the first attempt",
        "correct_num": "kept for OpenHands, not used in the notebook",
    }
    assert {name: SETTINGS[name].use for name in words} == words


def test_settings_are_in_the_order_of_their_topics() -> None:
    topics = list(dict.fromkeys(each.topic for each in SETTINGS.values()))
    assert topics == list(TOPICS)
    ordered = sorted(SETTINGS.values(), key=lambda each: topics.index(each.topic))
    assert ordered == list(SETTINGS.values())


def test_no_setting_is_declared_twice() -> None:
    assert len(SETTINGS) == len(_DECLARATIONS)
    for attribute in ("flag", "variable"):
        names = [getattr(each, attribute) for each in SETTINGS.values()]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("num_retries", "a whole number, 0 or more"),
        ("timeout", "a whole number, 1 or more, or none"),
        ("temperature", "a number from 0 to 2"),
        ("drop_params", "true or false"),
        ("base_url", "text, or none"),
        ("model", "text that is not empty"),
    ],
)
def test_an_error_says_what_it_takes(name: str, takes: str) -> None:
    assert SETTINGS[name].takes == takes


# What pydantic 2 makes of these values, which is what reads OpenHands' config.toml.
TOML: dict[str, list[tuple[object, object]]] = {
    "num_retries": [
        *[(1, 1), (1.0, 1), ("9", 9), (" 9 ", 9), ("9.0", 9), ("1_000", 1000), ("+5", 5)],
        *[("007", 7), (True, 1), (False, 0), ("1_0.0", 10)],
        *refused(1.5, "9.5", "9.", "0x10", "", "1e3", "_1", "1__0", "٣", "many"),
        *refused(1e20, math.nan, math.inf, [1], {}, dt.date(2020, 1, 1)),
        ("1" * 5000, BAD),
    ],
    "temperature": [
        *[(1, 1.0), (1.5, 1.5), ("0.3", 0.3), (" 0.3 ", 0.3), ("1e3", 1000.0), (True, 1.0)],
        *[(".5", 0.5), ("5.", 5.0), ("1_0.5", 10.5), ("inf", math.inf), ("", BAD), ([], BAD)],
        *[("0x1", BAD), ("hot", BAD), ("_1", BAD)],
    ],
    "drop_params": [
        *[(True, True), (1, True), (0, False), (1.0, True), ("yes", True), ("no", False)],
        *[("on", True), ("off", False), ("t", True), ("N", False), ("TRUE", True), ("0", False)],
        *refused(2, 0.5, " true", "", "maybe", []),
    ],
    "base_url": [("a", "a"), ("", ""), *refused(1, 1.5, True, [])],
    "api_key": [(KEY, Secret(KEY)), ("", Secret("")), (1, BAD)],
    "timeout": [("9", 9), ("none", BAD), ("", BAD)],
    "safety_settings": [
        *[([], []), ([{"a": "b"}], [{"a": "b"}])],
        *refused("[]", [1], ["a"], [{"a": 1}], {"a": "b"}),
    ],
    "completion_kwargs": [
        ({}, MaskingDict()),
        ({"a": [1]}, MaskingDict(a=[1])),
        *refused("{}", [], 1),
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [(name, value, expected) for name, cases in TOML.items() for value, expected in cases],
)
def test_toml_is_read_as_pydantic_reads_it(name: str, value: object, expected: object) -> None:
    assert same(read(SETTINGS[name].from_toml, value), expected)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("num_retries", " 3 ", 3),
        ("num_retries", "4.5", BAD),
        ("num_retries", "9.0", BAD),
        ("retry_multiplier", " 3 ", 3.0),
        ("temperature", "hot", BAD),
        ("timeout", "30s", BAD),
        ("drop_params", "TRUE", True),
        ("drop_params", "1", True),
        ("drop_params", "yes", False),
        ("drop_params", "on", False),
        ("model", " x ", " x "),
        ("api_key", KEY, Secret(KEY)),
        ("completion_kwargs", " {'a': True, 'b': [1]}", MaskingDict(a=True, b=[1])),
        ("completion_kwargs", '{"a": true}', BAD),
        ("completion_kwargs", "{'a'", BAD),
        ("completion_kwargs", "{1: 2}", BAD),
        ("completion_kwargs", "[" * 9999, BAD),
        ("safety_settings", "[{'a': 'b'}]", [{"a": "b"}]),
        ("safety_settings", "[{'a': 1}]", BAD),
        ("openrouter_site_url", "http://x", "http://x"),
    ],
)
def test_variables_are_read_as_openhands_reads_them(name: str, text: str, expected: object) -> None:
    assert same(read(SETTINGS[name].from_env, text), expected)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("num_retries", "6", 6),
        ("num_retries", "-1", BAD),
        ("num_retries", "none", BAD),
        ("num_retries", "", BAD),
        ("temperature", "0", 0.0),
        ("temperature", "2.5", BAD),
        ("temperature", "nan", BAD),
        ("timeout", "none", None),
        ("timeout", "0", BAD),
        ("drop_params", "Yes", True),
        ("drop_params", " off ", False),
        ("drop_params", "maybe", BAD),
        ("base_url", "", None),
        ("base_url", " http://x ", "http://x"),
        ("model", "", BAD),
        ("api_key", "None", None),
        ("api_key", KEY, Secret(KEY)),
        ("openrouter_site_url", "", ""),
        ("reasoning_effort", "none", "none"),
        ("completion_kwargs", "", None),
        ("completion_kwargs", "{'a': 1}", MaskingDict(a=1)),
        ("completion_kwargs", "a=1", BAD),
    ],
)
def test_what_a_person_types_is_read_forgivingly(name: str, text: str, expected: object) -> None:
    assert same(read(SETTINGS[name].from_text, text), expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_retries", 6, 6),
        ("num_retries", 6.0, 6),
        ("num_retries", 6.5, BAD),
        ("num_retries", True, BAD),
        ("num_retries", "6", BAD),
        ("num_retries", None, BAD),
        ("num_retries", math.inf, BAD),
        ("temperature", 1, 1.0),
        ("temperature", math.nan, BAD),
        ("retry_multiplier", 10**400, BAD),
        ("retry_multiplier", math.inf, BAD),
        ("drop_params", 1, BAD),
        ("base_url", 1, BAD),
        ("base_url", "none", "none"),
        ("timeout", None, None),
        ("api_key", Secret(KEY), Secret(KEY)),
        ("api_key", KEY, Secret(KEY)),
        ("api_key", "none", Secret("none")),
        ("api_key", KEY.encode(), BAD),
        ("completion_kwargs", {"a": 1}, MaskingDict(a=1)),
        ("completion_kwargs", "{'a': 1}", BAD),
        ("completion_kwargs", None, None),
        ("safety_settings", [{"a": "b"}], [{"a": "b"}]),
        ("safety_settings", ({"a": "b"},), BAD),
        ("model", "", BAD),
    ],
)
def test_python_values_are_taken_as_they_are(name: str, value: object, expected: object) -> None:
    assert same(read(SETTINGS[name].validate, value), expected)


def test_a_refusal_quotes_what_was_given() -> None:
    with pytest.raises(SettingError, match=r"^top_p takes a number from 0 to 1, not 4$"):
        SETTINGS["top_p"].validate(4)
    with pytest.raises(SettingError, match=r", not '3'$"):
        SETTINGS["temperature"].from_text("3")
    with pytest.raises(SettingError, match=r"^.{,120}…$"):
        SETTINGS["num_retries"].validate(-(9**99))


@pytest.mark.parametrize("name", ["timeout", "temperature", "drop_params"])
def test_a_refusal_does_not_quote_what_may_be_a_key(name: str) -> None:
    """A longer text may be a key in the wrong place; a boolean's variable takes everything."""
    setting = SETTINGS[name]
    converters = [setting.from_text, setting.from_toml, setting.validate]
    for convert in converters + [setting.from_env] * (setting.kind != "bool"):
        with pytest.raises(SettingError, match=r", not this text$"):
            convert(KEY)


def test_a_refusal_never_quotes_a_secret() -> None:
    for name, takes in (
        ("api_key", "text"),
        ("safety_settings", "a Python list of dictionaries of text"),
        ("completion_kwargs", "a Python dictionary"),
    ):
        for convert in (SETTINGS[name].from_toml, SETTINGS[name].validate):
            with pytest.raises(SettingError, match=f"^{name} takes {takes}, or none$"):
                convert([KEY])


def test_a_refusal_tells_its_facts() -> None:
    """For those who word it themselves; of what may be a key it does not tell the value."""
    facts = {"setting": "top_p", "given": "4", "expected": "a number from 0 to 1", "origin": ""}
    with pytest.raises(SettingError) as caught:
        SETTINGS["top_p"].validate(4)
    assert vars(caught.value) == facts
    with pytest.raises(SettingError) as caught:
        layer_of("flags", {"top_p": 4}, flag).require_valid()
    assert vars(caught.value) == facts | {"origin": "--top-p"}
    with pytest.raises(SettingError) as caught:
        layer_of("flags", {"top_p": 4, "seed": "x"}, flag).require_valid()
    assert set(vars(caught.value).values()) == {""}
    with pytest.raises(SettingError) as caught:
        SETTINGS["api_key"].validate([KEY])
    assert (caught.value.given, caught.value.setting) == ("", "api_key")


@pytest.mark.parametrize(("text", "cut"), [("", ""), ("123456", "123456"), ("1234567", "12345…")])
def test_a_text_is_cut_to_a_length_with_the_mark_of_it(text: str, cut: str) -> None:
    assert shorten(text, 6) == cut


def test_an_unknown_setting_gets_a_suggestion() -> None:
    assert setting_named("top_p") is SETTINGS["top_p"]
    with pytest.raises(SettingError, match=r"'num_retry'; did you mean num_retries\?$"):
        setting_named("num_retry")
    with pytest.raises(SettingError, match=r"^there is no setting 'zzz'$"):
        setting_named("zzz")


def test_a_literal_is_read_without_a_warning() -> None:
    """Python has one about an escape that it does not know, for whoever reads a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert python_literal(r" {'a': '\d'}") == {"a": r"\d"}
