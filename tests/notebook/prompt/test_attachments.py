"""What `-a` names: files, addresses and variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import PIL.Image
import pytest
from model_server import ModelServer, Raw

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.conversations import PDF, Attachment, content_of
from openhands_llm_magic.notebook.placeholders import filled
from openhands_llm_magic.notebook.prompt import attachment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n rest"
FILES = {
    "a.png": (PNG, "image/png"),
    "named-wrongly.txt": (PNG, "image/png"),
    "a.jpg": (b"\xff\xd8\xff\xe0 rest", "image/jpeg"),
    "a.gif": (b"GIF89a rest", "image/gif"),
    "a.webp": (b"RIFF\x00\x00\x00\x00WEBP rest", "image/webp"),
    "a.pdf": (b"%PDF-1.7 rest", PDF),
    "a.csv": ("name;語\n".encode(), "text/plain"),
    "a.py": (b"# it draws '<svg>'\n", "text/plain"),
    "a.html": (b"<!DOCTYPE html>\n<!-- a --><html><svg></svg></html>", "text/plain"),
}
ROOTS_OF_SVG = [
    b"<svg>",
    b'<?xml version="1.0"?>\n<svg onload="x">',
    b"\xef\xbb\xbf <!-- a -->\n<!-- b --><svg\nwidth='1'>",
    b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" [<!ENTITY a "b">]>\n<svg:svg/>',
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_its_first_bytes_say(tmp_path: Path, name: str) -> None:
    data, media_type = FILES[name]
    (tmp_path / name).write_bytes(data)
    assert attachment(name, {}) == Attachment(name, media_type, data)
    assert attachment(str(tmp_path / name), {}).name == name
    assert attachment("path", {"path": tmp_path / name}).data == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        *((root, "no model takes SVG") for root in ROOTS_OF_SVG),
        (b"\x00\x01\x02binary", "none of them"),
        ("café".encode("latin-1"), "save it as UTF-8"),
        (b"", "there is nothing in file"),
    ],
)
def test_what_models_do_not_take_is_refused_with_a_reason(
    tmp_path: Path, data: bytes, why: str
) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(UsageError, match=why):
        attachment("file", {})


def test_what_stands_before_a_root_is_read_once() -> None:
    """A comment that could be read in many ways would take for ever."""
    data = b"<!---->" * 5_000 + b"<html>"
    assert attachment("page", {"page": data}).data == data


def test_the_mark_of_utf_8_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("語", "utf-8-sig")
    assert attachment("a.txt", {}).data == "語".encode()


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("missing.png", "No such file"),
        (".", "no regular file"),
        ("pipe", "no regular file"),
        ("bad\0name", "null (byte|character)"),
        ("~nobody/x", "No such file"),
        ("~no-such-user/x", "home directory"),
        ("ftp://someone:s3cret@host/x?y", "-a ftp://host/x: only http and https"),
        ("File:///etc/hosts", "only http and https"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, word: str, why: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=why) as caught:
        attachment(word, {})
    assert len(str(caught.value).splitlines()) == 1


class Broken:
    def __str__(self) -> str:
        raise ValueError("no text\nin two lines")


class Pretender:
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise KeyError(self)


class Unspeakable(Exception):  # noqa: N818 - it is only raised
    def __str__(self) -> str:
        raise self


class Worse:
    def __str__(self) -> str:
        raise Unspeakable


@pytest.mark.parametrize("make", [Broken, Pretender, Worse, lambda: "lone \ud800"])
def test_a_value_that_cannot_be_written_is_one_line(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match="-a value: ") as caught:
        attachment("value", {"value": make()})
    assert len(str(caught.value).splitlines()) == 1


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MOST_BYTES", 100)
    (tmp_path / "large.txt").write_bytes(b"x" * 101)
    with pytest.raises(UsageError, match="more than"):
        attachment("large.txt", {})
    with pytest.raises(UsageError, match="more than"):
        attachment("text", {"text": "x" * 101})
    with pytest.raises(UsageError, match="more than"):
        filled("{picture}", {"picture": PIL.Image.effect_noise((20, 20), 9)}, limit_chars=9)


def test_a_variable_comes_before_a_file_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("the file")
    assert attachment("data", {"data": "the variable"}).data == b"the variable"
    assert attachment("picture", {"picture": PNG}).media_type == "image/png"


def test_an_address_is_downloaded(model_server: ModelServer) -> None:
    model_server.script(Raw(PNG, "text/html"))
    address = model_server.base_url + "/v1/chat/completions"
    assert attachment(address, {}) == Attachment(address, "image/png", PNG)
    assert attachment(address.replace("http", "HTTP", 1), {}).data == PNG


def test_the_login_and_the_query_of_an_address_stay_here(model_server: ModelServer) -> None:
    """The server gets them; the model gets the host and the path."""
    model_server.script(Raw(b"the text", "text/plain"))
    host = model_server.base_url.removeprefix("http://")
    address = f"http://someone:s3cret@{host}/v1/chat/completions?signature=s3cret#s3cret"
    found = attachment(address, {})
    assert found.name == f"http://{host}/v1/chat/completions"
    assert model_server.received[-1].path.endswith("?signature=s3cret")
    assert "s3cret" not in str(content_of([found]))


@pytest.mark.parametrize(
    "address",
    [
        "{server}/x?signature=s3cret",
        "http://someone:s3cret@127.0.0.1:1/x?signature=s3cret",
        "http://someone:s3cret@127.0.0.1:s3cret/x",
        "http://",
        "https://127.0.0.1:1/sk-s3cret-0123456789abc",
    ],
)
def test_an_address_that_fails_is_one_line(model_server: ModelServer, address: str) -> None:
    model_server.script(Raw(b"no", "text/plain", status=404))
    with pytest.raises(UsageError, match="-a") as caught:
        attachment(address.format(server=model_server.base_url), {})
    assert len(str(caught.value).splitlines()) == 1
    assert "s3cret" not in str(caught.value)


def test_the_form_of_a_prompt_with_files() -> None:
    """Text files go in as text, in a block that nothing in them ends."""
    text = Attachment("a.md", "text/plain", b"```\ncode\n```")
    assert content_of(["Look: ", text]) == "Look: a.md:\n\n````\n```\ncode\n```\n````\n\n"
    image = Attachment("a.png", "image/png", b"data")
    assert content_of(["Look", image, "!"]) == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,ZGF0YQ=="}},
        {"type": "text", "text": "!"},
    ]
    file = content_of([Attachment("a.pdf", PDF, b"data")])[0]
    assert file["file"]["filename"] == "a.pdf"  # type: ignore[index]
