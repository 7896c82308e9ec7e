"""A notebook speaks the language that the person prefers, where its file has the text.

`make test-translations` asks for every text to be in the table; a new text fails nothing else.
"""

# ruff: noqa: RUF001 - Japanese has parentheses of its own
from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from model_server import Refuse
from texts import DYNAMIC, ERRORS, PACKAGE, Module, placeholders, said, texts

from openhands_llm_magic.config.languages import LANGUAGES
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import (
    AuthenticationError,
    ConnectionFailedError,
    RateLimitError,
    RequestError,
    Text,
)
from openhands_llm_magic.llm.explain import explained
from openhands_llm_magic.notebook import autoload, language
from openhands_llm_magic.notebook.arguments import MISTAKES
from openhands_llm_magic.notebook.language import (
    CELLS,
    OF_SYSTEM,
    PANELS,
    Language,
    PanelLanguage,
    texts_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernel import Kernel
    from model_server import ModelServer

JAPANESE = texts_in("ja")

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
    "SGLang",
    "vLLM",
}
"""Texts that are the same in both languages."""


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
        "cell_words()(text)",
        "raise UsageError(f'no {name}')",
        "raise UsageError('no ' + name)",
        "raise UsageError(str(error))",
        "raise UsageError(text)",
        "def f(name):\n    told = f'no {name}'\n    raise SettingError(told)",
        "def f():\n    told = 'a'.join(names)\n    raise SettingError(told)",
        "raise errors.Stopped(Text(f'no {name}'))",
        "print_texts(f'no {name}', Text('a'))",
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
        "def f():\n    told = Text('a', name=name)\n    raise UsageError(told)\nStopped('b')",
        "raise UsageError(Text('a', why=Text('b'), name=name))",
        "print_texts(Text('a', name=name), *lines)\nprint_texts(Text('b') if it else Text('a'))",
    ],
)
def test_texts_are_found_in_literals_and_in_tables_of_them(source: str) -> None:
    assert set().union(*Module("new", source).said().values()) == {"a", "b"}


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda path: path.relative_to(PACKAGE).with_suffix("").as_posix(),
)
def test_errors_can_be_said_in_other_words(path: Path) -> None:
    """None is made of an f-string, nor is the reason of an OSError, which an error quotes.

    Nor is a choice between a text and plain words. Those of findings are checked by their types.
    """
    made = [
        f"line {node.lineno}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        if _is_put_together(node)
    ]
    assert made == []


def _is_put_together(call: ast.Call) -> bool:
    match call:
        case ast.Call(ast.Name("OSError"), [*_, ast.Constant(str()) | ast.JoinedStr()]):
            return True
        case ast.Call(ast.Name(name) | ast.Attribute(attr=name), [ast.JoinedStr(), *_]):
            return name in ERRORS
        case ast.Call(ast.Name(name) | ast.Attribute(attr=name), [ast.IfExp() as either, *_]):
            parts = (either.body, either.orelse)
            return name in ERRORS and any(
                isinstance(each, ast.Constant | ast.JoinedStr) for each in parts
            )
    return False


@pytest.mark.parametrize(
    "source",
    [
        "raise errors.LibraryError(f'no {name}')",
        "SettingError('a' if it else Text('b'))",
        "raise OSError(0, 'a file')",
        "OSError(0, f'a file of {size} MB')",
    ],
)
def test_such_errors_are_found(source: str) -> None:
    calls = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call)]
    assert any(map(_is_put_together, calls))


def shown_from() -> Iterator[Path]:
    """Yield the files in which what a person reads is put together: magics, panel, command."""
    yield from (PACKAGE / "notebook").rglob("*.py")
    yield PACKAGE / "cli.py"


SAID_TO_OTHERS = {
    "nothing may be called here",
    "the person did not allow this call",
    "nobody could be asked to allow this call",
    ", of which the first ",
    "\n(no whole answer: ",
    "The traceback:\n\n",
    " characters before)\n",
    " characters more)",
    *OF_SYSTEM,
    *MISTAKES,
    "reading of earlier waits",
    "test of the settings",
    "probes of the model",
    "list of a server's models",
    "reading of the ledger",
    "price list",
    "kernel subshells",
}
"""Words for a model, those that others say and we replace, names of threads and of values."""

WRITTEN = {autoload.MARK, autoload.HEAD, autoload.BODY, autoload.ASKS_WHETHER}
"""What is written into a startup file, which is read where this package may not be."""


def test_no_words_are_shown_but_texts() -> None:
    """Wherever two words stand together they are a text, a docstring, HTML, or known above."""
    docs_and_markup = re.compile(r"[<>]|mathjax_|llm-\w+ |font-|:1 |noopener")
    words = re.compile(r"[a-z]{2,} [a-z]{2,}")
    unknown = [
        f"{path.name} line {node.lineno}: {node.value!r}"
        for path in shown_from()
        for parent in ast.walk(ast.parse(path.read_text("utf-8")))
        if not isinstance(parent, ast.Expr)  # it would be a docstring
        for node in ast.iter_child_nodes(parent)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if words.search(node.value) and not docs_and_markup.search(node.value)
        if node.value not in texts() | SAID_TO_OTHERS | WRITTEN
    ]
    assert unknown == []


def test_what_options_do_is_told_in_texts() -> None:
    """In `--help`; a single word of it, too."""
    told = [
        (path.name, keyword.lineno, keyword.value)
        for path in shown_from()
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg in ("help", "description", "epilog", "title")
    ]
    assert len(told) > 20
    words = [
        (name, line)
        for name, line, value in told
        if isinstance(value, ast.JoinedStr)
        or (isinstance(value, ast.Constant) and isinstance(value.value, str))
    ]
    assert words == []


def test_a_magic_prints_no_words_but_texts() -> None:
    """What a cell or the command prints is a text, or in the person's language already."""
    printed = [
        ast.unparse(call)
        for path in shown_from()
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("print", "sys.stdout.write")
    ]
    words = re.compile(r"[a-z]{2,}")
    literals = [
        node.value
        for call in printed
        for parent in ast.walk(ast.parse(call))
        if not (isinstance(parent, ast.Call) and ast.unparse(parent.func) == "say")
        for node in ast.iter_child_nodes(parent)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if words.search(re.sub(r" (\w+: )?", "", node.value))  # the name of a command
    ]
    assert len(printed) > 5
    assert literals == []


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
        pytest.skip(f"not in ja.po, see `make test-translations`: {untranslated}")


@pytest.mark.translations
def test_no_entry_of_the_table_is_unused() -> None:
    assert JAPANESE.keys() - texts() == set()


def test_both_sides_have_the_same_placeholders() -> None:
    sides = [*JAPANESE.items(), *CELLS.items(), *PANELS.items()]
    assert [en for en, other in sides if placeholders(en) != placeholders(other)] == []


def test_a_translation_that_is_not_finished_or_damaged_stays_english(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a guess of a translators' tool does, and one with a placeholder that there is not."""
    texts = {"a file": "datei", "new": "", "{count} files": "{Anzahl} Dateien", "Saved.": "Ja."}
    entries = [f'msgid "{msgid}"\nmsgstr "{msgstr}"\n' for msgid, msgstr in texts.items()]
    (tmp_path / "de.po").write_text("#, fuzzy\n" + "\n".join(entries), "utf-8")
    monkeypatch.setattr(language, "LOCALE", tmp_path)

    german = Language("de")

    assert [german("a file"), german("new"), german("Saved.")] == ["a file", "new", "Ja."]
    assert german("{count} files", count=3) == "3 files"


FOR_CELLS = re.compile(r"%llm|`_`|-m practice|--cache|--api-key \$")
"""What is of use in a cell alone."""


def test_what_is_said_below_the_notebook_is_of_use_in_a_script() -> None:
    """No string there names a magic, its flags or the variable `_`; docstrings may."""
    strings = [
        node.value
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "notebook"
        for parent in ast.walk(ast.parse(path.read_text("utf-8")))
        if not isinstance(parent, ast.Expr)  # it would be a docstring
        for node in ast.iter_child_nodes(parent)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(strings) > 1000
    assert [each for each in strings if FOR_CELLS.search(each)] == []


@pytest.mark.parametrize("chosen", LANGUAGES)
def test_a_script_is_told_the_same_in_any_language(
    monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    """A cell is told what to do there, in its language; the panel of nothing to write in a cell."""
    monkeypatch.setenv("LLM_MAGIC_LANG", chosen)
    settings = load_settings(env={"LLM_MODEL": "openai/gpt-4o", "LLM_API_KEY": "sk-a"})
    error = explained(AuthenticationError("No.", status=401), settings)
    script = (
        "the provider refused the key (401: No). Set another api_key (now **********, from"
        " LLM_API_KEY), there or as an argument."
    )

    assert str(error) == script
    in_panel = error.text.worded(Language(chosen))
    assert (in_panel == script) == (chosen == "en")
    assert "`" not in in_panel
    error.say_in(language.cell_words())
    assert "`%llm_config api_key`" in str(error)
    assert str(error).startswith("the provider") == (chosen == "en")


@pytest.fixture
def japanese_kernel(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel of a person who reads Japanese."""
    kernel.run("%env LLM_MAGIC_LANG=ja")
    yield kernel
    kernel.run("import os\ndel os.environ['LLM_MAGIC_LANG']")


def test_a_wait_and_what_it_ends_with_are_told_in_japanese(
    japanese_kernel: Kernel, model_server: ModelServer
) -> None:
    """With what the server says in its own words, and what to do in a cell."""
    model_server.script(
        Refuse(429, message="Slow down.", headers={"retry-after": "1"}), Refuse(401)
    )
    japanese_kernel.run("key = 'sk-of-the-test'")
    at = f"-m openai/test --base-url {model_server.openai_base} --api-key $key"

    ran = japanese_kernel.run(f"%%llm {at}\nHi", "console")

    assert "レート制限 (429): 1 秒後に再試行（4 回中 1 回目、サーバーの指定による）" in ran.stdout
    assert "Slow down." in ran.stdout
    assert "待ち時間 1 秒（レート制限）、再試行 1 回" in ran.stdout
    assert ran.error is not None
    assert ran.error.startswith("AuthenticationError: プロバイダーがキーを拒否しました（401: ")
    assert "または `%llm_config api_key` で、別の api_key を設定してください" in ran.error


def test_a_line_that_is_no_prompt_is_answered_in_japanese(japanese_kernel: Kernel) -> None:
    """And in English where LLM_MAGIC_LANG names no language."""
    assert japanese_kernel.run("%llm").error == (
        "UsageError: プロンプトが空です。`%%llm` の下の行、または `%llm` の後に入力してください。"
    )
    japanese_kernel.run("%env LLM_MAGIC_LANG=xx")
    error = japanese_kernel.run("%llm").error
    assert error == "UsageError: the prompt is empty: write it below `%%llm` or after `%llm`."


TOLD = (
    "%llm --modle x Hi",
    "%llm --temperature",
    "%llm -f image Hi",
    "%llm -a no-such-file Hi",
    "%llm -a ftp://x Hi",
    "%llm --block 0 Hi",
    "%llm --schema nope Hi",
    "%llm -o 1x Hi",
    "%llm --api-key sk-0123 Hi",
    "%llm list",
    "%llm --dry-run -m practice/echo Hi",
    "%llm --help retries",
    "%llm_config --show timeout",
    "%llm_config --frob",
    "%llm_config temperatur=1",
    "%llm_config --alias",
    "%llm_config 'x",
    "%llm_models",
    "%llm_models no-such-model",
    "%llm_models --help",
    "%llm_usage",
    "%llm_usage --all",
    "%llm_usage --days 0",
    "%llm_usage --help",
    "%llm_chat",
    "%llm_chat nope",
    "%llm_embed",
    "%llm_embed 5",
    "%llm_error",
)


@pytest.mark.translations
@pytest.mark.parametrize("line", TOLD)
def test_a_japanese_cell_is_told_in_japanese(japanese_kernel: Kernel, line: str) -> None:
    """The first line of ours that each of these shows is Japanese."""
    ran = japanese_kernel.run(line, "console")
    told = ran.error or ran.stdout
    assert re.search(r"[\u3041-\u30ff\u4e00-\u9fff]", told.splitlines()[0]), told


def test_everything_but_proper_names_is_translated() -> None:
    """So is what has words beside its placeholders and flags."""
    same = {en for en, ja in JAPANESE.items() if en == ja}
    beside = {en: re.sub(r"\{\w+\}|--?\w+", "", en) for en in same}
    assert {en for en in same if re.search("[A-Za-z]", beside[en])} == PROPER_NAMES


def test_a_space_is_between_japanese_and_latin_words() -> None:
    """The ranges are kana and kanji."""
    japanese, latin = r"[\u3041-\u30ff\u4e00-\u9fff]", r"[A-Za-z0-9`/%-]"
    touching = re.compile(f"{japanese}{latin}|{latin}{japanese}")

    assert [ja for ja in JAPANESE.values() if touching.search(ja)] == []


def test_a_language_says_a_text_with_its_values() -> None:
    english, japanese = map(Language, LANGUAGES)

    assert english("Saved {path}.", path="config.toml") == "Saved config.toml."
    assert japanese("Saved {path}.", path="config.toml") == JAPANESE["Saved {path}."].format(
        path="config.toml"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            AuthenticationError("Wrong.", status=401),
            (
                "the provider refused the key (401: Wrong). Set another API key (now not"
                " set), there or in the field API key."
            ),
        ),
        (
            RateLimitError("Slow down", status=429),
            (
                "still rate limited (429: Slow down); gave up after 4 retries. Ask later, or raise"
                " Number of retries (now 4, from default)."
            ),
        ),
        (
            ConnectionFailedError("api_key"),
            (
                "the provider of openai/x could not be reached (api_key); gave up after 4 retries."
                " Check that it runs, and Base URL (now not set, from default)."
            ),
        ),
    ],
)
def test_the_panel_calls_settings_by_the_titles_of_their_fields(
    error: RequestError, told: str
) -> None:
    """In its errors; what a server or a person has written stays as it is."""
    settings = load_settings(env={}).with_overrides({"model": "openai/x"})
    text = explained(error, settings, retries=4).text
    assert text.worded(PanelLanguage("en")) == told
    told = Text("set api_key, not {name}", name="api_key").worded(PanelLanguage("ja"))
    assert told == "set API キー, not api_key"


def test_english_is_what_stands_in_the_code() -> None:
    english = Language("en")

    assert [text for text in texts() if english(text) != text] == []


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("A server compatible with OpenAI", "OpenAI 互換サーバーのキー"),
        ("OpenRouter", "OpenRouter のキー"),
    ],
)
def test_no_blank_stands_between_two_japanese_words(title: str, told: str) -> None:
    """A translation has one for names in Latin letters; the value itself stays as it is."""
    text = (
        "no key for {provider}: the practice server on this machine answers in its place, which is"
        " not a language model. `%llm_config --reset` ends that."
    )
    assert Text(text, provider=Text(title)).worded(Language("ja")).startswith(told)


def test_a_list_has_the_commas_of_its_language() -> None:
    listed = Text.listed([Text("1 token"), Text("local"), Text.joined(["$0.10"])])
    assert str(listed) == "1 token, local, $0.10"
    assert "," not in listed.worded(Language("ja"))
    assert listed.worded(Language("ja")).count("、") == 2
    assert not Text.listed([])
