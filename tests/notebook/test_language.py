"""The settings panel speaks the language that the person prefers, where its table has the text.

`make test-translations` asks for every text to be in the table; a new text fails nothing else.
"""

from __future__ import annotations

import re
from string import Formatter

import pytest
from panel_texts import DYNAMIC, Module, said, texts

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.notebook.language import TABLES, Language, preferred

JAPANESE = Language("ja")._texts

PROPER_NAMES = {
    "Anthropic",
    "AWS Bedrock",
    "Azure OpenAI",
    "DeepSeek",
    "Google AI Studio",
    "Google Vertex AI",
    "Groq",
    "LiteLLM Proxy",
    "LM Studio",
    "Mistral",
    "Moonshot",
    "Ollama",
    "OpenAI",
    "OpenHands",
    "OpenRouter",
}
"""Texts that are the same in both languages."""


def placeholders(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize(
    "source",
    [
        "say(text)",
        "bench.button(f'{name}')",
        "say(english='Stop')",
        "say('Stop' + name)",
        "def f(text):\n    self._say(text)",
        "text = other()\nsay(text)",
        "say(TITLES[name])",
        "say(TITLES.get(name, 'Stop'))",
        "[say(text) for text, _ in pairs.items()]",
        "list(map(say, words))",
    ],
)
def test_a_text_that_cannot_be_told_is_not_overlooked(source: str) -> None:
    """What the tests below find is complete, or they fail."""
    with pytest.raises(LookupError, match="new: "):
        Module("new", source).said()


@pytest.mark.parametrize(
    "source",
    [
        "say('a', name=1), say('b')",
        "self._bench.heading('a'), bench.button('b', action, tell)",
        "told = 'a' if value else 'b'\nsay(told)",
        "TITLES = {'x': 'a', 'y': 'b'}\nsay(TITLES[name])",
        "TITLES = {'x': 'a', 'y': 'b'}\nsay(TITLES.get(name, 'a'))",
        "TITLES: dict = {'x': 'a', 'y': 'b'}\n[say(text) for key, text in TITLES.items()]",
        "def f():\n    told = 'a'\n    say(told)\ndef g():\n    told = 'b'\n    say(told)",
        "def f():\n    words = {'a': 1, 'b': 2}\n    [say(key) for key, value in words.items()]",
    ],
)
def test_texts_are_found_in_literals_and_in_tables_of_them(source: str) -> None:
    assert set().union(*Module("new", source).said().values()) == {"a", "b"}


def test_each_expression_known_here_is_in_the_code() -> None:
    assert DYNAMIC.keys() - said().keys() == set()


@pytest.mark.translations
def test_every_text_is_in_the_table() -> None:
    assert texts() - JAPANESE.keys() == set()


def test_a_text_that_is_not_in_the_table_stays_english_and_is_reported() -> None:
    untranslated = sorted(texts() - JAPANESE.keys())

    assert [Language("ja")(text) for text in ("LLM_API_KEY", *untranslated)] == [
        "LLM_API_KEY",
        *untranslated,
    ]
    if untranslated:
        pytest.skip(f"not in japanese.toml, see `make test-translations`: {untranslated}")


@pytest.mark.translations
def test_no_entry_of_the_table_is_unused() -> None:
    assert JAPANESE.keys() - texts() == set()


def test_both_sides_have_the_same_placeholders() -> None:
    assert [en for en, ja in JAPANESE.items() if placeholders(en) != placeholders(ja)] == []


def test_everything_but_proper_names_is_translated() -> None:
    assert {en for en, ja in JAPANESE.items() if en == ja} == PROPER_NAMES


def test_a_space_is_between_japanese_and_latin_words() -> None:
    """The ranges are kana and kanji."""
    japanese, latin = r"[\u3041-\u30ff\u4e00-\u9fff]", r"[A-Za-z0-9`/%-]"
    touching = re.compile(f"{japanese}{latin}|{latin}{japanese}")

    assert [ja for ja in JAPANESE.values() if touching.search(ja)] == []


def test_a_language_says_a_text_with_its_values() -> None:
    english, japanese = map(Language, TABLES)

    assert english("Saved {path}.", path="config.toml") == "Saved config.toml."
    assert japanese("Saved {path}.", path="config.toml") == JAPANESE["Saved {path}."].format(
        path="config.toml"
    )


def test_english_is_what_stands_in_the_code() -> None:
    english = Language("en")

    assert [text for text in texts() if english(text) != text] == []


@pytest.mark.parametrize(
    ("language", "env"),
    [
        ("en", {}),
        ("ja", {"LANG": "ja_JP.UTF-8"}),
        ("ja", {"LANG": "ja"}),
        ("en", {"LANG": "fr_FR.UTF-8"}),
        ("en", {"LC_MESSAGES": "C", "LANG": "ja_JP.UTF-8"}),
        ("ja", {"LC_MESSAGES": "ja_JP", "LANG": "C"}),
        ("en", {"LC_ALL": "C.UTF-8", "LC_MESSAGES": "ja_JP", "LANG": "ja_JP"}),
        ("ja", {"LC_ALL": "ja_JP", "LC_MESSAGES": "C", "LANG": "C"}),
        ("ja", {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "ja_JP"}),
        ("en", {"LLM_MAGIC_LANG": "en", "LC_ALL": "ja_JP"}),
        ("ja", {"LLM_MAGIC_LANG": "ja", "LC_ALL": "C"}),
        ("ja", {"LLM_MAGIC_LANG": "", "LANG": "ja_JP"}),
    ],
)
def test_the_preferred_language(language: str, env: dict[str, str]) -> None:
    """LLM_MAGIC_LANG comes before the locale, and of that LC_ALL before LC_MESSAGES before LANG."""
    assert preferred(env) == language


@pytest.mark.parametrize("chosen", ["fr", "JA", "ja_JP", "en\nja"])
def test_a_language_that_there_is_not_is_refused_in_one_line(chosen: str) -> None:
    with pytest.raises(UsageError) as raised:
        preferred({"LLM_MAGIC_LANG": chosen, "LANG": "ja_JP"})

    assert str(raised.value) == f"LLM_MAGIC_LANG takes en or ja, not {chosen!r}."
    assert len(str(raised.value).splitlines()) == 1
