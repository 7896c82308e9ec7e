"""Keys do not show, and texts are cleaned of them."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.secret import MASK, Redactor, Secret, logins_in, masked

KEY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        repr(Secret(KEY)),
        str(Secret(KEY)),
        f"{Secret(KEY)}",
        f"{Secret(KEY)!r}",
        repr([Secret(KEY)])[1:-1],
        repr(copy.deepcopy(Secret(KEY))),
    ],
)
def test_a_secret_shows_as_the_mask(text: str) -> None:
    assert text == MASK


def test_a_secret_can_be_aligned_in_a_table() -> None:
    assert f"{Secret(KEY):>12}|" == f"  {MASK}|"


def test_an_empty_secret_shows_as_nothing_and_is_false() -> None:
    assert str(Secret("")) == ""
    assert not Secret("")
    assert Secret(KEY)


def test_secrets_compare_by_value() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2
    assert Secret(KEY) != KEY
    assert Secret(KEY).get_secret_value() == KEY


def test_every_key_is_masked() -> None:
    redactor = Redactor([KEY, "gsk_other-key"])
    text = f"Incorrect key {KEY}, and {KEY}{KEY} or gsk_other-key."
    assert redactor.redact(text) == f"Incorrect key {MASK}, and {MASK}{MASK} or {MASK}."


def test_the_longest_key_is_masked_first() -> None:
    """No tail of the longer key stays behind where a shorter one begins it."""
    assert Redactor([KEY, KEY + "-more"]).redact(f"<{KEY}-more>") == f"<{MASK}>"


def test_strings_too_short_for_a_key_stay() -> None:
    assert Redactor(["", "none", "local"]).redact("none of the local ones") == (
        "none of the local ones"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the key {KEY}", f"the key {MASK}"),
        ("# old one: sk-proj-ABCDEFGH0123456789", f"# old one: {MASK}"),
        ("a task-force-of-many-people", "a task-force-of-many-people"),
        ("'http://bob:hunter2secret@host/v1'", f"'http://{MASK}@host/v1'"),
        ("http://bob:p@ss@host:80", f"http://{MASK}@host:80"),
        ("http://token@a, http://u:@b", f"http://{MASK}@a, http://{MASK}@b"),
        ("http://host/a@b?c@d#e@f", "http://host/a@b?c@d#e@f"),
        ("mail bob@example.org", "mail bob@example.org"),
    ],
)
def test_what_is_shown_has_no_key_and_no_password(text: str, shown: str) -> None:
    assert masked(text, [KEY]) == shown
    assert masked(shown, [KEY]) == shown


def test_logins_are_found() -> None:
    assert logins_in("http://bob:p@ss@host, ftp://x@y and z@w") == ["bob:p@ss", "x"]


def test_a_stream_without_keys_holds_nothing_back() -> None:
    stream = Redactor([]).stream()
    assert stream.feed("s") == "s"
    assert stream.flush() == ""


def test_a_stream_holds_back_only_what_may_become_a_key() -> None:
    stream = Redactor([KEY]).stream()
    assert stream.feed("the sun") == "the sun"
    assert stream.feed(" sk-can") == " "
    assert stream.feed("dle ") == "sk-candle "
    assert stream.feed(KEY) == MASK


def test_the_end_of_a_stream_gives_what_was_held_back() -> None:
    stream = Redactor([KEY]).stream()
    assert stream.feed("ask sk-") == "ask "
    assert stream.flush() == "sk-"
    assert stream.flush() == ""


# Few letters, so that keys begin inside of each other.
KEYS = st.lists(st.text("ab", min_size=5, max_size=9), max_size=4)
CHUNKS = st.lists(st.text("abc", max_size=12), max_size=12)


@given(KEYS, CHUNKS)
def test_a_stream_shows_what_the_whole_text_would(keys: list[str], chunks: list[str]) -> None:
    redactor = Redactor(keys)
    stream = redactor.stream()
    shown = [*map(stream.feed, chunks), stream.flush()]
    assert "".join(shown) == redactor.redact("".join(chunks))


@given(KEYS, CHUNKS)
def test_a_stream_never_shows_a_key(keys: list[str], chunks: list[str]) -> None:
    stream = Redactor(keys).stream()
    shown = "".join([*map(stream.feed, chunks), stream.flush()])
    assert not any(key in shown for key in keys if len(key) >= 6)
