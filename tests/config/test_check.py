"""What every check holds to: places, fixes, one line, no key; and what it does with bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checking import DROPS, KEY, found, written
from hypothesis import example, given
from hypothesis import strategies as st

from openhands_llm_magic.config.check import Finding, check, report
from openhands_llm_magic.config.document import Origin
from openhands_llm_magic.config.lint.finding import ADVICE, RENAMED
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import ConfigFileError, Text, english

OPAQUE_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
GOLDEN = json.loads((Path(__file__).parent / "openhands_golden.json").read_text("utf-8"))["cases"]


def test_a_finding_is_one_line() -> None:
    origin = Origin("file", path=Path("config.toml"), line=3)
    message, fix = Text("unknown key 'max_tokens'"), Text("Write max_output_tokens")
    finding = Finding(origin, message, fix, Text(DROPS[:-1]))
    assert str(finding) == (
        "config.toml line 3: unknown key 'max_tokens'. Write max_output_tokens. "
        "OpenHands would drop the whole [llm] section."
    )
    without = Finding(Origin("environment", "LLM_X"), Text("no"), Text("Unset it"))
    assert str(without) == "LLM_X: no. Unset it."


def test_a_report_is_said_in_the_reader_s_words() -> None:
    """Columns are aligned where characters are wide, too."""
    words = {"error": "エラー", "warning": "警告", "note": "メモ"}

    def say(template: str, /, **facts: object) -> str:
        return words.get(template, f"「{english(template, **facts)}」")

    lines = report(found("[llm]\nmax_tokens = 1\ntimeout = 'x'\n"), None, say).splitlines()
    assert [line.partition("「「")[0] for line in lines] == [
        "「config.toml line 1」  メモ    ",
        "「config.toml line 2」  エラー  ",
        "「config.toml line 3」  エラー  ",
        "「2 problems」",
    ]


def test_a_finding_names_the_setting_that_it_is_about() -> None:
    text = '[llm]\nmodel = "gpt"\nbase_url = "localhost"\ntimeout = "soon"\nx = 1\n'
    about = {each.setting for each in found(text, {"LLM_TOP_P": "no"}) if each.is_problem}
    assert about == {"model", "base_url", "timeout", "top_p", ""}


@pytest.mark.parametrize("name", GOLDEN)
def test_errors_are_what_openhands_warns_of(name: str) -> None:
    case = GOLDEN[name]
    findings = found(case["config_toml"], case["env"])
    errors = [each for each in findings if each.level == "error"]
    assert len(errors) == case["warnings"]


LINES = st.sampled_from(
    [
        "[llm]", "[llm.a]", "[llm.a.b]", "[core]", "[openhands_llm_magic]", "seed = 1",
        "seed = 'x'", "zzz = 1", "top_p = 7", "model = ''", "retry_after_limit = 'x'",
        "completion_kwargs = {a = 1}", "max_budget_per_task = 'x'", "llm = 3", "timeout = 'None'",
        "a = None", "# x", "", "b = [", "]",
    ]
)  # fmt: skip


@given(st.lists(LINES, max_size=8).map("\n".join))
@example("[llm.completion_kwargs]\nzzz = 1")
def test_whatever_the_settings_went_on_without_is_found(text: str) -> None:
    """Every problem that `load_settings` notes has a finding at its line."""
    findings = {each.origin.line for each in found(text) if each.level == "error"}
    file = written(text)
    try:
        settings = load_settings(file, env={})
    except ConfigFileError:
        assert findings
        return
    assert {problem.origin.line for problem in settings.problems} <= findings


@given(st.text() | st.lists(LINES | st.text(max_size=5)).map("\n".join), st.booleans())
def test_any_text_is_checked_without_an_error(text: str, begins_llm: bool) -> None:
    """Each finding has its place and a fix, and is one printable line."""
    for each in found("[llm]\n" * begins_llm + text.encode("utf-8", "replace").decode()):
        assert each.origin.line
        assert each.fix
        assert str(each).isprintable()


FORMS = st.sampled_from(
    ['"{}"', "'{}'", '["{}"]', '{{api_key = "{}"}}', '{{a = ["{}"]}}', "{}", '"{}', '"""{}"""']
)
NAMES = st.sampled_from([*SETTINGS, *RENAMED, *ADVICE, "llm", "zzz", "openai_api_key"])


@given(
    lines=st.lists(st.tuples(NAMES, FORMS) | LINES, max_size=6),
    variables=st.lists(NAMES, max_size=3),
    key=st.sampled_from([KEY, OPAQUE_KEY]),
)
@example(lines=[("base_url", '"{}"')], variables=["model"], key=OPAQUE_KEY)
def test_no_finding_holds_a_key(
    lines: list[tuple[str, str] | str], variables: list[str], key: str
) -> None:
    """Wherever a key stands, api_key or not; only a model's name that is no key is quoted."""
    texts = [
        each
        if isinstance(each, str)
        else f"{each[0]} = {each[1].format(KEY if each[0] == 'model' else key)}"
        for each in lines
    ]
    env = {
        f"LLM_{name.upper()}": KEY if name in ("model", "model_name") else key for name in variables
    }
    assert key not in repr(found("\n".join(["[llm]", *texts]), env))
    assert KEY not in repr(found("\n".join(texts), env))


@pytest.mark.parametrize("content", [None, b"\xff\xfe[\x00", b"x = 1\n" * 200_000, "folder"])
def test_a_named_file_that_cannot_be_read_is_an_error(content: bytes | str | None) -> None:
    file = Path("named.toml")
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(ConfigFileError, match=r"^config file: named\.toml( line 1)?: "):
        check("named.toml", {})
    with pytest.raises(ConfigFileError, match=r"^LLM_MAGIC_CONFIG: named\.toml( line 1)?: "):
        check(env={"LLM_MAGIC_CONFIG": "named.toml"})


def test_a_file_that_is_only_found_and_cannot_be_read_is_a_finding() -> None:
    written(b"\xff\xfe[\x00")
    assert list(map(str, check(env={}))) == [
        (
            "config.toml line 1: it is not UTF-8 text; save it as UTF-8. Choose UTF-8 as the"
            " encoding where your editor saves it."
        )
    ]


def test_by_default_it_checks_what_the_magics_would_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_BASE", "x")
    assert [str(each.origin) for each in check()] == ["LLM_API_BASE"]
    written("[llm]\nzzz = 1\nnum_retries = 0\n")
    assert [str(each.origin) for each in check()] == ["config.toml line 2", "LLM_API_BASE"]


def test_a_report_is_aligned_and_counts_problems_but_not_notes() -> None:
    text = "[llm]\nzzz = 1\nnum_retries = 0\nfor_routing = true\n"
    lines = report(found(text, {"LLM_API_BASE": "x"}), Path("config.toml")).split("\n")
    assert [line[:33] for line in lines] == [
        "config.toml line 2  error    unkn",
        "config.toml line 4  note     for_",
        "LLM_API_BASE        warning  unkn",
        "2 problems",
    ]
    assert report(found("[llm]\nzzz = 1\n"), None).endswith("\n1 problem")
    assert report((), Path.cwd() / "config.toml") == "no problems in config.toml"
    assert report((), None) == "no problems in the environment; there is no config.toml"
