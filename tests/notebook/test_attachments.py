"""What `-a` names: files, addresses and variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from model_server import ModelServer, Raw

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.content import PDF, Attachment, content_of
from openhands_llm_magic.notebook import attachments
from openhands_llm_magic.notebook.attachments import attachment

if TYPE_CHECKING:
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
}


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
        (b'<?xml version="1.0"?>\n<svg onload="x">', "SVG"),
        (b"\x00\x01\x02binary", "none of them"),
        (b"\xff\xfe not UTF-8", "none of them"),
        (b"", "nothing in it"),
    ],
)
def test_what_models_do_not_take_is_refused_with_a_reason(
    tmp_path: Path, data: bytes, why: str
) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(UsageError, match=why):
        attachment("file", {})


@pytest.mark.parametrize("word", ["missing.png", ".", "bad\0name", "~nobody/x"])
def test_what_cannot_be_read_is_one_line(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        attachment(word, {})
    assert len(str(caught.value).splitlines()) == 1


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MOST_BYTES", 100)
    (tmp_path / "large.txt").write_bytes(b"x" * 101)
    with pytest.raises(UsageError, match="more than"):
        attachment("large.txt", {})
    with pytest.raises(UsageError, match="more than"):
        attachment("text", {"text": "x" * 101})


def test_a_variable_comes_before_a_file_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("the file")
    assert attachment("data", {"data": "the variable"}).data == b"the variable"
    assert attachment("picture", {"picture": PNG}).media_type == "image/png"


def test_an_address_is_downloaded(model_server: ModelServer) -> None:
    model_server.script(Raw(PNG, "text/html"))
    address = model_server.base_url + "/v1/chat/completions"
    assert attachment(address, {}) == Attachment(address, "image/png", PNG)


def test_an_address_that_fails_is_one_line(model_server: ModelServer) -> None:
    model_server.script(Raw(b"no", "text/plain", status=404))
    for address in (model_server.base_url + "/x", "http://127.0.0.1:1/x", "http://"):
        with pytest.raises(UsageError) as caught:
            attachment(address, {})
        assert len(str(caught.value).splitlines()) == 1


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
