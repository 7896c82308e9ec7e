"""Keys do not show, and texts are cleaned of them."""

import base64
import copy
import json
import marshal
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pprint import pformat
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.secret import (
    MASK,
    MaskingDict,
    Redactor,
    Secrecy,
    Secret,
    can_be_secret,
    logins_in,
    masked,
    masking,
    secrecy,
    secrets_in,
)
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import NotPickledError

KEY = "sk-canary-0123456789"


NAMES = {
    Secrecy.SURE: (
        *("api_key", "LLM_API_KEY", "OPENAI_API_KEY", "apikey", "x-api-key", "api-keys", "secret"),
        *("client_secret", "AWS_SECRET", "password", "DB_PASSWORD", "passwd", "passphrase"),
        *("access_token", "AWS_BEARER_TOKEN", "X-Auth-Token", "apiToken", "my_secrets"),
    ),
    Secrecy.LIKELY: (
        *(
            "GROQ_KEY",
            "HF_TOKEN",
            "aws_session_token",
            "azure_ad_token",
            "SORT_KEY",
            "key",
            "token",
        ),
        *(
            "aws_access_key_id",
            "aws_secret_access_key",
            "AWS_ACCESS_KEY_ID",
            "hotkey",
            "page_token",
        ),
    ),
    Secrecy.POSSIBLE: (
        *("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "vertex_credentials"),
        *(
            "GOOGLE_APPLICATION_CREDENTIALS",
            "key_file",
            "api_key_env",
            "SSH_AUTH_SOCK",
            "password2",
        ),
        *(
            "max_tokens",
            "max_completion_tokens",
            "TOKENIZERS_PARALLELISM",
            "stop_token_ids",
            "auth",
        ),
    ),
    Secrecy.NO: (
        *("model", "base_url", "temperature", "api_version", "deployment", "HOME", "PATH", "user"),
        *("", "region", "vertex_project", "pass", "id", "extra_headers"),
    ),
}


@pytest.mark.parametrize(
    ("name", "degree"), [(name, degree) for degree, names in NAMES.items() for name in names]
)
def test_how_surely_a_name_is_that_of_a_secret(name: str, degree: Secrecy) -> None:
    assert secrecy(name) == degree


def test_every_setting_with_a_secret_is_known_by_its_name() -> None:
    """And none that may be cut off from a request or masked without being one."""
    likely = {name for name in SETTINGS if secrecy(name) >= Secrecy.LIKELY}
    assert likely == {
        *(name for name, each in SETTINGS.items() if each.kind == "secret"),
        "input_cost_per_token",
        "output_cost_per_token",
    }


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


LEAKS: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": "{:>40}".format,
    "json": json.dumps,
    "json of its text": partial(json.dumps, default=str),
    "vars": vars,
    "copy": lambda held: repr(copy.copy(held)),
    "deepcopy": lambda held: repr(copy.deepcopy(held)),
    "asdict": lambda held: repr(asdict(held)),
    "pprint": pformat,
    "__reduce__": lambda held: held.__reduce__(),
    "__reduce_ex__": lambda held: held.__reduce_ex__(2),
    "object.__reduce_ex__": lambda held: object.__reduce_ex__(held, 4),
    "__getstate__": lambda held: held.__getstate__(),
    "marshal": marshal.dumps,
    **{
        f"pickle {n}": partial(pickle.dumps, protocol=n) for n in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("way", LEAKS)
def test_no_way_of_writing_a_secret_down_tells_it(way: str) -> None:
    """What cannot write it says so; a pickle or a copy in clear would lie about in caches."""
    for held in (Secret(KEY), [Secret(KEY)], MaskingDict(api_key=KEY)):
        if isinstance(held, dict) and "pickle" not in way and "copy" not in way:
            continue  # it is a dictionary, to be sent
        try:
            told = LEAKS[way](held)
        except (TypeError, ValueError, AttributeError) as error:
            told = str(error)
        assert "canary" not in str(told)
        if "pickle" in way:
            assert "is not pickled, as its keys could be read in the file" in str(told)


def test_what_is_refused_is_an_error_of_its_own() -> None:
    """And one of Python's for what cannot be pickled, which libraries expect."""
    with pytest.raises(NotPickledError) as caught:
        pickle.dumps(Secret(KEY))
    assert isinstance(caught.value, TypeError)
    assert "\n" not in str(caught.value)


def test_a_dictionary_is_copied_as_what_it_is() -> None:
    given = MaskingDict(api_key=KEY, nested=MaskingDict(token=[KEY]))
    for made in (copy.copy(given), copy.deepcopy(given)):
        assert made == given
        assert "canary" not in repr(made)
    plain = MaskingDict(seed=1)
    assert pickle.loads(pickle.dumps(plain)) == plain  # noqa: S301 - our own


def test_an_empty_secret_shows_as_nothing_and_is_false() -> None:
    assert str(Secret("")) == ""
    assert not Secret("")
    assert Secret(KEY)


def test_secrets_compare_by_value() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2
    assert Secret(KEY) != KEY
    assert Secret(KEY).get_secret_value() == KEY


LIKE_WORDS = [
    *("postgres", "length", "ollama", "lm-studio", "EMPTY", "changeme123456", "not-needed"),
    *("no-key-required", "your-256-bit-secret", "organization_id", "customer_id,order_id"),
    *("myVeryLongCamelCaseVariableName", "created_at_2024", "correct horse battery staple"),
    *("/home/me/.ssh/id_ed25519", "https://example.com/api/v1", "x86_64-linux-gnu"),
    *("Qwen2.5-7B-Instruct", "k8s-s3-v2-us-east-1", "application/json", "2024-01-01"),
]
LIKE_KEYS = [
    *(KEY, "d41d8cd98f00b204e9800998ecf8427e", "550e8400-e29b-41d4-a716-446655440000"),
    *(
        "sk-of-the-test",
        "hunter2secret",
        "xK9$mP2#vL5@nQ8!",
        "AKIAIOSFODNN7EXAMPLE",
        "a1b2-c3d4-e5f6-g7h8",
    ),
    *("abcdefghijklmnopqrst", "qWzRtYbIoPkLmNv", "gsk_abcdEFGHijkl1234MNOP"),
]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [*((word, False) for word in LIKE_WORDS), *((key, True) for key in LIKE_KEYS)],
)
def test_what_may_be_masked_in_an_answer(text: str, is_one: bool) -> None:
    """What reads as words and numbers comes up in answers by itself; a key does not."""
    assert can_be_secret(text) == is_one


@given(
    st.text("0123456789abcdef", min_size=32),
    # Not "hf_", with which a provider's keys begin.
    st.from_regex(r"\A(?!hf_)[a-z]{1,15}(_[a-z]{1,15})*\Z"),
)
def test_random_keys_may_be_masked_and_names_may_not(key: str, name: str) -> None:
    assert can_be_secret(key)
    assert not can_be_secret(name)


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


def written(data: str, how: str) -> str:
    """Write a text as somebody might who is asked for a key in disguise."""
    raw = data.encode()
    return {
        "upper": data.upper(),
        "lower": data.lower(),
        "mixed": "".join(map(str.swapcase, data)),
        "reversed": data[::-1],
        "base64": base64.b64encode(raw).decode(),
        "base64 in a URL": base64.urlsafe_b64encode(raw).decode(),
        "hex": raw.hex(),
        "hex, upper": raw.hex().upper(),
        "hex dump": raw.hex(" "),
        "hex with colons": raw.hex(":"),
        "escapes": "".join(f"\\x{each:02x}" for each in raw),
        "in a URL": quote(data, safe=""),
        "all percent": "".join(f"%{each:02X}" for each in raw),
    }[how]


HOW = (
    *("upper", "lower", "mixed", "reversed", "base64", "base64 in a URL", "hex", "hex, upper"),
    *("hex dump", "hex with colons", "escapes", "in a URL", "all percent"),
)
ODD = "Qx7+/z=?9Kb~mW2v"


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("key", [KEY, ODD])
def test_a_key_is_masked_in_its_usual_encodings(key: str, how: str) -> None:
    """In a stream, too; of base64 what is left tells at most two characters at each end."""
    text = f"It is {written(key, how)} then."
    shown = Redactor([key]).redact(text)
    left = shown.removeprefix("It is ").removesuffix(" then.").replace(MASK, "")
    assert MASK in shown
    assert len(left.rstrip("=")) <= (4 if "base64" in how else 0)
    stream = Redactor([key]).stream()
    assert "".join(map(stream.feed, text)) + stream.flush() == shown


@given(before=st.text(max_size=9), after=st.text(max_size=9))
def test_base64_of_a_key_within_another_text(before: str, after: str) -> None:
    """As in a header of HTTP, where it follows a user's name."""
    text = base64.b64encode(f"{before}{KEY}{after}".encode(errors="replace")).decode()
    shown = Redactor([KEY]).redact(text)
    assert MASK in shown


def test_no_encoding_of_a_common_word_is_masked() -> None:
    """A local server's key "ollama" is masked as it is, where at all; "amallo" is not."""
    text = "amallo b2xsYW1h 6f6c6c616d61 o-l-l-a-m-a"
    assert Redactor(["ollama"]).redact(text) == text


LONG = 50_000


def test_masking_of_a_long_text_is_quick() -> None:
    """With twenty keys, each in all of its encodings: the text has none of them."""
    redactor = Redactor([f"{KEY}-{number:02}" for number in range(20)])
    began_s = time.process_time()
    redactor.redact("words and numbers 12345, " * (LONG // 25))
    assert time.process_time() - began_s < 0.5


def test_a_header_is_masked_whose_value_can_be_a_key_whatever_its_name() -> None:
    """Gateways take keys under names such as x-gateway; other headers say what is asked for."""
    options = {
        "extra_headers": {
            "x-gateway": "gw-9f8e7d6c5b4a",
            "x-login": "Basic dXNlcjpwYXNzd29yZA==",
            "anthropic-beta": "context-1m-2025-08-07",
            "HTTP-Referer": "https://docs.all-hands.dev/",
        },
        "extra_body": {"id": "gw-1a2b3c4d5e6f"},
    }
    shown = repr(masking(options))
    assert "9f8e7d6c5b4a" not in shown
    assert "dXNlcjpwYXNzd29yZA" not in shown
    for other in ("context-1m-2025-08-07", "https://docs.all-hands.dev/", "gw-1a2b3c4d5e6f"):
        assert other in shown
    found = {*secrets_in(options)}
    assert found == {
        "gw-9f8e7d6c5b4a", "Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA==",
    }  # fmt: skip
    assert repr(copy.deepcopy(masking(options))) == shown


@pytest.mark.parametrize(
    ("address", "is_key"),
    [
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", True),
        ("sk-canary-0123456789", True),
        ("my-ollama-server01", False),
        ("gpu-box:8000", False),
        ("llm.example.com", False),
        ("https://0f1e2d3c4b5a69788796a5b4c3d2e1f0.example.com/v1", False),
    ],
)
def test_a_key_in_the_place_of_an_address_is_a_secret(address: str, is_key: bool) -> None:
    assert bool([*secrets_in({"base_url": address})]) == is_key
