"""Answers in files: the same request finds its answer again, and no file holds a secret."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.answers.stored import Stored
from openhands_llm_magic.llm.events import Usage
from openhands_llm_magic.llm.prepare import Request
from openhands_llm_magic.llm.reply import Reply, fold

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "openai/gpt-4o"
KEY = "sk-canary-0123456789abcdef"
REQUEST = Request(
    MODEL,
    [{"role": "user", "content": "Hello"}],
    {"temperature": 0.5, "api_key": KEY, "base_url": "http://127.0.0.1:1/v1", "timeout": 9},
)
REPLY = Reply("Hi\n日本", MODEL, Usage(3, 2), 0.25, finish_reason="stop", reasoning="Hm.")


def stored(
    folder: Path,
    request: Request = REQUEST,
    *,
    model: str = MODEL,
    address: str = "",
    secrets: tuple[str, ...] = (),
) -> Stored:
    """The place of a request's answer, with settings that lead to a model at an address."""
    settings = load_settings(env={"LLM_MODEL": model, "LLM_BASE_URL": address})
    return Stored(request, settings, secrets, folder)


def test_an_answer_is_found_again(tmp_path: Path) -> None:
    place = stored(tmp_path / "answers")
    path = place.path
    assert place.find() is None
    assert place.keep(REPLY) is None
    events = place.find()
    assert events is not None
    assert fold(events, MODEL) == REPLY
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.name.startswith("gpt-4o-")
    assert "Hi\\n日本" in path.read_text("utf-8")


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, messages=[{"role": "user", "content": "Hello!"}]),
        replace(REQUEST, messages=[{"role": "system", "content": "Hi"}, *REQUEST.messages]),
        replace(REQUEST, options={**REQUEST.options, "temperature": 0.6}),
        replace(REQUEST, options={**REQUEST.options, "seed": 1}),
    ],
)
def test_another_request_has_another_file(tmp_path: Path, other: Request) -> None:
    first = stored(tmp_path).path
    assert stored(tmp_path, other).path != first
    assert stored(tmp_path, address="http://a/v1").path != first
    assert stored(tmp_path, model="openai/other").path != first


def test_how_it_is_sent_is_no_part_of_what_is_asked(tmp_path: Path) -> None:
    """CI has no key; a login in an address is none of the file's business."""
    bare = replace(REQUEST, options={"temperature": 0.5})
    unset = replace(REQUEST, options={**bare.options, "base_url": "http://127.0.0.1:1/v1"})
    assert stored(tmp_path, unset).path == stored(tmp_path).path == stored(tmp_path, bare).path
    with_login = stored(tmp_path, bare, address="http://me:pw@a/v1")
    assert with_login.path == stored(tmp_path, bare, address="a/v1").path


def test_no_secret_is_written(tmp_path: Path) -> None:
    """Not even one that stands in the prompt or in the answer."""
    asked = replace(REQUEST, messages=[{"role": "user", "content": f"my key is {KEY}"}])
    address = "http://me:password-canary@a/v1"
    place = stored(tmp_path, asked, address=address, secrets=(KEY,))
    assert place.keep(replace(REPLY, text=KEY)) is None
    assert "canary" not in place.path.read_text()


def test_a_picture_is_there_by_its_hash(tmp_path: Path) -> None:
    url = "data:image/png;base64," + "A" * 10_000
    part = {"type": "image_url", "image_url": {"url": url}}
    asked = replace(REQUEST, messages=[{"role": "user", "content": [part]}])
    place = stored(tmp_path, asked)
    assert place.keep(REPLY) is None
    assert len(place.path.read_text()) < 1500
    part["image_url"] = {"url": url + "A"}
    assert stored(tmp_path, asked).path != place.path


@given(st.binary(max_size=200) | st.just(b'{"answer": {"text": 1}}'))
def test_a_file_that_is_no_answer_is_none(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    place = stored(tmp_path_factory.mktemp("answers"))
    place.path.write_bytes(junk)
    assert place.find() is None


@pytest.mark.parametrize(
    "changed",
    [
        {"cost_usd": "z"},
        {"cost_usd": -1},
        {"cost_usd": True},
        {"cost_told_by": "me"},
        {"cost_told_by": {}},
        {"cost_usd": float("nan")},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 2}},
        {"usage": {"prompt_tokens": "3", "completion_tokens": 2}},
        {"usage": {"prompt_tokens": 3}},
        {"usage": [3, 2]},
        {"text": 1},
        {"finish_reason": None},
        {"reasoning": {"a": 1}},
    ],
)
def test_a_file_with_another_type_in_it_is_none(tmp_path: Path, changed: dict[str, object]) -> None:
    place = stored(tmp_path)
    place.keep(REPLY)
    held = json.loads(place.path.read_bytes())
    place.path.write_text(json.dumps({"answer": held["answer"] | changed}))
    assert place.find() is None


def test_a_file_that_is_nested_too_deeply_is_none(tmp_path: Path) -> None:
    place = stored(tmp_path)
    place.path.write_text('{"answer":' * 100_000)
    assert place.find() is None


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/dev/zero", "it is not a regular file"),
        ("a pipe", "it is not a regular file"),
        ("a folder", "it is a folder"),
        ("huge", "it is larger than 50 MB"),
        ("deep", "it is no answer of ours"),
        ("deep in its usage", "it is no answer of ours"),
    ],
)
def test_a_file_without_bounds_is_told_in_one_line(tmp_path: Path, target: str, why: str) -> None:
    place = stored(tmp_path)
    match target:
        case "/dev/zero":
            place.path.symlink_to(target)
        case "a pipe":
            os.mkfifo(place.path)
        case "a folder":
            place.path.mkdir()
        case "huge":
            place.path.touch()
            os.truncate(place.path, 10**12)
        case "deep":
            place.path.write_text('{"answer":' + "[" * 10_000 + "]" * 10_000 + "}")
        case _:
            place.keep(REPLY)
            held = json.loads(place.path.read_bytes())
            held["answer"]["usage"] = "DEEP"
            deep = "[" * 900 + "]" * 900
            usage = f'{{"prompt_tokens": {deep}, "completion_tokens": 2}}'
            place.path.write_text(json.dumps(held).replace('"DEEP"', usage))
    assert place.find() is None
    assert str(place.problem) == f"the stored answer {place.path} cannot be read: {why}"
    assert f"{place.path} cannot be read: {why}, and nothing is sent" in str(place.why_not())


def test_an_answer_that_could_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openhands_llm_magic.llm.answers.stored.MOST_BYTES", 300)
    error = stored(tmp_path).keep(replace(REPLY, text="long " * 100))
    assert "it would have more than" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_no_answer_is_stored_through_a_folder_that_is_a_link(tmp_path: Path) -> None:
    """As a repository may have one, to a folder that others read."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "answers").symlink_to(elsewhere)

    error = stored(tmp_path / "answers").keep(REPLY)

    told = "the answer is not stored in llm_answers: it is a link; put a folder in its place."
    assert str(error) == told
    assert list(elsewhere.iterdir()) == []


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    """As a repository may have one, to a file of the person's."""
    other = tmp_path / "other.json"
    other.write_text("{}")
    place = stored(tmp_path / "answers")
    place.path.parent.mkdir()
    place.path.symlink_to(other)
    assert place.keep(REPLY) is None
    assert (other.read_text(), place.path.is_symlink()) == ("{}", False)
    assert place.find() is not None


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_only_the_person_reads_what_is_stored(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        place = stored(tmp_path / "answers")
        place.keep(REPLY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_an_answer_of_another_person_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stored(tmp_path)
    place.keep(REPLY)
    os.chown(place.path, 4321, 4321)
    assert place.find() is None
    assert "cannot be read: it belongs to the user 4321" in str(place.why_not())
    monkeypatch.setenv("LLM_MAGIC_TRUST", str(place.path.parent))
    assert place.find() is not None
    assert place.problem is None


def test_what_is_written_is_in_a_fixed_order(tmp_path: Path) -> None:
    """So that a difference is a difference."""
    place = stored(tmp_path)
    place.keep(REPLY)
    first = place.path.read_bytes()
    turned = replace(REQUEST, options=dict(reversed(list(REQUEST.options.items()))))
    again = stored(tmp_path, turned)
    again.keep(REPLY)
    assert (again.path, place.path.read_bytes()) == (place.path, first)
    assert list(json.loads(first)) == ["answer", "request"]
