"""Whatever a config.toml holds: it is read, checked and saved, and nothing of it is lost."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from fuzz.mutating import KEY, as_bytes, mutated, only_our_errors, told
from hypothesis import given
from hypothesis import strategies as st
from setting_values import some

from openhands_llm_magic.config.check import check
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import save
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError

GOLDEN = json.loads((Path(__file__).parents[1] / "config/openhands_golden.json").read_text())
FILES = (
    *(case["config_toml"] for case in GOLDEN["cases"].values()),
    f'[llm]\nmodel = "m"\napi_key = "{KEY}"\n\n[llm.g]\nmodel = "groq/x"\n[llm.llm]\ntop_p = 1\n',
    (
        f'[core]\ndebug = true # yes\n[llm]\napi_key = """{KEY}"""\r\n[openhands_llm_magic]\n'
        'aliases = { fast = "openai/gpt-4o" }\ncompletion_kwargs.user = "me"\n'
    ),
)
PIECES = (
    *("[llm]\n", "[llm.g]\n", "[[llm]]\n", "[core]\n", "[openhands_llm_magic]\n", "['llm']\n"),
    *("# note\n", " = ", "true", "inf", "nan", "1979-05-27", "07:32:00", "0x7f", "1_000", '"""'),
    *("'''", "{}", "{a = 1}", "[1, [2]]", "a.b = 1\n", '"\\u0000"', '"\\ud800"', f'"{KEY}"\n'),
    *(f"{name} = " for name in SETTINGS),
)


def foreign(text: str) -> dict[str, Any]:
    """Return what a file holds beside the settings, which alone may be changed."""
    tables: dict[str, Any] = tomllib.loads(text)
    for name in ("llm", "core", "openhands_llm_magic"):
        if isinstance(tables.get(name), dict):
            groups = [each for each in tables[name].values() if isinstance(each, dict)]
            for table in (tables[name], *(groups if name == "llm" else ())):
                for key in SETTINGS.keys() & table.keys():
                    del table[key]
    return {name: each for name, each in tables.items() if each != {}}


@given(mutated(FILES, PIECES), some("dict", "list", "secret"))
def test_any_text(text: str, changed: dict[str, Any]) -> None:
    """A save changes the settings alone or nothing; one more changes nothing."""
    file = Path("config.toml")
    file.write_bytes(as_bytes(text))
    with only_our_errors():
        for finding in check(file, {}, in_docker=False):
            told(finding)
    with only_our_errors():
        settings = load_settings(file, {})
        assert KEY not in repr(settings)
        for problem in settings.problems:
            told(problem)
        before = file.read_bytes()
        try:
            saved = save(settings.with_overrides(changed), file)
        except LLMMagicError:
            assert file.read_bytes() == before
            raise
        assert KEY not in saved.diff
        for note in saved.notes:
            told(note)
        after = file.read_bytes()
        assert foreign(after.decode()) == foreign(before.decode())
        assert save(settings.with_overrides(changed), file).diff == ""
        assert file.read_bytes() == after
    assert [each.name for each in Path().iterdir() if each.is_file()] == ["config.toml"]


BLOCKS = (
    "# a comment with 'quotes' and = signs\n",
    "[sandbox] # not ours\nbase_container_image='x'\ntimeout   =   120\n",
    "[agent]\nnote = '''\n[llm]\nmodel = \"not this\"\n'''\n",
    '[agent.CodeActAgent]\nllm_config = "g"\nnames = [\n  "a", # one\n  "b",\n]\n',
    "[[mcp.servers]]\nurl = \"http://a\"\n[[mcp.servers]]\n'url' = 'http://b'\n",
    "[a.b]\n\tc.d = { e = 1, f = [ ] }\n",
    "['quoted.name']\nx = 1979-05-27T07:32:00Z\n\n\n",
)
OURS = ("core", "llm", "llm.g", "openhands_llm_magic")


@st.composite
def mixed(draw: st.DrawFn) -> list[str]:
    """Return our tables among those of others, in any order."""
    parts = draw(st.permutations(BLOCKS))
    for name in draw(st.permutations(OURS)):
        key = {"core": "debug = true", "openhands_llm_magic": "footer = 'on'"}.get(name, "top_p=1")
        parts.insert(draw(st.integers(0, len(parts))), f"[{name}]\n{key} # kept\n")
    return parts


@given(
    mixed(),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([None, "g", "new"]),
    some("secret"),
)
def test_what_is_not_ours_stays_byte_for_byte(
    parts: list[str], newline: str, group: str | None, changed: dict[str, Any]
) -> None:
    """Wherever it stands among our tables, and whichever line ends it has."""
    text = "".join(parts).replace("\n", newline)
    file = Path("config.toml")
    file.write_bytes(text.encode())
    with only_our_errors():
        save(load_settings(file, {}).with_overrides(changed), file, group=group)
    after = file.read_bytes().decode()
    rest = after
    for block in (each for each in parts if each in BLOCKS):
        _, found, rest = rest.partition(block.replace("\n", newline))
        assert found, f"{block!r} is not in {after!r}"
