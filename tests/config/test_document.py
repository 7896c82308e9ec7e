"""A config file is read, or it is said why not; each key has its line."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openhands_llm_magic.config.document import LARGEST_FILE, Document, read_file
from openhands_llm_magic.config.layers import file_layer
from openhands_llm_magic.errors import ConfigFileError


def written(text: str | bytes, path: str = "config.toml") -> Path:
    file = Path.cwd() / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def parsed(text: str) -> Document:
    return read_file(written(text))


def why(path: Path) -> str:
    document = read_file(path)
    assert document.data == {}
    with pytest.raises(ConfigFileError) as caught:
        document.require_readable()
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("config file: ")
    return str(caught.value).removeprefix("config file: ")


def test_missing() -> None:
    assert why(Path.cwd() / "no.toml") == "no.toml: No such file or directory"


def test_a_folder() -> None:
    assert why(Path.cwd()) == ".: it is a folder"


def test_a_pipe() -> None:
    os.mkfifo("pipe")
    assert why(Path.cwd() / "pipe") == "pipe: it is not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden() -> None:
    file = written("")
    file.chmod(0)
    assert why(file) == "config.toml: Permission denied"


def test_a_symlink_loop() -> None:
    loop = Path.cwd() / "loop.toml"
    loop.symlink_to(loop)
    assert why(loop).startswith("loop.toml: Too many levels of symbolic links")


def test_too_large() -> None:
    file = written(b"#" * (LARGEST_FILE + 1))
    assert why(file) == "config.toml: it is larger than 1 MB"


def test_binary() -> None:
    assert (
        why(written(b"\x80\xff\x00"))
        == "config.toml line 1: it is not UTF-8 text; save it as UTF-8"
    )


def test_not_toml() -> None:
    assert (
        why(written("[llm]\nmodel = \n"))
        == "config.toml line 2: it is not valid TOML: Invalid value"
    )


def test_nested_without_end() -> None:
    assert why(written("x = " + "[" * 100_000)).startswith("config.toml")


def test_a_number_too_long() -> None:
    assert "not valid TOML" in why(written("x = " + "1" * 5000))


@settings(deadline=None)  # it writes files
@given(st.binary(max_size=60))
def test_junk(junk: bytes) -> None:
    """Whatever is in a file, reading it gives a document, and its layer."""
    file_layer(read_file(written(junk)))


LINES = '''\
# [llm]
[llm]  # x = 1
model = "a" # num_retries = 1
text = """
num_retries = 3
[llm.wrong] \\"""
"""
others = [
  "[llm]", # ]
  ["x"],
]
'quoted key' = 'it''s'
num_retries=4

[ llm . "gpt-4.1" ]
  top_p = 1
a.b = 2
inline = { model = "x", y = [1] }

[[list]]
x = 1
'''.replace("'it''s'", '"it\'s"')


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("llm",), 2),
        (("llm", "model"), 3),
        (("llm", "text"), 4),
        (("llm", "others"), 8),
        (("llm", "quoted key"), 12),
        (("llm", "num_retries"), 13),
        (("llm", "gpt-4.1"), 15),
        (("llm", "gpt-4.1", "top_p"), 16),
        (("llm", "gpt-4.1", "a", "b"), 17),
        (("llm", "gpt-4.1", "inline", "model"), 18),
        (("list", "x"), 21),
        (("llm", "nowhere"), 2),
        (("nowhere",), None),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_each_key_has_its_line(newline: str, names: tuple[str, ...], line: int | None) -> None:
    document = parsed(LINES.replace("\n", newline))
    assert document.problem is None
    assert document.origin(*names).line == line


def test_a_large_file_is_read_in_linear_time() -> None:
    """20,000 lines that look like keys inside one string; reparsing at each would take hours."""
    text = '[llm]\ntext = """\n' + "model = 1\n" * 20_000 + '"""\nmodel = "x"\n'
    assert parsed(text).origin("llm", "model").line == 20_004


def test_a_path_is_shown_from_here_or_from_home(monkeypatch: pytest.MonkeyPatch) -> None:
    document = read_file(written('[llm]\nmodel = "x"\n', "home/.openhands/config.toml"))
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    origin = document.origin("llm", "model")
    assert str(origin) == "home/.openhands/config.toml line 2"
    (Path.cwd() / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert str(origin) == "~/.openhands/config.toml line 2"
    monkeypatch.setenv("HOME", "/nowhere")
    assert str(origin) == f"{document.path} line 2"
