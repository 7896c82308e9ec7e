"""Saving to config.toml: what is read back, what stays, and that no key shows."""

import json
import os
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import toml
from full_disk import full_disk
from hypothesis import given
from hypothesis import strategies as st
from setting_values import KEYS, chosen, some, values_in

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import Saved, preview, save
from openhands_llm_magic.config.secret import MASK, Secret
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import ConfigFileError, SettingError

KEY = "sk-canary-0123456789"
OTHER_KEY = "sk-other-9876543210"

FILE = f"""\
# mine
[core]
debug = true  # yes

# about the model
[llm]
model = "openai/gpt-4o"   # the big one
num_retries = "9"
timeout = 30
# api_key = "sk-commented-0123456789"
api_key = "{OTHER_KEY}"

# about the group
[llm.fast]
model = "groq/x"

[sandbox]
note = '''
[llm]
# not this
model = "nor this"
'''
"""


def written(text: str = FILE, name: str = "config.toml") -> Path:
    file = Path.cwd() / name
    file.write_bytes(text.encode())
    return file


def after_saving(text: str, group: str | None = None, **values: Any) -> str:
    """Save over a file with this text, and give its new text."""
    file = written(text)
    save(chosen(**values), file, group=group)
    return file.read_bytes().decode()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


# What is written


def test_the_file_stays_small() -> None:
    file = Path("new.toml")
    saved = save(chosen(temperature=0.5, num_retries=4, base_url=None), file)
    assert file.read_text() == '[llm]\nmodel = "claude-sonnet-4-20250514"\ntemperature = 0.5\n'
    assert (saved.created, saved.key_written, saved.notes) == (True, False, ())


def test_comments_order_and_other_sections_stay() -> None:
    changed = after_saving(FILE, model="openai/o3", num_retries=9, top_p=0.5, retry_after_limit=9)
    expected = FILE.replace('"openai/gpt-4o"', '"openai/o3"').replace("timeout = 30\n", "")
    expected = expected.replace(f'"{OTHER_KEY}"\n', f'"{OTHER_KEY}"\ntop_p = 0.5\n')
    assert changed == expected + "\n[openhands_llm_magic]\nretry_after_limit = 9.0\n"


def test_a_value_that_reads_the_same_is_left_as_it_is_written() -> None:
    text = '[llm]\nmodel = \'m\'\nnum_retries = "9"\ndrop_params = "yes"\ntemperature = 0\n'
    assert after_saving(text, model="m", num_retries=9) == text


def test_a_bad_value_is_replaced() -> None:
    text = '[llm]\nmodel = "m"\nnum_retries = "many"\n'
    assert after_saving(text, model="m") == text.replace('"many"', "4")


def test_each_setting_goes_into_its_own_section() -> None:
    values: dict[str, Any] = {
        "model": "m",
        "max_budget_per_task": 2,
        "retry_after_limit": 20,
        "embedding_model": "e",
    }
    assert tomllib.loads(after_saving("", **values)) == {
        "llm": {"model": "m"},
        "core": {"max_budget_per_task": 2.0},
        "openhands_llm_magic": {"retry_after_limit": 20.0, "embedding_model": "e"},
    }


def test_an_empty_text_is_not_written_and_what_the_file_gives_instead_is_said() -> None:
    file = written('[llm]\nmodel = "m"\nreasoning_effort = "low"\nbase_url = "http://x"\n')
    saved = save(chosen(model="m", reasoning_effort="", base_url=""), file)
    assert file.read_text() == '[llm]\nmodel = "m"\n'
    (note,) = saved.notes
    assert note == (
        "reasoning_effort is none here, but will be 'high' when the file is read, which cannot say"
        " otherwise (from default)"
    )


def test_the_api_version_that_openhands_adds_is_said() -> None:
    (note,) = save(chosen(model="azure/deployment")).notes
    assert note.startswith("api_version is none here, but will be '2024-12-01-preview'")


def test_a_group_named_llm_is_changed_in_the_place_of_llm() -> None:
    """OpenHands lets it replace `[llm]`, where a change would have no effect."""
    text = '[llm]\nmodel = "a"\nseed = 1\n\n[llm.llm]\nmodel = "b"\n\n[llm.c]\ntop_p = 0.5\n'
    changed = after_saving(text, model="d", seed=2)
    assert changed == text.replace('"b"\n', '"d"\nseed = 2\n')
    settings = load_settings(written(changed), env={})
    assert (settings.model, settings.seed, settings.group) == ("d", 2, None)
    assert load_settings(written(changed), env={}, group="c").model == "a"


def test_a_group_with_a_dot_is_quoted_and_inherits() -> None:
    text = '[llm]\nmodel = "m"\ntop_p = 0.5\n\n[core]\n'
    changed = after_saving(text, "gpt-4.1", model="openai/gpt-4.1", top_p=0.5, temperature=0.3)
    assert changed == text.replace(
        "[core]", '[llm."gpt-4.1"]\nmodel = "openai/gpt-4.1"\ntemperature = 0.3\n\n[core]'
    )


def test_a_group_gets_a_default_that_is_not_what_it_inherits() -> None:
    text = '[llm]\nmodel = "m"\ntop_p = 0.5\nbase_url = "http://x"\n'
    saved = save(chosen(model="m"), written(text), group="g")
    assert Path("config.toml").read_text() == f"{text}\n[llm.g]\ntop_p = 1.0\n"
    (note,) = saved.notes
    assert note == (
        "base_url is none here, but will be 'http://x' when the file is read, which cannot say"
        " otherwise (from config.toml line 4)"
    )


def test_the_group_of_the_settings_is_the_default() -> None:
    file = written()
    fast = load_settings(file, {}, "fast").with_overrides({"seed": 7})
    save(fast)
    assert file.read_text() == FILE.replace('"groq/x"\n', '"groq/x"\nseed = 7\n')
    save(fast, group="llm")
    assert load_settings(file, {}).seed == 7


@pytest.mark.parametrize("name", ["", "a b", "a'b", 'a"b', "a\\b", "a\nb", "model"])
def test_a_group_name_that_openhands_would_misread_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="no group can be called"):
        save(chosen(), group=name)
    assert not Path("config.toml").exists()


def test_a_group_that_is_there_may_have_any_name() -> None:
    text = '[llm]\nmodel = "m"\n[llm."a b"]\n[llm.seed]\n[llm.completion_kwargs]\n'
    file = written(text)
    saved = save(chosen(model="m", seed=1), file)
    assert [note.split()[0] for note in saved.notes] == ["seed", "config.toml"]
    assert file.read_text() == text
    for group in ("a b", "seed"):
        save(chosen(model="m", top_k=1), file, group=group)
        assert load_settings(file, {}, group).top_k == 1


def test_what_openhands_041_does_not_know_is_said() -> None:
    saved = save(chosen(model="m", correct_num=3))
    assert saved.notes == (
        "OpenHands 0.41 does not know correct_num and would drop the section it is in",
    )


def test_a_dictionary_fits_into_a_group_only() -> None:
    options = chosen(model="m", completion_kwargs={"a": [1, 2], "b": {"c": "d"}})
    saved = save(options)
    assert Path("config.toml").read_text() == '[llm]\nmodel = "m"\n'
    (note,) = saved.notes
    assert note == (
        "completion_kwargs is not saved: [llm.completion_kwargs] is the name of a group;"
        " set LLM_COMPLETION_KWARGS"
    )
    save(options, group="g")
    assert load_settings(group="g").completion_kwargs == options.completion_kwargs


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": None}, "TOML has no none"),
        ({"a": float("nan")}, "TOML has no float"),
        ({"a": (1, 2)}, "TOML has no tuple"),
        ({"a": [1, "b"]}, "would misread"),
        ({"a": [[1], [2]]}, "would misread"),
        ({"a": {"b": [{"c": 1}, {"d": 2}]}}, "would misread"),
        ({"a": [{"b": [], "c": 1}]}, "would misread"),
        ({"a": "b\\c"}, "would misread"),
        ({"a=b": 1}, "would misread"),
    ],
)
def test_what_toml_or_openhands_cannot_read_is_not_saved(value: Any, why: str) -> None:
    saved = save(chosen(model="m", completion_kwargs=value), group="g")
    assert len(saved.notes) == 1
    assert saved.notes[0].startswith("completion_kwargs is not saved: ")
    assert why in saved.notes[0]
    assert "completion_kwargs" not in Path("config.toml").read_text()


def test_a_control_character_is_not_saved() -> None:
    text = '[llm]\nmodel = "m"\n'
    saved = save(chosen(model="a\0b"), written(text))
    assert saved.notes == ("model is not saved: it holds a control character",)
    assert Path("config.toml").read_text() == text


def test_a_mistake_in_the_file_is_kept_and_said() -> None:
    text = '[llm]\nmodel = "m"\nmax_tokens = 5\n'
    file = written(text)
    saved = save(chosen(model="m"), file)
    assert file.read_text() == text
    assert "unknown key 'max_tokens'" in saved.notes[0]
    assert "config.toml line 3" in saved.notes[0]


# Layouts


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("[llm]", '[llm]\nmodel = "m"\n'),
        ("# only this", '# only this\n\n[llm]\nmodel = "m"\n'),
        ("llm.top_p = 1\n[x]", 'llm.top_p = 1\nllm.model = "m"\n[x]\n'),
        ("llm = {top_p = 1}\n[x]", 'llm = {top_p = 1,model = "m"}\n[x]\n'),
        ("[llm.a]\n# a\n[x]", '[llm.a]\n\n[llm]\nmodel = "m"\n\n# a\n[x]\n'),
        ("[llm.a]\n[x]\n[llm]\n# c\n\n[y]", '[llm.a]\n[x]\n[llm]\nmodel = "m"\n# c\n\n[y]\n'),
        ("[[x]]\n[llm]\n[[x]]\n", '[[x]]\n[llm]\nmodel = "m"\n[[x]]\n'),
        ("[ llm ] # c\r\n[x]\r\n", '[ llm ] # c\r\nmodel = "m"\r\n[x]\r\n'),
    ],
)
def test_any_layout_can_be_edited(text: str, changed: str) -> None:
    assert after_saving(text, model="m") == changed
    assert after_saving(changed, model="m") == changed


def test_a_layout_that_cannot_be_edited_is_left_alone() -> None:
    file = written(text := 'llm = {model = "m"}\n')
    with pytest.raises(ConfigFileError, match=r"config\.toml: .* cannot be edited safely"):
        save(chosen(), file, group="g")
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("text", "what"), [("llm = 5", "llm"), ("[[llm]]", "llm"), ("[llm]\ng = 1", "llm.g")]
)
def test_what_is_no_table_is_left_alone(text: str, what: str) -> None:
    file = written(text)
    with pytest.raises(ConfigFileError, match=rf"config\.toml line \d: {what} must be a table"):
        save(chosen(), file, group="g")
    assert file.read_text() == text


# Whatever the settings


def values_read(file: Path, group: str | None = None) -> dict[str, Any]:
    read = load_settings(file, {}, group)
    assert read.problems == ()
    return values_in(read)


def assert_openhands_reads_the_same(file: Path) -> None:
    text = file.read_text("utf-8")
    assert toml.loads(text) == tomllib.loads(text)


def unexpected(saved: Saved) -> list[str]:
    return [note for note in saved.notes if not note.startswith("OpenHands 0.41 does not know")]


@given(some("dict"))
def test_whatever_is_saved_is_read_back(values: dict[str, Any]) -> None:
    file = Path("config.toml")
    file.unlink(missing_ok=True)
    snapshot = chosen(**values)
    saved = save(snapshot, file, with_key=True)
    assert unexpected(saved) == []
    assert values_read(file) == values_in(snapshot)
    assert_openhands_reads_the_same(file)
    before = file.read_bytes()
    assert save(snapshot, file, with_key=True).diff == ""
    assert file.read_bytes() == before


@given(some("dict"), some())
def test_whatever_is_saved_to_a_group_is_read_back(
    base: dict[str, Any], values: dict[str, Any]
) -> None:
    """What the group cannot unset, as `[llm]` sets it, is said; `[llm]` itself stays."""
    file = Path("config.toml")
    file.unlink(missing_ok=True)
    save(chosen(**base), file, with_key=True)
    base_values = values_read(file)
    snapshot = chosen("g.1", **values)
    saved = save(snapshot, file, with_key=True)
    said = {note.split()[0] for note in unexpected(saved)}
    read = values_read(file, "g.1")
    different = {name for name, value in values_in(snapshot).items() if read[name] != value}
    assert different == said
    assert all(getattr(snapshot, name) is None for name in said)
    after = values_read(file)
    assert {n: v for n, v in after.items() if SETTINGS[n].section == "llm"} == {
        n: v for n, v in base_values.items() if SETTINGS[n].section == "llm"
    }
    assert_openhands_reads_the_same(file)


SECTIONS = (
    '[core]\njwt = "x"\nmax_budget_per_task = 3\n',
    "[llm]\n# own words\nunknown = 1\nseed = 1 # why\nother = [5,\n # six\n]\n",
    '[llm.a]\nmodel = "a"\n  # indented\n  top_p = 0.5\n',
    '[llm."b.1"]\nx = """\n# in a text\n"""\n',
    '[[x]]\ny = {z = 1}\n\n[[x]]\ny = "[llm]"\n',
    "[agent]\n# ends with this\n",
)


@given(
    st.permutations(SECTIONS),
    st.lists(st.sampled_from(["", "\n", "\n\n# about what follows\n", "# close\n"]), min_size=6),
    st.sampled_from(["\n", "\r\n"]),
    some("dict"),
    st.sampled_from([None, "a", "b.1", "new"]),
)
def test_everything_else_survives(
    sections: list[str], between: list[str], newline: str, values: dict[str, Any], group: str | None
) -> None:
    text = "".join(map("".join, zip(between, sections, strict=False))).replace("\n", newline)
    file = written(text)
    save(chosen(**values), file, group=group, with_key=True)
    changed = file.read_bytes().decode()
    assert [row for row in changed.splitlines() if row.lstrip()[:1] == "#"] == [
        row for row in text.splitlines() if row.lstrip()[:1] == "#"
    ]
    assert without_settings(changed, group) == without_settings(text, group)
    headers = iter(row for row in changed.splitlines() if row[:1] == "[")
    assert all(row in headers for row in text.splitlines() if row[:1] == "["), "order"
    if newline == "\r\n":
        assert changed.count("\n") == changed.count("\r\n")


def without_settings(text: str, group: str | None) -> dict[str, Any]:
    """Return what a file says besides the settings that were saved."""
    data = tomllib.loads(text)
    data.pop("openhands_llm_magic", None)
    data["core"].pop("max_budget_per_task", None)
    if group is None:
        tables = [data["llm"]]
    else:
        data["llm"].setdefault(group, {})
        tables = [data["llm"][group]]
    for table in tables:
        for name, setting in SETTINGS.items():
            if setting.section == "llm":
                table.pop(name, None)
    return data


# Keys


def test_without_asking_no_key_is_written_and_those_there_stay() -> None:
    file = written()
    saved = save(chosen(api_key=KEY, aws_secret_access_key=KEY), file)
    assert KEY not in file.read_text()
    assert OTHER_KEY in file.read_text()
    assert not saved.key_written
    assert mode(file) == 0o600


def test_a_key_is_written_when_asked_for() -> None:
    file = written()
    saved = save(chosen(api_key=KEY), file, with_key=True)
    assert load_settings(file, {}).api_key == Secret(KEY)
    assert saved.key_written
    assert mode(file) == 0o600
    assert not save(chosen(api_key=KEY), file, with_key=True).key_written


def test_a_key_that_is_unset_is_removed_when_keys_are_asked_for() -> None:
    file = written()
    assert not save(chosen(), file, with_key=True).key_written
    assert OTHER_KEY not in file.read_text()


def test_a_key_inside_another_value_is_one() -> None:
    snapshot = chosen(
        api_key=KEY, base_url=f"http://x?key={KEY}", completion_kwargs={"auth": f"Bearer {KEY}"}
    )
    saved = save(snapshot, group="g")
    assert KEY not in Path("config.toml").read_text()
    assert [note.split()[0] for note in saved.notes] == ["base_url", "completion_kwargs"]
    assert save(snapshot, group="g", with_key=True).key_written
    assert load_settings(group="g").base_url == snapshot.base_url


ADDRESS = "http://bob:hunter2secret@host/v1"


def test_a_password_in_an_address_is_a_key() -> None:
    """It is written on request only, the file is then its owner's alone, and it never shows."""
    snapshot = chosen(model="m", base_url=ADDRESS)
    without = save(snapshot)
    assert ADDRESS not in Path("config.toml").read_text()
    assert without.notes[0].startswith("base_url is not saved: it holds a key")
    saved = save(snapshot, with_key=True)
    assert f'+base_url = "http://{MASK}@host/v1"' in saved.diff
    assert load_settings(env={}).base_url == ADDRESS
    assert mode(Path("config.toml")) == 0o600


def test_the_diff_shows_no_key_of_a_comment_or_an_address_around_the_change() -> None:
    text = f'[llm]\n# old one: sk-proj-ABCDEFGH0123456789\nmodel = "a"\nbase_url = "{ADDRESS}"\n'
    saved = save(chosen(model="b"), written(text))
    assert f" # old one: {MASK}" in saved.diff
    assert f"http://{MASK}@host/v1" in saved.diff
    assert "hunter2" not in repr(saved)


def test_a_short_key_is_a_word() -> None:
    save(chosen(api_key="ollama", model="ollama/llama3"))
    assert Path("config.toml").read_text() == '[llm]\nmodel = "ollama/llama3"\n'


@given(KEYS, KEYS, some("dict"), st.booleans(), st.sampled_from([None, "fast"]))
def test_no_key_shows(
    key: str, old_key: str, values: dict[str, Any], with_key: bool, group: str | None
) -> None:
    quoted = f"api_key = {json.dumps(old_key)}\n"
    file = written(FILE.replace(f'api_key = "{OTHER_KEY}"\n', quoted).replace("# mine", f"# {key}"))
    keys = {name: key for name, each in SETTINGS.items() if each.kind == "secret"}
    saved = save(chosen(**{**values, **keys}), file, group=group, with_key=with_key)
    shown = repr(saved) + saved.diff + str(saved.notes)
    assert "sk-" not in shown
    assert saved.key_written == with_key


def test_the_diff_tells_that_a_key_changes_and_hides_those_of_others() -> None:
    text = f"""\
[core]
jwt_secret = '{OTHER_KEY}'
[llm]
model = "m"
api_key = '''
{OTHER_KEY}'''
custom_tokenizer = "shown"
"""
    saved = preview(
        chosen(model="m", api_key=KEY, custom_tokenizer="shown"), written(text), with_key=True
    )
    assert (
        saved.diff
        == """\
--- config.toml
+++ config.toml
@@ -2,5 +2,5 @@
 jwt_secret = "**********"
 [llm]
 model = "m"
-api_key = "**********"
+api_key = "**********"
 custom_tokenizer = "shown\""""
    )


# The file


def test_a_preview_changes_nothing() -> None:
    file = written()
    file.chmod(0o644)
    snapshot = chosen(api_key=KEY, model="m")
    before = preview(snapshot, file, with_key=True)
    assert (file.read_text(), mode(file)) == (FILE, 0o644)
    assert save(snapshot, file, with_key=True) == before
    assert preview(snapshot, "new.toml").created
    assert not Path("new.toml").exists()


def test_it_goes_where_the_settings_come_from() -> None:
    Path("deep").mkdir()
    file = written('[llm]\nmodel = "m"\n', "deep/config.toml")
    saved = save(load_settings(file, {"LLM_SEED": "5"}))
    assert saved.path == file
    assert file.read_text() == '[llm]\nmodel = "m"\nseed = 5\n'


def test_else_to_config_toml_of_the_working_directory() -> None:
    assert save(chosen()).path == Path.cwd() / "config.toml"


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("bits", [0o644, 0o640, 0o400])
def test_permission_bits_stay(bits: int) -> None:
    file = written('[llm]\nmodel = "x"\n')
    file.chmod(bits)
    save(chosen(model="m"), file)
    assert mode(file) == bits
    assert tomllib.loads(file.read_text())["llm"]["model"] == "m"


def test_a_new_file_has_the_bits_of_any_new_file_unless_it_holds_a_key() -> None:
    with umask(0o027):
        save(chosen(api_key=KEY), "without.toml")
        save(chosen(api_key=KEY), "with.toml", with_key=True)
    assert mode(Path("without.toml")) == 0o640
    assert mode(Path("with.toml")) == 0o600


def test_bits_are_put_right_also_when_the_text_stays() -> None:
    file = written(f'[llm]\nmodel = "m"\napi_key = "{KEY}"\n')
    file.chmod(0o644)
    assert save(chosen(model="m"), file).diff == ""
    assert mode(file) == 0o600


def test_a_link_is_followed() -> None:
    file = written(FILE, "target.toml")
    link = Path("config.toml")
    link.symlink_to("target.toml")
    save(chosen(model="m"), link)
    assert link.is_symlink()
    assert load_settings(file, {}).model == "m"


def test_a_link_to_nothing_is_followed_too() -> None:
    Path("config.toml").symlink_to("target.toml")
    assert save(chosen(model="m")).created
    assert Path("config.toml").is_symlink()
    assert load_settings("target.toml", {}).model == "m"


def test_whoever_reads_meanwhile_sees_the_old_file() -> None:
    with written().open() as reader:
        save(chosen(model="m"))
        assert reader.read() == FILE


# Bad input


def assert_refused(path: str | Path, *words: str) -> None:
    """Saving and previewing fail with one line, and nothing changes."""
    before = sorted(Path.cwd().iterdir())
    for function in (save, preview):
        with pytest.raises(ConfigFileError) as caught:
            function(chosen(api_key=KEY), path, with_key=True)
        message = str(caught.value)
        assert all(word in message for word in (*words, "nothing was changed"))
        assert "\n" not in message
        assert KEY not in message
    assert sorted(Path.cwd().iterdir()) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[llm]\nmodel = "x\n', ("config.toml line 2", "not valid TOML", "correct it")),
        (b"[llm]\n[llm]\n", ("config.toml line 2", "not valid TOML")),
        (b"\xef\xbb\xbf[llm]\n", ("config.toml line 1", "BOM")),
        (b"\x7fELF\x02\x01\0\xff", ("config.toml", "not UTF-8")),
        (b"#" * 50_000_000, ("config.toml", "larger than 1 MB")),
    ],
    ids=["unclosed text", "doubled table", "BOM", "binary", "huge"],
)
def test_a_file_that_cannot_be_read_is_not_touched(content: bytes, words: tuple[str]) -> None:
    file = Path("config.toml")
    file.write_bytes(content)
    assert_refused(file, *words)
    assert file.read_bytes() == content


def test_a_folder_is_refused() -> None:
    Path("config.toml").mkdir()
    assert_refused("config.toml", "config.toml", "folder")


def test_a_loop_of_links_is_refused() -> None:
    Path("config.toml").symlink_to("b.toml")
    Path("b.toml").symlink_to("config.toml")
    assert_refused("config.toml", "config.toml", "symbolic links")
    assert Path("config.toml").is_symlink()


def test_a_path_through_a_file_is_refused() -> None:
    assert_refused(written() / "config.toml", "Not a directory")


@pytest.mark.parametrize("folder", ["missing", "/proc"])
def test_a_folder_that_takes_no_file_is_refused(folder: str) -> None:
    """Not even root can create a file in /proc."""
    with pytest.raises(ConfigFileError, match=r"cannot be written: .*; nothing was changed"):
        save(chosen(), f"{folder}/config.toml")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to any folder")
def test_a_read_only_folder_is_refused() -> None:
    file = written()
    Path.cwd().chmod(0o500)
    try:
        with pytest.raises(ConfigFileError, match=r"config\.toml: .*Permission denied"):
            save(chosen(), file)
    finally:
        Path.cwd().chmod(0o700)
    assert file.read_text() == FILE


def test_a_full_disk_changes_nothing() -> None:
    file = written()
    with full_disk(), pytest.raises(ConfigFileError) as caught:
        save(chosen(api_key=KEY), file, with_key=True)
    assert str(caught.value) == (
        "config.toml: it cannot be written: File too large; nothing was changed"
    )
    assert file.read_text() == FILE
    assert list(Path.cwd().iterdir()) == [file]


def test_an_interrupt_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    file = written()
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(chosen(), file)
    assert file.read_text() == FILE
    assert list(Path.cwd().iterdir()) == [file]


def test_a_key_within_another_setting_is_not_written_either() -> None:
    """Under a name that tells nothing of it, where the same key is known from its own setting."""
    hiding = chosen(model="m", api_key=KEY, safety_settings=[{"headers": KEY}])
    save(hiding, Path("new.toml"))
    assert KEY not in Path("new.toml").read_text()
