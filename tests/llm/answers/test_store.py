"""Answers in files: the same request finds its answer again, and no file holds a secret."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.answers.stored import Stored
from openhands_llm_magic.llm.events import Reply, Usage, fold
from openhands_llm_magic.llm.prepare import Request

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
