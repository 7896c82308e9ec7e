"""The input of a key and the clipboard, seen from Python: messages in, callbacks out."""

from __future__ import annotations

import gc
import logging
import traceback
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets.embed import dependency_state

from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import SettingError
from openhands_llm_magic.notebook.panel.handover import FrontEnd
from openhands_llm_magic.notebook.panel.secret_field import LONGEST_KEY, SecretField

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Kernel

KEY = "sk-canary-0123456789abcdef"


def message(content: object) -> dict[str, Any]:
    """Make a message as the kernel hands it on."""
    return {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}


def receive(widget: Any, content: object) -> dict[str, Any]:
    """Play the front end, and give what the kernel still holds of its message."""
    sent = message(content)
    widget._handle_msg(sent)
    return sent


def type_key(field: SecretField, value: object = KEY) -> dict[str, Any]:
    return receive(field, {"type": "secret", "value": value})


@pytest.fixture(autouse=True)
def no_widget_left() -> Iterator[None]:
    yield
    ipywidgets.Widget.close_all()


def test_a_key_arrives_as_a_secret_without_the_space_around_it() -> None:
    got: list[Secret] = []
    field = SecretField(label="API key", on_secret=got.append)

    type_key(field, f" {KEY}\n")

    assert got == [Secret(KEY)]


def test_nothing_of_the_widget_or_the_message_holds_the_key() -> None:
    field = SecretField(label="API key", on_secret=lambda _: None)

    sent = type_key(field)

    assert sent == message({})
    assert repr(field) == "SecretField(label='API key')"
    for state in (
        field.get_state(),
        ipywidgets.Widget.get_manager_state(),
        dependency_state([field]),
        field._repr_mimebundle_(),
    ):
        assert KEY not in str(state)


def test_the_message_is_empty_before_the_callback_runs() -> None:
    """It may show a traceback or the kernel's parent header, which is the message."""
    sent = message({"type": "secret", "value": KEY})
    seen: list[object] = []
    field = SecretField(label="API key", on_secret=lambda _: seen.append(str(sent)))

    field._handle_msg(sent)

    assert seen == [str(message({}))]


def test_the_key_is_left_in_no_object_but_the_secret() -> None:
    field = SecretField(label="API key", on_secret=lambda _: None)
    key = "".join(reversed(KEY))

    type_key(field, key)

    holders = [one for one in gc.get_referrers(key) if type(one) is dict]
    assert holders == []


@given(
    st.one_of(
        st.text(), st.none(), st.integers(), st.lists(st.text()), st.just("x" * (LONGEST_KEY + 1))
    )
)
def test_only_text_of_a_possible_length_is_taken(value: object) -> None:
    got: list[Secret] = []
    field = SecretField(label="API key", on_secret=got.append)

    sent = type_key(field, value)

    possible = isinstance(value, str) and value.strip() and len(value) <= LONGEST_KEY
    assert got == ([Secret(str(value).strip())] if possible else [])
    assert sent == message({})


@pytest.mark.parametrize(
    "content", [{}, {"type": "secret"}, {"value": KEY}, {"type": "other"}, "text", None, [1]]
)
def test_other_messages_are_ignored(content: object, caplog: pytest.LogCaptureFixture) -> None:
    got: list[Secret] = []
    field = SecretField(label="API key", on_secret=got.append)

    receive(field, content)

    assert got == []
    assert caplog.records == []


def test_the_texts_are_the_callers() -> None:
    texts = {"show_text": "表示", "hide_text": "隠す", "set_text": "設定", "placeholder": "sk-…"}

    field = SecretField(label="API キー", on_secret=lambda _: None, texts=texts)

    assert field.get_state().items() >= {"label": "API キー", **texts}.items()


def careless(secret: Secret) -> None:
    """Fail in the worst way: the key is in a local, in the text and in the cause."""
    plain = secret.get_secret_value()
    try:
        int(plain)
    except ValueError as error:
        raise ValueError(f"bad {plain}") from error


def refusing(secret: Secret) -> None:
    raise SettingError(f"api_key cannot be {secret.get_secret_value()}.")


@pytest.mark.parametrize(
    ("callback", "line"),
    [
        (careless, "the key was not set, because of an internal ValueError."),
        (refusing, "api_key cannot be **********."),
    ],
)
def test_a_failing_callback_leaves_one_line_and_no_key(
    callback: Any, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no IPython is there to show it, ipywidgets logs it."""
    field = SecretField(label="API key", on_secret=callback)

    with caplog.at_level(logging.WARNING):
        type_key(field)

    (record,) = caplog.records
    assert record.exc_info is not None
    error = record.exc_info[1]
    assert isinstance(error, SettingError)
    assert str(error) == line
    assert KEY not in caplog.text
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert KEY not in "".join(shown.format())
    assert error.__context__ is None


CALLBACK_FAILS = """
%xmode Verbose
from openhands_llm_magic.notebook.panel.secret_field import SecretField
def careless(secret):
    plain = secret.get_secret_value()
    raise ValueError(plain)
field = SecretField(label="API key", on_secret=careless)
content = {"type": "secret", "value": "-".join(["sk", "canary", "0123456789abcdef"])}
field._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
%xmode Context
"""


def test_in_a_notebook_a_failing_callback_shows_one_line(kernel: Kernel) -> None:
    """IPython's Verbose mode shows the locals of every frame of other errors."""
    ran = kernel.run(CALLBACK_FAILS)

    assert ran.error == "SettingError: the key was not set, because of an internal ValueError."
    assert KEY not in str(ran.messages)


@pytest.fixture
def copied() -> list[bool]:
    return []


@pytest.fixture
def front_end(copied: list[bool]) -> FrontEnd:
    return FrontEnd(copied.append)


def test_a_text_is_sent_to_be_copied_and_not_kept(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(front_end.comm, "send", lambda data, **_: sent.append(data["content"]))

    front_end.copy("a text of a person")
    front_end.copy("export")

    assert sent == [
        {"type": "copy", "copy": 1, "text": "a text of a person"},
        {"type": "copy", "copy": 2, "text": "export"},
    ]
    assert "a text of a person" not in str(ipywidgets.Widget.get_manager_state())


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([(1, True)], [True]),
        ([(1, False)], [False]),
        ([(1, True), (1, True), (1, False)], [True]),
        ([(1, False), (1, False), (1, True)], [False, True]),
        ([(0, True), (2, True), ("1", True), (1, "yes"), (1, None)], []),
    ],
    ids=["worked", "failed", "first window", "second window", "nonsense"],
)
def test_of_several_windows_one_that_copied_counts(
    front_end: FrontEnd, copied: list[bool], answers: list[tuple[object, object]], told: list[bool]
) -> None:
    front_end.copy("docker run")

    for number, ok in answers:
        receive(front_end, {"type": "copied", "copy": number, "ok": ok})

    assert copied == told


def test_a_late_answer_does_not_count_for_the_next_copy(
    front_end: FrontEnd, copied: list[bool]
) -> None:
    front_end.copy("docker run")
    front_end.copy("export")

    receive(front_end, {"type": "copied", "copy": 1, "ok": True})

    assert copied == []
